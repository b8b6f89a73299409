package kernel

// BlockTransposed is a transposed convolution of one group over one or two dimensions, with constant weights, for images in
// blocks. Output positions that are equal modulo the stride see the same taps: each such phase is a convolution of step 1,
// whose results are set among those of the others.
type BlockTransposed struct{ phases []blockPhase }

// blockPhase is the convolution of the output positions at, at+stride, ... of two dimensions.
type blockPhase struct {
	at, kernel, dilation, pad [2]int
	conv                      *BlockConv
}

// phaseTaps returns the taps, by descending index, that output positions equal to r modulo the stride see, with the
// dilation and the padding of their convolution; none where there is no such convolution. Tap k reads input position
// (o + pad - k*dilation) / stride for output position o.
func phaseTaps(r, size, stride, dilation, pad int) (taps []int, step, before int) {
	first := 0
	for k := size - 1; k >= 0; k-- {
		if d := r + pad - k*dilation; d%stride == 0 {
			switch at := d / stride; len(taps) {
			case 0:
				first = at
			case 1:
				step = at - first
			}
			taps = append(taps, k)
		}
	}
	if first > 0 {
		return nil, 0, 0
	}
	return taps, max(step, 1), -first
}

// PackBlocksTransposed lays out weights [inC, outC, kernel] and bias [outC], nil for none, for the window whose transpose is
// taken (ConvTranspose); nil where a phase is no convolution. Of the window, strides, dilations, kernel and padding count.
func PackBlocksTransposed(weights, bias []float32, inC, outC int, w *Window) *BlockTransposed {
	t, size := &BlockTransposed{}, w.KernelSize()
	for r := range w.Stride[1] * w.Stride[2] {
		p := blockPhase{at: [2]int{r / w.Stride[2], r % w.Stride[2]}}
		var taps [2][]int
		for i := range taps {
			d := i + 1
			taps[i], p.dilation[i], p.pad[i] = phaseTaps(p.at[i], w.Kernel[d], w.Stride[d], w.Dilation[d], w.Pad[d])
			if p.kernel[i] = len(taps[i]); p.kernel[i] == 0 {
				return nil
			}
		}
		own := make([]float32, 0, outC*inC*len(taps[0])*len(taps[1]))
		for o := range outC {
			for c := range inC {
				for _, y := range taps[0] {
					for _, x := range taps[1] {
						own = append(own, weights[(c*outC+o)*size+y*w.Kernel[2]+x])
					}
				}
			}
		}
		p.conv = PackBlocks(own, bias, inC, outC, 1, len(taps[0])*len(taps[1]), false)
		t.phases = append(t.phases, p)
	}
	return t
}

// Window returns the window of a phase of the transpose of w.
func (p *blockPhase) window(w *Window) *Window {
	v := &Window{In: w.Out, Kernel: [3]int{1, p.kernel[0], p.kernel[1]}, Out: [3]int{1, 1, 1}, Stride: [3]int{1, 1, 1},
		Dilation: [3]int{1, p.dilation[0], p.dilation[1]}, Pad: [3]int{0, p.pad[0], p.pad[1]}}
	for i, r := range p.at {
		v.Out[i+1] = max(0, (w.In[i+1]-r+w.Stride[i+1]-1)/w.Stride[i+1])
	}
	return v
}

// Fits reports whether the phases of the transpose of w may be convolved: see BlockWindow.
func (t *BlockTransposed) Fits(w *Window) bool {
	for i := range t.phases {
		if v := t.phases[i].window(w); v.OutSize() > 0 && !BlockWindow(v) {
			return false
		}
	}
	return w.In[0] == 1 && w.Out[0] == 1
}

// Run writes the transposed convolution of x, in blocks [batch, blocks, w.Out, Block], to dst [batch, blocks, w.In, Block].
// Bounds and after are those of BlockConv.Run. Fits must hold.
func (t *BlockTransposed) Run(dst, x []float32, batch int, w *Window, e Epilogue, after func(span []float32), threads int) {
	for i := range t.phases {
		p := &t.phases[i]
		v := p.window(w)
		if v.OutSize() == 0 || batch == 0 {
			continue
		}
		planes := batch * Blocks(p.conv.outC)
		if len(t.phases) == 1 {
			p.conv.Run(dst, x, nil, batch, v, e, after, threads)
			continue
		}
		part := borrow(planes * v.OutSize() * Block)
		p.conv.Run(*part, x, nil, batch, v, e, after, threads)
		lines := v.Out[1]
		Parallel(threadsFor(threads, len(*part)), planes*lines, func(l int) {
			row := (*part)[l*v.Out[2]*Block:][:v.Out[2]*Block]
			y := l%lines*w.Stride[1] + p.at[0]
			to := dst[((l/lines*w.In[1]+y)*w.In[2]+p.at[1])*Block:]
			for len(row) > 0 {
				*(*[Block]float32)(to) = *(*[Block]float32)(row)
				if row = row[Block:]; len(row) > 0 {
					to = to[w.Stride[2]*Block:]
				}
			}
		})
		scratch.Put(part)
	}
}
