package infer

import (
	"math"

	"bq/internal/kernel"
	"bq/onnxio"
)

// tail is the activation at the end of a group: bounds, which kernels apply as they store results, or a function. The
// zero value is none.
type tail struct {
	clamp     bool
	low, high float32
	f         func(dst, src []float32) // nil for bounds and for none
}

// tail returns the activation that place k applies to the values in slot, false where it applies none.
func (z *fusion) tail(k, slot int) (tail, bool) {
	if k < 0 || z.nodes[k].in[0] != slot {
		return tail{}, false
	}
	nd := z.nodes[k]
	switch nd.OpType {
	case "Relu":
		return tail{clamp: true, low: 0, high: float32(math.Inf(1))}, true
	case "Clip":
		low, high, ok := z.bounds(k)
		return tail{clamp: true, low: low, high: high}, ok
	case "LeakyRelu":
		slope := nd.floatOr("alpha", 0.01)
		return tail{f: func(dst, src []float32) { kernel.LeakyRelu(dst, src, slope) }}, true
	case "HardSwish":
		return tail{f: func(dst, src []float32) { kernel.HardSwish(dst, src, 1.0/6, 0.5) }}, true
	case "HardSigmoid":
		scale, shift := nd.floatOr("alpha", 0.2), nd.floatOr("beta", 0.5)
		return tail{f: func(dst, src []float32) { kernel.HardSigmoid(dst, src, scale, shift) }}, true
	case "Sigmoid":
		return tail{f: kernel.Sigmoid}, true
	case "Tanh":
		return tail{f: kernel.Tanh}, true
	}
	return tail{}, false
}

// floatOr returns a float attribute of a node, def where it has none.
func (nd *node) floatOr(name string, def float32) float32 {
	if a := nd.Attr(name); a != nil {
		return a.F
	}
	return def
}

// bounds returns the bounds of the Clip at place k where they are known: attributes up to version 10, then constants.
func (z *fusion) bounds(k int) (low, high float32, ok bool) {
	nd := z.nodes[k]
	low, high = nd.floatOr("min", float32(math.Inf(-1))), nd.floatOr("max", float32(math.Inf(1)))
	for i, p := range []*float32{&low, &high} {
		if z.absent(k, i+1) {
			continue
		}
		if *p, ok = z.scalar(k, i+1); !ok {
			return 0, 0, false
		}
	}
	return low, high, true
}

// epilogue returns the bounds as kernels take them.
func (t *tail) epilogue() kernel.Epilogue {
	return kernel.Epilogue{Clamp: t.clamp, Low: t.low, High: t.high}
}

// rest applies to dst what is no bound.
func (t *tail) rest(r *run, dst []float32) {
	if t.f != nil {
		r.chunks(len(dst), func(lo, hi int) { t.f(dst[lo:hi], dst[lo:hi]) })
	}
}

// apply applies the activation to a chunk.
func (t *tail) apply(dst, src []float32) {
	switch {
	case t.f != nil:
		t.f(dst, src)
	case t.clamp:
		kernel.Clamp(dst, src, t.low, t.high)
	}
}

// sum writes the activation of a + b, chunk by chunk.
func (t *tail) sum(r *run, dst, a, b []float32) {
	r.chunks(len(dst), func(lo, hi int) {
		kernel.Add(dst[lo:hi], a[lo:hi], b[lo:hi], 1, 1)
		t.apply(dst[lo:hi], dst[lo:hi])
	})
}

// summed and spanned are what groups tell of themselves: an activation of a sum, and a function of one value, element by
// element.
type (
	summed  struct{ tail tail }
	spanned struct{ f func(dst, src []float32) }
)

// fuseSum: an activation of the sum of two values of one shape.
func fuseSum(z *fusion, i int) bool {
	if !z.is(i, "Add") {
		return false
	}
	k := z.next(i)
	t, ok := z.tail(k, z.nodes[i].out[0])
	if !ok {
		return false
	}
	z.group([]int{i, k}, z.nodes[i].in, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		if !equalShape(in[0].Shape, in[1].Shape) {
			return nil, nil
		}
		out, err := r.blank(onnxio.Float, in[0].Shape...)
		if err != nil {
			return nil, nil
		}
		t.sum(r, out.F32(), in[0].F32(), in[1].F32())
		return out, nil
	}, 0, 1)
	z.nodes[k].state = &summed{t}
	return true
}

// spanGroup puts a function of one value, element by element, in the place of the nodes at places.
func (z *fusion) spanGroup(places []int, slot int, f func(dst, src []float32)) bool {
	z.group(places, []int{slot}, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		out, err := r.blank(onnxio.Float, in[0].Shape...)
		if err != nil {
			return nil, nil
		}
		dst, src := out.F32(), in[0].F32()
		r.chunks(len(dst), func(lo, hi int) { f(dst[lo:hi], src[lo:hi]) })
		return out, nil
	}, 0)
	z.nodes[places[len(places)-1]].state = &spanned{f}
	return true
}

// fuseGate: x * Sigmoid(x) (SiLU) and x * HardSigmoid(x) (HardSwish).
func fuseGate(z *fusion, i int) bool {
	if !z.is(i, "Sigmoid") && !z.is(i, "HardSigmoid") {
		return false
	}
	nd, k := z.nodes[i], z.next(i)
	if !z.is(k, "Mul") || z.other(k, nd.out[0]) != nd.in[0] {
		return false
	}
	if nd.OpType == "Sigmoid" {
		return z.spanGroup([]int{i, k}, nd.in[0], kernel.SiLU)
	}
	scale, shift := nd.floatOr("alpha", 0.2), nd.floatOr("beta", 0.5)
	return z.spanGroup([]int{i, k}, nd.in[0], func(dst, src []float32) { kernel.HardSwish(dst, src, scale, shift) })
}

// fuseHardSwish: x * Clip(x + 3, 0, 6) / 6, the form of exporters to versions before 14.
func fuseHardSwish(z *fusion, i int) bool {
	if !z.is(i, "Add") {
		return false
	}
	x := z.variable(i)
	three, ok := z.operand(i, x)
	clip := z.next(i)
	if x < 0 || !ok || three != 3 || !z.is(clip, "Clip") {
		return false
	}
	low, high, ok := z.bounds(clip)
	mul := z.next(clip)
	if !ok || low != 0 || high != 6 || !z.is(mul, "Mul") || z.other(mul, z.nodes[clip].out[0]) != x {
		return false
	}
	last := z.next(mul)
	by, ok := z.operand(last, z.nodes[max(mul, 0)].out[0])
	switch {
	case !ok:
		return false
	case z.is(last, "Div") && by == 6 && z.nodes[last].in[0] == z.nodes[mul].out[0]:
	case z.is(last, "Mul") && math.Abs(float64(by)-1.0/6) < 1e-6:
	default:
		return false
	}
	return z.spanGroup([]int{i, clip, mul, last}, x, func(dst, src []float32) { kernel.HardSwish(dst, src, 1.0/6, 0.5) })
}

// variable returns the input of a two-operand node that is not constant, -1 where none or both are.
func (z *fusion) variable(i int) int {
	in := z.nodes[i].in
	if len(in) != 2 || (z.g.consts[in[0]] == nil) == (z.g.consts[in[1]] == nil) {
		return -1
	}
	if z.g.consts[in[0]] == nil {
		return in[0]
	}
	return in[1]
}

// operand returns the constant of one float32 element, of rank 0 or 1, that the two-operand node i takes beside slot.
func (z *fusion) operand(i, slot int) (float32, bool) {
	if i < 0 || slot < 0 || z.nodes[i] == nil {
		return 0, false
	}
	other := z.other(i, slot)
	if other < 0 {
		return 0, false
	}
	c := z.g.consts[other]
	if c == nil || c.Type != onnxio.Float || c.Len() != 1 || len(c.Shape) > 1 {
		return 0, false
	}
	return c.F32()[0], true
}
