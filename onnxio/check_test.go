package onnxio

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckTakesRealModels(t *testing.T) {
	for _, path := range zooModels(t) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Parse(b)
		if err == nil {
			err = m.Check()
		}
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
	}
}

func TestCheckTakesConformanceModels(t *testing.T) {
	eachCase(t, func(name string, b []byte) {
		m, err := Parse(b)
		if err == nil {
			err = m.Check()
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
}

// branch is an If node whose one branch computes "inner" from what and gives out.
func branch(cond, what, out string) *Node {
	body := &Graph{Name: "body", Nodes: []*Node{{OpType: "Neg", Inputs: []string{what}, Outputs: []string{"inner"}}}, Outputs: []*ValueInfo{{Name: out}}}
	return &Node{Name: "if", OpType: "If", Inputs: []string{cond}, Outputs: []string{"R"}, Attributes: []*Attribute{{Name: "then_branch", Type: AttrGraph, G: body}}}
}

func TestCheck(t *testing.T) {
	add := func(nodes ...*Node) func(*Model) {
		return func(m *Model) { m.Graph.Nodes = append(m.Graph.Nodes, nodes...) }
	}
	constant := &Node{OpType: "Constant", Outputs: []string{"B"}, Attributes: []*Attribute{{Name: "value_int", Type: AttrInt, I: 1}}}
	cases := []struct {
		name   string
		change func(*Model)
		want   string // "" where ONNX Runtime takes the model
	}{
		{"as it is", func(*Model) {}, ""},
		{"no nodes", func(m *Model) { m.Graph.Nodes, m.Graph.Outputs = nil, nil }, ""},
		{"any order", func(m *Model) { n := m.Graph.Nodes; n[0], n[1] = n[1], n[0] }, ""},
		{"same node names", func(m *Model) { m.Graph.Nodes[1].Name = "add" }, ""},
		{"initializer twice", func(m *Model) { m.Graph.Initializers = append(m.Graph.Initializers, m.Graph.Initializers[0]) }, ""},
		{"initializer and Constant", add(constant), ""},
		{"optional input and output", add(&Node{OpType: "Dropout", Inputs: []string{"X", "", ""}, Outputs: []string{"d", ""}}), ""},
		{"output twice", add(&Node{Name: "n", OpType: "Neg", Inputs: []string{"X"}, Outputs: []string{"S"}}), `graph: node 2 "n" (Neg): output "S" is defined twice`},
		{"output twice in one node", add(&Node{OpType: "Split", Inputs: []string{"X"}, Outputs: []string{"p", "p"}}), `graph: node 2 (Split): output "p" is defined twice`},
		{"output is an input", add(&Node{OpType: "Neg", Inputs: []string{"X"}, Outputs: []string{"X"}}), `output "X" is defined twice`},
		{"output is an initializer", add(&Node{OpType: "Neg", Inputs: []string{"X"}, Outputs: []string{"B"}}), `output "B" is defined twice`},
		{"missing input", add(&Node{OpType: "Add", Inputs: []string{"X", "nothing"}, Outputs: []string{"Z"}}), `graph: node 2 (Add): input 1 "nothing" is neither`},
		{"missing output", func(m *Model) { m.Graph.Outputs[0].Name = "nothing" }, `graph: output "nothing": no node computes it`},
		{"reads itself", add(&Node{Name: "n", OpType: "Neg", Inputs: []string{"Z"}, Outputs: []string{"Z"}}), `nodes wait for each other: node 2 "n" (Neg)`},
		{"cycle", func(m *Model) { m.Graph.Nodes[0].Inputs[1] = "Y" }, `graph: nodes wait for each other: node 1 "relu" (Relu), node 0 "add" (Add)`},
		{"branch reads outer", add(branch("X", "S", "inner")), ""},
		{"branch gives outer", add(branch("X", "S", "Y")), ""},
		{"branch reads what comes of it", add(branch("X", "R", "inner")), `nodes wait for each other: node 2 "if" (If)`},
		{"branch gives what comes of it", add(branch("X", "X", "R")), `nodes wait for each other: node 2 "if" (If)`},
		{"branch has its own Y", func(m *Model) {
			n := branch("X", "X", "Y")
			n.Attributes[0].G.Nodes[0].Outputs[0], n.Outputs[0] = "Y", "B2"
			m.Graph.Nodes[0].Inputs[1] = "B2" // Y of the graph comes of the branch, that in the branch does not
			m.Graph.Nodes = append(m.Graph.Nodes, n)
		}, ""},
		{"branch reads nothing", add(branch("X", "gone", "inner")), `graph: node 2 "if" (If): attribute "then_branch": node 0 (Neg): input 0 "gone" is neither`},
		{"inner value is not seen outside", add(branch("X", "X", "inner"), &Node{OpType: "Neg", Inputs: []string{"inner"}, Outputs: []string{"q"}}), `input 0 "inner" is neither`},
		{"wrong attribute", func(m *Model) {
			m.Graph.Nodes[0].Attributes = []*Attribute{{Name: "axis", Type: AttrInt, Ints: []int64{1}}}
		}, `graph: node 0 "add" (Add): attribute "axis": its type is INT, but it holds a value of type INTS`},
		{"zero attribute", func(m *Model) { m.Graph.Nodes[0].Attributes = []*Attribute{{Name: "axis", Type: AttrInt}} }, ""},
		{"function", func(m *Model) {
			m.Functions = []*Function{{Name: "f", Domain: "d", Inputs: []string{"a"}, Nodes: []*Node{{OpType: "Add", Inputs: []string{"a", "X"}, Outputs: []string{"b"}}}}}
		}, `function "d::f": node 0 (Add): input 1 "X" is neither`},
	}
	for _, c := range cases {
		m := tiny()
		c.change(m)
		err := m.Check()
		var fe *FormatError
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (!errors.As(err, &fe) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want a FormatError with %q", c.name, err, c.want)
		}
	}
}

// A sparse initializer goes by the name of its values (onnx.proto, GraphProto.sparse_initializer).
func TestCheckKnowsSparseInitializers(t *testing.T) {
	e := &encoder{}
	e.msg(sparseValues, NewTensor("B", Floats([]float32{1}, 1)))
	sparse := &encoder{}
	sparse.sub(sparseInitializer, e)
	m := tiny()
	m.Graph.Initializers = nil
	if err := m.Check(); err == nil {
		t.Error("a missing initializer was not reported")
	}
	m.Graph.src = sparse.finish()[0]
	if err := m.Check(); err != nil {
		t.Error(err)
	}
}

func TestLongCyclesAreCut(t *testing.T) {
	m := tiny()
	for i := range 7 {
		m.Graph.Nodes = append(m.Graph.Nodes, &Node{OpType: "Neg", Inputs: []string{string(rune('a' + (i+1)%7))}, Outputs: []string{string(rune('a' + i))}})
	}
	if err := m.Check(); err == nil || !strings.HasSuffix(err.Error(), "and 2 more") {
		t.Errorf("error %v, want one that ends with what it left out", err)
	}
}
