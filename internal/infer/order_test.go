package infer

import (
	"slices"
	"strings"
	"testing"

	"bq/onnxio"
)

func chain(nodes ...[2][]string) *onnxio.Graph {
	g := &onnxio.Graph{}
	for _, n := range nodes {
		g.Nodes = append(g.Nodes, &onnxio.Node{OpType: "Relu", Inputs: n[0], Outputs: n[1]})
	}
	return g
}

func TestOrdered(t *testing.T) {
	in := func(names ...string) []string { return names }
	inner := chain([2][]string{in("b"), in("inner")})
	nested := chain([2][]string{in("x"), in("y")}, [2][]string{in("a"), in("b")}, [2][]string{in("x"), in("a")})
	nested.Nodes[0].Attributes = []*onnxio.Attribute{{Name: "then_branch", Type: onnxio.AttrGraph, G: inner}}
	cases := []struct {
		name string
		g    *onnxio.Graph
		want []int
	}{
		{"empty", chain(), nil},
		{"in order", chain([2][]string{in("x"), in("a")}, [2][]string{in("a"), in("b")}), []int{0, 1}},
		{"backwards", chain([2][]string{in("b"), in("c")}, [2][]string{in("a"), in("b")}, [2][]string{in("x"), in("a")}), []int{2, 1, 0}},
		{"as early as can be, else by place", chain([2][]string{in("a"), in("b")}, [2][]string{in("x"), in("c")}, [2][]string{in("x"), in("a")}), []int{1, 2, 0}},
		{"a name read twice", chain([2][]string{in("a", "a"), in("b")}, [2][]string{in("x"), in("a")}), []int{1, 0}},
		{"a cycle comes last", chain([2][]string{in("b"), in("a")}, [2][]string{in("a"), in("b")}, [2][]string{in("x"), in("c")}), []int{2, 0, 1}},
		{"a subgraph reads it", nested, []int{2, 1, 0}},
	}
	for _, c := range cases {
		got, stuck := ordered(c.g)
		if !slices.Equal(got, c.want) || stuck > 0 != strings.HasPrefix(c.name, "a cycle") {
			t.Errorf("%s: %v with %d stuck, want %v", c.name, got, stuck, c.want)
		}
	}
}

func TestUnorderedModelRuns(t *testing.T) {
	m := &onnxio.Model{IRVersion: 8, Opsets: []*onnxio.Opset{{Version: 13}}, Graph: chain([2][]string{{"a"}, {"y"}}, [2][]string{{"x"}, {"a"}})}
	m.Graph.Inputs = []*onnxio.ValueInfo{{Name: "x", Type: &onnxio.TensorType{Elem: onnxio.Float}}}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "y"}}
	p, err := Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Run(map[string]*onnxio.Array{"x": onnxio.Floats([]float32{-1, 2}, 2)}, nil)
	if err != nil || !slices.Equal(out["y"].F32(), []float32{0, 2}) {
		t.Errorf("got %v, %v", out, err)
	}
	m.Graph.Nodes[1].Inputs[0] = "y"
	if _, err := Compile(m); err == nil {
		t.Error("a cycle compiled")
	}
}
