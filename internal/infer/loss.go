package infer

import (
	"fmt"

	"bq/internal/kernel"
	"bq/onnxio"
)

// loss is how NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss weight and sum.
type loss struct {
	reduction string
	ignore    int64
	ignores   bool
}

func (b *binding) loss() *loss {
	return &loss{b.str("reduction", "mean", "none", "sum", "mean"), b.int("ignore_index", 0), b.has("ignore_index")}
}

// bindNegativeLogLikelihoodLoss: -input[n, target, ...] * weight[target], summed or averaged over the weights.
func bindNegativeLogLikelihoodLoss(b *binding) runFunc {
	l := b.loss()
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		return one(l.likelihood(r, in[0], in[1], in[2]))
	}
}

// bindSoftmaxCrossEntropyLoss: the same of the logarithm of the softmax of scores over dimension 1, which is the second
// output.
func bindSoftmaxCrossEntropyLoss(b *binding) runFunc {
	l := b.loss()
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		if len(x.Shape) < 2 {
			return nil, fmt.Errorf("scores of shape %v", x.Shape)
		}
		d, err := r.float32s(x)
		if err != nil {
			return nil, err
		}
		logs, err := r.new(onnxio.Float, x.Shape...)
		if err != nil {
			return nil, err
		}
		kernel.LogSoftmax(logs.F32(), d, x.Shape[0], x.Shape[1], product(x.Shape[2:]))
		y, err := l.likelihood(r, logs, in[1], in[2])
		if err != nil {
			return nil, err
		}
		if y, err = r.cast(y, x.Type); err != nil {
			return nil, err
		}
		p, err := r.cast(logs, x.Type)
		return []*onnxio.Array{y, p}, err
	}
}

// likelihood computes the loss of x [N, C, d...] for targets [N, d...] and weights [C], which may be nil.
func (l *loss) likelihood(r *run, x, target, weight *onnxio.Array) (*onnxio.Array, error) {
	if len(x.Shape) < 2 || len(target.Shape) != len(x.Shape)-1 || target.Shape[0] != x.Shape[0] ||
		!equalShape(target.Shape[1:], x.Shape[2:]) || weight != nil && !equalShape(weight.Shape, x.Shape[1:2]) {
		return nil, fmt.Errorf("loss of %v for targets %v", x.Shape, target.Shape)
	}
	if target.Type != onnxio.Int64 && target.Type != onnxio.Int32 {
		return nil, typeError(target)
	}
	d, err := r.float32s(x)
	if err != nil {
		return nil, err
	}
	var weights []float32
	if weight != nil {
		if weights, err = r.float32s(weight); err != nil {
			return nil, err
		}
	}
	out, err := r.new(floatType(x.Type), target.Shape...)
	if err != nil {
		return nil, err
	}
	total, mass, err := l.each(out.F32(), d, target.Ints(), weights, x.Shape[1], product(x.Shape[2:]))
	if err != nil {
		return nil, err
	}
	switch l.reduction {
	case "none":
		return r.cast(out, x.Type)
	case "mean":
		total /= mass
	}
	return r.cast(&onnxio.Array{Type: floatType(x.Type), Shape: []int{}, Data: []float32{float32(total)}}, x.Type)
}

// each writes the loss of every target to dst and returns the sum of the losses and of the weights.
func (l *loss) each(dst, x []float32, targets []int64, weights []float32, classes, inner int) (total, mass float64, err error) {
	for i, c := range targets {
		if l.ignores && c == l.ignore {
			continue
		}
		if c < 0 || c >= int64(classes) {
			return 0, 0, fmt.Errorf("target %d of %d classes", c, classes)
		}
		w := float32(1)
		if weights != nil {
			w = weights[c]
		}
		dst[i] = -x[(i/inner*classes+int(c))*inner+i%inner] * w
		total += float64(dst[i])
		mass += float64(w)
	}
	return total, mass, nil
}
