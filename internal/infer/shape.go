package infer

import (
	"fmt"

	"bq/onnxio"
)

// bindConstant: the tensor of one of the seven attributes.
func bindConstant(b *binding) runFunc {
	b.refuseSet("sparse_value")
	v := b.tensor("value")
	if b.has("value_float") {
		v = onnxio.Floats([]float32{b.float("value_float", 0)})
	}
	if b.has("value_int") {
		v = onnxio.Int64s([]int64{b.int("value_int", 0)})
	}
	if b.has("value_floats") {
		f := b.floats("value_floats")
		v = onnxio.Floats(f, len(f))
	}
	if a := b.attr("value_ints", onnxio.AttrInts); a != nil {
		v = onnxio.Int64s(a.Ints, len(a.Ints))
	}
	if b.has("value_string") {
		v = &onnxio.Array{Type: onnxio.String, Shape: []int{}, Data: []string{b.str("value_string", "")}}
	}
	if b.has("value_strings") {
		s := b.strs("value_strings")
		v = &onnxio.Array{Type: onnxio.String, Shape: []int{len(s)}, Data: s}
	}
	if v == nil && b.unsupported == "" {
		b.malformed("no value")
	}
	return func(*run, []*onnxio.Array) ([]*onnxio.Array, error) { return []*onnxio.Array{v}, nil }
}

// bindIdentity: the input itself.
func bindIdentity(*binding) runFunc {
	return func(_ *run, in []*onnxio.Array) ([]*onnxio.Array, error) { return in[:1], nil }
}

// bindReshape: the input with another shape; 0 keeps a dimension (unless allowzero), -1 takes what is left.
func bindReshape(b *binding) runFunc {
	allowZero := b.bool("allowzero", false)
	return func(_ *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, want := in[0], in[1].Ints()
		if in[1].Type != onnxio.Int64 || len(in[1].Shape) != 1 {
			return nil, fmt.Errorf("shape input: %v %v, want a list of int64", in[1].Type, in[1].Shape)
		}
		shape, open, n := make([]int, len(want)), -1, 1
		for i, d := range want {
			switch {
			case d == -1 && open < 0:
				open, d = i, 1
			case d == 0 && !allowZero:
				if i >= len(x.Shape) {
					return nil, fmt.Errorf("reshaping %v to %v: dimension %d is not there to keep", x.Shape, want, i)
				}
				d = int64(x.Shape[i])
			}
			if d < 0 || d > maxValueElements || d > 0 && n > maxValueElements/int(d) {
				return nil, fmt.Errorf("reshaping %v to %v", x.Shape, want)
			}
			shape[i] = int(d)
			n *= int(d)
		}
		if open >= 0 && n > 0 && x.Len()%n == 0 {
			shape[open] = x.Len() / n
			n = x.Len()
		} else if open >= 0 && n == 0 && x.Len() == 0 {
			shape[open] = 0
		}
		if n != x.Len() {
			return nil, fmt.Errorf("reshaping %v to %v", x.Shape, want)
		}
		return []*onnxio.Array{x.Reshaped(shape...)}, nil
	}
}

// bindFlatten: [d0 * ... * d(axis-1), the rest].
func bindFlatten(b *binding) runFunc {
	axis := b.int("axis", 1)
	return func(_ *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		a, err := axisOrEnd(axis, len(in[0].Shape))
		if err != nil {
			return nil, err
		}
		s := in[0].Shape
		return []*onnxio.Array{in[0].Reshaped(product(s[:a]), product(s[a:]))}, nil
	}
}

// axesOf returns the axes of a node, from its second input or else its attribute.
func axesOf(in []*onnxio.Array, attr []int) []int {
	if len(in) > 1 && in[1] != nil {
		return intsOf(in[1])
	}
	return attr
}

// bindSqueeze: without the named dimensions of size 1, or without all of them.
func bindSqueeze(b *binding) runFunc {
	attr := b.axesAttr()
	return func(_ *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, axes := in[0], axesOf(in, attr)
		drop := make([]bool, len(x.Shape))
		for _, v := range axes {
			a, err := axisOf(int64(v), len(x.Shape))
			if err != nil {
				return nil, err
			}
			if x.Shape[a] != 1 {
				return nil, fmt.Errorf("squeezing dimension %d of %v", a, x.Shape)
			}
			drop[a] = true
		}
		var shape []int
		for i, d := range x.Shape {
			if !drop[i] && (axes != nil || d != 1) {
				shape = append(shape, d)
			}
		}
		return []*onnxio.Array{x.Reshaped(shape...)}, nil
	}
}

// axesAttr reads attribute axes where this version has it as an attribute (up to 12).
func (b *binding) axesAttr() []int {
	if b.version >= 13 {
		return nil
	}
	if b.given(1) {
		b.malformed("axes are an attribute before version 13, not an input")
	}
	return b.ints("axes")
}

// bindUnsqueeze: with dimensions of size 1 inserted so that they have the named numbers in the result.
func bindUnsqueeze(b *binding) runFunc {
	attr := b.axesAttr()
	return func(_ *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, axes := in[0], axesOf(in, attr)
		rank := len(x.Shape) + len(axes)
		shape := make([]int, rank)
		for _, v := range axes {
			a, err := axisOf(int64(v), rank)
			if err != nil {
				return nil, err
			}
			if shape[a] != 0 {
				return nil, fmt.Errorf("axes %v name a dimension twice", axes)
			}
			shape[a] = 1
		}
		next := 0
		for i := range shape {
			if shape[i] == 0 {
				shape[i] = x.Shape[next]
				next++
			}
		}
		return []*onnxio.Array{x.Reshaped(shape...)}, nil
	}
}

// bindShape: the dimensions from start to end as int64.
func bindShape(b *binding) runFunc {
	start, end, open := b.int("start", 0), b.int("end", 0), !b.has("end")
	return func(_ *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		rank := int64(len(in[0].Shape))
		bound := func(v int64) int64 {
			if v < 0 {
				v += rank
			}
			return min(max(v, 0), rank)
		}
		lo, hi := bound(start), rank
		if !open {
			hi = bound(end)
		}
		dims := []int64{}
		for i := lo; i < hi; i++ {
			dims = append(dims, int64(in[0].Shape[i]))
		}
		return []*onnxio.Array{onnxio.Int64s(dims, len(dims))}, nil
	}
}

// bindSize: the number of elements.
func bindSize(*binding) runFunc {
	return func(_ *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		return []*onnxio.Array{onnxio.Int64s([]int64{int64(in[0].Len())})}, nil
	}
}

// bindConstantOfShape: an array of the input's shape, filled with attribute value (float32 zero).
func bindConstantOfShape(b *binding) runFunc {
	v := b.tensor("value")
	if v == nil {
		v = onnxio.Floats([]float32{0}, 1)
	}
	if v.Len() != 1 {
		b.malformed("attribute \"value\": %d elements, want one", v.Len())
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		shape, err := shapeFrom(in[0])
		if err != nil {
			return nil, err
		}
		out, err := r.new(v.Type, shape...)
		if err != nil {
			return nil, err
		}
		fillFrom(out, v)
		return []*onnxio.Array{out}, nil
	}
}

// shapeFrom returns the shape that a list of int64 names.
func shapeFrom(a *onnxio.Array) ([]int, error) {
	if a.Type != onnxio.Int64 || len(a.Shape) > 1 {
		return nil, fmt.Errorf("shape input: %v %v, want a list of int64", a.Type, a.Shape)
	}
	shape := intsOf(a)
	for _, d := range shape {
		if d < 0 {
			return nil, fmt.Errorf("shape %v", shape)
		}
	}
	return shape, nil
}

// bindExpand: the input broadcast with a shape in both directions.
func bindExpand(*binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		want, err := shapeFrom(in[1])
		if err != nil {
			return nil, err
		}
		shape, err := broadcastShape(in[0].Shape, want)
		if err != nil {
			return nil, err
		}
		return one(r.expand(in[0], shape))
	}
}
