package onnxgo

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"gorgonia.org/tensor"

	"bq/onnxio"
)

// attributes rebuilds the attributes of a node, sorted by name, from the Go values that onnx-go gives them.
func attributes(values map[string]any, where string) ([]*onnxio.Attribute, error) {
	var list []*onnxio.Attribute
	for _, name := range slices.Sorted(maps.Keys(values)) {
		a, err := attribute(name, values[name])
		if err != nil {
			return nil, unsupported(where+": attribute "+onnxio.Quote(name), "onnx-go: %v", err)
		}
		list = append(list, a)
	}
	return list, nil
}

func attribute(name string, v any) (*onnxio.Attribute, error) {
	a := &onnxio.Attribute{Name: name}
	switch v := v.(type) {
	case float32:
		a.Type, a.F = onnxio.AttrFloat, v
	case int64:
		a.Type, a.I = onnxio.AttrInt, v
	case string:
		a.Type, a.S = onnxio.AttrString, []byte(v)
	case []float32:
		a.Type, a.Floats = onnxio.AttrFloats, v
	case []int64:
		a.Type, a.Ints = onnxio.AttrInts, v
	case []string:
		a.Type = onnxio.AttrStrings
		for _, s := range v {
			a.Strings = append(a.Strings, []byte(s))
		}
	case tensor.Tensor:
		array, err := toArray(v)
		if err != nil {
			return nil, err
		}
		a.Type, a.T = onnxio.AttrTensor, onnxio.NewTensor("", array)
	default:
		return nil, fmt.Errorf("a value of type %T", v)
	}
	return a, nil
}

// elements pairs the element types of tensors and arrays; both hold a Go slice of the same type.
var elements = []struct {
	tensor tensor.Dtype
	array  onnxio.DataType
}{
	{tensor.Float32, onnxio.Float}, {tensor.Float64, onnxio.Double},
	{tensor.Int8, onnxio.Int8}, {tensor.Int16, onnxio.Int16}, {tensor.Int32, onnxio.Int32}, {tensor.Int64, onnxio.Int64},
	{tensor.Uint8, onnxio.Uint8}, {tensor.Uint16, onnxio.Uint16}, {tensor.Uint32, onnxio.Uint32},
	{tensor.Uint64, onnxio.Uint64}, {tensor.Bool, onnxio.Bool}, {tensor.String, onnxio.String},
}

// toArray returns an array that shares the elements of a dense tensor in row-major order.
func toArray(t tensor.Tensor) (*onnxio.Array, error) {
	a := &onnxio.Array{Shape: append([]int{}, t.Shape()...)}
	for _, e := range elements {
		if e.tensor == t.Dtype() {
			a.Type = e.array
		}
	}
	if a.Type == onnxio.Undefined {
		return nil, fmt.Errorf("a tensor of %v has no array form", t.Dtype())
	}
	if t.RequiresIterator() || t.DataOrder().IsColMajor() || !t.IsNativelyAccessible() {
		return nil, fmt.Errorf("a tensor that is no dense one in row-major order (shape %v)", a.Shape)
	}
	a.Data = slice(t.Data())
	n, ok := onnxio.CheckedLen(a.Shape)
	held := int(t.MemSize() / t.Dtype().Size())
	if !ok || n != held || n != reflect.ValueOf(a.Data).Len() {
		return nil, fmt.Errorf("a tensor of shape %v with %d elements", a.Shape, held)
	}
	return a, nil
}

// slice returns data as a slice: a tensor with one element gives the element alone.
func slice(data any) any {
	v := reflect.ValueOf(data)
	if v.Kind() == reflect.Slice {
		return data
	}
	s := reflect.MakeSlice(reflect.SliceOf(v.Type()), 1, 1)
	s.Index(0).Set(v)
	return s.Interface()
}

// toTensor returns a tensor that shares the elements of a. Tensors hold no float16, bfloat16 or 4-bit type and are
// never empty.
func toTensor(a *onnxio.Array) (tensor.Tensor, error) {
	if a.Len() == 0 {
		return nil, fmt.Errorf("an empty array (%v) has no tensor form", a.Shape)
	}
	for _, e := range elements {
		if e.array == a.Type {
			return tensor.New(tensor.WithShape(a.Shape...), tensor.Of(e.tensor), tensor.WithBacking(a.Data)), nil
		}
	}
	return nil, fmt.Errorf("an array of %v has no tensor form", a.Type)
}
