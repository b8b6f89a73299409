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
	o := &others{p: newParser(len(m.src))}
	m.EachGraph(func(g *Graph, path string) {
		o.sparse(g.src, sparseInitializer, path, "sparse initializer")
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
type others struct {
	list []Constant
	p    *parser
}

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
		o.sparse(a.src, sparseAttribute, path, holder+" "+a.Name)
	}
}

// sparse adds the values of the sparse tensors that stand as field num in a message.
func (o *others) sparse(src []byte, num protowire.Number, path, holder string) {
	eachSparse(o.p, src, num, func(t *Tensor) { o.add(t, path, fmt.Sprintf("%s %s values", holder, Quote(t.Name))) })
}

// eachSparse calls f with the values of every sparse tensor that stands as field num in the message src. The tensor
// has the name that the sparse one goes by. p bounds the memory that all of a model take.
func eachSparse(p *parser, src []byte, num protowire.Number, f func(*Tensor)) {
	inside(src, num, func(b []byte) {
		inside(b, sparseValues, func(b []byte) {
			if t, err := p.tensor(b); err == nil {
				f(t)
			}
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
	var same map[string]int
	for i, n := range g.Nodes {
		if !n.hasGraph() {
			continue
		}
		if same == nil {
			same = g.nameCounts()
		}
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

// nameCounts returns how many nodes have each name: one that is not unique gets its place beside it.
func (g *Graph) nameCounts() map[string]int {
	same := map[string]int{}
	for _, n := range g.Nodes {
		same[n.Name]++
	}
	return same
}

// hasGraph reports whether an attribute of n holds a graph.
func (n *Node) hasGraph() bool {
	for _, a := range n.Attributes {
		if a.G != nil || len(a.Graphs) > 0 {
			return true
		}
	}
	return false
}

// pathBytes returns about how many bytes the paths of all nested graphs take that EachGraph gives: every graph's path
// repeats that of the graph around it, so that they can be much longer than the file.
func (m *Model) pathBytes() int {
	total := 0
	if m.Graph != nil {
		m.Graph.addPathBytes(0, &total)
	}
	for _, f := range m.Functions {
		for _, n := range f.Nodes {
			n.addPathBytes(len(f.Domain)+len(f.Name)+len(f.Overload), &total)
		}
	}
	return total
}

func (g *Graph) addPathBytes(outer int, total *int) {
	for _, n := range g.Nodes {
		n.addPathBytes(outer, total)
	}
}

func (n *Node) addPathBytes(outer int, total *int) {
	for _, a := range n.Attributes {
		path := outer + len(n.OpType) + len(n.Name) + len(a.Name)
		graphs := a.Graphs
		if a.G != nil {
			graphs = append(graphs[:len(graphs):len(graphs)], a.G)
		}
		for _, g := range graphs {
			*total += path
			g.addPathBytes(path, total)
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
