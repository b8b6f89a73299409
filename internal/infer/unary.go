package infer

import (
	"math"

	"bq/internal/kernel"
	"bq/onnxio"
)

// unary applies f, computed in float64, to every element of a float array.
func unary(r *run, x *onnxio.Array, f func(float64) float64) ([]*onnxio.Array, error) {
	out, err := r.new(x.Type, x.Shape...)
	if err != nil {
		return nil, err
	}
	switch d := x.Data.(type) {
	case []float32:
		dst := out.F32()
		r.chunks(len(d), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				dst[i] = float32(f(float64(d[i])))
			}
		})
	case []float64:
		dst := out.Data.([]float64)
		for i, v := range d {
			dst[i] = f(v)
		}
	default:
		return nil, typeError(x)
	}
	return []*onnxio.Array{out}, nil
}

// chunks spreads the elements 0..n-1 over the threads of the run.
func (r *run) chunks(n int, f func(lo, hi int)) {
	const size = 1 << 13
	kernel.Parallel(r.threads, (n+size-1)/size, func(i int) { f(i*size, min(n, (i+1)*size)) })
}

// pointwise makes the operator of a function of one float.
func pointwise(f func(float64) float64) func(*binding) runFunc {
	return func(*binding) runFunc {
		return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) { return unary(r, in[0], f) }
	}
}

// fastPointwise is pointwise with a form for float32 that works on many elements at a time.
func fastPointwise(f func(float64) float64, g func(dst, x []float32)) func(*binding) runFunc {
	return func(*binding) runFunc { return vectored(f, g) }
}

// roundEven is Round: halves go to the even neighbour.
func roundEven(v float64) float64 { return math.RoundToEven(v) }

// bindAbs: |X|; the smallest integer stays as it is.
func bindAbs(b *binding) runFunc {
	return signedOp(vectored(math.Abs, kernel.Abs), func(v int64) int64 { return max(v, -v) }, func(v uint64) uint64 { return v })
}

// bindNeg: -X of signed numbers; the smallest integer stays as it is.
func bindNeg(b *binding) runFunc {
	return signedOp(vectored(func(v float64) float64 { return -v }, kernel.Neg), func(v int64) int64 { return -v }, nil)
}

// bindSign: -1, 0 or 1; NaN stays NaN.
func bindSign(b *binding) runFunc {
	sign := func(v float64) float64 {
		switch {
		case v > 0:
			return 1
		case v < 0:
			return -1
		}
		return v
	}
	return signedOp(activation(sign), func(v int64) int64 { return min(max(v, -1), 1) }, func(v uint64) uint64 { return min(v, 1) })
}

// signedOp makes an operator of its forms for floats, signed and unsigned integers; a nil form is refused.
func signedOp(f runFunc, g func(int64) int64, u func(uint64) uint64) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		switch {
		case x.Type.IsFloat():
			return f(r, in)
		case !isInteger(x.Type) || isUnsigned(x.Type) && u == nil:
			return nil, typeError(x)
		}
		out := make([]int64, x.Len())
		for i, v := range x.Ints() {
			if isUnsigned(x.Type) {
				out[i] = int64(u(uint64(v)))
			} else {
				out[i] = g(v)
			}
		}
		return one(r.cast(onnxio.Int64s(out, x.Shape...), x.Type))
	}
}

func isInteger(t onnxio.DataType) bool {
	return t.HasArray() && !t.IsFloat() && !t.IsSmallFloat() && t != onnxio.Bool && t != onnxio.String
}

func isUnsigned(t onnxio.DataType) bool {
	switch t {
	case onnxio.Uint8, onnxio.Uint16, onnxio.Uint32, onnxio.Uint64, onnxio.Uint4, onnxio.Uint2:
		return true
	}
	return false
}

// bindBitwiseNot: ^X of integers.
func bindBitwiseNot(b *binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		if !isInteger(x.Type) {
			return nil, typeError(x)
		}
		out := make([]int64, x.Len())
		for i, v := range x.Ints() {
			out[i] = ^v
		}
		return one(r.cast(onnxio.Int64s(out, x.Shape...), x.Type))
	}
}

func reciprocal(v float64) float64 { return 1 / v }

func softsign(v float64) float64 { return v / (1 + math.Abs(v)) }

// rows spreads f over n rows of size elements, in units of enough work.
func (r *run) rows(n, size int, f func(i int)) {
	const unit = 1 << 13
	units := min(n, n*size/unit+1)
	kernel.Parallel(r.threads, units, func(u int) {
		for i := n * u / units; i < n*(u+1)/units; i++ {
			f(i)
		}
	})
}
