package infer

import (
	"unsafe"

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
	const most = 1 << 10 // elements that are copied at once: they stay in the first level cache
	if len(dst) < 16 {
		for i := range dst {
			dst[i] = v
		}
		return
	}
	dst[0] = v
	for n := 1; n < len(dst); n += copy(dst[n:], dst[:min(n, most)]) {
	}
}

// selectArrays writes to dst, by run of the walk, x where the condition holds and y elsewhere (operator Where).
func selectArrays(dst, cond, x, y *onnxio.Array, w *walk, threads int) {
	c := cond.Data.([]bool)
	switch d := dst.Data.(type) {
	case []float32:
		selectInto(wordsOf(d), c, wordsOf(x.Data.([]float32)), wordsOf(y.Data.([]float32)), w, threads)
	case []float64:
		selectInto(longsOf(d), c, longsOf(x.Data.([]float64)), longsOf(y.Data.([]float64)), w, threads)
	case []int8:
		selectInto(d, c, x.Data.([]int8), y.Data.([]int8), w, threads)
	case []int16:
		selectInto(d, c, x.Data.([]int16), y.Data.([]int16), w, threads)
	case []int32:
		selectInto(d, c, x.Data.([]int32), y.Data.([]int32), w, threads)
	case []int64:
		selectInto(d, c, x.Data.([]int64), y.Data.([]int64), w, threads)
	case []uint8:
		selectInto(d, c, x.Data.([]uint8), y.Data.([]uint8), w, threads)
	case []uint16:
		selectInto(d, c, x.Data.([]uint16), y.Data.([]uint16), w, threads)
	case []uint32:
		selectInto(d, c, x.Data.([]uint32), y.Data.([]uint32), w, threads)
	case []uint64:
		selectInto(d, c, x.Data.([]uint64), y.Data.([]uint64), w, threads)
	case []bool:
		selectInto(boolBytes(d), c, boolBytes(x.Data.([]bool)), boolBytes(y.Data.([]bool)), w, threads)
	case []string:
		selectInto(d, c, x.Data.([]string), y.Data.([]string), w, threads)
	}
}

// wordsOf and longsOf return the bits of floats: the compiler chooses between two integers without a jump.
func wordsOf(x []float32) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}

func longsOf(x []float64) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}

func selectInto[T any](dst []T, c []bool, x, y []T, w *walk, threads int) {
	w.eachOn(threads, func(o int, at []int) {
		row := dst[o : o+w.n]
		c, x, y := c[at[0]:], x[at[1]:], y[at[2]:]
		switch {
		case w.step[0] == 0 && c[0]:
			repeat(row, x, w.step[1])
		case w.step[0] == 0:
			repeat(row, y, w.step[2])
		case w.step[1] == 0 && w.step[2] == 0:
			chooseScalars(row, c, x[0], y[0])
		case w.step[1] == 0:
			chooseScalar(row, c, x[0], y, true)
		case w.step[2] == 0:
			chooseScalar(row, c, y[0], x, false)
		default:
			choose(row, c, x, y)
		}
	})
}

// repeat writes src, or its first element where step is 0.
func repeat[T any](dst, src []T, step int) {
	if step == 0 {
		fillWith(dst, src[0])
	} else {
		copy(dst, src)
	}
}

// choose writes x where c holds, else y.
func choose[T any](dst []T, c []bool, x, y []T) {
	c, x, y = c[:len(dst)], x[:len(dst)], y[:len(dst)]
	for i := range dst {
		v, u := y[i], x[i]
		if c[i] {
			v = u
		}
		dst[i] = v
	}
}

// chooseScalar writes v where c is when, else the element of x.
func chooseScalar[T any](dst []T, c []bool, v T, x []T, when bool) {
	c, x = c[:len(dst)], x[:len(dst)]
	for i := range dst {
		u := x[i]
		if c[i] == when {
			u = v
		}
		dst[i] = u
	}
}

// chooseScalars writes x where c holds, else y.
func chooseScalars[T any](dst []T, c []bool, x, y T) {
	c = c[:len(dst)]
	for i := range dst {
		v := y
		if c[i] {
			v = x
		}
		dst[i] = v
	}
}
