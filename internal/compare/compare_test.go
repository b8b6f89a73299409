package compare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"bq/internal/dataset"
	"bq/internal/drift"
	"bq/internal/infer"
	"bq/onnxio"
)

func graph(opset int64, outputs []*onnxio.ValueInfo, nodes ...*onnxio.Node) *onnxio.Model {
	return &onnxio.Model{IRVersion: 8, Opsets: []*onnxio.Opset{{Version: opset}}, Graph: &onnxio.Graph{Nodes: nodes, Outputs: outputs}}
}

func node(op string, inputs, outputs []string, attributes ...*onnxio.Attribute) *onnxio.Node {
	return &onnxio.Node{OpType: op, Inputs: inputs, Outputs: outputs, Attributes: attributes}
}

func out(name string, dims ...int64) *onnxio.ValueInfo {
	t := &onnxio.TensorType{Elem: onnxio.Float, HasShape: true}
	for _, d := range dims {
		t.Shape = append(t.Shape, onnxio.Dim{Value: d, Known: true})
	}
	return &onnxio.ValueInfo{Name: name, Type: t}
}

func axis(v int64) *onnxio.Attribute {
	return &onnxio.Attribute{Name: "axis", Type: onnxio.AttrInt, I: v}
}

func TestKindsOfOutputs(t *testing.T) {
	names := func(s ...string) []string { return s }
	cases := []struct {
		name string
		m    *onnxio.Model
		kind drift.Kind
		axis int
	}{
		{"gemm", graph(13, []*onnxio.ValueInfo{out("y", 1, 10)}, node("Gemm", names("x", "w"), names("y"))), drift.Logits, -1},
		{"gemm of one output", graph(13, []*onnxio.ValueInfo{out("y", 5, 1)}, node("Gemm", names("x", "w"), names("y"))), drift.Values, -1},
		{"matmul and bias", graph(13, []*onnxio.ValueInfo{out("y", 1, 10)}, node("MatMul", names("x", "w"), names("a")), node("Add", names("b", "a"), names("y"))), drift.Logits, -1},
		{"an addition", graph(13, []*onnxio.ValueInfo{out("y", 1, 10)}, node("Add", names("b", "a"), names("y"))), drift.Values, -1},
		{"softmax", graph(13, []*onnxio.ValueInfo{out("y", 1, 10)}, node("Softmax", names("x"), names("y"))), drift.Probs, -1},
		{"softmax of old", graph(11, []*onnxio.ValueInfo{out("y", 1, 1000, 1, 1)}, node("Softmax", names("x"), names("y"))), drift.Probs, 1},
		{"softmax by axis", graph(13, []*onnxio.ValueInfo{out("y", 1, 4, 8, 8)}, node("Softmax", names("x"), names("y"), axis(1))), drift.Probs, 1},
		{"softmax reshaped", graph(11, []*onnxio.ValueInfo{out("y", 1, 1000)}, node("Softmax", names("x"), names("a"), axis(1)), node("Reshape", names("a", "s"), names("y"))), drift.Probs, -1},
		{"logsoftmax", graph(13, []*onnxio.ValueInfo{out("y", 1, 10)}, node("LogSoftmax", names("x"), names("a")), node("Identity", names("a"), names("y"))), drift.LogProbs, -1},
		{"convolution", graph(13, []*onnxio.ValueInfo{out("y", 1, 10)}, node("Conv", names("x", "w"), names("y"))), drift.Values, -1},
		{"an input", graph(13, []*onnxio.ValueInfo{out("x", 1, 10)}), drift.Values, -1},
	}
	for _, c := range cases {
		got, err := Outputs(c.m, nil)
		if err != nil || len(got) != 1 || got[0].Kind != c.kind || got[0].Axis != c.axis {
			t.Errorf("%s: %+v, %v, want %v on axis %d", c.name, got, err, c.kind, c.axis)
		}
	}
	m := cases[9].m
	got, err := Outputs(m, []Override{{Name: "y", Kind: drift.Logits, Axis: 1, HasAxis: true}})
	if err != nil || got[0].Kind != drift.Logits || got[0].Axis != 1 {
		t.Errorf("told: %+v, %v", got, err)
	}
	var no *NoOutputError
	if _, err := Outputs(m, []Override{{Name: "z"}}); !errors.As(err, &no) || no.Hint() != "outputs: y" {
		t.Errorf("an output that is not there: %v", err)
	}
}

func TestRows(t *testing.T) {
	cases := []struct {
		o     Output
		shape []int
		want  [3]int
	}{
		{Output{Kind: drift.Logits, Axis: -1}, []int{2, 3, 10}, [3]int{6, 10, 1}},
		{Output{Kind: drift.Probs, Axis: 1}, []int{2, 3, 10}, [3]int{2, 3, 10}},
		{Output{Kind: drift.Values}, []int{2, 3}, [3]int{1, 6, 1}},
		{Output{Kind: drift.Logits, Axis: 5}, []int{2, 3}, [3]int{1, 6, 1}},
		{Output{Kind: drift.Logits, Axis: -1}, nil, [3]int{1, 1, 1}},
	}
	for _, c := range cases {
		a, b, d := c.o.Rows(c.shape)
		if got := [3]int{a, b, d}; got != c.want {
			t.Errorf("%+v of %v: %v, want %v", c.o, c.shape, got, c.want)
		}
	}
}

// adder gives out y = x + b and the state s + 1.
func adder(t *testing.T, b float32) (*infer.Program, *onnxio.Model) {
	t.Helper()
	m := graph(13, []*onnxio.ValueInfo{out("y", 1, 2), out("next", 1)},
		node("Add", []string{"x", "b"}, []string{"a"}), node("Add", []string{"a", "s"}, []string{"y"}), node("Add", []string{"s", "one"}, []string{"next"}))
	m.Graph.Inputs = []*onnxio.ValueInfo{out("x", 1, 2), out("s", 1)}
	m.Graph.Initializers = []*onnxio.Tensor{onnxio.NewTensor("b", onnxio.Floats([]float32{b, 0}, 2)), onnxio.NewTensor("one", onnxio.Floats([]float32{1}, 1))}
	p, err := infer.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	return p, m
}

// samples opens n samples of x = (i, -i), s = 0, behind a spec with the given extra lines.
func samples(t *testing.T, m *onnxio.Model, n int, extra string) *dataset.Set {
	t.Helper()
	dir := t.TempDir()
	x := onnxio.NewArray(onnxio.Float, n, 2)
	for i := range n {
		x.F32()[2*i], x.F32()[2*i+1] = float32(i), -float32(i)
	}
	var b bytes.Buffer
	if err := dataset.WriteNPY(&b, x); err != nil {
		t.Fatal(err)
	}
	spec := "version: 1\ninputs:\n  x:\n    npy: x.npy\n  s:\n    zeros: [1]\n" + extra
	for name, data := range map[string][]byte{"x.npy": b.Bytes(), "d.yaml": []byte(spec)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	set, err := dataset.Open(dataset.Inputs(m.Graph), dataset.Options{Path: filepath.Join(dir, "d.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestPairDoesNotDependOnThreads(t *testing.T) {
	a, m := adder(t, 0)
	b, _ := adder(t, 0.5)
	set := samples(t, m, 20, "")
	outputs := []Output{{Name: "y", Kind: drift.Logits, Axis: -1}, {Name: "next", Kind: drift.Values}}
	var first []Figures
	for _, threads := range []int{1, 2, 7} {
		told := 0
		got, err := (&Pair{A: a, B: b, Outputs: outputs}).Run(context.Background(), set, nil, threads, func(done, total int) { told = done })
		if err != nil || told != 20 {
			t.Fatalf("%d threads: %v, progress up to %d", threads, err, told)
		}
		if first == nil {
			first = got
		}
		if fmt.Sprint(got) != fmt.Sprint(first) {
			t.Errorf("%d threads give other figures", threads)
		}
	}
	// the difference of the outputs is (0.5, 0) for every sample: noise 20 * 0.25
	if f := first[0]; f.Rows != 20 || f.MaxAbs != 0.5 || f.Name != "y" || len(f.WorstNames) != 10 || f.WorstNames[0] == "" {
		t.Errorf("figures %+v", f)
	}
	some, err := (&Pair{A: a, B: b, Outputs: outputs}).Run(context.Background(), set, []int{3, 19}, 2, nil)
	if err != nil || some[0].Rows != 2 {
		t.Errorf("two of the samples: %+v, %v", some, err)
	}
}

func TestCarriedStateGoesFromStepToStep(t *testing.T) {
	a, m := adder(t, 0)
	set := samples(t, m, 4, "carry: {next: s}\n")
	var firsts []float32
	err := Execute(context.Background(), a, set, nil, 2, func(_ int, _ *dataset.Sample, got map[string]*onnxio.Array) error {
		firsts = append(firsts, got["y"].F32()[0])
		return nil
	})
	if want := []float32{0, 2, 4, 6}; err != nil || !slices.Equal(firsts, want) { // i + state i
		t.Errorf("outputs %v, %v, want %v", firsts, err, want)
	}
	feeds, err := Feeds(context.Background(), a, set, []int{2})
	if err != nil || feeds[0]["s"].F32()[0] != 2 {
		t.Errorf("state fed at step 2: %v, %v, want 2", feeds, err)
	}
	got, err := (&Pair{A: a, B: a, Outputs: []Output{{Name: "y", Kind: drift.Values}}}).Run(context.Background(), set, []int{1, 3}, 2, nil)
	if err != nil || got[0].Samples != 2 || got[0].MaxAbs != 0 {
		t.Errorf("a pair with state: %+v, %v", got, err)
	}
}

func TestOutputsMustBeComparable(t *testing.T) {
	a, m := adder(t, 0)
	set := samples(t, m, 2, "")
	_, err := (&Pair{A: a, B: a, Outputs: []Output{{Name: "none"}}}).Run(context.Background(), set, nil, 1, nil)
	if err == nil || err.Error() != `comparing output "none": one of the models does not have it` {
		t.Errorf("error %v", err)
	}
	wide := graph(13, []*onnxio.ValueInfo{out("y", 1, 4), out("next", 1)}, node("Concat", []string{"x", "x"}, []string{"y"}, axis(1)), node("Identity", []string{"s"}, []string{"next"}))
	wide.Graph.Inputs = m.Graph.Inputs
	b, err := infer.Compile(wide)
	if err != nil {
		t.Fatal(err)
	}
	_, err = (&Pair{A: a, B: b, Outputs: []Output{{Name: "y"}}}).Run(context.Background(), set, nil, 1, nil)
	if err == nil || err.Error() != `comparing output "y": shape [1 2] against [1 4]` {
		t.Errorf("error %v", err)
	}
}
