package onnxio

import (
	"fmt"
	"slices"
	"strings"
)

// Check reports what is wrong with the graphs of a model that was read, whatever its operators mean: the first
// FormatError of
//
//   - a value that two nodes compute, or a node and a graph input or initializer,
//   - a node input or graph output that nothing gives,
//   - nodes that wait for each other,
//   - an attribute with another value than its type says.
//
// ONNX Runtime refuses a model for each of these (Graph::VerifyNoDuplicateName and Resolve; check_attribute of ONNX's
// checker). What it takes is no fault here: nodes in any order, initializers and Constant nodes of one name, of which
// the last counts, and values of a subgraph that have a name of the graph around it. Nor are nodes of one name, which
// it refuses: nothing refers to them. Tensor data are checked by Tensor.Check.
func (m *Model) Check() error {
	p := newParser(len(m.src))
	if m.Graph != nil {
		if _, err := checkGraph(p, m.Graph, nil, "graph"); err != nil {
			return err
		}
	}
	for _, f := range m.Functions {
		s := newValues(p, nil, len(f.Nodes))
		for _, name := range f.Inputs {
			s.given[name] = true
		}
		if _, err := s.nodes(f.Nodes, f.path()); err != nil {
			return err
		}
	}
	return nil
}

// values are the names that a graph's nodes may read.
type values struct {
	p        *parser // bounds the memory that sparse initializers take
	outer    *values
	given    map[string]bool // inputs, initializers and Constant nodes
	producer map[string]int  // the place of the node that computes a value
}

func newValues(p *parser, outer *values, size int) *values {
	return &values{p: p, outer: outer, given: make(map[string]bool), producer: make(map[string]int, size)}
}

// has reports whether name is a value of this graph or of one around it.
func (s *values) has(name string) bool {
	for ; s != nil; s = s.outer {
		if _, ok := s.producer[name]; ok || s.given[name] {
			return true
		}
	}
	return false
}

// here reports whether name is a value of this graph.
func (s *values) here(name string) bool {
	_, ok := s.producer[name]
	return ok || s.given[name]
}

// checkGraph checks g and returns the names that it reads from the graphs around it.
func checkGraph(p *parser, g *Graph, outer *values, where string) (captured []string, err error) {
	s := newValues(p, outer, len(g.Nodes))
	for _, v := range g.Inputs {
		s.given[v.Name] = true
	}
	for _, t := range g.Initializers {
		s.given[t.Name] = true
	}
	eachSparse(p, g.src, sparseInitializer, func(t *Tensor) { s.given[t.Name] = true })
	captured, err = s.nodes(g.Nodes, where)
	if err != nil {
		return nil, err
	}
	for _, v := range g.Outputs {
		if !s.has(v.Name) {
			return nil, formatErrorf(where, "output %s: no node computes it", Quote(v.Name))
		}
		if !s.here(v.Name) {
			captured = append(captured, v.Name)
		}
	}
	return captured, nil
}

// nodes checks the nodes of a graph whose given values are known.
func (s *values) nodes(nodes []*Node, where string) (captured []string, err error) {
	for i, n := range nodes {
		if err := s.define(i, n); err != nil {
			return nil, prefix(where, err)
		}
	}
	reads := make([][]string, len(nodes)) // by node: the values of this graph that it waits for
	for i, n := range nodes {
		names, err := s.reads(n)
		if err != nil {
			return nil, prefix(where+": "+n.place(i), err)
		}
		for _, name := range names {
			if !s.here(name) {
				captured = append(captured, name)
			} else if !s.given[name] {
				reads[i] = append(reads[i], name)
			}
		}
	}
	if loop := s.cycle(reads); loop != nil {
		return nil, formatErrorf(where, "%s", describeCycle(nodes, loop))
	}
	return captured, nil
}

// define adds the outputs of a node.
func (s *values) define(i int, n *Node) error {
	constant := n.OpType == "Constant" && CanonicalDomain(n.Domain) == DefaultDomain
	for _, out := range n.Outputs {
		if out == "" {
			continue
		}
		_, computed := s.producer[out]
		if computed || s.given[out] && !constant {
			return formatErrorf(n.place(i), "output %s is defined twice", Quote(out))
		}
		if constant {
			s.given[out] = true
		} else {
			s.producer[out] = i
		}
	}
	return nil
}

// place names a node for messages.
func (n *Node) place(i int) string {
	if n.Name == "" {
		return fmt.Sprintf("node %d (%s)", i, n.OpType)
	}
	return fmt.Sprintf("node %d %s (%s)", i, Quote(n.Name), n.OpType)
}

// reads returns the names that a node and the graphs in its attributes read, after checking both.
func (s *values) reads(n *Node) ([]string, error) {
	var names []string
	for k, name := range n.Inputs {
		if name == "" {
			continue
		}
		if !s.has(name) {
			return nil, formatErrorf("", "input %d %s is neither a graph input nor an initializer nor computed by a node", k, Quote(name))
		}
		names = append(names, name)
	}
	for _, a := range n.Attributes {
		if err := a.checkType(); err != nil {
			return nil, prefix("attribute "+Quote(a.Name), err)
		}
		graphs := a.Graphs
		if a.G != nil {
			graphs = append(slices.Clip(graphs), a.G)
		}
		for _, g := range graphs {
			captured, err := checkGraph(s.p, g, s, "attribute "+Quote(a.Name))
			if err != nil {
				return nil, err
			}
			names = append(names, captured...)
		}
	}
	return names, nil
}

// checkType compares the values that an attribute holds with its type.
func (a *Attribute) checkType() error {
	for _, v := range []struct {
		typ   AttributeType
		given bool
	}{
		{AttrFloat, a.F != 0}, {AttrInt, a.I != 0}, {AttrString, len(a.S) > 0}, {AttrTensor, a.T != nil}, {AttrGraph, a.G != nil},
		{AttrFloats, len(a.Floats) > 0}, {AttrInts, len(a.Ints) > 0}, {AttrStrings, len(a.Strings) > 0},
		{AttrTensors, len(a.Tensors) > 0}, {AttrGraphs, len(a.Graphs) > 0},
	} {
		if v.given && v.typ != a.Type {
			return formatErrorf("", "its type is %v, but it holds a value of type %v", a.Type, v.typ)
		}
	}
	return nil
}

// attributeTypes names the attribute types as onnx.proto does.
var attributeTypes = [...]string{"UNDEFINED", "FLOAT", "INT", "STRING", "TENSOR", "GRAPH", "FLOATS", "INTS", "STRINGS", "TENSORS", "GRAPHS",
	"SPARSE_TENSOR", "SPARSE_TENSORS", "TYPE_PROTO", "TYPE_PROTOS"}

// String returns the name of onnx.proto.
func (t AttributeType) String() string {
	if t < 0 || int(t) >= len(attributeTypes) {
		return fmt.Sprintf("type %d", int32(t))
	}
	return attributeTypes[t]
}

// cycle returns the places of nodes each of which reads what the one before it computes, and the first what the last
// does; nil where there are none. reads holds names that nodes of this graph compute.
func (s *values) cycle(reads [][]string) []int {
	const fresh, open, done = 0, 1, 2
	state := make([]uint8, len(reads))
	next := make([]int, len(reads)) // by node: how many of its reads were followed
	for start := range reads {
		stack := []int{start}
		if state[start] == done {
			continue
		}
		state[start] = open
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			if next[i] == len(reads[i]) {
				state[i] = done
				stack = stack[:len(stack)-1]
				continue
			}
			p := s.producer[reads[i][next[i]]]
			next[i]++
			switch state[p] {
			case open:
				loop := slices.Clone(stack[slices.Index(stack, p):])
				slices.Reverse(loop)
				return loop
			case fresh:
				state[p] = open
				stack = append(stack, p)
			}
		}
	}
	return nil
}

// describeCycle names the nodes of a cycle, the first few of a long one.
func describeCycle(nodes []*Node, loop []int) string {
	const shown = 5
	var list []string
	for _, i := range loop[:min(len(loop), shown)] {
		list = append(list, nodes[i].place(i))
	}
	if len(loop) > shown {
		list = append(list, fmt.Sprintf("and %d more", len(loop)-shown))
	}
	return "nodes wait for each other: " + strings.Join(list, ", ")
}
