package infer

import (
	"fmt"

	"bq/onnxio"
)

// A value that is no tensor travels as an Array of type Undefined: a sequence with its elements as Data, an optional
// without value with none{}; an optional with a value is that value. Only operators whose table row says so see them.

// none is the Data of an optional that holds nothing.
type none struct{}

// newSequence returns the sequence of these values.
func newSequence(values []*onnxio.Array) *onnxio.Array {
	return &onnxio.Array{Type: onnxio.Undefined, Shape: []int{len(values)}, Data: values}
}

// nothing returns an optional without value.
func nothing() *onnxio.Array {
	return &onnxio.Array{Type: onnxio.Undefined, Shape: []int{0}, Data: none{}}
}

// isTensor reports whether v is a tensor: not a sequence and not an empty optional.
func isTensor(v *onnxio.Array) bool { return dataLen(v) >= 0 }

// elements returns the values of a sequence.
func elements(v *onnxio.Array) ([]*onnxio.Array, error) {
	list, ok := v.Data.([]*onnxio.Array)
	if !ok {
		return nil, fmt.Errorf("%v where a sequence is wanted", v.Type)
	}
	return list, nil
}

// place returns a position in a sequence, counted from its end where negative; position n, behind the last element, is
// allowed for end = 1.
func place(at *onnxio.Array, n, end int) (int, error) {
	list := at.Ints()
	if len(list) != 1 || at.Type != onnxio.Int64 && at.Type != onnxio.Int32 {
		return 0, fmt.Errorf("position of %v %v, want one integer", at.Type, at.Shape)
	}
	i := list[0]
	if i < -int64(n) || i >= int64(n+end) {
		return 0, fmt.Errorf("position %d in a sequence of %d", i, n)
	}
	if i < 0 {
		i += int64(n)
	}
	return int(i), nil
}

// sequenceOp makes an operator of a function of a sequence, its first input, and the other inputs.
func sequenceOp(f func(list, in []*onnxio.Array) (*onnxio.Array, error)) func(*binding) runFunc {
	return func(*binding) runFunc {
		return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
			list, err := elements(in[0])
			if err != nil {
				return nil, err
			}
			return one(f(list, in[1:]))
		}
	}
}

// bindSequenceConstruct: the inputs as a sequence.
func bindSequenceConstruct(*binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		for _, v := range in {
			if v.Type != in[0].Type {
				return nil, fmt.Errorf("a sequence of %v and %v", in[0].Type, v.Type)
			}
		}
		return []*onnxio.Array{newSequence(append([]*onnxio.Array{}, in...))}, nil
	}
}

// bindSequenceEmpty: a sequence of nothing.
func bindSequenceEmpty(b *binding) runFunc {
	b.ignore("dtype")
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		return []*onnxio.Array{newSequence(nil)}, nil
	}
}

func sequenceAt(list, in []*onnxio.Array) (*onnxio.Array, error) {
	i, err := place(in[0], len(list), 0)
	if err != nil {
		return nil, err
	}
	return list[i], nil
}

// sequenceErase: the sequence without the element at the position, by default the last.
func sequenceErase(list, in []*onnxio.Array) (*onnxio.Array, error) {
	i := len(list) - 1
	if in[0] != nil {
		var err error
		if i, err = place(in[0], len(list), 0); err != nil {
			return nil, err
		}
	}
	if i < 0 {
		return nil, fmt.Errorf("erasing from an empty sequence")
	}
	return newSequence(append(append([]*onnxio.Array{}, list[:i]...), list[i+1:]...)), nil
}

// sequenceInsert: the sequence with a value before the position, by default at the end.
func sequenceInsert(list, in []*onnxio.Array) (*onnxio.Array, error) {
	i := len(list)
	if in[1] != nil {
		var err error
		if i, err = place(in[1], len(list), 1); err != nil {
			return nil, err
		}
	}
	if !isTensor(in[0]) || len(list) > 0 && list[0].Type != in[0].Type {
		return nil, fmt.Errorf("inserting %v into a sequence of other values", in[0].Type)
	}
	if len(list) >= maxSequence {
		return nil, fmt.Errorf("a sequence of more than %d values", maxSequence)
	}
	out := append(append([]*onnxio.Array{}, list[:i]...), in[0])
	return newSequence(append(out, list[i:]...)), nil
}

// maxSequence bounds the values of one sequence: inserting copies the list.
const maxSequence = 1 << 16

func sequenceLength(list, _ []*onnxio.Array) (*onnxio.Array, error) {
	return onnxio.Int64s([]int64{int64(len(list))}), nil
}

// bindSplitToSequence: the input cut along an axis into pieces of the given size or sizes, by default of 1; pieces of
// size 1 lose the axis where keepdims is 0 and no split is given.
func bindSplitToSequence(b *binding) runFunc {
	axis, keep := b.int("axis", 0), b.bool("keepdims", true)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		a, err := axisOf(axis, len(x.Shape))
		if err != nil {
			return nil, err
		}
		sizes, err := pieceSizes(in[1], x.Shape[a])
		if err != nil {
			return nil, err
		}
		parts, err := r.split(x, a, sizes, len(sizes))
		if err != nil {
			return nil, err
		}
		if in[1] == nil && !keep {
			for i, p := range parts {
				parts[i] = p.Reshaped(append(append([]int{}, p.Shape[:a]...), p.Shape[a+1:]...)...)
			}
		}
		return []*onnxio.Array{newSequence(parts)}, nil
	}
}

// pieceSizes returns the sizes of the pieces of n elements: a scalar split is the size of all but the last.
func pieceSizes(split *onnxio.Array, n int) ([]int, error) {
	size := 1
	if split != nil {
		list := intsOf(split)
		if len(split.Shape) > 0 || len(list) != 1 {
			return list, nil
		}
		size = list[0]
	}
	if size < 1 || n/size > maxSequence {
		return nil, fmt.Errorf("splitting %d elements into pieces of %d", n, size)
	}
	var sizes []int
	for at := 0; at < n; at += size {
		sizes = append(sizes, min(size, n-at))
	}
	return sizes, nil
}

// bindConcatFromSequence: the values of a sequence joined along an axis, or along a new one.
func bindConcatFromSequence(b *binding) runFunc {
	axis, fresh := b.int("axis", 0), b.bool("new_axis", false)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		list, err := elements(in[0])
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("joining a sequence of no values")
		}
		if !fresh {
			return one(r.concat(list, axis))
		}
		return one(r.stackAlong(list, axis))
	}
}

// bindSequenceMap: a graph run on every element of a sequence, and on the elements of the other sequences at the same
// place or the other inputs as they are.
func bindSequenceMap(b *binding) runFunc {
	g := b.subgraph("body")
	if g != nil && (len(g.inputs) != len(b.node.in) || len(g.outputs) != len(b.node.Outputs)) {
		b.malformed("body with %d inputs and %d outputs, want %d and %d",
			len(g.inputs), len(g.outputs), len(b.node.in), len(b.node.Outputs))
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		first, err := elements(in[0])
		if err != nil {
			return nil, err
		}
		outs := make([][]*onnxio.Array, len(g.outputs))
		for i := range first {
			args := make([]*onnxio.Array, len(in))
			for k, v := range in {
				args[k] = v
				if list, ok := v.Data.([]*onnxio.Array); ok && len(list) != len(first) {
					return nil, fmt.Errorf("sequences of %d and %d values", len(first), len(list))
				} else if ok {
					args[k] = list[i]
				}
			}
			results, err := r.graph(g, r.frame, args)
			if err != nil {
				return nil, err
			}
			for k, v := range results {
				outs[k] = append(outs[k], v)
			}
		}
		list := make([]*onnxio.Array, len(outs))
		for k, values := range outs {
			list[k] = newSequence(values)
		}
		return list, nil
	}
}

// bindOptional: the input as an optional, or one without value.
func bindOptional(b *binding) runFunc {
	b.ignore("type")
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		if in[0] == nil {
			return []*onnxio.Array{nothing()}, nil
		}
		return in[:1], nil
	}
}

// isNothing reports whether v is not given or an optional without value.
func isNothing(v *onnxio.Array) bool {
	if v == nil {
		return true
	}
	_, empty := v.Data.(none)
	return empty
}

// bindOptionalHasElement: whether the input is given and holds a value.
func bindOptionalHasElement(*binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		return []*onnxio.Array{{Type: onnxio.Bool, Shape: []int{}, Data: []bool{!isNothing(in[0])}}}, nil
	}
}

// bindOptionalGetElement: the value of an optional.
func bindOptionalGetElement(*binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		if isNothing(in[0]) {
			return nil, fmt.Errorf("getting the value of an empty optional")
		}
		return in[:1], nil
	}
}
