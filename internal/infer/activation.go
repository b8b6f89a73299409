package infer

import (
	"fmt"
	"math"

	"bq/internal/kernel"
	"bq/onnxio"
)

// float32s returns the elements of x as float32, converted where x holds float64.
// Operators whose arithmetic is written once, in float32, accept float64 this way, at float32 precision.
func (r *run) float32s(x *onnxio.Array) ([]float32, error) {
	if d := x.F32(); d != nil || x.Type == onnxio.Float {
		return d, nil
	}
	if x.Type != onnxio.Double {
		return nil, typeError(x)
	}
	v, err := r.cast(x, onnxio.Float)
	if err != nil {
		return nil, err
	}
	return v.F32(), nil
}

// bindRelu: max(0, X); NaN stays NaN. Also of integers.
func bindRelu(*binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		if d := x.F32(); d != nil {
			out, err := r.new(x.Type, x.Shape...)
			if err != nil {
				return nil, err
			}
			dst := out.F32()
			r.chunks(len(d), func(lo, hi int) { kernel.Clamp(dst[lo:hi], d[lo:hi], 0, float32(math.Inf(1))) })
			return []*onnxio.Array{out}, nil
		}
		zero, err := r.new(x.Type)
		if err != nil {
			return nil, err
		}
		if x.Type == onnxio.Double {
			return binary(r, x.Type, x, zero, spanOf(maxOf[float64]))
		}
		return integers(r, x, zero, opIntMax)
	}
}

// bindClip: X limited to [min, max]; where min > max the result is max. Bounds are attributes up to version 10 and
// inputs from 11 on.
func bindClip(b *binding) runFunc {
	lo, hi := math.Inf(-1), math.Inf(1)
	if b.version < 11 {
		lo = float64(b.float("min", -math.MaxFloat32))
		hi = float64(b.float("max", math.MaxFloat32))
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		if d := x.F32(); d != nil || x.Type == onnxio.Double {
			lo, err := scalarOr(in[1], lo)
			if err != nil {
				return nil, err
			}
			hi, err := scalarOr(in[2], hi)
			if err != nil {
				return nil, err
			}
			return clipFloats(r, x, lo, hi)
		}
		var err error
		out := []*onnxio.Array{x}
		if in[1] != nil {
			if out, err = integers(r, x, in[1], opIntMax); err != nil {
				return nil, err
			}
		}
		if in[2] != nil {
			return integers(r, out[0], in[2], opIntMin)
		}
		return out, nil
	}
}

func clipFloats(r *run, x *onnxio.Array, lo, hi float64) ([]*onnxio.Array, error) {
	d := x.F32()
	if d == nil {
		return unary(r, x, func(v float64) float64 {
			if v < lo {
				v = lo
			}
			if v > hi {
				v = hi
			}
			return v
		})
	}
	out, err := r.new(x.Type, x.Shape...)
	if err != nil {
		return nil, err
	}
	dst := out.F32()
	r.chunks(len(d), func(i, j int) { kernel.Clamp(dst[i:j], d[i:j], float32(lo), float32(hi)) })
	return []*onnxio.Array{out}, nil
}

// scalarOr returns the one element of v as float64, def where v is not given.
func scalarOr(v *onnxio.Array, def float64) (float64, error) {
	if v == nil {
		return def, nil
	}
	if v.Len() != 1 {
		return 0, fmt.Errorf("shape %v, want one element", v.Shape)
	}
	switch d := v.Data.(type) {
	case []float32:
		return float64(d[0]), nil
	case []float64:
		return d[0], nil
	case []string:
		return 0, typeError(v)
	}
	return float64(v.Ints()[0]), nil
}

func sigmoid(v float64) float64 { return 1 / (1 + math.Exp(-v)) }

func softplus(v float64) float64 { return max(v, 0) + math.Log1p(math.Exp(-math.Abs(v))) }

func hardSigmoid(v, alpha, beta float64) float64 { return max(0, min(1, alpha*v+beta)) }

// The activations with attributes; formulas as in the operator specification.

func bindLeakyRelu(b *binding) runFunc {
	slope := b.float("alpha", 0.01)
	alpha := float64(slope)
	return vectored(func(v float64) float64 {
		if v < 0 {
			return alpha * v
		}
		return v
	}, func(dst, x []float32) { kernel.LeakyRelu(dst, x, slope) })
}

func bindElu(b *binding) runFunc {
	a := b.float("alpha", 1)
	alpha := float64(a)
	return vectored(func(v float64) float64 {
		if v < 0 {
			return alpha * math.Expm1(v)
		}
		return v
	}, func(dst, x []float32) { kernel.Elu(dst, x, 1, a) })
}

func bindCelu(b *binding) runFunc {
	alpha := float64(b.float("alpha", 1))
	return activation(func(v float64) float64 { return max(0, v) + min(0, alpha*math.Expm1(v/alpha)) })
}

func bindSelu(b *binding) runFunc {
	alpha := float64(b.float("alpha", 1.67326319217681884765625))
	gamma := float64(b.float("gamma", 1.05070102214813232421875))
	return vectored(func(v float64) float64 {
		if v <= 0 {
			return gamma * alpha * math.Expm1(v)
		}
		return gamma * v
	}, func(dst, x []float32) { kernel.Elu(dst, x, float32(gamma), float32(gamma*alpha)) })
}

func bindThresholdedRelu(b *binding) runFunc {
	alpha := float64(b.float("alpha", 1))
	return activation(func(v float64) float64 {
		if v > alpha {
			return v
		}
		return 0
	})
}

func bindHardSigmoid(b *binding) runFunc {
	alpha, beta := float64(b.float("alpha", 0.2)), float64(b.float("beta", 0.5))
	return vectored(func(v float64) float64 { return hardSigmoid(v, alpha, beta) },
		func(dst, x []float32) { kernel.HardSigmoid(dst, x, float32(alpha), float32(beta)) })
}

func bindHardSwish(*binding) runFunc {
	return vectored(func(v float64) float64 { return v * hardSigmoid(v, 1.0/6, 0.5) },
		func(dst, x []float32) { kernel.HardSwish(dst, x, 1.0/6, 0.5) })
}

func bindSwish(b *binding) runFunc {
	alpha := float64(b.float("alpha", 1))
	f := func(v float64) float64 { return v * sigmoid(alpha*v) }
	if alpha == 1 {
		return vectored(f, kernel.SiLU)
	}
	return activation(f)
}

func bindSigmoid(*binding) runFunc { return vectored(sigmoid, kernel.Sigmoid) }
func bindTanh(*binding) runFunc    { return vectored(math.Tanh, kernel.Tanh) }
func bindExp(*binding) runFunc     { return vectored(math.Exp, kernel.Exp) }

func bindMish(*binding) runFunc {
	return vectored(func(v float64) float64 { return v * math.Tanh(softplus(v)) }, kernel.Mish)
}

func bindShrink(b *binding) runFunc {
	bias, lambd := float64(b.float("bias", 0)), float64(b.float("lambd", 0.5))
	return activation(func(v float64) float64 {
		switch {
		case v < -lambd:
			return v + bias
		case v > lambd:
			return v - bias
		}
		return 0
	})
}

// bindGelu: x/2 * (1 + erf(x/sqrt 2)), or its tanh approximation.
func bindGelu(b *binding) runFunc {
	if b.str("approximate", "none", "none", "tanh") == "tanh" {
		return vectored(fastGelu, kernel.FastGelu)
	}
	return vectored(gelu, kernel.Gelu)
}

func activation(f func(float64) float64) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) { return unary(r, in[0], f) }
}

// vectored is activation with a form for float32 that works on many elements at a time.
func vectored(f func(float64) float64, g func(dst, x []float32)) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		d := x.F32()
		if d == nil {
			return unary(r, x, f)
		}
		out, err := r.new(x.Type, x.Shape...)
		if err != nil {
			return nil, err
		}
		dst := out.F32()
		r.chunks(len(d), func(lo, hi int) { g(dst[lo:hi], d[lo:hi]) })
		return []*onnxio.Array{out}, nil
	}
}

// bindPRelu: slope*x for x < 0, x elsewhere; slope broadcasts to x.
func bindPRelu(*binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, slope := in[0], in[1]
		full, err := broadcastShape(x.Shape, slope.Shape)
		if err != nil {
			return nil, err
		}
		if !equalShape(full, x.Shape) {
			return nil, fmt.Errorf("slope %v does not broadcast to %v", slope.Shape, x.Shape)
		}
		switch x.Data.(type) {
		case []float32:
			return binary(r, x.Type, x, slope, preluSpan)
		case []float64:
			return binary(r, x.Type, x, slope, spanOf(prelu[float64]))
		}
		return nil, typeError(x)
	}
}

// preluSpan is prelu along a run; where one finite slope serves all of it, by vectors.
func preluSpan(dst, x, slope []float32, sx, ss int) {
	if a := float64(slope[0]); sx == 1 && ss == 0 && !math.IsInf(a, 0) && !math.IsNaN(a) {
		kernel.LeakyRelu(dst, x[:len(dst)], slope[0])
		return
	}
	for i := range dst {
		dst[i] = prelu(x[i*sx], slope[i*ss])
	}
}

func prelu[T float](x, slope T) T {
	if x < 0 {
		return x * slope
	}
	return x
}

// bindSoftmax and bindLogSoftmax: along one axis from version 13 on; before, over all dimensions from axis on,
// taken together.
func bindSoftmax(b *binding) runFunc    { return softmax(b, kernel.Softmax) }
func bindLogSoftmax(b *binding) runFunc { return softmax(b, kernel.LogSoftmax) }

func softmax(b *binding, f func(dst, x []float32, outer, n, stride int)) runFunc {
	def := int64(-1)
	if b.version < 13 {
		def = 1
	}
	axis, version := b.int("axis", def), b.version
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		outer, n, stride, err := softmaxRows(x.Shape, axis, version)
		if err != nil {
			return nil, err
		}
		d, err := r.float32s(x)
		if err != nil {
			return nil, err
		}
		out, err := r.new(floatType(x.Type), x.Shape...)
		if err != nil {
			return nil, err
		}
		dst, block := out.F32(), n*stride
		units := max(1, min(outer, len(d)>>12))
		kernel.Parallel(r.threads, units, func(u int) {
			lo, hi := outer*u/units*block, outer*(u+1)/units*block
			f(dst[lo:hi], d[lo:hi], outer*(u+1)/units-outer*u/units, n, stride)
		})
		return one(r.cast(out, x.Type))
	}
}

// floatType returns the type in which values of t are computed in float32.
func floatType(t onnxio.DataType) onnxio.DataType {
	if t == onnxio.Double {
		return onnxio.Float
	}
	return t
}

// softmaxRows returns the rows along which a softmax goes: outer blocks of n elements that stand stride apart.
func softmaxRows(shape []int, axis, version int64) (outer, n, stride int, err error) {
	if version < 13 {
		a, err := axisOrEnd(axis, len(shape))
		if err != nil {
			return 0, 0, 0, err
		}
		return product(shape[:a]), product(shape[a:]), 1, nil
	}
	if len(shape) == 0 {
		return 1, 1, 1, nil
	}
	a, err := axisOf(axis, len(shape))
	if err != nil {
		return 0, 0, 0, err
	}
	return product(shape[:a]), shape[a], product(shape[a+1:]), nil
}

// axisOf returns a dimension number, counted from the end where negative.
func axisOf(axis int64, rank int) (int, error) {
	if axis < -int64(rank) || axis >= int64(rank) {
		return 0, fmt.Errorf("axis %d of a value of rank %d", axis, rank)
	}
	if axis < 0 {
		axis += int64(rank)
	}
	return int(axis), nil
}

// axisOrEnd is axisOf where the rank itself is allowed too.
func axisOrEnd(axis int64, rank int) (int, error) {
	if axis == int64(rank) {
		return rank, nil
	}
	return axisOf(axis, rank)
}

// bindHardmax: 1 at the first largest element along the axis, 0 elsewhere.
func bindHardmax(b *binding) runFunc {
	return softmax(b, func(dst, x []float32, outer, n, stride int) {
		for s := range outer * stride {
			first := s/stride*n*stride + s%stride
			best := first
			for i := range n {
				if at := first + i*stride; x[at] > x[best] {
					best = at
				}
			}
			if n > 0 {
				dst[best] = 1
			}
		}
	})
}
