package onnxio

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Constant is a constant tensor of a model: an initializer, or the value of a Constant node.
type Constant struct {
	Name   string  // the value's name in its graph
	Graph  *Graph  // the graph it stands in, which may be a subgraph of another; nil in a local function
	Path   string  // "" for the main graph, else the nodes that lead to the subgraph: `If "vad" then_branch`
	Tensor *Tensor // for the list forms of a Constant node (value_floats, value_float) a tensor made of the list
	Node   *Node   // the Constant node, nil for an initializer
}

// Constants returns every constant tensor of the model in file order, graph by graph, subgraphs after the graph
// that holds them; then those of the Constant nodes in local functions, whose Graph is nil.
func (m *Model) Constants() []Constant {
	var list []Constant
	m.EachGraph(func(g *Graph, path string) {
		for _, t := range g.Initializers {
			list = append(list, Constant{Name: t.Name, Graph: g, Path: path, Tensor: t})
		}
		list = appendNodeConstants(list, g.Nodes, g, path)
	})
	for _, f := range m.Functions {
		list = appendNodeConstants(list, f.Nodes, nil, f.path())
	}
	return list
}

func appendNodeConstants(list []Constant, nodes []*Node, g *Graph, path string) []Constant {
	for _, n := range nodes {
		if t := n.constantTensor(); t != nil {
			list = append(list, Constant{Name: n.Outputs[0], Graph: g, Path: path, Tensor: t, Node: n})
		}
	}
	return list
}

// constantTensor returns the tensor that a Constant node gives, nil for another node. Strings and sparse values
// are not tensors of numbers and give nil.
func (n *Node) constantTensor() *Tensor {
	if n.OpType != "Constant" || CanonicalDomain(n.Domain) != DefaultDomain || len(n.Outputs) == 0 {
		return nil
	}
	for _, a := range n.Attributes {
		switch a.Name {
		case "value":
			return a.T
		case "value_float":
			return NewTensor("", Floats([]float32{a.F}))
		case "value_floats":
			return NewTensor("", Floats(a.Floats, len(a.Floats)))
		case "value_int":
			return NewTensor("", Int64s([]int64{a.I}))
		case "value_ints":
			return NewTensor("", Int64s(a.Ints, len(a.Ints)))
		}
	}
	return nil
}

// OtherTensors returns the constant tensors of the model that Constants does not list, under the names of the nodes
// that hold them: tensors in attributes of other operators, in subgraphs and defaults of local functions, and the
// values of sparse tensors. None of them is read by name.
func (m *Model) OtherTensors() []Constant {
	o := &others{}
	m.EachGraph(func(g *Graph, path string) {
		o.sparse(g.rest, sparseInitializer, path, "sparse initializer")
		o.nodes(g.Nodes, path)
	})
	for _, f := range m.Functions {
		path := f.path()
		o.nodes(f.Nodes, path)
		o.attributes(f.Defaults, path, "default")
		for _, n := range f.Nodes {
			for _, a := range n.Attributes {
				if a.G != nil {
					eachGraph(a.G, path, func(g *Graph, path string) { o.whole(g, path) })
				}
			}
		}
	}
	return o.list
}

// Fields of onnx.proto that hold a SparseTensorProto, and its field of values.
const (
	sparseInitializer = 15 // of GraphProto
	sparseAttribute   = 22 // of AttributeProto
	sparseValues      = 1
)

// others collects OtherTensors.
type others struct{ list []Constant }

func (o *others) add(t *Tensor, path, name string) {
	o.list = append(o.list, Constant{Name: name, Path: path, Tensor: t})
}

// whole adds every tensor of a graph inside a function.
func (o *others) whole(g *Graph, path string) {
	for _, t := range g.Initializers {
		o.add(t, path, t.Name)
	}
	for _, n := range g.Nodes {
		if t := n.constantTensor(); t != nil {
			o.add(t, path, n.Outputs[0])
		}
	}
	o.nodes(g.Nodes, path)
}

func (o *others) nodes(nodes []*Node, path string) {
	for i, n := range nodes {
		if n.constantTensor() == nil {
			o.attributes(n.Attributes, path, n.OpType+" "+Quote(n.label(i)))
		}
	}
}

func (o *others) attributes(attributes []*Attribute, path, holder string) {
	for _, a := range attributes {
		if a.T != nil {
			o.add(a.T, path, holder+" "+a.Name)
		}
		for i, t := range a.Tensors {
			o.add(t, path, fmt.Sprintf("%s %s[%d]", holder, a.Name, i))
		}
		o.sparse(a.rest, sparseAttribute, path, holder+" "+a.Name)
	}
}

// sparse adds the values of the sparse tensors that stand as field num among uninterpreted fields.
func (o *others) sparse(rest []byte, num protowire.Number, path, holder string) {
	eachField(rest, func(f field) error { // well formed: it was read before
		if f.num != num {
			return nil
		}
		return eachField(f.b, func(f field) error {
			if f.num != sparseValues {
				return nil
			}
			if t, err := ParseTensor(f.b); err == nil {
				o.add(t, path, fmt.Sprintf("%s %s values", holder, Quote(t.Name)))
			}
			return nil
		})
	})
}

// path names a local function in the places of its tensors.
func (f *Function) path() string {
	path := "function " + Quote(f.Domain+"::"+f.Name)
	if f.Overload != "" {
		path += " overload " + Quote(f.Overload)
	}
	return path
}

// EachGraph calls f for the main graph and every subgraph in the attributes of its nodes, outer graphs first.
func (m *Model) EachGraph(f func(g *Graph, path string)) {
	if m.Graph != nil {
		eachGraph(m.Graph, "", f)
	}
}

func eachGraph(g *Graph, path string, f func(g *Graph, path string)) {
	f(g, path)
	same := map[string]int{} // nodes of each name, so that a name that is not unique gets its place beside it
	for _, n := range g.Nodes {
		same[n.Name]++
	}
	for i, n := range g.Nodes {
		name := n.label(i)
		if n.Name != "" && same[n.Name] > 1 {
			name = fmt.Sprintf("%s@%d", n.Name, i)
		}
		for _, a := range n.Attributes {
			at := func(sub *Graph, suffix string) {
				label := fmt.Sprintf("%s %s %s%s", n.OpType, Quote(name), a.Name, suffix)
				eachGraph(sub, joinPath(path, label), f)
			}
			if a.G != nil {
				at(a.G, "")
			}
			for k, sub := range a.Graphs {
				at(sub, fmt.Sprintf("[%d]", k))
			}
		}
	}
}

func joinPath(path, label string) string {
	if path == "" {
		return label
	}
	return path + " / " + label
}

// label returns the node's name, or its place in the graph where it has none.
func (n *Node) label(i int) string {
	if n.Name != "" {
		return n.Name
	}
	return fmt.Sprint(i)
}

// EachTensor calls f for every TensorProto of the model, those in attributes and functions included.
func (m *Model) EachTensor(f func(*Tensor)) {
	if m.Graph != nil {
		tensorsOfGraph(m.Graph, f)
	}
	for _, fn := range m.Functions {
		tensorsOfNodes(fn.Nodes, f)
		tensorsOfAttributes(fn.Defaults, f)
	}
}

func tensorsOfGraph(g *Graph, f func(*Tensor)) {
	for _, t := range g.Initializers {
		f(t)
	}
	tensorsOfNodes(g.Nodes, f)
}

func tensorsOfNodes(nodes []*Node, f func(*Tensor)) {
	for _, n := range nodes {
		tensorsOfAttributes(n.Attributes, f)
	}
}

func tensorsOfAttributes(attributes []*Attribute, f func(*Tensor)) {
	for _, a := range attributes {
		if a.T != nil {
			f(a.T)
		}
		for _, t := range a.Tensors {
			f(t)
		}
		if a.G != nil {
			tensorsOfGraph(a.G, f)
		}
		for _, g := range a.Graphs {
			tensorsOfGraph(g, f)
		}
	}
}
