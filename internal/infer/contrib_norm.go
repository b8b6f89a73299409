package infer

import (
	"fmt"
	"math"

	"bq/internal/kernel"
	"bq/onnxio"
)

// Fused operators of the com.microsoft domain that normalize or activate.
// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md

// sum adds broadcast values in float32; nil ones are left out. The result has the shape of the first.
func (r *run) sum(values ...*onnxio.Array) (*onnxio.Array, error) {
	total, err := r.cast(values[0], onnxio.Float)
	if err != nil {
		return nil, err
	}
	for _, v := range values[1:] {
		if v == nil {
			continue
		}
		w, err := r.cast(v, onnxio.Float)
		if err != nil {
			return nil, err
		}
		out, err := binary(r, onnxio.Float, total, w, kernel.Add[float32])
		if err != nil {
			return nil, err
		}
		if total = out[0]; !equalShape(total.Shape, values[0].Shape) {
			return nil, fmt.Errorf("adding shape %v to %v", v.Shape, values[0].Shape)
		}
	}
	return total, nil
}

// bindSkipLayerNormalization: LayerNormalization over the last dimension of input + skip + bias with gamma and beta;
// the fourth output is the sum. The statistics are not given, as ONNX Runtime's processor version does not give them.
func bindSkipLayerNormalization(b *binding) runFunc {
	return skipNormalization(b, func(eps float64) func(dst, src []float32) {
		return func(dst, src []float32) { kernel.Normalize(dst, src, eps) }
	}, true)
}

// bindSkipSimplifiedLayerNormalization: the same with RMSNormalization and without beta.
func bindSkipSimplifiedLayerNormalization(b *binding) runFunc {
	return skipNormalization(b, func(eps float64) func(dst, src []float32) {
		return func(dst, src []float32) { kernel.RMSNormalize(dst, src, eps) }
	}, false)
}

func skipNormalization(b *binding, f func(eps float64) func(dst, src []float32), hasBeta bool) runFunc {
	row := f(float64(b.float("epsilon", 1e-12)))
	b.refuseOutputs(1, 2)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		var beta, bias *onnxio.Array
		if bias = in[3]; hasBeta {
			beta, bias = in[3], in[4]
		}
		total, err := r.sum(in[0], in[1], bias)
		if err != nil {
			return nil, err
		}
		y, _, err := r.normalizeRows(total, -1, in[2], beta, func(_ *rowFrame, _ int, dst, src []float32) { row(dst, src) })
		if err != nil {
			return nil, err
		}
		if y, err = r.cast(y, in[0].Type); err != nil {
			return nil, err
		}
		total, err = r.cast(total, in[0].Type)
		return []*onnxio.Array{y, nil, nil, total}, err
	}
}

// refuseOutputs refuses the node where it wants any of these outputs.
func (b *binding) refuseOutputs(outputs ...int) {
	for _, i := range outputs {
		if i < len(b.node.Outputs) && b.node.Outputs[i] != "" {
			b.refuse("output %d", i)
		}
	}
}

// bindEmbedLayerNormalization: LayerNormalization of word[input_ids] + position[position_ids] + segment[segment_ids]; the
// second output counts the ones in each row of the mask, the third is the sum.
func bindEmbedLayerNormalization(b *binding) runFunc {
	eps := float64(b.float("epsilon", 1e-12))
	if b.int("mask_index_type", 0) > 1 {
		b.refuse("attribute \"mask_index_type\"")
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		if len(in[0].Shape) != 2 {
			return nil, fmt.Errorf("input_ids of shape %v", in[0].Shape)
		}
		total, err := r.embedding(in)
		if err != nil {
			return nil, err
		}
		y, _, err := r.normalizeRows(total, -1, in[5], in[6], func(_ *rowFrame, _ int, dst, src []float32) { kernel.Normalize(dst, src, eps) })
		if err != nil {
			return nil, err
		}
		if y, err = r.cast(y, in[2].Type); err != nil {
			return nil, err
		}
		counts := make([]int32, in[0].Shape[0])
		if in[7] != nil {
			if !equalShape(in[7].Shape, in[0].Shape) {
				return nil, fmt.Errorf("mask of shape %v", in[7].Shape)
			}
			for i, v := range in[7].Ints() {
				if v == 1 {
					counts[i/in[0].Shape[1]]++
				}
			}
		}
		mask := &onnxio.Array{Type: onnxio.Int32, Shape: []int{len(counts)}, Data: counts}
		total, err = r.cast(total, in[2].Type)
		return []*onnxio.Array{y, mask, total}, err
	}
}

// embedding adds the rows that the inputs of EmbedLayerNormalization name.
func (r *run) embedding(in []*onnxio.Array) (*onnxio.Array, error) {
	word, err := r.gather(in[2], in[0], 0)
	if err != nil {
		return nil, err
	}
	places := in[8]
	if places == nil {
		list := make([]int64, in[0].Shape[1])
		for i := range list {
			list[i] = int64(i)
		}
		places = onnxio.Int64s(list, len(list))
	}
	position, err := r.gather(in[3], places, 0)
	if err != nil {
		return nil, err
	}
	if in[1] == nil || in[4] == nil {
		return r.sum(word, position)
	}
	segment, err := r.gather(in[4], in[1], 0)
	if err != nil {
		return nil, err
	}
	return r.sum(word, position, segment)
}

// gelu is x * Phi(x), the normal distribution (Hendrycks and Gimpel, arXiv 1606.08415).
func gelu(v float64) float64 { return 0.5 * v * (1 + math.Erf(v/math.Sqrt2)) }

// fastGelu is gelu by way of tanh (the same paper, section 2).
func fastGelu(v float64) float64 {
	return 0.5 * v * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v)))
}

// bindBiasGelu: gelu(A + B); B has one dimension.
func bindBiasGelu(*binding) runFunc { return biased(gelu, kernel.Gelu) }

// bindFastGelu: the tanh form of gelu(X + bias); bias may be left out.
func bindFastGelu(*binding) runFunc { return biased(fastGelu, kernel.FastGelu) }

func biased(f func(float64) float64, g func(dst, x []float32)) runFunc {
	activate := vectored(f, g)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, err := r.sum(in[0], in[1])
		if err != nil {
			return nil, err
		}
		y, err := activate(r, []*onnxio.Array{x})
		if err != nil {
			return nil, err
		}
		return one(r.cast(y[0], in[0].Type))
	}
}

// bindQuickGelu: X * sigmoid(alpha * X).
func bindQuickGelu(b *binding) runFunc {
	a := b.float("alpha", 1.702)
	alpha := float64(a)
	return vectored(func(v float64) float64 { return v * sigmoid(alpha*v) }, func(dst, x []float32) {
		var part [512]float32
		for len(x) > 0 {
			n := min(len(x), len(part))
			kernel.Affine(part[:n], x[:n], a, 0)
			kernel.Sigmoid(part[:n], part[:n])
			kernel.Mul(dst[:n], x[:n], part[:n], 1, 1)
			dst, x = dst[n:], x[n:]
		}
	})
}
