package kernel

// Codebook holds weights [rows, k] of four bits, each the number of one of 16 values, and multiplies activations with
// them without writing the weights out: weight (i, j) is scale * table[code]. The codes of a row stand in groups of 8
// nibbles for each lane of a vector: nibble n of the 32-bit lane l of group g is the code of element
// 8*lanes*g + lanes*n + l, so that a shift moves the codes of neighbours to the lowest bits of a vector of lanes, which
// VPERMPS looks up. It belongs to the instruction set of the process that packed it.
type Codebook struct {
	rows, k   int
	lanes     int
	groups    int       // of a row
	codes     []uint8   // [rows, groups, 4*lanes]
	tables    []float32 // [16], or [rows, 16]
	tableStep int       // from the table of a row to that of the next
	fine      bool      // scales are of 32 codes each; else of runs of groups
	run       int       // groups of one scale
	scales    []float32 // [rows, scales of a row]
}

// codebookBlock is the least number of codes that have a scale of their own.
const codebookBlock = 32

// NewCodebook packs codes [rows, k], each below 16. tables holds the 16 values for all rows, or 16 for each row, all finite;
// scales one scale for each row, or for each block of a row [rows, blocks], the last of which may be shorter. block is a
// multiple of 32, or 0 for whole rows.
func NewCodebook(codes []uint8, tables, scales []float32, rows, k, block int) *Codebook {
	c := &Codebook{rows: rows, k: k, lanes: use.lanes(), tables: tables}
	if len(tables) != 16 {
		c.tableStep = 16
		_ = tables[:16*rows]
	}
	width := 8 * c.lanes
	c.groups = (k + width - 1) / width
	c.codes = make([]uint8, rows*c.groups*width/2)
	for i, code := range codes[:rows*k] {
		row, j := i/k, i%k
		lane, nibble := j%c.lanes, j%width/c.lanes
		c.codes[(row*c.groups+j/width)*width/2+4*lane+nibble/2] |= code & 15 << (nibble % 2 * 4)
	}
	if block <= 0 || block >= k {
		block = max(c.groups, 1) * width
	}
	if block%codebookBlock != 0 {
		panic("kernel: the scales of a codebook are of 32 codes, or of a multiple")
	}
	blocks := (k + block - 1) / block
	if c.fine = block%width != 0; !c.fine {
		c.run, c.scales = block/width, scales[:rows*blocks]
		return c
	}
	each := c.groups * width / codebookBlock
	c.scales = make([]float32, rows*each)
	for row := range rows {
		for j := range each {
			if b := j * codebookBlock / block; b < blocks {
				c.scales[row*each+j] = scales[row*blocks+b]
			}
		}
	}
	return c
}

// width returns the codes of a row with those that fill its last group.
func (c *Codebook) width() int { return 8 * c.lanes * c.groups }

// scale returns the scale of element j of a row.
func (c *Codebook) scale(row, j int) float32 {
	each, unit := len(c.scales)/c.rows, codebookBlock
	if !c.fine {
		unit = 8 * c.lanes * c.run
	}
	return c.scales[row*each+j/unit]
}

// entry returns the value of element j of a row, without its scale.
func (c *Codebook) entry(row, j int) float32 {
	width := 8 * c.lanes
	lane, nibble := j%c.lanes, j%width/c.lanes
	code := c.codes[(row*c.groups+j/width)*width/2+4*lane+nibble/2] >> (nibble % 2 * 4) & 15
	return c.tables[row*c.tableStep+int(code)]
}

// Rows writes rows i0..i1 of the weights, rounded after the scale, to dst [i1-i0, k].
func (c *Codebook) Rows(dst []float32, i0, i1 int) {
	width := c.width()
	if width == c.k {
		c.writeRows(dst, i0, i1)
		return
	}
	buf := borrow((i1 - i0) * width)
	defer scratch.Put(buf)
	c.writeRows(*buf, i0, i1)
	for i := range i1 - i0 {
		copy(dst[i*c.k:(i+1)*c.k], (*buf)[i*width:])
	}
}

// codebookRows is how many rows of activations are multiplied with codes one by one: for more, the weights are written out,
// a few rows at a time.
const codebookRows = 4

// Product computes x [m, k] times the transpose of the weights into dst [m, rows]. The sums of runs of codes of one scale
// are multiplied with it, or the weights before they are summed; sums are in float32, in an order that depends on shapes and
// instruction set alone. NaN and Inf of x spread as IEEE 754 says.
func (c *Codebook) Product(dst, x []float32, m, threads int) {
	if m == 0 || c.rows == 0 {
		return
	}
	if c.k == 0 {
		clear(dst[:m*c.rows])
		return
	}
	threads = threadsFor(threads, m*c.rows*c.k)
	if m >= codebookRows {
		c.matrix(dst, x, m, threads)
		return
	}
	width := c.width()
	if width != c.k {
		buf := borrow(m * width)
		defer scratch.Put(buf)
		for i := range m {
			row := (*buf)[i*width : (i+1)*width]
			clear(row[copy(row, x[i*c.k:(i+1)*c.k]):])
		}
		x = *buf
	}
	const high = 32 // rows of one unit of work
	blocks := (c.rows + high - 1) / high
	Parallel(threads, m*blocks, func(u int) {
		i, b := u%m, u/m*high
		n := min(high, c.rows-b)
		c.dots(dst[i*c.rows+b:][:n], x[i*width:(i+1)*width], b)
	})
}

// matrix is Product by matrix products with the weights, written out in panels.
func (c *Codebook) matrix(dst, x []float32, m, threads int) {
	_, panel := use.blocking()
	const high = 64 // rows of one unit of work
	width := c.width()
	Parallel(threads, (c.rows+high-1)/high, func(u int) {
		i0 := u * high
		n := min(high, c.rows-i0)
		whole := (n + panel - 1) / panel * panel
		buf := borrow(n*width + whole*c.k)
		defer scratch.Put(buf)
		rows, panels := (*buf)[:n*width], (*buf)[n*width:]
		c.writeRows(rows, i0, i0+n)
		for j := 0; j < n; j += panel {
			transposeMatrix(panels[j*c.k:(j+panel)*c.k], rows[j*width:], min(panel, n-j), c.k, panel, width)
		}
		ProductPacked(dst[i0:], c.rows, m, RowMajor(x, c.k), &Packed{data: panels, k: c.k, n: n, width: panel}, Epilogue{}, 1)
	})
}

// dotsPlain sets dst[i] to the product of x and row first+i of the weights.
func (c *Codebook) dotsPlain(dst, x []float32, first int) {
	unit := codebookBlock
	if !c.fine {
		unit = 8 * c.lanes * c.run
	}
	for i := range dst {
		var sum float32
		for j := 0; j < c.k; j += unit {
			var part float32
			for k := j; k < min(c.k, j+unit); k++ {
				part += c.entry(first+i, k) * x[k]
			}
			sum += c.scale(first+i, j) * part
		}
		dst[i] = sum
	}
}

// writeRowsPlain writes rows i0..i1 with the codes that fill the last groups, which are zeros.
func (c *Codebook) writeRowsPlain(dst []float32, i0, i1 int) {
	width := c.width()
	for i := i0; i < i1; i++ {
		row := dst[(i-i0)*width : (i-i0+1)*width]
		for j := range c.k {
			row[j] = c.entry(i, j) * c.scale(i, j)
		}
		clear(row[c.k:])
	}
}
