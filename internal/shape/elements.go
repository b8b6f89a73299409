package shape

import (
	"math"

	"bq/onnxio"
)

// elementsOf returns the elements of an array: whole numbers as ints, those of floats of 16 bits and more as floats too.
func elementsOf(a *onnxio.Array) (ints []Dim, floats []float64) {
	switch d := a.Data.(type) {
	case []float32:
		if a.Type.IsSmallFloat() {
			return nil, nil
		}
		floats = make([]float64, len(d))
		for i, v := range d {
			floats[i] = float64(v)
		}
		return wholeNumbers(floats), floats
	case []float64:
		return wholeNumbers(d), d
	case []string:
		return nil, nil
	}
	list := a.Ints()
	ints = make([]Dim, len(list))
	for i, v := range list {
		if a.Type == onnxio.Uint64 && v < 0 {
			v = math.MaxInt64
		}
		ints[i] = Dim{c: v} // beyond maxSize too: the open end of a Slice
	}
	return ints, nil
}

// wholeNumbers returns floats as ints where all are whole numbers, else nil.
func wholeNumbers(floats []float64) []Dim {
	ints := make([]Dim, len(floats))
	for i, v := range floats {
		if v != math.Trunc(v) || math.Abs(v) > maxSize {
			return nil
		}
		ints[i] = Dim{c: int64(v)}
	}
	return ints
}

// isInteger reports whether t is an integer type or bool.
func isInteger(t onnxio.DataType) bool {
	switch t {
	case onnxio.Int8, onnxio.Int16, onnxio.Int32, onnxio.Int64, onnxio.Uint8, onnxio.Uint16, onnxio.Uint32, onnxio.Uint64,
		onnxio.Bool, onnxio.Int4, onnxio.Uint4, onnxio.Int2, onnxio.Uint2:
		return true
	}
	return false
}

// follows reports whether elements of type t are followed through arithmetic: those that sizes are computed in.
func follows(t onnxio.DataType) bool {
	return t == onnxio.Int64 || t == onnxio.Int32 || t == onnxio.Bool || t == onnxio.Float || t == onnxio.Double
}

// rounded rounds v to type t.
func rounded(t onnxio.DataType, v float64) float64 {
	if t == onnxio.Float {
		return float64(float32(v))
	}
	return v
}

// followed returns the number of elements of a shape that is known and small enough to follow its elements.
func followed(shape []Dim) (int, bool) {
	n, ok := product(shape).Known()
	return int(n), ok && n <= maxElements
}

// withInts returns a tensor with elements. Elements that are not followed become unknowns of their own, and integers
// beyond the type's range wrap to what nobody follows; where nothing is left to follow the elements are dropped.
func (c *call) withInts(t onnxio.DataType, shape []Dim, ints []Dim) *value {
	v := &value{Info: tensorOf(t, shape...)}
	if n, ok := followed(shape); !ok || n != len(ints) || !follows(t) {
		return v
	}
	v.ints = make([]Dim, len(ints))
	for i, d := range ints {
		if n, ok := d.Known(); d.isLost() || ok && t == onnxio.Int32 && int64(int32(n)) != n {
			d = c.element()
		}
		v.ints[i] = d
	}
	if t == onnxio.Float || t == onnxio.Double {
		v.floats = knownFloats(v.ints)
	}
	return v
}

// withFloats returns a tensor of floats with elements.
func (c *call) withFloats(t onnxio.DataType, shape []Dim, floats []float64) *value {
	v := &value{Info: tensorOf(t, shape...)}
	if n, ok := followed(shape); !ok || n != len(floats) || !follows(t) {
		return v
	}
	v.floats = make([]float64, len(floats))
	for i, f := range floats {
		v.floats[i] = rounded(t, f)
	}
	v.ints = wholeNumbers(v.floats)
	return v
}

// knownFloats returns ints as floats where all are numbers, else nil.
func knownFloats(ints []Dim) []float64 {
	out := make([]float64, len(ints))
	for i, d := range ints {
		n, ok := d.Known()
		if !ok {
			return nil
		}
		out[i] = float64(n)
	}
	return out
}

// reshaped returns v with another shape of as many elements.
func (v *value) reshaped(shape []Dim) *value {
	out := &value{Info: tensorOf(v.Type, shape...)}
	if n, ok := followed(shape); ok && n == len(v.ints) {
		out.ints = v.ints
	}
	if n, ok := followed(shape); ok && n == len(v.floats) {
		out.floats = v.floats
	}
	return out
}

// picked returns a tensor of the elements of v at the given places, in that order.
func (v *value) picked(shape []Dim, at []int) *value {
	out := &value{Info: tensorOf(v.Type, shape...)}
	if v.ints != nil {
		out.ints = make([]Dim, len(at))
		for i, k := range at {
			out.ints[i] = v.ints[k]
		}
	}
	if v.floats != nil {
		out.floats = make([]float64, len(at))
		for i, k := range at {
			out.floats[i] = v.floats[k]
		}
	}
	return out
}

// hasElements reports whether any elements of v are followed.
func (v *value) hasElements() bool { return v.ints != nil || v.floats != nil }
