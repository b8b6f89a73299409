package onnxio

import "fmt"

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
		list = appendNodeConstants(list, f.Nodes, nil, "function "+Quote(f.Name))
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

// EachGraph calls f for the main graph and every subgraph in the attributes of its nodes, outer graphs first.
func (m *Model) EachGraph(f func(g *Graph, path string)) {
	if m.Graph != nil {
		eachGraph(m.Graph, "", f)
	}
}

func eachGraph(g *Graph, path string, f func(g *Graph, path string)) {
	f(g, path)
	for i, n := range g.Nodes {
		for _, a := range n.Attributes {
			at := func(sub *Graph, suffix string) {
				label := fmt.Sprintf("%s %s %s%s", n.OpType, Quote(n.label(i)), a.Name, suffix)
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

// eachTensor calls f for every TensorProto of the model, attributes and functions included.
func (m *Model) eachTensor(f func(*Tensor)) {
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
