package convert_test

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"bq/convert"
	"bq/onnxio"
	"bq/packing"
)

// A model of one layer: y = x W + b.
func layer() *onnxio.Model {
	w := make([]float32, 32*32)
	for i := range w {
		w[i] = float32(i%61)/30 - 1
	}
	return &onnxio.Model{
		IRVersion: 8, Opsets: []*onnxio.Opset{{Version: 13}},
		Graph: &onnxio.Graph{
			Inputs:  []*onnxio.ValueInfo{{Name: "x"}},
			Outputs: []*onnxio.ValueInfo{{Name: "y"}},
			Initializers: []*onnxio.Tensor{
				onnxio.NewTensor("w", onnxio.Floats(w, 32, 32)),
				onnxio.NewTensor("b", onnxio.Floats(make([]float32, 32), 32)),
			},
			Nodes: []*onnxio.Node{{OpType: "Gemm", Inputs: []string{"x", "w", "b"}, Outputs: []string{"y"}}},
		},
	}
}

func ExampleConvert() {
	b := layer().Bytes()
	m, err := onnxio.Parse(b)
	if err != nil {
		log.Fatal(err)
	}
	var file bytes.Buffer
	r, err := convert.Convert(context.Background(), &onnxio.File{Model: m, Bytes: b}, &file, convert.Options{Bits: 4, Threads: 2, MadeBy: "example"})
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range r.Tensors {
		if t.Quantized() {
			fmt.Printf("%s: %d bits, %s\n", t.Name, t.Bits, t.Group)
		} else {
			fmt.Printf("%s: kept (%s)\n", t.Name, t.Reason)
		}
	}

	p, err := packing.Open(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		log.Fatal(err)
	}
	restored, _, err := convert.Restore(p, convert.FormFloat)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(restored.Graph.Initializer("w").Dims)
	// Output:
	// w: 4 bits, channel
	// b: kept (bias)
	// [32 32]
}
