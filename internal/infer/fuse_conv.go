package infer

import (
	"math"

	"bq/internal/kernel"
	"bq/onnxio"
)

// channelMap is y = x*scale + shift with a scale and a shift for each channel, in float64: what a chain of
// BatchNormalization, Mul and Add with constants does to the result of a convolution.
type channelMap struct{ scale, shift []float64 }

func identityMap(channels int) *channelMap {
	m := &channelMap{make([]float64, channels), make([]float64, channels)}
	for i := range m.scale {
		m.scale[i] = 1
	}
	return m
}

// follow applies another map after m; scale or shift may be nil.
func (m *channelMap) follow(scale, shift func(c int) float64) {
	for c := range m.scale {
		if scale != nil {
			s := scale(c)
			m.scale[c] *= s
			m.shift[c] *= s
		}
		if shift != nil {
			m.shift[c] += shift(c)
		}
	}
}

// take adds what place k does to the values in slot, reports false where that is no map by channel. spatial is the number
// of dimensions behind the channels.
func (m *channelMap) take(z *fusion, k, slot, spatial int) bool {
	switch {
	case z.is(k, "BatchNormalization"):
		return m.takeNorm(z, k, slot)
	case z.is(k, "Mul"), z.is(k, "Add"):
		other := z.other(k, slot)
		if other < 0 || z.g.consts[other] == nil {
			return false
		}
		f, ok := byChannel(z.g.consts[other], len(m.scale), spatial)
		if !ok {
			return false
		}
		if z.is(k, "Mul") {
			m.follow(f, nil)
		} else {
			m.follow(nil, f)
		}
		return true
	}
	return false
}

// byChannel reads an operand of Mul or Add as one number by channel: one element, or [channels, 1, ...].
func byChannel(v *onnxio.Array, channels, spatial int) (func(c int) float64, bool) {
	if v.Type != onnxio.Float || len(v.Shape) > spatial+2 {
		return nil, false
	}
	d := v.F32()
	if v.Len() == 1 {
		return func(int) float64 { return float64(d[0]) }, true
	}
	at := len(v.Shape) - spatial - 1
	if at < 0 || v.Shape[at] != channels || v.Len() != channels {
		return nil, false
	}
	return func(c int) float64 { return float64(d[c]) }, true
}

// takeNorm adds a BatchNormalization with constant statistics.
func (m *channelMap) takeNorm(z *fusion, k, slot int) bool {
	nd := z.nodes[k]
	if nd.in[0] != slot || len(nd.Outputs) != 1 {
		return false
	}
	if a := nd.Attr("training_mode"); a != nil && a.I != 0 {
		return false
	}
	eps := 1e-5
	if a := nd.Attr("epsilon"); a != nil {
		eps = float64(a.F)
	} else {
		eps = float64(float32(eps))
	}
	var p [4][]float32 // scale, B, mean, var
	for i := range p {
		c := z.constant(k, i+1)
		if c == nil || !equalShape(c.Shape, []int{len(m.scale)}) {
			return false
		}
		p[i] = c.F32()
	}
	m.follow(nil, func(c int) float64 { return -float64(p[2][c]) })
	m.follow(func(c int) float64 { return float64(p[0][c]) / math.Sqrt(float64(p[3][c])+eps) },
		func(c int) float64 { return float64(p[1][c]) })
	return true
}

// weights returns w with the elements of each output channel scaled; channel says which channel element i belongs to.
func (m *channelMap) weights(w *onnxio.Array, channel func(i int) int) *onnxio.Array {
	changed := false
	for _, s := range m.scale {
		changed = changed || s != 1
	}
	if !changed {
		return w
	}
	d := make([]float32, w.Len())
	for i, v := range w.F32() {
		d[i] = float32(float64(v) * m.scale[channel(i)])
	}
	return onnxio.Floats(d, w.Shape...)
}

// bias returns the shifts, nil where all are zero.
func (m *channelMap) bias() *onnxio.Array {
	d, any := make([]float32, len(m.shift)), false
	for i, v := range m.shift {
		d[i] = float32(v)
		any = any || d[i] != 0
	}
	if !any {
		return nil
	}
	return onnxio.Floats(d, len(d))
}

// fusedConvolution is Conv or ConvTranspose with constant weights and what follows: maps by channel, folded into weights
// and bias; the sum with another value of the same shape; an activation.
type fusedConvolution struct {
	*convolution
	w, bias *onnxio.Array
	sum     bool // input 1 is added
	tail    tail
}

func fuseConvolution(z *fusion, i int) bool {
	if fuseHalfConvolution(z, i) {
		return true
	}
	conv, ok := z.nodes[i].state.(*convolution)
	w, bias := z.constant(i, 1), z.constant(i, 2)
	if !ok || !(z.is(i, "Conv") || z.is(i, "ConvTranspose")) || w == nil || bias == nil && !z.absent(i, 2) {
		return false
	}
	channels, channel, ok := conv.outputs(w)
	if !ok || bias != nil && !equalShape(bias.Shape, []int{channels}) {
		return false
	}
	m := identityMap(channels)
	if bias != nil {
		m.follow(nil, func(c int) float64 { return float64(bias.F32()[c]) })
	}
	places, x := []int{i}, z.nodes[i].in[0]
	if k, padded := z.padding(i, conv, len(w.Shape)); k >= 0 {
		places, x, conv = []int{k, i}, z.nodes[k].in[0], padded
	}
	at := func() int { return places[len(places)-1] }
	out := func() int { return z.nodes[at()].out[0] }
	for k := z.next(i); k >= 0 && m.take(z, k, out(), len(w.Shape)-2); k = z.next(at()) {
		places = append(places, k)
	}
	f := &fusedConvolution{convolution: conv, w: m.weights(w, channel), bias: m.bias()}
	slots := []int{x}
	if k := z.next(at()); z.is(k, "Add") {
		if other := z.other(k, out()); other >= 0 && z.g.consts[other] == nil {
			places, slots, f.sum = append(places, k), append(slots, other), true
		}
	}
	if k := z.next(at()); k >= 0 {
		if t, ok := z.tail(k, out()); ok {
			places, f.tail = append(places, k), t
		}
	}
	if len(places) == 1 {
		return false
	}
	z.group(places, slots, f.run)
	z.nodes[at()].state = f
	return true
}

// padding returns the place of a Pad with zeros, around the spatial dimensions, of the input of the Conv at place i, which
// nobody else reads, and conv with that padding; -1 where there is none. rank is that of the weights.
func (z *fusion) padding(i int, conv *convolution, rank int) (place int, padded *convolution) {
	slot := z.nodes[i].in[0]
	k := z.maker[slot]
	if conv.transposed || !z.is(k, "Pad") || z.uses[slot] != 1 || conv.window.autoPad != "NOTSET" && conv.window.autoPad != "VALID" {
		return -1, nil
	}
	nd := z.nodes[k]
	if a := nd.Attr("mode"); a != nil && string(a.S) != "constant" || nd.floatOr("value", 0) != 0 || !z.absent(k, 3) {
		return -1, nil
	}
	if v, ok := z.scalar(k, 2); !z.absent(k, 2) && (!ok || v != 0) {
		return -1, nil
	}
	var pads []int64
	if a := nd.Attr("pads"); a != nil {
		pads = a.Ints
	} else if c := z.g.consts[max(0, nd.in[1])]; !z.absent(k, 1) && c != nil && c.Type == onnxio.Int64 {
		pads = c.Ints()
	}
	if len(pads) != 2*rank || pads[0] != 0 || pads[1] != 0 || pads[rank] != 0 || pads[rank+1] != 0 {
		return -1, nil
	}
	w := *conv.window
	w.autoPad, w.pads = "NOTSET", make([]int, 2*(rank-2))
	for d := range w.pads {
		p := pads[2+d+d/(rank-2)*2]
		if p < 0 || p > maxValueElements || conv.window.pads != nil && len(conv.window.pads) != len(w.pads) {
			return -1, nil
		}
		w.pads[d] = int(p)
		if conv.window.autoPad == "NOTSET" {
			w.pads[d] += at(conv.window.pads, d, 0)
		}
	}
	c := *conv
	c.window = &w
	return k, &c
}

// fuseHalfConvolution: Relu of a convolution in float16 or bfloat16. Rounding keeps order and zero, so bounding the sums
// before they are rounded gives what bounding them afterwards does; other groups would leave out a rounding.
func fuseHalfConvolution(z *fusion, i int) bool {
	conv, ok := z.nodes[i].state.(*convolution)
	k := z.next(i)
	if !ok || !z.is(i, "Conv") || !z.is(k, "Relu") || z.nodes[i].in[1] < 0 {
		return false
	}
	w := z.g.consts[z.nodes[i].in[1]]
	if w == nil || w.Type != onnxio.Float16 && w.Type != onnxio.BFloat16 {
		return false
	}
	f := &fusedConvolution{convolution: conv, w: w}
	if !z.absent(i, 2) {
		if f.bias = z.g.consts[z.nodes[i].in[2]]; f.bias == nil {
			return false
		}
	}
	f.tail, _ = z.tail(k, z.nodes[i].out[0])
	z.group([]int{i, k}, z.nodes[i].in[:1], f.run)
	z.nodes[k].elem, z.nodes[k].state = w.Type, f
	return true
}

// outputs returns the number of output channels of weights w, and to which channel their element i belongs.
func (z *convolution) outputs(w *onnxio.Array) (channels int, channel func(i int) int, ok bool) {
	if len(w.Shape) < 3 || z.group < 1 || w.Len() == 0 {
		return 0, nil, false
	}
	if !z.transposed {
		each := w.Len() / w.Shape[0]
		return w.Shape[0], func(i int) int { return i / each }, true
	}
	if w.Shape[0]%z.group != 0 {
		return 0, nil, false
	}
	size, each, rows := product(w.Shape[2:]), w.Shape[1], w.Shape[0]/z.group
	return each * z.group, func(i int) int { return i/(size*each*rows)*each + i/size%each }, true
}

func (f *fusedConvolution) run(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
	p, err := f.place(in[0], f.w, f.bias)
	if err != nil || product(p.shape) == 0 || f.sum && !equalShape(in[1].Shape, p.shape) || p.scratch(in[0]) > r.limit-r.live {
		return nil, nil
	}
	out, err := r.blank(f.w.Type, p.shape...)
	if err != nil {
		return nil, nil
	}
	var bias []float32
	if f.bias != nil {
		bias = f.bias.F32()
	}
	e := kernel.Epilogue{}
	if !f.sum {
		e = f.tail.epilogue()
	}
	dst := out.F32()
	p.compute(dst, in[0].F32(), f.w.F32(), bias, e, r.threads)
	switch {
	case f.sum:
		f.tail.sum(r, dst, dst, in[1].F32())
	default:
		f.tail.rest(r, dst)
	}
	roundHalf(out)
	return out, nil
}
