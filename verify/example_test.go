package verify_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"bq/internal/dataset"
	"bq/internal/infer"
	"bq/onnxio"
	"bq/verify"
)

// linear builds the model y = x w for a row x of two features and w of [2 features, 2 classes].
func linear(path string, w ...float32) verify.Side {
	two := func(name string) *onnxio.ValueInfo {
		shape := []onnxio.Dim{{Value: 1, Known: true}, {Value: 2, Known: true}}
		return &onnxio.ValueInfo{Name: name, Type: &onnxio.TensorType{Elem: onnxio.Float, HasShape: true, Shape: shape}}
	}
	m := &onnxio.Model{IRVersion: 8, Opsets: []*onnxio.Opset{{Version: 13}}, Graph: &onnxio.Graph{
		Inputs:       []*onnxio.ValueInfo{two("x")},
		Outputs:      []*onnxio.ValueInfo{two("y")},
		Initializers: []*onnxio.Tensor{onnxio.NewTensor("w", onnxio.Floats(w, 2, 2))},
		Nodes:        []*onnxio.Node{{OpType: "MatMul", Inputs: []string{"x", "w"}, Outputs: []string{"y"}}},
	}}
	p, err := infer.Compile(m)
	if err != nil {
		log.Fatal(err)
	}
	return verify.Side{Model: verify.Model{Path: path, Format: "onnx"}, Program: p, Graph: m}
}

// The second model swaps the classes of the features' second one: of the samples (1, 0), (0, 1), (2, 1) and (1, 3) it
// gives the second and fourth to another class.
func ExampleRun() {
	dir, err := os.MkdirTemp("", "verify")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	var x bytes.Buffer
	if err := dataset.WriteNPY(&x, onnxio.Floats([]float32{1, 0, 0, 1, 2, 1, 1, 3}, 4, 2)); err != nil {
		log.Fatal(err)
	}
	path := filepath.Join(dir, "x.npy")
	if err := os.WriteFile(path, x.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
	a := linear("a.onnx", 1, 0, 0, 1)
	b := linear("b.onnx", 1, 0, 1, 0)
	set, err := dataset.Open(dataset.Inputs(a.Graph.Graph), dataset.Options{Path: path})
	if err != nil {
		log.Fatal(err)
	}
	r, err := verify.Run(context.Background(), a, b, set, verify.Options{MinAgree: []verify.Limit{{Output: "y", Value: 0.9}}})
	if err != nil {
		log.Fatal(err)
	}
	for _, l := range r.Limits {
		fmt.Printf("%s %s: %v of %d rows agree, limit %v\n", l.Output, l.Metric, *l.Value, r.Outputs[0].Rows, l.Limit)
	}
	fmt.Println(r.Verdict)
	// Output:
	// y min-agree: 0.5 of 4 rows agree, limit 0.9
	// fail
}
