package kernel

import "encoding/binary"

// bitGrid lays out the cells of padded planes for a convolution on bits: the planes are parted by the strides, so that the
// cells that a tap sees from neighbouring outputs are neighbours, and a line follows the other without a gap.
type bitGrid struct {
	*padded
	channels      int
	stepY, stepX  int
	height, width int // of one part of a plane
	cells         int // of all parts
}

// newBitGrid returns nil where the window has no padded planes.
func newBitGrid(w *Window, channels int) *bitGrid {
	p, ok := newPadded(w)
	if !ok {
		return nil
	}
	g := &bitGrid{padded: p, channels: channels, stepY: w.Stride[1], stepX: w.Stride[2]}
	if p.lines <= 1 { // steps that nobody takes
		g.stepY = 1
	}
	if p.columns <= 1 {
		g.stepX = 1
	}
	g.height, g.width = (p.height+g.stepY-1)/g.stepY, (p.width+g.stepX-1)/g.stepX
	g.cells = g.stepY * g.stepX * g.height * g.width
	return g
}

// cell returns where element (y, x) of a padded plane lies.
func (g *bitGrid) cell(y, x int) int {
	return (y%g.stepY*g.stepX+x%g.stepX)*g.height*g.width + y/g.stepY*g.width + x/g.stepX
}

// Conv computes the cross-correlation of codes x [batch, inC, in] with the weights, packed by PackBitsConv, into
// dst [batch, outC, out]. The low actBits of each x, and of pad, which padding counts as, are its code. Groups are
// convolutions of their own.
func (w *BitWeights) Conv(dst []int32, x []uint8, pad uint8, batch int, win *Window, threads int) {
	win = win.Packed()
	in, out := win.InSize(), win.OutSize()
	if out == 0 || w.rows == 0 {
		return
	}
	steps, size := w.steps(), w.size()
	if steps == 0 {
		clear(dst[:batch*w.rows*out])
		return
	}
	p := &bitProduct{bitLayout: w.bitLayout, steps: steps, scalars: w.data, scalarPlane: steps * size}
	p.pitch = w.planesOf(w.bits) * steps * size
	g := newBitGrid(win, w.channels)
	if g == nil {
		g = matrixGrid(out, w.taps*w.chunks(w.channels)*w.per())
	}
	buf := p.lay(g)
	defer scratchWords.Put(buf)
	p.order(w.planesOf(w.bits), w.planesOf(w.actBits))
	threads = threadsFor(threads, w.rows*out*w.channels*w.taps/16)
	for i := range batch {
		image := x[i*w.channels*in : (i+1)*w.channels*in]
		if g.w == nil {
			image = w.matrix(win, image, pad)
		}
		g.load(p, image, pad, threads)
		g.convolve(p, dst[i*w.rows*out:(i+1)*w.rows*out], w.rows, threads)
	}
}

// lay places units of the activations: plane by plane, chunk by chunk, cell by cell.
func (p *bitProduct) lay(g *bitGrid) *[]uint64 {
	size, chunks := p.size(), p.chunks(g.channels)
	p.vectPlane = chunks * g.cells * size
	taps := g.taps()
	for c := range chunks {
		for _, tap := range taps {
			p.offsets = append(p.offsets, (c*g.cells+tap)*size)
			p.reach = max(p.reach, p.offsets[len(p.offsets)-1])
		}
	}
	// tiles run over the last cells, by a line and a tile at most
	buf := borrowWords((p.planesOf(p.actBits)*p.vectPlane+p.reach+2*tileLanes*size)/8 + 1)
	p.vectors = *buf
	return buf
}

// taps returns the cells that the first output sees.
func (g *bitGrid) taps() []int {
	if g.w == nil {
		return []int{0}
	}
	var cells []int
	for kh := range g.w.Kernel[1] {
		for kw := range g.w.Kernel[2] {
			cells = append(cells, g.cell(kh*g.w.Dilation[1], kw*g.w.Dilation[2]))
		}
	}
	return cells
}

// matrixGrid is the grid of a matrix of taps [rows, n].
func matrixGrid(n, rows int) *bitGrid {
	p := &padded{height: 1, width: n, lines: 1, columns: n}
	return &bitGrid{padded: p, channels: rows, stepY: 1, stepX: 1, height: 1, width: n, cells: n}
}

// matrix writes the codes that each output sees, in the order of the steps; channels are filled up with zeros.
func (w *BitWeights) matrix(win *Window, src []uint8, pad uint8) []uint8 {
	out, per := win.OutSize(), w.per()
	m := make([]uint8, w.steps()*per*out)
	for t := range w.taps {
		kw, kh, kd := t%win.Kernel[2], t/win.Kernel[2]%win.Kernel[1], t/(win.Kernel[2]*win.Kernel[1])
		for c := range w.channels {
			plane, row := src[c*win.InSize():], m[((c/per*w.taps+t)*per+c%per)*out:][:out]
			for j := range row {
				d := j/(win.Out[2]*win.Out[1])*win.Stride[0] + kd*win.Dilation[0] - win.Pad[0]
				y := j/win.Out[2]%win.Out[1]*win.Stride[1] + kh*win.Dilation[1] - win.Pad[1]
				x := j%win.Out[2]*win.Stride[2] + kw*win.Dilation[2] - win.Pad[2]
				row[j] = pad
				if d >= 0 && d < win.In[0] && y >= 0 && y < win.In[1] && x >= 0 && x < win.In[2] {
					row[j] = plane[(d*win.In[1]+y)*win.In[2]+x]
				}
			}
		}
	}
	return m
}

// load joins the codes of an image into the units of p.
func (g *bitGrid) load(p *bitProduct, x []uint8, pad uint8, threads int) {
	per := p.per()
	Parallel(threads, p.chunks(g.channels), func(c int) {
		rows := min(per, g.channels-c*per)
		if g.w == nil || g.bare() && g.stepX == 1 && g.stepY == 1 {
			p.join(c*g.cells, x[c*per*g.cells:], g.cells, rows, g.cells)
			return
		}
		g.loadPlanes(p, x[c*per*g.w.InSize():], pad, c, rows)
	})
}

// loadPlanes joins the planes of one chunk, a line at a time.
func (g *bitGrid) loadPlanes(p *bitProduct, x []uint8, pad uint8, c, rows int) {
	w := g.w
	p.pad(c*g.cells, g.cells, rows, pad)
	line := make([]uint8, rows*((w.In[2]+g.stepX-1)/g.stepX))
	for y := range w.In[1] {
		src := x[y*w.In[2]:]
		if g.stepX == 1 {
			p.join(c*g.cells+g.cell(y+w.Pad[1], w.Pad[2]), src, w.InSize(), rows, w.In[2])
			continue
		}
		for first := range min(g.stepX, w.In[2]) {
			n := (w.In[2] - first + g.stepX - 1) / g.stepX
			for r := range rows {
				for j := range n {
					line[r*n+j] = src[r*w.InSize()+first+j*g.stepX]
				}
			}
			p.join(c*g.cells+g.cell(y+w.Pad[1], first+w.Pad[2]), line, n, rows, n)
		}
	}
}

// pad fills n units from cell at on with rows codes of padding.
func (p *bitProduct) pad(at, n, rows int, code uint8) {
	if p.nibbles {
		var unit uint8
		for r := range rows {
			unit |= code & (1<<p.actBits - 1) << (r * 4 / p.per())
		}
		fillWith(bytesOf(p.vectors)[at:at+n], unit)
		return
	}
	for plane := range p.actBits {
		var unit uint64
		if code>>plane&1 != 0 {
			unit = ^uint64(0) >> (64 - rows)
		}
		fillWith(p.vectors[plane*p.vectPlane/8+at:][:n], unit)
	}
}

// fillWith sets all of dst to v.
func fillWith[T any](dst []T, v T) {
	if len(dst) == 0 {
		return
	}
	dst[0] = v
	for n := 1; n < len(dst); n *= 2 {
		copy(dst[n:], dst[:n])
	}
}

// join sets n units from cell at on: unit j joins the codes x[r*pitch+j] of rows r.
func (p *bitProduct) join(at int, x []uint8, pitch, rows, n int) {
	if p.nibbles {
		joinNibbles(bytesOf(p.vectors)[at:at+n], x, pitch, rows, 4/p.per(), uint8(1<<p.actBits-1))
		return
	}
	first := p.vectors[at : at+n]
	second := first
	if p.actBits == 2 {
		second = p.vectors[p.vectPlane/8+at:][:n]
	}
	packPlaneBits(first, second, x, pitch, rows, n)
}

// joinNibblesPlain sets each dst[j] to the sum over r < rows of x[r*pitch+j] & mask, shifted by r*width; eight at a time.
func joinNibblesPlain(dst, x []uint8, pitch, rows, width int, mask uint8) {
	masks := uint64(mask) * 0x0101010101010101
	j := 0
	for ; j+8 <= len(dst); j += 8 {
		var v uint64
		for r := range rows {
			v |= binary.LittleEndian.Uint64(x[r*pitch+j:]) & masks << (r * width)
		}
		binary.LittleEndian.PutUint64(dst[j:], v)
	}
	for ; j < len(dst); j++ {
		dst[j] = 0
		for r := range rows {
			dst[j] |= x[r*pitch+j] & mask << (r * width)
		}
	}
}

// packPlaneBitsPlain sets bit r of dst[j] to bit 0 of x[r*pitch+j], and that of second[j], unless it is dst, to bit 1.
func packPlaneBitsPlain(dst, second []uint64, x []uint8, pitch, rows, n int) {
	for j := range n {
		var a, b uint64
		for r := range rows {
			v := x[r*pitch+j]
			a |= uint64(v&1) << r
			b |= uint64(v>>1&1) << r
		}
		second[j] = b
		dst[j] = a
	}
}

// convolve computes the sums of all rows, a tile of cells after the other.
func (g *bitGrid) convolve(p *bitProduct, dst []int32, rows, threads int) {
	total, size := (g.lines-1)*g.width+g.columns, p.size()
	out := g.lines * g.columns
	tiles := (total + tileLanes - 1) / tileLanes
	const high = 64 // rows of one unit of work
	parts := (rows + high - 1) / high
	Parallel(threads, tiles*parts, func(u int) {
		first := u / parts * tileLanes
		n := min(tileLanes, total-first)
		for i := u % parts * high; i < min(rows, (u%parts+1)*high); i += bitRows {
			m := min(bitRows, rows-i)
			if n == tileLanes && g.width == g.columns {
				p.tile(dst[i*out+first:], out, i, m, first*size, n)
				continue
			}
			var tile [bitRows * tileLanes]int32
			p.tile(tile[:], tileLanes, i, m, first*size, n)
			g.store(dst[i*out:], tile[:], m, first, n)
		}
	})
}

// store copies the sums of n cells from first on to the outputs; what lies between the lines is none.
func (g *bitGrid) store(dst, tile []int32, rows, first, n int) {
	out := g.lines * g.columns
	for at := 0; at < n; {
		line, in := (first+at)/g.width, (first+at)%g.width
		cols := min(n-at, g.columns-in)
		for r := range rows {
			if cols > 0 {
				copy(dst[r*out+line*g.columns+in:][:cols], tile[r*tileLanes+at:])
			}
		}
		at += min(n-at, g.width-in)
	}
}
