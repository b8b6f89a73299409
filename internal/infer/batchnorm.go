package infer

import (
	"fmt"
	"math"

	"bq/internal/kernel"
	"bq/onnxio"
)

// batchNorm holds the attributes of BatchNormalization.
type batchNorm struct {
	eps, momentum float64
	training      bool
	saved         bool // up to version 13: the statistics of the batch are outputs too
}

// bindBatchNormalization: Y = (X - mean) / sqrt(var + epsilon) * scale + B per channel, with the given statistics. In
// training mode (an attribute from version 14 on; before, told by more than one output) they are those of the batch,
// and the further outputs are statistic * momentum + batch * (1 - momentum) of mean and variance; before version 14
// also the batch's mean and 1 / sqrt(var + epsilon), as ONNX Runtime gives them.
func bindBatchNormalization(b *binding) runFunc {
	z := &batchNorm{eps: float64(b.float("epsilon", 1e-5)), momentum: float64(b.float("momentum", 0.9))}
	if b.int("spatial", 1) == 0 {
		b.refuse("attribute \"spatial\" = 0")
	}
	if z.training = b.bool("training_mode", false); b.version < 14 {
		z.training, z.saved = len(b.node.Outputs) > 1, true
	}
	if len(b.node.Outputs) > 1 && !z.training || len(b.node.Outputs) > 3 && !z.saved {
		b.malformed("%d outputs", len(b.node.Outputs))
	}
	return z.run
}

func (z *batchNorm) run(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
	x := in[0]
	if len(x.Shape) < 1 {
		return nil, fmt.Errorf("normalizing a value of rank 0")
	}
	c := 1
	if len(x.Shape) > 1 {
		c = x.Shape[1]
	}
	p, err := r.perChannel(in[1:5], c)
	if err != nil {
		return nil, err
	}
	mean, variance := p[2], p[3]
	if z.training {
		if mean, variance, err = r.channelStats(x, c); err != nil {
			return nil, err
		}
	}
	scale, shift, invStd := make([]float32, c), make([]float32, c), make([]float32, c)
	for i := range c {
		std := math.Sqrt(float64(variance[i]) + z.eps)
		s := float64(p[0][i]) / std
		scale[i], invStd[i] = float32(s), float32(1/std)
		shift[i] = float32(float64(p[1][i]) - float64(float64(mean[i])*s))
	}
	out, err := r.planes(x, c, func(dst, src []float32, ch int) { kernel.Affine(dst, src, scale[ch], shift[ch]) })
	if err != nil || !z.training {
		return out, err
	}
	for i, v := range [][]float32{z.moved(p[2], mean), z.moved(p[3], variance), mean, invStd} {
		stat, err := r.cast(onnxio.Floats(v, c), in[3+i%2].Type)
		if err != nil {
			return nil, err
		}
		out = append(out, stat)
	}
	return out, nil
}

// moved returns old * momentum + batch * (1 - momentum).
func (z *batchNorm) moved(old, batch []float32) []float32 {
	out := make([]float32, len(old))
	for i := range out {
		out[i] = float32(float64(float64(old[i])*z.momentum) + float64(float64(batch[i])*(1-z.momentum)))
	}
	return out
}

// channelStats returns mean and variance (of the population) of each channel of X [N, c, ...], in float64 sums. Without
// elements both are NaN.
func (r *run) channelStats(x *onnxio.Array, c int) (mean, variance []float32, err error) {
	d, err := r.float32s(x)
	if err != nil {
		return nil, nil, err
	}
	mean, variance = make([]float32, c), make([]float32, c)
	size := product(x.Shape[min(2, len(x.Shape)):])
	for ch := range c {
		var sum, sq float64
		n := 0
		each := func(f func(v float64)) {
			for base := ch * size; base < len(d); base += c * size {
				for _, v := range d[base : base+size] {
					f(float64(v))
				}
			}
		}
		each(func(v float64) { sum += v; n++ })
		m := sum / float64(n)
		each(func(v float64) { sq += float64((v - m) * (v - m)) })
		mean[ch], variance[ch] = float32(m), float32(sq/float64(n))
	}
	return mean, variance, nil
}
