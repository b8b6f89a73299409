package infer

import (
	"fmt"

	"bq/onnxio"
)

// indices returns the elements of an index input, counted from the end of n where negative.
func indices(a *onnxio.Array, n int) ([]int, error) {
	if a.Type != onnxio.Int64 && a.Type != onnxio.Int32 {
		return nil, typeError(a)
	}
	list := intsOf(a)
	for i, v := range list {
		if v < 0 {
			v += n
		}
		if v < 0 || v >= n {
			return nil, fmt.Errorf("index %d of %d", list[i], n)
		}
		list[i] = v
	}
	return list, nil
}

// bindGather: entries of data along an axis, in the order of indices [q...]: data[:axis] + q + data[axis+1:].
func bindGather(b *binding) runFunc {
	axis := b.int("axis", 0)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) { return one(r.gather(in[0], in[1], axis)) }
}

func (r *run) gather(x, places *onnxio.Array, axis int64) (*onnxio.Array, error) {
	a, err := axisOf(axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	idx, err := indices(places, x.Shape[a])
	if err != nil {
		return nil, err
	}
	shape := append(append(append([]int{}, x.Shape[:a]...), places.Shape...), x.Shape[a+1:]...)
	out, err := r.new(x.Type, shape...)
	if err != nil {
		return nil, err
	}
	outer, inner := product(x.Shape[:a]), product(x.Shape[a+1:])
	for o := range outer {
		for i, v := range idx {
			copyRange(out, (o*len(idx)+i)*inner, x, (o*x.Shape[a]+v)*inner, inner)
		}
	}
	return out, nil
}

// elementIndex returns, for each element of indices, the position in data that it names: its own position with the
// coordinate along axis a replaced (GatherElements, ScatterElements).
func elementIndex(data, idx *onnxio.Array, axis int64) ([]int, error) {
	if len(data.Shape) != len(idx.Shape) {
		return nil, fmt.Errorf("indices %v into %v", idx.Shape, data.Shape)
	}
	a, err := axisOf(axis, len(data.Shape))
	if err != nil {
		return nil, err
	}
	for i, d := range idx.Shape {
		if i != a && d > data.Shape[i] {
			return nil, fmt.Errorf("indices %v into %v", idx.Shape, data.Shape)
		}
	}
	list, err := indices(idx, data.Shape[a])
	if err != nil {
		return nil, err
	}
	strides, own := rowStrides(data.Shape), rowStrides(idx.Shape)
	for i, v := range list {
		at := v * strides[a]
		for d := range own {
			if d != a {
				at += i / own[d] % idx.Shape[d] * strides[d]
			}
		}
		list[i] = at
	}
	return list, nil
}

// bindGatherElements: out[i][j][k] = data[index[i][j][k]][j][k] for axis 0.
func bindGatherElements(b *binding) runFunc {
	axis := b.int("axis", 0)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		idx, err := elementIndex(in[0], in[1], axis)
		if err != nil {
			return nil, err
		}
		return one(r.take(in[0], in[1].Shape, idx))
	}
}

// slabs returns, for each index tuple of idx [..., q], the offset of the slab of data it names, and the slab's
// shape; the first batch dimensions of both belong together.
func slabs(data, idx *onnxio.Array, batch int) (offsets, slab []int, err error) {
	rank := len(idx.Shape)
	if rank < 1 || batch < 0 || batch >= rank || batch > len(data.Shape) || idx.Type != onnxio.Int64 {
		return nil, nil, fmt.Errorf("indices %v %v into %v", idx.Type, idx.Shape, data.Shape)
	}
	q := idx.Shape[rank-1]
	if q+batch > len(data.Shape) || !equalShape(idx.Shape[:batch], data.Shape[:batch]) {
		return nil, nil, fmt.Errorf("indices %v into %v", idx.Shape, data.Shape)
	}
	dims, strides, values := data.Shape[batch:batch+q], rowStrides(data.Shape)[batch:batch+q], idx.Ints()
	offsets = make([]int, product(idx.Shape[:rank-1]))
	each := max(1, product(idx.Shape[batch:rank-1]))
	block := product(data.Shape[batch:])
	for first := 0; first < len(offsets); first += each {
		for i := first; i < first+each; i++ {
			at := first / each * block
			for k, v := range values[i*q : (i+1)*q] {
				n := int64(dims[k])
				if v < 0 {
					v += n
				}
				if uint64(v) >= uint64(n) {
					return nil, nil, fmt.Errorf("index %d of %d", values[i*q+k], n)
				}
				at += int(v) * strides[k]
			}
			offsets[i] = at
		}
	}
	return offsets, data.Shape[batch+q:], nil
}

// bindGatherND: the slabs of data that index tuples name.
func bindGatherND(b *binding) runFunc {
	batch := int(min(max(b.int("batch_dims", 0), -1), 1<<20))
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		offsets, slab, err := slabs(in[0], in[1], batch)
		if err != nil {
			return nil, err
		}
		shape := append(append([]int{}, in[1].Shape[:len(in[1].Shape)-1]...), slab...)
		out, err := r.new(in[0].Type, shape...)
		if err != nil {
			return nil, err
		}
		n := product(slab)
		for i, o := range offsets {
			copyRange(out, i*n, in[0], o, n)
		}
		return []*onnxio.Array{out}, nil
	}
}

// reduction names of the Scatter operators.
var scatterModes = []string{"none", "add", "mul", "max", "min"}

// bindScatterElements: a copy of data with the elements that indices name set to updates, or combined with them.
func bindScatterElements(b *binding) runFunc {
	axis, mode := b.int("axis", 0), b.str("reduction", "none", scatterModes...)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		if !equalShape(in[1].Shape, in[2].Shape) || in[0].Type != in[2].Type {
			return nil, fmt.Errorf("updates %v %v for indices %v", in[2].Type, in[2].Shape, in[1].Shape)
		}
		idx, err := elementIndex(in[0], in[1], axis)
		if err != nil {
			return nil, err
		}
		return one(r.scatter(in[0], in[2], idx, mode))
	}
}

// scatter writes updates[i] to position index[i] of a copy of data.
func (r *run) scatter(data, updates *onnxio.Array, index []int, mode string) (*onnxio.Array, error) {
	out, err := r.blank(data.Type, data.Shape...)
	if err != nil {
		return nil, err
	}
	copyRange(out, 0, data, 0, data.Len())
	if mode == "none" {
		put(out, updates, index)
		return out, nil
	}
	switch d := out.Data.(type) {
	case []float32:
		combine(d, updates.Data.([]float32), index, mode)
	case []float64:
		combine(d, updates.Data.([]float64), index, mode)
	case []int8:
		combine(d, updates.Data.([]int8), index, mode)
	case []int16:
		combine(d, updates.Data.([]int16), index, mode)
	case []int32:
		combine(d, updates.Data.([]int32), index, mode)
	case []int64:
		combine(d, updates.Data.([]int64), index, mode)
	case []uint8:
		combine(d, updates.Data.([]uint8), index, mode)
	default:
		return nil, typeError(data)
	}
	return out, nil
}

func combine[T number](dst, src []T, index []int, mode string) {
	for i, at := range index {
		switch mode {
		case "add":
			dst[at] += src[i]
		case "mul":
			dst[at] *= src[i]
		case "max":
			dst[at] = max(dst[at], src[i])
		case "min":
			dst[at] = min(dst[at], src[i])
		}
	}
}

// bindScatterND: a copy of data with the slabs that index tuples name set to updates, or combined with them.
func bindScatterND(b *binding) runFunc {
	mode := b.str("reduction", "none", scatterModes...)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		offsets, slab, err := slabs(in[0], in[1], 0)
		if err != nil {
			return nil, err
		}
		want := append(append([]int{}, in[1].Shape[:len(in[1].Shape)-1]...), slab...)
		if !equalShape(in[2].Shape, want) || in[2].Type != in[0].Type {
			return nil, fmt.Errorf("updates %v %v, want %v", in[2].Type, in[2].Shape, want)
		}
		n := product(slab)
		if n == 1 {
			return one(r.scatter(in[0], in[2], offsets, mode))
		}
		if mode == "none" {
			return one(r.scatterSlabs(in[0], in[2], offsets, n))
		}
		index := make([]int, 0, len(offsets)*n)
		for _, o := range offsets {
			for k := range n {
				index = append(index, o+k)
			}
		}
		return one(r.scatter(in[0], in[2], index, mode))
	}
}

// scatterSlabs writes slab i of updates, of n elements, to position offsets[i] of a copy of data.
func (r *run) scatterSlabs(data, updates *onnxio.Array, offsets []int, n int) (*onnxio.Array, error) {
	out, err := r.blank(data.Type, data.Shape...)
	if err != nil {
		return nil, err
	}
	copyRange(out, 0, data, 0, data.Len())
	for i, o := range offsets {
		copyRange(out, o, updates, i*n, n)
	}
	return out, nil
}

// bindOneHot: a dimension of size depth with the on value at the index and the off value elsewhere; indices out of
// range give only off values.
func bindOneHot(b *binding) runFunc {
	axis := b.int("axis", -1)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		idx, err := r.cast(in[0], onnxio.Int64)
		if err != nil {
			return nil, err
		}
		d, err := scalarOr(in[1], 0)
		if err != nil {
			return nil, err
		}
		if !(d >= 0 && d < maxValueElements) || in[2].Len() != 2 {
			return nil, fmt.Errorf("depth %v, values %v", d, in[2].Shape)
		}
		a, err := axisOf(axis, len(idx.Shape)+1)
		if err != nil {
			return nil, err
		}
		depth, inner := int(d), product(idx.Shape[a:])
		shape := append(append(append([]int{}, idx.Shape[:a]...), depth), idx.Shape[a:]...)
		out, err := r.new(in[2].Type, shape...)
		if err != nil || out.Len() == 0 {
			return one(out, err)
		}
		fillFrom(out, in[2])
		for i, v := range idx.Ints() {
			if v < 0 {
				v += int64(depth)
			}
			if v >= 0 && v < int64(depth) {
				copyRange(out, (i/inner*depth+int(v))*inner+i%inner, in[2], 1, 1)
			}
		}
		return []*onnxio.Array{out}, nil
	}
}

// bindNonZero: the coordinates [rank, count] of the elements that are not zero.
func bindNonZero(*binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, err := r.cast(in[0], onnxio.Bool)
		if err != nil {
			return nil, err
		}
		var at []int
		for i, v := range x.Data.([]bool) {
			if v {
				at = append(at, i)
			}
		}
		rank := len(x.Shape)
		out, err := r.new(onnxio.Int64, rank, len(at))
		if err != nil {
			return nil, err
		}
		for d, s := range rowStrides(x.Shape) {
			for i, p := range at {
				out.Data.([]int64)[d*len(at)+i] = int64(p / s % x.Shape[d])
			}
		}
		return []*onnxio.Array{out}, nil
	}
}
