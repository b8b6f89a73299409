package convert

import (
	"errors"
	"io/fs"
	"math"
	"testing"

	"bq/internal/infer"
	"bq/onnxio"
)

// codesNoise bounds the distance of a run on codes from one in float32, as a part of the distance of either from the model
// that was quantized. A sum that is rounded in another place moves a code by one step where a value lies at the border of
// two; layer by layer such a step moves others, until the two runs are rounded as two quantized models would be.
const codesNoise = 1

// codesMoved is the part of the codes of the first layer that may move, by one step.
const codesMoved = 1e-3

// TestExportRunsOnCodes: an exported model, whose values are quantized in float32 and whose weights are codes behind
// DequantizeLinear, gives the same on the codes, which a run without a visitor takes, as in float32, value by value.
func TestExportRunsOnCodes(t *testing.T) {
	f, err := onnxio.Open("../../shared/zoo/models/cifar10-resnet20.onnx")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("no models beside the project")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const samples = 8
	x := onnxio.Floats(normal(3, samples*3*32*32), samples, 3, 32, 32)
	_, p, _ := converted(t, f, Options{Bits: 8, ActBits: 8, Method: Method{name: "affine"}, Samples: samplesOf(t, f.Model, x)})
	m, _, err := Restore(p, FormQDQ)
	if err != nil {
		t.Fatal(err)
	}
	plain := func(*onnxio.Node, string, *onnxio.Array) (*onnxio.Array, error) { return nil, nil }
	floats, exact, codes := outputOf(t, f.Model, x, plain), outputOf(t, m, x, plain), outputOf(t, m, x, nil)
	quantizing, rounding := farFrom(floats, exact), farFrom(exact, codes)
	t.Logf("quantizing moved the results by %.3g, codes by %.3g", quantizing, rounding)
	if rounding == 0 || rounding > codesNoise*quantizing {
		t.Errorf("a run on codes is %.3g from one in float32, quantizing moved that by %.3g", rounding, quantizing)
	}
	first := "/Relu_output_0" // of the first convolution, in codes
	step := 0.0
	for _, w := range m.Graph.Initializers {
		if w.Name == "/Relu_output_0/scale" {
			a, err := w.Array()
			if err != nil {
				t.Fatal(err)
			}
			step = float64(a.F32()[0])
		}
	}
	m.Graph.Outputs = append(m.Graph.Outputs[:0:0], &onnxio.ValueInfo{Name: first})
	exact, codes = outputOf(t, m, x, plain), outputOf(t, m, x, nil)
	moved := 0
	for i, v := range exact {
		d := math.Abs(float64(codes[i])-float64(v)) / step
		if d > 1e-3 { // the codes differ
			moved++
		}
		if !(d < 1+1e-3) {
			t.Fatalf("value %d of the first layer is %v, want %v within a step of %v", i, codes[i], v, step)
		}
	}
	if t.Logf("%d of %d codes moved", moved, len(exact)); float64(moved) > codesMoved*float64(len(exact)) {
		t.Errorf("%d of %d codes of the first layer moved", moved, len(exact))
	}
}

// outputOf runs m on x, its only input, and returns its only output.
func outputOf(t *testing.T, m *onnxio.Model, x *onnxio.Array, visit infer.Visitor) []float32 {
	t.Helper()
	p, err := infer.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Run(map[string]*onnxio.Array{m.Graph.Inputs[0].Name: x}, visit)
	if err != nil {
		t.Fatal(err)
	}
	return got[m.Graph.Outputs[0].Name].F32()
}

// farFrom is the Euclidean distance of b from a, relative to the length of a.
func farFrom(a, b []float32) float64 {
	var off, all float64
	for i, v := range a {
		d := float64(b[i]) - float64(v)
		off, all = off+d*d, all+float64(v)*float64(v)
	}
	return math.Sqrt(off / all)
}
