package infer

import "bq/onnxio"

// running holds the attributes of CumSum and CumProd.
type running struct{ exclusive, reverse, product bool }

// bindCumSum: running sums along an axis, excluding the element itself with exclusive, from the end with reverse.
func bindCumSum(b *binding) runFunc { return b.running(false) }

// bindCumProd: running products in the same way.
func bindCumProd(b *binding) runFunc { return b.running(true) }

func (b *binding) running(product bool) runFunc {
	z := running{b.bool("exclusive", false), b.bool("reverse", false), product}
	return z.run
}

func (z running) run(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
	x := in[0]
	at, err := scalarOr(in[1], 0)
	if err != nil {
		return nil, err
	}
	a, err := axisOf(int64(at), len(x.Shape))
	if err != nil {
		return nil, err
	}
	out, err := r.new(x.Type, x.Shape...)
	if err != nil {
		return nil, err
	}
	n, stride := x.Shape[a], product(x.Shape[a+1:])
	switch d := x.Data.(type) {
	case []float32:
		accumulate(out.Data.([]float32), d, n, stride, z)
	case []float64:
		accumulate(out.Data.([]float64), d, n, stride, z)
	case []int32:
		accumulate(out.Data.([]int32), d, n, stride, z)
	case []int64:
		accumulate(out.Data.([]int64), d, n, stride, z)
	case []uint32:
		accumulate(out.Data.([]uint32), d, n, stride, z)
	case []uint64:
		accumulate(out.Data.([]uint64), d, n, stride, z)
	default:
		return nil, typeError(x)
	}
	return []*onnxio.Array{out}, nil
}

// accumulate runs along rows of n elements that stand stride apart.
func accumulate[T number](dst, src []T, n, stride int, z running) {
	for row := range len(src) / max(1, n) {
		base := row/stride*n*stride + row%stride
		var total T
		if z.product {
			total = 1
		}
		for k := range n {
			i := base + k*stride
			if z.reverse {
				i = base + (n-1-k)*stride
			}
			before := total
			if z.product {
				total *= src[i]
			} else {
				total += src[i]
			}
			if dst[i] = total; z.exclusive {
				dst[i] = before
			}
		}
	}
}
