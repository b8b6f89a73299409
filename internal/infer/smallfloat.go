package infer

import (
	"fmt"
	"slices"

	"bq/onnxio"
)

// quantizeSmall returns x / scale in a float type of 8 or 4 bits, whose zero points must be zero.
func (r *run) quantizeSmall(x, scale, zero *onnxio.Array, s *scaling, t onnxio.DataType, c smallCast) (*onnxio.Array, error) {
	if zero != nil && slices.ContainsFunc(zero.F32(), func(v float32) bool { return v != 0 }) {
		return nil, fmt.Errorf("a zero point of %v other than zero", t)
	}
	v, err := r.float32s(x)
	if err != nil {
		return nil, err
	}
	scales, err := r.float32s(scale)
	if err != nil {
		return nil, err
	}
	out, err := r.new(onnxio.Float, x.Shape...)
	if err != nil {
		return nil, err
	}
	for i, f := range v {
		out.F32()[i] = f / scales[s.at(i)]
	}
	return r.castSmall(out, t, c)
}

// smallCast says how values are fitted to the float types of 8 bits (ONNX Cast, the tables of its description).
type smallCast struct {
	saturate bool
	mode     onnxio.E8M0Mode
}

func (b *binding) smallCast() smallCast {
	c := smallCast{saturate: b.bool("saturate", true)}
	switch b.str("round_mode", "up", "up", "down", "nearest") {
	case "down":
		c.mode = onnxio.RoundDown
	case "nearest":
		c.mode = onnxio.RoundNearest
	}
	return c
}

// castSmall is cast with the rules of c where t is a float of 8 or 4 bits.
func (r *run) castSmall(v *onnxio.Array, t onnxio.DataType, c smallCast) (*onnxio.Array, error) {
	if !t.IsSmallFloat() || v.Type == t {
		return r.cast(v, t)
	}
	wide, err := r.cast(v, onnxio.Float)
	if err != nil {
		return nil, err
	}
	out, err := r.new(t, v.Shape...)
	if err != nil {
		return nil, err
	}
	dst := out.F32()
	for i, f := range wide.F32() {
		dst[i] = onnxio.DecodeSmallFloat(t, onnxio.EncodeSmallFloat(t, f, c.saturate, c.mode))
	}
	return out, nil
}
