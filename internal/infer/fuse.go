package infer

import (
	"fmt"

	"bq/onnxio"
)

// A compiled graph has two forms. The plain one is the graph of the file; runs with a visitor take it. The fused one has
// nodes that stand for groups of nodes: a group's result is computed at once, without the values between. Element types
// and shapes are known only when a run is on its way, so every group keeps its nodes: where the fast function declines,
// they run one by one, and give the results and the errors of the plain form.

// fastFunc computes the one output of a fused node. It returns nil, and has written nothing, where it declines.
type fastFunc func(r *run, in []*onnxio.Array) (*onnxio.Array, error)

// fused returns the fastest form of g there is, made once.
func (g *graph) fused() *graph {
	g.once.Do(func() {
		g.fast = g.fuse(false)
		first := g.fuse(true)
		if first == nil {
			first = g.fast
		}
		if b := first.blocked(); b != nil {
			g.layout.Store(b)
		} else if first != g.fast {
			g.layout.Store(first)
		}
	})
	if b := g.layout.Load(); b != nil {
		return b
	}
	return g.fast
}

// fuse returns a copy of g in which groups of nodes are fused; with codes, one in which products of quantized values are
// those of their codes, nil where there are none. Slots keep their numbers: graphs inside capture by them.
func (g *graph) fuse(codes bool) *graph {
	z := newFusion(g)
	if codes && !z.quantize() {
		return nil
	}
	for i, nd := range z.nodes {
		if nd == nil || !nd.standard {
			continue
		}
		for _, rule := range fusionRules {
			if rule(z, i) {
				break
			}
		}
	}
	out := &graph{names: z.names, consts: z.consts, inputs: g.inputs, outputs: g.outputs, captures: g.captures}
	for _, nd := range z.nodes {
		if nd != nil {
			out.nodes = append(out.nodes, nd)
		}
	}
	out.lifetimes()
	out.plan()
	out.once.Do(func() {})
	out.fast = out
	return out
}

// fusionRules are tried in order at every node that no group has taken yet. A rule takes the group that starts there, or
// reports false.
var fusionRules = []func(z *fusion, i int) bool{
	fuseConvolution, fuseProduct, fuseNorm, fuseGelu, fuseHardSwish, fuseGate, fuseSum,
}

// fusion is a graph that is being fused.
type fusion struct {
	g      *graph
	nodes  []*node // copies, by place; nil where a group has taken the node
	uses   []int   // by slot: inputs of nodes, graph outputs and captures that read it
	reader []int   // by slot: the place of the last node that reads it
	maker  []int   // by slot: the place of the node that computes it, -1 for inputs and constants

	names  []string        // those of g, and of slots that come behind them
	consts []*onnxio.Array // likewise
}

func newFusion(g *graph) *fusion {
	n := len(g.names)
	z := &fusion{g: g, nodes: make([]*node, len(g.nodes)), uses: make([]int, n), reader: make([]int, n), maker: make([]int, n), names: g.names, consts: g.consts}
	for i, nd := range g.nodes {
		c := *nd
		z.nodes[i] = &c
	}
	z.recount()
	return z
}

// recount notes who reads and who makes what stands in each slot.
func (z *fusion) recount() {
	for slot := range z.maker {
		z.maker[slot], z.reader[slot], z.uses[slot] = -1, -1, 0
	}
	for i, nd := range z.nodes {
		if nd == nil {
			continue
		}
		for _, slot := range nd.in {
			if slot >= 0 {
				z.uses[slot]++
				z.reader[slot] = i
			}
		}
		for _, sub := range nd.subs {
			for _, c := range sub.captures {
				z.uses[c.outer] += 2
			}
		}
		for _, slot := range nd.out {
			if slot >= 0 {
				z.maker[slot] = i
			}
		}
	}
	for _, slot := range z.g.outputs {
		z.uses[slot] += 2
	}
}

// next returns the only node that reads the first output of node i, and does so once; -1 where there is none, or where
// node i has other outputs.
func (z *fusion) next(i int) int {
	nd := z.nodes[i]
	slot := nd.out[0]
	if slot < 0 || z.uses[slot] != 1 {
		return -1
	}
	for _, other := range nd.out[1:] {
		if other >= 0 {
			return -1
		}
	}
	if k := z.reader[slot]; z.nodes[k] != nil && z.nodes[k].standard && z.nodes[k].parts == nil {
		return k
	}
	return -1
}

// is reports whether place i holds a plain node of this operator of the default domain.
func (z *fusion) is(i int, op string) bool {
	return i >= 0 && z.nodes[i] != nil && z.nodes[i].standard && z.nodes[i].parts == nil && z.nodes[i].OpType == op
}

// constant returns input k of node i where it is a float32 constant.
func (z *fusion) constant(i, k int) *onnxio.Array {
	nd := z.nodes[i]
	if k >= len(nd.in) || nd.in[k] < 0 {
		return nil
	}
	if c := z.g.consts[nd.in[k]]; c != nil && c.Type == onnxio.Float {
		return c
	}
	return nil
}

// absent reports whether node i is not given input k.
func (z *fusion) absent(i, k int) bool { return k >= len(z.nodes[i].in) || z.nodes[i].in[k] < 0 }

// scalar returns input k of node i where it is a constant of one float32 element.
func (z *fusion) scalar(i, k int) (float32, bool) {
	if c := z.constant(i, k); c != nil && c.Len() == 1 {
		return c.F32()[0], true
	}
	return 0, false
}

// other returns the slot of the input of the two-operand node i that is not slot; -1 where both are, or neither.
func (z *fusion) other(i, slot int) int {
	in := z.nodes[i].in
	switch {
	case len(in) != 2 || in[0] == in[1]:
		return -1
	case in[0] == slot:
		return in[1]
	case in[1] == slot:
		return in[0]
	}
	return -1
}

// group puts one node, which computes the output of the last place from the values in slots, in the place of the nodes
// at places, ascending. nd.reuse is worked out from where it says the result may be written over an input.
func (z *fusion) group(places []int, slots []int, fast fastFunc, inPlace ...int) {
	last := places[len(places)-1]
	end := z.nodes[last]
	nd := &node{Node: end.Node, in: slots, out: end.out, fast: fast, elem: onnxio.Float, fills: true, overwrites: inPlace}
	for _, i := range places {
		nd.parts = append(nd.parts, z.nodes[i])
		z.nodes[i] = nil
	}
	nd.where = fmt.Sprintf("%s to %s", nd.parts[0].where, end.where)
	z.nodes[last] = nd
}

// stepFused runs a group at once and reports whether it did: its fast function may decline.
func (r *run) stepFused(nd *node, f *frame) (done bool, err error) {
	base, mark := len(r.args), len(r.fresh)
	in, missing := r.inputs(nd, f)
	if missing != nil {
		r.args = r.args[:base]
		return false, nil
	}
	r.lends = lending{heap: nd.ends, fills: true, offer: r.offered(nd, f)}
	out, err := r.attempt(nd, in)
	r.args = r.args[:base]
	if out == nil || err != nil {
		return false, err
	}
	if err := r.count(); err != nil {
		return false, err
	}
	if err := r.store(nd, f, []*onnxio.Array{out}, mark); err != nil {
		return false, err
	}
	r.release(nd, f)
	return true, nil
}

// attempt calls the fast function of a node.
func (r *run) attempt(nd *node, in []*onnxio.Array) (out *onnxio.Array, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	for _, v := range in {
		if v == nil || v.Type != nd.elem || !isByte(v) && v.F32() == nil {
			return nil, nil
		}
	}
	return nd.fast(r, in)
}
