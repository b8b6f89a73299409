package kernel

import "encoding/binary"

// BitFilters are weights of one or two bits, least + step*code, which are multiplied with codes of one or two bits on bit
// planes. Sums of codes become those of weights by the sum of what an output sees, which in a convolution a row of ones
// counts beside the others:
//
//	sum of x*w = step * (sum of x*code) + least * (sum of x)
type BitFilters struct {
	weights     *BitWeights
	outputs     int
	least, step int32
}

// BitsPay reports whether products of so many bits are faster on bit planes than on bytes: AVX-512 multiplies bytes by VNNI
// as fast as it counts the bits of two by two planes.
func BitsPay(bits, actBits int) bool {
	return max(bits, actBits) <= 2 && use != plain && (countsByTable() || countsBits() && bits*actBits <= 2)
}

// PackBitFilters lays out codes [outputs, channels, taps], below 2^bits, for Conv or, where taps is 0, [outputs, channels]
// for Product. Codes of activations are below 2^actBits.
func PackBitFilters(codes []uint8, outputs, channels, taps, bits, actBits int, least, step int32) *BitFilters {
	f := &BitFilters{outputs: outputs, least: least, step: step}
	row := channels * max(taps, 1)
	if taps == 0 {
		f.weights = PackBits(codes, outputs, channels, bits, actBits)
		return f
	}
	all := append(make([]uint8, 0, (outputs+1)*row), codes[:outputs*row]...)
	for range row {
		all = append(all, 1)
	}
	f.weights = PackBitsConv(all, outputs+1, channels, taps, bits, actBits)
	return f
}

// ConvBytesTo convolves codes x [batch, channels, in] into codes dst [batch, outputs, out]; pad is the code of padding.
func (f *BitFilters) ConvBytesTo(dst, x []uint8, pad uint8, batch int, w *Window, q *ByteFinish, threads int) {
	f.conv(x, pad, batch, w, threads, func(at, o int, sums, seen []int32) { q.row(dst[at:at+len(sums)], seen, sums, f.step, o) })
}

// ConvFloatsTo is ConvBytesTo with results in float32.
func (f *BitFilters) ConvFloatsTo(dst []float32, x []uint8, pad uint8, batch int, w *Window, q *FloatFinish, threads int) {
	f.conv(x, pad, batch, w, threads, func(at, o int, sums, seen []int32) { q.row(dst[at:at+len(sums)], seen, sums, f.step, o) })
}

// conv hands the sums of codes of each output to row, and least times the sums of what the output sees.
func (f *BitFilters) conv(x []uint8, pad uint8, batch int, w *Window, threads int, row func(at, o int, sums, seen []int32)) {
	in, out := w.InSize()*f.weights.channels, w.OutSize()
	buf := borrow((f.outputs + 1) * out)
	defer scratch.Put(buf)
	sums := sumsOfFloats(*buf)[:(f.outputs+1)*out]
	seen := sums[f.outputs*out:]
	for n := range batch {
		f.weights.Conv(sums, x[n*in:(n+1)*in], pad, 1, w, threads)
		for i := range seen {
			seen[i] *= f.least
		}
		Parallel(threadsFor(threads, f.outputs*out), f.outputs, func(o int) {
			row((n*f.outputs+o)*out, o, sums[o*out:(o+1)*out], seen)
		})
	}
}

// ProductBytesTo multiplies codes x [m, k] with the weights into codes dst [m, outputs].
func (f *BitFilters) ProductBytesTo(dst, x []uint8, m int, q *ByteFinish, threads int) {
	f.product(x, m, threads, func(i int, sums []int32, more int32) { q.Columns(dst[i*f.outputs:(i+1)*f.outputs], sums, f.step, more) })
}

// ProductFloatsTo is ProductBytesTo with results in float32.
func (f *BitFilters) ProductFloatsTo(dst []float32, x []uint8, m int, q *FloatFinish, threads int) {
	f.product(x, m, threads, func(i int, sums []int32, more int32) { q.Columns(dst[i*f.outputs:(i+1)*f.outputs], sums, f.step, more) })
}

func (f *BitFilters) product(x []uint8, m, threads int, row func(i int, sums []int32, more int32)) {
	n, k := f.outputs, f.weights.channels
	buf := borrow(m * n)
	defer scratch.Put(buf)
	sums := sumsOfFloats(*buf)[:m*n]
	f.weights.Product(sums, x, m, threads)
	threads = threadsFor(threads, m*n)
	units := min(m, 4*threads)
	Parallel(threads, units, func(u int) {
		for i := m * u / units; i < m*(u+1)/units; i++ {
			row(i, sums[i*n:(i+1)*n], f.least*sumCodes(x[i*k:(i+1)*k]))
		}
	})
}

// sumCodes adds up codes below 4, eight at a time.
func sumCodes(x []uint8) int32 {
	sum := int32(0)
	for len(x) >= 8 {
		all := uint64(0)
		n := min(len(x)/8, 255/3)
		for i := range n {
			all += binary.LittleEndian.Uint64(x[8*i:])
		}
		x = x[8*n:]
		all = all&0x00ff00ff00ff00ff + all>>8&0x00ff00ff00ff00ff
		sum += int32(all * 0x0001000100010001 >> 48)
	}
	for _, v := range x {
		sum += int32(v)
	}
	return sum
}
