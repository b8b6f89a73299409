package infer

import (
	"bq/internal/kernel"
	"bq/onnxio"
)

// The operators that only move elements rest on the functions of this file, which know every element type.

// strided returns an array of the given shape whose element at index i is src[offset + sum of i[d]*strides[d]].
// Strides may be zero or negative; the caller guarantees that every position lies inside src.
func (r *run) strided(src *onnxio.Array, shape, strides []int, offset int) (*onnxio.Array, error) {
	out, err := r.new(src.Type, shape...)
	if err != nil {
		return nil, err
	}
	switch d := out.Data.(type) {
	case []float32:
		kernel.Strided(d, src.Data.([]float32), shape, strides, offset, r.threads)
	case []float64:
		kernel.Strided(d, src.Data.([]float64), shape, strides, offset, r.threads)
	case []int8:
		kernel.Strided(d, src.Data.([]int8), shape, strides, offset, r.threads)
	case []int16:
		kernel.Strided(d, src.Data.([]int16), shape, strides, offset, r.threads)
	case []int32:
		kernel.Strided(d, src.Data.([]int32), shape, strides, offset, r.threads)
	case []int64:
		kernel.Strided(d, src.Data.([]int64), shape, strides, offset, r.threads)
	case []uint8:
		kernel.Strided(d, src.Data.([]uint8), shape, strides, offset, r.threads)
	case []uint16:
		kernel.Strided(d, src.Data.([]uint16), shape, strides, offset, r.threads)
	case []uint32:
		kernel.Strided(d, src.Data.([]uint32), shape, strides, offset, r.threads)
	case []uint64:
		kernel.Strided(d, src.Data.([]uint64), shape, strides, offset, r.threads)
	case []bool:
		kernel.Strided(d, src.Data.([]bool), shape, strides, offset, r.threads)
	case []string:
		kernel.Strided(d, src.Data.([]string), shape, strides, offset, r.threads)
	}
	return out, nil
}

// copyRange copies n elements from src[so:] to dst[do:]; the arrays have the same element type.
func copyRange(dst *onnxio.Array, do int, src *onnxio.Array, so, n int) {
	switch d := dst.Data.(type) {
	case []float32:
		copy(d[do:do+n], src.Data.([]float32)[so:])
	case []float64:
		copy(d[do:do+n], src.Data.([]float64)[so:])
	case []int8:
		copy(d[do:do+n], src.Data.([]int8)[so:])
	case []int16:
		copy(d[do:do+n], src.Data.([]int16)[so:])
	case []int32:
		copy(d[do:do+n], src.Data.([]int32)[so:])
	case []int64:
		copy(d[do:do+n], src.Data.([]int64)[so:])
	case []uint8:
		copy(d[do:do+n], src.Data.([]uint8)[so:])
	case []uint16:
		copy(d[do:do+n], src.Data.([]uint16)[so:])
	case []uint32:
		copy(d[do:do+n], src.Data.([]uint32)[so:])
	case []uint64:
		copy(d[do:do+n], src.Data.([]uint64)[so:])
	case []bool:
		copy(d[do:do+n], src.Data.([]bool)[so:])
	case []string:
		copy(d[do:do+n], src.Data.([]string)[so:])
	}
}

// take returns an array of the given shape whose element i is src[index[i]], and zero where index[i] is negative.
func (r *run) take(src *onnxio.Array, shape, index []int) (*onnxio.Array, error) {
	out, err := r.new(src.Type, shape...)
	if err != nil {
		return nil, err
	}
	switch d := out.Data.(type) {
	case []float32:
		takeInto(d, src.Data.([]float32), index)
	case []float64:
		takeInto(d, src.Data.([]float64), index)
	case []int8:
		takeInto(d, src.Data.([]int8), index)
	case []int16:
		takeInto(d, src.Data.([]int16), index)
	case []int32:
		takeInto(d, src.Data.([]int32), index)
	case []int64:
		takeInto(d, src.Data.([]int64), index)
	case []uint8:
		takeInto(d, src.Data.([]uint8), index)
	case []uint16:
		takeInto(d, src.Data.([]uint16), index)
	case []uint32:
		takeInto(d, src.Data.([]uint32), index)
	case []uint64:
		takeInto(d, src.Data.([]uint64), index)
	case []bool:
		takeInto(d, src.Data.([]bool), index)
	case []string:
		takeInto(d, src.Data.([]string), index)
	}
	return out, nil
}

func takeInto[T any](dst, src []T, index []int) {
	for i, at := range index {
		if at >= 0 {
			dst[i] = src[at]
		}
	}
}

// put writes element i of src to dst[index[i]]; the arrays have the same element type.
func put(dst, src *onnxio.Array, index []int) {
	switch d := dst.Data.(type) {
	case []float32:
		putInto(d, src.Data.([]float32), index)
	case []float64:
		putInto(d, src.Data.([]float64), index)
	case []int8:
		putInto(d, src.Data.([]int8), index)
	case []int16:
		putInto(d, src.Data.([]int16), index)
	case []int32:
		putInto(d, src.Data.([]int32), index)
	case []int64:
		putInto(d, src.Data.([]int64), index)
	case []uint8:
		putInto(d, src.Data.([]uint8), index)
	case []uint16:
		putInto(d, src.Data.([]uint16), index)
	case []uint32:
		putInto(d, src.Data.([]uint32), index)
	case []uint64:
		putInto(d, src.Data.([]uint64), index)
	case []bool:
		putInto(d, src.Data.([]bool), index)
	case []string:
		putInto(d, src.Data.([]string), index)
	}
}

func putInto[T any](dst, src []T, index []int) {
	for i, at := range index {
		dst[at] = src[i]
	}
}

// fillFrom sets every element of dst to element 0 of src; the arrays have the same element type.
func fillFrom(dst, src *onnxio.Array) {
	switch d := dst.Data.(type) {
	case []float32:
		fillWith(d, src.Data.([]float32)[0])
	case []float64:
		fillWith(d, src.Data.([]float64)[0])
	case []int8:
		fillWith(d, src.Data.([]int8)[0])
	case []int16:
		fillWith(d, src.Data.([]int16)[0])
	case []int32:
		fillWith(d, src.Data.([]int32)[0])
	case []int64:
		fillWith(d, src.Data.([]int64)[0])
	case []uint8:
		fillWith(d, src.Data.([]uint8)[0])
	case []uint16:
		fillWith(d, src.Data.([]uint16)[0])
	case []uint32:
		fillWith(d, src.Data.([]uint32)[0])
	case []uint64:
		fillWith(d, src.Data.([]uint64)[0])
	case []bool:
		fillWith(d, src.Data.([]bool)[0])
	case []string:
		fillWith(d, src.Data.([]string)[0])
	}
}

func fillWith[T any](dst []T, v T) {
	for i := range dst {
		dst[i] = v
	}
}

// selectArrays writes to dst, by run of the walk, x where the condition holds and y elsewhere (operator Where).
func selectArrays(dst, cond, x, y *onnxio.Array, w *walk) {
	c := cond.Data.([]bool)
	switch d := dst.Data.(type) {
	case []float32:
		selectInto(d, c, x.Data.([]float32), y.Data.([]float32), w)
	case []float64:
		selectInto(d, c, x.Data.([]float64), y.Data.([]float64), w)
	case []int8:
		selectInto(d, c, x.Data.([]int8), y.Data.([]int8), w)
	case []int16:
		selectInto(d, c, x.Data.([]int16), y.Data.([]int16), w)
	case []int32:
		selectInto(d, c, x.Data.([]int32), y.Data.([]int32), w)
	case []int64:
		selectInto(d, c, x.Data.([]int64), y.Data.([]int64), w)
	case []uint8:
		selectInto(d, c, x.Data.([]uint8), y.Data.([]uint8), w)
	case []uint16:
		selectInto(d, c, x.Data.([]uint16), y.Data.([]uint16), w)
	case []uint32:
		selectInto(d, c, x.Data.([]uint32), y.Data.([]uint32), w)
	case []uint64:
		selectInto(d, c, x.Data.([]uint64), y.Data.([]uint64), w)
	case []bool:
		selectInto(d, c, x.Data.([]bool), y.Data.([]bool), w)
	case []string:
		selectInto(d, c, x.Data.([]string), y.Data.([]string), w)
	}
}

func selectInto[T any](dst []T, c []bool, x, y []T, w *walk) {
	w.each(func(o int, at []int) {
		for i := range w.n {
			if c[at[0]+i*w.step[0]] {
				dst[o+i] = x[at[1]+i*w.step[1]]
			} else {
				dst[o+i] = y[at[2]+i*w.step[2]]
			}
		}
	})
}
