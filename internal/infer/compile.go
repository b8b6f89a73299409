package infer

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"bq/onnxio"
)

// Limits on what a model may ask for, whatever its size.
const (
	maxSubgraphDepth = 16      // graphs nested in attributes of nodes
	foldBytes        = 8 << 20 // bytes of results of one node that is computed at Compile
	foldTotal        = 1 << 28 // bytes of results of all nodes that are computed at Compile
)

// graph is a compiled graph or subgraph. Values live in numbered slots of a frame.
type graph struct {
	nodes    []*node
	names    []string        // by slot
	consts   []*onnxio.Array // by slot, nil for what is computed
	inputs   []int           // slots of the inputs that are fed
	outputs  []int           // slots
	captures []capture

	codes map[int]weightCodes // by slot of a constant: the codes it was computed from

	once sync.Once
	fast *graph // with fused nodes, made by the first run that wants it

	layout atomic.Pointer[graph] // the fused form with codes, in blocks of channels; nil where that serves nothing, or failed
}

// capture is a value of the enclosing graph that a subgraph uses.
type capture struct{ outer, inner int }

// node is a node bound to its operator.
type node struct {
	*onnxio.Node
	where string // `node 31 "nms" (NonMaxSuppression)`
	run   runFunc
	ints  []int // inputs that must hold int64 or int32
	any   bool  // inputs may be sequences and optionals
	in    []int // slots, -1 where not given; as many as the operator can take
	out   []int // slots, -1 where not wanted
	free  []int // slots that no later node uses
	subs  []*graph

	standard bool  // of the default domain, not a function
	pure     bool  // the same inputs give the same outputs
	memo     *memo // of a node that depends on shapes alone
	ends     bool  // an output is a result of the graph
	fills    bool  // the operator writes every element of its outputs
	reuse    []int // inputs that die here and may be written over
	state    any   // what fusing needs to know of the operator: *convolution, *gemm, *pooled; of a group, what it computes

	parts []*node         // of a fused node: the nodes it stands for, in order; its own run is nil
	fast  fastFunc        // of a fused node
	elem  onnxio.DataType // that its inputs must have

	overwrites []int // of a fused node: inputs that its result may be written over
}

// compiler turns the graphs of one model into compiled graphs and collects what is not supported.
type compiler struct {
	model  *onnxio.Model
	opt    Options
	depth  int
	prefix string // where the graph stands, for messages: `node 4 (If) then_branch: `
	folded int64
	gaps   []MissingOp

	opsets   []*onnxio.Opset // of the local function that is being compiled
	expanded int             // nodes of the bodies of local functions so far
}

// scope resolves the names of one graph while it is compiled.
type scope struct {
	g     *graph
	slots map[string]int
	outer *scope
	stuck map[string]bool // outputs of nodes that no order can compute
	cycle string          // the nodes of a cycle among them
}

// why says why a name stands for nothing.
func (s *scope) why(name string) string {
	for at := s; at != nil; at = at.outer {
		if at.stuck[name] {
			return "comes from a cycle of nodes: " + at.cycle
		}
	}
	return "is neither a graph input nor computed by an earlier node"
}

func (s *scope) define(name string) (int, bool) {
	if _, dup := s.slots[name]; dup {
		return 0, false
	}
	slot := len(s.g.names)
	s.slots[name] = slot
	s.g.names = append(s.g.names, name)
	s.g.consts = append(s.g.consts, nil)
	return slot, true
}

// resolve returns the slot of a name, capturing it from the enclosing graphs where need be.
func (s *scope) resolve(name string) (int, bool) {
	if slot, ok := s.slots[name]; ok {
		return slot, true
	}
	if s.outer == nil {
		return 0, false
	}
	outer, ok := s.outer.resolve(name)
	if !ok {
		return 0, false
	}
	slot, _ := s.define(name)
	if c := s.outer.g.consts[outer]; c != nil {
		s.g.consts[slot] = c
	} else {
		s.g.captures = append(s.g.captures, capture{outer, slot})
	}
	return slot, true
}

// graph compiles g; outer is the scope of the graph that holds it, nil for the main graph.
func (c *compiler) graph(g *onnxio.Graph, outer *scope) (*graph, error) {
	s := &scope{g: &graph{}, slots: map[string]int{}, outer: outer}
	if err := c.constants(g, s); err != nil {
		return nil, err
	}
	for _, in := range g.FeedInputs() {
		slot, ok := s.define(in.Name)
		if !ok {
			return nil, &onnxio.FormatError{Where: "graph input " + onnxio.Quote(in.Name), Text: "defined twice"}
		}
		s.g.inputs = append(s.g.inputs, slot)
	}
	order, stuck := ordered(g)
	if stuck > 0 {
		s.knot(g, order[len(order)-stuck:])
	}
	for _, i := range order {
		if err := c.node(i, g.Nodes[i], s); err != nil {
			return nil, err
		}
	}
	for _, out := range g.Outputs {
		slot, ok := s.resolve(out.Name)
		if !ok {
			return nil, &onnxio.FormatError{Where: "graph output " + onnxio.Quote(out.Name), Text: "no node computes it"}
		}
		s.g.outputs = append(s.g.outputs, slot)
	}
	s.g.lifetimes()
	s.g.plan()
	return s.g, nil
}

// knot notes the nodes of g that no order can compute.
func (s *scope) knot(g *onnxio.Graph, stuck []int) {
	s.cycle, s.stuck = cycleText(g, cycle(g, stuck)), map[string]bool{}
	for _, i := range stuck {
		for _, out := range g.Nodes[i].Outputs {
			s.stuck[out] = true
		}
	}
}

// constants decodes the initializers of g.
func (c *compiler) constants(g *onnxio.Graph, s *scope) error {
	for _, t := range g.Initializers {
		a, err := t.Array()
		if err != nil {
			return err
		}
		if err := checkSpread(a.Shape); err != nil {
			return &onnxio.FormatError{Where: "initializer " + onnxio.Quote(t.Name), Text: err.Error()}
		}
		slot, ok := s.define(t.Name)
		if !ok {
			return &onnxio.FormatError{Where: "initializer " + onnxio.Quote(t.Name), Text: "defined twice"}
		}
		s.g.consts[slot] = a
	}
	return c.sparse(g, s)
}

// sparse writes the sparse initializers of g out in full.
func (c *compiler) sparse(g *onnxio.Graph, s *scope) error {
	list, err := g.SparseInitializers()
	if err != nil {
		return err
	}
	for _, t := range list {
		a, err := t.Dense(int(max(0, foldTotal-c.folded) / 8))
		if err != nil {
			return err
		}
		c.folded += arrayBytes(a)
		slot, ok := s.define(t.Values.Name)
		if !ok {
			return &onnxio.FormatError{Where: "sparse initializer " + onnxio.Quote(t.Values.Name), Text: "defined twice"}
		}
		s.g.consts[slot] = a
	}
	return nil
}

// label names a node for messages.
func label(i int, n *onnxio.Node) string {
	if n.Name == "" {
		return fmt.Sprintf("node %d (%s)", i, n.OpType)
	}
	return fmt.Sprintf("node %d %s (%s)", i, onnxio.Quote(n.Name), n.OpType)
}

// node binds one node and adds it to the graph, or its result where all its inputs are constant.
func (c *compiler) node(i int, n *onnxio.Node, s *scope) error {
	nd := &node{Node: n, where: label(i, n)}
	var err error
	if nd.in, err = s.inputs(nd); err != nil {
		return err
	}
	f := c.function(n)
	if f != nil {
		if err := c.call(nd, f); err != nil {
			return err
		}
	}
	var op *operator
	var text string
	if f == nil {
		op, text = lookup(c.opset(n.Domain), n)
	}
	if op != nil {
		if err := nd.checkCounts(op); err != nil {
			return err
		}
		b := &binding{compiler: c, scope: s, node: nd, version: c.opset(n.Domain), read: map[string]bool{}}
		nd.run, nd.ints, nd.any = op.bind(b), op.ints, op.values
		nd.standard, nd.pure = op.domain == onnxio.DefaultDomain, !op.impure
		b.checkAllRead()
		if b.format != nil {
			return b.format
		}
		text = b.unsupported
	}
	if text != "" {
		c.gaps = append(c.gaps, MissingOp{onnxio.CanonicalDomain(n.Domain), n.OpType, c.prefix + nd.where, text})
		nd.run = nil
	}
	for _, name := range n.Outputs {
		slot := -1
		if name != "" {
			var ok bool
			if slot, ok = s.define(name); !ok {
				return &onnxio.FormatError{Where: nd.where, Text: "output " + onnxio.Quote(name) + " is defined twice"}
			}
		}
		nd.out = append(nd.out, slot)
	}
	if nd.run != nil && (f != nil || op.impure || !c.fold(nd, s)) {
		s.g.nodes = append(s.g.nodes, nd)
	}
	return nil
}

// inputs resolves the names of a node's inputs.
func (s *scope) inputs(nd *node) ([]int, error) {
	var in []int
	for _, name := range nd.Inputs {
		slot := -1
		if name != "" {
			var ok bool
			if slot, ok = s.resolve(name); !ok {
				return nil, &onnxio.FormatError{Where: nd.where, Text: "input " + onnxio.Quote(name) + " " + s.why(name)}
			}
		}
		in = append(in, slot)
	}
	return in, nil
}

// checkCounts compares the number of inputs and outputs with what the operator takes, and pads the inputs.
func (nd *node) checkCounts(op *operator) error {
	least, most := op.in[0], op.in[1]
	given := len(nd.in)
	for given > 0 && nd.in[given-1] < 0 {
		given--
	}
	fail := func(format string, args ...any) error {
		return &onnxio.FormatError{Where: nd.where, Text: fmt.Sprintf(format, args...)}
	}
	switch {
	case most >= 0 && given > most:
		return fail("%d inputs, want at most %d", given, most)
	case len(nd.Outputs) > op.out:
		return fail("%d outputs, want at most %d", len(nd.Outputs), op.out)
	case len(nd.Outputs) == 0:
		return fail("no outputs")
	}
	required := least
	if most < 0 {
		required = max(least, given)
	}
	for i := range required {
		if (i >= given || nd.in[i] < 0) && !slices.Contains(op.skip, i) {
			return fail("input %d is missing", i)
		}
	}
	if most < 0 {
		nd.in = nd.in[:given]
		for len(nd.in) < least {
			nd.in = append(nd.in, -1)
		}
		return nil
	}
	for len(nd.in) < most {
		nd.in = append(nd.in, -1)
	}
	nd.in = nd.in[:most]
	return nil
}

// fold computes a node whose inputs are all constant and reports whether it did. What fails or grows too large is
// left to Run, which reports it.
func (c *compiler) fold(nd *node, s *scope) bool {
	in := make([]*onnxio.Array, len(nd.in))
	for i, slot := range nd.in {
		if slot < 0 {
			continue
		}
		if in[i] = s.g.consts[slot]; in[i] == nil {
			return false
		}
	}
	r := &run{threads: c.opt.Threads, limit: min(foldBytes, foldTotal-c.folded, c.opt.MaxBytes)}
	outs, err := r.call(nd, in)
	if err != nil {
		return false
	}
	for _, v := range outs {
		if v != nil && arrayBytes(v) > r.limit && !shares(v, in) {
			return false
		}
	}
	s.g.keepCodes(nd, in)
	for i, slot := range nd.out {
		if slot < 0 {
			continue
		}
		if s.g.consts[slot] = outs[i]; !shares(outs[i], in) {
			c.folded += arrayBytes(outs[i])
		}
	}
	return true
}

// shares reports whether v is a reshaped view of one of in.
func shares(v *onnxio.Array, in []*onnxio.Array) bool {
	for _, a := range in {
		if a != nil && sameData(a, v) {
			return true
		}
	}
	return false
}

// lifetimes notes at every node the slots it is the last to use. Constants, captures and outputs stay. A fused node
// frees what its parts free.
func (g *graph) lifetimes() {
	last, order := make([]int, len(g.names)), g.expanded()
	for i := range last {
		last[i] = -1
	}
	for i, nd := range order {
		nd.free = nil
		for _, slot := range slices.Concat(nd.in, nd.out) {
			if slot >= 0 {
				last[slot] = i
			}
		}
		for _, sub := range nd.subs {
			for _, c := range sub.captures {
				last[c.outer] = i
			}
		}
	}
	for _, slot := range g.outputs {
		last[slot] = -1
	}
	for _, c := range g.captures {
		last[c.inner] = -1
	}
	for slot, i := range last {
		if i >= 0 && g.consts[slot] == nil {
			order[i].free = append(order[i].free, slot)
		}
	}
	for _, nd := range g.nodes {
		for _, part := range nd.parts {
			nd.free = append(nd.free, part.free...)
		}
	}
}

// expanded returns the nodes with the parts of fused nodes in their places.
func (g *graph) expanded() []*node {
	var list []*node
	for _, nd := range g.nodes {
		if nd.parts == nil {
			list = append(list, nd)
		}
		list = append(list, nd.parts...)
	}
	return list
}
