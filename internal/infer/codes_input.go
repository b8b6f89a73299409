package infer

import (
	"bq/internal/kernel"
	"bq/onnxio"
)

// pixelInput takes a QuantizeLinear whose codes one convolution of pixels reads, and a Transpose before it that moves the
// channels of its input from the back: pixels are quantized as they lie.
func (b *blocking) pixelInput(nd *node) bool {
	conv := func(slot int) *quantConv { // that alone reads a slot
		if slot < 0 || b.uses[slot] != 1 {
			return nil
		}
		if f, ok := b.nodes[b.reader[slot]].state.(*quantConv); ok && f.onPixels() {
			return f
		}
		return nil
	}
	out := nd.out[0]
	if nd.OpType == "Transpose" {
		if p := nd.Attr("perm"); p == nil || !channelsFirstPerm(p.Ints) || b.uses[out] != 1 {
			return false
		}
		q := b.nodes[b.reader[out]]
		if b.quantizer(q) == nil || q.in[0] != out || conv(q.out[0]) == nil {
			return false
		}
		if b.inputs == nil {
			b.inputs = map[int]int{}
		}
		b.leave(nd.in[0])
		b.inputs[out] = nd.in[0]
		return true
	}
	v, f := b.quantizer(nd), conv(out)
	if v == nil || f == nil {
		return false
	}
	in := nd.in[0]
	from, last := b.inputs[in]
	if !last {
		from = in
		b.leave(in)
	}
	channels := f.w.Shape[1] * f.group
	step := b.inputStep(out, channels)
	b.kinds[out] = onnxio.Uint8
	to := b.slot(out, channels)
	b.add(nd, onnxio.Float, []int{from}, to, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		s := in[0].Shape
		if len(s) != len(f.w.Shape) || last && s[len(s)-1] != channels || !last && s[1] != channels {
			return nil, nil
		}
		codes, err := v.quantize(r, in[0])
		if codes == nil || err != nil {
			return nil, nil
		}
		spatial := s[2:]
		if last {
			spatial = s[1 : len(s)-1]
		}
		out, err := r.blank(onnxio.Uint8, pixelShape(s[0], spatial, step)...)
		switch {
		case err != nil:
			return nil, nil
		case last:
			kernel.SpreadPixels(byteData(out), byteData(codes), step, channels, r.threads)
		default:
			kernel.ToPixels(byteData(out), byteData(codes), step, s[0], channels, product(spatial), r.threads)
		}
		return out, nil
	})
	return true
}

// channelsFirstPerm reports whether a permutation moves the last dimension behind the first.
func channelsFirstPerm(perm []int64) bool {
	for i, p := range perm {
		want := int64(i - 1)
		switch i {
		case 0:
			want = 0
		case 1:
			want = int64(len(perm) - 1)
		}
		if p != want {
			return false
		}
	}
	return len(perm) > 2
}

// quantizer returns what a plain QuantizeLinear to uint8 with one scale does, or one with a Clip of its codes; nil for other
// nodes.
func (b *blocking) quantizer(nd *node) *quantized {
	if nd == nil {
		return nil
	}
	if v, ok := nd.state.(*quantized); ok && v.typ == onnxio.Uint8 && nd.elem == onnxio.Float {
		return v
	}
	if nd.OpType != "QuantizeLinear" || !nd.standard || nd.fast != nil || nd.in[0] < 0 || nd.in[1] < 0 || nd.in[2] < 0 {
		return nil
	}
	scale, zero := b.consts(nd.in[1]), b.consts(nd.in[2])
	switch {
	case scale == nil || zero == nil || scale.Type != onnxio.Float || zero.Type != onnxio.Uint8 || scale.Len() != 1 || zero.Len() != 1:
		return nil
	case !(scale.F32()[0] > 0), nd.intOr("block_size", 0) != 0, nd.intOr("precision", 1) > 1:
		return nil
	}
	return &quantized{scale: scale.F32()[0], zero: int32(zero.Ints()[0]), high: 255, typ: onnxio.Uint8}
}
