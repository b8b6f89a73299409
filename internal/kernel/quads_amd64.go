package kernel

import (
	"slices"
	"unsafe"

	"golang.org/x/sys/cpu"
)

// vnni reports whether products of bytes go by quads.
func vnni() bool { return use == avx512 && cpu.X86.HasAVX512VNNI }

// blocks readies the product for the best kernels that there are and returns what computes a block of it.
func (p *integerProduct) blocks(b *byteColumns) (block blockFunc, release func()) {
	switch {
	case p.k == 0 || use == plain:
		return p.blockPlain, func() {}
	case vnni():
		return p.block, p.padLeft(b)
	}
	return p.pairs(b)
}

// padLeft lays out rows of whole quads, filled up with zeros; the right operand repeats its first row for them.
func (p *integerProduct) padLeft(b *byteColumns) (release func()) {
	whole := quadsOf(p.k)
	for len(b.offsets) < whole {
		b.offsets = append(b.offsets, b.offsets[0])
	}
	release = func() {}
	switch {
	case whole == p.k:
	case p.filters != nil:
		p.left = p.filters.quads[p.first*whole : (p.first+p.m)*whole]
	default:
		buf := borrow((p.m*whole + 3) / 4)
		release = func() { scratch.Put(buf) }
		left := bytesOfFloats(*buf)[:p.m*whole]
		padRows(left, p.left, p.m, p.k)
		p.left = left
	}
	p.k = whole
	return release
}

// quadsOf returns k filled up to whole quads.
func quadsOf(k int) int { return (k + 3) / 4 * 4 }

// padRows fills rows of k bytes up to whole quads with zeros.
func padRows(dst, src []uint8, rows, k int) {
	whole := quadsOf(k)
	for i := range rows {
		row := dst[i*whole : (i+1)*whole]
		clear(row[copy(row, src[i*k:(i+1)*k]):])
	}
}

// pack lays out filters.
func (f *ByteFilters) pack() {
	switch {
	case use == plain:
	case vnni():
		if whole := quadsOf(f.k); whole != f.k {
			f.quads = make([]uint8, f.outC*whole)
			padRows(f.quads, signedBytes(f.data), f.outC, f.k)
		}
	default:
		f.pairs = make([]int16, 2*f.outC*((f.k+1)/2))
		widenRows(f.pairs, signedBytes(f.data), f.outC, f.k, true)
	}
}

// pack lays out columns: panel by panel of each block of rows.
func (c *ByteColumns) pack() {
	b := &c.columns
	switch {
	case use == plain:
	case vnni():
		for len(b.offsets) < quadsOf(c.k) {
			b.offsets = append(b.offsets, b.offsets[0])
		}
		quads, wide := len(b.offsets)/4, (c.n+31)/32*32
		c.quads = make([]float32, quads*wide)
		for q0 := 0; q0 < quads; q0 += quadBlock {
			b.packQuads(c.quads[q0*wide:], q0, min(quadBlock, quads-q0), 0, c.n)
		}
	default:
		if len(b.offsets)%2 != 0 {
			b.offsets = append(b.offsets, b.offsets[0])
		}
		pairs, wide := len(b.offsets)/2, (c.n+pairWidth-1)/pairWidth*pairWidth
		c.pairs = make([]int16, 2*pairs*wide)
		for q0 := 0; q0 < pairs; q0 += pairBlock {
			b.packPairs(c.pairs[2*q0*wide:], q0, min(pairBlock, pairs-q0), 0, c.n, true)
		}
	}
}

// quadBlock is how many quads of rows are packed at a time.
const quadBlock = 256

// block computes rows i0..i1 and columns j0..j1 of the product.
func (p *integerProduct) block(b *byteColumns, i0, i1, j0, j1 int, seen []int32) {
	const width = 32
	panels, quads := (j1-j0+width-1)/width, p.k/4
	var packed []float32
	if p.packed == nil {
		buf := borrow(panels * width * min(quads, quadBlock))
		defer scratch.Put(buf)
		packed = *buf
	}
	for q0 := 0; q0 < quads; q0 += quadBlock {
		n := min(quadBlock, quads-q0)
		if p.packed == nil {
			b.packQuads(packed, q0, n, j0, j1)
		} else {
			packed = p.packed.quads[q0*((p.n+width-1)/width*width)+j0*n:]
		}
		for panel := range panels {
			j := j0 + panel*width
			if seen != nil {
				all := integerProduct{dst: seen, ldc: len(seen), k: p.k, left: p.ones.bytes, signedLeft: p.signedLeft}
				all.tile(packed[panel*width*n:], 0, 1, j-j0, min(width, j1-j), q0, n)
			}
			for i := i0; i < i1; i += 12 {
				p.tile(packed[panel*width*n:], i, min(12, i1-i), j, min(width, j1-j), q0, n)
			}
		}
	}
}

// packQuads packs columns j0..j1 of n quads of rows into panels.
func (b *byteColumns) packQuads(buf []float32, q0, n, j0, j1 int) {
	const width = 32
	offsets := b.offsets[4*q0 : 4*(q0+n)]
	for j := j0; j < j1; {
		panel, at, in := (j-j0)/width, (j-j0)%width, j%b.run
		cols := min(j1-j, b.run-in, width-at)
		dst := buf[panel*width*n+at:]
		src := b.data[j/b.run*b.pitch+in*b.step:]
		_, _ = dst[(n-1)*width+cols-1], src[slices.Max(offsets[4*n-4:])+(cols-1)*b.step] // offsets rise, but for those that repeat the first
		mask := uint64(1)<<cols - 1
		to := (*byte)(unsafe.Pointer(&dst[0]))
		if b.step == 1 {
			packQuads1AVX512(to, &src[0], &offsets[0], n, mask)
		} else {
			packQuads2AVX512(to, &src[0], &offsets[0], n, mask)
		}
		j += cols
	}
}

// tile runs the kernels of rows x cols sums.
func (p *integerProduct) tile(panel []float32, i, rows, j, cols, q0, n int) {
	_ = p.dst[(i+rows-1)*p.ldc+j+cols-1]
	_ = p.left[(i+rows-1)*p.k+4*(q0+n)-1]
	_ = panel[32*n-1]
	args := tileArgs{ldc: 4 * p.ldc, lda: p.k, b: &panel[0], ldb: 128, k: n, mask: uint32(1<<cols - 1)}
	if q0 > 0 {
		args.from = fromDst
	}
	for rows > 0 {
		args.dst = (*float32)(unsafe.Pointer(&p.dst[i*p.ldc+j]))
		args.a = (*float32)(unsafe.Pointer(&p.left[i*p.k+4*q0]))
		r := fits[rows]
		part := args
		callInteger((*uint64)(unsafe.Pointer(&part)), r, p.signedLeft)
		i, rows = i+r, rows-r
	}
}

func callInteger(t *uint64, rows int, signedLeft bool) {
	if !signedLeft {
		callUS(t, rows)
		return
	}
	switch rows {
	case 12:
		tile12x32SU(t)
	case 8:
		tile8x32SU(t)
	case 6:
		tile6x32SU(t)
	case 4:
		tile4x32SU(t)
	case 3:
		tile3x32SU(t)
	case 2:
		tile2x32SU(t)
	case 1:
		tile1x32SU(t)
	}
}

func callUS(t *uint64, rows int) {
	switch rows {
	case 12:
		tile12x32US(t)
	case 8:
		tile8x32US(t)
	case 6:
		tile6x32US(t)
	case 4:
		tile4x32US(t)
	case 3:
		tile3x32US(t)
	case 2:
		tile2x32US(t)
	case 1:
		tile1x32US(t)
	}
}
