package onnxgo_test

import (
	"fmt"

	"github.com/owulveryck/onnx-go"
	"gorgonia.org/tensor"

	"bq/onnxio"
	"bq/onnxio/onnxgo"
)

// square returns the file of a model that computes y = x * x for a vector of three.
func square() []byte {
	vector := &onnxio.TensorType{Elem: onnxio.Float, HasShape: true, Shape: []onnxio.Dim{{Known: true, Value: 3}}}
	m := &onnxio.Model{
		IRVersion: 4,
		Opsets:    []*onnxio.Opset{{Version: 9}},
		Graph: &onnxio.Graph{
			Nodes:   []*onnxio.Node{{OpType: "Mul", Inputs: []string{"x", "x"}, Outputs: []string{"y"}}},
			Inputs:  []*onnxio.ValueInfo{{Name: "x", Type: vector}},
			Outputs: []*onnxio.ValueInfo{{Name: "y", Type: vector}},
		},
	}
	return m.Bytes()
}

// A program that uses onnx-go gets bq's engine by changing the line that makes the backend.
func ExampleBackend() {
	backend := onnxgo.NewBackend() // was: gorgonnx.NewGraph()
	model := onnx.NewModel(backend)
	if err := model.UnmarshalBinary(square()); err != nil {
		fmt.Println(err)
		return
	}
	x := tensor.New(tensor.WithShape(3), tensor.WithBacking([]float32{1, -2, 3}))
	if err := model.SetInput(0, x); err != nil {
		fmt.Println(err)
		return
	}
	if err := backend.Run(); err != nil {
		fmt.Println(err)
		return
	}
	outputs, err := model.GetOutputTensors()
	fmt.Println(outputs[0].Data(), err)
	// Output: [1 4 9] <nil>
}

func ExampleDecode() {
	m, err := onnxgo.Decode(square())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range m.Graph.Nodes {
		fmt.Println(n.OpType, n.Inputs, n.Outputs)
	}
	// Output: Mul [x x] [y]
}
