package opset

import (
	"strings"
	"testing"

	"bq/onnxio"
)

// TestSubgraphs raises the bodies of If and Loop: a constant of theirs is an initializer of the main graph.
func TestSubgraphs(t *testing.T) {
	branch := func(op string, attributes ...*onnxio.Attribute) *onnxio.Graph {
		return &onnxio.Graph{Name: op, Nodes: []*onnxio.Node{newNode(op, "x", "b", attributes...)}, Outputs: []*onnxio.ValueInfo{declare("b", onnxio.Float)}}
	}
	m := modelOf(11, newNode("If", "c", "y", graphAttr("then_branch", branch("Squeeze", integers("axes", 0))), graphAttr("else_branch", branch("ReduceSum", integers("axes", 0)))))
	m.Graph.Inputs = []*onnxio.ValueInfo{declare("x", onnxio.Float, 1, 2), declare("c", onnxio.Bool)}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "y"}}
	before := m.Bytes()
	if err := Raise(m, 13); err != nil {
		t.Fatal(err)
	}
	names := ""
	for _, i := range m.Graph.Initializers {
		names += i.Name + " "
	}
	if names != "b/axes b/axes.2 " {
		t.Errorf("initializers %s", names)
	}
	old, err := onnxio.Parse(before)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []bool{true, false} {
		in := arrays{floats([]int{1, 2}, 1, 2), {Type: onnxio.Bool, Shape: []int{}, Data: []bool{c}}}
		want, err := run(old, in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := run(reread(t, m), in)
		if err != nil {
			t.Fatal(err)
		}
		if d, err := difference(got[0], want[0]); d != 0 || err != nil {
			t.Errorf("%v: %v, want %v, %v", c, got[0].Data, want[0].Data, err)
		}
	}
}

// TestRefusedInside names the way to a node of a subgraph.
func TestRefusedInside(t *testing.T) {
	body := &onnxio.Graph{Nodes: []*onnxio.Node{newNode("Nonsense", "x", "b")}, Outputs: []*onnxio.ValueInfo{{Name: "b"}}}
	n := newNode("If", "c", "y", graphAttr("then_branch", body), graphAttr("else_branch", body))
	n.Name = "vad"
	m := modelOf(11, n)
	m.Graph.Inputs = []*onnxio.ValueInfo{declare("x", onnxio.Float, 1), declare("c", onnxio.Bool)}
	if err := Raise(m, 13); err == nil || !strings.HasPrefix(err.Error(), `node 0 "vad" (If): node 0 (Nonsense): raising to operator set 13`) {
		t.Errorf("%v", err)
	}
}

// TestFunctions raises local functions by their own version, with their constants as nodes; a function in place of an
// operator is no operator.
func TestFunctions(t *testing.T) {
	f := &onnxio.Function{Name: "sum", Domain: "own", Inputs: []string{"a"}, Outputs: []string{"b"}, Opsets: []*onnxio.Opset{{Version: 11}},
		Nodes: []*onnxio.Node{newNode("ReduceSum", "a", "s", integers("axes", 1)), newNode("Clip", "s", "b", floating("max", 5))}}
	relu := &onnxio.Function{Name: "Nonsense", Domain: "", Inputs: []string{"a"}, Outputs: []string{"b"}, Opsets: []*onnxio.Opset{{Version: 18}},
		Nodes: []*onnxio.Node{newNode("ReduceMax", "a", "b")}}
	call := newNode("sum", "x", "s")
	call.Domain = "own"
	m := modelOf(14, call, newNode("Nonsense", "s", "y"))
	m.Functions, m.IRVersion = []*onnxio.Function{f, relu}, 8
	m.Opsets = append(m.Opsets, &onnxio.Opset{Domain: "own", Version: 1})
	m.Graph.Inputs, m.Graph.Outputs = []*onnxio.ValueInfo{declare("x", onnxio.Float, 2, 2)}, []*onnxio.ValueInfo{{Name: "y"}}
	f.Opsets[0].Version = 10 // where the bounds of Clip are attributes
	if err := Raise(m, 18); err != nil {
		t.Fatal(err)
	}
	if f.Opsets[0].Version != 18 || relu.Opsets[0].Version != 18 || len(m.Graph.Initializers) != 0 {
		t.Errorf("versions %d and %d, %d initializers", f.Opsets[0].Version, relu.Opsets[0].Version, len(m.Graph.Initializers))
	}
	if ops := opsOf(f.Nodes); ops != "ReduceSum CastLike CastLike Clip" {
		t.Errorf("nodes %s", ops)
	}
	got, err := run(reread(t, m), arrays{floats([]int{2, 2}, 1, 2, 3, 4)})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := difference(got[0], floats([]int{1, 1}, 5)); d != 0 || err != nil {
		t.Errorf("%v, %v", got[0].Data, err)
	}
	f.Opsets[0].Version, f.Nodes, m.Opsets[0].Version = 10, []*onnxio.Node{newNode("Clip", "a", "b")}, 10
	if err := Raise(m, 11); err == nil || !strings.Contains(err.Error(), `function "own::sum": node 0 (Clip): raising to operator set 11: the element type of input "a" is not known`) {
		t.Errorf("%v", err)
	}
}

// TestScan: running sums of a batch of two sequences of three steps, the second input backward.
func TestScan(t *testing.T) {
	body := &onnxio.Graph{Name: "body", Nodes: []*onnxio.Node{newNode("Add", "s e", "t"), newNode("Squeeze", "w", "v", integers("axes", 0)), newNode("Sum", "t v", "o")},
		Inputs:  []*onnxio.ValueInfo{declare("s", onnxio.Float), declare("e", onnxio.Float), declare("w", onnxio.Float, 1)},
		Outputs: []*onnxio.ValueInfo{declare("t", onnxio.Float), declare("o", onnxio.Float)}}
	m := modelOf(8, newNode("Scan", "_ x x1 x2", "y z", graphAttr("body", body), integer("num_scan_inputs", 2), integers("directions", 0, 1)))
	m.Graph.Inputs = []*onnxio.ValueInfo{declare("x", onnxio.Float, 2), declare("x1", onnxio.Float, 2, 3), declare("x2", onnxio.Float, 2, 3, 1)}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "y"}, {Name: "z"}}
	in := arrays{floats([]int{2}, 0, 100), floats([]int{2, 3}, 1, 2, 3, 4, 5, 6), floats([]int{2, 3, 1}, .1, .2, .3, .4, .5, .6)}
	want := arrays{floats([]int{2}, 6, 115), floats([]int{2, 3}, 1.3, 3.2, 6.1, 104.6, 109.5, 115.4)}
	old := reread(t, m)
	for _, to := range []int64{9, 11, 13, 21} {
		m := reread(t, m)
		if err := Raise(m, to); err != nil {
			t.Fatal(err)
		}
		checkForms(t, "Scan", m)
		for _, m := range []*onnxio.Model{old, reread(t, m)} {
			got, err := run(m, in)
			if err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if d, err := difference(got[i], want[i]); d > handTolerance || err != nil {
					t.Errorf("to %d: output %d: %v, want %v, %v", to, i, got[i].Data, want[i].Data, err)
				}
			}
		}
	}
}
