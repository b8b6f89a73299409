package infer

import (
	"fmt"
	"math"

	"bq/internal/kernel"
	"bq/onnxio"
)

// Products and convolutions of the com.microsoft domain with an activation or a transpose in them, as ONNX Runtime's
// optimizer writes them.

// fusedActivation returns the function that the attribute activation names, nil for none. params are its parameters in
// the order of the operator of that name.
func (b *binding) fusedActivation(params []float32) func(float64) float64 {
	name := b.str("activation", "")
	param := func(i int, def float64) float64 {
		if i < len(params) {
			return float64(params[i])
		}
		return def
	}
	switch name {
	case "":
		return nil
	case "Relu":
		return func(v float64) float64 { return max(v, 0) }
	case "Tanh":
		return math.Tanh
	case "Sigmoid":
		return sigmoid
	case "LeakyRelu":
		alpha := param(0, 0.01)
		return func(v float64) float64 {
			if v < 0 {
				return alpha * v
			}
			return v
		}
	case "Clip":
		lo, hi := param(0, -math.MaxFloat32), param(1, math.MaxFloat32)
		return func(v float64) float64 { return min(max(v, lo), hi) }
	case "HardSigmoid":
		alpha, beta := param(0, 0.2), param(1, 0.5)
		return func(v float64) float64 { return hardSigmoid(v, alpha, beta) }
	}
	b.refuse("activation %s", onnxio.Quote(name))
	return nil
}

// activated applies f, which may be nil, to the only result of an operator.
func (r *run) activated(outs []*onnxio.Array, err error, f func(float64) float64) ([]*onnxio.Array, error) {
	if err != nil || f == nil {
		return outs, err
	}
	return unary(r, outs[0], f)
}

// bindFusedConv: activation(Conv(X, W, B) + Z).
func bindFusedConv(b *binding) runFunc {
	f := b.fusedActivation(b.floats("activation_params"))
	conv := bindConv(b)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		outs, err := conv(r, in[:3])
		if err == nil && in[3] != nil {
			if !equalShape(in[3].Shape, outs[0].Shape) {
				return nil, fmt.Errorf("adding shape %v to %v", in[3].Shape, outs[0].Shape)
			}
			outs, err = one(r.sum(outs[0], in[3]))
		}
		return r.activated(outs, err, f)
	}
}

// bindFusedGemm: activation(Gemm(A, B, C)).
func bindFusedGemm(b *binding) runFunc {
	var params []float32
	for _, name := range []string{"activation_alpha", "activation_beta", "activation_gamma"} {
		if v := b.float(name, 0); b.has(name) {
			params = append(params, v)
		}
	}
	f, gemm := b.fusedActivation(params), bindGemm(b)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		outs, err := gemm(r, in)
		return r.activated(outs, err, f)
	}
}

// bindFusedMatMul: alpha * A' * B', the last two dimensions transposed where the attributes say so.
func bindFusedMatMul(b *binding) runFunc {
	alpha, ta, tb := b.float("alpha", 1), b.bool("transA", false), b.bool("transB", false)
	if b.bool("transBatchA", false) || b.bool("transBatchB", false) {
		b.refuse("transposed batch dimensions")
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, err := r.swapLast(in[0], ta)
		if err != nil {
			return nil, err
		}
		y, err := r.swapLast(in[1], tb)
		if err != nil {
			return nil, err
		}
		if x.Type != y.Type {
			return nil, typeError(y)
		}
		out, err := r.matmul(x, y)
		if err != nil || alpha == 1 {
			return one(out, err)
		}
		return one(r.times(out, alpha))
	}
}

// swapLast transposes the last two dimensions of v where swap is set; a vector stays as it is.
func (r *run) swapLast(v *onnxio.Array, swap bool) (*onnxio.Array, error) {
	n := len(v.Shape)
	if !swap || n < 2 {
		return v, nil
	}
	perm := make([]int, n)
	for i := range perm {
		perm[i] = i
	}
	perm[n-1], perm[n-2] = n-2, n-1
	return r.transpose(v, perm)
}

// times returns a float array times a number, in float32.
func (r *run) times(v *onnxio.Array, by float32) (*onnxio.Array, error) {
	d, err := r.float32s(v)
	if err != nil {
		return nil, err
	}
	out, err := r.new(floatType(v.Type), v.Shape...)
	if err != nil {
		return nil, err
	}
	kernel.Mul(out.F32(), d, []float32{by}, 1, 0)
	return r.cast(out, v.Type)
}
