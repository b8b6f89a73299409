package onnxio

import (
	"fmt"
	"reflect"
	"slices"
)

// Array is a dense tensor in memory, row-major: what flows between operators, samples and results.
//
// Data holds one Go slice whose length is the product of Shape (1 for rank 0):
//
//	[]float32  Float, Float16, BFloat16, the float8 and float4 types (narrow types are widened; Type remembers
//	           what they are)
//	[]float64  Double
//	[]int8 []int16 []int32 []int64 []uint8 []uint16 []uint32 []uint64  the integer of that name;
//	           Int4, Int2 widen to []int8, Uint4, Uint2 to []uint8
//	[]bool     Bool
//	[]string   String
type Array struct {
	Type  DataType
	Shape []int
	Data  any
}

// NewArray allocates a zero array. It panics on a type that has no slice form above (the complex types)
// and on a negative or overflowing shape: callers check what comes from files with CheckedLen.
func NewArray(t DataType, shape ...int) *Array {
	n, ok := CheckedLen(shape)
	if !ok {
		panic(fmt.Sprintf("onnxio: allocating an array of shape %v", shape))
	}
	a := &Array{Type: t, Shape: append([]int{}, shape...)}
	switch t {
	case Float, Float16, BFloat16, Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float4E2M1, Float8E8M0:
		a.Data = make([]float32, n)
	case Double:
		a.Data = make([]float64, n)
	case Int8, Int4, Int2:
		a.Data = make([]int8, n)
	case Int16:
		a.Data = make([]int16, n)
	case Int32:
		a.Data = make([]int32, n)
	case Int64:
		a.Data = make([]int64, n)
	case Uint8, Uint4, Uint2:
		a.Data = make([]uint8, n)
	case Uint16:
		a.Data = make([]uint16, n)
	case Uint32:
		a.Data = make([]uint32, n)
	case Uint64:
		a.Data = make([]uint64, n)
	case Bool:
		a.Data = make([]bool, n)
	case String:
		a.Data = make([]string, n)
	default:
		panic(fmt.Sprintf("onnxio: allocating an array of %v", t))
	}
	return a
}

// HasArray reports whether arrays of type t exist: every type but complex and undefined.
func (t DataType) HasArray() bool {
	switch t {
	case Float, Float16, BFloat16, Double, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64, Bool, String,
		Int4, Uint4, Int2, Uint2:
		return true
	}
	return t.IsSmallFloat()
}

// maxElements bounds the elements of one array, so that sizes in bytes never overflow an int.
const maxElements = 1 << 40

// CheckedLen returns the product of shape, false where a dimension is negative or the product exceeds 2^40.
func CheckedLen(shape []int) (int, bool) {
	n, zero := 1, false
	for _, d := range shape {
		if d < 0 {
			return 0, false
		}
		if d == 0 {
			zero = true
			continue
		}
		if n > maxElements/d {
			return 0, false
		}
		n *= d
	}
	if zero {
		return 0, true
	}
	return n, true
}

// Floats wraps data, not copied, as an array of Float.
func Floats(data []float32, shape ...int) *Array {
	return &Array{Type: Float, Shape: append([]int{}, shape...), Data: data}
}

// Int64s wraps data, not copied, as an array of Int64.
func Int64s(data []int64, shape ...int) *Array {
	return &Array{Type: Int64, Shape: append([]int{}, shape...), Data: data}
}

// Len returns the number of elements.
func (a *Array) Len() int {
	n, _ := CheckedLen(a.Shape)
	return n
}

// F32 returns the elements of an array that holds []float32, not copied; nil for another type.
func (a *Array) F32() []float32 {
	s, _ := a.Data.([]float32)
	return s
}

// Ints returns the elements of an integer or bool array widened to int64, not copied for Int64; nil for
// another type. Uint64 values above the largest int64 wrap.
func (a *Array) Ints() []int64 {
	switch s := a.Data.(type) {
	case []int64:
		return s
	case []int32:
		return widen(s)
	case []int16:
		return widen(s)
	case []int8:
		return widen(s)
	case []uint64:
		return widen(s)
	case []uint32:
		return widen(s)
	case []uint16:
		return widen(s)
	case []uint8:
		return widen(s)
	case []bool:
		out := make([]int64, len(s))
		for i, b := range s {
			if b {
				out[i] = 1
			}
		}
		return out
	}
	return nil
}

func widen[T int8 | int16 | int32 | uint8 | uint16 | uint32 | uint64](s []T) []int64 {
	out := make([]int64, len(s))
	for i, v := range s {
		out[i] = int64(v)
	}
	return out
}

// Reshaped returns an array with the same elements, shared, and another shape of the same length.
func (a *Array) Reshaped(shape ...int) *Array {
	return &Array{Type: a.Type, Shape: append([]int{}, shape...), Data: a.Data}
}

// Concat joins arrays of one type and rank along their first axis; arrays of rank 0 become one of rank 1. The other
// dimensions must agree.
func Concat(list []*Array) (*Array, error) {
	first := list[0]
	rows := 0
	for i, a := range list {
		if a.Type != first.Type || len(a.Shape) != len(first.Shape) || !sameTail(a.Shape, first.Shape) {
			return nil, fmt.Errorf("joining arrays: %v %v at place %d, the first is %v %v", a.Type, a.Shape, i, first.Type, first.Shape)
		}
		rows += leading(a.Shape)
	}
	shape := []int{rows}
	if len(first.Shape) > 1 {
		shape = append(shape, first.Shape[1:]...)
	}
	out := NewArray(first.Type, shape...)
	to := reflect.ValueOf(out.Data)
	for _, a := range list {
		to = to.Slice(reflect.Copy(to, reflect.ValueOf(a.Data)), to.Len())
	}
	return out, nil
}

func sameTail(a, b []int) bool {
	return len(a) == 0 || slices.Equal(a[1:], b[1:])
}

func leading(shape []int) int {
	if len(shape) == 0 {
		return 1
	}
	return shape[0]
}
