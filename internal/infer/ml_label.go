package infer

import (
	"fmt"
	"math"

	"bq/onnxio"
)

// labelTable is one side of LabelEncoder: an attribute tensor or one of three lists.
func (b *binding) labelTable(side string) *onnxio.Array {
	if b.has(side + "_tensor") {
		return b.tensor(side + "_tensor")
	}
	switch {
	case b.has(side + "_strings"):
		s := b.strs(side + "_strings")
		return &onnxio.Array{Type: onnxio.String, Shape: []int{len(s)}, Data: s}
	case b.has(side + "_floats"):
		f := b.floats(side + "_floats")
		return onnxio.Floats(f, len(f))
	case b.has(side + "_int64s"):
		a := b.attr(side+"_int64s", onnxio.AttrInts)
		if a != nil {
			return onnxio.Int64s(a.Ints, len(a.Ints))
		}
	}
	b.malformed("no %s", side)
	return nil
}

// labelDefault returns what stands for unknown keys, in the type of the values.
func (b *binding) labelDefault(values *onnxio.Array) *onnxio.Array {
	word, number, real := b.str("default_string", "_Unused"), b.int("default_int64", -1), b.float("default_float", float32(math.Copysign(0, -1)))
	if b.has("default_tensor") {
		return b.tensor("default_tensor")
	}
	switch values.Type {
	case onnxio.String:
		return &onnxio.Array{Type: onnxio.String, Shape: []int{1}, Data: []string{word}}
	case onnxio.Float, onnxio.Double:
		v, _ := (&run{limit: DefaultMaxBytes}).cast(onnxio.Floats([]float32{real}, 1), values.Type)
		return v
	}
	v, _ := (&run{limit: DefaultMaxBytes}).cast(onnxio.Int64s([]int64{number}, 1), values.Type)
	return v
}

// labelMap is a map from keys to values, both in lists, with a value for all other keys.
type labelMap struct {
	keys, values, other *onnxio.Array
	place               map[any]int // of a key in the lists, the first where it stands twice
}

func newLabelMap(keys, values, other *onnxio.Array) *labelMap {
	z := &labelMap{keys, values, other, map[any]int{}}
	eachKey(keys, func(i int, k any) {
		if _, seen := z.place[k]; !seen {
			z.place[k] = i
		}
	})
	return z
}

// run replaces every element that is a key by the value at its place.
func (z *labelMap) run(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
	if in[0].Type != z.keys.Type {
		return nil, typeError(in[0])
	}
	n := z.values.Len()
	table, err := r.concat([]*onnxio.Array{z.values.Reshaped(n), z.other.Reshaped(1)}, 0)
	if err != nil {
		return nil, err
	}
	index := make([]int, in[0].Len())
	eachKey(in[0], func(i int, k any) {
		var ok bool
		if index[i], ok = z.place[k]; !ok {
			index[i] = n
		}
	})
	return one(r.take(table, in[0].Shape, index))
}

// bindLabelEncoder: every element that is a key replaced by the value at its place; NaN equals NaN. Version 1 has one
// list of strings and maps them to their places, or places to them, by the type of the input.
func bindLabelEncoder(b *binding) runFunc {
	if b.version < 2 {
		return b.classEncoder()
	}
	keys, values := b.labelTable("keys"), b.labelTable("values")
	if keys == nil || values == nil || b.format != nil {
		return nil
	}
	other := b.labelDefault(values)
	if keys.Len() != values.Len() || other == nil || other.Len() != 1 || other.Type != values.Type {
		b.malformed("%d keys, %d values, default %v", keys.Len(), values.Len(), other)
		return nil
	}
	return newLabelMap(keys, values, other).run
}

// classEncoder is LabelEncoder of version 1.
func (b *binding) classEncoder() runFunc {
	words := b.strs("classes_strings")
	names := &onnxio.Array{Type: onnxio.String, Shape: []int{len(words)}, Data: words}
	places := onnxio.NewArray(onnxio.Int64, len(words))
	for i := range words {
		places.Data.([]int64)[i] = int64(i)
	}
	to, from := newLabelMap(names, places, b.labelDefault(places)), newLabelMap(places, names, b.labelDefault(names))
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		if in[0].Type == onnxio.String {
			return to.run(r, in)
		}
		return from.run(r, in)
	}
}

// eachKey calls f with every element in a form that can be compared: strings, integers as int64, floats as float64, all
// NaNs as one value.
func eachKey(v *onnxio.Array, f func(i int, k any)) {
	real := func(i int, x float64) {
		if x != x {
			f(i, "NaN")
			return
		}
		f(i, x)
	}
	switch d := v.Data.(type) {
	case []string:
		for i, s := range d {
			f(i, s)
		}
	case []float32:
		for i, x := range d {
			real(i, float64(x))
		}
	case []float64:
		for i, x := range d {
			real(i, x)
		}
	default:
		for i, x := range v.Ints() {
			f(i, x)
		}
	}
}

// bindZipMap: for each row of X [N, C] or [C] a map from the labels to the row's numbers. A map is no value of this
// engine: the numbers pass as they are, in the order of the labels, which stand in the attribute.
func bindZipMap(b *binding) runFunc {
	n := len(b.strs("classlabels_strings"))
	if b.has("classlabels_int64s") {
		n = len(b.ints("classlabels_int64s"))
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		_, c, err := rowsOf(in[0])
		if err != nil || c != n {
			return nil, fmt.Errorf("numbers of shape %v for %d labels", in[0].Shape, n)
		}
		return one(r.cast(in[0], onnxio.Float))
	}
}
