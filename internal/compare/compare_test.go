package compare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
func adder(t testing.TB, b float32) (*infer.Program, *onnxio.Model) {
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
func samples(t testing.TB, m *onnxio.Model, n int, extra string) *dataset.Set {
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
	fed, err := Samples(context.Background(), a, set, []int{2, 1})
	if err != nil || fed[0].Feeds["s"].F32()[0] != 2 || fed[0].Name != "x.npy[2]" || fed[1].Feeds["s"].F32()[0] != 1 {
		t.Errorf("fed at steps 2 and 1: %v, %v, want states 2 and 1", fed, err)
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

func TestSamplesOfASetWithoutState(t *testing.T) {
	a, m := adder(t, 0)
	set := samples(t, m, 4, "")
	fed, err := Samples(context.Background(), a, set, []int{3, 0})
	if err != nil || len(fed) != 2 || fed[0].Name != "x.npy[3]" || fed[0].Feeds["x"].F32()[0] != 3 || fed[1].Name != "x.npy[0]" {
		t.Errorf("samples 3 and 0: %v, %v", fed, err)
	}
	if fed, err := Samples(context.Background(), a, set, nil); err != nil || len(fed) != 0 {
		t.Errorf("no samples: %v, %v", fed, err)
	}
	if got := All(set); !slices.Equal(got, []int{0, 1, 2, 3}) {
		t.Errorf("all samples: %v", got)
	}
}

// picky fails on the rows of x whose index, x[0], is not below 2: it takes row x[0] of a table of two.
func picky(t *testing.T, m *onnxio.Model) *infer.Program {
	t.Helper()
	to := &onnxio.Attribute{Name: "to", Type: onnxio.AttrInt, I: int64(onnxio.Int64)}
	p := graph(13, []*onnxio.ValueInfo{out("y", 1, 2), out("next", 1)}, node("Cast", []string{"x"}, []string{"i"}, to),
		node("Gather", []string{"table", "i"}, []string{"y"}), node("Identity", []string{"s"}, []string{"next"}))
	p.Graph.Inputs = m.Graph.Inputs
	p.Graph.Initializers = []*onnxio.Tensor{onnxio.NewTensor("table", onnxio.Floats([]float32{1, 2}, 2))}
	program, err := infer.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// What goes wrong on a sample says on which, with state carried on and without.
func TestErrorsNameTheSample(t *testing.T) {
	good, m := adder(t, 0)
	bad := picky(t, m)
	ignore := func(int, *dataset.Sample, map[string]*onnxio.Array) error { return nil }
	ctx := context.Background()
	for _, extra := range []string{"", "carry: {next: s}\n"} {
		set := samples(t, m, 4, extra)
		outputs := []Output{{Name: "next"}}
		_, a := (&Pair{A: bad, B: good, Outputs: outputs}).Run(ctx, set, nil, 2, nil)
		_, b := (&Pair{A: good, B: bad, Outputs: outputs}).Run(ctx, set, nil, 2, nil)
		e := Execute(ctx, bad, set, nil, 2, ignore)
		for i, want := range []string{"running the reference on x.npy[2]: ", "running the model on x.npy[2]: ", "running the model on x.npy[2]: "} {
			if err := []error{a, b, e}[i]; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%q: error %v, want it to start with %s", extra, err, want)
			}
		}
		_, err := Samples(ctx, bad, set, []int{3})
		if carried := extra != ""; carried != (err != nil) || carried && !strings.HasPrefix(err.Error(), "running the model on x.npy[2]: ") {
			t.Errorf("%q: error %v of Samples", extra, err)
		}
		if err := Execute(ctx, bad, set, []int{0, 1}, 2, ignore); err != nil {
			t.Errorf("%q: samples behind the last one asked for were run: %v", extra, err)
		}
	}
}

func TestReferenceSeesEverySampleInOrder(t *testing.T) {
	a, m := adder(t, 0)
	set := samples(t, m, 9, "")
	var seen []string
	stop := errors.New("stop")
	pair := &Pair{A: a, B: a, Outputs: []Output{{Name: "y"}}, Reference: func(s *dataset.Sample, got map[string]*onnxio.Array) error {
		seen = append(seen, fmt.Sprint(s.Name, got["y"].F32()))
		if len(seen) == 3 {
			return stop
		}
		return nil
	}}
	_, err := pair.Run(context.Background(), set, nil, 4, nil)
	if want := []string{"x.npy[0][0 0]", "x.npy[1][1 -1]", "x.npy[2][2 -2]"}; err != stop || !slices.Equal(seen, want) {
		t.Errorf("error %v, seen %v, want %v", err, seen, want)
	}
}

func TestOutputsMustBeComparable(t *testing.T) {
	a, m := adder(t, 0)
	set := samples(t, m, 2, "")
	_, err := (&Pair{A: a, B: a, Outputs: []Output{{Name: "none"}}}).Run(context.Background(), set, nil, 1, nil)
	if err == nil || err.Error() != `comparing output "none" on x.npy[0]: one of the models does not have it` {
		t.Errorf("error %v", err)
	}
	wide := graph(13, []*onnxio.ValueInfo{out("y", 1, 4), out("next", 1)}, node("Concat", []string{"x", "x"}, []string{"y"}, axis(1)), node("Identity", []string{"s"}, []string{"next"}))
	wide.Graph.Inputs = m.Graph.Inputs
	b, err := infer.Compile(wide)
	if err != nil {
		t.Fatal(err)
	}
	_, err = (&Pair{A: a, B: b, Outputs: []Output{{Name: "y"}}}).Run(context.Background(), set, nil, 1, nil)
	if err == nil || err.Error() != `comparing output "y" on x.npy[0]: shape [1 2] against [1 4]` {
		t.Errorf("error %v", err)
	}
}

// Running and measuring 1000 samples of a small model, of which every second was asked for.
func BenchmarkPair(b *testing.B) {
	for _, extra := range []string{"", "carry: {next: s}\n"} {
		name := "apart"
		if extra != "" {
			name = "carried"
		}
		b.Run(name, func(b *testing.B) {
			a, m := adder(b, 0)
			other, _ := adder(b, 0.5)
			set := samples(b, m, 1000, extra)
			asked := make([]int, 500)
			for k := range asked {
				asked[k] = 2 * k
			}
			pair := &Pair{A: a, B: other, Outputs: []Output{{Name: "y", Kind: drift.Logits, Axis: -1}}}
			for b.Loop() {
				if _, err := pair.Run(context.Background(), set, asked, 2, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
