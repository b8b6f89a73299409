package kernel

// Window describes a window that slides over up to three spatial dimensions: convolution and pooling. Unused
// leading dimensions have size 1, stride 1, dilation 1 and no padding. Output position o and kernel position k
// read input position o*Stride + k*Dilation - Pad; positions outside the input are padding.
type Window struct {
	In, Kernel, Out, Stride, Dilation, Pad [3]int
}

// InSize, KernelSize and OutSize return the number of positions.
func (w *Window) InSize() int { return w.In[0] * w.In[1] * w.In[2] }

// KernelSize is the number of taps of the window.
func (w *Window) KernelSize() int { return w.Kernel[0] * w.Kernel[1] * w.Kernel[2] }

// OutSize is the number of places the window takes.
func (w *Window) OutSize() int { return w.Out[0] * w.Out[1] * w.Out[2] }

// span returns the output positions lo..hi-1 of dimension d for which kernel position k reads inside the input.
func (w *Window) span(d, k int) (lo, hi int) {
	off := k*w.Dilation[d] - w.Pad[d]
	if off < 0 {
		lo = (-off + w.Stride[d] - 1) / w.Stride[d]
	}
	if last := w.In[d] - 1 - off; last >= 0 {
		hi = min(w.Out[d], last/w.Stride[d]+1)
	}
	return min(lo, hi), hi
}

// Packed returns the window with dimensions of one position, one tap and no padding moved to the front: the planes lie
// in memory in the same way, in longer rows.
func (w *Window) Packed() *Window {
	v := *w
	for range 2 {
		if v.In[2] != 1 || v.Kernel[2] != 1 || v.Out[2] != 1 || v.Pad[2] != 0 {
			break
		}
		for _, d := range []*[3]int{&v.In, &v.Kernel, &v.Out, &v.Stride, &v.Dilation, &v.Pad} {
			last := d[2]
			d[2], d[1], d[0] = d[1], d[0], last
		}
		v.Stride[0], v.Dilation[0] = 1, 1
	}
	return &v
}

// pointwise reports whether the window reads each position of the input once, in order.
func (w *Window) pointwise() bool {
	return w.KernelSize() == 1 && w.In == w.Out && w.Stride == [3]int{1, 1, 1} && w.Pad == [3]int{}
}

// Conv computes the cross-correlation of x [batch, inC, in] with weights [outC, inC/group, kernel] into
// dst [batch, outC, out], plus bias [outC] where it is not nil (ONNX operator Conv). An element is the bias plus the
// sum over input channel, then kernel position in row-major order, blocked as in Product; padding counts as zero. Of e
// only the bounds count.
func Conv(dst, x, weights, bias []float32, batch, inC, outC, group int, w *Window, e Epilogue, threads int) {
	w = w.Packed()
	in, out := w.InSize(), w.OutSize()
	if inC == group && outC/group <= depthwiseOutputs {
		depthwise(dst, x, weights, bias, batch, inC, outC, w, e, threads)
		return
	}
	cg, og := inC/group, outC/group
	k := cg * w.KernelSize()
	c := newPlanes(w, cg)
	for i := range batch * group {
		g := i % group
		p := &product{dst: dst[i*og*out : (i+1)*og*out], ldc: out, m: og, n: out, k: k, a: RowMajor(weights[g*og*k:(g+1)*og*k], k), e: e}
		p.e.Add, p.e.Bias = false, nil
		if bias != nil {
			p.e.Bias = bias[g*og:]
		}
		src := x[i*cg*in : (i+1)*cg*in]
		switch {
		case out == 0 || og == 0:
		case c == nil:
			p.row = func(line []float32, p, j int) { w.im2col(line, src, p, j) }
			p.run(threads)
		default:
			c.convolve(p, src, threads)
		}
	}
}

// depthwiseOutputs is how many outputs an input channel of its own may have to be convolved plane by plane: more make a
// matrix product worth its while.
const depthwiseOutputs = 4

// planes lays out the right operand of a convolution over one or two dimensions.
type planes struct {
	*padded
	channels int
	offsets  []int // of all channels and taps, in bytes
}

// newPlanes returns nil for windows whose im2col rows are not runs of padded planes.
func newPlanes(w *Window, channels int) *planes {
	p, ok := newPadded(w)
	if !ok {
		return nil
	}
	c := &planes{padded: p, channels: channels}
	for ch := range channels {
		for _, o := range p.offsets {
			c.offsets = append(c.offsets, o+4*ch*p.height*p.width)
		}
	}
	return c
}

// convolve runs a product whose right operand are the taps of the planes of src.
func (c *planes) convolve(p *product, src []float32, threads int) {
	if c.bare() {
		p.columns = &columns{data: src, offsets: c.offsets, run: c.columns, pitch: c.w.Stride[1] * c.width, step: c.w.Stride[2]}
		if c.w.pointwise() {
			p.columns.run = p.n
		}
	} else {
		p.planes, p.src = c, src
	}
	p.run(threads)
}

// part lays out the columns of output lines l0..l1 in buf: the rows of the padded planes that they read. Its offsets
// stand in ints.
func (c *planes) part(src, buf []float32, ints []int, l0, l1 int) *columns {
	y0, y1 := c.band(l0, l1)
	in, size := c.w.InSize(), (y1-y0)*c.width
	for ch := range c.channels {
		plane := buf[ch*size : (ch+1)*size]
		clear(plane)
		c.fill(plane, src[ch*in:(ch+1)*in], y0, y1)
		for t, o := range c.padded.offsets {
			ints[ch*len(c.padded.offsets)+t] = o + 4*ch*size
		}
	}
	return &columns{data: buf, offsets: ints, run: c.columns, pitch: c.w.Stride[1] * c.width, step: c.w.Stride[2]}
}

// partSize returns how many elements part needs.
func (c *planes) partSize(l0, l1 int) int {
	y0, y1 := c.band(l0, l1)
	return c.channels * (y1 - y0) * c.width
}

func fill(dst, bias []float32, c int) {
	if bias == nil {
		clear(dst)
		return
	}
	for i := range dst {
		dst[i] = bias[c]
	}
}

// im2col fills line with row p of the im2col matrix, from output position j on. Row p is one channel and kernel
// position; column j is one output position; both are counted in row-major order.
func (w *Window) im2col(line, src []float32, p, j int) {
	size := w.KernelSize()
	plane := src[p/size*w.InSize():]
	p %= size
	kw, kh, kd := p%w.Kernel[2], p/w.Kernel[2]%w.Kernel[1], p/(w.Kernel[2]*w.Kernel[1])
	lo, hi := w.span(2, kw)
	off := kw*w.Dilation[2] - w.Pad[2]
	for len(line) > 0 {
		ow, oh, od := j%w.Out[2], j/w.Out[2]%w.Out[1], j/(w.Out[2]*w.Out[1])
		n := min(len(line), w.Out[2]-ow)
		id := od*w.Stride[0] + kd*w.Dilation[0] - w.Pad[0]
		ih := oh*w.Stride[1] + kh*w.Dilation[1] - w.Pad[1]
		if id < 0 || id >= w.In[0] || ih < 0 || ih >= w.In[1] {
			clear(line[:n])
		} else {
			row := plane[(id*w.In[1]+ih)*w.In[2]:][:w.In[2]]
			gatherRow(line[:n], row, ow, lo, hi, off, w.Stride[2])
		}
		line, j = line[n:], j+n
	}
}

// gatherRow fills dst[i] with row[(o0+i)*stride + off] for output positions lo <= o0+i < hi and zero elsewhere.
func gatherRow(dst, row []float32, o0, lo, hi, off, stride int) {
	a := min(max(lo-o0, 0), len(dst))
	b := min(max(hi-o0, a), len(dst))
	clear(dst[:a])
	clear(dst[b:])
	if a == b {
		return
	}
	if stride == 1 {
		copy(dst[a:b], row[o0+a+off:])
		return
	}
	for i := a; i < b; i++ {
		dst[i] = row[(o0+i)*stride+off]
	}
}

// correlate adds the correlation of one plane with one kernel to dst, a kernel position at a time.
func correlate[T float32 | int64](w *Window, dst, src, kernel []T) {
	for k, v := range kernel {
		kw, kh, kd := k%w.Kernel[2], k/w.Kernel[2]%w.Kernel[1], k/(w.Kernel[2]*w.Kernel[1])
		d0, d1 := w.span(0, kd)
		h0, h1 := w.span(1, kh)
		w0, w1 := w.span(2, kw)
		if w0 == w1 {
			continue
		}
		for od := d0; od < d1; od++ {
			id := od*w.Stride[0] + kd*w.Dilation[0] - w.Pad[0]
			for oh := h0; oh < h1; oh++ {
				ih := oh*w.Stride[1] + kh*w.Dilation[1] - w.Pad[1]
				iw := w0*w.Stride[2] + kw*w.Dilation[2] - w.Pad[2]
				row := src[(id*w.In[1]+ih)*w.In[2]+iw:]
				axpyStrided(dst[(od*w.Out[1]+oh)*w.Out[2]:][w0:w1], v, row, w.Stride[2])
			}
		}
	}
}

// axpyStrided adds v*src[i*stride] to dst[i].
func axpyStrided[T float32 | int64](dst []T, v T, src []T, stride int) {
	if stride == 1 {
		src = src[:len(dst)]
		for i := range dst {
			dst[i] += v * src[i]
		}
		return
	}
	for i := range dst {
		dst[i] += v * src[i*stride]
	}
}

// ConvTranspose computes the transposed convolution (the gradient of Conv with respect to its input) of
// x [batch, inC, Out] with weights [inC, outC/group, kernel] into dst [batch, outC, In], plus bias [outC] where it
// is not nil. w is the window of the convolution that is transposed: its Out is this operator's input.
func ConvTranspose(dst, x, weights, bias []float32, batch, inC, outC, group int, w *Window, threads int) {
	w = w.Packed()
	in, out, size := w.InSize(), w.OutSize(), w.KernelSize()
	cg, og := inC/group, outC/group
	for i := range batch * group {
		g := i % group
		t := &transposed{w: w, cg: cg, og: og, dst: dst[i*og*in : (i+1)*og*in], x: x[i*cg*out : (i+1)*cg*out],
			weights: weights[g*cg*og*size : (g+1)*cg*og*size]}
		if bias != nil {
			t.bias = bias[g*og : (g+1)*og]
		}
		if t.flat() {
			t.phases(threads)
		} else {
			t.columns(threads)
		}
	}
}

// ConvIntegers is Conv for integers, exact as long as the sums fit int64: shapes and bias as there.
func ConvIntegers(dst, x, weights, bias []int64, batch, inC, outC, group int, w *Window, threads int) {
	in, out, size := w.InSize(), w.OutSize(), w.KernelSize()
	cg, og := inC/group, outC/group
	Parallel(threadsFor(threads, batch*outC*out*size*cg), batch*outC, func(i int) {
		plane := dst[i*out : (i+1)*out]
		n, c := i/outC, i%outC
		if bias != nil {
			for j := range plane {
				plane[j] = bias[c]
			}
		}
		for k := range cg {
			ch := n*inC + c/og*cg + k
			correlate(w, plane, x[ch*in:(ch+1)*in], weights[(c*cg+k)*size:][:size])
		}
	})
}
