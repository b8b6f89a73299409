package infer

import (
	"fmt"

	"bq/internal/kernel"
	"bq/onnxio"
)

// Quantized products of the com.microsoft domain with float results, and weights of 2, 4 and 8 bits in blocks.
// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md

// bindDynamicQuantizeMatMul: A, quantized over its own range as DynamicQuantizeLinear does, times the quantized B with
// its scale and zero point, plus a bias.
func bindDynamicQuantizeMatMul(*binding) runFunc {
	dynamic := bindDynamicQuantizeLinear(nil)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		q, err := dynamic(r, in[:1])
		if err != nil {
			return nil, err
		}
		return one(r.integerProductToFloat(q[0], in[1], q[1], in[2], q[2], in[3], in[4]))
	}
}

// bindMatMulIntegerToFloat: (A - a zero point) * (B - b zero point) * a scale * b scale + bias.
func bindMatMulIntegerToFloat(*binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		y, err := r.integerProductToFloat(in[0], in[1], in[2], in[3], in[4], in[5], in[6])
		return one(r.castFrom(y, in[2].Type, err))
	}
}

func (r *run) integerProductToFloat(x, y, xScale, yScale, xZero, yZero, bias *onnxio.Array) (*onnxio.Array, error) {
	a, err := r.centered(x, xZero, true)
	if err != nil {
		return nil, err
	}
	b, err := r.centered(y, yZero, false)
	if err != nil {
		return nil, err
	}
	sums, err := r.matmul(a, b)
	if err != nil {
		return nil, err
	}
	if len(xScale.Shape) == 1 && xScale.Len() > 1 {
		xScale = xScale.Reshaped(xScale.Len(), 1)
	}
	out, err := r.scaled(sums, xScale, yScale)
	if err != nil {
		return nil, err
	}
	return r.sum(out, bias)
}

// bindQGemm: alpha * a scale * b scale * ((A' - a zero point) * (B' - b zero point) + C), quantized where y_scale is
// given, else float. b scale and zero point may be per column of B'.
func bindQGemm(b *binding) runFunc {
	alpha, ta, tb := b.float("alpha", 1), b.bool("transA", false), b.bool("transB", false)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, err := r.swapLast(in[0], ta)
		if err != nil {
			return nil, err
		}
		w, err := r.swapLast(in[3], tb)
		if err != nil {
			return nil, err
		}
		if x, err = r.centered(x, in[2], true); err != nil {
			return nil, err
		}
		if w, err = r.centered(w, in[5], false); err != nil {
			return nil, err
		}
		sums, err := r.matmul(x, w)
		if err != nil {
			return nil, err
		}
		if in[6] != nil {
			c, err := r.cast(in[6], onnxio.Int64)
			if err != nil {
				return nil, err
			}
			full, err := integers(r, sums, c, int(opAdd))
			if err != nil {
				return nil, err
			}
			if !equalShape(full[0].Shape, sums.Shape) {
				return nil, fmt.Errorf("adding shape %v to %v", c.Shape, sums.Shape)
			}
			sums = full[0]
		}
		y, err := r.scaled(sums, in[1], in[4])
		if err != nil {
			return nil, err
		}
		if y, err = r.times(y, alpha); err != nil || in[7] == nil {
			return one(y, err)
		}
		return r.requantized(y, in[7], in[8], in[0].Type)
	}
}

// nbits says how MatMulNBits packs B [N, ceil(K/block), block*bits/8], low bits first.
type nbits struct{ n, k, bits, block int }

// bindMatMulNBits: A [..., K] times the transpose of B, whose element (n, k) is (code - zero point) * scale of the block
// of k; zero points are packed like B or floats, by default half the range.
func bindMatMulNBits(b *binding) runFunc {
	z := &nbits{int(b.int("N", 0)), int(b.int("K", 0)), int(b.int("bits", 4)), int(b.int("block_size", 0))}
	b.ignore("accuracy_level") // how far A may be rounded: it is not
	if b.int("weight_prepacked", 0) != 0 {
		b.refuse("prepacked weights")
	}
	if z.bits != 2 && z.bits != 4 && z.bits != 8 {
		b.refuse("weights of %d bits", z.bits)
	}
	if z.n < 1 || z.k < 1 || z.block < 8 || z.n > maxValueElements || z.k > maxValueElements || z.block > maxValueElements {
		b.malformed("N %d, K %d, block_size %d", z.n, z.k, z.block)
	}
	return z.run
}

func (z *nbits) run(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
	x := in[0]
	rank := len(x.Shape)
	if rank == 0 || x.Shape[rank-1] != z.k {
		return nil, fmt.Errorf("multiplying shape %v by a matrix of %d rows", x.Shape, z.k)
	}
	row, err := z.rows(r, in[1], in[2], in[3], in[4])
	if err != nil {
		return nil, err
	}
	a, err := r.float32s(x)
	if err != nil {
		return nil, err
	}
	out, err := r.new(onnxio.Float, append(append([]int{}, x.Shape[:rank-1]...), z.n)...)
	if err != nil {
		return nil, err
	}
	dst := out.F32()
	kernel.Parallel(r.threads, z.n, func(n int) {
		w := make([]float32, z.k)
		row(w, n)
		for m := range len(a) / z.k {
			dst[m*z.n+n] = kernel.Dot(a[m*z.k:(m+1)*z.k], w)
		}
	})
	if out, err = r.sum(out, in[5]); err != nil {
		return nil, err
	}
	return one(r.cast(out, x.Type))
}

// rows returns a function that decodes row n of B.
func (z *nbits) rows(r *run, b, scales, zeros, groups *onnxio.Array) (func(dst []float32, n int), error) {
	blocks := (z.k + z.block - 1) / z.block
	stride := blocks * ((z.block*z.bits + 7) / 8)
	codes, ok := b.Data.([]uint8)
	s, err := r.float32s(scales)
	if !ok || err != nil || len(codes) != z.n*stride || len(s) != z.n*blocks {
		return nil, fmt.Errorf("weights %v %v with scales %v for [%d, %d]", b.Type, b.Shape, scales.Shape, z.n, z.k)
	}
	zero, err := z.zeros(r, zeros, blocks)
	if err != nil {
		return nil, err
	}
	group := func(k int) int { return k / z.block }
	if groups != nil {
		list, err := indices(groups, blocks)
		if err != nil || len(list) < z.k {
			return nil, fmt.Errorf("g_idx %v for %d rows: %w", groups.Shape, z.k, err)
		}
		group = func(k int) int { return list[k] }
	}
	return func(dst []float32, n int) {
		packed := codes[n*stride : (n+1)*stride]
		for k := range dst {
			g := group(k)
			dst[k] = (float32(bitsAt(packed, k, z.bits)) - zero(n, g)) * s[n*blocks+g]
		}
	}, nil
}

// zeros returns the zero point of block g of row n.
func (z *nbits) zeros(r *run, zeros *onnxio.Array, blocks int) (func(n, g int) float32, error) {
	if zeros == nil {
		half := float32(int(1) << (z.bits - 1))
		return func(n, g int) float32 { return half }, nil
	}
	if packed, ok := zeros.Data.([]uint8); ok {
		stride := (blocks*z.bits + 7) / 8
		if len(packed) != z.n*stride {
			return nil, fmt.Errorf("zero points %v for [%d, %d]", zeros.Shape, z.n, z.k)
		}
		return func(n, g int) float32 { return float32(bitsAt(packed[n*stride:], g, z.bits)) }, nil
	}
	d, err := r.float32s(zeros)
	if err != nil || len(d) != z.n*blocks {
		return nil, fmt.Errorf("zero points %v %v for [%d, %d]", zeros.Type, zeros.Shape, z.n, z.k)
	}
	return func(n, g int) float32 { return d[n*blocks+g] }, nil
}

// bitsAt returns code i of codes of 2, 4 or 8 bits, low bits first.
func bitsAt(packed []uint8, i, bits int) uint8 {
	per := 8 / bits
	return packed[i/per] >> (i % per * bits) & (1<<bits - 1)
}

// unpacked returns an array of uint8 whose bytes hold codes of the given bits along the last dimension, one by one.
func (r *run) unpacked(v *onnxio.Array, bits int) (*onnxio.Array, error) {
	codes, ok := v.Data.([]uint8)
	if !ok || v.Type != onnxio.Uint8 || bits == 8 || len(v.Shape) == 0 {
		return v, nil
	}
	shape := append([]int{}, v.Shape...)
	shape[len(shape)-1] *= 8 / bits
	out, err := r.new(onnxio.Uint8, shape...)
	if err != nil {
		return nil, err
	}
	dst := out.Data.([]uint8)
	for i := range dst {
		dst[i] = bitsAt(codes, i, bits)
	}
	return out, nil
}

// bindGatherBlockQuantized: entries of data along gather_axis, dequantized in blocks along quantize_axis. Data of uint8
// holds codes of the given bits packed along the last dimension, with half the range as the default zero point.
func bindGatherBlockQuantized(b *binding) runFunc {
	block, axis, along := b.int("block_size", 128), b.int("gather_axis", 0), b.int("quantize_axis", 1)
	bits := int(b.int("bits", 4))
	if bits != 2 && bits != 4 && bits != 8 {
		b.refuse("data of %d bits", bits)
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		rank := len(in[0].Shape)
		a, err := axisOf(axis, rank)
		if err != nil {
			return nil, err
		}
		q, err := axisOf(along, rank)
		if err != nil {
			return nil, err
		}
		if a == q || len(in[2].Shape) != rank || in[0].Type == onnxio.Uint8 && bits < 8 && (q != rank-1 || a == rank-1) {
			return nil, fmt.Errorf("gathering along axis %d of %v in blocks along %d with scales %v", a, in[0].Shape, q, in[2].Shape)
		}
		var parts [3]*onnxio.Array
		for i, v := range []*onnxio.Array{in[0], in[2], in[3]} {
			if v == nil {
				continue
			}
			if parts[i], err = r.gather(v, in[1], int64(a)); err != nil {
				return nil, err
			}
			if i != 1 {
				if parts[i], err = r.unpacked(parts[i], bits); err != nil {
					return nil, err
				}
			}
		}
		if q > a {
			q += len(in[1].Shape) - 1
		}
		return one(r.blocks(parts[0], parts[1], parts[2], int64(q), block, bits))
	}
}

// blocks dequantizes x in blocks along an axis; uint8 without zero points takes half the range of the bits.
func (r *run) blocks(x, scale, zero *onnxio.Array, axis, block int64, bits int) (*onnxio.Array, error) {
	if zero != nil && zero.Shape[axis] > scale.Shape[axis] { // the last byte of packed zero points may have room left
		sizes := []int{scale.Shape[axis], zero.Shape[axis] - scale.Shape[axis]}
		parts, err := r.split(zero, int(axis), sizes, 2)
		if err != nil {
			return nil, err
		}
		zero = parts[0]
	}
	s, err := planScaling(x, scale, zero, axis, block)
	if err != nil {
		return nil, err
	}
	scales, err := r.float32s(scale)
	if err != nil {
		return nil, err
	}
	half := int64(0)
	if zero == nil && x.Type == onnxio.Uint8 {
		half = 1 << (bits - 1)
	}
	out, err := r.new(onnxio.Float, x.Shape...)
	if err != nil {
		return nil, err
	}
	zeros := zeroPoints(zero)
	for i, v := range x.Ints() {
		p := s.at(i)
		out.F32()[i] = float32(v-half-zeros.at(p)) * scales[p]
	}
	return r.cast(out, scale.Type)
}

// bindDynamicQuantizeLSTM: LSTM with W [directions, input, 4*hidden] and R [directions, hidden, 4*hidden] dequantized by
// their scales and zero points. Its activations stay float, where ONNX Runtime rounds them to 8 bits.
func bindDynamicQuantizeLSTM(b *binding) runFunc {
	lstm := bindLSTM(b)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		args := append([]*onnxio.Array{}, in[:8]...)
		for i := range 2 {
			w, err := r.lstmWeights(in[1+i], in[8+2*i], in[9+2*i])
			if err != nil {
				return nil, err
			}
			args[1+i] = w
		}
		return lstm(r, args)
	}
}

// lstmWeights dequantizes w, one scale per direction or per column of a direction, and transposes its matrices.
func (r *run) lstmWeights(w, scale, zero *onnxio.Array) (*onnxio.Array, error) {
	if len(w.Shape) != 3 || !isInteger(w.Type) || zero.Type != w.Type || !equalShape(scale.Shape, zero.Shape) {
		return nil, fmt.Errorf("weights %v %v with scales %v", w.Type, w.Shape, scale.Shape)
	}
	shape := []int{w.Shape[0], 1, 1}
	if scale.Len() == w.Shape[0]*w.Shape[2] {
		shape[2] = w.Shape[2]
	}
	if scale.Len() != product(shape) {
		return nil, fmt.Errorf("scales %v for weights %v", scale.Shape, w.Shape)
	}
	v, err := r.centered(w, zero.Reshaped(shape...), false)
	if err != nil {
		return nil, err
	}
	if v, err = r.cast(v, onnxio.Float); err != nil {
		return nil, err
	}
	if v, err = r.scaleShift(v, scale.Reshaped(shape...), nil, onnxio.Float); err != nil {
		return nil, err
	}
	return r.swapLast(v, true)
}
