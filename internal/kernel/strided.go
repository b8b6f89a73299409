package kernel

// Strided writes to dst, in row-major order, the elements of a view of src: the element at index i of shape is
// src[offset + sum of i[d]*strides[d]]. Strides may be zero (broadcasting) or negative (reversal); transposes,
// slices and expansions are views. dst holds the product of shape elements and does not overlap src.
func Strided[T any](dst, src []T, shape, strides []int, offset, threads int) {
	if len(dst) == 0 {
		return
	}
	dims, steps := merged(shape, strides)
	if threads = threadsFor(threads, len(dst)); threads < 2 || len(dims) == 0 {
		stridedPart(dst, src, dims, steps, offset)
		return
	}
	// Parts of the first dimension; where that is short, parts of the second at each of its indices.
	outer, step := 1, 0
	if dims[0] < 4*threads && len(dims) > 1 {
		outer, step, dims, steps = dims[0], steps[0], dims[1:], steps[1:]
	}
	parts := min(dims[0], (4*threads+outer-1)/outer)
	inner := len(dst) / outer / dims[0]
	Parallel(threads, outer*parts, func(u int) {
		i, lo, hi := u/parts, u%parts*dims[0]/parts, (u%parts+1)*dims[0]/parts
		part := append([]int{hi - lo}, dims[1:]...)
		stridedPart(dst[(i*dims[0]+lo)*inner:(i*dims[0]+hi)*inner], src, part, steps, offset+i*step+lo*steps[0])
	})
}

// stridedPart is Strided by one thread; no dimension has a size of 0.
func stridedPart[T any](dst, src []T, dims, steps []int, offset int) {
	if len(dims) == 0 {
		dst[0] = src[offset]
		return
	}
	last := len(dims) - 1
	if d := besides(dims, steps); d >= 0 {
		v := view[T]{dst: dst, src: src, dims: dims, steps: steps, matrix: d}
		v.transpose(0, 0, offset, len(dst))
		return
	}
	index := make([]int, len(dims))
	n, step := dims[last], steps[last]
	for o := 0; o < len(dst); o += n {
		stridedRow(dst[o:o+n], src, offset, step)
		for d := last - 1; d >= 0; d-- {
			index[d]++
			offset += steps[d]
			if index[d] < dims[d] {
				break
			}
			offset -= dims[d] * steps[d]
			index[d] = 0
		}
	}
}

// besides returns the dimension along which src is contiguous, where it is not the last one and both are long enough to
// be transposed by blocks; else -1.
func besides(dims, steps []int) int {
	last := len(dims) - 1
	if steps[last] <= 1 || dims[last] < 4 {
		return -1
	}
	for d, s := range steps[:last] {
		if s == 1 && dims[d] >= 4 {
			return d
		}
	}
	return -1
}

// view is what Strided goes through as matrices: dimension matrix and the last one.
type view[T any] struct {
	dst, src    []T
	dims, steps []int
	matrix      int
}

// transpose goes through the dimensions from d on; size elements of dst from o on are theirs.
func (v *view[T]) transpose(d, o, offset, size int) {
	last := len(v.dims) - 1
	if d == last {
		ldd := 1
		for _, n := range v.dims[v.matrix+1:] {
			ldd *= n
		}
		transposeMatrix(v.dst[o:], v.src[offset:], v.dims[last], v.dims[v.matrix], ldd, v.steps[last])
		return
	}
	size /= v.dims[d]
	if d == v.matrix {
		v.transpose(d+1, o, offset, size)
		return
	}
	for i := range v.dims[d] {
		v.transpose(d+1, o+i*size, offset+i*v.steps[d], size)
	}
}

func stridedRow[T any](dst, src []T, at, step int) {
	switch step {
	case 1:
		copy(dst, src[at:])
	case 0:
		v := src[at]
		for i := range dst {
			dst[i] = v
		}
	default:
		for i := range dst {
			dst[i] = src[at]
			at += step
		}
	}
}

// merged drops dimensions of size 1 and joins neighbours that one stride walks through.
func merged(shape, strides []int) (dims, steps []int) {
	for i, d := range shape {
		if d == 1 {
			continue
		}
		if k := len(dims) - 1; k >= 0 && steps[k] == d*strides[i] {
			dims[k] *= d
			steps[k] = strides[i]
			continue
		}
		dims, steps = append(dims, d), append(steps, strides[i])
	}
	return dims, steps
}
