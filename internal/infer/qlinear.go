package infer

import (
	"fmt"

	"bq/internal/kernel"
	"bq/onnxio"
)

// The QLinear operators of the com.microsoft domain compute on dequantized values and quantize the result:
// (x - zero point) * scale, the operator in float32, saturate(round(y / scale) + zero point).
// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md

// dequantized returns (x - zero) * scale in float32, for one scale and an optional zero point.
func (r *run) dequantized(x, scale, zero *onnxio.Array) (*onnxio.Array, error) {
	if !quantizedType(x.Type) || zero != nil && zero.Type != x.Type {
		return nil, typeError(x)
	}
	if scale.Len() != 1 || scale.F32() == nil || zero != nil && zero.Len() != 1 {
		return nil, fmt.Errorf("scale %v %v, want one float", scale.Type, scale.Shape)
	}
	out, err := r.new(onnxio.Float, x.Shape...)
	if err != nil {
		return nil, err
	}
	z, s := zeroPoints(zero).at(0), scale.F32()[0]
	for i, v := range x.Ints() {
		out.F32()[i] = float32(v-z) * s
	}
	return out, nil
}

// requantized quantizes y to the type of the operands, with one scale and an optional zero point.
func (r *run) requantized(y, scale, zero *onnxio.Array, t onnxio.DataType) ([]*onnxio.Array, error) {
	if scale.Len() != 1 || zero != nil && (zero.Len() != 1 || zero.Type != t) {
		return nil, fmt.Errorf("output scale %v %v, want one float", scale.Type, scale.Shape)
	}
	return one(r.quantize(y, scale, zero, &scaling{}, t))
}

// bindQLinearAdd and bindQLinearMul: inputs A, its scale and zero point, B, its scale and zero point, and the scale and
// zero point of the result.
func bindQLinearAdd(*binding) runFunc { return qlinearBinary(kernel.Add[float32]) }
func bindQLinearMul(*binding) runFunc { return qlinearBinary(kernel.Mul[float32]) }

func qlinearBinary(f spanFunc[float32, float32]) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		a, err := r.dequantized(in[0], in[1], in[2])
		if err != nil {
			return nil, err
		}
		b, err := r.dequantized(in[3], in[4], in[5])
		if err != nil {
			return nil, err
		}
		y, err := binary(r, onnxio.Float, a, b, f)
		if err != nil {
			return nil, err
		}
		return r.requantized(y[0], in[6], in[7], in[0].Type)
	}
}

// bindQLinearLeakyRelu and bindQLinearSigmoid: inputs X, its scale and zero point, and those of the result.
func bindQLinearLeakyRelu(b *binding) runFunc { return qlinearUnary(bindLeakyRelu(b)) }
func bindQLinearSigmoid(*binding) runFunc     { return qlinearUnary(activation(sigmoid)) }

func qlinearUnary(f runFunc) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, err := r.dequantized(in[0], in[1], in[2])
		if err != nil {
			return nil, err
		}
		y, err := f(r, []*onnxio.Array{x})
		if err != nil {
			return nil, err
		}
		return r.requantized(y[0], in[3], in[4], in[0].Type)
	}
}
