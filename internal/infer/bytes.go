package infer

import (
	"fmt"
	"math"
	"unsafe"

	"bq/internal/kernel"
	"bq/onnxio"
)

// Products of 8-bit operands by kernels on bytes. A kernel takes one operand unsigned and the other signed; 128 is added
// to, or taken from, an operand of the other kind and its zero point alike, which changes no difference of the two.

// maxByteTerms bounds the products of one sum, so that sum and bias stay within int32.
const maxByteTerms = kernel.MaxIntegerTerms / 2

// isByte reports whether x holds 8-bit integers.
func isByte(x *onnxio.Array) bool { return x.Type == onnxio.Uint8 || x.Type == onnxio.Int8 }

// byteData returns the elements of an 8-bit array as they lie in memory.
func byteData(x *onnxio.Array) []uint8 {
	switch d := x.Data.(type) {
	case []uint8:
		return d
	case []int8:
		return unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(d))), len(d))
	}
	return nil
}

// sameType refuses a zero point whose type is not that of the values it belongs to (ONNX: both are T1, or both T2); the
// byte of one kind would be read as the other kind.
func sameType(x, zero *onnxio.Array) error {
	if zero != nil && zero.Type != x.Type {
		return fmt.Errorf("zero point of type %v for values of type %v", zero.Type, x.Type)
	}
	return nil
}

// flipped adds 128 to each byte, modulo 256.
func flipped(x []uint8) []uint8 {
	y := make([]uint8, len(x))
	for i, v := range x {
		y[i] = v ^ 0x80
	}
	return y
}

// unsignedBytes returns x and its zero point as unsigned bytes.
func unsignedBytes(x *onnxio.Array, zero int64) ([]uint8, int32) {
	if x.Type == onnxio.Int8 {
		return flipped(byteData(x)), int32(zero) + 128
	}
	return byteData(x), int32(zero)
}

// byteWeights is a right or left operand as signed bytes, with what zero points ask for.
type byteWeights struct {
	data  []int8
	zeros []int32 // by output; nil where all are 0
	sums  []int32 // of the weights of each output

	filters *kernel.ByteFilters // of rows, laid out when the node is bound
	columns *kernel.ByteColumns // of columns, laid out when the node is bound
}

// signedWeights prepares weights [outs, k] where rows is set, [k, outs] else; false where they are no bytes, or their
// zero points are not one for all or one for each output.
func signedWeights(w, zero *onnxio.Array, outs int, rows bool) (*byteWeights, bool) {
	if !isByte(w) || zero != nil && (zero.Type != w.Type || zero.Len() != 1 && zero.Len() != outs) || outs == 0 {
		return nil, false
	}
	raw, shift := byteData(w), int64(0)
	if w.Type == onnxio.Uint8 {
		raw, shift = flipped(raw), 128
	}
	b := &byteWeights{data: unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(raw))), len(raw)), sums: make([]int32, outs)}
	k := len(raw) / outs
	for i, v := range b.data {
		if rows {
			b.sums[i/k] += int32(v)
		} else {
			b.sums[i%outs] += int32(v)
		}
	}
	zeros, all := make([]int32, outs), int32(0)
	for o := range zeros {
		zeros[o] = int32(zeroPoints(zero).at(o) - shift)
		all |= zeros[o]
	}
	if all != 0 {
		b.zeros = zeros
	}
	return b, true
}

// weightsOnce prepares weights that are constant when the node is bound; nil where they are not constant, or no bytes.
func (b *binding) weightsOnce(input, zero int, outs func(w *onnxio.Array) int, rows bool) *byteWeights {
	w, z := b.constant(input), b.constant(zero)
	if w == nil || z == nil && b.given(zero) || len(w.Shape) < 2 {
		return nil
	}
	prepared, ok := signedWeights(w, z, outs(w), rows)
	switch n := outs(w); {
	case !ok:
	case rows:
		prepared.filters = kernel.PackByteFilters(prepared.data, prepared.zeros, n, w.Len()/n)
	case len(w.Shape) == 2:
		prepared.columns = kernel.PackByteColumns(prepared.data, w.Shape[0], n)
	}
	return prepared
}

// constant returns an input that is known when the node is bound, nil for others.
func (b *binding) constant(i int) *onnxio.Array {
	if !b.given(i) {
		return nil
	}
	return b.scope.g.consts[b.node.in[i]]
}

func firstDim(w *onnxio.Array) int { return w.Shape[0] }
func lastDim(w *onnxio.Array) int  { return w.Shape[len(w.Shape)-1] }

// lastOf is lastDim, 1 for a scalar.
func lastOf(w *onnxio.Array) int {
	if len(w.Shape) == 0 {
		return 1
	}
	return lastDim(w)
}

// convolveBytes is the convolution of (x - x zero) with (w - w zero): sums [n, m, spatial] in int32; nil where the
// operands are not of the kind that kernels on bytes take.
func (r *run) convolveBytes(x, xz *onnxio.Array, b *byteWeights, n, c, m, group int, k *kernel.Window) ([]int32, error) {
	if err := sameType(x, xz); err != nil {
		return nil, err
	}
	out, terms := k.OutSize(), c/group*k.KernelSize()
	if !isByte(x) || xz != nil && xz.Len() != 1 || terms > maxByteTerms {
		return nil, nil
	}
	dst, err := r.int32s(n * m * out)
	if err != nil {
		return nil, err
	}
	data, zero := unsignedBytes(x, zeroPoints(xz).at(0))
	b.filters.Conv(dst, data, uint8(zero), n, c, group, k, r.threads)
	var inputs []int32 // sums of the inputs that each output sees, by group
	if b.zeros != nil {
		ones := make([]int8, group*terms)
		for i := range ones {
			ones[i] = 1
		}
		inputs = make([]int32, n*group*out)
		kernel.ConvBytes(inputs, data, uint8(zero), ones, n, c, group, group, k, r.threads)
	}
	for i := range n * m {
		o, row := i%m, dst[i*out:(i+1)*out]
		shift := -zero * b.sums[o]
		if b.zeros == nil {
			addConstant(row, shift)
			continue
		}
		shift += int32(terms) * zero * b.zeros[o]
		seen := inputs[(i/m*group+o/(m/group))*out:]
		for j := range row {
			row[j] += shift - b.zeros[o]*seen[j]
		}
	}
	return dst, nil
}

// convolveQuantized is the convolution of convolveBytes plus bias, requantized into dst [n, m, spatial] as the sums are
// there; false where it does not take the operands.
func (r *run) convolveQuantized(dst []uint8, x, xz *onnxio.Array, b *byteWeights, bias points, p *convPlan, group int, q *requantizer) bool {
	if b == nil || xz != nil && (xz.Len() != 1 || xz.Type != x.Type) || !isByte(x) {
		return false
	}
	terms := p.c / group * p.k.KernelSize()
	zero, flip := byteZero(x.Type, int32(zeroPoints(xz).at(0)))
	shifts, ok := b.shifts(zero, terms, bias)
	if !ok {
		return false
	}
	low, high := integerRange(q.typ)
	b.filters.ConvBytesTo(dst, byteData(x), flip, uint8(zero), p.n, p.c, group, p.k, &kernel.ByteFinish{
		Finish: kernel.Finish{Bias: shifts, First: q.first, Second: q.second}, Out: q.out, Zero: q.zero, Low: int32(low), High: int32(high)}, r.threads)
	return true
}

// byteZero returns the zero point of values of type t as that of unsigned bytes, and what makes them such.
func byteZero(t onnxio.DataType, zero int32) (unsigned int32, flip uint8) {
	if t == onnxio.Int8 {
		return zero + 128, 0x80
	}
	return zero, 0
}

// shifts returns what is added to the sums of each output, of unsigned bytes with weights less their zero points: the
// bias, and what the zero point of the bytes takes off. It is false where a sum could leave int32.
func (b *byteWeights) shifts(zero int32, terms int, bias points) ([]int32, bool) {
	if terms > maxByteTerms/2 {
		return nil, false
	}
	list := make([]int32, len(b.sums))
	for o, sum := range b.sums {
		v := bias.at(o)
		if v < -safeBias || v > safeBias {
			return nil, false
		}
		if b.zeros != nil {
			sum -= int32(terms) * b.zeros[o]
		}
		list[o] = int32(v) - zero*sum // what wraps around here does so back in the sum
	}
	return list, true
}

func addConstant(row []int32, v int32) {
	if v == 0 {
		return
	}
	for j := range row {
		row[j] += v
	}
}

// int32s allocates n sums within the limits of the run.
func (r *run) int32s(n int) ([]int32, error) {
	a, err := r.new(onnxio.Int32, n)
	if err != nil {
		return nil, err
	}
	return a.Data.([]int32), nil
}

// matmulBytes is the product of (x - x zero) [..., m, k] and (w - w zero) [k, n]: sums [rows, n] in int32; nil where the
// operands are not of the kind that kernels on bytes take. x has one zero point.
func (r *run) matmulBytes(x, xz *onnxio.Array, b *byteWeights, k, n int) ([]int32, error) {
	if err := sameType(x, xz); err != nil {
		return nil, err
	}
	if !isByte(x) || xz != nil && xz.Len() != 1 || k == 0 || k > maxByteTerms {
		return nil, nil
	}
	rows := x.Len() / k
	dst, err := r.int32s(rows * n)
	if err != nil {
		return nil, err
	}
	data, zero := unsignedBytes(x, zeroPoints(xz).at(0))
	if b.columns != nil {
		b.columns.Product(dst, data, rows, r.threads)
	} else {
		kernel.ProductBytes(dst, rows, n, k, data, b.data, r.threads)
	}
	r.rows(rows, n, func(i int) {
		row := dst[i*n : (i+1)*n]
		for j := range row {
			row[j] -= zero * b.sums[j]
		}
		if b.zeros == nil {
			return
		}
		seen := int32(0)
		for _, v := range data[i*k : (i+1)*k] {
			seen += int32(v)
		}
		for j := range row {
			row[j] += b.zeros[j] * (int32(k)*zero - seen)
		}
	})
	return dst, nil
}

// requantizer holds the scales and the zero point with which sums become bytes.
type requantizer struct {
	first, out float32
	second     []float32 // one, or one for each output
	zero       int32
	typ        onnxio.DataType
}

// newRequantizer takes the scales of x, w and y and the zero point of y; false for what kernels do not take.
func newRequantizer(xs, ws, ys, yz *onnxio.Array, outs int) (*requantizer, bool) {
	for _, s := range []*onnxio.Array{xs, ws, ys} {
		if s.Type != onnxio.Float {
			return nil, false
		}
	}
	if xs.Len() != 1 || ys.Len() != 1 || ws.Len() != 1 && ws.Len() != outs || !isByte(yz) || yz.Len() != 1 || !(ys.F32()[0] > 0) {
		return nil, false
	}
	return &requantizer{xs.F32()[0], ys.F32()[0], ws.F32(), int32(zeroPoints(yz).at(0)), yz.Type}, true
}

// columns turns rows of n sums, a column for each output, into bytes.
func (q *requantizer) columns(r *run, dst []uint8, sums []int32, n int) {
	if n == 0 {
		return
	}
	r.rows(len(sums)/n, n, func(i int) {
		to, row := dst[i*n:(i+1)*n], sums[i*n:(i+1)*n]
		if len(q.second) == 1 {
			q.row(to, row, 0, 0)
			return
		}
		kernel.RequantizeColumns(to, row, q.first, q.second, q.out, q.zero, q.typ == onnxio.Int8)
	})
}

// row turns the sums of output o, or of all outputs where there is one scale, into bytes.
func (q *requantizer) row(dst []uint8, sums []int32, o int, bias int64) {
	second := q.second[0]
	if len(q.second) > 1 {
		second = q.second[o]
	}
	if bias >= -safeBias && bias <= safeBias {
		kernel.Requantize(dst, sums, int32(bias), q.first, second, q.out, q.zero, q.typ == onnxio.Int8)
		return
	}
	lo, hi := integerRange(q.typ)
	for i, v := range sums {
		y := float32(float32(int64(v)+bias)*q.first) * second / q.out
		dst[i] = uint8(saturate(math.RoundToEven(float64(y)), int64(q.zero), lo, hi))
	}
}

// safeBias is what may be added to a sum of maxByteTerms products within int32.
const safeBias = 1 << 30
