package infer

import (
	"sync"

	"bq/internal/kernel"
	"bq/onnxio"
)

// Limits on which convolutions take values as the graph has them and make blocks of them.
const (
	planeChannels = 15 // input channels up to which planes are read where they stand
	blockedShare  = 75 // percent of the lanes of their results that must be channels
)

// fills reports whether enough of the lanes of so many channels in blocks are channels.
func fills(channels int) bool {
	return 100*channels >= blockedShare*kernel.Block*kernel.Blocks(channels)
}

// blockedConvolution is a convolution in blocks, with what follows.
type blockedConvolution struct {
	*fusedConvolution
	channels, outputs int
	planes            bool
	after             []func(dst, src []float32)
	once              sync.Once
	packed            *kernel.BlockConv
}

// bareConvolution takes a convolution that nothing follows.
func (b *blocking) bareConvolution(i int, conv *convolution) bool {
	if b.absent(i, 1) {
		return false
	}
	w, bias := b.consts(b.nodes[i].in[1]), (*onnxio.Array)(nil)
	if !b.absent(i, 2) {
		if bias = b.consts(b.nodes[i].in[2]); bias == nil || w != nil && bias.Type != w.Type {
			return false
		}
	}
	if w == nil {
		return false
	}
	return b.convolution(b.nodes[i], &fusedConvolution{convolution: conv, w: w, bias: bias})
}

// convolution takes a convolution over one or two dimensions: dense, or one kernel for each channel.
func (b *blocking) convolution(nd *node, f *fusedConvolution) bool {
	rank := len(f.w.Shape)
	if f.transposed {
		return b.transposed(nd, f)
	}
	if f.w.Type != onnxio.Float && f.w.Type != onnxio.Float16 || rank != 3 && rank != 4 || f.w.Len() == 0 || f.group < 1 {
		return false
	}
	c := &blockedConvolution{fusedConvolution: f, channels: f.w.Shape[1] * f.group, outputs: f.w.Shape[0]}
	if f.group > 1 && (f.w.Shape[1] != 1 || c.outputs != f.group) {
		return false
	}
	if f.bias != nil && (f.bias.Type != f.w.Type || !equalShape(f.bias.Shape, []int{c.outputs})) {
		return false
	}
	in := nd.in[0]
	if !b.fits(in, c.channels) || f.sum && !b.fits(nd.in[1], c.outputs) {
		return false
	}
	if !b.inBlocks(in) && !fills(c.outputs) {
		return false
	}
	c.planes = f.group == 1 && b.block[in] < 0 && c.channels <= planeChannels
	slots := []int{in}
	if !c.planes {
		slots[0] = b.enter(nd, f.w.Type, in, c.channels)
	}
	var inPlace []int
	if f.sum {
		slots = append(slots, b.enter(nd, f.w.Type, nd.in[1], c.outputs))
		if slots[1] != slots[0] { // where it is the source too, other outputs have yet to read it
			inPlace = []int{1}
		}
	}
	if f.tail.f != nil {
		c.after = append(c.after, f.tail.f)
	}
	if f.w.Type == onnxio.Float16 {
		c.after = append(c.after, func(dst, _ []float32) { kernel.RoundHalf(dst) })
	}
	b.kinds[nd.out[0]] = f.w.Type
	made := b.produce(nd, slots, c.outputs, c.run, inPlace...)
	made.state = c
	b.rank[nd.out[0]] = rank
	b.makers[nd.out[0]] = made
	b.count++
	return true
}

func (c *blockedConvolution) run(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
	shape := in[0].Shape
	if !c.planes {
		shape = append([]int{shape[0], c.channels}, spatialOf(in[0])...)
	}
	if len(shape) != len(c.w.Shape) || shape[1] != c.channels {
		return nil, nil
	}
	window, spatial, _, err := c.window.forward(shape[2:], c.w.Shape[2:])
	if err != nil || !equalShape(c.window.sizeOr(c.w.Shape[2:]), c.w.Shape[2:]) || !kernel.BlockWindow(window) {
		return nil, nil
	}
	to := blockShape(shape[0], c.outputs, spatial)
	if c.sum && !equalShape(in[1].Shape, to) {
		return nil, nil
	}
	c.once.Do(func() {
		var bias []float32
		if c.bias != nil {
			bias = c.bias.F32()
		}
		c.packed = kernel.PackBlocks(c.fusedConvolution.w.F32(), bias, c.channels, c.outputs, c.group, window.KernelSize(), c.planes)
	})
	out, err := r.blank(c.fusedConvolution.w.Type, to...)
	if err != nil {
		return nil, nil
	}
	var add []float32
	if c.sum {
		add = in[1].F32()
	}
	var after func(span []float32)
	if c.after != nil {
		after = func(span []float32) {
			for _, f := range c.after {
				f(span, span)
			}
		}
	}
	c.packed.Run(out.F32(), in[0].F32(), add, shape[0], window, c.tail.epilogue(), after, r.threads)
	return out, nil
}

// sizeOr returns kernel_shape, def where it is not given.
func (w *window) sizeOr(def []int) []int {
	if w.kernel == nil {
		return def
	}
	return w.kernel
}

// span takes a function of one value, element by element: into the convolution that computes the value, where nobody else
// reads that.
func (b *blocking) span(nd *node, f func(dst, src []float32)) bool {
	in := nd.in[0]
	if !b.inBlocks(in) {
		return false
	}
	out := nd.out[0]
	if m := b.makers[in]; m != nil && b.uses[in] == 1 {
		c := m.state.(*blockedConvolution)
		c.after = append(c.after, f)
		b.block[out], b.channels[out] = b.block[in], b.channels[in]
		b.makers[out], b.rank[out] = m, b.rank[in]
		return true
	}
	b.rank[out] = b.rank[in]
	b.produce(nd, []int{b.block[in]}, b.channels[in], func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		v, err := r.blank(onnxio.Float, in[0].Shape...)
		if err != nil {
			return nil, nil
		}
		dst, src := v.F32(), in[0].F32()
		r.chunks(len(dst), func(lo, hi int) { f(dst[lo:hi], src[lo:hi]) })
		return v, nil
	}, 0)
	return true
}

// sum takes the sum of two values of one shape, and an activation.
func (b *blocking) sum(nd *node, t tail) bool {
	x, y := nd.in[0], nd.in[1]
	switch {
	case b.inBlocks(x) && b.consts(y) == nil:
		b.enter(nd, onnxio.Float, y, b.channels[x])
	case b.inBlocks(y) && b.consts(x) == nil:
		b.enter(nd, onnxio.Float, x, b.channels[y])
	default:
		return false
	}
	if b.channels[x] != b.channels[y] {
		return false
	}
	b.rank[nd.out[0]] = max(b.rank[x], b.rank[y])
	b.produce(nd, []int{b.block[x], b.block[y]}, b.channels[x], func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		if !equalShape(in[0].Shape, in[1].Shape) {
			return nil, nil
		}
		out, err := r.blank(onnxio.Float, in[0].Shape...)
		if err == nil {
			t.sum(r, out.F32(), in[0].F32(), in[1].F32())
		}
		return out, nil
	}, 0, 1)
	return true
}

func (b *blocking) consts(slot int) *onnxio.Array { return b.g.consts[slot] }

// pair takes the sum or the product of two values in blocks with the same number of channels: of one shape, or one of
// them with one pixel.
func (b *blocking) pair(nd *node) bool {
	x, y := nd.in[0], nd.in[1]
	if !b.inBlocks(x) || !b.inBlocks(y) || b.channels[x] != b.channels[y] {
		return false
	}
	b.rank[nd.out[0]] = max(b.rank[x], b.rank[y])
	op, spread := kernel.Add[float32], kernel.ShiftBlocks
	if nd.OpType == "Mul" {
		op, spread = kernel.Mul[float32], kernel.ScaleBlocks
	}
	b.produce(nd, []int{b.block[x], b.block[y]}, b.channels[x], func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		large, small := in[0], in[1]
		if large.Len() < small.Len() {
			large, small = small, large
		}
		out, err := r.blank(onnxio.Float, large.Shape...)
		if err != nil {
			return nil, nil
		}
		dst, p, q := out.F32(), large.F32(), small.F32()
		if equalShape(large.Shape, small.Shape) {
			r.chunks(len(dst), func(lo, hi int) { op(dst[lo:hi], p[lo:hi], q[lo:hi], 1, 1) })
			return out, nil
		}
		if len(large.Shape) != len(small.Shape) || large.Shape[0] != small.Shape[0] || product(spatialOf(small)) != 1 {
			return nil, nil
		}
		spread(dst, p, q, r.threads)
		return out, nil
	}, 0, 1)
	return true
}

// perChannel takes a normalization, sum or product with constants for each channel: a convolution of one tap.
func (b *blocking) perChannel(i int) bool {
	nd := b.nodes[i]
	in := nd.in[0]
	if !b.inBlocks(in) && len(nd.in) == 2 {
		in = nd.in[1]
	}
	if !b.inBlocks(in) || b.rank[in] == 0 {
		return false
	}
	m := identityMap(b.channels[in])
	if !m.take(b.fusion, i, in, b.rank[in]-2) {
		return false
	}
	factors, shifts := make([]float32, len(m.scale)), make([]float32, len(m.scale))
	for c := range factors {
		factors[c], shifts[c] = float32(m.scale[c]), float32(m.shift[c])
	}
	packed := kernel.PackBlocks(factors, shifts, len(factors), len(factors), max(2, len(factors)), 1, false)
	b.rank[nd.out[0]] = b.rank[in]
	b.produce(nd, []int{b.block[in]}, len(factors), func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		out, err := r.blank(onnxio.Float, in[0].Shape...)
		if err != nil {
			return nil, nil
		}
		w := unitWindow()
		w.In[2] = product(spatialOf(in[0]))
		w.Out[2] = w.In[2]
		packed.Run(out.F32(), in[0].F32(), nil, in[0].Shape[0], w, kernel.Epilogue{}, nil, r.threads)
		return out, nil
	}, 0)
	return true
}

// concat takes values in blocks that are joined along their channels, where all but the last fill their blocks.
func (b *blocking) concat(nd *node) bool {
	axis := nd.Attr("axis")
	if axis == nil || axis.I != 1 {
		return false
	}
	channels, slots := 0, []int{}
	for i, slot := range nd.in {
		if !b.inBlocks(slot) || b.kinds[slot] != b.kinds[nd.in[0]] || i < len(nd.in)-1 && b.channels[slot]%kernel.Block != 0 {
			return false
		}
		channels += b.channels[slot]
		slots = append(slots, b.block[slot])
	}
	b.rank[nd.out[0]], b.kinds[nd.out[0]] = b.rank[nd.in[0]], b.kinds[nd.in[0]]
	b.produce(nd, slots, channels, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		for _, v := range in {
			if v.Shape[0] != in[0].Shape[0] || !equalShape(v.Shape[2:], in[0].Shape[2:]) {
				return nil, nil
			}
		}
		out, err := r.blank(in[0].Type, blockShape(in[0].Shape[0], channels, spatialOf(in[0]))...)
		if err != nil {
			return nil, nil
		}
		dst := out.F32()
		for n := range in[0].Shape[0] {
			for _, v := range in {
				each := product(v.Shape[1:])
				src := v.F32()[n*each : (n+1)*each]
				r.chunks(each, func(lo, hi int) { copy(dst[lo:hi], src[lo:hi]) })
				dst = dst[each:]
			}
		}
		return out, nil
	})
	return true
}

// pooled is what blocks need to know of a pool: MaxPool without positions, or AveragePool.
type pooled struct {
	window       *window
	mean, padded bool // mean: of the positions in the input, or of those in the padding too
}

// pool takes a pool of a value in blocks.
func (b *blocking) pool(nd *node, p *pooled) bool {
	in := nd.in[0]
	if !b.inBlocks(in) {
		return false
	}
	channels := b.channels[in]
	b.rank[nd.out[0]], b.kinds[nd.out[0]] = b.rank[in], b.kinds[in]
	b.produce(nd, []int{b.block[in]}, channels, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		n, spatial := in[0].Shape[0], spatialOf(in[0])
		if len(p.window.kernel) != len(spatial) {
			return nil, nil
		}
		w, to, end, err := p.window.forward(spatial, p.window.kernel)
		if err != nil || !kernel.BlockWindow(w) {
			return nil, nil
		}
		out, err := r.blank(in[0].Type, blockShape(n, channels, to)...)
		if err != nil {
			return nil, nil
		}
		if !p.mean {
			kernel.MaxPoolBlocks(out.F32(), in[0].F32(), n, kernel.Blocks(channels), w, r.threads)
			return out, nil
		}
		var count []float32
		if p.padded {
			count = paddedCounts(w, end)
		}
		kernel.AveragePoolBlocks(out.F32(), in[0].F32(), n, kernel.Blocks(channels), w, count, r.threads)
		return out, nil
	})
	return true
}

// globalPool takes GlobalAveragePool of a value in blocks.
func (b *blocking) globalPool(nd *node) bool {
	in := nd.in[0]
	if !b.inBlocks(in) {
		return false
	}
	channels := b.channels[in]
	b.rank[nd.out[0]] = b.rank[in]
	b.produce(nd, []int{b.block[in]}, channels, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		n, spatial := in[0].Shape[0], spatialOf(in[0])
		ones := make([]int, len(spatial))
		for i := range ones {
			ones[i] = 1
		}
		out, err := r.blank(onnxio.Float, blockShape(n, channels, ones)...)
		if err == nil {
			kernel.GlobalAveragePoolBlocks(out.F32(), in[0].F32(), n, kernel.Blocks(channels), product(spatial), r.threads)
		}
		return out, nil
	})
	return true
}
