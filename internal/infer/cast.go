package infer

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"bq/internal/kernel"
	"bq/onnxio"
)

// bindCast: the elements of the input in the type that attribute to names; saturate and round_mode count where that
// is a float of 8 or 4 bits.
func bindCast(b *binding) runFunc {
	to, small := onnxio.DataType(b.int("to", 0)), b.smallCast()
	if !to.HasArray() {
		b.refuse("element type %v", to)
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) { return one(r.castSmall(in[0], to, small)) }
}

// bindCastLike: the elements of the first input in the type of the second.
func bindCastLike(b *binding) runFunc {
	small := b.smallCast()
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		return one(r.castSmall(in[0], in[1].Type, small))
	}
}

// cast converts v to type t, v itself where it has it. Floats become integers by truncation toward zero; beyond the
// integer's range, and for NaN, the result is the one that int64 truncation wraps to. Everything but zero is true.
func (r *run) cast(v *onnxio.Array, t onnxio.DataType) (*onnxio.Array, error) {
	if v.Type == t {
		return v, nil
	}
	out, err := r.new(t, v.Shape...)
	if err != nil {
		return nil, err
	}
	switch s := v.Data.(type) {
	case []float32:
		err = castFloats(out, s, v.Type)
	case []float64:
		err = castFloats(out, s, v.Type)
	case []bool:
		castNumbers(out, boolBytes(s))
	case []string:
		err = parseStrings(out, s)
	case []int8:
		castNumbers(out, s)
	case []int16:
		castNumbers(out, s)
	case []int32:
		castNumbers(out, s)
	case []int64:
		castNumbers(out, s)
	case []uint8:
		castNumbers(out, s)
	case []uint16:
		castNumbers(out, s)
	case []uint32:
		castNumbers(out, s)
	case []uint64:
		castNumbers(out, s)
	}
	if err != nil {
		return nil, err
	}
	narrow(out)
	roundHalf(out)
	return out, nil
}

// narrow wraps the elements of a 4-bit or 2-bit array into that type's range.
func narrow(a *onnxio.Array) {
	bits := a.Type.Bits()
	if bits >= 8 || bits == 0 {
		return
	}
	switch d := a.Data.(type) {
	case []int8:
		for i, v := range d {
			d[i] = v << (8 - bits) >> (8 - bits)
		}
	case []uint8:
		for i, v := range d {
			d[i] = v << (8 - bits) >> (8 - bits)
		}
	}
}

// castFloats converts floats: to integers by way of int64, so that the result does not depend on the processor.
func castFloats[T float](out *onnxio.Array, src []T, from onnxio.DataType) error {
	switch dst := out.Data.(type) {
	case []float32:
		for i, v := range src {
			dst[i] = float32(v)
		}
	case []float64:
		for i, v := range src {
			dst[i] = float64(v)
		}
	case []bool:
		for i, v := range src {
			dst[i] = v != 0
		}
	case []string:
		for i, v := range src {
			dst[i] = formatFloat(float64(v), from)
		}
	case []uint64:
		for i, v := range src {
			if v >= 1<<63 {
				dst[i] = uint64(truncate(float64(v)-1<<63)) + 1<<63
			} else {
				dst[i] = uint64(truncate(float64(v)))
			}
		}
	case []int8:
		truncateInto(dst, src)
	case []int16:
		truncateInto(dst, src)
	case []int32:
		truncateInto(dst, src)
	case []int64:
		truncateInto(dst, src)
	case []uint8:
		truncateInto(dst, src)
	case []uint16:
		truncateInto(dst, src)
	case []uint32:
		truncateInto(dst, src)
	}
	return nil
}

func truncateInto[T integer, F float](dst []T, src []F) {
	for i, v := range src {
		dst[i] = T(truncate(float64(v)))
	}
}

// truncate returns v without its fraction; the smallest int64 where v is NaN or out of range.
func truncate(v float64) int64 {
	if v >= -1<<63 && v < 1<<63 {
		return int64(v)
	}
	return math.MinInt64
}

// formatFloat writes a float as ONNX Runtime does: shortest form, NaN and INF by name.
func formatFloat(v float64, t onnxio.DataType) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "INF"
	case math.IsInf(v, -1):
		return "-INF"
	case t == onnxio.Double:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 32)
}

// castNumbers converts integers; narrower integers keep the low bits.
func castNumbers[T integer](out *onnxio.Array, src []T) {
	switch dst := out.Data.(type) {
	case []float32:
		if b, ok := any(src).([]uint8); ok {
			kernel.Dequantize(dst, b, 1, 0, false)
		} else {
			convert(dst, src)
		}
	case []float64:
		convert(dst, src)
	case []int8:
		convert(dst, src)
	case []int16:
		convert(dst, src)
	case []int32:
		convert(dst, src)
	case []int64:
		convert(dst, src)
	case []uint8:
		convert(dst, src)
	case []uint16:
		convert(dst, src)
	case []uint32:
		convert(dst, src)
	case []uint64:
		convert(dst, src)
	case []bool:
		for i, v := range src {
			dst[i] = v != 0
		}
	case []string:
		for i, v := range src {
			dst[i] = fmt.Sprint(v)
		}
	}
}

func convert[R number, T integer](dst []R, src []T) {
	for i, v := range src {
		dst[i] = R(v)
	}
}

// parseStrings reads numbers from strings: decimal, scientific, NaN, INF.
func parseStrings(out *onnxio.Array, src []string) error {
	values := make([]float64, len(src))
	for i, s := range src {
		v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil && !math.IsInf(v, 0) {
			return fmt.Errorf("string %s is not a number", onnxio.Quote(s))
		}
		values[i] = v
	}
	return castFloats(out, values, onnxio.Double)
}
