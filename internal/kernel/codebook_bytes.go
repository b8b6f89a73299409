package kernel

import "unsafe"

// ByteCodebook holds weights [rows, k] of four bits, each the number of one of 16 signed bytes, and multiplies unsigned
// bytes with them, exactly. The codes of a row stand in groups of two vectors of bytes: the low nibble of byte l of group g
// is the code of element 2*lanes*g + l, the high nibble that of element 2*lanes*g + lanes + l. It belongs to the instruction
// set of the process that packed it.
type ByteCodebook struct {
	rows, k   int
	lanes     int // bytes of a vector
	groups    int // of a row
	codes     []uint8
	tables    []int8 // [16], or [rows, 16]
	tableStep int
	narrow    bool // no entry is beyond -64..64
}

// NewByteCodebook packs codes [rows, k], each below 16. tables holds the 16 values for all rows, or 16 for each row.
// k is at most MaxIntegerTerms.
func NewByteCodebook(codes []uint8, tables []int8, rows, k int) *ByteCodebook {
	c := &ByteCodebook{rows: rows, k: k, lanes: 4 * use.lanes(), tables: tables, narrow: true}
	if len(tables) != 16 {
		c.tableStep = 16
		_ = tables[:16*rows]
	}
	for _, v := range tables {
		c.narrow = c.narrow && v >= -64 && v <= 64
	}
	c.groups = (k + 2*c.lanes - 1) / (2 * c.lanes)
	c.codes = make([]uint8, rows*c.groups*c.lanes)
	for i, code := range codes[:rows*k] {
		row, j := i/k, i%k
		c.codes[(row*c.groups+j/(2*c.lanes))*c.lanes+j%c.lanes] |= code & 15 << (j / c.lanes % 2 * 4)
	}
	return c
}

// width returns the codes of a row with those that fill its last group.
func (c *ByteCodebook) width() int { return 2 * c.lanes * c.groups }

// entry returns weight j of a row.
func (c *ByteCodebook) entry(row, j int) int8 {
	code := c.codes[(row*c.groups+j/(2*c.lanes))*c.lanes+j%c.lanes] >> (j / c.lanes % 2 * 4) & 15
	return c.tables[row*c.tableStep+int(code)]
}

// Product computes x [m, k] times the transpose of the weights into dst [m, rows]. For zero points and scales see
// Requantize.
func (c *ByteCodebook) Product(dst []int32, x []uint8, m, threads int) {
	if m == 0 || c.rows == 0 {
		return
	}
	if c.k == 0 {
		clear(dst[:m*c.rows])
		return
	}
	threads = threadsFor(threads, m*c.rows*c.k/4)
	width := c.width()
	if width != c.k { // what fills the rows is zero, whatever its code means
		buf := borrow((m*width + 3) / 4)
		defer scratch.Put(buf)
		whole := floatBytes(*buf)
		for i := range m {
			row := whole[i*width : (i+1)*width]
			clear(row[copy(row, x[i*c.k:(i+1)*c.k]):])
		}
		x = whole
	}
	if m >= codebookRows && c.matrix(dst, x, m, threads) {
		return
	}
	const high = 32 // rows of one unit of work
	blocks := (c.rows + high - 1) / high
	Parallel(threads, m*blocks, func(u int) {
		i, b := u%m, u/m*high
		n := min(high, c.rows-b)
		c.dots(dst[i*c.rows+b:][:n], x[i*width:(i+1)*width], b)
	})
}

// floatBytes views floats as bytes.
func floatBytes(x []float32) []uint8 {
	return unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}

// dotsPlain sets dst[i] to the product of x and row first+i of the weights.
func (c *ByteCodebook) dotsPlain(dst []int32, x []uint8, first int) {
	for i := range dst {
		var sum int32
		for k := range c.k {
			sum += int32(c.entry(first+i, k)) * int32(x[k])
		}
		dst[i] = sum
	}
}
