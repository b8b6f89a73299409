package infer

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"bq/onnxio"
)

// bindTopK: the k largest or smallest elements along an axis and their positions, in order; equals keep the order of
// their positions. NaN counts as larger than any number. k is an attribute before version 10.
func bindTopK(b *binding) runFunc {
	axis, largest := b.int("axis", -1), b.bool("largest", true)
	b.ignore("sorted") // sorted output satisfies both
	var fixed *onnxio.Array
	if b.version < 10 {
		fixed = onnxio.Int64s([]int64{b.int("k", -1)}, 1)
	}
	if b.given(1) == (fixed != nil) {
		b.malformed("k as input, want it as attribute before version 10 and as input since")
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, count := in[0], fixed
		if count == nil {
			count = in[1]
		}
		if count.Type != onnxio.Int64 || count.Len() != 1 {
			return nil, typeError(count)
		}
		a, err := axisOf(axis, len(x.Shape))
		if err != nil {
			return nil, err
		}
		k, n := intsOf(count)[0], x.Shape[a]
		if k < 0 || k > n {
			return nil, fmt.Errorf("the %d largest of %d elements", k, n)
		}
		shape := append([]int{}, x.Shape...)
		shape[a] = k
		pos, err := r.new(onnxio.Int64, shape...)
		if err != nil {
			return nil, err
		}
		less, err := orderOf(x, largest)
		if err != nil {
			return nil, err
		}
		inner := product(x.Shape[a+1:])
		index := make([]int, pos.Len())
		order := make([]int, n)
		for row := range product(x.Shape[:a]) * inner {
			base, to := row/inner*n*inner+row%inner, row/inner*k*inner+row%inner
			for i := range order {
				order[i] = i
			}
			slices.SortStableFunc(order, func(p, q int) int { return less(base+p*inner, base+q*inner) })
			for i := range k {
				pos.Data.([]int64)[to+i*inner] = int64(order[i])
				index[to+i*inner] = base + order[i]*inner
			}
		}
		values, err := r.take(x, shape, index)
		return []*onnxio.Array{values, pos}, err
	}
}

// orderOf compares elements of x by position, descending where largest.
func orderOf(x *onnxio.Array, largest bool) (func(p, q int) int, error) {
	sign := 1
	if largest {
		sign = -1
	}
	switch d := x.Data.(type) {
	case []float32:
		return func(p, q int) int { return sign * compareFloats(float64(d[p]), float64(d[q])) }, nil
	case []float64:
		return func(p, q int) int { return sign * compareFloats(d[p], d[q]) }, nil
	case []uint64:
		return func(p, q int) int { return sign * cmp.Compare(d[p], d[q]) }, nil
	}
	v := x.Ints()
	if v == nil {
		return nil, typeError(x)
	}
	return func(p, q int) int { return sign * cmp.Compare(v[p], v[q]) }, nil
}

func compareFloats(a, b float64) int {
	switch {
	case math.IsNaN(a) && math.IsNaN(b):
		return 0
	case math.IsNaN(a):
		return 1
	case math.IsNaN(b):
		return -1
	}
	return cmp.Compare(a, b)
}
