package onnxio_test

import (
	"fmt"
	"os"
	"path/filepath"

	"bq/onnxio"
)

// addOne makes the model y = x + one, where one has 512 elements.
func addOne() *onnxio.Model {
	one := make([]float32, 512)
	for i := range one {
		one[i] = 1
	}
	return &onnxio.Model{
		IRVersion: 8,
		Opsets:    []*onnxio.Opset{{Version: 13}},
		Graph: &onnxio.Graph{
			Nodes:        []*onnxio.Node{{Name: "add", OpType: "Add", Inputs: []string{"x", "one"}, Outputs: []string{"y"}}},
			Initializers: []*onnxio.Tensor{onnxio.NewTensor("one", onnxio.Floats(one, 512))},
			Inputs:       []*onnxio.ValueInfo{{Name: "x"}},
			Outputs:      []*onnxio.ValueInfo{{Name: "y"}},
		},
	}
}

func ExampleParse() {
	m, err := onnxio.Parse(addOne().Bytes())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range m.Constants() {
		fmt.Println(c.Name, c.Tensor.Type, c.Tensor.Dims)
	}
	// Output: one float32 [512]
}

func ExampleModel_Check() {
	m := addOne()
	m.Graph.Nodes[0].Inputs[1] = "two"
	fmt.Println(m.Check())
	// Output: graph: node 0 "add" (Add): input 1 "two" is neither a graph input nor an initializer nor computed by a node
}

func ExampleModel_Save() {
	dir, err := os.MkdirTemp("", "bq")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	saved, err := addOne().Save(filepath.Join(dir, "add.onnx"), onnxio.SaveOptions{External: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(filepath.Base(saved.DataPath), saved.DataSize)

	f, err := onnxio.Open(saved.Path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	one, err := f.Model.Graph.Initializer("one").Array()
	fmt.Println(one.Shape, one.F32()[511], err)
	// Output:
	// add.onnx.data 2048
	// [512] 1 <nil>
}
