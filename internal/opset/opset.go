// Package opset rewrites a model into a newer version of ONNX's own operators that computes the same.
//
// A version of the operator set fixes what every operator means, and a newer one may move an attribute into an input,
// change a default, or take an operator away. Raise goes from version to version: at each, the nodes whose operator
// changed there are rewritten by the rule that the table of changes (table.go) has for it, and the nodes that a rule
// makes are those of that version, so that later rules meet them like any other.
//
//	Model -> bodies (graph, subgraphs, functions) -> version by version: changed node -> rule -> nodes -> Model
//
// The table follows ONNX's list of changes (https://onnx.ai/onnx/operators, docs/Changelog.md of github.com/onnx/onnx).
// Where that leaves a meaning open, the form is kept that ONNX Runtime computes.
package opset

import (
	"fmt"
	"slices"

	"bq/onnxio"
)

// Newest is the newest version that Raise writes.
const Newest = 21

// Raise makes m, in place, a model of version to of ONNX's own operators that computes the same. Local functions are
// raised with it, and the IR version where the operator set needs a newer one; initializers that are graph inputs too
// stay so. A model of that version or a newer one stays as it is, and so does one that imports none of these operators.
//
// Values, nodes and initializers keep their names; what is added is named after the output that it serves. Constants
// are initializers of the main graph, or Constant nodes in functions and up to IR version 3.
//
// It fails with an *onnxio.UnsupportedError that names a node which has no equal in that version, or to where it is
// beyond Newest, and with an *onnxio.FormatError that names a malformed one. Then m is unchanged.
func Raise(m *onnxio.Model, to int64) error {
	if to < 1 || to > Newest {
		return &onnxio.UnsupportedError{Text: fmt.Sprintf("raising to operator set %d: known are 1 to %d", to, Newest)}
	}
	from := m.Opset(onnxio.DefaultDomain)
	if from >= to || from == 0 {
		return nil
	}
	if m.Graph == nil {
		return &onnxio.FormatError{Where: "model", Text: "has no graph"}
	}
	r := newRaising(m, to)
	if err := r.check(); err != nil {
		return err
	}
	for v := r.oldest(); v <= to; v++ {
		if err := r.step(v); err != nil {
			return err
		}
	}
	r.commit()
	return nil
}

// raising is the state of one Raise. The model itself changes only at the end.
type raising struct {
	model   *onnxio.Model
	to      int64
	version int64 // that is being made
	ir      int64 // version of the IR that the result has
	bodies  []*body
	local   map[functionKey]bool
	names   map[string]bool // every name of a value or node
	numbers map[string]int  // by base of a new name: the last number that was tried

	constants []*onnxio.Tensor         // initializers to add
	made      map[string]*onnxio.Array // constants of rules, by name
	grows     map[string]bool          // outputs of Resize nodes that were Upsample: scales are 1 or more
	facts     *facts
}

type functionKey struct{ domain, name, overload string }

// body is a list of nodes: that of the main graph, a subgraph or a local function.
type body struct {
	graph    *onnxio.Graph // nil for a function
	function *onnxio.Function
	outer    *body
	holder   *onnxio.Node // in outer: the node whose attribute the subgraph is
	index    int          // of holder in outer
	version  int64        // of the operators before
	nodes    []*onnxio.Node
}

// prefix returns what stands before the places of its nodes in messages.
func (b *body) prefix() string {
	switch {
	case b.function != nil:
		return "function " + onnxio.Quote(b.function.Domain+"::"+b.function.Name) + ": "
	case b.outer != nil:
		return b.outer.prefix() + place(b.index, b.holder) + ": "
	}
	return ""
}

// inFunction reports whether b is a local function or a subgraph within one.
func (b *body) inFunction() bool {
	for ; b != nil; b = b.outer {
		if b.function != nil {
			return true
		}
	}
	return false
}

func newRaising(m *onnxio.Model, to int64) *raising {
	r := &raising{model: m, to: to, ir: max(m.IRVersion, irVersion(to)), local: map[functionKey]bool{},
		names: map[string]bool{}, numbers: map[string]int{}, made: map[string]*onnxio.Array{}, grows: map[string]bool{}}
	for _, f := range m.Functions {
		r.local[functionKey{onnxio.CanonicalDomain(f.Domain), f.Name, f.Overload}] = true
	}
	r.collect(&body{graph: m.Graph, version: m.Opset(onnxio.DefaultDomain), nodes: m.Graph.Nodes})
	for _, f := range m.Functions {
		if v := version(f.Opsets); v > 0 {
			r.collect(&body{function: f, version: v, nodes: f.Nodes})
		}
	}
	return r
}

// version returns the version of ONNX's own operators among opsets, 0 where there is none.
func version(opsets []*onnxio.Opset) int64 {
	for _, o := range opsets {
		if onnxio.CanonicalDomain(o.Domain) == onnxio.DefaultDomain {
			return o.Version
		}
	}
	return 0
}

// collect adds b and the subgraphs in its nodes, and notes their names.
func (r *raising) collect(b *body) {
	r.bodies = append(r.bodies, b)
	r.note(b)
	for i, n := range b.nodes {
		for _, a := range n.Attributes {
			graphs := a.Graphs
			if a.G != nil {
				graphs = append([]*onnxio.Graph{a.G}, graphs...)
			}
			for _, g := range graphs {
				r.collect(&body{graph: g, outer: b, holder: n, index: i, version: b.version, nodes: g.Nodes})
			}
		}
	}
}

// note collects the names of values and nodes, which new ones must avoid.
func (r *raising) note(b *body) {
	if f := b.function; f != nil {
		for _, name := range f.Inputs {
			r.names[name] = true
		}
	}
	if g := b.graph; g != nil {
		for _, list := range [][]*onnxio.ValueInfo{g.Inputs, g.Outputs, g.ValueInfo} {
			for _, v := range list {
				r.names[v.Name] = true
			}
		}
		for _, t := range g.Initializers {
			r.names[t.Name] = true
		}
		sparse, _ := g.SparseInitializers() // names count, be the rest as it may
		for _, t := range sparse {
			if t.Values != nil {
				r.names[t.Values.Name] = true
			}
		}
	}
	for _, n := range b.nodes {
		r.names[n.Name] = true
		for _, list := range [][]string{n.Inputs, n.Outputs} {
			for _, name := range list {
				r.names[name] = true
			}
		}
	}
}

// place names a node for messages.
func place(i int, n *onnxio.Node) string {
	if n.Name == "" {
		return fmt.Sprintf("node %d (%s)", i, n.OpType)
	}
	return fmt.Sprintf("node %d %s (%s)", i, onnxio.Quote(n.Name), n.OpType)
}

// standard reports whether n is one of ONNX's own operators, not a local function in their place.
func (r *raising) standard(n *onnxio.Node) bool {
	domain := onnxio.CanonicalDomain(n.Domain)
	return domain == onnxio.DefaultDomain && !r.local[functionKey{domain, n.OpType, n.Overload}]
}

// check refuses operators that the table does not know in the version where they stand.
func (r *raising) check() error {
	for _, b := range r.bodies {
		for i, n := range b.nodes {
			if !r.standard(n) || b.version >= r.to {
				continue
			}
			list := changes[n.OpType]
			text := ""
			switch {
			case list == nil && experiments[n.OpType].rule == nil:
				text = "this operator is not known"
			case list == nil:
			case b.version < list[0].since:
				text = fmt.Sprintf("the operator begins with operator set %d, the model has %d", list[0].since, b.version)
			case b.version >= removed[n.OpType] && removed[n.OpType] > 0:
				text = fmt.Sprintf("the operator ends with operator set %d, the model has %d", removed[n.OpType], b.version)
			}
			if text != "" {
				return &onnxio.UnsupportedError{Where: b.prefix() + place(i, n), Text: fmt.Sprintf("raising to operator set %d: %s", r.to, text)}
			}
		}
	}
	return nil
}

// oldest returns the oldest version of any body.
func (r *raising) oldest() int64 {
	v := r.bodies[0].version
	for _, b := range r.bodies {
		v = min(v, b.version)
	}
	return v
}

// step rewrites the nodes that changed in version v, and experimental operators where v has what replaces them.
func (r *raising) step(v int64) error {
	r.version = v
	for k := 0; k < len(r.bodies); k++ { // rules may add bodies
		b := r.bodies[k]
		if b.version > v || b.version >= r.to {
			continue
		}
		var nodes []*onnxio.Node
		for i, n := range b.nodes {
			f := ruleAt(n.OpType, v, b.version)
			if f == nil || !r.standard(n) {
				nodes = append(nodes, n)
				continue
			}
			e := &edit{raising: r, body: b, index: i, old: n, node: cloned(n)}
			if err := f(e); err != nil {
				return err
			}
			nodes = append(append(append(nodes, e.front...), e.node), e.back...)
		}
		b.nodes = nodes
	}
	return nil
}

// ruleAt returns the rule by which a node of operator op gets into version v, nil where nothing changes. from is the
// version that the model had.
func ruleAt(op string, v, from int64) rule {
	if x := experiments[op]; x.rule != nil && max(x.since, from) == v {
		return x.rule
	}
	for _, c := range changes[op] {
		if c.since == v && v > from {
			return c.rule
		}
	}
	return nil
}

// cloned returns a copy of n whose lists may be changed.
func cloned(n *onnxio.Node) *onnxio.Node {
	c := *n
	c.Inputs, c.Outputs = slices.Clone(n.Inputs), slices.Clone(n.Outputs)
	c.Attributes = slices.Clone(n.Attributes)
	return &c
}

// commit writes what was made into the model.
func (r *raising) commit() {
	for _, b := range r.bodies {
		if b.function != nil {
			b.function.Nodes = b.nodes
			raiseOpsets(b.function.Opsets, r.to)
		} else {
			b.graph.Nodes = b.nodes
		}
	}
	g := r.model.Graph
	g.Initializers = append(slices.Clip(g.Initializers), r.constants...)
	raiseOpsets(r.model.Opsets, r.to)
	r.model.IRVersion = r.ir
}

func raiseOpsets(opsets []*onnxio.Opset, to int64) {
	for _, o := range opsets {
		if onnxio.CanonicalDomain(o.Domain) == onnxio.DefaultDomain {
			o.Version = max(o.Version, to)
		}
	}
}

// irVersion returns the version of the IR that came with an operator set (the table of docs/Versioning.md).
func irVersion(opset int64) int64 {
	switch {
	case opset <= 8:
		return 3
	case opset <= 11:
		return opset - 5
	case opset <= 14:
		return 7
	case opset <= 18:
		return 8
	case opset <= 20:
		return 9
	}
	return 10
}
