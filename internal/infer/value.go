package infer

import (
	"math"
	"slices"
	"unsafe"

	"bq/internal/kernel"
	"bq/onnxio"
)

type signed interface {
	int8 | int16 | int32 | int64
}

type unsigned interface {
	uint8 | uint16 | uint32 | uint64
}

type integer interface{ signed | unsigned }

type float interface{ float32 | float64 }

type number interface{ integer | float }

// elementBytes returns the bytes of one element of type t in memory.
func elementBytes(t onnxio.DataType) int64 {
	switch {
	case t == onnxio.Float16, t == onnxio.BFloat16, t.IsSmallFloat():
		return 4
	case t == onnxio.String:
		return 16
	}
	return int64(max(1, t.Bits()/8))
}

// listedBytes is what a tensor in a list takes beside its elements: pointer, header and shape.
const listedBytes = 128

// arrayBytes returns the bytes of a value's elements, of all tensors of a sequence; strings with their text.
func arrayBytes(a *onnxio.Array) int64 {
	n := int64(a.Len()) * elementBytes(a.Type)
	switch d := a.Data.(type) {
	case []string:
		for _, s := range d {
			n += int64(len(s))
		}
	case []*onnxio.Array:
		n = 0
		for _, v := range d {
			n += listedBytes + arrayBytes(v)
		}
	}
	return n
}

// dataLen returns the length of the slice that a holds, -1 where it is none of Array's kinds.
func dataLen(a *onnxio.Array) int {
	switch d := a.Data.(type) {
	case []float32:
		return len(d)
	case []float64:
		return len(d)
	case []int8:
		return len(d)
	case []int16:
		return len(d)
	case []int32:
		return len(d)
	case []int64:
		return len(d)
	case []uint8:
		return len(d)
	case []uint16:
		return len(d)
	case []uint32:
		return len(d)
	case []uint64:
		return len(d)
	case []bool:
		return len(d)
	case []string:
		return len(d)
	}
	return -1
}

// sameData reports whether two arrays share their elements.
func sameData(a, b *onnxio.Array) bool { return a.Len() > 0 && b.Len() > 0 && firstOf(a) == firstOf(b) }

func firstOf(a *onnxio.Array) unsafe.Pointer {
	switch d := a.Data.(type) {
	case []float32:
		return unsafe.Pointer(unsafe.SliceData(d))
	case []float64:
		return unsafe.Pointer(unsafe.SliceData(d))
	case []int8:
		return unsafe.Pointer(unsafe.SliceData(d))
	case []int16:
		return unsafe.Pointer(unsafe.SliceData(d))
	case []int32:
		return unsafe.Pointer(unsafe.SliceData(d))
	case []int64:
		return unsafe.Pointer(unsafe.SliceData(d))
	case []uint8:
		return unsafe.Pointer(unsafe.SliceData(d))
	case []uint16:
		return unsafe.Pointer(unsafe.SliceData(d))
	case []uint32:
		return unsafe.Pointer(unsafe.SliceData(d))
	case []uint64:
		return unsafe.Pointer(unsafe.SliceData(d))
	case []bool:
		return unsafe.Pointer(unsafe.SliceData(d))
	case []string:
		return unsafe.Pointer(unsafe.SliceData(d))
	}
	return nil
}

func equalShape(a, b []int) bool { return slices.Equal(a, b) }

// roundHalf rounds the elements of a float array of 16 bits or less to what that type can hold, to nearest even.
// Elements that already fit are not written, so that shared constants stay untouched.
func roundHalf(a *onnxio.Array) {
	var round func(v float32) float32
	switch a.Type {
	case onnxio.Float16:
		kernel.RoundHalf(a.F32())
		return
	case onnxio.BFloat16:
		round = roundBFloat16
	default:
		if !a.Type.IsSmallFloat() {
			return
		}
		round = func(v float32) float32 {
			if a.Type == onnxio.Float8E5M2 && math.IsInf(float64(v), 0) {
				return v // a cast that does not saturate gave it
			}
			return onnxio.Round(a.Type, v)
		}
	}
	d := a.F32()
	for i, v := range d {
		if w := round(v); w != v {
			d[i] = w
		}
	}
}

// product returns the product of dims, 1 for none.
func product(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// one wraps a single output.
func one(a *onnxio.Array, err error) ([]*onnxio.Array, error) {
	if err != nil {
		return nil, err
	}
	return []*onnxio.Array{a}, nil
}

func roundBFloat16(v float32) float32 {
	return math.Float32frombits(uint32(onnxio.RoundBFloat16(v)) << 16)
}
