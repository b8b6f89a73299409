package infer

import (
	"fmt"
	"math"

	"bq/internal/kernel"
	"bq/onnxio"
)

// pooling prepares a pool over X [N, C, spatial]: the window, the output shape and the padding behind.
func (w *window) pooling(x *onnxio.Array) (k *kernel.Window, shape, end []int, err error) {
	if len(x.Shape) < 3 {
		return nil, nil, nil, fmt.Errorf("pooling a value of rank %d", len(x.Shape))
	}
	if len(w.kernel) != len(x.Shape)-2 {
		return nil, nil, nil, fmt.Errorf("kernel_shape %v over shape %v", w.kernel, x.Shape)
	}
	k, spatial, end, err := w.forward(x.Shape[2:], w.kernel)
	if err != nil {
		return nil, nil, nil, err
	}
	return k, append([]int{x.Shape[0], x.Shape[1]}, spatial...), end, nil
}

func bindPool(b *binding) *window {
	w := bindWindow(b)
	w.ceil = b.bool("ceil_mode", false)
	if w.kernel == nil {
		b.malformed("attribute \"kernel_shape\" is missing")
	}
	return w
}

// bindMaxPool: the largest value of each window, and its position where the second output is wanted.
func bindMaxPool(b *binding) runFunc {
	w, colMajor := bindPool(b), b.int("storage_order", 0) == 1
	wantIndex := len(b.node.Outputs) > 1 && b.node.Outputs[1] != ""
	if !wantIndex {
		b.node.state = &pooled{window: w}
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		k, shape, _, err := w.pooling(x)
		if err != nil {
			return nil, err
		}
		work := x
		if !x.Type.IsFloat() { // int8 and uint8 are exact in float32
			if x.Type != onnxio.Int8 && x.Type != onnxio.Uint8 {
				return nil, typeError(x)
			}
			if !wantIndex {
				out, err := r.blank(x.Type, shape...)
				if err != nil {
					return nil, err
				}
				if kernel.MaxPoolBytes(byteData(out), byteData(x), x.Type == onnxio.Int8, shape[0]*shape[1], k, r.threads) {
					return []*onnxio.Array{out}, nil
				}
			}
			if work, err = r.cast(x, onnxio.Float); err != nil {
				return nil, err
			}
		}
		d, err := r.float32s(work)
		if err != nil {
			return nil, err
		}
		out, err := r.new(floatType(work.Type), shape...)
		if err != nil {
			return nil, err
		}
		outs := []*onnxio.Array{out, nil}
		var index []int64
		if wantIndex {
			if outs[1], err = r.new(onnxio.Int64, shape...); err != nil {
				return nil, err
			}
			index = outs[1].Data.([]int64)
		}
		kernel.MaxPool(out.F32(), index, d, shape[0]*shape[1], k, colMajor, r.threads)
		if outs[0], err = r.cast(out, x.Type); err != nil {
			return nil, err
		}
		return outs, nil
	}
}

// bindAveragePool: the mean of each window, over the positions inside the input or, with count_include_pad, over
// all positions inside the padded input.
func bindAveragePool(b *binding) runFunc {
	w, include := bindPool(b), b.bool("count_include_pad", false)
	b.node.state = &pooled{window: w, mean: true, padded: include}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		k, shape, end, err := w.pooling(in[0])
		if err != nil {
			return nil, err
		}
		var count []float32
		if include {
			count = paddedCounts(k, end)
		}
		return r.pooled(in[0], shape, func(dst, x []float32) {
			kernel.AveragePool(dst, x, shape[0]*shape[1], k, count, r.threads)
		})
	}
}

// pooled allocates the output of a pool and runs f in float32.
func (r *run) pooled(x *onnxio.Array, shape []int, f func(dst, x []float32)) ([]*onnxio.Array, error) {
	d, err := r.float32s(x)
	if err != nil {
		return nil, err
	}
	out, err := r.new(floatType(x.Type), shape...)
	if err != nil {
		return nil, err
	}
	f(out.F32(), d)
	return one(r.cast(out, x.Type))
}

// paddedCounts returns, for each output position, the window positions inside the padded input: all but those that
// ceil_mode lets reach beyond the padding.
func paddedCounts(k *kernel.Window, end []int) []float32 {
	var per [3][]float32
	for d := range per {
		limit := k.In[d] + k.Pad[d]
		if i := d - (maxSpatial - len(end)); i >= 0 {
			limit += end[i]
		}
		for o := range k.Out[d] {
			room := max(0, limit-o*k.Stride[d])
			inside := min(k.Kernel[d], (room+k.Dilation[d]-1)/k.Dilation[d])
			per[d] = append(per[d], float32(inside))
		}
	}
	var count []float32
	for _, a := range per[0] {
		for _, b := range per[1] {
			for _, c := range per[2] {
				count = append(count, a*b*c)
			}
		}
	}
	return count
}

// bindLpPool: the p-norm of each window.
func bindLpPool(b *binding) runFunc {
	w, p := bindPool(b), float64(b.int("p", 2))
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		k, shape, _, err := w.pooling(in[0])
		if err != nil {
			return nil, err
		}
		return r.pooled(in[0], shape, func(dst, x []float32) {
			kernel.LpPool(dst, x, shape[0]*shape[1], p, k, r.threads)
		})
	}
}

// The global pools reduce all spatial dimensions of X [N, C, spatial] to one position.

func bindGlobalAveragePool(*binding) runFunc {
	return globalPool(func(x []float32) float32 { return float32(kernel.Total(x) / float64(len(x))) })
}

func bindGlobalMaxPool(*binding) runFunc {
	return globalPool(kernel.Largest)
}

func bindGlobalLpPool(b *binding) runFunc {
	p := float64(b.int("p", 2))
	return globalPool(func(x []float32) float32 {
		var sum float64
		for _, v := range x {
			sum += math.Pow(math.Abs(float64(v)), p)
		}
		return float32(math.Pow(sum, 1/p))
	})
}

func globalPool(f func(x []float32) float32) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		s := in[0].Shape
		if len(s) < 2 {
			return nil, fmt.Errorf("pooling a value of rank %d", len(s))
		}
		shape := append([]int{}, s...)
		for i := range shape[2:] {
			shape[2+i] = 1
		}
		size := product(s[2:])
		return r.pooled(in[0], shape, func(dst, x []float32) {
			r.rows(len(dst), size, func(i int) { dst[i] = f(x[i*size : (i+1)*size]) })
		})
	}
}
