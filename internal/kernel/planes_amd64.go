package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// countsBits reports whether the processor counts bits by vectors.
func countsBits() bool { return use == avx512 && cpu.X86.HasAVX512VPOPCNTDQ }

// countsByTable reports whether products on bits look sums up instead.
func countsByTable() bool { return use != plain && !countsBits() }

// bitArgs is a tile as the kernels take it: _generate/planes.go counts on this layout.
type bitArgs struct {
	dst     *int32
	ldc     int
	scalars unsafe.Pointer
	pitch   int
	vectors unsafe.Pointer
	offsets *int
	steps   int
	table   unsafe.Pointer
	most    int
}

// tile computes sums of rows i... and of the first cols of 64 columns, whose vectors start at byte base, into dst, whose
// rows have room for 64.
func (p *bitProduct) tile(dst []int32, ldc, i, rows, base, cols int) {
	switch {
	case p.nibbles:
		p.check(dst, ldc, i, rows, base)
		p.tileNibbles(dst, ldc, i, rows, base)
	case countsBits():
		p.check(dst, ldc, i, rows, base)
		p.tileCounts(dst, ldc, i, rows, base, cols)
	default:
		p.tilePlain(dst, ldc, i, rows, base)
	}
}

// check panics where a slice is too short: the kernels see no lengths.
func (p *bitProduct) check(dst []int32, ldc, i, rows, base int) {
	size := p.size()
	last := p.pairs[0] // of the highest planes
	_ = dst[(rows-1)*ldc+tileLanes-1]
	_ = bytesOf(p.scalars)[(i+rows-1)*p.pitch+last.scalars+p.steps*size-1]
	_ = bytesOf(p.vectors)[base+last.vectors+p.reach+tileLanes*size-1]
}

// tileCounts runs the kernels that count, 16 columns at a time.
func (p *bitProduct) tileCounts(dst []int32, ldc, i, rows, base, cols int) {
	for j := 0; j < cols; j += 16 {
		for r := 0; r < rows; {
			n := min(rows-r, 8)
			a := bitArgs{dst: &dst[r*ldc+j], ldc: 4 * ldc, scalars: unsafe.Pointer(&p.scalars[(i+r)*p.pitch/8]), pitch: p.pitch,
				vectors: unsafe.Pointer(&p.vectors[base/8+j]), offsets: &p.offsets[0], steps: p.steps, table: unsafe.Pointer(&p.pairs[0]), most: len(p.pairs)}
			t := (*uint64)(unsafe.Pointer(&a))
			switch {
			case n == 8:
				count8x16AVX512(t)
			case n >= 4:
				n = 4
				count4x16AVX512(t)
			case n >= 2:
				n = 2
				count2x16AVX512(t)
			default:
				count1x16AVX512(t)
			}
			r += n
		}
	}
}

// nibbleSums holds, for nibbles of four codes of one bit and of two codes of two bits, the sums of products of the codes
// of any two: [16*x + w].
var nibbleSums = func() (tables [2][256]uint8) {
	for i := range 256 {
		x, w := i>>4, i&15
		for b := range 4 {
			tables[0][i] += uint8(x >> b & 1 * (w >> b & 1))
		}
		tables[1][i] = uint8(x&3*(w&3) + x>>2*(w>>2))
	}
	return tables
}()

// nibbleMost is the largest sum in each table.
var nibbleMost = [2]int{4, 18}

// tileNibbles runs the kernels that look up, over as many steps as sums of 16 bits allow at a time.
func (p *bitProduct) tileNibbles(dst []int32, ldc, i, rows, base int) {
	segment := (1<<16 - 1) / nibbleMost[max(p.bits, p.actBits)-1]
	p.lookUp(dst, ldc, i, rows, base, 0, min(segment, p.steps))
	for q := segment; q < p.steps; q += segment {
		more := make([]int32, rows*tileLanes)
		p.lookUp(more, tileLanes, i, rows, base, q, min(segment, p.steps-q))
		for r := range rows {
			line := dst[r*ldc:][:tileLanes]
			for j := range line {
				line[j] += more[r*tileLanes+j]
			}
		}
	}
}

// lookUp sums steps from q on.
func (p *bitProduct) lookUp(dst []int32, ldc, i, rows, base, q, steps int) {
	wide := max(p.bits, p.actBits) - 1
	for r := 0; r < rows; {
		a := bitArgs{dst: &dst[r*ldc], ldc: 4 * ldc, scalars: unsafe.Pointer(&bytesOf(p.scalars)[(i+r)*p.pitch+q]), pitch: p.pitch,
			vectors: unsafe.Pointer(&bytesOf(p.vectors)[base]), offsets: &p.offsets[q], steps: steps, table: unsafe.Pointer(&nibbleSums[wide]), most: 255 / nibbleMost[wide]}
		t := (*uint64)(unsafe.Pointer(&a))
		switch k := rows - r; {
		case k >= 4:
			nibbles4x64AVX2(t)
			r += 4
		case k >= 2:
			nibbles2x64AVX2(t)
			r += 2
		default:
			nibbles1x64AVX2(t)
			r++
		}
	}
}

// joinNibbles is joinNibblesPlain by vectors.
func joinNibbles(dst, x []uint8, pitch, rows, width int, mask uint8) {
	n := len(dst) &^ 31
	if n > 0 && use != plain {
		_ = x[(rows-1)*pitch+n-1]
		joinNibblesAVX2(&dst[0], &x[0], pitch, rows, width, int(mask), n)
	} else {
		n = 0
	}
	joinNibblesPlain(dst[n:], x[n:], pitch, rows, width, mask)
}

// packRowBits is packRowBitsPlain by vectors.
func packRowBits(dst, second []uint64, x []uint8) {
	n := len(x) / 64
	if use != avx512 || n == 0 {
		packRowBitsPlain(dst, second, x)
		return
	}
	_, _ = dst[n-1], second[n-1]
	packRowBitsAVX512(&dst[0], &second[0], &x[0], n)
	packRowBitsPlain(dst[n:], second[n:], x[64*n:])
}

// packPlaneBits is packPlaneBitsPlain by vectors.
func packPlaneBits(dst, second []uint64, x []uint8, pitch, rows, n int) {
	if use != avx512 || n == 0 {
		packPlaneBitsPlain(dst, second, x, pitch, rows, n)
		return
	}
	_, _, _ = dst[n-1], second[n-1], x[(rows-1)*pitch+n-1]
	packPlaneBitsAVX512(&dst[0], &second[0], &x[0], pitch, rows, n)
}

// packNibbles is packNibblesPlain by vectors.
func (l bitLayout) packNibbles(dst, x []uint8) {
	n, per := len(x)&^31, l.per()
	if n > 0 {
		_ = dst[n/per-1]
		if per == 4 {
			packNibbles1AVX2(&dst[0], &x[0], n)
		} else {
			packNibbles2AVX2(&dst[0], &x[0], n)
			if l.actBits == 1 { // weights of two bits
				for i := range dst[:n/per] {
					dst[i] &= 0x50
				}
			}
		}
	}
	l.packNibblesPlain(dst[n/per:], x[n:])
}
