package onnxgo

import (
	"slices"
	"strings"

	"bq/onnxio"
)

// The functions below write small models for tests.

// modelOf returns a model of opset 9 with inputs x, y... of the given shape, -1 for the symbolic dimension N.
func modelOf(inputs string, dims []int64, outputs string, nodes ...*onnxio.Node) *onnxio.Model {
	m := &onnxio.Model{IRVersion: 4, Opsets: []*onnxio.Opset{{Version: 9}}, Graph: &onnxio.Graph{Name: "g", Nodes: nodes}}
	for _, name := range strings.Fields(inputs) {
		m.Graph.Inputs = append(m.Graph.Inputs, declare(name, onnxio.Float, dims...))
	}
	for _, name := range strings.Fields(outputs) {
		m.Graph.Outputs = append(m.Graph.Outputs, &onnxio.ValueInfo{Name: name, Type: &onnxio.TensorType{Elem: onnxio.Float}})
	}
	return m
}

func declare(name string, elem onnxio.DataType, dims ...int64) *onnxio.ValueInfo {
	t := &onnxio.TensorType{Elem: elem, HasShape: true}
	for _, d := range dims {
		if d < 0 {
			t.Shape = append(t.Shape, onnxio.Dim{Param: "N"})
			continue
		}
		t.Shape = append(t.Shape, onnxio.Dim{Known: true, Value: d})
	}
	return &onnxio.ValueInfo{Name: name, Type: t}
}

// node returns a node; inputs and outputs are names separated by spaces, _ for one that is not given.
func node(op, inputs, outputs string, attributes ...*onnxio.Attribute) *onnxio.Node {
	n := &onnxio.Node{OpType: op, Inputs: strings.Fields(inputs), Outputs: strings.Fields(outputs), Attributes: attributes}
	for _, list := range [][]string{n.Inputs, n.Outputs} {
		for i := range list {
			if list[i] == "_" {
				list[i] = ""
			}
		}
	}
	return n
}

func ints(name string, v ...int64) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrInts, Ints: v}
}

func constant(name string, data []float32, shape ...int) *onnxio.Tensor {
	return onnxio.NewTensor(name, onnxio.Floats(data, shape...))
}

// cnn returns Conv, Relu, GlobalAveragePool and Flatten on an image of 1 x 3 x 3.
func cnn() *onnxio.Model {
	m := modelOf("x", []int64{-1, 1, 3, 3}, "y",
		node("Conv", "x w b", "c", ints("kernel_shape", 2, 2)),
		node("Relu", "c", "r"),
		node("GlobalAveragePool", "r", "p"),
		node("Flatten", "p", "y"))
	m.Graph.Initializers = []*onnxio.Tensor{
		constant("w", []float32{1, 0, 0, 1, -1, 0, 0, 0}, 2, 1, 2, 2), constant("b", []float32{0.5, 4}, 2)}
	return m
}

// normalize sorts initializers and attributes by name.
func normalize(m *onnxio.Model) {
	slices.SortFunc(m.Graph.Initializers, func(a, b *onnxio.Tensor) int { return strings.Compare(a.Name, b.Name) })
	for _, n := range m.Graph.Nodes {
		slices.SortFunc(n.Attributes, func(a, b *onnxio.Attribute) int { return strings.Compare(a.Name, b.Name) })
	}
}
