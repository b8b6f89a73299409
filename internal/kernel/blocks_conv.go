package kernel

// BlockConv is a convolution over one or two dimensions with constant weights, laid out for images in blocks: dense, over
// all input channels, or deep, where every channel has a kernel of its own (depthwise).
type BlockConv struct {
	inC, outC, taps int  // channels, and taps of the kernel
	deep            bool // depthwise
	planes          bool // the source is [batch, inC, in], not in blocks
	groups          []blockGroup
	weights, bias   []float32
}

// blockGroup is a run of blocks of the result that are computed together: weights[at:] holds, for every tap and channel in
// the order they are read, their vectors side by side.
type blockGroup struct{ first, blocks, at int }

// groupBlocks is how many blocks a dense kernel makes at a time, at most.
func (l level) groupBlocks() int {
	if l == avx512 {
		return 4
	}
	return 1
}

// PackBlocks lays out weights [outC, inC/group, taps] and bias [outC], nil for none, of a convolution of one group or of
// as many groups as channels. The result serves any number of calls at a time.
func PackBlocks(weights, bias []float32, inC, outC, group, taps int, planes bool) *BlockConv {
	c := &BlockConv{inC: inC, outC: outC, taps: taps, deep: group > 1, planes: planes && group == 1}
	blocks := Blocks(outC)
	c.bias = make([]float32, blocks*Block)
	copy(c.bias, bias)
	if c.deep {
		c.weights = make([]float32, blocks*taps*Block)
		for o := range outC {
			for t := range taps {
				c.weights[(o/Block*taps+t)*Block+o%Block] = weights[o*taps+t]
			}
		}
		return c
	}
	c.weights = make([]float32, blocks*Block*inC*taps)
	count := (blocks + use.groupBlocks() - 1) / use.groupBlocks()
	for i := range count {
		first := i * blocks / count
		g := blockGroup{first, (i+1)*blocks/count - first, first * Block * inC * taps}
		c.groups = append(c.groups, g)
		c.pack(g, weights)
	}
	return c
}

// pack lays out the weights of a group: tap by tap of every block of input channels, or of every plane.
func (c *BlockConv) pack(g blockGroup, weights []float32) {
	k, width := c.inC*c.taps, g.blocks*Block
	outs := min(c.outC-g.first*Block, width)
	columns := borrow(k * width) // [inC, taps, outs]
	defer scratch.Put(columns)
	if outs < width {
		clear(*columns)
	}
	levels[use].transpose(*columns, weights[g.first*Block*k:], outs, k, width, k)
	at := g.at
	for i0 := 0; i0 < c.inC; i0 += c.chunk() {
		for t := range c.taps {
			for i := i0; i < min(c.inC, i0+c.chunk()); i++ {
				copy(c.weights[at:at+width], (*columns)[(i*c.taps+t)*width:])
				at += width
			}
		}
	}
}

// chunk is how many channels lie side by side in the source.
func (c *BlockConv) chunk() int {
	if c.planes {
		return 1
	}
	return Block
}

// Limits that keep what is read again in the second cache.
const (
	bandFloats  = 1 << 16 // of the source that a band of lines reads
	pieceRows   = 1536    // channels of taps whose products are summed before the sums are stored
	bandLines   = 4       // lines that a band has at least where there are several for a thread
	unitsEach   = 4       // bands for each thread, so that one that is held up leaves some to others
	flatColumns = 168     // pixels of a line where lines mean nothing, at most: a multiple of what most kernels take
)

// blockLines says how lines of the result lie in the source: an image, or rows of it with their padding.
type blockLines struct {
	w              *Window
	unit           int // elements of a pixel: Block, or 1 in planes
	lines, columns int // of the result
	last           int // columns of the last line
	step, pitch    int // elements between pixels and lines of the source
	width, height  int // of the source with its padding
	padded         bool
}

// newBlockLines lays out a window over images of unit elements a pixel. Where lines mean nothing, every thread gets as many.
func newBlockLines(w *Window, unit, threads int) *blockLines {
	l := &blockLines{w: w, unit: unit, lines: w.Out[1], columns: w.Out[2], last: w.Out[2]}
	l.height = (w.Out[1]-1)*w.Stride[1] + (w.Kernel[1]-1)*w.Dilation[1] + 1
	l.width = (w.Out[2]-1)*w.Stride[2] + (w.Kernel[2]-1)*w.Dilation[2] + 1
	l.padded = w.Pad[1] > 0 || w.Pad[2] > 0 || l.height > w.In[1] || l.width > w.In[2]
	if !l.padded {
		l.height, l.width = w.In[1], w.In[2]
	}
	if w.pointwise() {
		l.lines = threads * ((w.OutSize() + threads*flatColumns - 1) / (threads * flatColumns))
		l.columns = (w.OutSize() + l.lines - 1) / l.lines
		l.lines = (w.OutSize() + l.columns - 1) / l.columns
		l.last = w.OutSize() - (l.lines-1)*l.columns
		l.step, l.pitch = unit, l.columns*unit
		return l
	}
	l.step, l.pitch = w.Stride[2]*unit, w.Stride[1]*l.width*unit
	return l
}

// count is the number of columns of line i.
func (l *blockLines) count(i int) int {
	if i == l.lines-1 {
		return l.last
	}
	return l.columns
}

// rows returns the rows of the padded source that lines l0..l1 read, y0..y1.
func (l *blockLines) rows(l0, l1 int) (y0, y1 int) {
	return l0 * l.w.Stride[1], (l1-1)*l.w.Stride[1] + (l.w.Kernel[1]-1)*l.w.Dilation[1] + 1
}

// copyRows fills dst with rows y0..y1 of the padded source from one image, in a block or plane, and v for padding.
func (l *blockLines) copyRows(dst, image []float32, y0, y1 int, v float32) {
	w, u := l.w, l.unit
	left := min(l.width, w.Pad[2])
	n := max(0, min(w.In[2], l.width-left))
	for y := y0; y < y1; y++ {
		row := dst[(y-y0)*l.width*u:][:l.width*u]
		from := y - w.Pad[1]
		if from < 0 || from >= w.In[1] {
			pad(row, v)
			continue
		}
		pad(row[:left*u], v)
		copy(row[left*u:], image[from*w.In[2]*u:][:n*u])
		pad(row[(left+n)*u:], v)
	}
}

// pad fills padding.
func pad(dst []float32, v float32) {
	if v == 0 {
		clear(dst)
	} else {
		fillRow(dst, v)
	}
}

// table fills taps with the places of a kernel in chunks of channels that lie pitch elements apart.
func (l *blockLines) table(taps []tap, channels, chunk, pitch int) {
	w, i := l.w, 0
	for c := 0; c < channels; c += chunk {
		for kh := range w.Kernel[1] {
			for kw := range w.Kernel[2] {
				at := c/chunk*pitch + (kh*w.Dilation[1]*l.width+kw*w.Dilation[2])*l.unit
				taps[i] = tap{4 * at, min(chunk, channels-c)}
				i++
			}
		}
	}
}

// BlockWindow reports whether images in blocks may be convolved and pooled with a window: one or two dimensions, with
// padding in proportion to the image.
func BlockWindow(w *Window) bool {
	return w.flat() && w.In[0] == 1 && w.Pad[1] >= 0 && w.Pad[2] >= 0
}

// blockJob is one call of Run.
type blockJob struct {
	*BlockConv
	*blockLines
	dst, x, add []float32
	kind        blockKind
	padding     float32
	low, high   float32
	after       func(span []float32)
	in          int // elements of an image of the source
	each        int // elements of a block of the result
}

// Run convolves x, in blocks or planes as the weights were packed for, into dst in blocks: [batch, Blocks(outC), out,
// Block]. add, laid out like dst, is added before the bounds of e, of which nothing else counts; nil for none; it may be
// dst itself. after, where it is not nil, is called for every piece of dst that is done, once for each. BlockWindow must
// hold. An element is the bias plus the addend plus the sum by blocks of input channels, taps in row-major order, then
// channels.
func (c *BlockConv) Run(dst, x, add []float32, batch int, w *Window, e Epilogue, after func(span []float32), threads int) {
	w, out := w.Packed(), w.OutSize()
	if out == 0 || batch == 0 {
		return
	}
	unit, channels := Block, Blocks(c.inC)*Block
	if c.planes {
		unit, channels = 1, c.inC
	}
	work := batch * c.outC * out * c.taps
	if !c.deep {
		work *= c.inC
	}
	threads = threadsFor(threads, work)
	j := &blockJob{BlockConv: c, blockLines: newBlockLines(w, unit, threads), dst: dst, x: x, add: add, after: after,
		in: channels * w.InSize(), each: out * Block}
	if j.low, j.high = e.bounds(); c.deep {
		j.kind = deep
	}
	j.spread(batch, threads)
}

// spread cuts the work into bands of lines and, where lines are few, into parts of the blocks of the result.
func (j *blockJob) spread(batch, threads int) {
	items, source := len(j.groups), j.inC*j.height*j.width
	if j.deep {
		items, source = Blocks(j.outC), Block*j.height*j.width
	}
	bands := min(j.lines, max(1, (source+bandFloats-1)/bandFloats), max(1, j.lines/bandLines))
	parts := 1
	if batch*bands < 4*threads && threads > 1 {
		byLines, byItems := (j.lines+threads-1)/threads*threads*items, (items+threads-1)/threads*threads*j.lines
		switch {
		case j.deep || byItems < byLines:
			parts = min(items, threads)
		default:
			bands = max(bands, threads*max(1, min(j.lines/(threads*bandLines), unitsEach)))
			bands = min(bands, j.lines)
		}
	}
	units := bands * parts
	Parallel(threads, batch*units, func(u int) {
		n, band, part := u/units, u%units/parts, u%parts
		l0, l1 := band*j.lines/bands, (band+1)*j.lines/bands
		i0, i1 := part*items/parts, (part+1)*items/parts
		if l0 == l1 || i0 == i1 {
			return
		}
		if j.deep {
			j.deepBand(n, l0, l1, i0, i1)
		} else {
			j.denseBand(n, l0, l1, j.groups[i0:i1])
		}
	})
}

// denseBand computes lines l0..l1 of some groups of image n.
func (j *blockJob) denseBand(n, l0, l1 int, groups []blockGroup) {
	chunk := j.chunk()
	parts := (j.inC + chunk - 1) / chunk // planes or blocks of the source
	table := borrowTaps(parts * j.taps)
	defer scratchTaps.Put(table)
	src, size := j.x[n*j.in:(n+1)*j.in], j.in/parts
	if j.padded {
		y0, y1 := j.rows(l0, l1)
		rows := (y1 - y0) * j.width * j.unit
		buf := borrow(parts * rows)
		defer scratch.Put(buf)
		for i := range parts {
			j.copyRows((*buf)[i*rows:(i+1)*rows], src[i*size:(i+1)*size], y0, y1, 0)
		}
		src, size = *buf, rows
	} else {
		src = src[l0*j.pitch:]
	}
	j.table(*table, j.inC, chunk, size)
	for _, g := range groups {
		j.group(n, l0, l1, g, src, *table)
	}
}

// group computes lines l0..l1 of the blocks of a group; src begins where line l0 reads.
func (j *blockJob) group(n, l0, l1 int, g blockGroup, src []float32, table []tap) {
	r := blockRun{kind: dense, blocks: g.blocks, dstPitch: j.each, step: j.step}
	first := (n*Blocks(j.outC) + g.first) * j.each
	weights, all := j.weights[g.at:], len(table)
	for len(table) > 0 {
		taps := 0
		for r.rows = 0; taps < len(table) && r.rows < pieceRows; taps++ {
			r.rows += table[taps].channels
		}
		r.bias, r.low, r.high = nil, -infinity, infinity
		if len(table) == all {
			r.bias = j.bias[g.first*Block : (g.first+g.blocks)*Block]
		}
		r.taps, r.weights = table[:taps], weights[:r.rows*g.blocks*Block]
		table, weights = table[taps:], weights[r.rows*g.blocks*Block:]
		if len(table) == 0 {
			r.low, r.high = j.low, j.high
		}
		j.runs(&r, first, l0, l1, src)
	}
	j.finish(first, l0, l1, g.blocks)
}

// deepBand computes lines l0..l1 of blocks i0..i1 of image n.
func (j *blockJob) deepBand(n, l0, l1, i0, i1 int) {
	if j.padded && j.kind == deep && j.columns >= edgeColumns && j.add == nil {
		j.deepInPlace(n, l0, l1, i0, i1)
		return
	}
	table := borrowTaps(j.taps)
	defer scratchTaps.Put(table)
	j.table(*table, Block, Block, 0)
	y0, y1 := j.rows(l0, l1)
	rows := 0
	if j.padded {
		rows = (y1 - y0) * j.width * Block
	}
	buf := borrow(rows)
	defer scratch.Put(buf)
	size := j.w.InSize() * Block
	r := blockRun{kind: j.kind, blocks: 1, rows: j.taps, dstPitch: j.each, step: j.step, taps: *table, low: j.low, high: j.high}
	for i := i0; i < i1; i++ {
		src := j.x[n*j.in+i*size:][:size]
		if j.padded {
			j.copyRows(*buf, src, y0, y1, j.padding)
			src = *buf
		} else {
			src = src[l0*j.pitch:]
		}
		if j.kind == deep {
			r.weights = j.weights[i*j.taps*Block : (i+1)*j.taps*Block]
		}
		r.bias = j.bias[i*Block : (i+1)*Block]
		first := (n*Blocks(j.outC) + i) * j.each
		j.runs(&r, first, l0, l1, src)
		j.finish(first, l0, l1, 1)
	}
}

// runs computes the lines l0..l1 of a run; first is where the first block of the result begins.
func (j *blockJob) runs(r *blockRun, first, l0, l1 int, src []float32) {
	full := l1
	if j.count(l1-1) < j.columns {
		full--
	}
	for _, part := range [][2]int{{l0, full}, {full, l1}} {
		if part[0] == part[1] {
			continue
		}
		at := first + part[0]*j.columns*Block
		r.dst, r.src, r.pixels = j.dst[at:], src[(part[0]-l0)*j.pitch:], j.count(part[0])
		r.lines, r.pitch, r.dstLine, r.add = part[1]-part[0], j.pitch, j.columns*Block, nil
		if j.add != nil && r.bias != nil {
			r.add = j.add[at:]
		}
		r.run()
	}
}

// finish calls after for the lines of every block.
func (j *blockJob) finish(first, l0, l1, blocks int) {
	if j.after == nil {
		return
	}
	end := ((l1-1)*j.columns + j.count(l1-1)) * Block
	for b := range blocks {
		j.after(j.dst[first+b*j.each:][l0*j.columns*Block : end])
	}
}
