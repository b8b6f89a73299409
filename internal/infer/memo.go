package infer

import (
	"sync/atomic"

	"bq/onnxio"
)

// Models that exporters wrote for any size compute shapes by hundreds of small nodes: Shape, Gather, Concat and so on.
// Their values depend on shapes alone. A node of that kind remembers its last outputs and gives them again where its
// inputs are the same arrays, or, for Shape and Size, its input has the same shape. So a run on inputs of the shapes of
// the run before computes none of them.

// memoBytes bounds an output that is remembered.
const memoBytes = 16 << 10

// memo is what a node remembers. Runs that differ in shapes replace each other's; either is right for the inputs it names.
type memo struct{ last atomic.Pointer[remembered] }

// remembered is never written to, nor are its arrays, which lie outside of the arenas.
type remembered struct {
	shape []int           // of the input of Shape and Size
	in    []*onnxio.Array // of other operators
	outs  []*onnxio.Array
}

// recall returns the outputs that were remembered for these inputs, nil for none.
func (m *memo) recall(nd *node, in []*onnxio.Array) []*onnxio.Array {
	last := m.last.Load()
	if last == nil {
		return nil
	}
	if nd.measures() {
		if in[0] == nil || !equalShape(in[0].Shape, last.shape) || !isTensor(in[0]) {
			return nil
		}
		return last.outs
	}
	for i, v := range in {
		if v != last.in[i] {
			return nil
		}
	}
	return last.outs
}

// remember keeps the outputs for these inputs, unless they are large.
func (m *memo) remember(nd *node, in, outs []*onnxio.Array) {
	for _, v := range outs {
		if v != nil && (!isTensor(v) || arrayBytes(v) > memoBytes) {
			return
		}
	}
	last := &remembered{outs: append([]*onnxio.Array{}, outs...)}
	if nd.measures() {
		last.shape = append([]int{}, in[0].Shape...)
	} else {
		last.in = append([]*onnxio.Array{}, in...)
	}
	m.last.Store(last)
}

// measures reports whether the node looks at nothing but the shape of its input.
func (nd *node) measures() bool { return nd.standard && (nd.OpType == "Shape" || nd.OpType == "Size") }

// memorize gives a memo to every node whose outputs depend on constants and shapes alone.
func (g *graph) memorize() {
	derived := make([]bool, len(g.names))
	for _, nd := range g.nodes {
		nd.memo = nil
		if !nd.standard || !nd.pure || nd.parts != nil {
			continue
		}
		depends := nd.measures()
		for _, slot := range nd.in {
			if slot < 0 || g.consts[slot] != nil || nd.measures() {
				continue
			}
			if depends = derived[slot]; !depends {
				break
			}
		}
		if !depends {
			continue
		}
		nd.memo = &memo{}
		for _, slot := range nd.out {
			if slot >= 0 {
				derived[slot] = true
			}
		}
	}
}
