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
	bits   *kernel.BitFilters // in place of weights; nil for none
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
	m, bias, ok := q.biasMap(i, x, scales)
	b, signed := signedWeights(w.codes, w.zero, len(scales), true)
	if !ok || !signed {
		return
	}
	terms := w.codes.Len() / len(scales)
	zero, _ := byteZero(x.typ, x.zero)
	shifts, ok := b.shifts(zero, terms, bias)
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
	deep := w.codes.Shape[1] == 1 && conv.group == len(scales)
	if deep && (f.tail.f != nil || !q.quantizes(places)) { // a depthwise kernel on bytes makes bytes
		return
	}
	if f.to = (target{slot: q.nodes[places[len(places)-1]].out[0], typ: onnxio.Float}); f.tail.f == nil {
		places, f.to = q.target(places)
		f.to.bound(f.tail)
	}
	if f.finish, ok = f.to.finish(x, scales, m, shifts); !ok {
		return
	}
	if f.group == 1 && b.zeros == nil {
		f.bits = q.bitFilters(x, b.data, len(scales), w.codes.Shape[1], product(w.codes.Shape[2:]))
	}
	if f.bits == nil {
		b.filters = kernel.PackByteFilters(b.data, b.zeros, len(scales), terms)
	}
	q.limit(f.to.slot, f.to.typ, f.to.high)
	q.read(x)
	q.count++
	q.place(places, q.nodes[places[len(places)-1]], []int{x.codes}, []int{f.to.slot}, x.typ, f.run).state = f
}

// biasMap is the map by channel of the bias of the node at place i, or its codes, where those are of the scale of sums.
func (q *quantization) biasMap(i int, x *quantized, scales []float32) (*channelMap, points, bool) {
	m, bias := identityMap(len(scales)), q.constant(i, 2)
	switch {
	case q.absent(i, 2):
		return m, nil, true
	case bias == nil || !equalShape(bias.Shape, []int{len(scales)}):
		return nil, nil, false
	}
	return m, q.shiftOrCodes(m, q.sumCodes(q.nodes[i].in[2], x, scales), bias.F32()), true
}

// shiftOrCodes returns the codes of a bias that may be added to sums. The others, and all where there are none, m adds as
// floats.
func (q *quantization) shiftOrCodes(m *channelMap, codes points, bias []float32) points {
	if codes == nil {
		m.follow(nil, func(c int) float64 { return float64(bias[c]) })
		return nil
	}
	codes = slices.Clone(codes)
	for o, v := range codes {
		if v < -safeBias || v > safeBias {
			codes[o] = 0
			m.shift[o] += float64(bias[o])
		}
	}
	return codes
}

// sumCodes returns the codes in int32 behind a constant, where their scales are those of sums of x's codes by weights of
// these scales, give or take what rounding does; nil for others.
func (q *quantization) sumCodes(slot int, x *quantized, scales []float32) points {
	b, ok := q.g.codes[slot]
	if !ok || b.codes.Type != onnxio.Int32 || b.codes.Len() != len(scales) {
		return nil
	}
	for _, zero := range zeroPoints(b.zero) {
		if zero != 0 {
			return nil
		}
	}
	steps := b.scale.F32()
	for o, s := range scales {
		step, want := steps[min(o, len(steps)-1)], float64(s)*float64(x.scale)
		if !(math.Abs(float64(step)-want) <= sumScaleWithin*want) {
			return nil
		}
	}
	return b.codes.Ints()
}

// sumScaleWithin is how far apart scales of sums and of a bias may be, in parts of them: some roundings of float32.
const sumScaleWithin = 1e-6

// finish returns how sums of codes of x become what t holds: y = float32(sum + bias) * factor + shift, in steps of the
// codes, or in units of floats; false where a number is not finite: a NaN has no code.
func (t *target) finish(x *quantized, scales []float32, m *channelMap, bias []int32) (kernel.Finish, bool) {
	f := kernel.Finish{Bias: bias, First: 1, Second: make([]float32, len(scales)), Shift: make([]float32, len(scales))}
	for o, s := range scales {
		step := float64(x.scale * s)
		if m.scale[o] != 1 {
			step = float64(x.scale) * float64(s) * m.scale[o]
		}
		f.Second[o], f.Shift[o] = float32(step), float32(m.shift[o])
		if t.codes {
			f.Second[o], f.Shift[o] = float32(step)/t.scale, float32(m.shift[o]/float64(t.scale))
		}
		if f.Second[o]-f.Second[o] != 0 || f.Shift[o]-f.Shift[o] != 0 {
			return f, false
		}
	}
	return f, true
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
	bytes, floats := f.to.finishes(f.finish, &f.tail)
	switch {
	case f.bits != nil && f.to.codes:
		f.bits.ConvBytesTo(byteData(out), x, uint8(zero), p.n, p.k, bytes, r.threads)
	case f.bits != nil:
		f.bits.ConvFloatsTo(out.F32(), x, uint8(zero), p.n, p.k, floats, r.threads)
	case f.to.codes:
		filters.ConvBytesTo(byteData(out), x, flip, uint8(zero), p.n, p.c, f.group, p.k, bytes, r.threads)
	default:
		filters.ConvFloatsTo(out.F32(), x, flip, uint8(zero), p.n, p.c, f.group, p.k, floats, r.threads)
	}
	if !f.to.codes {
		f.tail.rest(r, out.F32())
	}
	return out, nil
}

// finishes returns what makes codes of sums, and what makes floats of them with the bounds of a tail.
func (t *target) finishes(f kernel.Finish, a *tail) (*kernel.ByteFinish, *kernel.FloatFinish) {
	low, high := float32(math.Inf(-1)), float32(math.Inf(1))
	if a.clamp {
		low, high = a.low, a.high
	}
	return &kernel.ByteFinish{Finish: f, Out: 1, Zero: t.zero, Low: t.low, High: t.high}, &kernel.FloatFinish{Finish: f, Low: low, High: high}
}

// quantProduct is MatMul or Gemm of codes, with a bias for each column, an activation and codes again.
type quantProduct struct {
	weights *byteWeights
	k, n    int
	bits    *kernel.BitFilters   // in place of weights; nil for none
	table   *kernel.ByteCodebook // likewise
	pixels  *kernel.PixelConv    // likewise: of rows as pixels
	rank    int                  // that the result must have; 0 for any
	x       *quantized
	finish  kernel.Finish
	to      target
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
	f := &quantProduct{k: plain.right.k, n: plain.right.n, x: x}
	b, ok := signedWeights(codes, w.zero, f.n, false)
	if !ok || f.k > maxByteTerms/2 {
		return
	}
	places := []int{i}
	k, out, biasAt := q.next(i), q.nodes[i].out[0], -1
	if plain.gemm != nil && plain.gemm.beta == 1 && !q.absent(i, 2) {
		biasAt = q.nodes[i].in[2]
	}
	if plain.bias == nil && q.is(k, "Add") {
		if other := q.other(k, out); other >= 0 && q.g.consts[other] != nil && plain.addBias(q.g.consts[other], 1) {
			places, out, biasAt = append(places, k), q.nodes[k].out[0], other
			k = q.next(k)
		}
	}
	if plain.rank > 2 { // a result may grow
		return
	}
	if t, ok := q.tail(k, out); ok {
		places, f.tail = append(places, k), t
	}
	if plain.gemm != nil {
		f.rank = 2
	}
	if f.to = (target{slot: q.nodes[places[len(places)-1]].out[0], typ: onnxio.Float}); f.tail.f == nil {
		places, f.to = q.target(places)
		f.to.bound(f.tail)
	}
	m, bias := identityMap(f.n), points(nil)
	if plain.bias != nil {
		bias = q.shiftOrCodes(m, q.sumCodes(biasAt, x, scales), plain.bias)
	}
	zero, _ := byteZero(x.typ, x.zero)
	shifts, ok := b.shifts(zero, f.k, bias)
	if !ok {
		return
	}
	if f.finish, ok = f.to.finish(x, scales, m, shifts); !ok {
		return
	}
	if f.weights = b; b.zeros == nil {
		rows := signedBytes(transposedBytes(&onnxio.Array{Type: onnxio.Int8, Shape: []int{f.k, f.n}, Data: b.data}))
		f.bits = q.bitFilters(x, rows, f.n, f.k, 0)
		switch {
		case f.bits != nil:
		case f.to.codes && f.to.typ == onnxio.Uint8 && x.typ == onnxio.Uint8 && f.k%4 == 0 && f.n%kernel.PixelBlock == 0 && kernel.PixelsPay():
			codes, _ := f.to.finishes(f.finish, &f.tail)
			f.pixels = kernel.NewPixelConv(rows, f.n, f.k, 1, false, 0, codes)
		default:
			f.table = byteTable(rows, f.n, f.k)
		}
	}
	if f.bits == nil && f.table == nil && f.pixels == nil {
		b.columns = kernel.PackByteColumns(b.data, f.k, f.n)
	}
	q.limit(f.to.slot, f.to.typ, f.to.high)
	q.read(x)
	q.count++
	q.place(places, q.nodes[places[len(places)-1]], []int{x.codes}, []int{f.to.slot}, x.typ, f.run).state = f
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
	out, err := r.blank(f.to.typ, append(slices.Clone(s[:len(s)-1]), f.n)...)
	if err != nil {
		return nil, nil
	}
	rows, x := in[0].Len()/f.k, byteData(in[0])
	if _, flip := byteZero(f.x.typ, f.x.zero); flip != 0 {
		x = flipped(x)
	}
	bytes, floats := f.to.finishes(f.finish, &f.tail)
	switch {
	case f.bits != nil && f.to.codes:
		f.bits.ProductBytesTo(byteData(out), x, rows, bytes, r.threads)
	case f.bits != nil:
		f.bits.ProductFloatsTo(out.F32(), x, rows, floats, r.threads)
	case f.pixels != nil:
		f.pixels.RunRows(byteData(out), x, rows, r.threads)
	default:
		if err := f.sums(r, out, x, rows, bytes, floats); err != nil {
			return nil, nil
		}
	}
	if !f.to.codes {
		f.tail.rest(r, out.F32())
	}
	return out, nil
}

// sums multiplies bytes x [rows, k] and finishes the sums row by row.
func (f *quantProduct) sums(r *run, out *onnxio.Array, x []uint8, rows int, bytes *kernel.ByteFinish, floats *kernel.FloatFinish) error {
	sums, err := r.int32s(rows * f.n)
	if err != nil {
		return err
	}
	if f.table != nil {
		f.table.Product(sums, x, rows, r.threads)
	} else {
		f.weights.columns.Product(sums, x, rows, r.threads)
	}
	r.rows(rows, f.n, func(i int) {
		row := sums[i*f.n : (i+1)*f.n]
		if f.weights.zeros != nil {
			seen := int32(0)
			for _, v := range x[i*f.k : (i+1)*f.k] {
				seen += int32(v)
			}
			for j := range row {
				row[j] -= f.weights.zeros[j] * seen
			}
		}
		if f.to.codes {
			bytes.Columns(byteData(out)[i*f.n:(i+1)*f.n], row, 1, 0)
		} else {
			floats.Columns(out.F32()[i*f.n:(i+1)*f.n], row, 1, 0)
		}
	})
	return nil
}

// signedBytes returns the elements of an array of int8.
func signedBytes(w *onnxio.Array) []int8 { return w.Data.([]int8) }
