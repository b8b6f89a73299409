package infer

import (
	"math"
	"slices"

	"bq/internal/kernel"
	"bq/onnxio"
)

// weights returns the codes behind input 1 of node i, with a scale for each of outs outputs, which lie along an axis.
func (q *quantization) weights(i, axis int) (w weightCodes, scales []float32, ok bool) {
	slot := q.nodes[i].in[1]
	w, ok = q.g.codes[slot]
	if !ok || axis >= len(w.codes.Shape) || w.codes.Len() == 0 {
		return w, nil, false
	}
	outs, scales := w.codes.Shape[axis], w.scale.F32()
	if len(scales) == 1 {
		scales = slices.Repeat(scales, outs)
	} else if a := w.axis; len(scales) != outs || a != int64(axis) && a != int64(axis-len(w.codes.Shape)) {
		return w, nil, false
	}
	return w, scales, true
}

// quantConv is a convolution of codes: maps by channel are part of scale and shift.
type quantConv struct {
	integerConv
	w      *onnxio.Array
	finish kernel.Finish
	x      *quantized
	to     target
	tail   tail
}

// convolution puts a convolution of codes in the place of the Conv at place i and what follows it.
func (q *quantization) convolution(i int) {
	conv, isConv := q.nodes[i].state.(*convolution)
	x := q.values[max(q.nodes[i].in[0], 0)]
	w, scales, ok := q.weights(i, 0)
	if !isConv || x == nil || !ok || q.nodes[i].in[0] != x.value || conv.group < 1 || len(w.codes.Shape) < 3 {
		return
	}
	m, ok := q.biasMap(i, len(scales))
	b, signed := signedWeights(w.codes, w.zero, len(scales), true)
	if !ok || !signed {
		return
	}
	terms := w.codes.Len() / len(scales)
	zero, _ := byteZero(x.typ, x.zero)
	shifts, ok := b.shifts(zero, terms, nil)
	if !ok {
		return
	}
	f := &quantConv{integerConv: integerConv{win: conv.window, group: conv.group, weights: b}, w: w.codes, x: x}
	places := q.mapped(i, m, len(w.codes.Shape)-2)
	last := places[len(places)-1]
	if k := q.next(last); k >= 0 {
		if t, ok := q.tail(k, q.nodes[last].out[0]); ok {
			places, f.tail = append(places, k), t
		}
	}
	f.finish = kernel.Finish{Bias: shifts, First: x.scale, Second: make([]float32, len(scales)), Shift: make([]float32, len(scales))}
	for o, s := range scales {
		f.finish.Second[o], f.finish.Shift[o] = float32(float64(s)*m.scale[o]), float32(m.shift[o])
		if f.finish.Second[o]-f.finish.Second[o] != 0 || f.finish.Shift[o]-f.finish.Shift[o] != 0 { // no code for NaN
			return
		}
	}
	deep := w.codes.Shape[1] == 1 && conv.group == len(scales)
	if deep && (f.tail.f != nil || !q.quantizes(places)) { // a depthwise kernel on bytes makes bytes
		return
	}
	if f.to = (target{slot: q.nodes[places[len(places)-1]].out[0], typ: onnxio.Float}); f.tail.f == nil {
		places, f.to = q.target(places)
		f.to.bound(f.tail)
	}
	b.filters = kernel.PackByteFilters(b.data, b.zeros, len(scales), terms)
	q.take(x)
	q.count++
	q.place(places, q.nodes[places[len(places)-1]], []int{x.codes}, []int{f.to.slot}, x.typ, f.run)
}

// biasMap is the map by channel of the bias of the Conv at place i.
func (q *quantization) biasMap(i, outs int) (*channelMap, bool) {
	m, bias := identityMap(outs), q.constant(i, 2)
	switch {
	case q.absent(i, 2):
		return m, true
	case bias == nil || !equalShape(bias.Shape, []int{outs}):
		return nil, false
	}
	m.follow(nil, func(c int) float64 { return float64(bias.F32()[c]) })
	return m, true
}

// mapped returns the places of node i and of the maps by channel that follow it, which m takes.
func (q *quantization) mapped(i int, m *channelMap, spatial int) []int {
	places := []int{i}
	for {
		last := places[len(places)-1]
		k := q.next(last)
		if k < 0 || q.sources[q.nodes[last].out[0]] != nil || !m.take(q.fusion, k, q.nodes[last].out[0], spatial) {
			return places
		}
		places = append(places, k)
	}
}

// quantizes reports whether the result of the last of places is quantized.
func (q *quantization) quantizes(places []int) bool {
	last := places[len(places)-1]
	return q.sources[q.nodes[last].out[0]] != nil || q.is(q.next(last), "QuantizeLinear")
}

func (f *quantConv) run(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
	p, err := f.plan(in[0], f.w, nil)
	if err != nil || product(p.shape) == 0 {
		return nil, nil
	}
	out, err := r.blank(f.to.typ, p.shape...)
	if err != nil {
		return nil, nil
	}
	zero, flip := byteZero(f.x.typ, f.x.zero)
	x, filters := byteData(in[0]), f.weights.filters
	if f.to.codes {
		filters.ConvBytesTo(byteData(out), x, flip, uint8(zero), p.n, p.c, f.group, p.k,
			&kernel.ByteFinish{Finish: f.finish, Out: f.to.scale, Zero: f.to.zero, Low: f.to.low, High: f.to.high}, r.threads)
		return out, nil
	}
	low, high := float32(math.Inf(-1)), float32(math.Inf(1))
	if f.tail.clamp {
		low, high = f.tail.low, f.tail.high
	}
	filters.ConvFloatsTo(out.F32(), x, flip, uint8(zero), p.n, p.c, f.group, p.k, &kernel.FloatFinish{Finish: f.finish, Low: low, High: high}, r.threads)
	f.tail.rest(r, out.F32())
	return out, nil
}

// quantProduct is MatMul or Gemm of codes, with a bias for each column and an activation.
type quantProduct struct {
	weights *byteWeights
	k, n    int
	scales  []float32 // of x and of each column
	bias    []float32 // nil for none
	rank    int       // that the result must have; 0 for any
	x       *quantized
	zero    *onnxio.Array // of x
	tail    tail
}

// product puts a product of codes in the place of the MatMul or Gemm at place i and what follows it.
func (q *quantization) product(i int) {
	x := q.values[max(q.nodes[i].in[0], 0)]
	plain := q.fusion.product(i)
	if x == nil || plain == nil || q.nodes[i].in[0] != x.value || plain.gemm != nil && plain.gemm.ta {
		return
	}
	axis := 1
	if plain.gemm != nil && plain.gemm.tb {
		axis = 0
	}
	w, scales, ok := q.weights(i, axis)
	if !ok {
		return
	}
	codes := w.codes
	if axis == 0 {
		codes = transposedBytes(codes)
	}
	f := &quantProduct{k: plain.right.k, n: plain.right.n, x: x, zero: &onnxio.Array{Type: x.typ, Shape: []int{}}}
	b, ok := signedWeights(codes, w.zero, f.n, false)
	if !ok || f.k > maxByteTerms/2 {
		return
	}
	f.zero.Data = []uint8{uint8(x.zero)}
	if x.typ == onnxio.Int8 {
		f.zero.Data = []int8{int8(x.zero)}
	}
	places := []int{i}
	k, out := q.next(i), q.nodes[i].out[0]
	if plain.bias == nil && q.is(k, "Add") {
		if other := q.other(k, out); other >= 0 && q.g.consts[other] != nil && plain.addBias(q.g.consts[other], 1) {
			places, out = append(places, k), q.nodes[k].out[0]
			k = q.next(k)
		}
	}
	if t, ok := q.tail(k, out); ok {
		places, f.tail = append(places, k), t
	}
	if plain.gemm != nil {
		f.rank = 2
	}
	b.columns = kernel.PackByteColumns(b.data, f.k, f.n)
	f.weights, f.bias = b, plain.bias
	if f.bias == nil {
		f.bias = make([]float32, f.n)
	}
	for _, s := range scales {
		f.scales = append(f.scales, x.scale*s)
	}
	if plain.rank > 2 { // a result may grow
		return
	}
	q.take(x)
	q.count++
	last := q.nodes[places[len(places)-1]]
	q.place(places, last, []int{x.codes}, last.out, x.typ, f.run)
}

// transposedBytes returns a matrix of bytes transposed.
func transposedBytes(w *onnxio.Array) *onnxio.Array {
	rows, cols := w.Shape[0], w.Shape[1]
	t := onnxio.NewArray(w.Type, cols, rows)
	dst, src := byteData(t), byteData(w)
	for i := range rows {
		for j := range cols {
			dst[j*rows+i] = src[i*cols+j]
		}
	}
	return t
}

func (f *quantProduct) run(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
	s := in[0].Shape
	if len(s) < 2 || f.rank != 0 && len(s) != f.rank || s[len(s)-1] != f.k || in[0].Len() == 0 {
		return nil, nil
	}
	out, err := r.blank(onnxio.Float, append(slices.Clone(s[:len(s)-1]), f.n)...)
	if err != nil {
		return nil, nil
	}
	sums, err := r.matmulBytes(in[0], f.zero, f.weights, f.k, f.n)
	if err != nil || sums == nil {
		return nil, nil
	}
	dst := out.F32()
	r.rows(len(dst)/f.n, f.n, func(i int) {
		row := dst[i*f.n : (i+1)*f.n]
		for j, v := range sums[i*f.n : (i+1)*f.n] {
			row[j] = float32(float32(v)*f.scales[j]) + f.bias[j]
		}
		if f.tail.clamp {
			kernel.Clamp(row, row, f.tail.low, f.tail.high)
		}
	})
	f.tail.rest(r, dst)
	return out, nil
}

// quantSum is the sum of two values of which there are codes, quantized again.
type quantSum struct {
	a, b *quantized
	to   target
	tail tail
}

// sum puts a sum of codes in the place of the Add at place i and what follows it, where that is quantized.
func (q *quantization) sum(i int) {
	nd := q.nodes[i]
	f := &quantSum{a: q.values[nd.in[0]], b: q.values[nd.in[1]]}
	if f.a == nil || f.b == nil || f.a == f.b || f.a.typ != f.b.typ {
		return
	}
	places := []int{i}
	if k := q.next(i); k >= 0 {
		if t, ok := q.tail(k, nd.out[0]); ok {
			places, f.tail = append(places, k), t
		}
	}
	if !q.quantizes(places) {
		return
	}
	last := q.nodes[places[len(places)-1]]
	if places, f.to = q.target(places); !f.to.codes {
		return
	}
	q.take(f.a)
	q.take(f.b)
	q.count++
	q.place(places, last, []int{f.a.codes, f.b.codes}, []int{f.to.slot}, f.a.typ, f.run)
}

// run adds in float32, in the order of the graph: its codes are those of the graph.
func (f *quantSum) run(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
	if !equalShape(in[0].Shape, in[1].Shape) {
		return nil, nil
	}
	out, err := r.blank(f.to.typ, in[0].Shape...)
	if err != nil {
		return nil, nil
	}
	dst, a, b := byteData(out), byteData(in[0]), byteData(in[1])
	signed := f.a.typ == onnxio.Int8
	kernel.Parallel(r.threads, (len(dst)+encodeRun-1)/encodeRun, func(i int) {
		var x, y [encodeRun]float32
		lo, hi := i*encodeRun, min(len(dst), (i+1)*encodeRun)
		u, v := x[:hi-lo], y[:hi-lo]
		kernel.Dequantize(u, a[lo:hi], f.a.scale, f.a.zero, signed)
		kernel.Dequantize(v, b[lo:hi], f.b.scale, f.b.zero, signed)
		kernel.Add(u, u, v, 1, 1)
		f.tail.apply(u, u)
		kernel.Quantize(dst[lo:hi], u, f.to.scale, f.to.zero, f.to.typ == onnxio.Int8)
		limitCodes(dst[lo:hi], f.to.low, f.to.high)
	})
	return out, nil
}
