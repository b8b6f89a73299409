package kernel

import (
	"math/bits"
	"sync"
	"unsafe"
)

// Products of codes of one or two bits, by the bits that two codes have in common: with x = sum of 2^p x_p and
// w = sum of 2^q w_q,
//
//	sum over k of x[k] * w[k] = sum over p, q of 2^(p+q) * popcount(x_p & w_q)
//
// over the bit planes x_p and w_q, 64 codes to a word (Zhou et al., "DoReFa-Net", arXiv 1606.06160, section 2.1). AVX-512
// counts words (VPOPCNTQ). AVX2 counts nothing; there the sum over two codes of two bits, or four of one bit, stands in a
// table of 16 rows and 16 columns, a row for each nibble of one operand, in which PSHUFB looks up 32 nibbles of the other
// at a time.

// BitWeights holds the codes of weights, laid out for products with activations. It belongs to the instruction set of the
// process that packed it, and to activations of the bits it was packed for.
type BitWeights struct {
	bitLayout
	rows, channels, taps int
	lanes                bool // rows lie side by side: for Product; else one after another: for Conv
	data                 []uint64
}

// bitLayout says how codes are joined.
type bitLayout struct {
	nibbles       bool // in nibbles of bytes, else in words of bit planes
	bits, actBits int  // of weights and of activations
}

// tileLanes is the number of columns of a tile of bits.
const tileLanes = 64

// per is the number of codes in a nibble or a word.
func (l bitLayout) per() int {
	switch {
	case !l.nibbles:
		return 64
	case max(l.bits, l.actBits) == 1:
		return 4
	}
	return 2
}

// size returns the bytes of one unit: a word or a nibble.
func (l bitLayout) size() int {
	if l.nibbles {
		return 1
	}
	return 8
}

// chunks returns the units of n codes.
func (l bitLayout) chunks(n int) int { return (n + l.per() - 1) / l.per() }

// PackBits lays out codes [rows, k] of weights for Product with activations of actBits. Codes are unsigned, below 2^bits;
// bits and actBits are 1 or 2. k*(2^bits-1)*(2^actBits-1) must be below 2^31.
func PackBits(codes []uint8, rows, k, bits, actBits int) *BitWeights {
	return packBits(codes, rows, k, 1, true, newBitLayout(bits, actBits))
}

// PackBitsConv lays out codes [outC, inC, taps] of weights for Conv, like PackBits.
func PackBitsConv(codes []uint8, outC, inC, taps, bits, actBits int) *BitWeights {
	return packBits(codes, outC, inC, taps, false, newBitLayout(bits, actBits))
}

func newBitLayout(bits, actBits int) bitLayout {
	if bits < 1 || bits > 2 || actBits < 1 || actBits > 2 {
		panic("kernel: products on bit planes take one or two bits")
	}
	return bitLayout{nibbles: countsByTable(), bits: bits, actBits: actBits}
}

// steps is the number of units of a row in one plane.
func (w *BitWeights) steps() int { return w.taps * w.chunks(w.channels) }

// planesOf returns how many planes an operand of bits has: nibbles hold all bits.
func (l bitLayout) planesOf(bits int) int {
	if l.nibbles {
		return 1
	}
	return bits
}

// packBits joins codes one at a time: it is done once for a model.
func packBits(codes []uint8, rows, channels, taps int, lanes bool, l bitLayout) *BitWeights {
	w := &BitWeights{bitLayout: l, rows: rows, channels: channels, taps: taps, lanes: lanes}
	planes, steps, per := l.planesOf(l.bits), w.steps(), l.per()
	blocks := (rows + tileLanes - 1) / tileLanes
	units := rows * planes * steps
	if lanes {
		units = blocks * planes * steps * tileLanes
	}
	w.data = make([]uint64, (units*l.size()+7)/8)
	nibbles := bytesOf(w.data)
	for i, code := range codes[:rows*channels*taps] {
		row, c, tap := i/(channels*taps), i/taps%channels, i%taps
		step, at := c/per*taps+tap, c%per
		for p := range planes {
			unit := (row*planes+p)*steps + step
			if lanes {
				unit = ((row/tileLanes*planes+p)*steps+step)*tileLanes + row%tileLanes
			}
			switch {
			case !l.nibbles:
				w.data[unit] |= uint64(code>>p&1) << at
			case lanes:
				nibbles[unit] |= code & (1<<l.bits - 1) << (at * 4 / per)
			default:
				nibbles[unit] |= code & (1<<l.bits - 1) << (at*4/per + 4)
			}
		}
	}
	return w
}

// bytesOf views words as bytes.
func bytesOf(x []uint64) []uint8 {
	return unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(x))), 8*len(x))
}

// scratchWords lends words that are reused between calls.
var scratchWords = sync.Pool{New: func() any { return new([]uint64) }}

// borrowWords returns n words of any content; the caller gives the pointer back to scratchWords.
func borrowWords(n int) *[]uint64 {
	p := scratchWords.Get().(*[]uint64)
	if cap(*p) < n {
		*p = make([]uint64, n)
	}
	*p = (*p)[:n]
	return p
}

// bitProduct is a product in work: of scalars, row by row, with vectors of 64 columns. Pitches and offsets count bytes.
type bitProduct struct {
	bitLayout
	steps                  int
	scalars                []uint64
	pitch                  int // from row to row of the scalars
	vectors                []uint64
	offsets                []int // of the vectors of each step
	reach                  int   // the largest of them
	scalarPlane, vectPlane int   // from plane to plane
	pairs                  []bitPair
}

// bitPair is a pair of planes, where they start, and whether the sum of the pairs before it is doubled.
type bitPair struct{ scalars, vectors, double int }

// order lists the pairs of planes by falling weight.
func (p *bitProduct) order(scalarPlanes, vectorPlanes int) {
	for weight := scalarPlanes + vectorPlanes - 2; weight >= 0; weight-- {
		double := 1
		for s := range scalarPlanes {
			if v := weight - s; v >= 0 && v < vectorPlanes {
				p.pairs = append(p.pairs, bitPair{s * p.scalarPlane, v * p.vectPlane, double})
				double = 0
			}
		}
	}
}

// tilePlain computes sums of rows i... and of 64 columns, whose vectors start at byte base.
func (p *bitProduct) tilePlain(dst []int32, ldc, i, rows, base int) {
	for r := range rows {
		var sums [tileLanes]int32
		for _, pair := range p.pairs {
			if pair.double != 0 {
				for j := range sums {
					sums[j] *= 2
				}
			}
			scalars := p.scalars[((i+r)*p.pitch+pair.scalars)/8:][:p.steps]
			for q, s := range scalars {
				v := (*[tileLanes]uint64)(p.vectors[(base+pair.vectors+p.offsets[q])/8:])
				for j := range sums {
					sums[j] += int32(bits.OnesCount64(s & v[j]))
				}
			}
		}
		copy(dst[r*ldc:], sums[:])
	}
}

// bitRows is how many rows one call of tile computes.
const bitRows = 8

// Product computes x [m, k] times the transpose of the weights [rows, k], packed by PackBits, into dst [m, rows]. The low
// actBits of each x are its code.
func (w *BitWeights) Product(dst []int32, x []uint8, m, threads int) {
	if m == 0 || w.rows == 0 {
		return
	}
	steps, planes := w.steps(), w.planesOf(w.actBits)
	if steps == 0 {
		clear(dst[:m*w.rows])
		return
	}
	size := w.size()
	p := &bitProduct{bitLayout: w.bitLayout, steps: steps, vectors: w.data, scalarPlane: steps * size, vectPlane: steps * tileLanes * size}
	p.pitch = planes * steps * size
	p.order(planes, w.planesOf(w.bits))
	buf, ints := borrowWords((m*p.pitch+7)/8), borrowInts(steps)
	defer scratchWords.Put(buf)
	defer scratchInts.Put(ints)
	p.scalars, p.offsets = *buf, *ints
	for q := range p.offsets {
		p.offsets[q] = q * tileLanes * size
	}
	p.reach = p.offsets[steps-1]
	threads = threadsFor(threads, m*w.rows*w.channels/16)
	const high = 64 // rows of one unit of work
	Parallel(threads, (m+high-1)/high, func(u int) {
		for i := u * high; i < min(m, (u+1)*high); i++ {
			w.packRow(p, i, x[i*w.channels:(i+1)*w.channels])
		}
	})
	blocks, parts := (w.rows+tileLanes-1)/tileLanes, (m+high-1)/high
	block := w.planesOf(w.bits) * steps * tileLanes * size
	Parallel(threads, blocks*parts, func(u int) {
		b, i0 := u%blocks, u/blocks*high
		cols := min(tileLanes, w.rows-b*tileLanes)
		for i := i0; i < min(m, i0+high); i += bitRows {
			rows := min(bitRows, m-i)
			to := dst[i*w.rows+b*tileLanes:]
			if cols == tileLanes {
				p.tile(to, w.rows, i, rows, b*block, cols)
				continue
			}
			var edge [bitRows * tileLanes]int32
			p.tile(edge[:], tileLanes, i, rows, b*block, cols)
			for r := range rows {
				copy(to[r*w.rows:][:cols], edge[r*tileLanes:])
			}
		}
	})
}

// packRow lays out row i of the activations as scalars.
func (w *BitWeights) packRow(p *bitProduct, i int, x []uint8) {
	if w.nibbles {
		w.packNibbles(bytesOf(p.scalars)[i*p.pitch:][:p.steps], x)
		return
	}
	first := p.scalars[i*p.pitch/8:]
	second := first
	if w.actBits == 2 {
		second = first[p.steps:]
	}
	packRowBits(first[:p.steps], second[:p.steps], x)
}

// packRowBitsPlain sets bit i of dst[q] to bit 0 of x[64q+i], and that of second[q], unless it is dst, to bit 1.
func packRowBitsPlain(dst, second []uint64, x []uint8) {
	for q := range dst {
		var a, b uint64
		for i, v := range x[64*q : min(len(x), 64*q+64)] {
			a |= uint64(v&1) << i
			b |= uint64(v>>1&1) << i
		}
		second[q] = b
		dst[q] = a
	}
}

// packNibblesPlain joins codes in the upper halves of bytes.
func (l bitLayout) packNibblesPlain(dst, x []uint8) {
	per, mask := l.per(), uint8(1<<l.actBits-1)
	clear(dst)
	for i, v := range x {
		dst[i/per] |= v & mask << (4 + i%per*4/per)
	}
}
