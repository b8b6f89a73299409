package verify

import (
	"context"
	"math"
	"path/filepath"
	"reflect"
	"testing"

	"bq/internal/dataset"
	"bq/internal/infer"
	"bq/onnxio"
)

// twoLayers is h = x w0, y = h w1 for rows x of two values.
func twoLayers(t *testing.T, w0, w1 []float32, nodes ...*onnxio.Node) Side {
	t.Helper()
	row := func(name string) *onnxio.ValueInfo {
		shape := []onnxio.Dim{{Value: 1, Known: true}, {Value: 2, Known: true}}
		return &onnxio.ValueInfo{Name: name, Type: &onnxio.TensorType{Elem: onnxio.Float, HasShape: true, Shape: shape}}
	}
	if nodes == nil {
		nodes = []*onnxio.Node{
			{Name: "first", OpType: "MatMul", Inputs: []string{"x", "w0"}, Outputs: []string{"h"}},
			{Name: "second", OpType: "MatMul", Inputs: []string{"h", "w1"}, Outputs: []string{"y"}},
		}
	}
	m := &onnxio.Model{IRVersion: 8, Opsets: []*onnxio.Opset{{Version: 13}}, Graph: &onnxio.Graph{
		Inputs: []*onnxio.ValueInfo{row("x")}, Outputs: []*onnxio.ValueInfo{row("y")}, Nodes: nodes,
		Initializers: []*onnxio.Tensor{onnxio.NewTensor("w0", onnxio.Floats(w0, 2, 2)), onnxio.NewTensor("w1", onnxio.Floats(w1, 2, 2))},
	}}
	p, err := infer.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	return Side{Model: Model{Path: "m.onnx", Format: "onnx"}, Program: p, Graph: m}
}

var (
	identity = []float32{1, 0, 0, 1}
	double   = []float32{2, 0, 0, 2}
)

// x = (1, 2) and (3, 4), whose squares sum to 30. Both layers of A are the identity. B's first layer doubles: its noise
// at h is x itself, injected and accumulated; the second layer passes it on and adds none of its own.
func TestNodeDriftByHand(t *testing.T) {
	a := twoLayers(t, identity, identity)
	data := set(t, a, []float32{1, 2, 3, 4}, nil)
	cases := []struct {
		name           string
		b              Side
		h, y           float64 // accumulated
		hAlone, yAlone float64 // injected
	}{
		{"equal", a, 0, 0, 0, 0},
		{"first layer", twoLayers(t, double, identity), 30, 30, 30, 0},
		{"second layer", twoLayers(t, identity, double), 0, 30, 0, 30},
		{"both", twoLayers(t, double, double), 30, 9 * 30, 30, 30},
	}
	for _, c := range cases {
		for _, threads := range []int{1, 3} {
			list, err := Nodes(context.Background(), a, c.b, data, NodeOptions{Threads: threads})
			if err != nil || len(list) != 2 {
				t.Fatalf("%s: %v, %v", c.name, list, err)
			}
			h, y := list[0], list[1]
			if h.Output != "h" || h.Op != "MatMul" || h.Node != "first" || y.Output != "y" || h.Signal != 30 || y.Signal != 30 {
				t.Errorf("%s: %+v", c.name, list)
			}
			if h.Accumulated != c.h || y.Accumulated != c.y || h.Injected != c.hAlone || y.Injected != c.yAlone {
				t.Errorf("%s: h %v, %v alone; y %v, %v alone", c.name, h.Accumulated, h.Injected, y.Accumulated, y.Injected)
			}
		}
	}
}

func TestSQNR(t *testing.T) {
	for _, c := range []struct{ signal, noise, want float64 }{{100, 1, 20}, {1, 100, -20}, {1, 0, math.Inf(1)}, {0, 0, math.Inf(1)}} {
		if got := SQNR(c.signal, c.noise); got != c.want {
			t.Errorf("%v over %v: %v dB, want %v", c.signal, c.noise, got, c.want)
		}
	}
	if got := SQNR(0, 1); !math.IsNaN(got) {
		t.Errorf("no signal: %v", got)
	}
}

// Of 1, 2, 3, 4 half lie outside [2, 3]; of the samples 0 and 2 of 4, taken evenly, none lies outside [0, 9].
func TestRangesAndSamples(t *testing.T) {
	a := twoLayers(t, identity, identity)
	list, err := Nodes(context.Background(), a, a, set(t, a, []float32{1, 2, 3, 4}, nil), NodeOptions{Ranges: map[string]Range{"h": {2, 3}}, Threads: 1})
	if err != nil || list[0].Outside != 0.5 || list[1].Outside != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	list, err = Nodes(context.Background(), a, a, set(t, a, []float32{1, 1, 99, 0, 2, 2, 99, 0}, nil), NodeOptions{Ranges: map[string]Range{"h": {0, 9}}, Threads: 1, Samples: Spread(4, 2)})
	if err != nil || list[0].Outside != 0 || list[0].Signal != 10 {
		t.Errorf("%+v, %v", list, err)
	}
}

// B computes in another order, and values that A does not have: those of both names are compared all the same.
func TestNodesInAnotherOrder(t *testing.T) {
	node := func(op, out string, in ...string) *onnxio.Node {
		return &onnxio.Node{OpType: op, Inputs: in, Outputs: []string{out}}
	}
	p, q, y := node("MatMul", "p", "x", "w0"), node("MatMul", "q", "x", "w1"), node("Add", "y", "p", "q")
	a := twoLayers(t, identity, double, p, q, y)
	b := twoLayers(t, double, double, q, p, node("Identity", "r", "p"), node("Add", "y", "r", "q"))
	list, err := Nodes(context.Background(), a, b, set(t, a, []float32{1, 2}, nil), NodeOptions{Threads: 1})
	if err != nil || len(list) != 3 {
		t.Fatalf("%+v, %v", list, err)
	}
	at := map[string]NodeDrift{}
	for _, d := range list {
		at[d.Output] = d
	}
	if at["p"].Accumulated != 5 || at["q"].Accumulated != 0 || at["y"].Accumulated != 5 || at["y"].Injected != 0 || at["p"].Injected != 5 {
		t.Errorf("%+v", list)
	}
}

// A value of another shape, and a model that fails.
func TestNodesThatCannotBeCompared(t *testing.T) {
	a := twoLayers(t, identity, identity)
	wide := twoLayers(t, identity, identity, &onnxio.Node{OpType: "Concat", Inputs: []string{"x", "x"}, Outputs: []string{"h"},
		Attributes: []*onnxio.Attribute{{Name: "axis", Type: onnxio.AttrInt, I: 1}}},
		&onnxio.Node{OpType: "MatMul", Inputs: []string{"x", "w1"}, Outputs: []string{"y"}})
	list, err := Nodes(context.Background(), a, wide, set(t, a, []float32{1, 2}, nil), NodeOptions{Threads: 1})
	if err != nil || len(list) != 1 || list[0].Output != "y" {
		t.Errorf("%+v, %v", list, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Nodes(ctx, a, a, set(t, a, []float32{1, 2}, nil), NodeOptions{Threads: 1}); err == nil {
		t.Error("a cancelled run gives a result")
	}
}

// Values of subgraphs count too; those of a branch that does not run are not there.
func TestNodesInBranches(t *testing.T) {
	f, err := onnxio.Open(filepath.Join("..", "testdata", "small", "branch.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := infer.Compile(f.Model)
	if err != nil {
		t.Fatal(err)
	}
	a := Side{Program: p, Graph: f.Model}
	data, err := dataset.Open(dataset.Inputs(f.Model.Graph), dataset.Options{Synthetic: 3})
	if err != nil {
		t.Fatal(err)
	}
	one, err := Nodes(context.Background(), a, a, data, NodeOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	three, err := Nodes(context.Background(), a, a, data, NodeOptions{Threads: 3})
	if err != nil || !reflect.DeepEqual(one, three) {
		t.Errorf("%+v and %+v, %v", one, three, err)
	}
	if len(one) < 2 {
		t.Errorf("only %+v", one)
	}
}
