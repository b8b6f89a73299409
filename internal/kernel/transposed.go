package kernel

// transposed is one group of a transposed convolution in work.
type transposed struct {
	w                     *Window
	cg, og                int // input and output channels
	dst, x, weights, bias []float32
}

// flat reports whether the window spans at most two dimensions without dilation: then each phase of the output, the
// positions of one remainder modulo the stride, is a convolution of its own with a part of the kernel.
func (t *transposed) flat() bool {
	w := t.w
	return w.Kernel[0] == 1 && w.In[0] == 1 && w.Out[0] == 1 && w.Pad[0] == 0 && w.Dilation[1] == 1 && w.Dilation[2] == 1 &&
		len(t.x) > 0 && len(t.dst) > 0
}

// columns computes the product of weights and input, a matrix with a row for each output channel and kernel position, and
// adds its rows up where they fall.
func (t *transposed) columns(threads int) {
	w := t.w
	in, out, size := w.InSize(), w.OutSize(), w.KernelSize()
	buf := borrow(t.og * size * out)
	defer scratch.Put(buf)
	cols := *buf
	Product(cols, out, t.og*size, out, t.cg, RowMajor(t.weights, t.og*size).T(), RowMajor(t.x, out), Epilogue{}, threads)
	Parallel(threadsFor(threads, t.og*size*out), t.og, func(c int) {
		plane := t.dst[c*in : (c+1)*in]
		fill(plane, t.bias, c)
		w.col2im(plane, cols[c*size*out:(c+1)*size*out])
	})
}

// phase is what positions of one remainder r modulo the stride see along one dimension: output position
// stride*q + r - pad, for from <= q < to, adds up taps q - j of the input with kernel position r + stride*j.
type phase struct{ from, to, taps, first int } // first: the output position of q = from

// phaseOf works out the phase of remainder r of dimension d.
func (w *Window) phaseOf(d, r int) phase {
	s, pad := w.Stride[d], w.Pad[d]
	p := phase{taps: (w.Kernel[d] - r + s - 1) / s}
	if pad > r {
		p.from = (pad - r + s - 1) / s
	}
	p.first = s*p.from + r - pad
	if p.first < w.In[d] {
		p.to = p.from + (w.In[d]-1-p.first)/s + 1
	}
	return p
}

// phases computes phase by phase.
func (t *transposed) phases(threads int) {
	w := t.w
	for rh := range w.Stride[1] {
		for rw := range w.Stride[2] {
			h, v := w.phaseOf(1, rh), w.phaseOf(2, rw)
			if h.to > h.from && v.to > v.from {
				t.phase(rh, rw, h, v, threads)
			}
		}
	}
}

// phase computes the output positions of one remainder in each dimension.
func (t *transposed) phase(rh, rw int, h, v phase, threads int) {
	w := t.w
	rows, cols := h.to-h.from, v.to-v.from
	taps := max(0, h.taps) * max(0, v.taps)
	k := t.cg * taps
	// the input planes with as much padding as the taps reach beyond them: position (y, x) stands at (y+top, x+left)
	top, left := max(0, h.taps-1-h.from), max(0, v.taps-1-v.from)
	height, width := max(top+w.Out[1], top+h.to), max(left+w.Out[2], left+v.to)
	buf := borrow(t.cg*height*width + t.og*(k+rows*cols))
	defer scratch.Put(buf)
	planes, rest := (*buf)[:t.cg*height*width], (*buf)[t.cg*height*width:]
	kernels, sums := rest[:t.og*k], rest[t.og*k:]
	t.pad(planes, height, width, top, left, threads)
	offsets := make([]int, 0, k)
	for c := range t.cg {
		for jh := range h.taps { // rising offsets: the last tap lies first
			for jw := range v.taps {
				y, x := top+h.from-(h.taps-1-jh), left+v.from-(v.taps-1-jw)
				offsets = append(offsets, 4*((c*height+y)*width+x))
				at := (rh+w.Stride[1]*(h.taps-1-jh))*w.Kernel[2] + rw + w.Stride[2]*(v.taps-1-jw)
				for o := range t.og {
					kernels[o*k+(c*h.taps+jh)*v.taps+jw] = t.weights[(c*t.og+o)*w.KernelSize()+at]
				}
			}
		}
	}
	p := &product{dst: sums, ldc: rows * cols, m: t.og, n: rows * cols, k: k, a: RowMajor(kernels, k), e: Epilogue{Bias: t.bias},
		columns: &columns{data: planes, offsets: offsets, run: cols, pitch: width, step: 1}}
	p.run(threads)
	t.spread(sums, rows, cols, h.first, v.first, threads)
}

// pad copies the input planes into planes of zeros.
func (t *transposed) pad(planes []float32, height, width, top, left, threads int) {
	w, size := t.w, height*width
	Parallel(threadsFor(threads, t.cg*size), t.cg, func(c int) {
		plane := planes[c*size : (c+1)*size]
		clear(plane)
		for y := range w.Out[1] {
			copy(plane[(y+top)*width+left:], t.x[(c*w.Out[1]+y)*w.Out[2]:][:w.Out[2]])
		}
	})
}

// spread writes sums [og, rows, cols] to every stride-th position of the output, from (y0, x0) on.
func (t *transposed) spread(sums []float32, rows, cols, y0, x0, threads int) {
	w := t.w
	Parallel(threadsFor(threads, t.og*rows*cols), t.og, func(o int) {
		for q := range rows {
			row := t.dst[(o*w.In[1]+y0+q*w.Stride[1])*w.In[2]+x0:]
			src := sums[(o*rows+q)*cols:][:cols]
			if w.Stride[2] == 1 {
				copy(row, src)
				continue
			}
			for i, v := range src {
				row[i*w.Stride[2]] = v
			}
		}
	})
}

// col2im adds to the plane dst [In] what each kernel position of cols [kernel, Out] gives to it.
func (w *Window) col2im(dst, cols []float32) {
	out := w.OutSize()
	for k := range w.KernelSize() {
		kw, kh, kd := k%w.Kernel[2], k/w.Kernel[2]%w.Kernel[1], k/(w.Kernel[2]*w.Kernel[1])
		d0, d1 := w.span(0, kd)
		h0, h1 := w.span(1, kh)
		w0, w1 := w.span(2, kw)
		for od := d0; od < d1; od++ {
			id := od*w.Stride[0] + kd*w.Dilation[0] - w.Pad[0]
			for oh := h0; oh < h1; oh++ {
				ih := oh*w.Stride[1] + kh*w.Dilation[1] - w.Pad[1]
				row := dst[(id*w.In[1]+ih)*w.In[2]:][:w.In[2]]
				src := cols[k*out+(od*w.Out[1]+oh)*w.Out[2]:]
				for ow := w0; ow < w1; ow++ {
					row[ow*w.Stride[2]+kw*w.Dilation[2]-w.Pad[2]] += src[ow]
				}
			}
		}
	}
}
