package infer

import (
	"cmp"
	"fmt"
	"math"

	"bq/internal/kernel"
	"bq/onnxio"
)

// scaling says which scale and zero point belong to an element: one for all, one per entry of an axis, or one per
// block along it.
type scaling struct{ inner, size, block, blocks int }

// planScaling checks the shape of scale against x (QuantizeLinear and DequantizeLinear, attribute block_size).
func planScaling(x, scale, zero *onnxio.Array, axis, block int64) (*scaling, error) {
	if zero != nil && !equalShape(zero.Shape, scale.Shape) && (zero.Len() != 1 || scale.Len() != 1) {
		return nil, fmt.Errorf("zero point %v, scale %v", zero.Shape, scale.Shape)
	}
	if block == 0 && scale.Len() == 1 && len(scale.Shape) <= 1 {
		return &scaling{}, nil
	}
	a, err := axisOf(axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	s := &scaling{inner: product(x.Shape[a+1:]), size: x.Shape[a]}
	if block == 0 {
		if !equalShape(scale.Shape, []int{s.size}) {
			return nil, fmt.Errorf("scale %v for axis %d of %v", scale.Shape, a, x.Shape)
		}
		return s, nil
	}
	if block < 0 || len(scale.Shape) != len(x.Shape) {
		return nil, fmt.Errorf("scale %v for blocks of %d along axis %d of %v", scale.Shape, block, a, x.Shape)
	}
	s.block = int(min(block, maxValueElements))
	s.blocks = (s.size + s.block - 1) / s.block
	for i, d := range x.Shape {
		if i == a {
			d = s.blocks
		}
		if scale.Shape[i] != d {
			return nil, fmt.Errorf("scale %v for blocks of %d along axis %d of %v", scale.Shape, block, a, x.Shape)
		}
	}
	return s, nil
}

// at returns the position of the scale of element i.
func (s *scaling) at(i int) int {
	switch {
	case s.size == 0:
		return 0
	case s.block == 0:
		return i / s.inner % s.size
	}
	return (i/(s.inner*s.size)*s.blocks+i/s.inner%s.size/s.block)*s.inner + i%s.inner
}

// quantizedType reports whether t is an integer type that QuantizeLinear can produce.
func quantizedType(t onnxio.DataType) bool {
	switch t {
	case onnxio.Int8, onnxio.Uint8, onnxio.Int16, onnxio.Uint16, onnxio.Int4, onnxio.Uint4, onnxio.Int2, onnxio.Uint2:
		return true
	}
	return false
}

// bindQuantizeLinear: saturate(round(x / scale) + zero point), halves rounded to even; x / scale rounded to the type for
// float8 and float4. The type is that of the zero point, else output_dtype, else uint8.
func bindQuantizeLinear(b *binding) runFunc {
	axis, block, to := b.int("axis", 1), b.int("block_size", 0), onnxio.DataType(b.int("output_dtype", 0))
	small := smallCast{saturate: b.bool("saturate", true)}
	if p := b.int("precision", 0); p != 0 && p != int64(onnxio.Float) {
		b.refuse("attribute \"precision\" = %d", p)
	}
	if to != onnxio.Undefined && !quantizedType(to) && !to.IsSmallFloat() {
		b.refuse("quantizing to %v", to)
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, scale, zero := in[0], in[1], in[2]
		t := to
		if zero != nil {
			t = zero.Type
		}
		if t == onnxio.Undefined {
			t = onnxio.Uint8
		}
		s, err := planScaling(x, scale, zero, axis, block)
		if err != nil {
			return nil, err
		}
		if t.IsSmallFloat() {
			return one(r.quantizeSmall(x, scale, zero, s, t, small))
		}
		return one(r.quantize(x, scale, zero, s, t))
	}
}

func (r *run) quantize(x, scale, zero *onnxio.Array, s *scaling, t onnxio.DataType) (*onnxio.Array, error) {
	if !quantizedType(t) || !scale.Type.IsFloat() {
		return nil, fmt.Errorf("quantizing to %v with a scale of %v", t, scale.Type)
	}
	if !x.Type.IsFloat() && x.Type != onnxio.Int32 {
		return nil, typeError(x)
	}
	v, err := r.cast(x, onnxio.Float)
	if err != nil {
		return nil, err
	}
	sc, err := r.cast(scale, onnxio.Float)
	if err != nil {
		return nil, err
	}
	scales, zeros := sc.F32(), zeroPoints(zero)
	if s.size == 0 && (t == onnxio.Uint8 || t == onnxio.Int8) && scales[0] > 0 { // one scale
		out, err := r.new(t, x.Shape...)
		if err != nil {
			return nil, err
		}
		dst, src, zero := byteData(out), v.F32(), int32(zeros.at(0))
		r.chunks(len(dst), func(lo, hi int) { kernel.Quantize(dst[lo:hi], src[lo:hi], scales[0], zero, t == onnxio.Int8) })
		return out, nil
	}
	out, err := r.new(onnxio.Int64, x.Shape...)
	if err != nil {
		return nil, err
	}
	lo, hi := integerRange(t)
	dst := out.Data.([]int64)
	for i, f := range v.F32() {
		p := s.at(i)
		dst[i] = saturate(math.RoundToEven(float64(f/scales[p])), zeros.at(p), lo, hi)
	}
	return r.cast(out, t)
}

// points are zero points; nil stands for zeros.
type points []int64

func zeroPoints(zero *onnxio.Array) points {
	if zero == nil {
		return nil
	}
	return zero.Ints()
}

func (z points) at(i int) int64 {
	switch {
	case z == nil:
		return 0
	case len(z) == 1:
		return z[0]
	}
	return z[i]
}

// saturate returns v + zero limited to lo..hi; NaN gives the zero point.
func saturate(v float64, zero, lo, hi int64) int64 {
	if v != v {
		v = 0
	}
	return int64(max(float64(lo), min(float64(hi), v+float64(zero))))
}

// bindDequantizeLinear: (x - zero point) * scale, in the type of the scale.
func bindDequantizeLinear(b *binding) runFunc {
	axis, block, to := b.int("axis", 1), b.int("block_size", 0), onnxio.DataType(b.int("output_dtype", 0))
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, scale, zero := in[0], in[1], in[2]
		s, err := planScaling(x, scale, zero, axis, block)
		if err != nil {
			return nil, err
		}
		if !isInteger(x.Type) && !x.Type.IsSmallFloat() || zero != nil && zero.Type != x.Type {
			return nil, typeError(x)
		}
		sc, err := r.cast(scale, onnxio.Float)
		if err != nil {
			return nil, err
		}
		out, err := r.new(onnxio.Float, x.Shape...)
		if err != nil {
			return nil, err
		}
		scales, zeros, dst := sc.F32(), zeroPoints(zero), out.F32()
		if s.size == 0 && isByte(x) { // one scale
			src, zero := byteData(x), int32(zeros.at(0))
			r.chunks(len(dst), func(lo, hi int) { kernel.Dequantize(dst[lo:hi], src[lo:hi], scales[0], zero, x.Type == onnxio.Int8) })
			return one(r.cast(out, dequantizedType(to, scale.Type)))
		}
		for i, v := range x.F32() { // float8 and float4, whose zero points are zero
			dst[i] = v * scales[s.at(i)]
		}
		for i, v := range x.Ints() {
			p := s.at(i)
			dst[i] = float32(v-zeros.at(p)) * scales[p]
		}
		return one(r.cast(out, dequantizedType(to, scale.Type)))
	}
}

// dequantizedType is the type asked for, else that of the scale.
func dequantizedType(asked, scale onnxio.DataType) onnxio.DataType {
	if asked == onnxio.Undefined {
		return scale
	}
	return asked
}

// bindDynamicQuantizeLinear: x quantized to uint8 over its own range, which is widened to hold zero.
func bindDynamicQuantizeLinear(*binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		if x.Type != onnxio.Float {
			return nil, typeError(x)
		}
		var lo, hi float32
		for _, v := range x.F32() {
			lo, hi = min(lo, v), max(hi, v)
		}
		scale := (hi - lo) / 255
		zero := int64(0)
		if scale != 0 {
			zero = saturate(math.RoundToEven(float64(-lo/scale)), 0, 0, 255)
		}
		s := onnxio.Floats([]float32{scale})
		z := &onnxio.Array{Type: onnxio.Uint8, Shape: []int{}, Data: []uint8{uint8(zero)}}
		if scale == 0 { // nothing but zeros: any scale will do for the division
			s = onnxio.Floats([]float32{1})
		}
		y, err := r.quantize(x, s, z, &scaling{}, onnxio.Uint8)
		return []*onnxio.Array{y, s, z}, err
	}
}

// bindMatMulInteger: (A - a zero point) * (B - b zero point) in int32; zero points per tensor, per row of A or per
// column of B.
func bindMatMulInteger(b *binding) runFunc {
	weights := b.weightsOnce(1, 3, lastDim, false)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		sums, shape, err := r.productOfBytes(in[0], in[2], in[1], in[3], weights)
		if err != nil {
			return nil, err
		}
		if sums != nil {
			return []*onnxio.Array{{Type: onnxio.Int32, Shape: shape, Data: sums}}, nil
		}
		a, err := r.centered(in[0], in[2], true)
		if err != nil {
			return nil, err
		}
		b, err := r.centered(in[1], in[3], false)
		if err != nil {
			return nil, err
		}
		out, err := r.matmul(a, b)
		if err != nil {
			return nil, err
		}
		return one(r.cast(out, onnxio.Int32))
	}
}

// productOfBytes multiplies x with w, whose values may be prepared as weights [k, n]; nil sums where kernels on bytes do
// not take the operands.
func (r *run) productOfBytes(x, xz, w, wz *onnxio.Array, weights *byteWeights) (sums []int32, shape []int, err error) {
	if err := cmp.Or(sameType(x, xz), sameType(w, wz)); err != nil {
		return nil, nil, err
	}
	if weights != nil && len(x.Shape) >= 2 && len(w.Shape) == 2 && x.Shape[len(x.Shape)-1] == w.Shape[0] {
		sums, err = r.matmulBytes(x, xz, weights, w.Shape[0], w.Shape[1])
		return sums, append(append([]int{}, x.Shape[:len(x.Shape)-1]...), w.Shape[1]), err
	}
	if !isByte(x) || !isByte(w) || xz != nil && xz.Len() != 1 || wz != nil && (wz.Len() != 1 || wz.Type != w.Type) {
		return nil, nil, nil
	}
	p, err := planProducts(x.Shape, w.Shape)
	if err != nil || p.m*p.n*p.k == 0 || p.k > maxByteTerms {
		return nil, nil, err
	}
	if sums, err = r.int32s(product(p.shape)); err != nil {
		return nil, nil, err
	}
	var failed error
	p.each(func(c, a, b int) {
		prepared, ok := signedWeights(part(w, b*p.k*p.n, p.k*p.n), wz, p.n, false)
		if !ok || failed != nil {
			return
		}
		one, err := r.matmulBytes(part(x, a*p.m*p.k, p.m*p.k), xz, prepared, p.k, p.n)
		copy(sums[c*p.m*p.n:], one)
		failed = err
	})
	return sums, p.shape, failed
}

// part views n elements of an 8-bit array from at on.
func part(x *onnxio.Array, at, n int) *onnxio.Array {
	v := &onnxio.Array{Type: x.Type, Shape: []int{n}}
	switch d := x.Data.(type) {
	case []uint8:
		v.Data = d[at : at+n]
	case []int8:
		v.Data = d[at : at+n]
	}
	return v
}

// centered returns x minus its zero points as int64: one for all, else one per row (rows) or per column.
func (r *run) centered(x, zero *onnxio.Array, rows bool) (*onnxio.Array, error) {
	if !isInteger(x.Type) {
		return nil, typeError(x)
	}
	if zero == nil {
		return r.cast(x, onnxio.Int64)
	}
	if err := sameType(x, zero); err != nil {
		return nil, err
	}
	v, err := r.cast(x, onnxio.Int64)
	if err != nil {
		return nil, err
	}
	z, err := r.cast(zero, onnxio.Int64)
	if err != nil {
		return nil, err
	}
	if rows && len(z.Shape) == 1 && z.Len() > 1 {
		z = z.Reshaped(z.Shape[0], 1)
	}
	out, err := integers(r, v, z, int(opSub))
	if err != nil {
		return nil, err
	}
	if !equalShape(out[0].Shape, x.Shape) {
		return nil, fmt.Errorf("zero point %v for %v", zero.Shape, x.Shape)
	}
	return out[0], nil
}

// bindQLinearMatMul: the product of dequantized matrices, quantized again.
func bindQLinearMatMul(b *binding) runFunc {
	weights := b.weightsOnce(3, 5, lastDim, false)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		if q, ok := newRequantizer(in[1], in[4], in[6], in[7], lastOf(in[3])); ok {
			sums, shape, err := r.productOfBytes(in[0], in[2], in[3], in[5], weights)
			if err != nil {
				return nil, err
			}
			if sums != nil {
				out, err := r.new(q.typ, shape...)
				if err != nil {
					return nil, err
				}
				q.columns(r, byteData(out), sums, lastOf(in[3]))
				return []*onnxio.Array{out}, nil
			}
		}
		a, err := r.centered(in[0], in[2], true)
		if err != nil {
			return nil, err
		}
		b, err := r.centered(in[3], in[5], false)
		if err != nil {
			return nil, err
		}
		out, err := r.matmul(a, b)
		if err != nil {
			return nil, err
		}
		rows := in[1]
		if len(rows.Shape) == 1 && rows.Len() > 1 {
			rows = rows.Reshaped(rows.Shape[0], 1)
		}
		y, err := r.scaled(out, rows, in[4])
		if err != nil {
			return nil, err
		}
		s, err := planScaling(y, in[6], in[7], -1, 0)
		if err != nil {
			return nil, err
		}
		return one(r.quantize(y, in[6], in[7], s, in[7].Type))
	}
}

// scaled returns sums times two broadcast scales as float32.
func (r *run) scaled(sums, a, b *onnxio.Array) (*onnxio.Array, error) {
	y, err := r.cast(sums, onnxio.Float)
	if err != nil {
		return nil, err
	}
	if y, err = r.scaleShift(y, a, nil, onnxio.Float); err != nil {
		return nil, err
	}
	return r.scaleShift(y, b, nil, onnxio.Float)
}

// bindConvInteger: the convolution of (X - x zero point) with (W - w zero point) in int32.
func bindConvInteger(b *binding) runFunc {
	c := newIntegerConv(b, 1, 3)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		plan, err := c.plan(in[0], in[1], nil)
		if err != nil {
			return nil, err
		}
		sums, err := c.sums(r, plan, in[0], in[2])
		if err != nil {
			return nil, err
		}
		if sums != nil {
			return []*onnxio.Array{{Type: onnxio.Int32, Shape: plan.shape, Data: sums}}, nil
		}
		out, err := c.slow(r, plan, in[0], in[2], in[1], in[3], nil)
		if err != nil {
			return nil, err
		}
		return one(r.cast(out, onnxio.Int32))
	}
}

// integerConv is a convolution of integers less their zero points.
type integerConv struct {
	win     *window
	group   int
	weights *byteWeights // where they are constant bytes
}

func newIntegerConv(b *binding, w, wz int) *integerConv {
	return &integerConv{bindWindow(b), int(b.int("group", 1)), b.weightsOnce(w, wz, firstDim, true)}
}

// convPlan is the geometry of one run of a convolution.
type convPlan struct {
	n, c, m int
	k       *kernel.Window
	shape   []int // of the result
}

func (c *integerConv) plan(x, w, bias *onnxio.Array) (*convPlan, error) {
	like := func(a *onnxio.Array) *onnxio.Array { return &onnxio.Array{Type: onnxio.Int64, Shape: a.Shape} }
	p := &convPlan{}
	var err error
	if p.n, p.c, p.m, err = channels(like(x), like(w), nil, c.group, false); err != nil {
		return nil, err
	}
	size := w.Shape[2:]
	if c.win.kernel != nil && !equalShape(c.win.kernel, size) {
		return nil, fmt.Errorf("kernel_shape %v, weights %v", c.win.kernel, w.Shape)
	}
	var spatial []int
	if p.k, spatial, _, err = c.win.forward(x.Shape[2:], size); err != nil {
		return nil, err
	}
	if bias != nil && !equalShape(bias.Shape, []int{p.m}) {
		return nil, fmt.Errorf("bias %v, want [%d]", bias.Shape, p.m)
	}
	p.shape = append([]int{p.n, p.m}, spatial...)
	return p, nil
}

// sums convolves by kernels on bytes; nil where the operands are not for them.
func (c *integerConv) sums(r *run, p *convPlan, x, xz *onnxio.Array) ([]int32, error) {
	if c.weights == nil {
		return nil, nil
	}
	return r.convolveBytes(x, xz, c.weights, p.n, p.c, p.m, c.group, p.k)
}

// slow convolves integers of any type and adds an integer bias, exactly, in int64.
func (c *integerConv) slow(r *run, p *convPlan, x, xz, w, wz, bias *onnxio.Array) (*onnxio.Array, error) {
	if wz != nil && wz.Len() > 1 && len(w.Shape) > 0 { // one zero point per output channel
		shape := []int{wz.Len()}
		for range w.Shape[1:] {
			shape = append(shape, 1)
		}
		wz = wz.Reshaped(shape...)
	}
	xi, err := r.centered(x, xz, false)
	if err != nil {
		return nil, err
	}
	wi, err := r.centered(w, wz, false)
	if err != nil {
		return nil, err
	}
	out, err := r.new(onnxio.Int64, p.shape...)
	if err != nil {
		return nil, err
	}
	kernel.ConvIntegers(out.Data.([]int64), xi.Ints(), wi.Ints(), zeroPoints(bias), p.n, p.c, p.m, c.group, p.k, r.threads)
	return out, nil
}

// bindQLinearConv: the convolution of dequantized X and W plus an int32 bias of scale x scale * w scale, quantized
// again; w scale and w zero point per tensor or per output channel.
func bindQLinearConv(b *binding) runFunc {
	c := newIntegerConv(b, 3, 5)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		p, err := c.plan(in[0], in[3], in[8])
		if err != nil {
			return nil, err
		}
		if q, ok := newRequantizer(in[1], in[4], in[6], in[7], p.m); ok {
			out, err := r.blank(q.typ, p.shape...)
			if err != nil {
				return nil, err
			}
			if r.convolveQuantized(byteData(out), in[0], in[2], c.weights, zeroPoints(in[8]), p, c.group, q) {
				return []*onnxio.Array{out}, nil
			}
			sums, err := c.sums(r, p, in[0], in[2])
			if err != nil {
				return nil, err
			}
			if sums != nil {
				r.requantizePlanes(byteData(out), q, p, sums, zeroPoints(in[8]))
				return []*onnxio.Array{out}, nil
			}
		}
		sums, err := c.slow(r, p, in[0], in[2], in[3], in[5], in[8])
		if err != nil {
			return nil, err
		}
		wScale := in[4]
		if wScale.Len() > 1 {
			shape := []int{wScale.Len()}
			for range sums.Shape[2:] {
				shape = append(shape, 1)
			}
			wScale = wScale.Reshaped(shape...)
		}
		y, err := r.scaled(sums, in[1], wScale)
		if err != nil {
			return nil, err
		}
		return r.requantized(y, in[6], in[7], in[7].Type)
	}
}

// requantizePlanes turns sums [n, m, spatial] into bytes.
func (r *run) requantizePlanes(dst []uint8, q *requantizer, p *convPlan, sums []int32, bias points) {
	size := p.k.OutSize()
	r.rows(p.n*p.m, size, func(i int) {
		q.row(dst[i*size:(i+1)*size], sums[i*size:(i+1)*size], i%p.m, bias.at(i%p.m))
	})
}
