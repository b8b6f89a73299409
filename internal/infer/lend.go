package infer

import (
	"fmt"
	"slices"
	"unsafe"

	"bq/onnxio"
)

// lending says how the node that is being run is given memory.
type lending struct {
	offer handle // block of an input that dies here, which an output of the same size may take; 0 for none
	heap  bool   // outputs are results of the graph: they would be copied out of the arena
	keep  bool   // outputs outlive the run: they must not lie in the arena
	fills bool   // the operator writes every element of what it is given
}

// new allocates a zero value, within the limits on elements and bytes. Operators that are known to write every element
// get memory of any content.
func (r *run) new(t onnxio.DataType, shape ...int) (*onnxio.Array, error) {
	v, clean, err := r.allocate(t, shape)
	if err == nil && !clean && !r.lends.fills {
		zero(v)
	}
	return v, err
}

// blank is new for callers that write every element: the content is any.
func (r *run) blank(t onnxio.DataType, shape ...int) (*onnxio.Array, error) {
	v, _, err := r.allocate(t, shape)
	return v, err
}

// allocate returns a value, and whether it is zero.
func (r *run) allocate(t onnxio.DataType, shape []int) (v *onnxio.Array, clean bool, err error) {
	if !t.HasArray() {
		return nil, false, &onnxio.UnsupportedError{Text: "element type " + t.String()}
	}
	n, ok := onnxio.CheckedLen(shape)
	if !ok || n > maxValueElements {
		return nil, false, fmt.Errorf("a value of shape %v has too many elements", shape)
	}
	if n == 0 {
		if err := checkSpread(shape); err != nil {
			return nil, false, err
		}
	}
	b := int64(n) * elementBytes(t)
	if b > r.limit-r.live {
		return nil, false, fmt.Errorf("a value of shape %v needs %d bytes beside %d in use, limit %d", shape, b, r.live, r.limit)
	}
	if r.arena == nil || t == onnxio.String || b == 0 || r.lends.keep || (r.lends.heap || b < smallValue) && !r.arena.poison {
		return onnxio.NewArray(t, shape...), true, nil
	}
	h := r.lends.offer
	if h != 0 && t == onnxio.Float && int64(r.arena.blocks[h].bytes) == b {
		r.lends.offer = 0
		return r.arena.array(h, t, n, shape), false, nil
	}
	h = r.arena.lend(int(b))
	r.fresh = append(r.fresh, h)
	return r.arena.array(h, t, n, shape), false, nil
}

// zero clears a value that lies in the arena.
func zero(v *onnxio.Array) {
	n := v.Len() * int(elementBytes(v.Type))
	clear(unsafe.Slice((*uint8)(firstOf(v)), n))
}

// offered returns the block of an input that dies at nd and that an element-wise operator may overwrite, 0 for none.
func (r *run) offered(nd *node, f *frame) handle {
	for _, i := range nd.reuse {
		slot := nd.in[i]
		h := f.blocks[slot]
		if h == 0 || f.values[slot].Type != onnxio.Float {
			continue
		}
		if b := &r.arena.blocks[h]; b.refs == 1 && firstOf(f.values[slot]) == b.start && 4*len(f.values[slot].F32()) == b.bytes {
			return h
		}
	}
	return 0
}

// blockOf returns the block in which output v of nd lies, with a reference added; 0 where it lies outside of the arena.
// What a sequence may hold is kept to the end of the run.
func (r *run) blockOf(nd *node, f *frame, v *onnxio.Array, mark int) handle {
	if r.arena == nil {
		return 0
	}
	if !isTensor(v) {
		for _, h := range r.fresh[mark:] {
			r.arena.blocks[h].refs++
		}
		for _, slot := range nd.in {
			if slot >= 0 && f.blocks[slot] != 0 {
				r.arena.blocks[f.blocks[slot]].refs++
			}
		}
		return 0
	}
	h := r.search(nd, f, firstOf(v), mark)
	if h != 0 {
		r.arena.blocks[h].refs++
	}
	return h
}

// search returns the block in which an output of nd that begins at p lies: one that was lent to it, or one of an input.
// A node that runs graphs may also pass on what those see.
func (r *run) search(nd *node, f *frame, p unsafe.Pointer, mark int) handle {
	if p == nil || !r.arena.owns(p) {
		return 0
	}
	for i := len(r.fresh) - 1; i >= mark; i-- {
		if r.arena.holds(r.fresh[i], p) {
			return r.fresh[i]
		}
	}
	for _, slot := range nd.in {
		if slot >= 0 && f.blocks[slot] != 0 && r.arena.holds(f.blocks[slot], p) {
			return f.blocks[slot]
		}
	}
	return r.arena.find(p)
}

// detach returns v with nothing of it in the arena or in a memo: v itself, or a copy.
func (r *run) detach(v *onnxio.Array) *onnxio.Array {
	if list, ok := v.Data.([]*onnxio.Array); ok {
		own := make([]*onnxio.Array, len(list))
		for i, e := range list {
			own[i] = r.detach(e)
		}
		return &onnxio.Array{Type: v.Type, Shape: v.Shape, Data: own}
	}
	if p := firstOf(v); isTensor(v) && (arrayBytes(v) <= memoBytes || r.arena.owns(p)) {
		return copyOf(v)
	}
	return v
}

// copyOf returns a tensor with the elements of v, of its own.
func copyOf(v *onnxio.Array) *onnxio.Array {
	out := onnxio.NewArray(v.Type, v.Shape...)
	copyRange(out, 0, v, 0, v.Len())
	return out
}

// inPlace lists operators whose results depend, element by element, on the element of each input at the same place, or
// on an input that is broadcast: they may write over an input that dies. Their inputs are read before they are written.
var inPlace = map[string]bool{
	"Abs": true, "Add": true, "Ceil": true, "Clip": true, "Cos": true, "Div": true, "Elu": true, "Erf": true, "Exp": true,
	"Floor": true, "Gelu": true, "HardSigmoid": true, "HardSwish": true, "LeakyRelu": true, "Log": true, "Mish": true,
	"Mul": true, "Neg": true, "Reciprocal": true, "Relu": true, "Round": true, "Selu": true, "Sigmoid": true, "Sin": true,
	"Softplus": true, "Softsign": true, "Sqrt": true, "Sub": true, "Swish": true, "Tanh": true,
}

// filling lists further operators that write every element of what new gives them.
var filling = map[string]bool{
	"And": true, "AveragePool": true, "BatchNormalization": true, "Cast": true, "Concat": true, "Conv": true, "ConvTranspose": true,
	"DequantizeLinear": true, "Equal": true, "Expand": true, "Gather": true, "GlobalAveragePool": true, "Greater": true,
	"GreaterOrEqual": true, "InstanceNormalization": true, "LayerNormalization": true, "Less": true, "LessOrEqual": true,
	"LogSoftmax": true, "MaxPool": true, "Not": true, "Or": true, "PRelu": true,
	"QuantizeLinear": true, "Slice": true, "Softmax": true, "Split": true, "Transpose": true, "Where": true, "Xor": true,
}

// plan notes at every node how it is given memory: after lifetimes.
func (g *graph) plan() {
	g.memorize()
	result := make([]bool, len(g.names))
	for _, slot := range g.outputs {
		result[slot] = true
	}
	for _, nd := range slices.Concat(g.nodes, g.expanded()) {
		nd.ends, nd.reuse = false, nil
		for _, slot := range nd.out {
			nd.ends = nd.ends || slot >= 0 && result[slot]
		}
		nd.fills = nd.fast != nil || nd.standard && (inPlace[nd.OpType] || filling[nd.OpType])
		for i, slot := range nd.in {
			may := nd.standard && inPlace[nd.OpType] || slices.Contains(nd.overwrites, i)
			if may && slices.Contains(nd.free, slot) {
				nd.reuse = append(nd.reuse, i)
			}
		}
	}
}
