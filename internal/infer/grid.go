package infer

import (
	"fmt"
	"math"

	"bq/internal/kernel"
	"bq/onnxio"
)

// bindAffineGrid: for theta [N, d, d+1] and size [N, C, spatial] the grid [N, spatial, d] of theta times the homogeneous
// coordinates of every output position, from -1 to 1 in every dimension, the last dimension's coordinate first.
func bindAffineGrid(b *binding) runFunc {
	align := b.bool("align_corners", false)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		theta, size := in[0], intsOf(in[1])
		d := len(size) - 2
		if d < 2 || d > maxSpatial || size[0] < 0 || !equalShape(theta.Shape, []int{size[0], d, d + 1}) || !positive(size[2:]) {
			return nil, fmt.Errorf("affine grid of size %v by %v", size, theta.Shape)
		}
		t, err := r.float32s(theta)
		if err != nil {
			return nil, err
		}
		shape := append(append([]int{size[0]}, size[2:]...), d)
		out, err := r.new(floatType(theta.Type), shape...)
		if err != nil {
			return nil, err
		}
		points := product(size[2:])
		for i := range size[0] * points {
			at := gridPoint(i%points, size[2:], align)
			m := t[i/points*d*(d+1):]
			for row := range d {
				v := float64(m[row*(d+1)+d])
				for col, x := range at {
					v += float64(m[row*(d+1)+col]) * x
				}
				out.F32()[i*d+row] = float32(v)
			}
		}
		return one(r.cast(out, theta.Type))
	}
}

// gridPoint returns the coordinates of position i of a row-major space, the last dimension's first: from -1 to 1 at
// the centres of the outermost positions where align is set, else at their outer edges.
func gridPoint(i int, size []int, align bool) []float64 {
	at := make([]float64, len(size))
	for k := range at {
		n := size[len(size)-1-k]
		p := float64(i % n)
		i /= n
		switch {
		case !align:
			at[k] = (2*p+1)/float64(n) - 1
		case n > 1:
			at[k] = 2*p/float64(n-1) - 1
		default:
			at[k] = -1
		}
	}
	return at
}

// gridSample reads an input between its positions.
type gridSample struct {
	mode, padding string
	align         bool
}

// bindGridSample: X [N, C, spatial] read at the points of grid [N, out spatial, d], which run from -1 to 1, the last
// dimension's coordinate first.
func bindGridSample(b *binding) runFunc {
	z := &gridSample{
		mode:    b.str("mode", "linear", "linear", "bilinear", "nearest", "cubic", "bicubic"),
		padding: b.str("padding_mode", "zeros", "zeros", "border", "reflection"),
		align:   b.bool("align_corners", false),
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, grid := in[0], in[1]
		d := len(x.Shape) - 2
		if d < 1 || d > maxSpatial || len(grid.Shape) != d+2 || grid.Shape[0] != x.Shape[0] || grid.Shape[d+1] != d {
			return nil, fmt.Errorf("sampling %v at %v", x.Shape, grid.Shape)
		}
		if !positive(x.Shape[2:]) {
			return nil, fmt.Errorf("sampling %v", x.Shape)
		}
		points, err := r.float32s(grid)
		if err != nil {
			return nil, err
		}
		shape := append([]int{x.Shape[0], x.Shape[1]}, grid.Shape[1:d+1]...)
		return r.pooled(x, shape, func(dst, src []float32) {
			n, c, plane := product(grid.Shape[1:d+1]), x.Shape[1], product(x.Shape[2:])
			kernel.Parallel(r.threads, shape[0]*n, func(i int) {
				index, weight := z.taps(points[i*d:(i+1)*d], x.Shape[2:])
				for ch := range c {
					row := src[(i/max(1, n)*c+ch)*plane:]
					var sum float64
					for k, at := range index {
						sum += weight[k] * float64(row[at])
					}
					dst[(i/n*c+ch)*n+i%n] = float32(sum)
				}
			})
		})
	}
}

// taps returns the positions of the input that make up one point, with their weights.
func (z *gridSample) taps(point []float32, size []int) (index []int, weight []float64) {
	index, weight = []int{0}, []float64{1}
	for d, n := range size {
		at, w := z.axis(float64(point[len(size)-1-d]), n)
		var nextIndex []int
		var nextWeight []float64
		for i := range index {
			for k := range at {
				if at[k] >= 0 {
					nextIndex = append(nextIndex, index[i]*n+at[k])
					nextWeight = append(nextWeight, weight[i]*w[k])
				}
			}
		}
		index, weight = nextIndex, nextWeight
	}
	return index, weight
}

// axis returns the positions along one dimension of n and their weights; -1 is outside.
func (z *gridSample) axis(g float64, n int) (at []int, w []float64) {
	lo, hi := -0.5, float64(n)-0.5
	x := ((g+1)*float64(n) - 1) / 2
	if z.align {
		lo, hi = 0, float64(n-1)
		x = (g + 1) / 2 * hi
	}
	if x != x || math.IsInf(x, 0) {
		x = -1e6 // far outside, where every padding is defined
	}
	x = min(max(x, -1e9), 1e9)
	switch z.mode {
	case "nearest":
		return []int{z.pad(math.RoundToEven(x), n, lo, hi)}, []float64{1}
	case "cubic", "bicubic":
		base := math.Floor(x)
		w = cubicWeights(x - base)
		for k := range w {
			at = append(at, z.pad(base-1+float64(k), n, lo, hi))
		}
		return at, w
	}
	switch z.padding {
	case "border":
		x = min(max(x, 0), float64(n-1))
	case "reflection":
		x = reflect(x, lo, hi)
	}
	base := math.Floor(x)
	return []int{z.pad(base, n, lo, hi), z.pad(base+1, n, lo, hi)}, []float64{1 - (x - base), x - base}
}

// pad returns the position that x, a whole number, stands for.
func (z *gridSample) pad(x float64, n int, lo, hi float64) int {
	switch {
	case x >= 0 && x < float64(n):
		return int(x)
	case z.padding == "zeros":
		return -1
	case z.padding == "reflection":
		x = reflect(x, lo, hi)
	}
	return int(min(max(x, 0), float64(n-1)))
}

// reflect mirrors x at lo and hi until it lies between them.
func reflect(x, lo, hi float64) float64 {
	span := hi - lo
	if span <= 0 {
		return lo
	}
	x = math.Mod(math.Abs(x-lo), 2*span)
	if x > span {
		x = 2*span - x
	}
	return lo + x
}

// cubicWeights returns the weights of four neighbours at distance t from the second (Keys, "Cubic convolution
// interpolation for digital image processing", 1981, with a = -0.75).
func cubicWeights(t float64) []float64 {
	const a = -0.75
	near := func(d float64) float64 { return ((a+2)*d-(a+3))*d*d + 1 }
	far := func(d float64) float64 { return ((a*d-5*a)*d+8*a)*d - 4*a }
	return []float64{far(1 + t), near(t), near(1 - t), far(2 - t)}
}
