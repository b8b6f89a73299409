// Package shape infers element type and shape of every value of an ONNX model without running it.
//
// Sizes are numbers or expressions of the model's symbolic dimensions (Dim): a convolution of stride 2 over H has the
// height floor((H+1)/2), a Reshape to [batch, -1] of [batch, 64, 7, 7] the shape [batch,3136]. To follow shapes that a
// model computes (Shape, Gather, Concat, Reshape and their like), the elements of small integer tensors are propagated
// too, number by number or expression by expression.
//
//	Model -> graph: nodes in order -> rule of the operator -> Info of each output, completed by what is declared
//
// The rules follow the ONNX operator specification (https://onnx.ai/onnx/operators) in the versions that internal/infer
// runs. What contradicts it whatever the sizes are (a product of [2,3] and [4,5]) is an error that names the node; what
// the model merely declares otherwise, and operators without a rule, are warnings.
package shape

import (
	"fmt"
	"sort"

	"bq/onnxio"
)

// Options fixes what a model leaves open. The zero value fixes nothing.
type Options struct {
	Dims   map[string]int   // sizes of symbolic dimensions, by name
	Inputs map[string][]int // shapes of graph inputs, by name; they fix the symbols in the declared shapes too
}

// Result is what was inferred.
type Result struct {
	// Values of the main graph in the order of their definition: inputs, initializers, outputs of nodes as they stand
	// in the file. After them those of its subgraphs and of the functions that nodes call, each in the same way.
	Values   []Value
	Warnings []Warning
}

// Value is a named value of a graph.
type Value struct {
	Name   string
	Path   string // "" for the main graph, else as onnxio.Constants writes it; `call "n" of d::f` for a function's body
	Origin Origin
	Info
}

// Origin is where a value comes from.
type Origin uint8

// The origins of values.
const (
	FromInput Origin = iota
	FromInitializer
	FromNode
)

// Warning is something that keeps a part of the model from being inferred, or contradicts what it declares.
type Warning struct {
	Where string // `node 12 "conv1" (Conv)`
	Text  string
}

// String writes a warning in one line.
func (w Warning) String() string { return w.Where + ": " + w.Text }

// Limits on what a model may ask for, whatever its size.
const (
	maxDepth    = 16      // subgraphs and function bodies within one another
	maxElements = 1024    // of tensors whose elements are followed
	maxExpanded = 1 << 16 // nodes of function bodies, over all calls
	maxWarnings = 1000
	// Nodes of loop bodies are visited until the shapes of what they carry settle; each node this often on average.
	maxVisits   = 8
	extraVisits = 1 << 16 // over all functions
)

// Infer infers the values of m with the given sizes of symbolic dimensions, which may be nil: see Options.Infer.
func Infer(m *onnxio.Model, dims map[string]int) (*Result, error) {
	return Options{Dims: dims}.Infer(m)
}

// Infer infers the values of m. It fails with an *onnxio.FormatError that names the node where names are missing or
// defined twice, where nodes form a cycle, or where shapes are impossible for an operator; the same in a subgraph that
// may never run is a warning. Sizes in o that contradict the model are plain errors.
func (o Options) Infer(m *onnxio.Model) (*Result, error) {
	if m.Graph == nil {
		return nil, &onnxio.FormatError{Where: "model", Text: "has no graph"}
	}
	x := &inference{model: m, warned: map[operatorKey]bool{}, bound: map[string]int{}, inputs: o.Inputs,
		listed: map[Warning]bool{}, visits: extraVisits}
	if err := x.bind(o); err != nil {
		return nil, err
	}
	m.EachGraph(func(g *onnxio.Graph, _ string) { x.visits += maxVisits * len(g.Nodes) })
	x.functions()
	s := &section{}
	if _, err := x.graph(m.Graph, nil, nil, s); err != nil {
		return nil, err
	}
	r := &Result{Warnings: x.warnings}
	s.flatten(r)
	return r, nil
}

// Lookup returns the value of that name in the main graph, nil where there is none.
func (r *Result) Lookup(name string) *Value {
	for i := range r.Values {
		if v := &r.Values[i]; v.Path == "" && v.Name == name {
			return v
		}
	}
	return nil
}

// inference is the state of one Infer.
type inference struct {
	model    *onnxio.Model
	bound    map[string]int   // sizes of symbolic dimensions
	inputs   map[string][]int // shapes of graph inputs
	called   map[functionKey]*onnxio.Function
	opsets   []*onnxio.Opset // of the function whose body is inferred
	fresh    int             // unknown numbers so far
	visits   int             // how many nodes of subgraphs may still be visited
	expanded int             // nodes of function bodies so far
	depth    int
	loops    int // bodies of loops around the graph
	warned   map[operatorKey]bool
	warnings []Warning
	listed   map[Warning]bool // warnings so far
	quiet    bool             // warnings are not wanted: a branch that never runs
	failed   bool             // a node of the subgraph being inferred cannot run
}

// section is what was inferred of one graph and of the graphs inside it.
type section struct {
	path   string
	prefix string // of messages: `node 4 (If) then_branch: `
	values []Value
	inner  []*section
}

func (s *section) flatten(r *Result) {
	r.Values = append(r.Values, s.values...)
	for _, in := range s.inner {
		in.flatten(r)
	}
}

// size returns a size of which nothing is known.
func (x *inference) size() Dim {
	x.fresh++
	return unnamed(x.fresh, true)
}

// element returns a number of which nothing is known, which may be negative.
func (x *inference) element() Dim {
	x.fresh++
	return unnamed(x.fresh, false)
}

func (x *inference) warn(where, format string, args ...any) {
	if x.quiet || len(x.warnings) >= maxWarnings {
		return
	}
	if w := (Warning{where, fmt.Sprintf(format, args...)}); !x.listed[w] {
		x.listed[w] = true
		x.warnings = append(x.warnings, w)
	}
}

// bind collects the sizes of symbols from o: its own, and those in the declared shapes of inputs whose shape it gives.
func (x *inference) bind(o Options) error {
	for _, name := range sortedKeys(o.Dims) {
		if n := o.Dims[name]; n < 0 || n > maxSize {
			return fmt.Errorf("binding dimension %s: size %d is out of range", onnxio.Quote(name), n)
		}
		x.bound[name] = o.Dims[name]
	}
	declared := map[string]*onnxio.ValueInfo{}
	for _, v := range x.model.Graph.Inputs {
		declared[v.Name] = v
	}
	for _, name := range sortedKeys(o.Inputs) {
		v := declared[name]
		if v == nil {
			return fmt.Errorf("binding input %s: the model has no such input", onnxio.Quote(name))
		}
		if err := x.bindInput(v.Type, o.Inputs[name]); err != nil {
			return fmt.Errorf("binding input %s: %w", onnxio.Quote(name), err)
		}
	}
	return nil
}

func (x *inference) bindInput(t *onnxio.TensorType, shape []int) error {
	if len(shape) > maxRank {
		return fmt.Errorf("%d dimensions, want at most %d", len(shape), maxRank)
	}
	if _, ok := onnxio.CheckedLen(shape); !ok {
		return fmt.Errorf("shape %v is out of range", shape)
	}
	if t == nil || !t.HasShape {
		return nil
	}
	if len(t.Shape) != len(shape) {
		return fmt.Errorf("shape %v, the model declares %d dimensions", shape, len(t.Shape))
	}
	for i, d := range t.Shape {
		if d.Known {
			if d.Value != int64(shape[i]) {
				return fmt.Errorf("shape %v, the model declares %d for dimension %d", shape, d.Value, i)
			}
			continue
		}
		if d.Param == "" || d.Param == noName {
			continue
		}
		if n, ok := x.bound[d.Param]; ok && n != shape[i] {
			return fmt.Errorf("shape %v with %s = %d", shape, d.Param, n)
		}
		x.bound[d.Param] = shape[i]
	}
	return nil
}

func sortedKeys[T any](m map[string]T) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
