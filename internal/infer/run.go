package infer

import (
	"errors"
	"fmt"
	"slices"

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
// write to its inputs; an output may share memory with an input. Outputs that it leaves nil are not given. Neither inputs
// nor what r.new gave it may be kept after it returns, but in its outputs.
type runFunc func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error)

// run is the state of one Run.
type run struct {
	threads int
	limit   int64 // bytes
	steps   int64 // nodes and subgraphs so far
	live    int64 // bytes of the values held in frames, inputs included; a value that shares memory counts again
	visit   Visitor
	plain   bool   // run the graphs as they stand in the file, without fused nodes
	exact   bool   // run without codes of quantized values, and without blocks
	frame   *frame // of the graph that is being run

	arena *arena // nil for values that are allocated one by one
	fresh []handle
	args  []*onnxio.Array // inputs of the nodes that are being run, one node's behind those of the node around it
	lends lending

	generators map[*node]*generator // of the nodes that draw random numbers
}

// frame holds the values of one run of one graph, by slot, and the blocks of the arena in which they lie. A value of the
// enclosing graph has no block here: it lives as long as that graph says.
type frame struct {
	values []*onnxio.Array
	blocks []handle
}

// graph runs g with args for its inputs. outer is the frame of the enclosing graph. Results do not lie in memory that a
// later node may be given.
func (r *run) graph(g *graph, outer *frame, args []*onnxio.Array) ([]*onnxio.Array, error) {
	if len(args) != len(g.inputs) {
		return nil, fmt.Errorf("%d inputs given to a graph of %d", len(args), len(g.inputs))
	}
	if err := r.count(); err != nil {
		return nil, err
	}
	if r.plain {
		return r.nodes(g, outer, args)
	}
	form := g.fused()
	if r.exact {
		form = g.fast
	}
	outs, err := r.nodes(form, outer, args)
	if err == errBlocks { // as a node of g returns it; from a graph within g it comes wrapped
		g.layout.Store(nil)
	}
	return outs, err
}

// nodes runs the nodes of one form of a graph.
func (r *run) nodes(g *graph, outer *frame, args []*onnxio.Array) ([]*onnxio.Array, error) {
	f := &frame{values: slices.Clone(g.consts), blocks: make([]handle, len(g.consts))}
	for _, c := range g.captures {
		f.values[c.inner] = outer.values[c.outer]
	}
	caller, held, lends := r.frame, r.live, r.lends
	r.frame = f
	defer func() { r.frame, r.live, r.lends = caller, held, lends }()
	for i, slot := range g.inputs {
		f.values[slot] = args[i]
		r.live += arrayBytes(args[i])
	}
	for _, nd := range g.nodes {
		if err := r.step(nd, f); err != nil {
			return nil, err
		}
	}
	return r.results(g, f)
}

// results returns the outputs of g, copied where they lie in blocks of its frame, and gives those back.
func (r *run) results(g *graph, f *frame) ([]*onnxio.Array, error) {
	outs := make([]*onnxio.Array, len(g.outputs))
	for i, slot := range g.outputs {
		v := f.values[slot]
		if v == nil {
			return nil, fmt.Errorf("graph output %s was not computed", onnxio.Quote(g.names[slot]))
		}
		if f.blocks[slot] != 0 {
			v = copyOf(v)
			f.values[slot] = v
			r.arena.drop(f.blocks[slot])
			f.blocks[slot] = 0
		}
		outs[i] = v
	}
	return outs, nil
}

// step runs one node, or the nodes of a group.
func (r *run) step(nd *node, f *frame) error {
	if nd.fast == nil {
		return nd.named(r.stepPlain(nd, f))
	}
	if done, err := r.stepFused(nd, f); done || err != nil {
		return nd.named(err)
	}
	if nd.parts == nil {
		return errBlocks
	}
	for _, part := range nd.parts {
		if err := r.step(part, f); err != nil {
			return err
		}
	}
	return nil
}

// named says in which node an error happened.
func (nd *node) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("running %s: %w", nd.where, err)
}

// stepPlain runs one node, stores its outputs and drops what nobody needs any more.
func (r *run) stepPlain(nd *node, f *frame) error {
	if err := r.count(); err != nil {
		return err
	}
	base, mark := len(r.args), len(r.fresh)
	in, err := r.inputs(nd, f)
	if err != nil {
		return err
	}
	outs, err := r.compute(nd, f, in)
	if err != nil {
		return err
	}
	if err := r.store(nd, f, outs, mark); err != nil {
		return err
	}
	r.args = r.args[:base]
	r.release(nd, f)
	return nil
}

// compute returns the outputs of a node, remembered ones where it has them.
func (r *run) compute(nd *node, f *frame, in []*onnxio.Array) ([]*onnxio.Array, error) {
	if nd.memo == nil {
		r.lends = lending{heap: nd.ends, fills: nd.fills, offer: r.offered(nd, f)}
		return r.call(nd, in)
	}
	if outs := nd.memo.recall(nd, in); outs != nil {
		return outs, nil
	}
	r.lends = lending{keep: true}
	outs, err := r.call(nd, in)
	if err == nil {
		nd.memo.remember(nd, in, outs)
	}
	return outs, err
}

// inputs gathers the inputs of a node; the slice lasts until the node is done.
func (r *run) inputs(nd *node, f *frame) ([]*onnxio.Array, error) {
	base := len(r.args)
	for i, slot := range nd.in {
		var v *onnxio.Array
		if slot >= 0 {
			if v = f.values[slot]; v == nil {
				return nil, fmt.Errorf("input %s was not computed", onnxio.Quote(nd.Inputs[i]))
			}
		}
		r.args = append(r.args, v)
	}
	return r.args[base:len(r.args):len(r.args)], nil
}

// store puts the outputs of a node into its slots. Blocks that were lent to the node and hold no output are given back.
func (r *run) store(nd *node, f *frame, outs []*onnxio.Array, mark int) error {
	var err error
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
		f.blocks[slot] = r.blockOf(nd, f, v, mark)
		r.live += arrayBytes(v)
	}
	for _, h := range r.fresh[mark:] {
		if r.arena.blocks[h].refs == 0 {
			r.arena.giveBack(h)
		}
	}
	r.fresh = r.fresh[:mark]
	return nil
}

// release empties the slots that no node after nd uses.
func (r *run) release(nd *node, f *frame) {
	for _, slot := range nd.free {
		v := f.values[slot]
		if v == nil {
			continue
		}
		r.live -= arrayBytes(v)
		f.values[slot] = nil
		if h := f.blocks[slot]; h != 0 {
			r.arena.drop(h)
			f.blocks[slot] = 0
		}
	}
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
