package infer

import (
	"errors"
	"fmt"

	"bq/onnxio"
)

// maxValueElements bounds the elements of one value.
const maxValueElements = 1 << 31

// maxSteps bounds the nodes and subgraphs that one Run computes, loops included: about a minute of the cheapest ones.
const maxSteps = 1 << 26

// maxEmptySpread bounds the product of the other dimensions of a value without elements, over which operators may
// loop in vain.
const maxEmptySpread = 1 << 22

// checkSpread refuses shapes of no elements whose other dimensions are out of proportion.
func checkSpread(shape []int) error {
	n, empty := 1, false
	for _, d := range shape {
		if d == 0 {
			empty = true
		} else if n > maxEmptySpread/d {
			n = maxEmptySpread + 1
		} else {
			n *= d
		}
	}
	if empty && n > maxEmptySpread {
		return fmt.Errorf("an empty value of shape %v", shape)
	}
	return nil
}

// runFunc computes the outputs of a node from its inputs; in has nil where an input is not given. It must not
// write to its inputs; an output may share memory with an input. Outputs that it leaves nil are not given.
type runFunc func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error)

// run is the state of one Run.
type run struct {
	threads int
	limit   int64 // bytes
	steps   int64 // nodes and subgraphs so far
	live    int64 // bytes of the values held in frames, inputs included; a value that shares memory counts again
	visit   Visitor
	frame   *frame // of the graph that is being run

	generators map[*node]*generator // of the nodes that draw random numbers
}

// frame holds the values of one run of one graph, by slot.
type frame struct{ values []*onnxio.Array }

// graph runs g with args for its inputs. outer is the frame of the enclosing graph.
func (r *run) graph(g *graph, outer *frame, args []*onnxio.Array) ([]*onnxio.Array, error) {
	if len(args) != len(g.inputs) {
		return nil, fmt.Errorf("%d inputs given to a graph of %d", len(args), len(g.inputs))
	}
	if err := r.count(); err != nil {
		return nil, err
	}
	f := &frame{values: append([]*onnxio.Array{}, g.consts...)}
	for _, c := range g.captures {
		f.values[c.inner] = outer.values[c.outer]
	}
	caller, held := r.frame, r.live
	r.frame = f
	defer func() { r.frame, r.live = caller, held }()
	for i, slot := range g.inputs {
		f.values[slot] = args[i]
		r.live += arrayBytes(args[i])
	}
	for _, nd := range g.nodes {
		if err := r.step(nd, f); err != nil {
			return nil, fmt.Errorf("running %s: %w", nd.where, err)
		}
	}
	outs := make([]*onnxio.Array, len(g.outputs))
	for i, slot := range g.outputs {
		if outs[i] = f.values[slot]; outs[i] == nil {
			return nil, fmt.Errorf("graph output %s was not computed", onnxio.Quote(g.names[slot]))
		}
	}
	return outs, nil
}

// step runs one node, stores its outputs and drops what nobody needs any more.
func (r *run) step(nd *node, f *frame) error {
	if err := r.count(); err != nil {
		return err
	}
	in := make([]*onnxio.Array, len(nd.in))
	for i, slot := range nd.in {
		if slot < 0 {
			continue
		}
		if in[i] = f.values[slot]; in[i] == nil {
			return fmt.Errorf("input %s was not computed", onnxio.Quote(nd.Inputs[i]))
		}
	}
	outs, err := r.call(nd, in)
	if err != nil {
		return err
	}
	for i, slot := range nd.out {
		if slot < 0 {
			continue
		}
		v := outs[i]
		if r.visit != nil && isTensor(v) {
			if v, err = r.show(nd, nd.Outputs[i], v); err != nil {
				return err
			}
		}
		f.values[slot] = v
		r.live += arrayBytes(v)
	}
	for _, slot := range nd.free {
		if v := f.values[slot]; v != nil {
			r.live -= arrayBytes(v)
			f.values[slot] = nil
		}
	}
	return nil
}

// count notes one step more.
func (r *run) count() error {
	if r.steps++; r.steps > maxSteps {
		return fmt.Errorf("more than %d steps in one run", maxSteps)
	}
	return nil
}

// hold counts a value that a loop keeps for stacking as alive.
func (r *run) hold(v *onnxio.Array) error {
	if r.live += listedBytes + arrayBytes(v); r.live > r.limit {
		return fmt.Errorf("stacked values exceed the limit of %d bytes", r.limit)
	}
	return nil
}

// errPanic says that an operator met something that its checks do not cover.
var errPanic = errors.New("internal error")

// call runs the operator of a node and checks and rounds what it returns.
func (r *run) call(nd *node, in []*onnxio.Array) (outs []*onnxio.Array, err error) {
	defer func() {
		if p := recover(); p != nil {
			outs, err = nil, fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	for i, v := range in {
		if v != nil && !nd.any && !isTensor(v) {
			return nil, fmt.Errorf("input %d: a sequence or optional, want a tensor", i)
		}
	}
	for _, i := range nd.ints {
		if v := in[i]; v != nil && v.Type != onnxio.Int64 && v.Type != onnxio.Int32 {
			return nil, fmt.Errorf("input %d: %v, want integers", i, v.Type)
		}
	}
	if outs, err = nd.run(r, in); err != nil {
		return nil, err
	}
	for i, slot := range nd.out {
		if slot < 0 {
			continue
		}
		if i >= len(outs) || outs[i] == nil {
			return nil, fmt.Errorf("output %d is not given by the operator", i)
		}
		if err := checkSpread(outs[i].Shape); err != nil {
			return nil, err
		}
		if b := arrayBytes(outs[i]); !isTensor(outs[i]) && b > r.limit-r.live {
			return nil, fmt.Errorf("a sequence of %d bytes beside %d in use, limit %d", b, r.live, r.limit)
		}
		roundHalf(outs[i])
	}
	return outs, nil
}

// show gives a value to the visitor and returns what takes its place.
func (r *run) show(nd *node, output string, v *onnxio.Array) (*onnxio.Array, error) {
	w, err := r.visit(nd.Node, output, v)
	if err != nil || w == nil {
		return v, err
	}
	if w.Type != v.Type || !equalShape(w.Shape, v.Shape) || dataLen(w) != dataLen(v) {
		return nil, fmt.Errorf("replacing %s: %v %v, want %v %v", onnxio.Quote(output), w.Type, w.Shape, v.Type, v.Shape)
	}
	return w, nil
}

// new allocates a zero value, within the limits on elements and bytes.
func (r *run) new(t onnxio.DataType, shape ...int) (*onnxio.Array, error) {
	if !t.HasArray() {
		return nil, &onnxio.UnsupportedError{Text: "element type " + t.String()}
	}
	n, ok := onnxio.CheckedLen(shape)
	if !ok || n > maxValueElements {
		return nil, fmt.Errorf("a value of shape %v has too many elements", shape)
	}
	if err := checkSpread(shape); err != nil {
		return nil, err
	}
	if b := int64(n) * elementBytes(t); b > r.limit-r.live {
		return nil, fmt.Errorf("a value of shape %v needs %d bytes beside %d in use, limit %d", shape, b, r.live, r.limit)
	}
	return onnxio.NewArray(t, shape...), nil
}
