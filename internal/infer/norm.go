package infer

import (
	"fmt"
	"math"

	"bq/internal/kernel"
	"bq/onnxio"
)

// perChannel returns parameters of c values each as float32.
func (r *run) perChannel(in []*onnxio.Array, c int) ([][]float32, error) {
	var p [][]float32
	for _, a := range in {
		if !equalShape(a.Shape, []int{c}) {
			return nil, fmt.Errorf("parameter of shape %v, want [%d]", a.Shape, c)
		}
		d, err := r.float32s(a)
		if err != nil {
			return nil, err
		}
		p = append(p, d)
	}
	return p, nil
}

// planes applies f to every plane of X [N, c, ...], the values of one batch entry and channel.
func (r *run) planes(x *onnxio.Array, c int, f func(dst, src []float32, ch int)) ([]*onnxio.Array, error) {
	d, err := r.float32s(x)
	if err != nil {
		return nil, err
	}
	out, err := r.new(floatType(x.Type), x.Shape...)
	if err != nil {
		return nil, err
	}
	dst := out.F32()
	if len(d) == 0 {
		return one(r.cast(out, x.Type))
	}
	count := x.Shape[0] * c
	size := len(d) / count
	kernel.Parallel(r.threads, count, func(i int) {
		f(dst[i*size:(i+1)*size], d[i*size:(i+1)*size], i%c)
	})
	return one(r.cast(out, x.Type))
}

// bindInstanceNormalization: every plane normalized by its own statistics, then scale and B per channel.
func bindInstanceNormalization(b *binding) runFunc {
	eps := float64(b.float("epsilon", 1e-5))
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		if len(x.Shape) < 3 {
			return nil, fmt.Errorf("normalizing a value of rank %d", len(x.Shape))
		}
		p, err := r.perChannel(in[1:3], x.Shape[1])
		if err != nil {
			return nil, err
		}
		return r.planes(x, x.Shape[1], func(dst, src []float32, ch int) {
			kernel.Normalize(dst, src, eps)
			kernel.Affine(dst, dst, p[0][ch], p[1][ch])
		})
	}
}

// bindGroupNormalization: channels normalized in groups, then scale and bias per channel, or before version 21 per
// group.
func bindGroupNormalization(b *binding) runFunc {
	eps, groups := float64(b.float("epsilon", 1e-5)), int(b.int("num_groups", 0))
	b.stash()
	perGroup := b.version < 21
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		if len(x.Shape) < 2 || groups < 1 || x.Shape[1]%groups != 0 {
			return nil, fmt.Errorf("normalizing shape %v in %d groups", x.Shape, groups)
		}
		c := x.Shape[1]
		each, params := c/groups, c
		if perGroup {
			params = groups
		}
		p, err := r.perChannel(in[1:3], params)
		if err != nil {
			return nil, err
		}
		return r.planes(x, groups, func(dst, src []float32, g int) {
			kernel.Normalize(dst, src, eps)
			size := len(src) / max(1, each)
			for i := range each {
				part, at := dst[i*size:(i+1)*size], g*each+i
				if perGroup {
					at = g
				}
				kernel.Affine(part, part, p[0][at], p[1][at])
			}
		})
	}
}

// stash accepts stash_type: statistics are always taken in float64.
func (b *binding) stash() { b.ignore("stash_type") }

// rowFrame is a value seen as rows, the dimensions from an axis on, and the float32 result of the same shape.
type rowFrame struct {
	src        []float32
	out        *onnxio.Array
	rows, size int
	shape      []int     // of a row
	stat       []int     // shape of one number per row
	mean       []float32 // of each row, where it is set
	factor     []float32
}

func (r *run) openRows(x *onnxio.Array, axis int64) (*rowFrame, error) {
	a, err := axisOf(axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	f := &rowFrame{rows: product(x.Shape[:a]), size: product(x.Shape[a:]), shape: x.Shape[a:], stat: append([]int{}, x.Shape...)}
	f.mean, f.factor = make([]float32, f.rows), make([]float32, f.rows)
	for i := a; i < len(f.stat); i++ {
		f.stat[i] = 1
	}
	if f.src, err = r.float32s(x); err != nil {
		return nil, err
	}
	f.out, err = r.new(floatType(x.Type), x.Shape...)
	return f, err
}

// each applies row to every row, with its number.
func (f *rowFrame) each(r *run, row func(i int, dst, src []float32)) {
	dst := f.out.F32()
	r.rows(f.rows, f.size, func(i int) {
		row(i, dst[i*f.size:(i+1)*f.size], f.src[i*f.size:(i+1)*f.size])
	})
}

// normalizeRows applies row to every row of x, the dimensions from axis on, then multiplies by scale and adds shift, which
// broadcast; shift may be nil. It goes row by row where both have the shape of a row.
func (r *run) normalizeRows(x *onnxio.Array, axis int64, scale, shift *onnxio.Array, row func(f *rowFrame, i int, dst, src []float32)) (*onnxio.Array, *rowFrame, error) {
	f, err := r.openRows(x, axis)
	if err != nil {
		return nil, nil, err
	}
	fits := func(v *onnxio.Array) bool { return v.F32() != nil && equalShape(v.Shape, f.shape) }
	if !fits(scale) || shift != nil && !fits(shift) {
		f.each(r, func(i int, dst, src []float32) { row(f, i, dst, src) })
		y, err := r.scaleShift(f.out, scale, shift, x.Type)
		return y, f, err
	}
	f.each(r, func(i int, dst, src []float32) {
		row(f, i, dst, src)
		kernel.Mul(dst, dst, scale.F32(), 1, 1)
		if shift != nil {
			kernel.Add(dst, dst, shift.F32(), 1, 1)
		}
	})
	y, err := r.cast(f.out, x.Type)
	return y, f, err
}

// bindLayerNormalization: normalized over the dimensions from axis on, then Scale and B, which broadcast.
// ONNX Runtime's optimizer writes it, with the same meaning, into models of versions before 17.
func bindLayerNormalization(b *binding) runFunc {
	axis, eps := b.int("axis", -1), float64(b.float("epsilon", 1e-5))
	b.stash()
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		y, f, err := r.normalizeRows(in[0], axis, in[1], in[2], func(f *rowFrame, i int, dst, src []float32) {
			m, s := kernel.Normalize(dst, src, eps)
			f.mean[i], f.factor[i] = float32(m), float32(s)
		})
		if err != nil {
			return nil, err
		}
		return []*onnxio.Array{y, onnxio.Floats(f.mean, f.stat...), onnxio.Floats(f.factor, f.stat...)}, nil
	}
}

// scaleShift returns v*scale + shift in type t; shift may be nil.
func (r *run) scaleShift(v, scale, shift *onnxio.Array, t onnxio.DataType) (*onnxio.Array, error) {
	f := func(x, y *onnxio.Array, span spanFunc[float32, float32]) (*onnxio.Array, error) {
		y, err := r.cast(y, onnxio.Float)
		if err != nil {
			return nil, err
		}
		out, err := binary(r, onnxio.Float, &onnxio.Array{Type: onnxio.Float, Shape: x.Shape, Data: x.Data}, y, span)
		if err != nil {
			return nil, err
		}
		if !equalShape(out[0].Shape, x.Shape) {
			return nil, fmt.Errorf("shape %v does not broadcast to %v", y.Shape, x.Shape)
		}
		return out[0], nil
	}
	v, err := f(v, scale, kernel.Mul[float32])
	if err != nil {
		return nil, err
	}
	if shift != nil {
		if v, err = f(v, shift, kernel.Add[float32]); err != nil {
			return nil, err
		}
	}
	return r.cast(v, t)
}

// bindRMSNormalization: X / sqrt(mean(X^2) + epsilon) over the dimensions from axis on, times scale; the factor
// 1 / sqrt(mean(X^2) + epsilon) is the second output of SimplifiedLayerNormalization, the name under which ONNX
// Runtime's optimizer writes the operator into the default domain.
func bindRMSNormalization(b *binding) runFunc {
	axis, eps := b.int("axis", -1), float64(b.float("epsilon", 1e-5))
	b.stash()
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		y, f, err := r.normalizeRows(in[0], axis, in[1], nil, func(f *rowFrame, i int, dst, src []float32) {
			f.factor[i] = float32(kernel.RMSNormalize(dst, src, eps))
		})
		if err != nil {
			return nil, err
		}
		return []*onnxio.Array{y, onnxio.Floats(f.factor, f.stat...)}, nil
	}
}

// bindMeanVarianceNormalization: (X - E[X]) / (sqrt(E[X^2] - E[X]^2) + 1e-9) over the given axes. Before version 9 the
// axes are told by across_channels, and with normalize_variance = 0 the mean alone is taken off (ONNX Runtime's
// MeanVarianceNormalization of versions 1 to 8).
func bindMeanVarianceNormalization(b *binding) runFunc {
	axes, scaled := []int{0, 2, 3}, true
	if b.version < 9 {
		axes = []int{2, 3}
		if b.bool("across_channels", false) {
			axes = []int{1, 2, 3}
		}
		scaled = b.bool("normalize_variance", true)
	} else if list := b.ints("axes"); list != nil {
		axes = list
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		red, err := planReduce(x.Shape, axes, true)
		if err != nil {
			return nil, err
		}
		return r.pooled(x, x.Shape, func(dst, src []float32) {
			n := float64(red.count)
			sum, sq := make([]float64, red.results), make([]float64, red.results)
			red.each(func(i, o int) { sum[o] += float64(src[i]) })
			red.each(func(i, o int) {
				v := float64(src[i]) - sum[o]/n
				sq[o] += float64(v * v)
			})
			red.each(func(i, o int) {
				v := float64(src[i]) - sum[o]/n
				if scaled {
					v /= math.Sqrt(sq[o]/n) + 1e-9
				}
				dst[i] = float32(v)
			})
		})
	}
}

// bindLRN: X / (bias + alpha/size * sum of squares over size neighbouring channels)^beta.
func bindLRN(b *binding) runFunc {
	alpha, beta := float64(b.float("alpha", 1e-4)), float64(b.float("beta", 0.75))
	bias, size := float64(b.float("bias", 1)), int(b.int("size", 0))
	if size < 1 {
		b.malformed("attribute \"size\" is %d", size)
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		if len(x.Shape) < 2 {
			return nil, fmt.Errorf("normalizing a value of rank %d", len(x.Shape))
		}
		c, plane := x.Shape[1], product(x.Shape[2:])
		return r.pooled(x, x.Shape, func(dst, src []float32) {
			for i := range dst {
				ch, base := i/plane%c, i-i/plane%c*plane
				var sum float64
				for k := max(0, ch-(size-1)/2); k <= min(c-1, ch+size/2); k++ {
					v := float64(src[base+k*plane])
					sum += v * v
				}
				dst[i] = float32(float64(src[i]) / math.Pow(bias+alpha/float64(size)*sum, beta))
			}
		})
	}
}

// bindLpNormalization: X divided by its 1-norm or 2-norm along an axis; rows of zeros stay zero.
func bindLpNormalization(b *binding) runFunc {
	axis, p := b.int("axis", -1), b.int("p", 2)
	if p != 1 && p != 2 {
		b.malformed("attribute \"p\" is %d, want 1 or 2", p)
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		a, err := axisOf(axis, len(x.Shape))
		if err != nil {
			return nil, err
		}
		red, err := planReduce(x.Shape, []int{a}, true)
		if err != nil {
			return nil, err
		}
		return r.pooled(x, x.Shape, func(dst, src []float32) {
			norm := make([]float64, red.results)
			red.each(func(i, o int) { norm[o] += math.Pow(math.Abs(float64(src[i])), float64(p)) })
			red.each(func(i, o int) {
				if n := math.Pow(norm[o], 1/float64(p)); n != 0 {
					dst[i] = float32(float64(src[i]) / n)
				}
			})
		})
	}
}
