package kernel

import (
	"sync/atomic"
	"unsafe"
)

// Constant operands of products of bytes, laid out once. They belong to the instruction set of the process that packed
// them.

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

// ByteFilters are the weights [outC, inC/group, kernel] of a convolution, signed.
type ByteFilters struct {
	outC, k int
	data    []int8
	quads   []uint8 // rows of whole quads, for VNNI
	pairs   []int16 // rows of whole pairs, widened
	deep    atomic.Pointer[deepBytes]
}

// PackByteFilters lays out weights [outC, k], which stay in use.
func PackByteFilters(weights []int8, outC, k int) *ByteFilters {
	f := &ByteFilters{outC: outC, k: k, data: weights[:outC*k]}
	if outC*k > 0 {
		f.pack()
	}
	return f
}

// Conv computes the cross-correlation of unsigned x [batch, inC, in] with the filters into dst [batch, outC, out].
// Padding counts as pad.
func (f *ByteFilters) Conv(dst []int32, x []uint8, pad uint8, batch, inC, group int, w *Window, threads int) {
	f.convolve(x, pad, batch, inC, group, w.packed(), threads, func(_, at, n int) ([]int32, func(i0, i1, j0, j1 int), func()) {
		return dst[at : at+n], nil, func() {}
	})
}

// Requantizer says how sums become bytes, as Requantize does it.
type Requantizer struct {
	First, Out float32
	Second     []float32 // one, or one for each output
	Bias       []int32   // of each output
	Zero       int32
	Signed     bool
}

// factor returns second of output o.
func (q *Requantizer) factor(o int) float32 {
	if len(q.Second) == 1 {
		return q.Second[0]
	}
	return q.Second[o]
}

// low is the least byte.
func (q *Requantizer) low() int32 {
	if q.Signed {
		return -128
	}
	return 0
}

// row turns sums of output o into bytes.
func (q *Requantizer) row(dst []uint8, sums []int32, o int) {
	Requantize(dst, sums, q.Bias[o], q.First, q.factor(o), q.Out, q.Zero, q.Signed)
}

// ConvQuantized is Conv whose sums become the bytes dst [batch, outC, out] as soon as they are there. The bytes of x are
// int8 where flip is 0x80, and uint8 where it is 0: 128 is added to those of int8, and pad has it added.
func (f *ByteFilters) ConvQuantized(dst, x []uint8, flip, pad uint8, batch, inC, group int, w *Window, q *Requantizer, threads int) {
	w = w.packed()
	out := w.OutSize()
	if out == 0 || f.outC == 0 {
		return
	}
	if inC == group {
		if d := f.deepFor(w); d != nil {
			d.run(dst, x, flip, pad, batch, inC, f.outC, q, threads)
			return
		}
	}
	if flip != 0 {
		buf := borrow((len(x) + 3) / 4)
		defer scratch.Put(buf)
		flipped := bytesOfFloats(*buf)[:len(x)]
		flipBytes(flipped, x, flip)
		x = flipped
	}
	f.convolve(x, pad, batch, inC, group, w, threads, func(first, at, n int) ([]int32, func(i0, i1, j0, j1 int), func()) {
		buf := borrow(n)
		sums := sumsOfFloats(*buf)
		return sums, func(i0, i1, j0, j1 int) {
			for i := i0; i < i1; i++ {
				q.row(dst[at+i*out+j0:at+i*out+j1], sums[i*out+j0:i*out+j1], first+i)
			}
		}, func() { scratch.Put(buf) }
	})
}

// convolve runs the products of all images and groups. sums gives, for the outputs from first on whose n sums stand from
// at on in the result, where sums go, what is to be done with blocks of them that are ready, and an end.
func (f *ByteFilters) convolve(x []uint8, pad uint8, batch, inC, group int, w *Window, threads int,
	sums func(first, at, n int) (dst []int32, ready func(i0, i1, j0, j1 int), done func())) {
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
