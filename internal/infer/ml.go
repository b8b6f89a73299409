package infer

import (
	"fmt"
	"math"

	"bq/onnxio"
)

// Operators of the ai.onnx.ml domain (https://onnx.ai/onnx/operators, "ai.onnx.ml").

// mlFloats returns numbers of any type as float32.
func (r *run) mlFloats(x *onnxio.Array) ([]float32, error) {
	if x.Type == onnxio.String || x.Type == onnxio.Bool {
		return nil, typeError(x)
	}
	v, err := r.cast(x, onnxio.Float)
	if err != nil {
		return nil, err
	}
	return v.F32(), nil
}

// rowsOf returns the rows and columns of X [N, C] or [C].
func rowsOf(x *onnxio.Array) (n, c int, err error) {
	switch len(x.Shape) {
	case 1:
		return 1, x.Shape[0], nil
	case 2:
		return x.Shape[0], x.Shape[1], nil
	}
	return 0, 0, fmt.Errorf("features of shape %v", x.Shape)
}

// bindScaler: (X - offset) * scale, per feature or with one value for all.
func bindScaler(b *binding) runFunc {
	offset, scale := b.floats("offset"), b.floats("scale")
	if len(offset) != len(scale) || len(scale) == 0 {
		b.malformed("%d offsets and %d scales", len(offset), len(scale))
	}
	return featurewise(len(scale), func(v float32, k int) float32 { return (v - offset[k]) * scale[k] })
}

// featurewise applies f to every element with the number of its feature, or with 0 where width is 1.
func featurewise(width int, f func(v float32, k int) float32) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		d, err := r.mlFloats(in[0])
		if err != nil {
			return nil, err
		}
		_, c, err := rowsOf(in[0])
		if err != nil || width != 1 && width != c {
			return nil, fmt.Errorf("%d values for features %v: %w", width, in[0].Shape, err)
		}
		out, err := r.new(onnxio.Float, in[0].Shape...)
		if err != nil {
			return nil, err
		}
		for i, v := range d {
			out.F32()[i] = f(v, i%width)
		}
		return []*onnxio.Array{out}, nil
	}
}

// bindBinarizer: 1 where X is above the threshold, else 0.
func bindBinarizer(b *binding) runFunc {
	threshold := b.float("threshold", 0)
	return activation(func(v float64) float64 {
		if v > float64(threshold) {
			return 1
		}
		return 0
	})
}

// bindNormalizer: every row divided by its largest value (MAX), the sum of its magnitudes (L1) or the root of the sum of
// its squares (L2); rows of zeros stay zero.
func bindNormalizer(b *binding) runFunc {
	norm := b.str("norm", "MAX", "MAX", "L1", "L2")
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		d, err := r.mlFloats(in[0])
		if err != nil {
			return nil, err
		}
		n, c, err := rowsOf(in[0])
		if err != nil {
			return nil, err
		}
		out, err := r.new(onnxio.Float, in[0].Shape...)
		if err != nil {
			return nil, err
		}
		for i := range n {
			src, dst := d[i*c:(i+1)*c], out.F32()[i*c:(i+1)*c]
			by := rowNorm(src, norm)
			if copy(dst, src); by != 0 {
				for k, v := range src {
					dst[k] = float32(float64(v) / by)
				}
			}
		}
		return []*onnxio.Array{out}, nil
	}
}

func rowNorm(row []float32, norm string) float64 {
	var sum, squares float64
	top := math.Inf(-1)
	for _, v := range row {
		sum += math.Abs(float64(v))
		squares += float64(v) * float64(v)
		top = max(top, float64(v))
	}
	switch norm {
	case "L1":
		return sum
	case "L2":
		return math.Sqrt(squares)
	}
	return top
}

// bindImputer: elements equal to the replaced value (NaN equals NaN) become the imputed value of their feature.
func bindImputer(b *binding) runFunc {
	floats, ints := b.floats("imputed_value_floats"), b.ints("imputed_value_int64s")
	replaced, replacedInt := b.float("replaced_value_float", 0), b.int("replaced_value_int64", 0)
	if (len(floats) == 0) == (len(ints) == 0) {
		b.malformed("%d imputed floats and %d imputed integers", len(floats), len(ints))
		return nil
	}
	if len(floats) > 0 {
		return featurewise(len(floats), func(v float32, k int) float32 {
			if v == replaced || v != v && replaced != replaced {
				return floats[k]
			}
			return v
		})
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		_, c, err := rowsOf(in[0])
		if err != nil || in[0].Type != onnxio.Int64 || len(ints) != 1 && len(ints) != c {
			return nil, fmt.Errorf("imputing %d values to %v %v: %w", len(ints), in[0].Type, in[0].Shape, err)
		}
		out := make([]int64, in[0].Len())
		for i, v := range in[0].Ints() {
			if out[i] = v; v == replacedInt {
				out[i] = int64(ints[i%len(ints)])
			}
		}
		return []*onnxio.Array{onnxio.Int64s(out, in[0].Shape...)}, nil
	}
}

// bindArrayFeatureExtractor: the columns of X that Y names, along the last dimension.
func bindArrayFeatureExtractor(*binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		if len(x.Shape) == 0 {
			return nil, fmt.Errorf("features of shape %v", x.Shape)
		}
		if len(x.Shape) == 1 {
			x = x.Reshaped(1, x.Shape[0])
		}
		return one(r.gather(x, in[1].Reshaped(in[1].Len()), int64(len(x.Shape)-1)))
	}
}

// bindOneHotEncoder: a last dimension with 1 at the category of each element; unknown ones give zeros, or fail where the
// attribute zeros is 0.
func bindOneHotEncoder(b *binding) runFunc {
	place := map[string]int{}
	cats := b.strs("cats_strings")
	for _, v := range b.ints("cats_int64s") {
		cats = append(cats, fmt.Sprint(v))
	}
	for i, c := range cats {
		place[c] = i
	}
	zeros := b.bool("zeros", true)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		v, err := r.cast(in[0], onnxio.String)
		if err != nil {
			return nil, err
		}
		if in[0].Type.IsFloat() {
			ints, err := r.cast(in[0], onnxio.Int64)
			if err != nil {
				return nil, err
			}
			if v, err = r.cast(ints, onnxio.String); err != nil {
				return nil, err
			}
		}
		out, err := r.new(onnxio.Float, append(append([]int{}, in[0].Shape...), len(cats))...)
		if err != nil {
			return nil, err
		}
		for i, s := range v.Data.([]string) {
			if k, ok := place[s]; ok {
				out.F32()[i*len(cats)+k] = 1
			} else if !zeros {
				return nil, fmt.Errorf("category %s is unknown", onnxio.Quote(s))
			}
		}
		return []*onnxio.Array{out}, nil
	}
}

// bindFeatureVectorizer: the inputs side by side, cut or filled with zeros to inputdimensions.
func bindFeatureVectorizer(b *binding) runFunc {
	widths := b.ints("inputdimensions")
	if len(widths) != len(b.node.in) {
		b.malformed("inputdimensions %v for %d inputs", widths, len(b.node.in))
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		var parts []*onnxio.Array
		for i, x := range in {
			d, err := r.mlFloats(x)
			if err != nil {
				return nil, err
			}
			n, c, err := rowsOf(x)
			if err != nil {
				return nil, err
			}
			part, err := r.pad(onnxio.Floats(d, n, c), []int{0, 0, 0, widths[i] - c}, "constant", nil)
			if err != nil {
				return nil, err
			}
			parts = append(parts, part)
		}
		return one(r.concat(parts, 1))
	}
}
