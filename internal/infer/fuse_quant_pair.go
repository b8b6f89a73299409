package infer

import (
	"math"
	"slices"

	"bq/internal/kernel"
	"bq/onnxio"
)

// quantPair is the sum or the product of two values of which there are codes, with bounds, quantized again.
type quantPair struct {
	a, b  *quantized
	to    target
	plain *node // the Add or Mul, for shapes that broadcast otherwise than by channels
	sum   *kernel.CodeSum
}

// pair puts an operator on codes in the place of the Add or Mul at place i and what follows it, where that is quantized.
func (q *quantization) pair(i int) {
	nd := q.nodes[i]
	f := &quantPair{a: q.values[max(nd.in[0], 0)], b: q.values[max(nd.in[1], 0)], plain: nd}
	if f.a == nil || f.b == nil || f.a.value != nd.in[0] || f.b.value != nd.in[1] || f.a.typ != f.b.typ {
		return
	}
	places, bounds := []int{i}, tail{}
	if k := q.next(i); k >= 0 {
		if t, ok := q.tail(k, nd.out[0]); ok && t.f == nil {
			places, bounds = append(places, k), t
		}
	}
	if !q.quantizes(places) {
		return
	}
	last := q.nodes[places[len(places)-1]]
	if places, f.to = q.target(places); !f.to.codes || f.to.typ != f.a.typ {
		return
	}
	f.to.bound(bounds)
	scales, zeros := [3]float32{f.a.scale, f.b.scale, f.to.scale}, [3]int32{f.a.zero, f.b.zero, f.to.zero}
	combine := kernel.NewCodeSum
	if nd.OpType == "Mul" {
		combine = kernel.NewCodeProduct
	}
	f.sum = combine(scales, zeros, f.to.low, f.to.high, f.a.typ == onnxio.Int8)
	q.read(f.a)
	q.read(f.b)
	q.limit(f.to.slot, f.to.typ, f.to.high)
	q.count++
	q.place(places, last, []int{f.a.codes, f.b.codes}, []int{f.to.slot}, f.a.typ, f.run).state = f
}

func (f *quantPair) run(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
	a, b := in[0], in[1]
	shape := a.Shape
	if len(b.Shape) == len(a.Shape) && b.Len() > a.Len() {
		shape = b.Shape
	}
	switch {
	case equalShape(a.Shape, b.Shape):
	case spreads(shape, a.Shape) && spreads(shape, b.Shape) && len(shape) > 0 && product(shape) > 0:
		return f.channels(r, a, b, shape)
	default:
		return f.broadcast(r, a, b)
	}
	out, err := r.blank(f.to.typ, shape...)
	if err != nil {
		return nil, nil
	}
	f.sum.Run(byteData(out), byteData(a), byteData(b), r.threads)
	return out, nil
}

// spreads reports whether part is shape, or has one element for each of the first two dimensions of it.
func spreads(shape, part []int) bool {
	if equalShape(shape, part) {
		return true
	}
	return len(shape) > 2 && len(part) == len(shape) && part[0] == shape[0] && part[1] == shape[1] && product(part[2:]) == 1
}

// channels computes planes of one operand with an element each of the other.
func (f *quantPair) channels(r *run, a, b *onnxio.Array, shape []int) (*onnxio.Array, error) {
	out, err := r.blank(f.to.typ, shape...)
	if err != nil {
		return nil, nil
	}
	rows := shape[0] * shape[1]
	n := product(shape) / rows
	dst, x, y := byteData(out), byteData(a), byteData(b)
	r.rows(rows, n, func(i int) {
		part := func(x []uint8) []uint8 { return x[i*len(x)/rows : (i+1)*len(x)/rows] }
		f.sum.Spread(part(dst), part(x), part(y))
	})
	return out, nil
}

// broadcast computes on values in float32, by the operator of the graph.
func (f *quantPair) broadcast(r *run, a, b *onnxio.Array) (*onnxio.Array, error) {
	x, err := f.a.decode(r, []*onnxio.Array{a})
	if err != nil {
		return nil, nil
	}
	y, err := f.b.decode(r, []*onnxio.Array{b})
	if err != nil {
		return nil, nil
	}
	r.lends.offer = 0
	outs, err := f.plain.run(r, []*onnxio.Array{x, y})
	if err != nil {
		return nil, nil
	}
	v := &quantized{scale: f.to.scale, zero: f.to.zero, low: f.to.low, high: f.to.high, typ: f.to.typ}
	return v.encode(r, outs)
}

// quantMean is AveragePool or GlobalAveragePool of codes, quantized again.
type quantMean struct {
	pool *pooled // nil for all of a plane
	x    *quantized
	to   target
}

// mean puts a pool of codes in the place of the pool at place i, where its result is quantized.
func (q *quantization) mean(i int) {
	nd := q.nodes[i]
	x := q.values[max(nd.in[0], 0)]
	f := &quantMean{x: x}
	if x == nil || x.value != nd.in[0] || !q.quantizes([]int{i}) {
		return
	}
	if nd.OpType == "AveragePool" {
		f.pool = nd.state.(*pooled)
		w := f.pool.window
		bare := !w.ceil && (w.autoPad == "NOTSET" || w.autoPad == "VALID") && !slices.ContainsFunc(w.pads, func(n int) bool { return n != 0 })
		if f.pool.padded && !bare {
			return
		}
	}
	places, to := q.target([]int{i})
	if f.to = to; !to.codes || to.typ != x.typ {
		return
	}
	q.read(x)
	q.limit(f.to.slot, f.to.typ, f.to.high)
	q.count++
	q.place(places, nd, []int{x.codes}, []int{to.slot}, x.typ, f.run).state = f
}

// finish returns how the mean of n codes becomes a code.
func (f *quantMean) finish(n int) kernel.CodeMean {
	return kernel.CodeMean{From: f.x.zero, Factor: float32(float64(f.x.scale) / (float64(f.to.scale) * float64(n))), Zero: f.to.zero, Low: f.to.low, High: f.to.high, Signed: f.x.typ == onnxio.Int8}
}

func (f *quantMean) run(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
	s := in[0].Shape
	if f.pool == nil {
		if len(s) < 2 || product(s[2:]) == 0 || product(s[2:]) > maxMean {
			return nil, nil
		}
		shape := append([]int{}, s...)
		for i := range shape[2:] {
			shape[2+i] = 1
		}
		out, err := r.blank(f.to.typ, shape...)
		if err != nil {
			return nil, nil
		}
		n, dst, x := product(s[2:]), byteData(out), byteData(in[0])
		mean := f.finish(n)
		r.rows(len(dst), n, func(i int) { dst[i] = mean.Of(x[i*n : (i+1)*n]) })
		return out, nil
	}
	k, shape, _, err := f.pool.window.pooling(in[0])
	if err != nil || k.KernelSize() > maxMean {
		return nil, nil
	}
	out, err := r.blank(f.to.typ, shape...)
	if err != nil {
		return nil, nil
	}
	kernel.MeanPoolBytes(byteData(out), byteData(in[0]), shape[0]*shape[1], k, f.finish, r.threads)
	return out, nil
}

// maxMean bounds the codes of a mean, whose sum is an int32.
const maxMean = math.MaxInt32 / 255 / 2

// quantConcat joins codes of values, each made one of the result's by a table.
type quantConcat struct {
	axis   int64
	tables []*[256]uint8 // nil for codes that stay what they are
	to     target
}

// concat puts codes that are joined in the place of the Concat at place i, where its result is quantized.
func (q *quantization) concat(i int) {
	nd := q.nodes[i]
	f := &quantConcat{axis: nd.intOr("axis", 1)}
	if !q.quantizes([]int{i}) {
		return
	}
	var list []*quantized
	for _, slot := range nd.in {
		v := q.values[max(slot, 0)]
		if slot < 0 || v == nil || v.value != slot || len(list) > 0 && v.typ != list[0].typ {
			return
		}
		list = append(list, v)
	}
	places, to := q.target([]int{i})
	if f.to = to; !to.codes || to.typ != list[0].typ {
		return
	}
	var in []int
	for _, v := range list {
		z := &codeTable{table: &[256]uint8{}}
		kernel.QuantizeWithin(z.table[:], v.decoded(), to.scale, to.zero, to.low, to.high)
		if z.same() {
			z.table = nil
		}
		f.tables, in = append(f.tables, z.table), append(in, v.codes)
		q.read(v)
	}
	q.limit(f.to.slot, f.to.typ, f.to.high)
	q.count++
	q.place(places, nd, in, []int{to.slot}, to.typ, f.run).state = f
}

func (f *quantConcat) run(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
	parts := make([]*onnxio.Array, len(in))
	for i := range in {
		z := &codeTable{table: f.tables[i], to: f.to.typ}
		if parts[i], _ = z.run(r, in[i:i+1]); parts[i] == nil {
			return nil, nil
		}
	}
	out, err := r.concat(parts, f.axis)
	if err != nil {
		return nil, nil
	}
	return out, nil
}
