package infer

import (
	"strings"

	"bq/onnxio"
)

// The functions below write small models for tests.

// modelOf returns a model of the given default opset with these nodes; inputs and outputs are left to the caller.
func modelOf(opset int64, nodes ...*onnxio.Node) *onnxio.Model {
	return &onnxio.Model{IRVersion: 8, Opsets: []*onnxio.Opset{{Version: opset}}, Graph: &onnxio.Graph{Name: "g", Nodes: nodes}}
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

// input declares a graph input; -1 stands for the symbolic dimension N.
func input(name string, t onnxio.DataType, dims ...int64) *onnxio.ValueInfo {
	v := &onnxio.ValueInfo{Name: name, Type: &onnxio.TensorType{Elem: t, HasShape: true}}
	for _, d := range dims {
		if d < 0 {
			v.Type.Shape = append(v.Type.Shape, onnxio.Dim{Param: "N"})
			continue
		}
		v.Type.Shape = append(v.Type.Shape, onnxio.Dim{Known: true, Value: d})
	}
	return v
}

func integerAttr(name string, v int64) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrInt, I: v}
}

func floatAttr(name string, v float32) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrFloat, F: v}
}

func ints(name string, v ...int64) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrInts, Ints: v}
}

func floatList(name string, v ...float32) *onnxio.Attribute {
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

func graphAttr(name string, g *onnxio.Graph) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrGraph, G: g}
}

// runNode runs one node whose inputs x0, x1, ... are fed, nil for one that is not given; it returns the outputs.
func runNode(opset int64, op string, in []*onnxio.Array, outputs int, attrs ...*onnxio.Attribute) ([]*onnxio.Array, error) {
	n := &onnxio.Node{OpType: op, Attributes: attrs}
	m := modelOf(opset, n)
	feeds := map[string]*onnxio.Array{}
	for i, a := range in {
		if a == nil {
			n.Inputs = append(n.Inputs, "")
			continue
		}
		name := "x" + string(rune('0'+i))
		n.Inputs = append(n.Inputs, name)
		m.Graph.Inputs = append(m.Graph.Inputs, &onnxio.ValueInfo{Name: name})
		feeds[name] = a
	}
	for i := range outputs {
		name := "y" + string(rune('0'+i))
		n.Outputs = append(n.Outputs, name)
		m.Graph.Outputs = append(m.Graph.Outputs, &onnxio.ValueInfo{Name: name})
	}
	p, err := Options{Threads: 1, MaxBytes: 1 << 28}.Compile(m)
	if err != nil {
		return nil, err
	}
	results, err := p.Run(feeds, nil)
	if err != nil {
		return nil, err
	}
	var outs []*onnxio.Array
	for _, v := range m.Graph.Outputs {
		outs = append(outs, results[v.Name])
	}
	return outs, nil
}
