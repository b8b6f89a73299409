package infer

import (
	"fmt"
	"math"

	"bq/onnxio"
)

// resizer holds the attributes of Resize.
type resizer struct {
	mode, coords, nearest, policy string
	cubic                         float64
	antialias, excludeOutside     bool
	extrapolation                 float32
	axes                          []int
}

// bindResize: the input resampled by scales or to sizes, dimension by dimension. Version 10 has the inputs
// (X, scales), later ones (X, roi, scales, sizes).
func bindResize(b *binding) runFunc {
	z := &resizer{coords: "asymmetric", nearest: "floor", policy: "stretch", cubic: -0.75}
	z.mode = b.str("mode", "nearest", "nearest", "linear", "cubic")
	if b.version >= 11 {
		z.coords = b.str("coordinate_transformation_mode", "half_pixel", "half_pixel", "half_pixel_symmetric",
			"pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize", "tf_half_pixel_for_nn")
		z.nearest = b.str("nearest_mode", "round_prefer_floor", "round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
		z.policy = b.str("keep_aspect_ratio_policy", "stretch", "stretch", "not_larger", "not_smaller")
		z.cubic, z.extrapolation = float64(b.float("cubic_coeff_a", -0.75)), b.float("extrapolation_value", 0)
		z.antialias, z.excludeOutside = b.bool("antialias", false), b.bool("exclude_outside", false)
		z.axes = b.ints("axes")
	}
	old := b.version < 11
	b.node.state = &resized{resizer: z, scales: 2, sizes: 3}
	if old {
		b.node.state = &resized{resizer: z, scales: 1, sizes: -1}
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		roi, scales, sizes := in[1], in[2], in[3]
		if old {
			roi, scales, sizes = nil, in[1], nil
		}
		return one(z.run(r, in[0], roi, scales, sizes))
	}
}

// bindUpsample: Resize of versions 7 (scales as attribute) and 9 (scales as input).
func bindUpsample(b *binding) runFunc {
	z := &resizer{coords: "asymmetric", nearest: "floor", policy: "stretch"}
	z.mode = b.str("mode", "nearest", "nearest", "linear")
	var attr *onnxio.Array
	if b.version < 9 {
		s := b.floats("scales")
		attr = onnxio.Floats(s, len(s))
	} else if !b.given(1) {
		b.malformed("input scales is missing")
	}
	b.node.state = &resized{resizer: z, scales: 1, sizes: -1, constant: attr}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		scales := attr
		if in[1] != nil {
			scales = in[1]
		}
		return one(z.run(r, in[0], nil, scales, nil))
	}
}

// axisPlan says how one dimension is resampled.
type axisPlan struct {
	in, out    int
	scale      float64
	start, end float64 // region of interest, for tf_crop_and_resize
}

// tap is one input position of an output position, with its weight.
type tap struct {
	at     int
	weight float64
}

func (z *resizer) run(r *run, x, roi, scales, sizes *onnxio.Array) (*onnxio.Array, error) {
	plans, err := z.plan(x.Shape, roi, scales, sizes)
	if err != nil {
		return nil, err
	}
	if !x.Type.IsFloat() && z.mode != "nearest" { // integers are resampled in float32 and truncated
		f, err := r.cast(x, onnxio.Float)
		if err != nil {
			return nil, err
		}
		y, err := z.run(r, f, roi, scales, sizes)
		if err != nil {
			return nil, err
		}
		return r.cast(y, x.Type)
	}
	outside := make([][]bool, len(plans))
	y := x
	for a := len(plans) - 1; a >= 0; a-- { // the last first: rows are copied or mixed whole after that
		p := plans[a]
		if p == nil || p.in == p.out && p.scale == 1 && z.coords != "tf_crop_and_resize" {
			continue
		}
		if p.in == 0 && p.out > 0 {
			return nil, fmt.Errorf("resizing shape %v", x.Shape)
		}
		if int64(p.out)*int64(max(1, y.Len()/max(1, p.in)))*4 > r.limit-r.live {
			return nil, fmt.Errorf("resizing dimension %d of %v to %d exceeds the limit of %d bytes", a, y.Shape, p.out, r.limit)
		}
		var taps [][]tap
		taps, outside[a] = z.taps(p)
		if y, err = r.resample(y, a, taps, z.mode == "nearest"); err != nil {
			return nil, err
		}
	}
	if y == x {
		return x, nil
	}
	return y, z.extrapolate(y, outside)
}

// plan works out input size, output size and scale of every dimension; nil where it stays.
func (z *resizer) plan(shape []int, roi, scales, sizes *onnxio.Array) ([]*axisPlan, error) {
	axes := make([]int, 0, len(shape))
	if z.axes != nil {
		for _, v := range z.axes {
			a, err := axisOf(int64(v), len(shape))
			if err != nil {
				return nil, err
			}
			axes = append(axes, a)
		}
	} else {
		for i := range shape {
			axes = append(axes, i)
		}
	}
	plans := make([]*axisPlan, len(shape))
	bySize := sizes != nil && sizes.Len() > 0
	switch {
	case bySize && sizes.Len() == len(axes):
		z.fromSizes(plans, shape, axes, intsOf(sizes))
	case !bySize && scales != nil && scales.Len() == len(axes) && scales.F32() != nil:
		for i, a := range axes {
			s := float64(scales.F32()[i])
			out := math.Floor(float64(shape[a]) * s)
			if !(s > 0) || out > maxValueElements {
				return nil, fmt.Errorf("scale %v of dimension %d", s, a)
			}
			plans[a] = &axisPlan{in: shape[a], out: int(out), scale: s, end: 1}
		}
	default:
		return nil, fmt.Errorf("no scales or sizes for %d dimensions", len(axes))
	}
	for i, a := range axes {
		if plans[a].out < 0 {
			return nil, fmt.Errorf("size %d of dimension %d", plans[a].out, a)
		}
		if z.coords == "tf_crop_and_resize" {
			if roi == nil || roi.Len() != 2*len(axes) || roi.F32() == nil {
				return nil, fmt.Errorf("no region of interest for %d dimensions", len(axes))
			}
			plans[a].start, plans[a].end = float64(roi.F32()[i]), float64(roi.F32()[len(axes)+i])
		}
	}
	return plans, nil
}

// fromSizes plans by output size; with an aspect ratio policy one scale serves all dimensions.
func (z *resizer) fromSizes(plans []*axisPlan, shape, axes, sizes []int) {
	scale := 0.0
	for i, a := range axes {
		s := float64(sizes[i]) / float64(max(1, shape[a]))
		plans[a] = &axisPlan{in: shape[a], out: sizes[i], scale: s, end: 1}
		if i == 0 || z.policy == "not_larger" && s < scale || z.policy == "not_smaller" && s > scale {
			scale = s
		}
	}
	if z.policy == "stretch" {
		return
	}
	for _, a := range axes {
		plans[a].scale = scale
		plans[a].out = int(math.Floor(scale*float64(shape[a]) + 0.5))
	}
}

// coordinate returns the place in the input that output position o stands for.
func (z *resizer) coordinate(p *axisPlan, o int) float64 {
	x := float64(o)
	switch z.coords {
	case "half_pixel":
		return (x+0.5)/p.scale - 0.5
	case "half_pixel_symmetric":
		adjust := float64(p.out) / (p.scale * float64(p.in))
		return float64(p.in)/2*(1-adjust) + (x+0.5)/p.scale - 0.5
	case "pytorch_half_pixel":
		if p.out == 1 {
			return 0
		}
		return (x+0.5)/p.scale - 0.5
	case "align_corners":
		if p.out == 1 {
			return 0
		}
		return x * float64(p.in-1) / (p.scale*float64(p.in) - 1)
	case "tf_half_pixel_for_nn":
		return (x + 0.5) / p.scale
	case "tf_crop_and_resize":
		n := float64(p.in - 1)
		if p.out == 1 {
			return 0.5 * (p.start + p.end) * n
		}
		return p.start*n + x*(p.end-p.start)*n/float64(p.out-1)
	}
	return x / p.scale
}

// taps returns the input positions and weights of every output position, and which lie outside the input.
func (z *resizer) taps(p *axisPlan) (taps [][]tap, outside []bool) {
	taps, outside = make([][]tap, p.out), make([]bool, p.out)
	for o := range taps {
		x := z.coordinate(p, o)
		outside[o] = z.coords == "tf_crop_and_resize" && (x < 0 || x > float64(p.in-1))
		switch {
		case z.mode == "nearest":
			taps[o] = []tap{{min(max(z.round(x), 0), p.in-1), 1}}
		case z.mode == "linear":
			taps[o] = z.filter(p, x, 1, func(d float64) float64 { return max(0, 1-math.Abs(d)) })
		default:
			taps[o] = z.filter(p, x, 2, z.keys)
		}
	}
	return taps, outside
}

func (z *resizer) round(x float64) int {
	x = min(max(x, -1), maxValueElements)
	switch z.nearest {
	case "round_prefer_floor":
		return int(math.Ceil(x - 0.5))
	case "round_prefer_ceil":
		return int(math.Floor(x + 0.5))
	case "ceil":
		return int(math.Ceil(x))
	}
	return int(math.Floor(x))
}

// keys is the cubic convolution kernel (Keys, "Cubic Convolution Interpolation for Digital Image Processing", IEEE
// Trans. ASSP 29(6), 1981, equation 4 with a free).
func (z *resizer) keys(d float64) float64 {
	a, d := z.cubic, math.Abs(d)
	switch {
	case d <= 1:
		return ((a+2)*d-(a+3))*d*d + 1
	case d < 2:
		return a * (((d-5)*d+8)*d - 4)
	}
	return 0
}

// filter weighs the input positions within reach of x by f, which antialias stretches when the size shrinks.
// Positions outside repeat the edge, or with exclude_outside do not count.
func (z *resizer) filter(p *axisPlan, x, reach float64, f func(d float64) float64) []tap {
	shrink := 1.0
	if z.antialias && p.scale < 1 {
		shrink = p.scale
	}
	x = min(max(x, -float64(p.in)), 2*float64(p.in))
	var list []tap
	var sum float64
	for i := int(math.Ceil(x - reach/shrink)); i <= int(math.Floor(x+reach/shrink)); i++ {
		w := f((float64(i) - x) * shrink)
		if w == 0 || z.excludeOutside && (i < 0 || i >= p.in) {
			continue
		}
		list = append(list, tap{min(max(i, 0), p.in-1), w})
		sum += w
	}
	for i := range list {
		if z.excludeOutside || shrink < 1 {
			list[i].weight /= sum
		}
	}
	return list
}

// extrapolate sets the elements whose place lies outside the input to the extrapolation value.
func (z *resizer) extrapolate(y *onnxio.Array, outside [][]bool) error {
	if z.coords != "tf_crop_and_resize" {
		return nil
	}
	d := y.F32()
	if d == nil {
		return typeError(y)
	}
	strides := rowStrides(y.Shape)
	for i := range d {
		for a, out := range outside {
			if out != nil && out[i/strides[a]%y.Shape[a]] {
				d[i] = z.extrapolation
				break
			}
		}
	}
	return nil
}
