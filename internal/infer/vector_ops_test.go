package infer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"bq/onnxio"
)

// normal returns a value of normally distributed elements.
func normal(seed uint64, shape ...int) *onnxio.Array {
	rng := rand.New(rand.NewPCG(seed, 2))
	d := make([]float32, product(shape))
	for i := range d {
		d[i] = float32(rng.NormFloat64())
	}
	return onnxio.Floats(d, shape...)
}

// Broadcast operands give the same elements however runs are cut and spread.
func TestWalkOnThreads(t *testing.T) {
	for _, tt := range []struct{ x, y []int }{
		{[]int{1 << 17}, []int{1 << 17}}, {[]int{1 << 17}, []int{1}}, {[]int{131071}, []int{131071}}, {[]int{3, 64, 30, 31}, []int{64, 1, 1}},
		{[]int{500, 77}, []int{77}}, {[]int{500, 1}, []int{1, 300}}, {[]int{0, 4}, []int{4}}, {[]int{}, []int{}},
	} {
		x, y := normal(1, tt.x...), normal(2, tt.y...)
		var first []float32
		for threads := 1; threads <= 5; threads++ {
			r := &run{threads: threads, limit: 1 << 30}
			out, err := binary(r, onnxio.Float, x, y, func(dst, a, b []float32, sa, sb int) {
				for i := range dst {
					dst[i] = a[i*sa] - 2*b[i*sb]
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			got := out[0].F32()
			if threads == 1 {
				first = got
			} else if !slices.Equal(got, first) {
				t.Errorf("%v and %v: %d threads differ", tt.x, tt.y, threads)
			}
		}
		strides := broadcastStrides(tt.y, len(tt.x))
		if len(first) == 0 || len(tt.x) < len(tt.y) || product(tt.x) != len(first) {
			continue
		}
		for i := 0; i < len(first); i += 97 {
			at, rest := 0, i
			for d := len(tt.x) - 1; d >= 0; d-- {
				at += rest % tt.x[d] * strides[d]
				rest /= tt.x[d]
			}
			if want := x.F32()[i] - 2*y.F32()[at]; math.Abs(float64(first[i]-want)) > 1e-6 {
				t.Errorf("%v and %v: element %d is %v, want %v", tt.x, tt.y, i, first[i], want)
			}
		}
	}
}

// Reductions along neighbouring dimensions agree with the walk over every element.
func TestFastReduce(t *testing.T) {
	for _, tt := range []struct{ shape, axes []int }{
		{[]int{3, 40}, []int{1}}, {[]int{3, 40}, []int{0}}, {[]int{3, 40}, []int{0, 1}}, {[]int{2, 5, 1, 7, 3}, []int{1, 2, 3}},
		{[]int{2, 5, 7, 3}, []int{2, 3}}, {[]int{2, 5, 7}, []int{0, 2}}, {[]int{4, 0}, []int{1}}, {[]int{1, 1}, []int{0}}, {[]int{6}, nil},
	} {
		x := normal(3, tt.shape...)
		p, err := planReduce(tt.shape, tt.axes, true)
		if err != nil {
			t.Fatal(err)
		}
		for name, red := range reducers {
			want := make([]float64, p.results)
			for i := range want {
				want[i] = red.start
			}
			p.each(func(i, o int) { want[o] = red.add(want[o], float64(x.F32()[i])) })
			got := (&run{threads: 2, limit: 1 << 30}).fastReduce(name, x.F32(), p)
			for i, v := range got {
				if math.Abs(v-want[i]) > 1e-9*(1+math.Abs(want[i])) {
					t.Errorf("%s of %v along %v: element %d is %v, want %v", name, tt.shape, tt.axes, i, v, want[i])
				}
			}
			if got == nil && (name == "ReduceSum" || name == "ReduceMax") && len(tt.shape) == 2 && tt.axes[0] == 1 && p.count > 0 {
				t.Errorf("%s of %v along %v has no fast form", name, tt.shape, tt.axes)
			}
		}
	}
}

// cellError bounds the difference of the two ways to compute recurrent operators over a few steps: float32 and float64.
const cellError = 1e-5

// With a bound that nothing reaches, recurrent operators take their general way: it agrees with the usual one, for
// every direction, batch and peculiarity.
func TestRecurrentWays(t *testing.T) {
	const steps, in, hidden = 5, 6, 9
	for _, op := range []struct {
		name    string
		gates   int
		outputs int
		attrs   []*onnxio.Attribute
	}{
		{"LSTM", 4, 3, nil}, {"GRU", 3, 2, nil}, {"GRU", 3, 2, []*onnxio.Attribute{integerAttr("linear_before_reset", 1)}}, {"RNN", 1, 2, nil},
	} {
		for _, batch := range []int{1, 3} {
			for _, direction := range []string{"forward", "reverse", "bidirectional"} {
				d := 1 + len(direction)/len("bidirectional")
				feeds := []*onnxio.Array{normal(1, steps, batch, in), normal(2, d, op.gates*hidden, in), normal(3, d, op.gates*hidden, hidden),
					normal(4, d, 2*op.gates*hidden)}
				attrs := append([]*onnxio.Attribute{integerAttr("hidden_size", hidden), text("direction", direction)}, op.attrs...)
				got, err := runNode(14, op.name, feeds, op.outputs, attrs...)
				if err != nil {
					t.Fatal(err)
				}
				want, err := runNode(14, op.name, feeds, op.outputs, append(attrs, floatAttr("clip", 1e9))...)
				if err != nil {
					t.Fatal(err)
				}
				for i, w := range want {
					for k, v := range w.F32() {
						if math.Abs(float64(got[i].F32()[k]-v)) > cellError {
							t.Fatalf("%s %s, batch %d: output %d, element %d is %v, want %v", op.name, direction, batch, i, k, got[i].F32()[k], v)
						}
					}
				}
			}
		}
	}
}

// Linear resizing agrees with its formula (half pixels, edges repeated) where channels are last, first, or many.
func TestResizeLinear(t *testing.T) {
	for _, s := range []struct{ shape, out []int }{
		{[]int{2, 3, 5, 4}, []int{2, 3, 10, 8}}, {[]int{1, 6, 5, 21}, []int{1, 13, 9, 21}}, {[]int{1, 4, 3, 100}, []int{1, 7, 6, 100}}, {[]int{1, 1, 8, 8}, []int{1, 1, 3, 5}},
	} {
		x := normal(5, s.shape...)
		sizes := make([]int64, 4)
		for i, d := range s.out {
			sizes[i] = int64(d)
		}
		out, err := runNode(13, "Resize", []*onnxio.Array{x, nil, nil, onnxio.Int64s(sizes, 4)}, 1, text("mode", "linear"))
		if err != nil {
			t.Fatal(err)
		}
		strides := rowStrides(s.shape)
		for i, v := range out[0].F32() {
			var want float64
			for corner := range 16 {
				w, at, rest := 1.0, 0, i
				for d := 3; d >= 0; d-- {
					c := (float64(rest%s.out[d])+0.5)*float64(s.shape[d])/float64(s.out[d]) - 0.5
					rest /= s.out[d]
					low := math.Floor(c)
					if corner>>d&1 == 1 {
						w, low = w*(c-low), low+1
					} else {
						w *= 1 - (c - low)
					}
					at += min(max(int(low), 0), s.shape[d]-1) * strides[d]
				}
				want += w * float64(x.F32()[at])
			}
			if math.Abs(float64(v)-want) > 1e-5 {
				t.Fatalf("%v to %v: element %d is %v, want %v", s.shape, s.out, i, v, want)
			}
		}
	}
}

// Powers with a whole exponent in one number; others and their broadcasting stay.
func TestPowers(t *testing.T) {
	x := []float32{-2, 0, 3, float32(math.Inf(-1)), float32(math.NaN())}
	for _, tt := range []struct {
		e    float32
		want []float32
	}{{2, []float32{4, 0, 9}}, {3, []float32{-8, 0, 27}}, {-1, []float32{-0.5, float32(math.Inf(1)), 1 / float32(3)}}, {1, []float32{-2, 0, 3}}, {0, []float32{1, 1, 1}}} {
		t.Run(fmt.Sprint(tt.e), func(t *testing.T) {
			out, err := runNode(13, "Pow", []*onnxio.Array{onnxio.Floats(x, 5), onnxio.Floats([]float32{tt.e})}, 1)
			if err != nil {
				t.Fatal(err)
			}
			got := out[0].F32()
			if !slices.Equal(got[:3], tt.want) || tt.e != 0 && got[4] == got[4] || got[3] != float32(math.Pow(math.Inf(-1), float64(tt.e))) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}
