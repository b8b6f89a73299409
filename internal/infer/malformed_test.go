package infer

import (
	"errors"
	"strings"
	"testing"

	"bq/onnxio"
)

// TestMalformedGraphs compiles graphs that contradict themselves; each error names the place.
func TestMalformedGraphs(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes []*onnxio.Node
		want  string
	}{
		{"undefined", []*onnxio.Node{newNode("Relu", "ghost", "y")}, `node 0 (Relu): input "ghost" is neither a graph input`},
		{"cycle", []*onnxio.Node{newNode("Relu", "b", "a"), newNode("Abs", "a", "b"), newNode("Relu", "b", "y")},
			`node 0 (Relu): input "b" comes from a cycle of nodes: node 0 (Relu) from node 1 (Abs) from the first`},
		{"behind a cycle", []*onnxio.Node{newNode("Neg", "b", "y"), newNode("Relu", "b", "a"), newNode("Abs", "a", "b")},
			`node 0 (Neg): input "b" comes from a cycle of nodes: node 2 (Abs) from node 1 (Relu) from the first`},
		{"long cycle", []*onnxio.Node{newNode("Neg", "f", "a"), newNode("Neg", "a", "b"), newNode("Neg", "b", "c"), newNode("Neg", "c", "d"),
			newNode("Neg", "d", "e"), newNode("Neg", "e", "f"), newNode("Neg", "f", "y")}, "from 2 more from the first"},
		{"cycle through a branch", []*onnxio.Node{newNode("If", "c", "y", graphAttr("then_branch", branch("Neg", "y")), graphAttr("else_branch", branch("Neg", "x")))},
			`input "y" comes from a cycle of nodes: node 0 (If) from the first`},
		{"itself", []*onnxio.Node{newNode("Relu", "y", "y")}, `input "y" comes from a cycle of nodes: node 0 (Relu) from the first`},
		{"twice", []*onnxio.Node{newNode("Relu", "x", "y"), newNode("Abs", "x", "y")}, `node 1 (Abs): output "y" is defined twice`},
		{"twice in one node", []*onnxio.Node{newNode("Split", "x", "y y")}, `node 0 (Split): output "y" is defined twice`},
		{"output named as an input", []*onnxio.Node{newNode("Relu", "x", "x"), newNode("Relu", "x", "y")}, `node 0 (Relu): output "x" is defined twice`},
		{"output named as an initializer", []*onnxio.Node{newNode("Relu", "x", "w"), newNode("Relu", "w", "y")}, `node 0 (Relu): output "w" is defined twice`},
		{"no output", []*onnxio.Node{newNode("Relu", "x", "z")}, `graph output "y": no node computes it`},
		{"no outputs", []*onnxio.Node{newNode("Relu", "x", "")}, "node 0 (Relu): no outputs"},
		{"too many outputs", []*onnxio.Node{newNode("Relu", "x", "y z")}, "node 0 (Relu): 2 outputs, want at most 1"},
		{"too many inputs", []*onnxio.Node{newNode("Relu", "x x", "y")}, "node 0 (Relu): 2 inputs, want at most 1"},
		{"missing input", []*onnxio.Node{newNode("Add", "x", "y")}, "node 0 (Add): input 1 is missing"},
		{"empty input", []*onnxio.Node{newNode("Conv", "_ w", "y")}, "node 0 (Conv): input 0 is missing"},
		{"no branch", []*onnxio.Node{newNode("If", "c", "y")}, `attribute "then_branch": no graph`},
		{"branch of other outputs", []*onnxio.Node{newNode("If", "c", "y z", graphAttr("then_branch", branch("Neg", "x")), graphAttr("else_branch", branch("Neg", "x")))},
			"node 0 (If): branch with 0 inputs and 1 outputs, want 0 and 2"},
		{"undefined in a branch", []*onnxio.Node{newNode("If", "c", "y", graphAttr("then_branch", branch("Neg", "ghost")), graphAttr("else_branch", branch("Neg", "x")))},
			`attribute "then_branch": node 0 (Neg): input "ghost" is neither`},
		{"attribute of another type", []*onnxio.Node{newNode("LeakyRelu", "x", "y", integerAttr("alpha", 1))}, `node 0 (LeakyRelu): attribute "alpha": type 2, want 1`},
		{"k twice", []*onnxio.Node{newNode("TopK", "x", "y z", integerAttr("k", 1))}, "node 0 (TopK)"},
	} {
		m := modelOf(13, c.nodes...)
		m.Graph.Inputs, m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "x"}, {Name: "c"}}, []*onnxio.ValueInfo{{Name: "y"}}
		m.Graph.Initializers = []*onnxio.Tensor{onnxio.NewTensor("w", onnxio.Floats([]float32{1}, 1))}
		_, err := Compile(m)
		var format *onnxio.FormatError
		if !errors.As(err, &format) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

// TestMalformedModels is the same for what stands outside the nodes.
func TestMalformedModels(t *testing.T) {
	short := onnxio.NewTensor("w", onnxio.Floats([]float32{1, 2}, 2))
	short.Dims = []int64{3}
	vast := onnxio.NewTensor("w", onnxio.Floats(nil, 0))
	vast.Dims = []int64{1 << 40, 1 << 40}
	spread := onnxio.NewTensor("w", onnxio.Floats(nil, 0))
	spread.Dims = []int64{0, 1 << 40}
	w := onnxio.NewTensor("w", onnxio.Floats([]float32{1}, 1))
	for _, c := range []struct {
		name   string
		change func(g *onnxio.Graph)
		want   string
	}{
		{"input twice", func(g *onnxio.Graph) { g.Inputs = append(g.Inputs, &onnxio.ValueInfo{Name: "x"}) }, `graph input "x": defined twice`},
		{"initializer twice", func(g *onnxio.Graph) { g.Initializers = []*onnxio.Tensor{w, w} }, `initializer "w": defined twice`},
		{"short initializer", func(g *onnxio.Graph) { g.Initializers = []*onnxio.Tensor{short} }, `"w"`},
		{"initializer of impossible shape", func(g *onnxio.Graph) { g.Initializers = []*onnxio.Tensor{vast} }, `"w"`},
		{"empty initializer of impossible shape", func(g *onnxio.Graph) { g.Initializers = []*onnxio.Tensor{spread} }, `initializer "w": an empty value of shape`},
	} {
		m := modelOf(13, newNode("Relu", "x", "y"))
		m.Graph.Inputs, m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "x"}}, []*onnxio.ValueInfo{{Name: "y"}}
		c.change(m.Graph)
		_, err := Compile(m)
		var format *onnxio.FormatError
		if !errors.As(err, &format) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	if _, err := Compile(&onnxio.Model{}); err == nil {
		t.Error("a model without graph compiles")
	}
}
