package dataset

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/x448/float16"

	"bq/onnxio"
)

// An array's elements are converted to the input's type only as follows; anything else is an error that names both.
//
//	float   -> float           widened exactly, narrowed by rounding to nearest, ties to even
//	integer -> float           rounded likewise; pixels are not scaled
//	integer -> integer, bool   where every value fits; the first that does not is named
//	bool    -> any of these    as 0 and 1
//	float   -> integer, bool   never

// checkConversion reports whether elements of h can be fed to an input of type t, values aside.
func checkConversion(h *npyHeader, t onnxio.DataType) error {
	if !t.HasArray() || t.IsSmallFloat() || t == onnxio.String {
		return fmt.Errorf("an input of type %v cannot be fed from files", t)
	}
	if h.kind == 'f' && !t.IsFloat() {
		return fmt.Errorf("a %s array for an input of type %v", h.dtype(), t)
	}
	return nil
}

// decode converts the elements of h in raw, in C order, to an array of type t and the given shape, of which there are
// just as many.
func decode(h *npyHeader, raw []byte, t onnxio.DataType, shape []int) (*onnxio.Array, error) {
	if err := checkConversion(h, t); err != nil {
		return nil, err
	}
	a := onnxio.NewArray(t, shape...)
	if t.IsFloat() {
		decodeFloats(h, raw, a)
		return a, nil
	}
	return a, decodeInts(h, raw, a)
}

func decodeFloats(h *npyHeader, raw []byte, a *onnxio.Array) {
	switch dst := a.Data.(type) {
	case []float64:
		for i := range dst {
			dst[i] = h.float(raw, i)
		}
	case []float32:
		if h.kind == 'f' && h.size == 4 && !h.big && a.Type == onnxio.Float {
			for i := range dst {
				dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
			}
			return
		}
		for i := range dst {
			dst[i] = onnxio.Round(a.Type, float32(h.float(raw, i)))
		}
	}
}

// float returns element i as float64. 64-bit integers beyond 2^53 are rounded to nearest, ties to even.
func (h *npyHeader) float(raw []byte, i int) float64 {
	bits := h.bits(raw, i)
	switch {
	case h.kind == 'u':
		return float64(bits)
	case h.kind != 'f':
		return float64(h.signed(bits))
	case h.size == 8:
		return math.Float64frombits(bits)
	case h.size == 4:
		return float64(math.Float32frombits(uint32(bits)))
	}
	return float64(float16.Frombits(uint16(bits)).Float32())
}

// bits returns the bytes of element i as an unsigned number.
func (h *npyHeader) bits(raw []byte, i int) uint64 {
	b := raw[i*h.size : (i+1)*h.size]
	var order binary.ByteOrder = binary.LittleEndian
	if h.big {
		order = binary.BigEndian
	}
	switch h.size {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(order.Uint16(b))
	case 4:
		return uint64(order.Uint32(b))
	}
	return order.Uint64(b)
}

// signed extends the sign of an element's bits; a bool is 1 where any bit is set.
func (h *npyHeader) signed(bits uint64) int64 {
	if h.kind == 'b' {
		return int64(min(bits, 1))
	}
	shift := 64 - 8*h.size
	return int64(bits<<shift) >> shift
}

// intRange returns the least and the largest value of an integer type or bool.
func intRange(t onnxio.DataType) (least int64, most uint64) {
	switch t {
	case onnxio.Bool:
		return 0, 1
	case onnxio.Int8, onnxio.Int16, onnxio.Int32, onnxio.Int64, onnxio.Int4, onnxio.Int2:
		half := uint64(1) << (t.Bits() - 1)
		return -int64(half-1) - 1, half - 1
	}
	return 0, math.MaxUint64 >> (64 - t.Bits())
}

func decodeInts(h *npyHeader, raw []byte, a *onnxio.Array) error {
	least, most := intRange(a.Type)
	n := a.Len()
	for i := range n {
		bits := h.bits(raw, i)
		if h.kind != 'u' {
			v := h.signed(bits)
			if v < least || v > 0 && uint64(v) > most {
				return fmt.Errorf("value %d does not fit an input of type %v", v, a.Type)
			}
			setInt(a.Data, i, v)
			continue
		}
		if bits > most {
			return fmt.Errorf("value %d does not fit an input of type %v", bits, a.Type)
		}
		setInt(a.Data, i, int64(bits))
	}
	return nil
}

// setInt sets element i of an integer or bool slice; the value is known to fit. Uint64 values above the largest
// int64 come as the negative number of the same bits.
func setInt(data any, i int, v int64) {
	switch s := data.(type) {
	case []int8:
		s[i] = int8(v)
	case []int16:
		s[i] = int16(v)
	case []int32:
		s[i] = int32(v)
	case []int64:
		s[i] = v
	case []uint8:
		s[i] = uint8(v)
	case []uint16:
		s[i] = uint16(v)
	case []uint32:
		s[i] = uint32(v)
	case []uint64:
		s[i] = uint64(v)
	case []bool:
		s[i] = v != 0
	}
}

// fillValue returns an array of shape whose elements are values, or the only value in all of them.
func fillValue(t onnxio.DataType, values []float64, shape []int) (*onnxio.Array, error) {
	if !t.HasArray() || t == onnxio.String {
		return nil, fmt.Errorf("an input of type %v cannot be given as numbers", t)
	}
	a := onnxio.NewArray(t, shape...)
	n := a.Len()
	if len(values) != 1 && len(values) != n {
		return nil, fmt.Errorf("%d values for shape %v, want 1 or %d", len(values), shape, n)
	}
	for i := range n {
		v := values[i%len(values)]
		switch s := a.Data.(type) {
		case []float32:
			s[i] = onnxio.Round(t, float32(v))
		case []float64:
			s[i] = v
		default:
			least, most := intRange(t)
			if v != math.Trunc(v) || v < float64(least) || v > float64(most) || math.Abs(v) > 1<<53 {
				return nil, fmt.Errorf("value %v does not fit an input of type %v", v, t)
			}
			setInt(a.Data, i, int64(v))
		}
	}
	return a, nil
}
