package kernel

// Depthwise convolutions correlate planes with small kernels. A plane is copied into a padded one, so that no tap ever
// falls outside; then strips of the output, as wide as a vector, are summed tap by tap in registers.

// strip is a strip of one output plane, up to stripLanes columns wide:
//
//	dst[i*dstPitch + j] = clamp(bias + sum over t of w[t] * src[i*srcPitch + offsets[t] + j*step], low, high)
//
// for i < rows, j < cols. step is 1 or 2.
type strip struct {
	dst, src, w        []float32
	dstPitch, srcPitch int
	rows, cols, step   int
	offsets            []int // in bytes, one for each tap
	three              bool  // the taps are 3x3 neighbours in rows srcPitch apart, and step is 1
	bias, low, high    float32
}

// stripSlack is how many elements of src beyond a strip's last may be read.
const stripSlack = 48

// runPlain computes the strip in Go.
func (s *strip) runPlain() {
	for i := range s.rows {
		row := s.dst[i*s.dstPitch:][:s.cols]
		for j := range row {
			row[j] = s.bias
		}
		for t, v := range s.w {
			at := i*s.srcPitch + s.offsets[t]/4
			axpyStrided(row, v, s.src[at:], s.step)
		}
		for j, v := range row {
			if v < s.low {
				row[j] = s.low
			}
			if v > s.high {
				row[j] = s.high
			}
		}
	}
}

// padded is the shape of planes with their padding.
type padded struct {
	w              *Window
	height, width  int   // of the padded plane
	offsets        []int // of the taps in the padded plane, in bytes
	rows           []int // of the rows in a plane without padding, in bytes
	lines, columns int   // of the output
}

// newPadded lays out the padded planes of a window over one or two dimensions; false for others, and where the padding is
// out of proportion to the planes: a file decides it.
func newPadded(w *Window) (*padded, bool) {
	if w.Kernel[0] != 1 || w.In[0] != 1 || w.Out[0] != 1 || w.Pad[0] != 0 {
		return nil, false
	}
	p := &padded{w: w, lines: w.Out[1], columns: w.Out[2]}
	p.height = max(w.In[1]+w.Pad[1], (w.Out[1]-1)*w.Stride[1]+(w.Kernel[1]-1)*w.Dilation[1]+1)
	p.width = max(w.In[2]+w.Pad[2], (w.Out[2]-1)*w.Stride[2]+(w.Kernel[2]-1)*w.Dilation[2]+1)
	if most := 16*(w.In[1]*w.In[2]+w.Out[1]*w.Out[2]+w.KernelSize()) + 1<<12; p.width > 0 && p.height > most/p.width {
		return nil, false
	}
	for y := range w.In[1] {
		p.rows = append(p.rows, 4*y*w.In[2])
	}
	for kh := range w.Kernel[1] {
		for kw := range w.Kernel[2] {
			p.offsets = append(p.offsets, 4*(kh*w.Dilation[1]*p.width+kw*w.Dilation[2]))
		}
	}
	return p, true
}

// bare reports whether planes have no padding, so that they serve as they are.
func (p *padded) bare() bool {
	return p.height == p.w.In[1] && p.width == p.w.In[2] && p.w.Pad[1] == 0 && p.w.Pad[2] == 0
}

// band returns the rows of the padded plane that output lines l0..l1 read: y0..y1.
func (p *padded) band(l0, l1 int) (y0, y1 int) {
	w := p.w
	return l0 * w.Stride[1], min(p.height, (l1-1)*w.Stride[1]+(w.Kernel[1]-1)*w.Dilation[1]+1)
}

// fill copies rows y0..y1 of the padded plane into buf, which holds zeros at the places of padding.
func (p *padded) fill(buf, plane []float32, y0, y1 int) {
	w := p.w
	from, to := max(0, y0-w.Pad[1]), min(w.In[1], y1-w.Pad[1])
	if from >= to {
		return
	}
	inner := buf[(from+w.Pad[1]-y0)*p.width+w.Pad[2]:]
	for x := 0; x < w.In[2]; x += maxRun {
		packRun(inner[x:], plane[x:], p.rows[from:to], min(maxRun, w.In[2]-x), p.width, 1)
	}
}

// depthwise correlates, for every output channel, its one input channel with its kernel, planes spread over threads.
func depthwise(dst, x, weights, bias []float32, batch, inC, outC int, w *Window, e Epilogue, threads int) {
	in, out, size := w.InSize(), w.OutSize(), w.KernelSize()
	threads = threadsFor(threads, batch*outC*out*size)
	p, ok := newPadded(w)
	if !ok || out == 0 || w.Stride[2] > 2 { // strips know no other steps
		Parallel(threads, batch*outC, func(i int) {
			n, c := i/outC, i%outC
			ch := n*inC + c/(outC/inC)
			d := dst[i*out : (i+1)*out]
			fill(d, bias, c)
			correlate(w, d, x[ch*in:(ch+1)*in], weights[c*size:(c+1)*size])
			e.clamp(d)
		})
		return
	}
	// Bands of lines, all planes of each, as products cut their columns: what a thread wrote it reads again. Few lines, or
	// many images, are cut by planes.
	bands, parts := threads, 1
	if batch > 1 || p.lines < 4*threads {
		bands, parts = 1, min(batch*outC, threads)
	}
	Parallel(threads, bands*parts, func(u int) {
		l0, l1 := u%bands*p.lines/bands, (u%bands+1)*p.lines/bands
		y0, y1 := p.band(l0, l1)
		buf := borrow((y1-y0)*p.width + stripSlack)
		defer scratch.Put(buf)
		clear(*buf)
		filled := -1
		for i := u / bands * batch * outC / parts; i < (u/bands+1)*batch*outC/parts; i++ {
			n, c := i/outC, i%outC
			if ch := n*inC + c/(outC/inC); ch != filled {
				p.fill(*buf, x[ch*in:(ch+1)*in], y0, y1)
				filled = ch
			}
			s := strip{src: *buf, w: weights[c*size : (c+1)*size], rows: l1 - l0}
			if bias != nil {
				s.bias = bias[c]
			}
			p.plane(dst[i*out+l0*p.columns:i*out+l1*p.columns], s, e)
		}
	})
}

// plane computes rows of one output plane by strips; s gives source, weights, bias and the number of rows.
func (p *padded) plane(dst []float32, s strip, e Epilogue) {
	lanes := use.lanes()
	s.dstPitch, s.srcPitch, s.step = p.columns, p.w.Stride[1]*p.width, p.w.Stride[2]
	s.offsets = p.offsets
	s.low, s.high = e.bounds()
	s.three = p.w.Kernel == [3]int{1, 3, 3} && p.w.Stride == [3]int{p.w.Stride[0], 1, 1} && p.w.Dilation == [3]int{p.w.Dilation[0], 1, 1}
	src := s.src
	for j := 0; j < p.columns; j += lanes {
		s.cols = min(lanes, p.columns-j)
		s.dst, s.src = dst[j:], src[j*s.step:]
		s.run()
	}
}

// check panics where a slice is too short for the strip.
func (s *strip) check() {
	last := (s.rows-1)*s.srcPitch + s.offsets[len(s.offsets)-1]/4 + (s.cols-1)*s.step
	_, _ = s.dst[(s.rows-1)*s.dstPitch+s.cols-1], s.src[last]
	_ = s.w[len(s.offsets)-1]
}
