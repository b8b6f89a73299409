package kernel

import (
	"encoding/binary"
	"math"
)

// The loops of the quantizer decide stored bytes. They give the same bits on every processor and by every instruction
// set: a division is a division, products are rounded before they are added, and a sum of float64 has 16 lanes, element
// i in lane i mod 16, which are added up in one order.

// laneSum adds up 16 lanes: halves, then quarters, and so on.
func laneSum(s *[16]float64) float64 {
	for n := 8; n > 0; n /= 2 {
		for i := range n {
			s[i] += s[i+n]
		}
	}
	return s[0]
}

// MinMax returns the smallest and the largest element and whether all are finite; where one is not, and for an empty
// slice, both are 0. A zero is +0.
func MinMax(x []float32) (low, high float32, finite bool) {
	if len(x) == 0 {
		return 0, 0, true
	}
	low, high = x[0], x[0]
	nan := float32(0) // becomes NaN at the first value that is not finite
	var found [3][16]float32
	n := minMaxVectors(&found, x)
	if n > 0 {
		for i := range found[0] {
			low, high, nan = min(low, found[0][i]), max(high, found[1][i]), nan+found[2][i]
		}
	}
	for _, v := range x[n:] {
		low, high = min(low, v), max(high, v)
		nan += v - v
	}
	if nan != 0 {
		return 0, 0, false
	}
	return low + 0, high + 0, true
}

// SumProducts returns the sum of x*y in float64, whose products are exact. The slices have one length.
func SumProducts(x, y []float32) float64 {
	var lanes [16]float64
	y = y[:len(x)]
	for i, n := 0, dotVectors(&lanes, x, y); n+i < len(x); i++ {
		lanes[i&15] += float64(float64(x[n+i]) * float64(y[n+i]))
	}
	return laneSum(&lanes)
}

// scaled returns v/scale, limited to -limit..limit.
func scaled(v, scale, limit float32) float32 {
	v /= scale
	if v < -limit {
		v = -limit
	}
	if v > limit {
		v = limit
	}
	return v
}

// CellIndex writes where the elements lie on an axis of cells that are equal steps of u = v/(|v|+knee), v = x/scale
// limited to -limit..limit: dst[i] = int((u*half + half)*256), at most last, so that the cell stands in the bits from 8
// up and the place within it, in 256 parts, below. It is computed in float64; half is a power of two, so that only the
// quotient u is rounded. x and limit are finite, knee > 0.
func CellIndex(dst []uint32, x []float32, scale, limit float32, knee, half float64, last uint32) {
	dst = dst[:len(x)]
	for i := cellIndexVectors(dst, x, scale, limit, knee, half, last); i < len(x); i++ {
		v := float64(scaled(x[i], scale, limit))
		t := float64(v/(math.Abs(v)+knee)*half) + half
		dst[i] = min(uint32(t*256), last)
	}
}

// Bins finds the bin of a value among ascending edges: the number of edges that are not above it.
type Bins struct {
	heap  []float32 // 16 or 256 nodes: children of node i are 2i and 2i+1, node 1 is the root; NaN fills it up
	edges []float32 // followed by a NaN, which no value reaches
	start []uint8   // for the plain form, by the top 16 bits of a value's key: the bin of the smallest value that has them
}

// NewBins takes at most 255 ascending edges, repeats allowed. n is about how many values will be assigned: the plain
// form makes a table for many.
func NewBins(edges []float32, n int) *Bins {
	nan := float32(math.NaN())
	b := &Bins{edges: append(append(make([]float32, 0, len(edges)+1), edges...), nan)}
	size := 16
	if len(edges) > 15 {
		size = 256
	}
	b.heap = make([]float32, size)
	rank := 0
	b.fill(1, &rank)
	b.heap[0] = nan
	const tablePays = 1 << 13 // values
	if turns(16) == 0 && n >= tablePays {
		b.table()
	}
	return b
}

// fill puts edges into the subtree of node, smallest first.
func (b *Bins) fill(node int, rank *int) {
	if node >= len(b.heap) {
		return
	}
	b.fill(2*node, rank)
	b.heap[node] = b.edges[min(*rank, len(b.edges)-1)]
	*rank++
	b.fill(2*node+1, rank)
}

// orderKey is the monotone image of the bits of v: -0 before +0, negative NaNs first and positive ones last.
func orderKey(v float32) uint32 {
	b := math.Float32bits(v)
	return b ^ (uint32(int32(b)>>31) | 1<<31)
}

// table fills b.start. Keys of NaNs have bin 0.
func (b *Bins) table() {
	b.start = make([]uint8, 1<<16)
	c, inf := 0, float32(math.Inf(1))
	for top := orderKey(-inf)>>16 + 1; top <= orderKey(inf)>>16; top++ {
		k := top << 16
		for math.Float32frombits(k^(uint32(int32(^k)>>31)|1<<31)) >= b.edges[c] {
			c++
		}
		b.start[top] = uint8(c)
	}
}

// Assign writes the bins of x/scale, limited to -limit..limit. NaN gets bin 0.
func (b *Bins) Assign(dst []uint8, x []float32, scale, limit float32) {
	dst = dst[:len(x)]
	i := assignVectors(dst, x, b.heap, scale, limit)
	if b.start != nil {
		for ; i < len(x); i++ {
			v := scaled(x[i], scale, limit)
			c := int(b.start[orderKey(v)>>16])
			if v != v {
				c = 0
			}
			for v >= b.edges[c] {
				c++
			}
			dst[i] = uint8(c)
		}
		return
	}
	for ; i < len(x); i++ {
		v, node := scaled(x[i], scale, limit), 1
		for node < len(b.heap) {
			right := 0
			if v >= b.heap[node] {
				right = 1
			}
			node = 2*node + right
		}
		dst[i] = uint8(node - len(b.heap))
	}
}

// roundEven rounds |v| < 2^22 to the nearest integer, ties to even: 1.5*2^23 leaves no bits behind the point.
func roundEven(v float32) float32 {
	const shift = 3 << 22
	return float32(v+shift) - shift
}

// RoundClamp writes RoundToEven(min(max(x/scale, low), high) - half) + half + zero, which must lie in 0..255. x is finite,
// scale above 0.
func RoundClamp(dst []uint8, x []float32, scale, low, high, half, zero float32) {
	dst = dst[:len(x)]
	for i := roundClampVectors(dst, x, scale, low, high, half, zero); i < len(x); i++ {
		t := min(max(x[i]/scale, low), high)
		dst[i] = uint8(roundEven(t-half) + half + zero)
	}
}

// Values are what codes stand for, before they are multiplied by a scale. The functions that take them are told how many
// bits codes have at most.
type Values = [256]float32

// Decode writes values[code]*scale.
func Decode(dst []float32, codes []uint8, values *Values, bits int, scale float32) {
	dst = dst[:len(codes)]
	for i := decodeVectors(dst, codes, values, bits, scale); i < len(codes); i++ {
		dst[i] = values[codes[i]] * scale
	}
}

// Project returns the sum of x*values[code]*scale in float64, where the second product is a float32. x and codes have
// one length.
func Project(x []float32, codes []uint8, values *Values, bits int, scale float32) float64 {
	var lanes [16]float64
	codes = codes[:len(x)]
	for i, n := 0, projectVectors(&lanes, x, codes, values, bits, scale); n+i < len(x); i++ {
		v := float32(values[codes[n+i]] * scale)
		lanes[i&15] += float64(float64(x[n+i]) * float64(v))
	}
	return laneSum(&lanes)
}

// CodeErrors returns the sum of the errors x - values[code]*scale, where the product is a float32, and that of their
// squares, in float64. x and codes have one length.
func CodeErrors(x []float32, codes []uint8, values *Values, bits int, scale float32) (sum, squares float64) {
	var lanes [2][16]float64
	codes = codes[:len(x)]
	for i, n := 0, codeErrorsVectors(&lanes, x, codes, values, bits, scale); n+i < len(x); i++ {
		v := float32(values[codes[n+i]] * scale)
		d := float64(x[n+i]) - float64(v)
		lanes[0][i&15] += d
		lanes[1][i&15] += float64(d * d)
	}
	return laneSum(&lanes[0]), laneSum(&lanes[1])
}

// CheapMoves writes the indices of the elements that could move from values[code]*scale by steps[code]*scale at no more
// than a limit, in ascending order, and returns how many these are. In float32: d*(d - 2e) <= limit, by how much the
// squared error grows, where e and d, the error and the step, are multiplied by unit. The sign of unit is the direction
// of the move; elements whose error has the other one are left out. dst is as long as x and codes.
func CheapMoves(dst []uint32, x []float32, codes []uint8, values, steps *Values, bits int, scale, unit, limit float32) int {
	dst, codes = dst[:len(x)], codes[:len(x)]
	i, count := cheapMovesVectors(dst, x, codes, values, steps, bits, scale, unit, limit)
	for ; i < len(x); i++ {
		c := codes[i]
		v, d := float32(values[c]*scale), float32(float32(steps[c]*scale)*unit)
		e := float32(float32(x[i]-v) * unit)
		if e >= 0 && float32(d*float32(d-float32(e+e))) <= limit {
			dst[count] = uint32(i)
			count++
		}
	}
	return count
}

// GridErrors returns the squared error of rounding t = x/scale - half to the integers low..high, in steps, and the part
// of it that values beyond low and high cause, in float64. x is finite, scale above 0.
func GridErrors(x []float32, scale, half, low, high float32) (total, clipped float64) {
	var lanes [2][16]float64
	for i, n := 0, gridErrorsVectors(&lanes, x, scale, half, low, high); n+i < len(x); i++ {
		t := x[n+i]/scale - half
		c := min(max(t, low), high)
		d, out := float64(t-roundEven(c)), float64(t-c)
		lanes[0][i&15] += float64(d * d)
		lanes[1][i&15] += float64(out * out)
	}
	return laneSum(&lanes[0]), laneSum(&lanes[1])
}

// Transpose writes the transpose of x [rows, cols], row-major, to dst [cols, rows]. They do not overlap.
func Transpose[T any](dst, x []T, rows, cols int) {
	if d, ok := any(dst).([]uint8); ok {
		transposeBytes(d, any(x).([]uint8), rows, cols)
	} else if rows > 0 && cols > 0 {
		transposeMatrix(dst, x, rows, cols, rows, cols)
	}
}

// transposeBytes is Transpose of bytes, by squares of 8, in blocks that use whole cache lines of both sides.
func transposeBytes(dst, x []uint8, rows, cols int) {
	const block = 64
	evenRows, evenCols := rows&^7, cols&^7
	for j0 := 0; j0 < evenCols; j0 += block {
		for i0 := 0; i0 < evenRows; i0 += block {
			for j := j0; j < min(j0+block, evenCols); j += 8 {
				for i := i0; i < min(i0+block, evenRows); i += 8 {
					transposeSquare(dst[j*rows+i:], x[i*cols+j:], rows, cols)
				}
			}
		}
	}
	for i := range rows { // what squares leave
		from := evenCols
		if i >= evenRows {
			from = 0
		}
		for j := from; j < cols; j++ {
			dst[j*rows+i] = x[i*cols+j]
		}
	}
}

// transposeSquare transposes 8 rows of 8 bytes, rows of x being stepX apart and those of dst stepDst: it swaps the
// squares of 4 off the diagonal, then those of 2, then those of 1 (Warren, "Hacker's Delight", section 7-3).
func transposeSquare(dst, x []uint8, stepDst, stepX int) {
	var r [8]uint64
	for i := range r {
		r[i] = binary.LittleEndian.Uint64(x[i*stepX:])
	}
	for i := range 4 {
		t := (r[i]>>32 ^ r[i+4]) & 0xffffffff
		r[i], r[i+4] = r[i]^t<<32, r[i+4]^t
	}
	for _, i := range [4]int{0, 1, 4, 5} {
		t := (r[i]>>16 ^ r[i+2]) & 0x0000ffff0000ffff
		r[i], r[i+2] = r[i]^t<<16, r[i+2]^t
	}
	for i := 0; i < 8; i += 2 {
		t := (r[i]>>8 ^ r[i+1]) & 0x00ff00ff00ff00ff
		r[i], r[i+1] = r[i]^t<<8, r[i+1]^t
	}
	for i, v := range r {
		binary.LittleEndian.PutUint64(dst[i*stepDst:], v)
	}
}
