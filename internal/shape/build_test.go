package shape

import (
	"strconv"
	"strings"

	"bq/onnxio"
)

// The functions below write small models for tests.

// modelOf returns a model of the given default opset with these nodes; inputs and outputs are left to the caller.
func modelOf(opset int64, nodes ...*onnxio.Node) *onnxio.Model {
	return &onnxio.Model{IRVersion: 8, Opsets: []*onnxio.Opset{{Version: opset}, {Domain: "com.microsoft", Version: 1}, {Domain: "ai.onnx.ml", Version: 3}},
		Graph: &onnxio.Graph{Name: "g", Nodes: nodes}}
}

// newNode returns a node; inputs and outputs are names separated by spaces, _ for one that is not given.
func newNode(op, inputs, outputs string, attrs ...*onnxio.Attribute) *onnxio.Node {
	n := &onnxio.Node{OpType: op, Attributes: attrs}
	n.Inputs, n.Outputs = strings.Fields(inputs), strings.Fields(outputs)
	for _, list := range [][]string{n.Inputs, n.Outputs} {
		for i, s := range list {
			if s == "_" {
				list[i] = ""
			}
		}
	}
	return n
}

// types by name, as DataType writes them.
func typeNamed(name string) onnxio.DataType {
	for t := onnxio.DataType(0); t < 30; t++ {
		if t.String() == name {
			return t
		}
	}
	return onnxio.Undefined
}

// addInput gives the model an input or initializer of a text such as float32[N,3,?], float32[...], int64{2,-1} or int64=3.
func addInput(m *onnxio.Model, name, text string) {
	cut := strings.IndexAny(text, "[{=")
	t, rest := typeNamed(text[:cut]), text[cut:]
	switch rest[0] {
	case '{', '=':
		list := strings.Split(strings.Trim(rest, "{}="), ",")
		if rest == "{}" {
			list = nil
		}
		shape := []int{len(list)}
		if rest[0] == '=' {
			shape = []int{}
		}
		m.Graph.Initializers = append(m.Graph.Initializers, onnxio.NewTensor(name, arrayOf(t, shape, list)))
		return
	}
	v := &onnxio.ValueInfo{Name: name, Type: &onnxio.TensorType{Elem: t, HasShape: true}}
	for _, d := range strings.Split(strings.Trim(rest, "[]"), ",") {
		n, err := strconv.ParseInt(d, 10, 64)
		switch {
		case d == "...":
			v.Type.HasShape = false
		case d == "":
		case err == nil:
			v.Type.Shape = append(v.Type.Shape, onnxio.Dim{Known: true, Value: n})
		case d == "?":
			v.Type.Shape = append(v.Type.Shape, onnxio.Dim{})
		default:
			v.Type.Shape = append(v.Type.Shape, onnxio.Dim{Param: d})
		}
	}
	m.Graph.Inputs = append(m.Graph.Inputs, v)
}

func arrayOf(t onnxio.DataType, shape []int, list []string) *onnxio.Array {
	a := onnxio.NewArray(t, shape...)
	for i, s := range list {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			panic(err)
		}
		switch d := a.Data.(type) {
		case []float32:
			d[i] = float32(f)
		case []float64:
			d[i] = f
		case []int64:
			d[i], _ = strconv.ParseInt(s, 10, 64)
		case []int32:
			d[i] = int32(f)
		case []bool:
			d[i] = f != 0
		default:
			panic(t.String())
		}
	}
	return a
}

func integer(name string, v int64) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrInt, I: v}
}

func integers(name string, v ...int64) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrInts, Ints: v}
}

func floats(name string, v ...float32) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrFloats, Floats: v}
}

func text(name, v string) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrString, S: []byte(v)}
}

func texts(name string, v ...string) *onnxio.Attribute {
	a := &onnxio.Attribute{Name: name, Type: onnxio.AttrStrings}
	for _, s := range v {
		a.Strings = append(a.Strings, []byte(s))
	}
	return a
}

func subgraph(name string, inputs, outputs string, nodes ...*onnxio.Node) *onnxio.Attribute {
	g := &onnxio.Graph{Name: name, Nodes: nodes}
	for _, n := range strings.Fields(inputs) {
		g.Inputs = append(g.Inputs, &onnxio.ValueInfo{Name: n})
	}
	for _, n := range strings.Fields(outputs) {
		g.Outputs = append(g.Outputs, &onnxio.ValueInfo{Name: n})
	}
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrGraph, G: g}
}

func withOutputs(m *onnxio.Model, names string) *onnxio.Model {
	for _, n := range strings.Fields(names) {
		m.Graph.Outputs = append(m.Graph.Outputs, &onnxio.ValueInfo{Name: n})
	}
	return m
}

// loopModel counts: x stays, s grows by a row in every step, and every step gives a copy of x.
func loopModel() *onnxio.Model {
	body := subgraph("body", "i c x s", "c2 x2 s2 row",
		newNode("Identity", "c", "c2"), newNode("Relu", "x", "x2"),
		newNode("Concat", "s x", "s2", integer("axis", 0)), newNode("Identity", "x", "row"))
	m := modelOf(13, newNode("Loop", "m t x s", "y z rows", body))
	addInput(m, "m", "int64=5")
	addInput(m, "t", "bool=1")
	addInput(m, "x", "float32[2,N]")
	addInput(m, "s", "float32[3,N]")
	return withOutputs(m, "y z rows")
}

// branchModel takes one of two branches: a sum, and a product that is impossible for some sizes.
func branchModel() *onnxio.Model {
	m := modelOf(13, newNode("If", "c", "y",
		subgraph("then_branch", "", "a", newNode("Add", "x w", "a")),
		subgraph("else_branch", "", "b", newNode("MatMul", "x w", "b"))))
	m.Graph.Nodes[0].Name = "pick"
	addInput(m, "c", "bool[]")
	addInput(m, "x", "float32[N,4]")
	addInput(m, "w", "float32[4,4]")
	return withOutputs(m, "y")
}

// functionModel calls a function twice, with and without its second input and its attribute.
func functionModel() *onnxio.Model {
	m := modelOf(13, newNode("pair", "x w", "y", integer("way", 0)), newNode("pair", "y", "z"))
	for _, n := range m.Graph.Nodes {
		n.Domain = "own"
	}
	m.Opsets = append(m.Opsets, &onnxio.Opset{Domain: "own", Version: 1})
	body := []*onnxio.Node{
		newNode("Concat", "a b", "joined", &onnxio.Attribute{Name: "axis", Type: onnxio.AttrInt, RefName: "way"}),
		newNode("Shape", "joined", "size"), newNode("ConstantOfShape", "size", "out"),
	}
	body[0].Inputs = []string{"a", "a"}
	body = append(body, newNode("Clip", "out b", "limited"))
	m.Functions = []*onnxio.Function{{Name: "pair", Domain: "own", Inputs: []string{"a", "b"}, Outputs: []string{"limited"}, Nodes: body,
		Attributes: []string{"way"}, Opsets: []*onnxio.Opset{{Version: 13}}, Defaults: []*onnxio.Attribute{integer("way", 1)}}}
	addInput(m, "x", "float32[2,N]")
	addInput(m, "w", "float32[]")
	return withOutputs(m, "z")
}

// reshapeModel flattens all but the batch by way of Shape, Gather and Concat.
func reshapeModel() *onnxio.Model {
	m := modelOf(13, newNode("Shape", "x", "s"), newNode("Gather", "s zero", "n", integer("axis", 0)),
		newNode("Unsqueeze", "n axes", "n1"), newNode("Concat", "n1 rest", "want", integer("axis", 0)), newNode("Reshape", "x want", "y"))
	addInput(m, "x", "float32[batch,64,7,7]")
	addInput(m, "zero", "int64=0")
	addInput(m, "axes", "int64{0}")
	addInput(m, "rest", "int64{-1}")
	return withOutputs(m, "y")
}
