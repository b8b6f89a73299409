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

// bindQLinearAveragePool and bindQLinearGlobalAveragePool: inputs X, its scale and zero point, and those of the result.
func bindQLinearAveragePool(b *binding) runFunc {
	last := b.bool("channels_last", false)
	return channelsLast(last, qlinearUnary(bindAveragePool(b)))
}

func bindQLinearGlobalAveragePool(b *binding) runFunc {
	last := b.bool("channels_last", false)
	return channelsLast(last, qlinearUnary(bindGlobalAveragePool(b)))
}

// bindQLinearConvChannels: QLinearConv of the com.microsoft domain, whose X and Y may have their channels last.
func bindQLinearConvChannels(b *binding) runFunc {
	last := b.bool("channels_last", false)
	return channelsLast(last, bindQLinearConv(b))
}

// channelsLast makes f, an operator on [N, C, spatial], one on [N, spatial, C] where last is set.
func channelsLast(last bool, f runFunc) runFunc {
	if !last {
		return f
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		n := len(in[0].Shape)
		if n < 3 {
			return nil, fmt.Errorf("a value of rank %d with channels", n)
		}
		first, back := []int{0, n - 1}, []int{0}
		for i := 1; i < n-1; i++ {
			first, back = append(first, i), append(back, i+1)
		}
		x, err := r.transpose(in[0], first)
		if err != nil {
			return nil, err
		}
		y, err := f(r, append([]*onnxio.Array{x}, in[1:]...))
		if err != nil {
			return nil, err
		}
		return one(r.transpose(y[0], append(back, 1)))
	}
}

// bindQLinearConcat: inputs the scale and zero point of the result, then value, scale and zero point of each part.
func bindQLinearConcat(b *binding) runFunc {
	axis := b.int("axis", 0)
	if n := len(b.node.in); n < 5 || n%3 != 2 {
		b.malformed("%d inputs, want 2 and 3 for each part", n)
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		var parts []*onnxio.Array
		for i := 2; i+2 < len(in); i += 3 {
			x, err := r.dequantized(in[i], in[i+1], in[i+2])
			if err != nil {
				return nil, err
			}
			parts = append(parts, x)
		}
		y, err := r.concat(parts, axis)
		if err != nil {
			return nil, err
		}
		return r.requantized(y, in[0], in[1], in[2].Type)
	}
}

// bindQLinearSoftmax: inputs X, its scale and zero point, and those of the result. The axis means what it means for
// Softmax of the attribute opset.
func bindQLinearSoftmax(b *binding) runFunc {
	outer := b.version
	b.version = b.int("opset", 13)
	f := qlinearUnary(bindSoftmax(b))
	b.version = outer
	return f
}
