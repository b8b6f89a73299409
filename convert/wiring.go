package convert

import "bq/onnxio"

// value is a named value of one graph of a model.
type value struct {
	graph *onnxio.Graph
	name  string
}

// wiring knows who reads each value of a model, across subgraphs. A name means the innermost definition around its
// reader (ONNX, IR.md, "Names Within a Graph").
type wiring struct {
	uses    map[value][]use
	output  map[value]bool // outputs of graphs
	home    map[*onnxio.Node]*onnxio.Graph
	parent  map[*onnxio.Graph]*onnxio.Graph
	defined map[value]bool
	lists   map[value]*onnxio.Tensor // constants of int64: shapes and axes
	bodies  map[callee]*onnxio.Graph // of local functions, as graphs of their own

	functions map[*onnxio.Graph]*onnxio.Function // whose body a graph is
}

// callee is what a node names when it calls a local function.
type callee struct{ domain, op, overload string }

func newWiring(m *onnxio.Model) *wiring {
	w := &wiring{
		uses: map[value][]use{}, output: map[value]bool{}, home: map[*onnxio.Node]*onnxio.Graph{},
		parent: map[*onnxio.Graph]*onnxio.Graph{}, defined: map[value]bool{}, lists: map[value]*onnxio.Tensor{},
		bodies: map[callee]*onnxio.Graph{}, functions: map[*onnxio.Graph]*onnxio.Function{},
	}
	if m.Graph != nil {
		w.graph(m.Graph, nil)
	}
	for _, f := range m.Functions {
		g := &onnxio.Graph{Nodes: f.Nodes}
		for _, name := range f.Inputs {
			g.Inputs = append(g.Inputs, &onnxio.ValueInfo{Name: name})
		}
		for _, name := range f.Outputs {
			g.Outputs = append(g.Outputs, &onnxio.ValueInfo{Name: name})
		}
		w.bodies[callee{onnxio.CanonicalDomain(f.Domain), f.Name, f.Overload}] = g
		w.functions[g] = f
		w.graph(g, nil)
	}
	for _, c := range m.Constants() {
		if c.Tensor.Type == onnxio.Int64 {
			w.lists[value{w.graphOf(c), c.Name}] = c.Tensor
		}
	}
	return w
}

// graphOf returns the graph, or the body of a function, that a constant stands in.
func (w *wiring) graphOf(c onnxio.Constant) *onnxio.Graph {
	if c.Graph == nil {
		return w.home[c.Node]
	}
	return c.Graph
}

// called returns the body of the local function that n calls, nil where it calls none.
func (w *wiring) called(n *onnxio.Node) *onnxio.Graph {
	return w.bodies[callee{onnxio.CanonicalDomain(n.Domain), n.OpType, n.Overload}]
}

func (w *wiring) graph(g, parent *onnxio.Graph) {
	w.parent[g] = parent
	for _, in := range g.Inputs {
		w.defined[value{g, in.Name}] = true
	}
	for _, t := range g.Initializers {
		w.defined[value{g, t.Name}] = true
	}
	for _, n := range g.Nodes {
		w.home[n] = g
		for _, out := range n.Outputs {
			w.defined[value{g, out}] = true
		}
	}
	for _, n := range g.Nodes {
		for i, in := range n.Inputs {
			if v, ok := w.resolve(g, in); ok {
				w.uses[v] = append(w.uses[v], use{node: n, input: i})
			}
		}
		for _, a := range n.Attributes {
			if a.G != nil {
				w.graph(a.G, g)
			}
			for _, sub := range a.Graphs {
				w.graph(sub, g)
			}
		}
	}
	for _, out := range g.Outputs {
		if v, ok := w.resolve(g, out.Name); ok {
			w.output[v] = true
		}
	}
}

// resolve returns the value that name means inside g.
func (w *wiring) resolve(g *onnxio.Graph, name string) (value, bool) {
	for ; g != nil && name != ""; g = w.parent[g] {
		if v := (value{g, name}); w.defined[v] {
			return v, true
		}
	}
	return value{}, false
}

// maxList bounds the lists of integers that are decoded: no shape or permutation is longer.
const maxList = 64

// list returns the integers of input i of n, where it is a short constant list.
func (w *wiring) list(n *onnxio.Node, i int) []int64 {
	v, ok := w.resolve(w.home[n], n.Input(i))
	t := w.lists[v]
	if !ok || t == nil {
		return nil
	}
	if count, err := t.Elements(); err != nil || count > maxList {
		return nil
	}
	a, err := t.Array()
	if err != nil {
		return nil
	}
	return a.Ints()
}
