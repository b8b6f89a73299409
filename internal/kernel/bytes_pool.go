package kernel

// byteTapSlack is how far beyond the last element loops over taps of bytes may read and write.
const byteTapSlack = 64

// MaxPoolBytes writes the largest value of each window of every plane of x [planes, In] to dst [planes, Out]: of int8
// where signed, else of uint8. A window without any input position gives the smallest value. It reports false, and has
// written nothing, for windows that do not lie in planes of the last two dimensions.
func MaxPoolBytes(dst, x []uint8, signed bool, planes int, w *Window, threads int) bool {
	if !w.flat() {
		return false
	}
	planes *= w.In[0]
	in, out := w.In[1]*w.In[2], w.Out[1]*w.Out[2]
	if planes*out == 0 {
		return true
	}
	p := &bytePool{w: w, signed: signed, down: offsets(w.Kernel[1], w.Dilation[1]*w.In[2]), along: offsets(w.Kernel[2], w.Dilation[2])}
	threads = threadsFor(threads, planes*out*w.KernelSize()/16)
	units := min(planes, 8*threads)
	Parallel(threads, units, func(u int) {
		width := w.extent(2) + byteTapSlack
		buf := borrow((width + w.Out[2] + byteTapSlack + 3) / 4)
		defer scratch.Put(buf)
		line, row := bytesOfFloats(*buf)[:width], bytesOfFloats(*buf)[width:]
		fillWith(line, p.least())
		for i := planes * u / units; i < planes*(u+1)/units; i++ {
			p.plane(dst[i*out:(i+1)*out], x[i*in:], line, row)
		}
	})
	return true
}

// bytePool joins the rows of all windows of an output row into one line, then columns of the line.
type bytePool struct {
	w           *Window
	signed      bool
	down, along []int
}

func (p *bytePool) least() uint8 {
	if p.signed {
		return 0x80
	}
	return 0
}

// plane pools the plane that src begins with; row has room for an output row and slack.
func (p *bytePool) plane(dst, src, line, row []uint8) {
	w := p.w
	middle := line[w.Pad[2]:]
	for o := range w.Out[1] {
		if first, rows := w.inside(1, o); rows == 0 {
			fillWith(middle, p.least())
		} else {
			p.tap(middle, src[first*w.In[2]:], w.In[2], p.down[:rows], 1)
			fillWith(middle[w.In[2]:][:w.extent(2)-w.Pad[2]-w.In[2]], p.least())
		}
		p.tap(row, line, w.Out[2], p.along, w.Stride[2])
		copy(dst[o*w.Out[2]:(o+1)*w.Out[2]], row)
	}
}

// tapPlain writes the largest of n elements' taps: dst[i] = max over t of x[i*step + taps[t]].
func (p *bytePool) tapPlain(dst, x []uint8, n int, taps []int, step int) {
	flip := p.least()
	for i := range n {
		best := uint8(0)
		for _, t := range taps {
			best = max(best, x[i*step+t]^flip)
		}
		dst[i] = best ^ flip
	}
}
