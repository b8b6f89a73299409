package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// bookArgs are rows of codes as the kernels take them: _generate/codebook.go counts on this layout.
type bookArgs struct {
	dst       unsafe.Pointer
	codes     *uint8
	table     unsafe.Pointer
	tableStep int // in bytes
	scales    *float32
	x         unsafe.Pointer
	rows      int
	groups    int
	run       int
}

// args describes rows from first on.
func (c *Codebook) args(dst []float32, first, rows int) bookArgs {
	each := len(c.scales) / c.rows
	_ = c.codes[(first+rows)*c.groups*4*c.lanes-1]
	_ = c.scales[(first+rows)*each-1]
	_ = c.tables[(first+rows-1)*c.tableStep+15]
	return bookArgs{dst: unsafe.Pointer(&dst[0]), codes: &c.codes[first*c.groups*4*c.lanes], table: unsafe.Pointer(&c.tables[first*c.tableStep]),
		tableStep: 4 * c.tableStep, scales: &c.scales[first*each], rows: rows, groups: c.groups, run: c.run}
}

// dots sets dst[i] to the product of x, filled up to whole groups, and row first+i of the weights.
func (c *Codebook) dots(dst, x []float32, first int) {
	if use == plain || c.lanes != use.lanes() {
		c.dotsPlain(dst, x, first)
		return
	}
	a := c.args(dst, first, len(dst))
	_ = x[c.width()-1]
	a.x = unsafe.Pointer(&x[0])
	t := (*uint64)(unsafe.Pointer(&a))
	switch {
	case use == avx512 && c.fine:
		codebookDotsFineAVX512(t)
	case use == avx512:
		codebookDotsAVX512(t)
	case c.fine:
		codebookDotsFineAVX2(t)
	default:
		codebookDotsAVX2(t)
	}
}

// writeRows writes rows i0..i1 with the codes that fill the last groups.
func (c *Codebook) writeRows(dst []float32, i0, i1 int) {
	if use == plain || c.lanes != use.lanes() || i0 == i1 || c.groups == 0 {
		c.writeRowsPlain(dst, i0, i1)
		return
	}
	_ = dst[(i1-i0)*c.width()-1]
	a := c.args(dst, i0, i1-i0)
	t := (*uint64)(unsafe.Pointer(&a))
	switch {
	case use == avx512 && c.fine:
		codebookRowsFineAVX512(t)
	case use == avx512:
		codebookRowsAVX512(t)
	case c.fine:
		codebookRowsFineAVX2(t)
	default:
		codebookRowsAVX2(t)
	}
}

// dots sets dst[i] to the product of x, filled up to whole groups, and row first+i of the weights.
func (c *ByteCodebook) dots(dst []int32, x []uint8, first int) {
	vnni := use == avx512 && cpu.X86.HasAVX512VNNI
	if use == plain || c.lanes != 4*use.lanes() || use == avx512 && !vnni {
		c.dotsPlain(dst, x, first)
		return
	}
	_ = x[c.width()-1]
	_ = c.codes[(first+len(dst))*c.groups*c.lanes-1]
	_ = c.tables[(first+len(dst)-1)*c.tableStep+15]
	most := 2
	if vnni {
		most = 4
	}
	for i := 0; i < len(dst); {
		n := 1
		if len(dst)-i >= most {
			n = most
		}
		a := bookArgs{dst: unsafe.Pointer(&dst[i]), codes: &c.codes[(first+i)*c.groups*c.lanes], table: unsafe.Pointer(&c.tables[(first+i)*c.tableStep]),
			tableStep: c.tableStep, x: unsafe.Pointer(&x[0]), groups: c.groups}
		t := (*uint64)(unsafe.Pointer(&a))
		switch {
		case vnni && n == 4:
			byteDots4VNNI(t)
		case vnni:
			byteDots1VNNI(t)
		case c.narrow && n == 2:
			byteDots2NarrowAVX2(t)
		case c.narrow:
			byteDots1NarrowAVX2(t)
		case n == 2:
			byteDots2AVX2(t)
		default:
			byteDots1AVX2(t)
		}
		i += n
	}
}

// writeRows writes rows i0..i1 with the codes that fill the last groups. There is one row at least, of one group.
func (c *ByteCodebook) writeRows(dst []uint8, i0, i1 int) {
	_ = dst[(i1-i0)*c.width()-1]
	_ = c.codes[i1*c.groups*c.lanes-1]
	_ = c.tables[(i1-1)*c.tableStep+15]
	a := bookArgs{dst: unsafe.Pointer(&dst[0]), codes: &c.codes[i0*c.groups*c.lanes], table: unsafe.Pointer(&c.tables[i0*c.tableStep]),
		tableStep: c.tableStep, rows: i1 - i0, groups: c.groups}
	t := (*uint64)(unsafe.Pointer(&a))
	if use == avx512 {
		byteRowsAVX512(t)
	} else {
		byteRowsAVX2(t)
	}
}

// matrix computes the product of x, filled up to whole groups, by tiles of bytes with the weights, written out a few rows
// at a time; false where there are no such tiles.
func (c *ByteCodebook) matrix(dst []int32, x []uint8, m, threads int) bool {
	if use == plain || c.lanes != 4*use.lanes() {
		return false
	}
	p := &integerProduct{dst: dst, ldc: c.rows, m: m, n: c.rows, k: c.width(), left: x}
	if use == avx512 && cpu.X86.HasAVX512VNNI {
		c.quads(p, threads)
		return true
	}
	q, release := newPairProduct(p)
	defer release()
	c.pairs(q, threads)
	return true
}

// byteBlock is how many rows of weights are written out at a time.
const byteBlock = 32

// quads multiplies by fours: the rows of 32 weights, seen as 32-bit words of four, are the columns of a panel.
func (c *ByteCodebook) quads(p *integerProduct, threads int) {
	quads := p.k / 4
	Parallel(threads, (c.rows+byteBlock-1)/byteBlock, func(u int) {
		j := u * byteBlock
		n := min(byteBlock, c.rows-j)
		buf := borrow(n*quads + byteBlock*quads)
		defer scratch.Put(buf)
		rows, panel := (*buf)[:n*quads], (*buf)[n*quads:]
		c.writeRows(floatBytes(rows), j, j+n)
		transposeMatrix(panel, rows, n, quads, byteBlock, quads)
		for q := 0; q < quads; q += quadBlock {
			for i := 0; i < p.m; i += 12 {
				p.tile(panel[q*byteBlock:], i, min(12, p.m-i), j, n, q, min(quadBlock, quads-q))
			}
		}
	})
}

// pairs multiplies by pairs of int16: the rows of 16 weights, seen as 32-bit words of two, are the columns of a panel.
func (c *ByteCodebook) pairs(p *pairProduct, threads int) {
	Parallel(threads, (c.rows+pairWidth-1)/pairWidth, func(u int) {
		j := u * pairWidth
		n := min(pairWidth, c.rows-j)
		buf := borrow(n*p.k/4 + (n+pairWidth)*p.n)
		defer scratch.Put(buf)
		bytes, rows, panel := (*buf)[:n*p.k/4], (*buf)[n*p.k/4:][:n*p.n], (*buf)[n*p.k/4+n*p.n:]
		c.writeRows(floatBytes(bytes), j, j+n)
		widen(floatWords(rows), floatBytes(bytes), true)
		transposeMatrix(panel, rows, n, p.n, pairWidth, p.n)
		words := floatWords(panel)
		for q := 0; q < p.n; q += pairBlock {
			for i := 0; i < p.m; i += 6 {
				p.tile(words[2*q*pairWidth:], i, min(6, p.m-i), j, n, q, min(pairBlock, p.n-q))
			}
		}
	})
}

// floatWords views floats as pairs of 16 bits.
func floatWords(x []float32) []int16 {
	return unsafe.Slice((*int16)(unsafe.Pointer(unsafe.SliceData(x))), 2*len(x))
}
