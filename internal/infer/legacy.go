package infer

import (
	"fmt"
	"math"

	"bq/onnxio"
)

// The operators of this file were experimental in ONNX 1.0 and never became part of the standard; converters of
// that time (WinML, Core ML) wrote them, and ONNX Runtime still runs them.

// bindAffine: alpha * X + beta.
func bindAffine(b *binding) runFunc {
	alpha, beta := float64(b.float("alpha", 1)), float64(b.float("beta", 0))
	return activation(func(v float64) float64 { return alpha*v + beta })
}

// bindImageScaler: scale * X + bias per channel of X [N, C, H, W].
func bindImageScaler(b *binding) runFunc {
	scale, bias := b.float("scale", 1), b.floats("bias")
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		if len(x.Shape) != 4 || x.Shape[1] != len(bias) {
			return nil, fmt.Errorf("scaling shape %v with %d biases", x.Shape, len(bias))
		}
		return r.planes(x, x.Shape[1], func(dst, src []float32, ch int) {
			for i, v := range src {
				dst[i] = scale*v + bias[ch]
			}
		})
	}
}

// bindCrop: X [N, C, H, W] without border (left, top, right, bottom), or the part of size scale (height, width) that
// starts at left and top.
func bindCrop(b *binding) runFunc {
	border, scale := b.ints("border"), b.ints("scale")
	if len(border) != 4 || scale != nil && len(scale) != 2 {
		b.malformed("border %v, scale %v", border, scale)
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		if len(x.Shape) != 4 {
			return nil, fmt.Errorf("cropping a value of rank %d", len(x.Shape))
		}
		left, top, right, bottom := border[0], border[1], x.Shape[3]-border[2], x.Shape[2]-border[3]
		if scale != nil {
			right, bottom = left+scale[1], top+scale[0]
		}
		if left < 0 || top < 0 || right < left || bottom < top || right > x.Shape[3] || bottom > x.Shape[2] {
			return nil, fmt.Errorf("cropping %v by border %v, scale %v", x.Shape, border, scale)
		}
		return one(r.slice(x, []int{top, left}, []int{bottom, right}, []int{2, 3}, nil))
	}
}

// bindScale: scale * X.
func bindScale(b *binding) runFunc {
	scale := float64(b.float("scale", 1))
	return activation(func(v float64) float64 { return scale * v })
}

// bindScaledTanh: alpha * tanh(beta * X).
func bindScaledTanh(b *binding) runFunc {
	alpha, beta := float64(b.float("alpha", 1)), float64(b.float("beta", 1))
	return activation(func(v float64) float64 { return alpha * math.Tanh(beta*v) })
}

// bindParametricSoftplus: alpha * ln(exp(beta * X) + 1).
func bindParametricSoftplus(b *binding) runFunc {
	alpha, beta := float64(b.float("alpha", 1)), float64(b.float("beta", 1))
	return activation(func(v float64) float64 { return alpha * softplus(beta*v) })
}

// bindDynamicSlice: Slice with the inputs starts, ends and axes, which later became Slice of version 10.
func bindDynamicSlice(*binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		var axes []int
		if in[3] != nil {
			axes = intsOf(in[3])
		}
		return one(r.slice(in[0], intsOf(in[1]), intsOf(in[2]), axes, nil))
	}
}
