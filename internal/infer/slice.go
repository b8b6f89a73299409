package infer

import (
	"fmt"

	"bq/onnxio"
)

// bindSlice: from start to end in steps along the named axes; attributes up to version 9, inputs from 10 on.
func bindSlice(b *binding) runFunc {
	var starts, ends, axes []int
	if b.version < 10 {
		starts, ends, axes = b.ints("starts"), b.ints("ends"), b.ints("axes")
		if b.given(1) {
			b.malformed("starts and ends are attributes before version 10")
		}
	} else if !b.given(2) {
		b.malformed("inputs starts and ends are missing")
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		starts, ends, axes := starts, ends, axes
		var steps []int
		for i, list := range []*[]int{&starts, &ends, &axes, &steps} {
			if in[i+1] != nil {
				if !isInteger(in[i+1].Type) {
					return nil, typeError(in[i+1])
				}
				*list = intsOf(in[i+1])
			}
		}
		return one(r.slice(in[0], starts, ends, axes, steps))
	}
}

func (r *run) slice(x *onnxio.Array, starts, ends, axes, steps []int) (*onnxio.Array, error) {
	n := len(starts)
	if len(ends) != n || axes != nil && len(axes) != n || steps != nil && len(steps) != n {
		return nil, fmt.Errorf("starts %v, ends %v, axes %v and steps %v", starts, ends, axes, steps)
	}
	shape, strides := append([]int{}, x.Shape...), rowStrides(x.Shape)
	seen := make([]bool, len(shape))
	offset := 0
	for i := range n {
		a, err := axisOf(int64(at(axes, i, i)), len(shape))
		if err != nil {
			return nil, err
		}
		step := at(steps, i, 1)
		if step == 0 || seen[a] {
			return nil, fmt.Errorf("axes %v and steps %v", axes, steps)
		}
		seen[a] = true
		first, count := sliceRange(starts[i], ends[i], step, shape[a])
		shape[a] = count
		if count > 0 {
			offset += first * strides[a]
		}
		if count > 1 {
			strides[a] *= step
		}
	}
	if offset == 0 && equalShape(shape, x.Shape) && equalShape(strides, rowStrides(x.Shape)) {
		return x, nil
	}
	return r.strided(x, shape, strides, offset)
}

// sliceRange returns the first index and the number of indices from start to end, exclusive, of a dimension of
// size n, with ends counted from the back where negative and clamped as numpy clamps them.
func sliceRange(start, end, step, n int) (first, count int) {
	if start < 0 {
		start += n
	}
	if end < 0 {
		end += n
	}
	if step > 0 {
		start, end = min(max(start, 0), n), min(max(end, 0), n)
		return start, max(0, (end-start+step-1)/step)
	}
	start, end = min(max(start, 0), n-1), min(max(end, -1), n-1)
	return start, max(0, (start-end-step-1)/-step)
}
