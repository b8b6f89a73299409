package kernel

import (
	"math"
	"sync/atomic"
	"unsafe"
)

// Constant operands of products of bytes, laid out once. They belong to the instruction set of the process that packed
// them.

// BytesPay reports whether products of bytes are faster than those of floats here.
func BytesPay() bool { return use == avx2 || use == avx512 }

// ByteColumns is a right operand [k, n] of signed bytes.
type ByteColumns struct {
	k, n    int
	columns byteColumns
	quads   []float32 // panels of four rows, for VNNI
	pairs   []int16   // panels of two rows, widened
}

// PackByteColumns lays out b [k, n], which stays in use.
func PackByteColumns(b []int8, k, n int) *ByteColumns {
	c := &ByteColumns{k: k, n: n, columns: byteColumns{data: signedBytes(b[:k*n]), run: max(n, 1), step: 1}}
	for i := range k {
		c.columns.offsets = append(c.columns.offsets, i*n)
	}
	if k*n > 0 {
		c.pack()
	}
	return c
}

// Product computes the product of unsigned a [m, k] and the columns into dst [m, n].
func (c *ByteColumns) Product(dst []int32, a []uint8, m, threads int) {
	if m == 0 || c.n == 0 {
		return
	}
	p := &integerProduct{dst: dst, ldc: c.n, m: m, n: c.n, k: c.k, left: a, packed: c}
	b := c.columns
	p.run(&b, threads)
}

// ByteFilters are the weights [outC, inC/group, kernel] of a convolution: signed bytes less a zero point for each output.
type ByteFilters struct {
	outC, k int
	data    []int8
	zeros   []int32 // nil where all are 0
	quads   []uint8 // rows of whole quads, for VNNI
	pairs   []int16 // rows of whole pairs, widened
	ones    ones
	deep    atomic.Pointer[deepBytes]
}

// ones is a row of ones as long as those of the filters, which sums what an output sees; zeros fill it up.
type ones struct {
	bytes []uint8
	pairs []int16
}

// PackByteFilters lays out weights [outC, k], which stay in use. zeros are between -255 and 255, or nil.
func PackByteFilters(weights []int8, zeros []int32, outC, k int) *ByteFilters {
	f := &ByteFilters{outC: outC, k: k, data: weights[:outC*k], zeros: zeros}
	whole := (k + 3) / 4 * 4
	f.ones = ones{make([]uint8, whole), make([]int16, whole)}
	for i := range k {
		f.ones.bytes[i], f.ones.pairs[i] = 1, 1
	}
	if outC*k > 0 {
		f.pack()
	}
	return f
}

// Conv computes the cross-correlation of unsigned x [batch, inC, in] with the bytes of the filters, zero points left
// aside, into dst [batch, outC, out]. Padding counts as pad.
func (f *ByteFilters) Conv(dst []int32, x []uint8, pad uint8, batch, inC, group int, w *Window, threads int) {
	f.convolve(x, pad, batch, inC, group, w.Packed(), threads, func(_, at, n int) ([]int32, readyFunc, func()) {
		return dst[at : at+n], nil, func() {}
	})
}

// readyFunc takes a block of sums that is computed, rows i0..i1 and columns j0..j1, and what the columns see.
type readyFunc func(i0, i1, j0, j1 int, seen []int32)

// Finish scales the sums of a convolution:
//
//	y = float32(sum + bias) * first * second + shift
//
// rounded to float32 after each operation.
type Finish struct {
	Bias   []int32 // of each output
	First  float32
	Second []float32 // one, or one for each output
	Shift  []float32 // one for each output, or none
}

// of returns the numbers of output o.
func (q *Finish) of(o int) (bias int32, second, shift float32) {
	bias, second = q.Bias[o], q.Second[0]
	if len(q.Second) > 1 {
		second = q.Second[o]
	}
	if q.Shift != nil {
		shift = q.Shift[o]
	}
	return bias, second, shift
}

// at scales a sum.
func (q *Finish) at(sum, bias int32, second, shift float32) float32 {
	return float32(float32(float32(sum+bias)*q.First)*second) + shift
}

// ByteFinish makes bytes of sums: saturate(round(y / out) + zero), ties to even, saturated to low..high, which lie within
// uint8 or within int8.
type ByteFinish struct {
	Finish
	Out             float32
	Zero, Low, High int32
}

// FloatFinish makes floats of sums: y limited to low..high, a NaN as it is.
type FloatFinish struct {
	Finish
	Low, High float32
}

// row finishes sums of output o: times*seen[i] is added to each.
func (q *ByteFinish) row(dst []uint8, sums, seen []int32, times int32, o int) {
	bias, second, shift := q.of(o)
	for i := q.vectors(dst, sums, seen, bias, times, second, shift); i < len(sums); i++ {
		dst[i] = q.code(q.at(sums[i]+times*seen[i], bias, second, shift))
	}
}

// row finishes sums of output o: times*seen[i] is added to each.
func (q *FloatFinish) row(dst []float32, sums, seen []int32, times int32, o int) {
	bias, second, shift := q.of(o)
	for i := q.vectors(dst, sums, seen, bias, times, second, shift); i < len(sums); i++ {
		dst[i] = q.bound(q.at(sums[i]+times*seen[i], bias, second, shift))
	}
}

// Columns finishes a row of sums, one of each output, each taken times a number and more added.
func (q *ByteFinish) Columns(dst []uint8, sums []int32, times, more int32) {
	for o := q.columns(dst, sums, times, more); o < len(sums); o++ {
		v := times*sums[o] + more
		bias, second, shift := q.of(o)
		dst[o] = q.code(q.at(v, bias, second, shift))
	}
}

// Columns finishes a row of sums, one of each output, each taken times a number and more added.
func (q *FloatFinish) Columns(dst []float32, sums []int32, times, more int32) {
	for o := q.columns(dst, sums, times, more); o < len(sums); o++ {
		v := times*sums[o] + more
		bias, second, shift := q.of(o)
		dst[o] = q.bound(q.at(v, bias, second, shift))
	}
}

// code quantizes y.
func (q *ByteFinish) code(y float32) uint8 {
	y /= q.Out
	if y != y {
		y = 0
	}
	y = min(max(y, -1<<24), 1<<24)
	return uint8(min(max(int32(math.RoundToEven(float64(y)))+q.Zero, q.Low), q.High))
}

// bound limits y.
func (q *FloatFinish) bound(y float32) float32 {
	if y < q.Low {
		y = q.Low
	}
	if y > q.High {
		y = q.High
	}
	return y
}

// ConvBytesTo is the convolution of x - zero points with the filters less theirs, finished into dst [batch, outC, out] as
// soon as sums are there. The bytes of x are int8 where flip is 0x80, and uint8 where it is 0: 128 is added to those of
// int8, and pad has it added. What the zero point of x takes off a sum is part of the bias.
func (f *ByteFilters) ConvBytesTo(dst, x []uint8, flip, pad uint8, batch, inC, group int, w *Window, q *ByteFinish, threads int) {
	w = w.Packed()
	if inC == group {
		if d := f.deepFor(w); d != nil {
			d.run(dst, x, flip, pad, batch, inC, f.outC, q, threads)
			return
		}
	}
	f.finish(x, flip, pad, batch, inC, group, w, threads, func(at, o int, sums, seen []int32, times int32) {
		q.row(dst[at:at+len(sums)], sums, seen, times, o)
	})
}

// ConvFloatsTo is ConvBytesTo with results in float32.
func (f *ByteFilters) ConvFloatsTo(dst []float32, x []uint8, flip, pad uint8, batch, inC, group int, w *Window, q *FloatFinish, threads int) {
	f.finish(x, flip, pad, batch, inC, group, w.Packed(), threads, func(at, o int, sums, seen []int32, times int32) {
		q.row(dst[at:at+len(sums)], sums, seen, times, o)
	})
}

// finish convolves and hands runs of sums to row, which stand from at on in the result and belong to output o.
func (f *ByteFilters) finish(x []uint8, flip, pad uint8, batch, inC, group int, w *Window, threads int,
	row func(at, o int, sums, seen []int32, times int32)) {
	out := w.OutSize()
	if flip != 0 {
		buf := borrow((len(x) + 3) / 4)
		defer scratch.Put(buf)
		flipped := bytesOfFloats(*buf)[:len(x)]
		flipBytes(flipped, x, flip)
		x = flipped
	}
	f.convolve(x, pad, batch, inC, group, w, threads, func(first, at, n int) ([]int32, readyFunc, func()) {
		buf := borrow(n)
		sums := sumsOfFloats(*buf)
		return sums, func(i0, i1, j0, j1 int, seen []int32) {
			for i := i0; i < i1; i++ {
				line, times := sums[i*out+j0:i*out+j1], int32(0)
				if f.zeros != nil {
					times = -f.zeros[first+i]
				}
				if seen == nil {
					seen = line
				}
				row(at+i*out+j0, first+i, line, seen, times)
			}
		}, func() { scratch.Put(buf) }
	})
}

// convolve runs the products of all images and groups. sums gives, for the outputs from first on whose n sums stand from
// at on in the result, where sums go, what is to be done with blocks of them that are ready, and an end.
func (f *ByteFilters) convolve(x []uint8, pad uint8, batch, inC, group int, w *Window, threads int,
	sums func(first, at, n int) (dst []int32, ready readyFunc, done func())) {
	in, out := w.InSize(), w.OutSize()
	cg, og := inC/group, f.outC/group
	c := newPlanes(w, cg)
	if out == 0 || og == 0 {
		return
	}
	for i := range batch * group {
		dst, ready, done := sums(i%group*og, i*og*out, og*out)
		p := &integerProduct{dst: dst, ldc: out, m: og, n: out, k: f.k, signedLeft: true, filters: f, first: i % group * og, ready: ready}
		p.left = signedBytes(f.data[p.first*f.k : (p.first+og)*f.k])
		if ready != nil && f.zeros != nil {
			p.ones = &f.ones
		}
		src := x[i*cg*in : (i+1)*cg*in]
		if c == nil || w.Stride[2] > 2 { // packing knows no other steps
			p.im2col(w, src, pad, threads)
		} else {
			c.convolveBytes(p, src, pad, threads)
		}
		done()
	}
}

// bytesOfFloats views scratch as bytes.
func bytesOfFloats(x []float32) []uint8 {
	return unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}

// sumsOfFloats views scratch as sums.
func sumsOfFloats(x []float32) []int32 {
	return unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}
