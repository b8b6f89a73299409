package convert

import (
	"math"

	"bq/packing"
)

// whole is a quantized tensor as whole numbers: the value of element e is float32(values[e]) * scales[group of e].
type whole struct {
	layout packing.Layout
	bits   int       // of the codes
	values []int16   // code - zero point, or level of a codebook in steps; by element
	scales []float32 // by group
	zeros  []uint8   // by group, what to add to values for codes of these bits; nil: a codebook
}

// wholeCodes returns q in whole numbers; false where its levels are none, or codes have more than 8 bits.
func wholeCodes(q *packing.Quant) (*whole, bool) {
	if q.Bits > packing.MaxNarrow {
		return nil, false
	}
	w := &whole{layout: q.Layout, bits: q.Bits, values: make([]int16, len(q.Codes)), scales: stretched(q)}
	if q.Levels == nil {
		w.zeros = make([]uint8, len(q.Scales))
		for g := range w.zeros {
			w.zeros[g] = uint8(q.Zero(g))
		}
		for e, c := range q.Codes {
			w.values[e] = int16(c) - int16(w.zeros[groupOf(q.Layout, e)])
		}
		return w, true
	}
	unit := wholeUnit(q.Levels)
	if unit == 0 {
		return nil, false
	}
	for e, c := range q.Codes {
		w.values[e] = int16(q.Levels[c] / unit)
	}
	for g, scale := range w.scales {
		if w.scales[g] *= unit; scale != 0 && w.scales[g] == 0 || w.scales[g]-w.scales[g] != 0 { // outside the range of floats
			return nil, false
		}
	}
	return w, true
}

// wholeUnit returns the step of which all levels are whole multiples, up to 127, such that scale * step rounds as scale * level does: a power
// of two, the largest there is, or the size of all levels but 0. 0: there is none.
func wholeUnit(levels []float32) float32 {
	if unit := levelUnit(levels); unit != 0 {
		steps := 0
		for _, v := range levels {
			steps |= int(v / unit)
		}
		return unit * float32(steps&-steps)
	}
	size := float32(0)
	for _, v := range levels {
		if v = max(v, -v); v != 0 && size != 0 && v != size {
			return 0
		}
		size = max(size, v)
	}
	return size
}

// within reports whether all values are signed numbers of the given bits.
func (w *whole) within(bits int) bool {
	low, high := -(1 << (bits - 1)), 1<<(bits-1)-1
	for _, v := range w.values {
		if int(v) < low || int(v) > high {
			return false
		}
	}
	return true
}

// field returns the first of sizes, in bits, that holds all codes, and whether the zero point is the middle; 0 where none does.
func (w *whole) field(sizes ...int) (bits int, middle bool) {
	for _, bits := range sizes {
		if w.within(bits) {
			return bits, true
		}
		if w.zeros != nil && w.bits <= bits {
			return bits, false
		}
	}
	return 0, false
}

// rows is a weight as an operator reads it: rows of elements, of which blocks share a scale.
type rows struct {
	*whole
	n, k   int     // rows, and elements of each
	stored []int32 // the element at each place, row by row
	limit  int     // the largest power of two at whose multiples alone groups change along a row; 0: they never do
}

// rowsOf returns w in rows; false where that makes too many places.
func (w *whole) rowsOf(n, k int, stored []int32) rows {
	r := rows{whole: w, n: n, k: k, stored: stored}
	for i := range n {
		before := groupOf(w.layout, int(stored[i*k]))
		for j := 1; j < k; j++ {
			if g := groupOf(w.layout, int(stored[i*k+j])); g != before {
				before = g
				if p := j & -j; r.limit == 0 || p < r.limit {
					r.limit = p
				}
			}
		}
	}
	return r
}

// smallestBlock and largestBlock are the sizes of blocks, powers of two, that ONNX Runtime takes for codes of all bits.
const (
	smallestBlock = 16
	largestBlock  = 256
)

// block returns the size of block in which rows, padded to whole ones, take the fewest bytes as codes of these bits with their scales, the
// larger of two that take the same; 0 where groups change inside of all.
func (r *rows) block(bits int) int {
	best, least := 0, math.MaxInt
	for b := smallestBlock; b <= largestBlock && (r.limit == 0 || b <= r.limit); b *= 2 {
		if size := (r.k + b - 1) / b * (b*bits + 8*4); size <= least {
			best, least = b, size
		}
	}
	return best
}

// packed holds rows in the layout of ONNX Runtime's operators for blocks: codes of some bits, low bits first.
type packed struct {
	bits, block, blocks int
	codes               []uint8   // each row padded to blocks
	scales              []float32 // [rows, blocks]
	zeros               []uint8   // [rows, bytes of blocks codes]; nil: all are the middle
}

// pack packs rows, each padded to whole blocks where pad is set.
func (r *rows) pack(bits, block int, middle, pad bool) *packed {
	p := &packed{bits: bits, block: block, blocks: (r.k + block - 1) / block}
	long := r.k
	if pad {
		long = p.blocks * block
	}
	per := 8 / bits
	p.codes = make([]uint8, r.n*long/per)
	p.scales = make([]float32, r.n*p.blocks)
	stride := (p.blocks + per - 1) / per
	if !middle {
		p.zeros = make([]uint8, r.n*stride)
	}
	for i := range r.n {
		for j := range long {
			b := j / block
			e := int(r.stored[i*r.k+min(j, r.k-1)])
			g := groupOf(r.layout, e)
			zero := uint8(1) << (bits - 1)
			if !middle {
				zero = r.zeros[g]
			}
			code := zero // of padding, which stands for 0
			if j < r.k {
				code = uint8(int(r.values[e]) + int(zero))
			}
			at := i*long + j
			p.codes[at/per] |= code << (at % per * bits)
			if j%block > 0 {
				continue
			}
			p.scales[i*p.blocks+b] = r.scales[g]
			if !middle {
				p.zeros[i*stride+b/per] |= zero << (b % per * bits)
			}
		}
	}
	return p
}

// transposed returns the values as int8 with rows as columns, [k, n], and the scale of each; false where they are no int8 or groups
// change along a row.
func (r *rows) transposed() (codes []int8, scales []float32, ok bool) {
	if r.limit != 0 || !r.within(8) {
		return nil, nil, false
	}
	codes, scales = make([]int8, r.n*r.k), make([]float32, r.n)
	for i := range r.n {
		scales[i] = r.scales[groupOf(r.layout, int(r.stored[i*r.k]))]
		for j := range r.k {
			codes[j*r.n+i] = int8(r.values[r.stored[i*r.k+j]])
		}
	}
	return codes, scales, true
}
