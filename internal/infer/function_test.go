package infer

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"bq/onnxio"
)

// scaleModel calls a function of domain "local" that multiplies its first input by an attribute and adds its second,
// where that is given.
func scaleModel(callInputs string, attrs ...*onnxio.Attribute) *onnxio.Model {
	m := modelOf(18, newNode("ScaleAdd", callInputs, "y", attrs...))
	m.Graph.Nodes[0].Domain = "local"
	m.Graph.Inputs = []*onnxio.ValueInfo{{Name: "x"}, {Name: "b"}}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "y"}}
	m.Opsets = append(m.Opsets, &onnxio.Opset{Domain: "local", Version: 1})
	value := &onnxio.Attribute{Name: "value_float", Type: onnxio.AttrFloat, RefName: "by"}
	m.Functions = []*onnxio.Function{{
		Name: "ScaleAdd", Domain: "local", Inputs: []string{"v", "w"}, Outputs: []string{"out"},
		Defaults: []*onnxio.Attribute{floatAttr("by", 3)}, Opsets: []*onnxio.Opset{{Version: 18}},
		Nodes: []*onnxio.Node{
			newNode("Constant", "", "f", value), newNode("Mul", "v f", "p"),
			newNode("OptionalHasElement", "w", "has"),
			newNode("If", "has", "out", graphAttr("then_branch", oneNodeGraph(newNode("Add", "p w", "t"))),
				graphAttr("else_branch", oneNodeGraph(newNode("Identity", "p", "t")))),
		},
	}}
	if strings.Contains(callInputs, "_") {
		m.Functions[0].Nodes = []*onnxio.Node{newNode("Constant", "", "f", value), newNode("Mul", "v f", "p"), newNode("Clip", "p w", "out")}
	}
	return m
}

func oneNodeGraph(n *onnxio.Node) *onnxio.Graph {
	return &onnxio.Graph{Nodes: []*onnxio.Node{n}, Outputs: []*onnxio.ValueInfo{{Name: "t"}}}
}

func TestFunctions(t *testing.T) {
	cases := []struct {
		name  string
		model *onnxio.Model
		want  []float32
	}{
		{"default attribute", scaleModel("x b"), []float32{4, 7}},
		{"given attribute", scaleModel("x b", floatAttr("by", -2)), []float32{-1, -3}},
		{"input left out", scaleModel("x _"), []float32{3, 6}},
	}
	feeds := map[string]*onnxio.Array{"x": onnxio.Floats([]float32{1, 2}, 2), "b": onnxio.Floats([]float32{1, 1}, 2)}
	for _, c := range cases {
		p, err := Compile(c.model)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var seen []string
		outs, err := p.Run(feeds, func(n *onnxio.Node, output string, v *onnxio.Array) (*onnxio.Array, error) {
			seen = append(seen, output)
			return nil, nil
		})
		if err != nil || !slices.Equal(outs["y"].F32(), c.want) {
			t.Errorf("%s: got %v, %v, want %v", c.name, outs["y"], err, c.want)
		}
		if !slices.Equal(seen, []string{"y"}) {
			t.Errorf("%s: the visitor saw %v, want the call alone", c.name, seen)
		}
	}
}

func TestFunctionErrors(t *testing.T) {
	recursive := scaleModel("x b")
	call := newNode("ScaleAdd", "v w", "out")
	call.Domain = "local"
	recursive.Functions[0].Nodes = []*onnxio.Node{call}
	recursive.Functions[0].Opsets = append(recursive.Functions[0].Opsets, &onnxio.Opset{Domain: "local", Version: 1})
	inputs := scaleModel("x b x")
	for name, m := range map[string]*onnxio.Model{"recursive": recursive, "too many inputs": inputs} {
		var format *onnxio.FormatError
		if _, err := Compile(m); !errors.As(err, &format) {
			t.Errorf("%s: error %v, want a format error", name, err)
		}
	}
	missing := scaleModel("x b")
	missing.Functions[0].Nodes[1].OpType = "NoSuchOperator"
	var unsupported *onnxio.UnsupportedError
	if _, err := Compile(missing); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "NoSuchOperator") {
		t.Errorf("error %v, want the operator named", err)
	}
}
