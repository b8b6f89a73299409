package infer

import (
	"errors"

	"bq/internal/kernel"
	"bq/onnxio"
)

// The third form of a compiled graph: convolutions and what stands between them run on images whose channels lie in blocks
// (kernel.ToBlocks), so that every kernel reads and writes whole vectors. Which values lie in blocks is decided once, by
// the graph alone: a convolution with constant weights wants blocks, other operators that know blocks take them where
// their inputs lie in blocks already, and everything else gets its inputs as the graph has them. Values change their
// form in nodes of their own, once for all who read them. What such a node sees only as a run is on its way, that shapes
// do not fit, sends the graph back to its fused form for good, and the run back to its start.

// errBlocks says that a value does not have the shape that a node in blocks was made for.
var errBlocks = errors.New("shapes do not fit blocks of channels")

// blocking turns a fused graph into one in blocks. Slots of values in blocks come behind those of the graph.
type blocking struct {
	*fusion
	out      *graph
	block    []int             // by slot: the slot of the value in blocks, -1 for none
	kinds    []onnxio.DataType // by slot: the element type of the value in blocks; Uint8 for pixels of codes
	channels []int             // by slot: channels of the value in blocks
	plain    []bool            // by slot: the value is there as the graph has it
	rank     []int             // by slot: dimensions of the value in blocks, as the graph has it; 0 where that is not known
	inputs   map[int]int       // slots of images whose channels were moved from the back, and of what they were moved
	makers   []*node           // by slot: the convolution in blocks that made it
	count    int               // convolutions in blocks
}

// blocked returns g, a fused graph, in blocks; nil where nothing would be.
func (g *graph) blocked() *graph {
	if !kernel.BlocksPay() {
		return nil
	}
	n := len(g.names)
	b := &blocking{fusion: newFusion(g), block: make([]int, n), channels: make([]int, n), plain: make([]bool, n), rank: make([]int, n), kinds: make([]onnxio.DataType, n), makers: make([]*node, n)}
	b.out = &graph{names: append([]string{}, g.names...), consts: append([]*onnxio.Array{}, g.consts...), inputs: g.inputs,
		outputs: g.outputs, captures: g.captures}
	for slot := range n {
		b.block[slot], b.plain[slot], b.kinds[slot] = -1, b.maker[slot] < 0, onnxio.Float
	}
	for i, nd := range b.nodes {
		if !b.take(i) {
			b.keep(nd)
		}
	}
	for _, slot := range g.outputs {
		b.leave(slot)
	}
	if b.count == 0 {
		return nil
	}
	b.out.lifetimes()
	b.out.plan()
	b.out.once.Do(func() {})
	b.out.fast = b.out
	return b.out
}

// keep takes a node over as it is, with copies of its parts: what lives how long is noted in them, and differs between the
// forms of a graph.
func (b *blocking) keep(nd *node) {
	parts := nd.parts
	nd.parts = nil
	for _, part := range parts {
		c := *part
		nd.parts = append(nd.parts, &c)
	}
	for _, slot := range nd.in {
		b.leave(slot)
	}
	for _, sub := range nd.subs {
		for _, c := range sub.captures {
			b.leave(c.outer)
		}
	}
	b.out.nodes = append(b.out.nodes, nd)
	for _, slot := range nd.out {
		if slot >= 0 {
			b.plain[slot] = true
		}
	}
}

// inBlocks reports whether a value lies in blocks and not as the graph has it.
func (b *blocking) inBlocks(slot int) bool { return slot >= 0 && b.block[slot] >= 0 && !b.plain[slot] }

// fits reports whether a value may have so many channels: the shape of a value in blocks does not tell.
func (b *blocking) fits(slot, channels int) bool {
	return b.block[slot] < 0 || b.channels[slot] == channels
}

// add puts a node into the graph that computes slot to from the values in slots, of type t. It stands at the place of nd.
func (b *blocking) add(nd *node, t onnxio.DataType, slots []int, to int, fast fastFunc, inPlace ...int) *node {
	made := &node{Node: nd.Node, where: nd.where, in: slots, out: []int{to}, fast: fast, elem: t, overwrites: inPlace}
	b.out.nodes = append(b.out.nodes, made)
	return made
}

// slot returns a new slot for the value of slot in blocks.
func (b *blocking) slot(slot, channels int) int {
	b.block[slot], b.channels[slot] = len(b.out.names), channels
	b.out.names = append(b.out.names, b.out.names[slot])
	b.out.consts = append(b.out.consts, nil)
	return b.block[slot]
}

// produce puts a node into the graph that computes the first output of nd in blocks, from values of the type of kinds.
func (b *blocking) produce(nd *node, slots []int, channels int, fast fastFunc, inPlace ...int) *node {
	t := b.kinds[nd.out[0]]
	return b.add(nd, t, slots, b.slot(nd.out[0], channels), fast, inPlace...)
}

// enter returns the slot of a value of type t in blocks, and has it laid out so where it is not; nd is who wants it.
func (b *blocking) enter(nd *node, t onnxio.DataType, slot, channels int) int {
	if b.block[slot] >= 0 {
		return b.block[slot]
	}
	to := b.slot(slot, channels)
	b.kinds[slot] = t
	b.add(nd, t, []int{slot}, to, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		s := in[0].Shape
		if len(s) < 3 || s[1] != channels {
			return nil, nil
		}
		out, err := r.blank(t, blockShape(s[0], channels, s[2:])...)
		if err == nil {
			kernel.ToBlocks(out.F32(), in[0].F32(), s[0], channels, product(s[2:]), r.threads)
		}
		return out, nil
	})
	return to
}

// leave has a value laid out as the graph has it where it is not.
func (b *blocking) leave(slot int) {
	if slot < 0 || b.plain[slot] || b.block[slot] < 0 {
		return
	}
	b.plain[slot] = true
	channels, t := b.channels[slot], b.kinds[slot]
	if t == onnxio.Uint8 {
		b.leavePixels(slot)
		return
	}
	b.add(b.nodes[b.maker[slot]], t, []int{b.block[slot]}, slot, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		n, spatial := in[0].Shape[0], spatialOf(in[0])
		out, err := r.blank(t, append([]int{n, channels}, spatial...)...)
		if err == nil {
			kernel.FromBlocks(out.F32(), in[0].F32(), n, channels, product(spatial), r.threads)
		}
		return out, nil
	})
}

// blockShape is the shape of a value in blocks: [batch, blocks, spatial..., kernel.Block].
func blockShape(batch, channels int, spatial []int) []int {
	shape := append(make([]int, 0, 6), batch, kernel.Blocks(channels))
	return append(append(shape, spatial...), kernel.Block)
}

// spatialOf returns the spatial dimensions of a value in blocks.
func spatialOf(v *onnxio.Array) []int { return v.Shape[2 : len(v.Shape)-1] }

// take puts the node at place i into the graph in blocks, where it knows them and should have them.
func (b *blocking) take(i int) bool {
	nd := b.nodes[i]
	if len(nd.in) == 0 || nd.in[0] < 0 || nd.out[0] < 0 {
		return false
	}
	if done, taken := b.codes(nd); taken {
		return done
	}
	if nd.parts == nil && !nd.standard { // other domains have operators that do more than what their state tells
		return false
	}
	switch state := nd.state.(type) {
	case *fusedConvolution:
		return b.convolution(nd, state)
	case *convolution:
		return b.bareConvolution(i, state)
	case *pooled:
		if !state.mean || b.kinds[nd.in[0]] == onnxio.Float {
			return b.pool(nd, state)
		}
	}
	if nd.parts == nil && nd.OpType == "Concat" {
		return b.concat(nd)
	}
	for _, slot := range nd.in {
		if slot >= 0 && b.kinds[slot] != onnxio.Float { // the others would have to round
			return false
		}
	}
	switch state := nd.state.(type) {
	case *spanned:
		return b.span(nd, state.f)
	case *summed:
		return b.sum(nd, state.tail)
	case *resized:
		return b.resize(nd, state)
	}
	if nd.parts != nil {
		return false
	}
	switch nd.OpType {
	case "Add", "Mul":
		return b.perChannel(i) || b.pair(nd)
	case "BatchNormalization":
		return b.perChannel(i)
	case "GlobalAveragePool":
		return b.globalPool(nd)
	}
	if t, ok := b.tail(i, nd.in[0]); ok {
		return b.span(nd, t.apply)
	}
	return false
}
