package kernel

import "slices"

// Depthwise convolutions of bytes. A plane is copied into a padded one. Vectors of its outputs then gather their taps by
// shuffles, so that four of them (two of them, widened, without VNNI) stand side by side, are multiplied with the weights
// of all channels' one kernel, and become bytes while they are in registers.

// deepBytes is a depthwise convolution of one window.
type deepBytes struct {
	window  Window
	p       *padded
	kernel  []int16 // [outC, taps], less the zero points
	shuffle *byteShuffle
	size    int // of the padded plane and what is read behind it
}

// byteShuffle says how vectors gather their taps.
type byteShuffle struct {
	pairs   bool         // of taps, widened; else quads
	vectors []byteVector // that lie within an output plane as they are
	rest    []byteVector // that reach beyond it: they stand in a buffer that goes to first on
	first   int
	table   []uint8 // of each vector, or one for all
	step    int     // from one to the next, or 0
	offsets []int   // of the groups of taps
	weights []uint32
	reach   int // bytes of the padded plane that are read
}

// byteVector tells where the first output of the lower and the upper half reads, and where a vector is written.
type byteVector struct{ from, upper, to int }

// deepFor returns the convolution of a window, kept from the last time; nil for windows that have no padded planes.
func (f *ByteFilters) deepFor(w *Window) *deepBytes {
	if d := f.deep.Load(); d != nil && d.window == *w {
		return d
	}
	p, ok := newPadded(w)
	if !ok {
		return nil
	}
	for i, o := range p.offsets {
		p.offsets[i] = o / 4
	}
	d := &deepBytes{window: *w, p: p, kernel: make([]int16, len(f.data))}
	for i, v := range f.data {
		d.kernel[i] = int16(v)
		if f.zeros != nil {
			d.kernel[i] -= int16(f.zeros[i/f.k])
		}
	}
	d.size = p.height * p.width
	if s := newByteShuffle(p); s != nil && f.k > 0 {
		s.weigh(d.kernel, w.Kernel[1], w.Kernel[2])
		d.size = max(d.size, s.reach)
		d.shuffle = s
	}
	f.deep.Store(d)
	return d
}

// run convolves all planes.
func (d *deepBytes) run(dst, x []uint8, flip, pad uint8, batch, inC, outC int, q *ByteFinish, threads int) {
	in, out := d.window.InSize(), d.window.OutSize()
	planes := batch * outC
	threads = threadsFor(threads, planes*out*d.window.KernelSize()/8)
	units := min(planes, 8*threads)
	Parallel(threads, units, func(u int) {
		buf := borrow((d.size + 3) / 4)
		defer scratch.Put(buf)
		plane := bytesOfFloats(*buf)[:d.size]
		fillWith(plane, pad)
		filled := -1
		for i := planes * u / units; i < planes*(u+1)/units; i++ {
			n, c := i/outC, i%outC
			if ch := n*inC + c/(outC/inC); ch != filled {
				d.p.fillBytes(plane, x[ch*in:(ch+1)*in], flip)
				filled = ch
			}
			if d.shuffle != nil {
				d.shuffle.plane(dst[i*out:(i+1)*out], plane, c, q)
			} else {
				d.plane(dst[i*out:(i+1)*out], plane, c, q)
			}
		}
	})
}

// plane convolves one plane in Go, a row at a time.
func (d *deepBytes) plane(dst, src []uint8, c int, q *ByteFinish) {
	cols, taps := d.p.columns, len(d.p.offsets)
	buf := borrow(cols)
	defer scratch.Put(buf)
	sums, step := sumsOfFloats(*buf), d.window.Stride[2]
	for y := range d.p.lines {
		clear(sums)
		for t, o := range d.p.offsets {
			w, row := int32(d.kernel[c*taps+t]), src[y*d.window.Stride[1]*d.p.width+o:]
			for j := range sums {
				sums[j] += w * int32(row[j*step])
			}
		}
		q.row(dst[y*cols:(y+1)*cols], sums, sums, 0, c)
	}
}

// Outputs of a vector: two halves of four, or 16.
const (
	pairOutputs = 8
	quadOutputs = 16
)

// newByteShuffle plans the vectors; nil where none of the kernels can gather the taps. Vectors follow the rows of the
// output, unless much of the last one of each row would be for nothing: then they follow the plane, where that can be.
func newByteShuffle(p *padded) *byteShuffle {
	s := &byteShuffle{}
	width, most := 0, 0
	switch byteGather() {
	case gatherQuads:
		width, most = quadOutputs, 64
	case gatherPairs:
		s.pairs, width, most = true, pairOutputs, 16
	default:
		return nil
	}
	if p.lines*p.columns == 0 {
		return nil
	}
	whole := (p.columns + width - 1) / width * width
	if 5*p.columns < 4*whole && s.plan(p, width, most, p.lines*p.columns) || s.plan(p, width, most, p.columns) {
		return s
	}
	return nil
}

// plan lays vectors along runs of outputs, rows or the plane; false where the taps of one lie more than most bytes apart.
func (s *byteShuffle) plan(p *padded, width, most, run int) bool {
	w, size, rows := p.w, p.lines*p.columns, run == p.columns
	*s = byteShuffle{pairs: s.pairs}
	half, group := width, 4
	if s.pairs {
		half, group = width/2, 2
	}
	for o := 0; o < size; o += run {
		for j := 0; j < run; j += width {
			place := func(i int) int { // where output i of the vector reads its first tap, beyond the end of a row too
				if rows {
					return o/run*w.Stride[1]*p.width + (j+i)*w.Stride[2]
				}
				i = min(j+i, size-1)
				return i/p.columns*w.Stride[1]*p.width + i%p.columns*w.Stride[2]
			}
			v := byteVector{from: place(0), upper: place(half % width), to: o + j}
			for i := 0; i < width && (!rows || len(s.table) < 4*width); i++ {
				rel := place(i) - place(i/half*half)
				if rel+(group-1)*w.Dilation[2] >= most {
					return false
				}
				s.gather(rel, group, w.Dilation[2])
			}
			if o+j+width <= size {
				s.vectors = append(s.vectors, v)
			} else {
				s.rest = append(s.rest, v)
			}
			s.reach = max(s.reach, v.from, v.upper)
		}
	}
	if !rows {
		s.step = len(s.table) / (len(s.vectors) + len(s.rest))
	}
	s.close(p, group)
	return true
}

// gather adds the taps of an output to the table.
func (s *byteShuffle) gather(rel, group, dilation int) {
	for t := range group {
		s.table = append(s.table, uint8(rel+t*dilation))
		if s.pairs {
			s.table = append(s.table, 0x80) // a zero
		}
	}
}

// close places the vectors of the rest and lists the groups of taps.
func (s *byteShuffle) close(p *padded, group int) {
	if len(s.rest) > 0 {
		s.first = s.rest[0].to
		for i := range s.rest {
			s.rest[i].to -= s.first
		}
	}
	w := p.w
	for kh := range w.Kernel[1] {
		for kw := 0; kw < w.Kernel[2]; kw += group {
			s.offsets = append(s.offsets, p.offsets[kh*w.Kernel[2]+kw])
		}
	}
	s.reach += slices.Max(s.offsets) + 64
}

// weigh lays out kernels [outC, rows, cols] by groups of taps: bytes of quads, int16 of pairs. Where weights are no bytes,
// less their zero points, quads hold what a byte can of each, and as many quads more what is left, until nothing is.
func (s *byteShuffle) weigh(kernel []int16, rows, cols int) {
	parts, groups := 1, s.offsets
	if !s.pairs {
		most, least := slices.Max(kernel), slices.Min(kernel)
		for ; most > 127 || least < -128; most, least = most-127, least+128 {
			parts++
			s.offsets = append(s.offsets, groups...)
		}
	}
	for ; len(kernel) > 0; kernel = kernel[rows*cols:] {
		for part := range parts {
			for kh := range rows {
				s.weighRow(kernel[kh*cols:(kh+1)*cols], part)
			}
		}
	}
}

// weighRow lays out one row of a kernel: a part of each weight, or all of it in pairs.
func (s *byteShuffle) weighRow(row []int16, part int) {
	for len(row) > 0 {
		var group uint32
		n := min(len(row), 4)
		if s.pairs {
			n = min(len(row), 2)
		}
		for t, v := range row[:n] {
			if s.pairs {
				group |= uint32(uint16(v)) << (16 * t)
				continue
			}
			for range part {
				v -= min(max(v, -128), 127)
			}
			group |= uint32(uint8(min(max(v, -128), 127))) << (8 * t)
		}
		s.weights, row = append(s.weights, group), row[n:]
	}
}

// plane convolves one plane.
func (s *byteShuffle) plane(dst, src []uint8, c int, q *ByteFinish) {
	s.call(dst, src, s.vectors, s.table, c, q)
	if len(s.rest) == 0 {
		return
	}
	size := s.rest[len(s.rest)-1].to + quadOutputs
	buf := borrow((size + 3) / 4)
	defer scratch.Put(buf)
	end := bytesOfFloats(*buf)[:size]
	s.call(end, src, s.rest, s.table[s.step*len(s.vectors):], c, q)
	copy(dst[s.first:], end)
}
