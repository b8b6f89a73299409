// Package infer runs ONNX models in plain Go: an independent engine for calibration and verification.
//
// Compile turns a model into a Program: every node is bound to the Go function of its operator, whose attributes
// are read and checked once; nodes of constants are computed once; the last use of every value is known. Run
// computes the outputs for one set of inputs, node by node in the order of the file, and shows every value to a
// visitor. Without a visitor, groups of nodes run as one (fuse.go), images lie in blocks of channels between convolutions
// (blocks.go), and samples of a batch run one by one (batch.go). Values lie in memory that is used again as soon as nobody
// needs them (arena.go). Any number of goroutines may Run a Program.
//
// The operators follow the ONNX operator specification (https://onnx.ai/onnx/operators), versions as Ops lists
// them. Values of float16, bfloat16, float8 and float4 are computed in float32 and rounded after every node. Functions
// of the model itself run as graphs of their own, call by call.
package infer

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"bq/onnxio"
)

// Options says how a Program computes. The zero value is ready to use.
type Options struct {
	Threads  int   // goroutines within one operator; 0 means as many as the process has processors
	MaxBytes int64 // bytes of intermediate values that may be alive in one Run; 0 means DefaultMaxBytes
}

// DefaultMaxBytes bounds the intermediate values of one Run where Options does not. What would exceed the bound is an
// error that names the node, before it is allocated: a few bytes of a model (ConstantOfShape, Expand, Tile, Pad, a Loop
// that stacks values) can ask for any amount. Further bounds, whatever the options say: maxValueElements elements in one
// value, maxEmptySpread for the other dimensions of a value without elements, maxSequence values in one sequence,
// maxIterations of one Loop, maxSteps nodes in one Run. Operators may for a moment take as much again, at most eight
// bytes for each element of their inputs and outputs.
const DefaultMaxBytes = 8 << 30

// Program is a compiled model. Between runs it holds nothing but memory for the next one, and it is safe for concurrent
// use.
type Program struct {
	graph  *graph
	inputs []*onnxio.ValueInfo
	opt    Options
	arenas *sync.Pool // of *arena: memory of runs that are over

	separable bool // samples of a batch run one by one
}

// Visitor sees the value of one output of a node right after it is computed. Nodes come in topological order, nodes
// of subgraphs as often as the subgraph runs; nodes whose inputs are all constant are computed at Compile and not
// seen. The value must not be written to, and it lasts until the visitor returns: its memory is used again when no node
// needs it any more. A non-nil result of the same type and shape takes its place.
type Visitor func(n *onnxio.Node, output string, v *onnxio.Array) (*onnxio.Array, error)

// Compile prepares m with the default options: see Options.Compile.
func Compile(m *onnxio.Model) (*Program, error) { return Options{}.Compile(m) }

// Compile prepares m. It fails with a *MissingError that lists every node whose operator, operator set version or
// attributes this engine does not run, and with an *onnxio.FormatError where the graph is malformed. The constants of m are
// decoded: the file it was read from may be closed afterwards.
func (o Options) Compile(m *onnxio.Model) (*Program, error) {
	if o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if m.Graph == nil {
		return nil, &onnxio.FormatError{Where: "model", Text: "has no graph"}
	}
	c := &compiler{model: m, opt: o}
	g, err := c.graph(m.Graph, nil)
	if err != nil {
		return nil, err
	}
	if err := c.missing(); err != nil {
		return nil, err
	}
	arenas := &sync.Pool{New: func() any { return &arena{poison: poisonMemory} }}
	inputs := m.Graph.FeedInputs()
	return &Program{graph: g, inputs: inputs, opt: o, arenas: arenas, separable: separable(g, inputs)}, nil
}

// Inputs returns the inputs that Run must be fed with.
func (p *Program) Inputs() []*onnxio.ValueInfo { return p.inputs }

// Run computes the outputs of the graph, by name, from feeds, by input name. Every input of Inputs must be there,
// with the element type, rank and fixed dimensions that the model states, and dimensions of one symbolic name must
// agree. The arrays of feeds are not written to; results may share memory with them, never with results of other runs.
// visit may be nil: then groups of nodes run as one where that is faster, and results differ from those of a run with a
// visitor by rounding. A result or feed that is a sequence is an Array of type Undefined whose Data is []*onnxio.Array.
func (p *Program) Run(feeds map[string]*onnxio.Array, visit Visitor) (map[string]*onnxio.Array, error) {
	args, err := p.args(feeds)
	if err != nil {
		return nil, err
	}
	var outs []*onnxio.Array
	if n := p.batchOf(args); n > 0 && visit == nil {
		outs = p.runSamples(args, n)
	}
	if outs == nil {
		r := &run{threads: p.opt.Threads, limit: p.opt.MaxBytes, visit: visit, plain: visit != nil}
		if outs, err = p.runGraph(r, args); err != nil {
			return nil, err
		}
	}
	results := make(map[string]*onnxio.Array, len(outs))
	for i, v := range outs {
		results[p.graph.names[p.graph.outputs[i]]] = v
	}
	return results, nil
}

// runGraph runs the graph with memory of earlier runs. The results share none of it.
func (p *Program) runGraph(r *run, args []*onnxio.Array) ([]*onnxio.Array, error) {
	a := p.arenas.Get().(*arena)
	first := *r
	r.arena = a
	outs, err := r.graph(p.graph, nil, args)
	if errors.Is(err, errBlocks) { // that layout is not tried again
		return p.runGraph(&first, args)
	}
	if errors.Is(err, errExact) {
		first.exact = true
		return p.runGraph(&first, args)
	}
	if err != nil {
		return nil, err // the arena, with what the run left in it, goes
	}
	for i, v := range outs {
		outs[i] = r.detach(v)
	}
	a.reset()
	p.arenas.Put(a)
	return outs, nil
}

// args returns the fed arrays in the order of the graph's inputs.
func (p *Program) args(feeds map[string]*onnxio.Array) ([]*onnxio.Array, error) {
	args := make([]*onnxio.Array, len(p.inputs))
	symbols := map[string]int{}
	for i, in := range p.inputs {
		a := feeds[in.Name]
		if a == nil {
			return nil, fmt.Errorf("feeding input %s: no value given", onnxio.Quote(in.Name))
		}
		if err := checkFeed(a, in.Type, symbols); err != nil {
			return nil, fmt.Errorf("feeding input %s: %w", onnxio.Quote(in.Name), err)
		}
		args[i] = a
	}
	return args, p.unknownFeed(feeds)
}

// unknownFeed reports the alphabetically first name of feeds that is no input.
func (p *Program) unknownFeed(feeds map[string]*onnxio.Array) error {
	if len(feeds) <= len(p.inputs) {
		return nil
	}
	known := map[string]bool{}
	for _, in := range p.inputs {
		known[in.Name] = true
	}
	first := ""
	for name := range feeds {
		if !known[name] && (first == "" || name < first) {
			first = name
		}
	}
	return fmt.Errorf("feeding input %s: the model has no such input to feed", onnxio.Quote(first))
}

// unnamed is what some exporters write for every dimension that they don't know: it is no symbol.
const unnamed = "?"

// checkFeed compares an array with the declared type of an input; symbols remembers symbolic dimensions.
func checkFeed(a *onnxio.Array, t *onnxio.TensorType, symbols map[string]int) error {
	if !isTensor(a) {
		return checkValue(a, t)
	}
	if n, ok := onnxio.CheckedLen(a.Shape); !ok || dataLen(a) != n {
		return fmt.Errorf("shape %v does not fit %d elements", a.Shape, dataLen(a))
	}
	if err := checkSpread(a.Shape); err != nil || t == nil {
		return err
	}
	if t.Elem != onnxio.Undefined && a.Type != t.Elem {
		return fmt.Errorf("type %v, want %v", a.Type, t.Elem)
	}
	if !t.HasShape {
		return nil
	}
	fits := len(a.Shape) == len(t.Shape)
	for i := 0; fits && i < len(a.Shape); i++ {
		switch d := t.Shape[i]; {
		case d.Known:
			fits = int64(a.Shape[i]) == d.Value
		case d.Param != "" && d.Param != unnamed:
			if n, ok := symbols[d.Param]; ok && n != a.Shape[i] {
				return fmt.Errorf("shape %v, want %s with %s = %d", a.Shape, dimString(t.Shape), d.Param, n)
			}
			symbols[d.Param] = a.Shape[i]
		}
	}
	if !fits {
		return fmt.Errorf("shape %v, want %s", a.Shape, dimString(t.Shape))
	}
	return nil
}

// checkValue is checkFeed of a sequence or an empty optional; t is the tensor type the model states, if it does.
func checkValue(a *onnxio.Array, t *onnxio.TensorType) error {
	list, err := elements(a)
	if t != nil || err != nil && !isNothing(a) {
		return fmt.Errorf("a value of Go type %T", a.Data)
	}
	for i, v := range list {
		if v == nil || !isTensor(v) {
			return fmt.Errorf("value %d of the sequence is no tensor", i)
		}
		if err := checkFeed(v, nil, nil); err != nil {
			return fmt.Errorf("value %d of the sequence: %w", i, err)
		}
	}
	return nil
}

// dimString writes dimensions as [N 1 28 28], with ? for those without name or value.
func dimString(dims []onnxio.Dim) string {
	s := make([]string, len(dims))
	for i, d := range dims {
		switch {
		case d.Known:
			s[i] = fmt.Sprint(d.Value)
		case d.Param != "":
			s[i] = d.Param
		default:
			s[i] = "?"
		}
	}
	return fmt.Sprint(s)
}
