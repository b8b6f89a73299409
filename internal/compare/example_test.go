package compare_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"bq/internal/compare"
	"bq/internal/dataset"
	"bq/internal/infer"
	"bq/onnxio"
)

// linear builds the model y = x * w for x and w of two values.
func linear(w ...float32) *onnxio.Model {
	two := func(name string) *onnxio.ValueInfo {
		shape := []onnxio.Dim{{Value: 1, Known: true}, {Value: 2, Known: true}}
		return &onnxio.ValueInfo{Name: name, Type: &onnxio.TensorType{Elem: onnxio.Float, HasShape: true, Shape: shape}}
	}
	return &onnxio.Model{IRVersion: 8, Opsets: []*onnxio.Opset{{Version: 13}}, Graph: &onnxio.Graph{
		Inputs:       []*onnxio.ValueInfo{two("x")},
		Outputs:      []*onnxio.ValueInfo{two("y")},
		Initializers: []*onnxio.Tensor{onnxio.NewTensor("w", onnxio.Floats(w, 2))},
		Nodes:        []*onnxio.Node{{OpType: "Mul", Inputs: []string{"x", "w"}, Outputs: []string{"y"}}},
	}}
}

// The outputs differ by 0.5 in the second value of (1, 3) and (2, 4) times (1, 1): the reference's squares add up to
// 30, those of the differences to 0.25 * (9 + 16), 10 log10(30 / 6.25) = 6.8 dB.
func ExamplePair_Run() {
	dir, err := os.MkdirTemp("", "compare")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	var x bytes.Buffer
	if err := dataset.WriteNPY(&x, onnxio.Floats([]float32{1, 3, 2, 4}, 2, 2)); err != nil {
		log.Fatal(err)
	}
	path := filepath.Join(dir, "x.npy")
	if err := os.WriteFile(path, x.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
	a, b := linear(1, 1), linear(1, 1.5)
	set, err := dataset.Open(dataset.Inputs(a.Graph), dataset.Options{Path: path})
	if err != nil {
		log.Fatal(err)
	}
	outputs, err := compare.Outputs(a, nil)
	if err != nil {
		log.Fatal(err)
	}
	pair := &compare.Pair{Outputs: outputs}
	if pair.A, err = infer.Compile(a); err != nil {
		log.Fatal(err)
	}
	if pair.B, err = infer.Compile(b); err != nil {
		log.Fatal(err)
	}
	figures, err := pair.Run(context.Background(), set, nil, 2, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range figures {
		fmt.Printf("%s: %v, SQNR %.1f dB, largest difference %v\n", f.Name, f.Kind, f.SQNR, f.MaxAbs)
	}
	// Output: y: values, SQNR 6.8 dB, largest difference 2
}
