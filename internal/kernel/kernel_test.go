package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
)

// sumTolerance bounds the difference of two float32 sums of the same terms in different order, relative to the sum
// of their absolute values: at most a few hundred roundings of 2^-24 each.
const sumTolerance = 1e-5

// near fails where got differs from want by more than sumTolerance of scale, or where only one is NaN.
func near(t *testing.T, what string, got []float32, want, scale []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		g := float64(got[i])
		if math.IsNaN(g) && math.IsNaN(w) || g == w {
			continue
		}
		if !(math.Abs(g-w) <= sumTolerance*max(1, scale[i])) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, g, w)
		}
	}
}

// gemmRef is the textbook triple loop in float64; abs sums the absolute values of the terms.
func gemmRef(m, n, k int, a, b Matrix, c []float32) (sum, abs []float64) {
	sum, abs = make([]float64, m*n), make([]float64, m*n)
	for i := range m {
		for j := range n {
			s := float64(c[i*n+j])
			for p := range k {
				v := float64(a.Data[i*a.RowStride+p*a.ColStride]) * float64(b.Data[p*b.RowStride+j*b.ColStride])
				s += v
				abs[i*n+j] += math.Abs(v)
			}
			sum[i*n+j] = s
		}
	}
	return sum, abs
}

func TestGemm(t *testing.T) {
	sizes := [][3]int{{1, 1, 1}, {2, 4, 2}, {1, 7, 5}, {7, 1, 5}, {3, 5, 7}, {5, 9, 257}, {65, 130, 300}, {4, 300, 1}, {1, 300, 513}, {131, 3, 259}}
	for _, s := range sizes {
		m, n, k := s[0], s[1], s[2]
		x, y, c := randomFloats(m*k, 1), randomFloats(k*n, 2), randomFloats(m*n, 3)
		for form := range 4 {
			a, b := RowMajor(x, k), RowMajor(y, n)
			if form&1 != 0 {
				a = RowMajor(x, m).T()
			}
			if form&2 != 0 {
				b = RowMajor(y, k).T()
			}
			want, scale := gemmRef(m, n, k, a, b, c)
			got := slices.Clone(c)
			Gemm(got, n, m, n, k, a, b, 1)
			near(t, fmt.Sprintf("%dx%dx%d form %d", m, n, k, form), got, want, scale)
			for threads := 2; threads < 5; threads++ {
				again := slices.Clone(c)
				Gemm(again, n, m, n, k, a, b, threads)
				if !slices.Equal(again, got) {
					t.Fatalf("%dx%dx%d form %d: %d threads give other bits", m, n, k, form, threads)
				}
			}
		}
	}
}

func TestGemmEdges(t *testing.T) {
	for _, s := range [][3]int{{0, 3, 2}, {3, 0, 2}, {3, 2, 0}} {
		c := []float32{1, 2, 3, 4, 5, 6}
		Gemm(c, s[1], s[0], s[1], s[2], Matrix{}, Matrix{}, 2)
		if !slices.Equal(c, []float32{1, 2, 3, 4, 5, 6}) {
			t.Errorf("%v: an empty product changes the sum: %v", s, c)
		}
	}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	c := make([]float32, 4) // [[Inf 0] [NaN 1]] * [[0 1] [2 3]]: Inf*0 is NaN, zeros are not skipped
	Gemm(c, 2, 2, 2, 2, RowMajor([]float32{inf, 0, nan, 1}, 2), RowMajor([]float32{0, 1, 2, 3}, 2), 1)
	if c[0] == c[0] || c[1] != inf || c[2] == c[2] || c[3] == c[3] {
		t.Errorf("NaN and Inf do not spread: %v", c)
	}
	row := []float32{9, 9, 9, 9} // 2x1 product written with a row stride of 2 leaves the other column alone
	Gemm(row, 2, 2, 1, 1, RowMajor([]float32{2, 3}, 1), RowMajor([]float32{10}, 1), 1)
	if !slices.Equal(row, []float32{29, 9, 39, 9}) {
		t.Errorf("strided result: %v", row)
	}
}

// convRef is the definition of Conv: one sum per output element, in float64.
func convRef(x, weights, bias []float32, batch, inC, outC, group int, w *Window) (sum, abs []float64) {
	cg, og := inC/group, outC/group
	for n := range batch {
		for m := range outC {
			for od := range w.Out[0] {
				for oh := range w.Out[1] {
					for ow := range w.Out[2] {
						s, a := 0.0, 0.0
						if bias != nil {
							s = float64(bias[m])
						}
						for c := range cg {
							for k := range w.KernelSize() {
								kw, kh, kd := k%w.Kernel[2], k/w.Kernel[2]%w.Kernel[1], k/(w.Kernel[2]*w.Kernel[1])
								d, h, i := od*w.Stride[0]+kd*w.Dilation[0]-w.Pad[0], oh*w.Stride[1]+kh*w.Dilation[1]-w.Pad[1], ow*w.Stride[2]+kw*w.Dilation[2]-w.Pad[2]
								if d < 0 || h < 0 || i < 0 || d >= w.In[0] || h >= w.In[1] || i >= w.In[2] {
									continue
								}
								v := float64(x[(((n*inC+m/og*cg+c)*w.In[0]+d)*w.In[1]+h)*w.In[2]+i]) * float64(weights[(m*cg+c)*w.KernelSize()+k])
								s += v
								a += math.Abs(v)
							}
						}
						sum, abs = append(sum, s), append(abs, a)
					}
				}
			}
		}
	}
	return sum, abs
}

// randomWindow draws a window whose outputs, kernels and paddings take all small sizes.
func randomWindow(rng *rand.Rand) *Window {
	for {
		w := &Window{}
		ok := true
		for d := range 3 {
			w.In[d], w.Kernel[d] = 1+rng.IntN(6), 1+rng.IntN(3)
			w.Stride[d], w.Dilation[d], w.Pad[d] = 1+rng.IntN(3), 1+rng.IntN(2), rng.IntN(3)
			room := w.In[d] + w.Pad[d] + rng.IntN(3) - (w.Kernel[d]-1)*w.Dilation[d] - 1
			w.Out[d] = room/w.Stride[d] + 1
			ok = ok && room >= 0
		}
		if ok {
			return w
		}
	}
}

func TestConv(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		w := randomWindow(rng)
		group := 1 + rng.IntN(3)
		cg, og, batch := 1+rng.IntN(3), 1+rng.IntN(3), 1+rng.IntN(2)
		inC, outC := group*cg, group*og
		x, weights := randomFloats(batch*inC*w.InSize(), uint64(i)), randomFloats(outC*cg*w.KernelSize(), uint64(i+1000))
		var bias []float32
		if i%2 == 0 {
			bias = randomFloats(outC, 7)
		}
		want, scale := convRef(x, weights, bias, batch, inC, outC, group, w)
		got := make([]float32, len(want))
		Conv(got, x, weights, bias, batch, inC, outC, group, w, Epilogue{}, 1)
		near(t, fmt.Sprintf("%+v group %d", *w, group), got, want, scale)
		testTranspose(t, got, weights, batch, inC, outC, group, w, uint64(i))
		testConvIntegers(t, x, weights, batch, inC, outC, group, w)
	}
}

// testTranspose checks that ConvTranspose is the adjoint of Conv: <Conv(x), y> = <x, ConvTranspose(y)>.
func testTranspose(t *testing.T, _, weights []float32, batch, inC, outC, group int, w *Window, seed uint64) {
	t.Helper()
	x, y := randomFloats(batch*inC*w.InSize(), seed+5), randomFloats(batch*outC*w.OutSize(), seed+6)
	conv, _ := convRef(x, weights, nil, batch, inC, outC, group, w)
	back := make([]float32, len(x))
	ConvTranspose(back, y, weights, nil, batch, outC, inC, group, w, 2)
	var left, right, scale float64
	for i, v := range conv {
		left += v * float64(y[i])
		scale += math.Abs(v * float64(y[i]))
	}
	for i, v := range back {
		right += float64(v) * float64(x[i])
	}
	if math.Abs(left-right) > sumTolerance*max(1, scale) {
		t.Fatalf("%+v: <Conv(x), y> = %v, <x, ConvTranspose(y)> = %v", *w, left, right)
	}
}

// testConvIntegers compares ConvIntegers with convRef on small integers, which float64 adds exactly.
func testConvIntegers(t *testing.T, x, weights []float32, batch, inC, outC, group int, w *Window) {
	t.Helper()
	xi, wi := make([]int64, len(x)), make([]int64, len(weights))
	for i := range x {
		xi[i] = int64(x[i] * 50)
		x[i] = float32(xi[i])
	}
	for i := range weights {
		wi[i] = int64(weights[i] * 50)
		weights[i] = float32(wi[i])
	}
	want, _ := convRef(x, weights, nil, batch, inC, outC, group, w)
	got := make([]int64, len(want))
	ConvIntegers(got, xi, wi, nil, batch, inC, outC, group, w, 2)
	for i := range want {
		if float64(got[i]) != want[i] {
			t.Fatalf("%+v: integer %d is %v, want %v", *w, i, got[i], want[i])
		}
	}
}

// TestConvPaddingOnly has kernel positions that read nothing but padding from every output position.
func TestConvPaddingOnly(t *testing.T) {
	w := unitOf(Window{In: [3]int{1, 1, 1}, Out: [3]int{1, 1, 1}, Kernel: [3]int{1, 1, 5}, Pad: [3]int{0, 0, 2}})
	for _, group := range []int{1, 2} {
		y := make([]float32, 2)
		weights := []float32{9, 9, 3, 9, 9, 9, 9, 4, 9, 9, 9, 9, 5, 9, 9, 9, 9, 6, 9, 9}
		Conv(y, []float32{10, 100}, weights, nil, 1, 2, 2, group, w, Epilogue{}, 1)
		want := map[int][]float32{1: {430, 650}, 2: {30, 400}}[group]
		if !slices.Equal(y, want) {
			t.Errorf("group %d: %v, want %v", group, y, want)
		}
	}
}

// unitOf fills in strides and dilations of one.
func unitOf(w Window) *Window {
	w.Stride, w.Dilation = [3]int{1, 1, 1}, [3]int{1, 1, 1}
	return &w
}

func TestConvThreads(t *testing.T) {
	w := &Window{In: [3]int{1, 30, 31}, Out: [3]int{1, 30, 31}, Kernel: [3]int{1, 3, 3}, Stride: [3]int{1, 1, 1}, Dilation: [3]int{1, 1, 1}, Pad: [3]int{0, 1, 1}}
	for _, group := range []int{1, 2, 8} {
		x, weights := randomFloats(8*w.InSize(), 1), randomFloats(16*8/group*9, 2)
		var first []float32
		for threads := 1; threads < 6; threads++ {
			y := make([]float32, 16*w.OutSize())
			Conv(y, x, weights, nil, 1, 8, 16, group, w, Epilogue{}, threads)
			if first == nil {
				first = y
			} else if !slices.Equal(first, y) {
				t.Errorf("group %d: %d threads give other bits", group, threads)
			}
		}
	}
}

// poolRef returns the values of x that the window at output position o sees.
func poolRef(x []float32, w *Window, o int) (seen []float32, at []int) {
	ow, oh, od := o%w.Out[2], o/w.Out[2]%w.Out[1], o/(w.Out[2]*w.Out[1])
	for k := range w.KernelSize() {
		kw, kh, kd := k%w.Kernel[2], k/w.Kernel[2]%w.Kernel[1], k/(w.Kernel[2]*w.Kernel[1])
		d, h, i := od*w.Stride[0]+kd*w.Dilation[0]-w.Pad[0], oh*w.Stride[1]+kh*w.Dilation[1]-w.Pad[1], ow*w.Stride[2]+kw*w.Dilation[2]-w.Pad[2]
		if d >= 0 && h >= 0 && i >= 0 && d < w.In[0] && h < w.In[1] && i < w.In[2] {
			at = append(at, (d*w.In[1]+h)*w.In[2]+i)
			seen = append(seen, x[at[len(at)-1]])
		}
	}
	return seen, at
}

func TestPools(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 200 {
		w := randomWindow(rng)
		x := randomFloats(w.InSize(), uint64(i))
		top, mean, norm := make([]float32, w.OutSize()), make([]float32, w.OutSize()), make([]float32, w.OutSize())
		index := make([]int64, w.OutSize())
		MaxPool(top, index, x, 1, w, false, 2)
		AveragePool(mean, x, 1, w, nil, 2)
		LpPool(norm, x, 1, 2, w, 2)
		for o := range top {
			seen, at := poolRef(x, w, o)
			if len(seen) == 0 {
				if !math.IsInf(float64(top[o]), -1) || index[o] != -1 || mean[o] == mean[o] || norm[o] != 0 {
					t.Fatalf("%+v: empty window %d: %v at %d, mean %v, norm %v", *w, o, top[o], index[o], mean[o], norm[o])
				}
				continue
			}
			best := slices.Max(seen)
			if top[o] != best || index[o] != int64(at[slices.Index(seen, best)]) {
				t.Fatalf("%+v: window %d: largest %v at %d, want %v", *w, o, top[o], index[o], best)
			}
			var sum, sq float64
			for _, v := range seen {
				sum += float64(v)
				sq += float64(v) * float64(v)
			}
			near(t, "mean and norm", []float32{mean[o], norm[o]}, []float64{sum / float64(len(seen)), math.Sqrt(sq)}, []float64{1, 1})
		}
	}
}

func TestMaxPoolNaN(t *testing.T) {
	w := &Window{In: [3]int{1, 1, 3}, Out: [3]int{1, 1, 1}, Kernel: [3]int{1, 1, 3}, Stride: [3]int{1, 1, 1}, Dilation: [3]int{1, 1, 1}}
	nan := float32(math.NaN())
	for _, x := range [][]float32{{nan, 1, 2}, {1, nan, 2}, {1, 2, nan}} {
		got := make([]float32, 1)
		MaxPool(got, nil, x, 1, w, false, 1)
		if got[0] == got[0] {
			t.Errorf("the largest of %v is %v, want NaN", x, got[0])
		}
	}
}

func TestSoftmax(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	log2, third := math.Log(2), 1.0/3
	for _, c := range []struct {
		name      string
		x         []float32
		soft, log []float64
	}{
		{"hand", []float32{0, float32(log2)}, []float64{third, 2 * third}, []float64{-math.Log(3), log2 - math.Log(3)}},
		{"constant", []float32{5, 5}, []float64{.5, .5}, []float64{-log2, -log2}},
		{"large", []float32{1000, 1000}, []float64{.5, .5}, []float64{-log2, -log2}},
		{"one", []float32{3}, []float64{1}, []float64{0}},
		{"empty", nil, nil, nil},
		{"minus Inf", []float32{float32(-inf), 0}, []float64{0, 1}, []float64{-inf, 0}},
		{"all minus Inf", []float32{float32(-inf), float32(-inf)}, []float64{nan, nan}, []float64{nan, nan}},
		{"plus Inf", []float32{float32(inf), 0}, []float64{nan, nan}, []float64{nan, nan}},
		{"NaN", []float32{float32(nan), 0}, []float64{nan, nan}, []float64{nan, nan}},
	} {
		got := make([]float32, len(c.x))
		one := []float64{1, 1}
		Softmax(got, c.x, 1, len(c.x), 1)
		near(t, "softmax "+c.name, got, c.soft, one)
		LogSoftmax(got, c.x, 1, len(c.x), 1)
		near(t, "log softmax "+c.name, got, c.log, one)
	}
	strided := make([]float32, 4) // two interleaved rows: 0, ln 2 and 5, 5
	Softmax(strided, []float32{0, 5, float32(log2), 5}, 1, 2, 2)
	near(t, "strided", strided, []float64{third, .5, 2 * third, .5}, []float64{1, 1, 1, 1})
}

func TestStrided(t *testing.T) {
	src := []int{0, 1, 2, 3, 4, 5} // [2, 3]
	for _, c := range []struct {
		name           string
		shape, strides []int
		offset         int
		want           []int
	}{
		{"copy", []int{2, 3}, []int{3, 1}, 0, []int{0, 1, 2, 3, 4, 5}},
		{"transpose", []int{3, 2}, []int{1, 3}, 0, []int{0, 3, 1, 4, 2, 5}},
		{"reversed", []int{2, 3}, []int{-3, -1}, 5, []int{5, 4, 3, 2, 1, 0}},
		{"broadcast", []int{2, 2, 1}, []int{0, 1, 7}, 1, []int{1, 2, 1, 2}},
		{"scalar", nil, nil, 4, []int{4}},
		{"empty", []int{0, 3}, []int{3, 1}, 0, []int{}},
	} {
		got := make([]int, len(c.want))
		Strided(got, src, c.shape, c.strides, c.offset, 2)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestElementwise(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	a, b := []float32{6, -3, nan, inf, 0}, []float32{2, 4, 1, inf, 0}
	for _, c := range []struct {
		name string
		f    func(dst, a, b []float32, sa, sb int)
		want [3][]float32 // both move, b stands, a stands
	}{
		{"add", Add[float32], [3][]float32{{8, 1, nan, inf, 0}, {8, -1, nan, inf, 2}, {8, 10, 7, inf, 6}}},
		{"sub", Sub[float32], [3][]float32{{4, -7, nan, nan, 0}, {4, -5, nan, inf, -2}, {4, 2, 5, -inf, 6}}},
		{"mul", Mul[float32], [3][]float32{{12, -12, nan, inf, 0}, {12, -6, nan, inf, 0}, {12, 24, 6, inf, 0}}},
		{"div", Div[float32], [3][]float32{{3, -.75, nan, nan, nan}, {3, -1.5, nan, inf, 0}, {3, 1.5, 6, 0, inf}}},
	} {
		for form, steps := range [3][2]int{{1, 1}, {1, 0}, {0, 1}} {
			got := make([]float32, len(a))
			c.f(got, a, b, steps[0], steps[1])
			for i, w := range c.want[form] {
				if got[i] != w && !(got[i] != got[i] && w != w) {
					t.Errorf("%s form %d: %v, want %v", c.name, form, got, c.want[form])
					break
				}
			}
		}
	}
	got := make([]float32, 4)
	Clamp(got, []float32{-1, 0.5, 7, nan}, 0, 6)
	if !slices.Equal(got[:3], []float32{0, 0.5, 6}) || got[3] == got[3] {
		t.Errorf("clamp: %v", got)
	}
}

func TestParallel(t *testing.T) {
	for _, n := range []int{0, 1, 7, 100} {
		for threads := range 5 {
			var calls atomic.Int64
			seen := make([]int, n)
			Parallel(threads, n, func(i int) { seen[i]++; calls.Add(1) })
			if int(calls.Load()) != n || slices.Contains(seen, 0) {
				t.Errorf("%d calls over %d threads: %v", n, threads, seen)
			}
		}
	}
	defer func() {
		if p := recover(); p != "boom" {
			t.Errorf("recovered %v, want the panic of the call", p)
		}
	}()
	Parallel(3, 10, func(i int) {
		if i == 4 {
			panic("boom")
		}
	})
}

func ExampleGemm() {
	a := []float32{1, 2, 3, 4} // [2, 2]
	x := []float32{10, 1}      // [2, 1]
	c := make([]float32, 2)
	Gemm(c, 1, 2, 1, 2, RowMajor(a, 2), RowMajor(x, 1), 1)
	fmt.Println(c)
	// Output: [12 34]
}
