package kernel

// columns is a right operand that stands in memory in runs of columns:
//
//	b[p][j] = data[offsets[p]/4 + (j/run)*pitch + (j%run)*step]
//
// A matrix of n columns is one run. A convolution over padded planes has an offset for every channel and tap, and a run
// for every row of its output: the im2col matrix without a copy of it.
type columns struct {
	data             []float32
	offsets          []int // in bytes, one for each row
	run, pitch, step int
}

// matrixColumns views a matrix [k, n] with contiguous rows.
func matrixColumns(b Matrix, k, n int) *columns {
	c := &columns{data: b.Data, offsets: make([]int, k), run: n, step: 1}
	for p := range c.offsets {
		c.offsets[p] = 4 * p * b.RowStride
	}
	return c
}

// pack writes rows p0..p0+kc and columns j0..j1 into panels of the given width; what lies beyond j1 in the last one is
// left as it is.
func (c *columns) pack(buf []float32, p0, kc, j0, j1, width int) {
	offsets := c.offsets[p0 : p0+kc]
	for j := j0; j < j1; {
		panel := (j - j0) / width
		at := (j - j0) % width
		line, in := j/c.run, j%c.run
		n := min(j1-j, c.run-in, width-at)
		packRun(buf[panel*width*kc+at:], c.data[line*c.pitch+in*c.step:], offsets, n, width, c.step)
		j += n
	}
}

// maxRun is how many columns packRun copies at most.
const maxRun = 32

// packRunPlain copies n columns of each row into a panel.
func packRunPlain(dst, src []float32, offsets []int, n, width, step int) {
	for p, o := range offsets {
		row := dst[p*width:][:n]
		from := src[o/4:]
		if step == 1 {
			copy(row, from[:n])
			continue
		}
		for i := range row {
			row[i] = from[i*step]
		}
	}
}
