package infer

import (
	"fmt"
	"math"
	"math/bits"
	"math/cmplx"

	"bq/internal/kernel"
	"bq/onnxio"
)

// transform is a discrete Fourier transform of n values: X[k] = sum x[j] exp(-2 pi i jk / n), the inverse with the
// opposite sign and divided by n.
type transform struct {
	n       int
	inverse bool
	turn    []complex128 // exp(-+2 pi i k / n)
}

// maxTransform bounds the values of one transform whose length is no power of two, which takes their square in steps.
const maxTransform = 1 << 14

func newTransform(n int, inverse bool) (*transform, error) {
	if n < 1 || n > 1<<24 || n > maxTransform && n&(n-1) != 0 {
		return nil, fmt.Errorf("a transform of %d values", n)
	}
	t := &transform{n: n, inverse: inverse, turn: make([]complex128, n)}
	for k := range t.turn {
		angle := -2 * math.Pi * float64(k) / float64(n)
		if inverse {
			angle = -angle
		}
		t.turn[k] = cmplx.Rect(1, angle)
	}
	return t, nil
}

// run transforms x, of n values, to a new slice.
func (t *transform) run(x []complex128) []complex128 {
	y := make([]complex128, t.n)
	if t.n&(t.n-1) == 0 {
		t.fast(y, x)
	} else {
		for k := range y {
			for j, v := range x {
				y[k] += v * t.turn[j*k%t.n]
			}
		}
	}
	if t.inverse {
		for k := range y {
			y[k] /= complex(float64(t.n), 0)
		}
	}
	return y
}

// fast is the radix-2 algorithm (Cooley and Tukey, 1965), in place after reordering by reversed bits.
func (t *transform) fast(y, x []complex128) {
	if copy(y, x); t.n == 1 {
		return
	}
	shift := 65 - bits.Len(uint(t.n))
	for i, v := range x {
		y[bits.Reverse64(uint64(i))>>shift] = v
	}
	for size := 2; size <= t.n; size *= 2 {
		half, step := size/2, t.n/size
		for base := 0; base < t.n; base += size {
			for k := range half {
				p, q := y[base+k], y[base+k+half]*t.turn[k*step]
				y[base+k], y[base+k+half] = p+q, p-q
			}
		}
	}
}

// bindDFT: transforms along an axis of input [..., 1 or 2], cut or padded with zeros to dft_length. With onesided, half
// of the spectrum of a real input, or, inverse, real values from half of a spectrum.
func bindDFT(b *binding) runFunc {
	inverse, half := b.bool("inverse", false), b.bool("onesided", false)
	def := int64(-2)
	if b.version < 20 {
		def = b.int("axis", 1)
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		axis, err := scalarOr(in[2], float64(def))
		if err != nil {
			return nil, err
		}
		rank := len(x.Shape)
		a, err := axisOf(int64(axis), rank)
		if err != nil || a == rank-1 {
			return nil, fmt.Errorf("transforming shape %v along axis %v: %w", x.Shape, axis, err)
		}
		n := x.Shape[a]
		if half && inverse {
			n = 2 * (n - 1)
		}
		length, err := scalarOr(in[1], float64(n))
		if err != nil {
			return nil, err
		}
		if !(length >= 1 && length <= 1<<24) {
			return nil, fmt.Errorf("a transform of %v values", length)
		}
		return one(r.dft(x, a, int(length), inverse, half))
	}
}

// dft transforms along axis a. x has one or two values, real and imaginary part, in its last dimension.
func (r *run) dft(x *onnxio.Array, a, n int, inverse, half bool) (*onnxio.Array, error) {
	parts := x.Shape[len(x.Shape)-1]
	if parts != 1 && parts != 2 || half && !inverse && parts != 1 || half && inverse && parts != 2 {
		return nil, fmt.Errorf("transforming %d values per element", parts)
	}
	t, err := newTransform(n, inverse)
	if err != nil {
		return nil, err
	}
	d, err := r.cast(x, onnxio.Double)
	if err != nil {
		return nil, err
	}
	shape := append([]int{}, x.Shape...)
	results := 2
	if shape[a] = n; half && inverse {
		results = 1
	} else if half {
		shape[a] = n/2 + 1
	}
	shape[len(shape)-1] = results
	out, err := r.new(onnxio.Double, shape...)
	if err != nil {
		return nil, err
	}
	src, dst := d.Data.([]float64), out.Data.([]float64)
	inner := product(x.Shape[a+1 : len(x.Shape)-1])
	kernel.Parallel(r.threads, product(x.Shape[:a])*inner, func(row int) {
		v := make([]complex128, n)
		at := row/inner*x.Shape[a]*inner + row%inner
		for j := range min(n, x.Shape[a]) {
			v[j] = elementOf(src, at+j*inner, parts)
		}
		if half && inverse {
			mirror(v)
		}
		y := t.run(v)
		at = row/inner*shape[a]*inner + row%inner
		for k := range shape[a] {
			dst[(at+k*inner)*results] = real(y[k])
			if results == 2 {
				dst[(at+k*inner)*2+1] = imag(y[k])
			}
		}
	})
	return r.cast(out, x.Type)
}

// elementOf returns element i of parts values each as a complex number.
func elementOf(d []float64, i, parts int) complex128 {
	if parts == 1 {
		return complex(d[i], 0)
	}
	return complex(d[2*i], d[2*i+1])
}

// mirror completes half a spectrum to that of real values.
func mirror(v []complex128) {
	for k := len(v)/2 + 1; k < len(v); k++ {
		v[k] = cmplx.Conj(v[len(v)-k])
	}
}

// bindSTFT: signal [N, L, 1 or 2] cut into frames every frame_step, each times window, and transformed; inputs signal,
// frame_step, window, frame_length.
func bindSTFT(b *binding) runFunc {
	half := b.bool("onesided", true)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, window := in[0], in[2]
		if len(x.Shape) == 2 {
			x = x.Reshaped(x.Shape[0], x.Shape[1], 1)
		}
		step, err := scalarOr(in[1], 0)
		if err != nil {
			return nil, err
		}
		size := 0.0
		if window != nil {
			size = float64(window.Len())
		}
		if size, err = scalarOr(in[3], size); err != nil {
			return nil, err
		}
		if len(x.Shape) != 3 || !(step >= 1) || !(size >= 1 && size <= float64(x.Shape[1])) || window != nil && window.Len() != int(size) {
			return nil, fmt.Errorf("frames of %v every %v of a signal %v", size, step, x.Shape)
		}
		step = min(step, maxValueElements)
		frames, err := r.frames(x, window, int(step), int(size))
		if err != nil {
			return nil, err
		}
		return one(r.dft(frames, 2, int(size), false, half && x.Shape[2] == 1))
	}
}

// frames returns the windowed frames [N, frames, size, parts] of x.
func (r *run) frames(x, window *onnxio.Array, step, size int) (*onnxio.Array, error) {
	n, length, parts := x.Shape[0], x.Shape[1], x.Shape[2]
	count := (length-size)/step + 1
	out, err := r.strided(x, []int{n, count, size, parts}, []int{length * parts, step * parts, parts, 1}, 0)
	if err != nil || window == nil {
		return out, err
	}
	return r.scaleShift(out, window.Reshaped(size, 1), nil, x.Type)
}

// bindCosineWindow makes the operator of a window a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N), N being size or, not
// periodic, size - 1.
func bindCosineWindow(a0, a1, a2 float64) func(*binding) runFunc {
	return func(b *binding) runFunc {
		periodic, to := b.bool("periodic", true), onnxio.DataType(b.int("output_datatype", int64(onnxio.Float)))
		if !to.HasArray() {
			b.refuse("element type %v", to)
		}
		return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
			size, err := scalarOr(in[0], 0)
			if err != nil {
				return nil, err
			}
			if !(size >= 0 && size <= maxValueElements) {
				return nil, fmt.Errorf("a window of %v values", size)
			}
			out, err := r.new(onnxio.Double, int(size))
			if err != nil {
				return nil, err
			}
			if !periodic {
				size--
			}
			for i := range out.Data.([]float64) {
				angle := 2 * math.Pi * float64(i) / max(1, size)
				out.Data.([]float64)[i] = a0 - a1*math.Cos(angle) + a2*math.Cos(2*angle)
			}
			return one(r.cast(out, to))
		}
	}
}

// bindMelWeightMatrix: the matrix [dft_length/2 + 1, num_mel_bins] of triangles between frequencies spaced evenly on the mel
// scale, 2595 log10(1 + f/700). Inputs num_mel_bins, dft_length, sample_rate, lower and upper edge in hertz.
func bindMelWeightMatrix(b *binding) runFunc {
	to := onnxio.DataType(b.int("output_datatype", int64(onnxio.Float)))
	if !to.HasArray() {
		b.refuse("element type %v", to)
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		var v [5]float64
		for i := range v {
			var err error
			if v[i], err = scalarOr(in[i], 0); err != nil {
				return nil, err
			}
		}
		if !(v[0] >= 1 && v[0] <= 1<<20 && v[1] >= 1 && v[1] <= 1<<24 && v[2] > 0 && v[3] >= 0 && v[4] >= v[3] && v[4] <= v[2]/2) {
			return nil, fmt.Errorf("a mel matrix of %v bins over %v values at %v Hz from %v to %v Hz", v[0], v[1], v[2], v[3], v[4])
		}
		bins, rows := int(v[0]), int(v[1])/2+1
		out, err := r.new(onnxio.Double, rows, bins)
		if err != nil {
			return nil, err
		}
		fillMel(out.Data.([]float64), melEdges(bins, v[1], v[2], v[3], v[4]), rows, bins)
		return one(r.cast(out, to))
	}
}

// melEdges returns the bins of the spectrum at which the triangles begin, peak and end.
func melEdges(bins int, length, rate, lower, upper float64) []int {
	mel := func(f float64) float64 { return 2595 * math.Log10(1+f/700) }
	step := (mel(upper) - mel(lower)) / float64(bins+2)
	edges := make([]int, bins+2)
	for i := range edges {
		f := 700 * (math.Pow(10, (float64(i)*step+mel(lower))/2595) - 1)
		edges[i] = int(math.Floor((length + 1) * f / rate))
	}
	return edges
}

func fillMel(dst []float64, edges []int, rows, bins int) {
	set := func(row, col int, v float64) {
		if row < rows {
			dst[row*bins+col] = v
		}
	}
	for i := range bins {
		lo, mid, hi := edges[i], edges[i+1], edges[i+2]
		if lo == mid {
			set(mid, i, 1)
		}
		for j := lo; j <= mid && lo < mid; j++ {
			set(j, i, float64(j-lo)/float64(mid-lo))
		}
		for j := mid; j < hi; j++ {
			set(j, i, float64(hi-j)/float64(hi-mid))
		}
	}
}
