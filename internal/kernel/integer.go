package kernel

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// Products of bytes, one operand unsigned and the other signed, with exact sums in int32: a sum of k products needs
// k <= 65,793 (2^31 / (255 * 128)), which callers guarantee.

// MaxIntegerTerms is the largest number of products that a sum of bytes may have.
const MaxIntegerTerms = 1<<31/(255*128) - 1

// ConvBytes computes the cross-correlation of unsigned x [batch, inC, in] with signed weights [outC, inC/group, kernel]
// into dst [batch, outC, out]. Padding counts as pad.
func ConvBytes(dst []int32, x []uint8, pad uint8, weights []int8, batch, inC, outC, group int, w *Window, threads int) {
	PackByteFilters(weights, nil, outC, inC/group*w.KernelSize()).Conv(dst, x, pad, batch, inC, group, w, threads)
}

// ProductBytes computes the product of unsigned a [m, k] and signed b [k, n] into dst [m, n].
func ProductBytes(dst []int32, m, n, k int, a []uint8, b []int8, threads int) {
	if m == 0 || n == 0 {
		return
	}
	p := &integerProduct{dst: dst, ldc: n, m: m, n: n, k: k, left: a}
	ints := borrowInts(k + 3)
	defer scratchInts.Put(ints)
	for i := range k {
		(*ints)[i] = i * n
	}
	p.run(&byteColumns{data: signedBytes(b), offsets: (*ints)[:k], run: n, step: 1}, threads)
}

// ProductSignedBytes is ProductBytes with signed a: 128 is added to its elements, and taken off the sums again.
func ProductSignedBytes(dst []int32, m, n, k int, a, b []int8, threads int) {
	flipped, shift := make([]uint8, m*k), make([]int32, n)
	for i, v := range signedBytes(a[:m*k]) {
		flipped[i] = v ^ 0x80
	}
	for i := range k {
		for j, v := range b[i*n : (i+1)*n] {
			shift[j] += 128 * int32(v)
		}
	}
	ProductBytes(dst, m, n, k, flipped, b, threads)
	for i := range m {
		for j, v := range shift {
			dst[i*n+j] -= v
		}
	}
}

func signedBytes(x []int8) []uint8 {
	return unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}

// widened is the value of a byte, of an int8 where signed.
func widened(x uint8, signed bool) int16 {
	if signed {
		return int16(int8(x))
	}
	return int16(x)
}

// integerProduct is a product of bytes in work.
type integerProduct struct {
	dst        []int32
	ldc        int
	m, n, k    int
	left       []uint8 // [m, k]
	signedLeft bool    // left is signed and the right operand is not; else the other way round

	packed  *ByteColumns // the right operand laid out before, or nil
	filters *ByteFilters // the left operand laid out before, or nil
	first   int          // of the rows in filters
	ready   readyFunc    // what is done with a block that is computed, or nil
	ones    *ones        // of a row that sums each column for ready, or nil
}

// byteColumns is columns of bytes; offsets count from one row to the next as in columns.
type byteColumns struct {
	data             []uint8
	offsets          []int
	run, pitch, step int
}

// byteSlack is how many bytes behind the last are padding, so that whole vectors of columns can be read, of every second one
// too.
const byteSlack = 32

// convolveBytes runs a product whose right operand are the taps of the padded planes of src.
func (c *planes) convolveBytes(p *integerProduct, src []uint8, pad uint8, threads int) {
	data := src
	if !c.bare() {
		size := c.height * c.width
		buf := borrow((c.channels*size + byteSlack + 3) / 4)
		defer scratch.Put(buf)
		data = bytesOfFloats(*buf)[:c.channels*size+byteSlack]
		fillWith(data[c.channels*size:], pad)
		units := min(c.channels, 4*threads)
		Parallel(threadsFor(threads, c.channels*size/4), units, func(u int) {
			for ch := u * c.channels / units; ch < (u+1)*c.channels/units; ch++ {
				plane := data[ch*size : (ch+1)*size]
				fillWith(plane, pad)
				c.fillBytes(plane, src[ch*c.w.InSize():(ch+1)*c.w.InSize()], 0)
			}
		})
	}
	ints := borrowInts(len(c.offsets) + 3) // rows are filled up to whole quads
	defer scratchInts.Put(ints)
	offsets := (*ints)[:len(c.offsets)]
	for i, o := range c.offsets {
		offsets[i] = o / 4
	}
	b := &byteColumns{data: data, offsets: offsets, run: c.columns, pitch: c.w.Stride[1] * c.width, step: c.w.Stride[2]}
	if c.w.pointwise() {
		b.run = p.n
	}
	p.run(b, threads)
}

// fillBytes copies a plane, each byte flipped, into a padded one, which holds its padding.
func (p *padded) fillBytes(dst, plane []uint8, flip uint8) {
	w := p.w
	n := w.In[2]
	for y := range w.In[1] {
		row, from := dst[(y+w.Pad[1])*p.width+w.Pad[2]:][:n], plane[y*n:][:n]
		switch {
		case flip != 0:
			flipBytes(row, from, flip)
		case n >= 8 && n <= 16: // a call would take longer
			first, last := binary.LittleEndian.Uint64(from), binary.LittleEndian.Uint64(from[n-8:])
			binary.LittleEndian.PutUint64(row, first)
			binary.LittleEndian.PutUint64(row[n-8:], last)
		case n >= 4 && n < 8:
			first, last := binary.LittleEndian.Uint32(from), binary.LittleEndian.Uint32(from[n-4:])
			binary.LittleEndian.PutUint32(row, first)
			binary.LittleEndian.PutUint32(row[n-4:], last)
		default:
			copy(row, from)
		}
	}
}

// flipBytes writes x with the bits of flip turned over, eight bytes at a time.
func flipBytes(dst, x []uint8, flip uint8) {
	i, all := 0, uint64(flip)*0x0101010101010101
	for ; i+8 <= len(x); i += 8 {
		binary.LittleEndian.PutUint64(dst[i:], binary.LittleEndian.Uint64(x[i:])^all)
	}
	for ; i < len(x); i++ {
		dst[i] = x[i] ^ flip
	}
}

// im2col runs a convolution of any window on a matrix of its taps.
func (p *integerProduct) im2col(w *Window, src []uint8, pad uint8, threads int) {
	size := w.KernelSize()
	buf, ints := borrow((p.k*p.n+3)/4), borrowInts(p.k+3)
	defer scratch.Put(buf)
	defer scratchInts.Put(ints)
	data, offsets := bytesOfFloats(*buf)[:p.k*p.n], (*ints)[:p.k]
	for r := range p.k {
		offsets[r] = r * p.n
		plane, t := src[r/size*w.InSize():], r%size
		kw, kh, kd := t%w.Kernel[2], t/w.Kernel[2]%w.Kernel[1], t/(w.Kernel[2]*w.Kernel[1])
		row := data[r*p.n : (r+1)*p.n]
		for j := range row {
			d := j/(w.Out[2]*w.Out[1])*w.Stride[0] + kd*w.Dilation[0] - w.Pad[0]
			y := j/w.Out[2]%w.Out[1]*w.Stride[1] + kh*w.Dilation[1] - w.Pad[1]
			x := j%w.Out[2]*w.Stride[2] + kw*w.Dilation[2] - w.Pad[2]
			row[j] = pad
			if d >= 0 && d < w.In[0] && y >= 0 && y < w.In[1] && x >= 0 && x < w.In[2] {
				row[j] = plane[(d*w.In[1]+y)*w.In[2]+x]
			}
		}
	}
	p.run(&byteColumns{data: data, offsets: offsets, run: p.n, step: 1}, threads)
}

// run cuts the product into blocks of columns, or of rows where there are too few.
func (p *integerProduct) run(b *byteColumns, threads int) {
	threads = threadsFor(threads, p.m*p.n*max(p.k, 1)/4)
	const width = 32
	each := (min(2*blockN, (p.n+threads-1)/threads) + width - 1) / width * width
	cols := (p.n + each - 1) / each
	rows := 1
	if threads > 1 && cols < threads {
		rows = min((p.m+11)/12, threads)
	}
	high := ((p.m+rows-1)/rows + 11) / 12 * 12
	rows = (p.m + high - 1) / high
	block, release := p.blocks(b)
	defer release()
	Parallel(threads, rows*cols, func(i int) {
		i0, j0 := i/cols*high, i%cols*each
		i1, j1 := min(p.m, i0+high), min(p.n, j0+each)
		var seen []int32
		if p.ones != nil {
			buf := borrow(j1 - j0)
			defer scratch.Put(buf)
			seen = sumsOfFloats(*buf)
		}
		block(b, i0, i1, j0, j1, seen)
		if p.ready != nil {
			p.ready(i0, i1, j0, j1, seen)
		}
	})
}

// blockFunc computes rows i0..i1 and columns j0..j1 of a product and, where seen is not nil, the sums of the columns.
type blockFunc func(b *byteColumns, i0, i1, j0, j1 int, seen []int32)

// blockPlain is a blockFunc in Go.
func (p *integerProduct) blockPlain(b *byteColumns, i0, i1, j0, j1 int, seen []int32) {
	if seen != nil {
		all := &integerProduct{dst: make([]int32, j1), ldc: j1, k: p.k, left: p.ones.bytes, signedLeft: p.signedLeft}
		all.blockPlain(b, 0, 1, j0, j1, nil)
		copy(seen, all.dst[j0:])
	}
	for i := i0; i < i1; i++ {
		row := p.dst[i*p.ldc+j0 : i*p.ldc+j1]
		clear(row)
		for q, o := range b.offsets {
			left := int32(p.left[i*p.k+q])
			if p.signedLeft {
				left = int32(int8(p.left[i*p.k+q]))
			}
			for j := j0; j < j1; {
				in := j % b.run
				n := min(j1-j, b.run-in)
				src := b.data[o+j/b.run*b.pitch+in*b.step:]
				for x := range n {
					right := int32(src[x*b.step])
					if !p.signedLeft {
						right = int32(int8(right))
					}
					row[j-j0+x] += left * right
				}
				j += n
			}
		}
	}
}

// Requantize turns one row of sums into bytes: dst[i] = saturate(round(float32(sums[i]+bias) * first * second / out) +
// zero), each operation rounded to float32, ties to even, saturated to uint8, or to int8 where signed (ONNX,
// QLinearConv).
func Requantize(dst []uint8, sums []int32, bias int32, first, second, out float32, zero int32, signed bool) {
	low := int32(0)
	if signed {
		low = -128
	}
	n := requantize(dst, sums, bias, first, second, out, zero, low)
	for i := n; i < len(sums); i++ {
		y := float32(float32(float32(sums[i]+bias)*first) * second)
		if y /= out; y != y {
			y = 0
		}
		y = min(max(y, -1<<24), 1<<24)
		dst[i] = uint8(clampInt(int64(math.RoundToEven(float64(y)))+int64(zero), low))
	}
}

// RequantizeColumns is Requantize without bias and with a factor second for each sum.
func RequantizeColumns(dst []uint8, sums []int32, first float32, second []float32, out float32, zero int32, signed bool) {
	low := int32(0)
	if signed {
		low = -128
	}
	for i := requantizeColumns(dst, sums, first, second, out, zero, low); i < len(sums); i++ {
		y := float32(float32(float32(sums[i])*first)*second[i]) / out
		if y != y {
			y = 0
		}
		y = min(max(y, -1<<24), 1<<24)
		dst[i] = uint8(clampInt(int64(math.RoundToEven(float64(y)))+int64(zero), low))
	}
}

func clampInt(v int64, low int32) int64 { return min(max(v, int64(low)), int64(low)+255) }

// Quantize turns floats into bytes: dst[i] = saturate(round(x[i]/scale) + zero), ties to even, saturated to uint8, or to
// int8 where signed (ONNX, QuantizeLinear). NaN gives the zero point.
func Quantize(dst []uint8, x []float32, scale float32, zero int32, signed bool) {
	low := int32(0)
	if signed {
		low = -128
	}
	QuantizeWithin(dst, x, scale, zero, low, low+255)
}

// QuantizeWithin is Quantize saturated to low..high, which lie within uint8 or within int8.
func QuantizeWithin(dst []uint8, x []float32, scale float32, zero, low, high int32) {
	done := quantize(dst, x, scale, zero, low, high)
	for i, v := range x[done:] {
		dst[done+i] = saturated(v/scale, zero, low, high)
	}
}

// Dequantize turns bytes into floats: dst[i] = float32(x[i]-zero) * scale (ONNX, DequantizeLinear), the bytes being
// int8 where signed.
func Dequantize(dst []float32, x []uint8, scale float32, zero int32, signed bool) {
	for i := dequantize(dst, x, scale, zero, signed); i < len(x); i++ {
		v := int32(x[i])
		if signed {
			v = int32(int8(x[i]))
		}
		dst[i] = float32(v-zero) * scale
	}
}
