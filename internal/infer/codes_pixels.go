package infer

import (
	"bq/internal/kernel"
	"bq/onnxio"
)

// Where convolutions run on codes, images of codes lie pixel by pixel in the form in blocks (kernel.PixelConv): a value
// [N, C, spatial...] as [N, spatial..., step], with step bytes for the channels of a pixel. Which do is decided as for
// blocks of floats: a convolution wants them so, other operators take them so where they lie so.

// codes puts the node at place i into the graph in blocks where it is one on codes that knows pixels; taken is false where
// it reads or makes no pixels, done says whether it is in the graph.
func (b *blocking) codes(nd *node) (done, taken bool) {
	switch f := nd.state.(type) {
	case *quantConv:
		return b.pixelConv(nd, f), true
	case *quantPair:
		return b.pixelPair(nd, f), true
	case *codeTable:
		return b.pixelTable(nd, f), true
	case *quantMean:
		return b.pixelMean(nd, f), true
	case *quantConcat:
		return b.pixelConcat(nd, f), true
	case *moved:
		return b.pixelMove(nd, f), true
	case *quantResize:
		return b.pixelLinear(nd, f), true
	}
	if nd.fast == nil && nd.standard && nd.OpType == "Transpose" || b.quantizer(nd) != nil {
		return b.pixelInput(nd), true
	}
	for _, slot := range nd.in {
		if slot >= 0 && b.block[slot] >= 0 && b.kinds[slot] == onnxio.Uint8 {
			return false, true
		}
	}
	return false, false
}

// pixels reports whether a value lies pixel by pixel, with so many channels; any number where that is 0.
func (b *blocking) pixels(slot, channels int) bool {
	return b.block[slot] >= 0 && b.kinds[slot] == onnxio.Uint8 && (channels == 0 || b.channels[slot] == channels)
}

// pixelShape is the shape of an image of pixels.
func pixelShape(batch int, spatial []int, step int) []int {
	return append(append(append(make([]int, 0, 6), batch), spatial...), step)
}

// planeShape is the shape of an image of pixels in the graph.
func planeShape(pixels []int, channels int) []int {
	return append([]int{pixels[0], channels}, pixels[1:len(pixels)-1]...)
}

// inputStep is how many bytes the pixels of codes in a slot take that no node in blocks makes: no more than they have to
// where a convolution of all channels alone reads them.
func (b *blocking) inputStep(slot, channels int) int {
	if b.uses[slot] == 1 {
		if f, ok := b.nodes[b.reader[slot]].state.(*quantConv); ok && f.group == 1 {
			return kernel.PackedPixelStep(channels)
		}
	}
	return kernel.PixelStep(channels)
}

// enterPixels lays codes out pixel by pixel.
func (b *blocking) enterPixels(nd *node, slot, channels int) int {
	if b.block[slot] >= 0 {
		return b.block[slot]
	}
	step := b.inputStep(slot, channels)
	to := b.slot(slot, channels)
	b.kinds[slot] = onnxio.Uint8
	b.add(nd, onnxio.Uint8, []int{slot}, to, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		s := in[0].Shape
		if len(s) < 3 || s[1] != channels {
			return nil, nil
		}
		out, err := r.blank(onnxio.Uint8, pixelShape(s[0], s[2:], step)...)
		if err != nil {
			return nil, nil
		}
		kernel.ToPixels(byteData(out), byteData(in[0]), step, s[0], channels, product(s[2:]), r.threads)
		return out, nil
	})
	return to
}

// leavePixels lays codes out as the graph has them.
func (b *blocking) leavePixels(slot int) {
	channels := b.channels[slot]
	b.add(b.nodes[b.maker[slot]], onnxio.Uint8, []int{b.block[slot]}, slot, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		s := in[0].Shape
		shape, step := planeShape(s, channels), s[len(s)-1]
		out, err := r.blank(onnxio.Uint8, shape...)
		if err != nil {
			return nil, nil
		}
		kernel.FromPixels(byteData(out), byteData(in[0]), step, s[0], channels, product(shape[2:]), r.threads)
		return out, nil
	})
}

// pixel puts a node into the graph that computes its first output pixel by pixel.
func (b *blocking) pixel(nd *node, slots []int, channels int, fast fastFunc) bool {
	b.kinds[nd.out[0]] = onnxio.Uint8
	b.produce(nd, slots, channels, fast)
	return true
}

// onPixels reports whether a convolution reads and makes pixels: of uint8, dense or with one kernel for each channel, whose
// weights have no zero points.
func (f *quantConv) onPixels() bool {
	switch {
	case !kernel.PixelsPay(), f.group != 1 && (f.w.Shape[1] != 1 || f.group != f.w.Shape[0]), len(f.w.Shape) > 4, f.weights.zeros != nil, f.bits != nil:
		return false
	}
	if whole := kernel.PixelStep(f.w.Shape[0]) * kernel.PackedPixelStep(f.w.Shape[1]) * product(f.w.Shape[2:]); whole > max(1<<20, pixelWaste*f.w.Len()) {
		return false
	}
	return f.x.typ == onnxio.Uint8 && f.to.codes && f.to.typ == onnxio.Uint8
}

// pixelWaste is how many times as large weights may become where whole blocks of channels are few.
const pixelWaste = 8

// pixelConv takes a convolution whose weights have no zero points: dense, or one kernel for each channel.
func (b *blocking) pixelConv(nd *node, f *quantConv) bool {
	outputs, channels, in := f.w.Shape[0], f.w.Shape[1]*f.group, nd.in[0]
	deep := f.w.Shape[1] == 1 && f.group == outputs && f.group > 1
	if !f.onPixels() || b.block[in] >= 0 && !b.pixels(in, channels) {
		return false
	}
	packed := kernel.NewPixelConv(f.weights.data, outputs, channels, product(f.w.Shape[2:]), deep, uint8(f.x.zero),
		&kernel.ByteFinish{Finish: f.finish, Out: 1, Zero: f.to.zero, Low: f.to.low, High: f.to.high})
	b.count++
	return b.pixel(nd, []int{b.enterPixels(nd, in, channels)}, outputs, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		s := in[0].Shape
		if len(s) != len(f.w.Shape) {
			return nil, nil
		}
		p, err := f.plan(&onnxio.Array{Shape: planeShape(s, channels)}, f.w, nil)
		if err != nil || !packed.Fits(p.k) {
			return nil, nil
		}
		out, err := r.blank(onnxio.Uint8, pixelShape(p.n, p.shape[2:], kernel.PixelStep(outputs))...)
		if err != nil {
			return nil, nil
		}
		packed.Run(byteData(out), byteData(in[0]), s[len(s)-1], p.n, p.k, r.threads)
		return out, nil
	})
}

// pixelPair takes a sum or a product of two values of which one lies pixel by pixel.
func (b *blocking) pixelPair(nd *node, f *quantPair) bool {
	x, y := nd.in[0], nd.in[1]
	channels := b.channels[x]
	switch {
	case f.a.typ != onnxio.Uint8, !b.pixels(x, 0) && !b.pixels(y, 0):
		return false
	case b.block[x] < 0:
		channels = b.channels[y]
	case b.block[y] >= 0 && !b.pixels(y, channels):
		return false
	}
	slots := []int{b.enterPixels(nd, x, channels), b.enterPixels(nd, y, channels)}
	return b.pixel(nd, slots, channels, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		u, v := in[0].Shape, in[1].Shape
		shape, step := u, u[len(u)-1]
		if in[1].Len() > in[0].Len() {
			shape = v
		}
		if len(u) != len(v) || !onePixel(shape, u) || !onePixel(shape, v) {
			return nil, nil
		}
		out, err := r.blank(onnxio.Uint8, shape...)
		if err != nil {
			return nil, nil
		}
		dst, a, c := byteData(out), byteData(in[0]), byteData(in[1])
		if equalShape(u, v) {
			f.sum.Run(dst, a, c, r.threads)
			return out, nil
		}
		size := product(shape[1 : len(shape)-1])
		at := func(x []uint8, p int) []uint8 { // the pixel of an image, or the one that it has
			if len(x) != len(dst) {
				p /= size
			}
			return x[p*step : (p+1)*step]
		}
		r.rows(shape[0]*size, step, func(p int) { f.sum.Spread(dst[p*step:(p+1)*step], at(a, p), at(c, p)) })
		return out, nil
	})
}

// onePixel reports whether part is shape, or has one pixel for every image of it.
func onePixel(shape, part []int) bool {
	last := len(shape) - 1
	return equalShape(shape, part) || len(part) == len(shape) && part[0] == shape[0] && part[last] == shape[last] && product(part[1:last]) == 1
}

// pixelTable takes a table over pixels; a table that changes nothing makes no node.
func (b *blocking) pixelTable(nd *node, f *codeTable) bool {
	in := nd.in[0]
	if !b.pixels(in, 0) || f.to != onnxio.Uint8 {
		return false
	}
	if f.table == nil {
		out := nd.out[0]
		b.block[out], b.channels[out], b.kinds[out] = b.block[in], b.channels[in], onnxio.Uint8
		return true
	}
	return b.pixel(nd, []int{b.block[in]}, b.channels[in], f.run)
}

// pixelMean takes a pool of pixels.
func (b *blocking) pixelMean(nd *node, f *quantMean) bool {
	in := nd.in[0]
	if !b.pixels(in, 0) || f.x.typ != onnxio.Uint8 {
		return false
	}
	channels := b.channels[in]
	return b.pixel(nd, []int{b.block[in]}, channels, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		s := in[0].Shape
		step, plane := s[len(s)-1], &onnxio.Array{Shape: planeShape(s, channels)}
		k, shape := allOf(plane.Shape)
		if f.pool != nil {
			var err error
			if k, shape, _, err = f.pool.window.pooling(plane); err != nil {
				return nil, nil
			}
		}
		if k = k.Packed(); !k.Covers() || k.KernelSize() > maxMean {
			return nil, nil
		}
		out, err := r.blank(onnxio.Uint8, pixelShape(s[0], shape[2:], step)...)
		if err != nil {
			return nil, nil
		}
		kernel.PixelMean(byteData(out), byteData(in[0]), step, s[0], k, f.finish, r.threads)
		return out, nil
	})
}

// allOf is the window over all of an image [N, C, spatial...], and the shape of what it gives.
func allOf(s []int) (*kernel.Window, []int) {
	one := [3]int{1, 1, 1}
	size := [3]int{1, 1, product(s[2:])}
	shape := append([]int{}, s...)
	for i := range shape[2:] {
		shape[2+i] = 1
	}
	return &kernel.Window{In: size, Kernel: size, Out: one, Stride: one, Dilation: one}, shape
}

// pixelConcat takes a Concat of channels whose parts all lie pixel by pixel.
func (b *blocking) pixelConcat(nd *node, f *quantConcat) bool {
	var slots, parts []int
	channels := 0
	for _, slot := range nd.in {
		if !b.pixels(slot, 0) {
			return false
		}
		slots, parts = append(slots, b.block[slot]), append(parts, b.channels[slot])
		channels += b.channels[slot]
	}
	if f.axis != 1 || f.to.typ != onnxio.Uint8 {
		return false
	}
	return b.pixel(nd, slots, channels, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		s := in[0].Shape
		spatial := s[1 : len(s)-1]
		for _, x := range in {
			if len(x.Shape) != len(s) || x.Shape[0] != s[0] || !equalShape(x.Shape[1:len(s)-1], spatial) {
				return nil, nil
			}
		}
		out, err := r.blank(onnxio.Uint8, pixelShape(s[0], spatial, kernel.PixelStep(channels))...)
		if err != nil {
			return nil, nil
		}
		at := 0
		for i, x := range in {
			kernel.JoinPixels(byteData(out), byteData(x), kernel.PixelStep(channels), x.Shape[len(s)-1], at, parts[i], f.tables[i], r.threads)
			at += parts[i]
		}
		return out, nil
	})
}

// pixelMove takes an operator that moves pixels, or takes the largest codes of some.
func (b *blocking) pixelMove(nd *node, m *moved) bool {
	in := nd.in[0]
	if in < 0 || len(nd.out) == 0 || nd.out[0] < 0 || !b.pixels(in, 0) {
		return false
	}
	channels, slots := b.channels[in], []int{b.block[in]}
	switch m.nd.OpType {
	case "MaxPool":
		z, ok := m.nd.state.(*pooled)
		return ok && b.pixel(nd, slots, channels, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) { return r.pixelMax(z, in[0], channels) })
	case "Resize", "Upsample":
		if f := b.pixelResize(m.nd, m.nd.state.(*resized)); f != nil {
			return b.pixel(nd, slots, channels, f)
		}
	case "Slice":
		if f := b.pixelSlice(m.nd); f != nil {
			return b.pixel(nd, slots, channels, f)
		}
	case "Pad":
		if f, all := b.pixelPad(m.nd, channels, uint8(m.from.zero)); f != nil {
			return b.pixel(nd, slots, all, f)
		}
	case "Transpose":
		if p := m.nd.Attr("perm"); p != nil && channelsLastPerm(p.Ints) {
			b.pixelsAsTheyLie(nd, slots, channels)
			return true
		}
	}
	return false
}

// pixelMax is MaxPool of pixels.
func (r *run) pixelMax(z *pooled, x *onnxio.Array, channels int) (*onnxio.Array, error) {
	s := x.Shape
	k, shape, _, err := z.window.pooling(&onnxio.Array{Shape: planeShape(s, channels)})
	if err != nil {
		return nil, nil
	}
	if k = k.Packed(); !k.Covers() {
		return nil, nil
	}
	step := s[len(s)-1]
	out, err := r.blank(onnxio.Uint8, pixelShape(s[0], shape[2:], step)...)
	if err != nil {
		return nil, nil
	}
	kernel.PixelMax(byteData(out), byteData(x), step, s[0], k, r.threads)
	return out, nil
}

// pixelResize returns what takes the nearest pixels, by constants; nil for others.
func (b *blocking) pixelResize(nd *node, z *resized) fastFunc {
	scales, sizes := z.constants(b.fusion, nd)
	if scales == nil && sizes == nil {
		return nil
	}
	return func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		factors, lengths := pixelScales(in[0].Shape, scales, sizes)
		if factors == nil && lengths == nil {
			return nil, nil
		}
		out, err := z.run(r, in[0], nil, factors, lengths)
		if err != nil {
			return nil, nil
		}
		return out, nil
	}
}

// pixelScales returns scales, or sizes, of an image as those of its pixels; nil where they are not of its rank.
func pixelScales(s []int, scales, sizes *onnxio.Array) (factors, lengths *onnxio.Array) {
	switch {
	case sizes != nil && sizes.Len() == len(s):
		n := sizes.Ints()
		lengths = onnxio.Int64s(append(append([]int64{n[0]}, n[2:]...), int64(s[len(s)-1])), len(s))
	case sizes == nil && scales.Len() == len(s):
		f := scales.F32()
		factors = onnxio.Floats(append(append([]float32{f[0]}, f[2:]...), 1), len(s))
	}
	return factors, lengths
}

// channelsLastPerm reports whether a permutation moves the channels behind all others.
func channelsLastPerm(perm []int64) bool {
	for i, p := range perm {
		want := int64(i + 1)
		if i == 0 {
			want = 0
		} else if i == len(perm)-1 {
			want = 1
		}
		if p != want {
			return false
		}
	}
	return len(perm) > 2
}

// pixelsAsTheyLie puts a node into the graph that gives pixels without what stands behind their channels.
func (b *blocking) pixelsAsTheyLie(nd *node, slots []int, channels int) {
	b.plain[nd.out[0]] = true
	b.add(nd, onnxio.Uint8, slots, nd.out[0], func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		s := in[0].Shape
		out, err := r.blank(onnxio.Uint8, append(append([]int{}, s[:len(s)-1]...), channels)...)
		if err != nil {
			return nil, nil
		}
		kernel.JoinPixels(byteData(out), byteData(in[0]), channels, s[len(s)-1], 0, channels, nil, r.threads)
		return out, nil
	})
}
