package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// sample returns every step-th bit pattern of a float32, and the numbers around zero that models hold.
func sample(step uint64) []float32 {
	var x []float32
	for bits := uint64(0); bits < 1<<32; bits += step {
		x = append(x, math.Float32frombits(uint32(bits)))
	}
	for i := range 4000 {
		x = append(x, float32(i-2000)/100)
	}
	return x
}

func geluRef(x float64) float64 { return 0.5 * x * math.Erfc(-x/math.Sqrt2) }

func fastGeluRef(x float64) float64 {
	return x / (1 + math.Exp(-2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}

func mishRef(x float64) float64 {
	if x > 20 {
		return x // tanh(log(1 + e^20)) is 1 - 8e-18
	}
	n := math.Exp(x) * (math.Exp(x) + 2)
	return x * n / (n + 2)
}

// beside is what errors are measured beside where a promise is not one of ulp: the size of the result of x itself.
func beside(x float64) float64 { return math.Abs(x) * 0x1p-23 }

// Functions keep to the errors that they state, over every 4,093rd bit pattern. Infinities are left to TestVectorsOfSpecials.
func TestVectorsWithinUlps(t *testing.T) {
	functions := []struct {
		name     string
		f        func(dst, x []float32)
		exact    func(x float64) float64
		limit    float64
		absolute func(x float64) float64 // further error allowed
	}{
		{"erf", Erf, math.Erf, 2, nil},
		{"gelu", Gelu, geluRef, 3, beside},
		{"fast gelu", FastGelu, fastGeluRef, 3, beside},
		{"mish", Mish, mishRef, 6, nil},
		{"elu", func(dst, x []float32) { Elu(dst, x, 1, 1) }, func(x float64) float64 {
			if x > 0 {
				return x
			}
			return math.Expm1(x)
		}, 4, nil},
		{"sqrt", Sqrt, math.Sqrt, 0.5, nil},
		{"reciprocal", Reciprocal, func(x float64) float64 { return 1 / x }, 0.5, nil},
	}
	x := sample(4093)
	got := make([]float32, len(x))
	eachLevel(t, func(t *testing.T) {
		for _, tt := range functions {
			tt.f(got, x)
			worst, at := 0.0, float32(0)
			for i, v := range x {
				want := tt.exact(float64(v))
				if math.IsInf(float64(v), 0) || math.Abs(want) < tiny && math.Abs(float64(got[i])-want) < tiny {
					continue
				}
				if tt.absolute != nil && v < 0 && math.Abs(float64(got[i])-want) <= tt.absolute(float64(v)) {
					continue
				}
				if u := ulps(got[i], want); u > worst {
					worst, at = u, v
				}
			}
			t.Logf("%s: %.2f ulp at %v", tt.name, worst, at)
			if worst > tt.limit {
				t.Errorf("%s: %.2f ulp at %v, want at most %v", tt.name, worst, at, tt.limit)
			}
		}
	})
}

// Values that are known: signs, limits, NaN.
func TestVectorsOfSpecials(t *testing.T) {
	nan, inf, negZero := float32(math.NaN()), float32(math.Inf(1)), float32(math.Copysign(0, -1))
	x := []float32{0, negZero, inf, -inf, nan, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0x1p24 + 2}
	for _, tt := range []struct {
		name  string
		f     func(dst, x []float32)
		want  []float32 // signs of zeros count unless loose
		loose bool
	}{
		{"erf", Erf, []float32{0, negZero, 1, -1, nan}, false},
		{"gelu", Gelu, []float32{0, negZero, inf, nan, nan}, true},
		{"mish", Mish, []float32{0, negZero, inf, nan, nan}, true},
		{"elu", func(dst, x []float32) { Elu(dst, x, 2, 3) }, []float32{0, negZero, inf, -3, nan, 1, 3, 5}, true},
		{"sqrt", Sqrt, []float32{0, negZero, inf, nan, nan}, false},
		{"abs", Abs, []float32{0, 0, inf, inf, nan, 0.5, 1.5, 2.5, 0.5, 1.5, 2.5, 0x1p24 + 2}, false},
		{"neg", Neg, []float32{negZero, 0, -inf, inf, nan, -0.5, -1.5, -2.5, 0.5, 1.5, 2.5, -0x1p24 - 2}, false},
		{"reciprocal", Reciprocal, []float32{inf, -inf, 0, negZero, nan, 2}, false},
		{"round", Round, []float32{0, negZero, inf, -inf, nan, 0, 2, 2, negZero, -2, -2, 0x1p24 + 2}, false},
		{"floor", Floor, []float32{0, negZero, inf, -inf, nan, 0, 1, 2, -1, -2, -3, 0x1p24 + 2}, false},
		{"ceil", Ceil, []float32{0, negZero, inf, -inf, nan, 1, 2, 3, negZero, -1, -2, 0x1p24 + 2}, false},
	} {
		eachLevel(t, func(t *testing.T) {
			got := make([]float32, len(x))
			tt.f(got, x)
			for i, w := range tt.want {
				if math.Float32bits(got[i]) != math.Float32bits(w) && (got[i] == got[i] || w == w) && !(tt.loose && got[i] == w) {
					t.Errorf("%s of %v is %v, want %v", tt.name, x[i], got[i], w)
				}
			}
			tt.f(nil, nil)
		})
	}
}

// The larger and the smaller of two are NaN where one is.
func TestLargerSmaller(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	a := []float32{1, 2, nan, 1, nan, inf, -inf, 3, 1, 2, 3, 4, 5, 6, 7, 8, nan, 0}
	b := []float32{2, 1, 1, nan, nan, 1, 1, 3, 8, 7, 6, 5, 4, 3, 2, 1, 1, nan}
	larger := []float32{2, 2, nan, nan, nan, inf, 1, 3, 8, 7, 6, 5, 5, 6, 7, 8, nan, nan}
	smaller := []float32{1, 1, nan, nan, nan, 1, -inf, 3, 1, 2, 3, 4, 4, 3, 2, 1, nan, nan}
	eachLevel(t, func(t *testing.T) {
		for n := range len(a) + 1 {
			got := make([]float32, n)
			Larger(got, a[:n], b[:n], 1, 1)
			sameFloats(t, "larger", got, larger[:n])
			Smaller(got, a[:n], b[:n], 1, 1)
			sameFloats(t, "smaller", got, smaller[:n])
			for i := range n {
				got[i] = 4
			}
			Larger(got, a[:n], []float32{4}, 1, 0)
			for i, v := range got {
				if want := max(a[i], 4); v != want && want == want {
					t.Errorf("larger of %v and 4 is %v", a[i], v)
				}
			}
			if got, want := Largest(a[:n]), append([]float32{-inf, 1}, slices.Repeat([]float32{2}, 1)...); n < 3 && got != want[n] {
				t.Errorf("largest of %v is %v", a[:n], got)
			} else if n > 2 && got == got {
				t.Errorf("largest of %v is %v, want NaN", a[:n], got)
			}
		}
		if got := Largest(b[8:16]); got != 8 {
			t.Errorf("largest of %v is %v", b[8:16], got)
		}
	})
}

// sameFloats wants the same numbers, and NaN where NaN is wanted.
func sameFloats(t *testing.T, name string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", name, len(got), len(want))
	}
	for i, w := range want {
		if got[i] != w && (got[i] == got[i] || w == w) {
			t.Errorf("%s: element %d is %v, want %v", name, i, got[i], w)
		}
	}
}

// Sums in float64 have the same bits on every level, and are right where they are known.
func TestTotals(t *testing.T) {
	for n := range 70 {
		x := randomFloats(n, uint64(n))
		ints := make([]float32, n)
		for i := range ints {
			ints[i] = float32(i + 1)
		}
		eachLevel(t, func(t *testing.T) {
			if got := Total(ints); got != float64(n*(n+1)/2) {
				t.Errorf("sum of 1..%d is %v", n, got)
			}
			if got := Squares(ints, 0); got != float64(n*(n+1)*(2*n+1)/6) {
				t.Errorf("sum of squares of 1..%d is %v", n, got)
			}
			if got, want := Total(x), sumsPlain(x); got != want {
				t.Errorf("sum of %d: %v, plain %v", n, got, want)
			}
			if got, want := Squares(x, 0.37), squaresPlain(x, 0.37); got != want {
				t.Errorf("squares of %d: %v, plain %v", n, got, want)
			}
		})
	}
}

// Normalized rows have the same bits on every level; a constant row is 0, NaN and Inf spread.
func TestNormalize(t *testing.T) {
	inf := float32(math.Inf(1))
	eachLevel(t, func(t *testing.T) {
		for _, n := range []int{1, 7, 16, 33, 768} {
			x := randomFloats(n, 5)
			got, want := make([]float32, n), make([]float32, n)
			mean, factor := Normalize(got, x, 1e-5)
			var sum, sq float64
			for _, v := range x {
				sum += float64(v)
			}
			for _, v := range x {
				sq += (float64(v) - sum/float64(n)) * (float64(v) - sum/float64(n))
			}
			wantFactor := 1 / math.Sqrt(sq/float64(n)+1e-5)
			if math.Abs(mean-sum/float64(n)) > 1e-12 || math.Abs(factor/wantFactor-1) > 1e-12 {
				t.Errorf("%d: mean %v, factor %v, want %v, %v", n, mean, factor, sum/float64(n), wantFactor)
			}
			normalizePlain(want, x, mean, factor)
			sameFloats(t, "normalized", got, want)
			for i, v := range got {
				if w := (float64(x[i]) - sum/float64(n)) * wantFactor; ulps(v, w) > 1 && math.Abs(float64(v)-w) > 1e-12 {
					t.Errorf("%d: element %d is %v, want %v", n, i, v, w)
				}
			}
			factor = RMSNormalize(got, x, 1e-5)
			normalizePlain(want, x, 0, factor)
			sameFloats(t, "RMS", got, want)
		}
		got := make([]float32, 20)
		Normalize(got, slices.Repeat([]float32{3}, 20), 1e-5)
		sameFloats(t, "constant", got, make([]float32, 20))
		if f := RMSNormalize(got[:2], []float32{3, 4}, 0); math.Abs(f-1/math.Sqrt(12.5)) > 1e-15 {
			t.Errorf("factor of 3, 4 is %v", f)
		}
		Normalize(got[:2], []float32{1, inf}, 0)
		if got[0] == got[0] && got[1] == got[1] {
			t.Errorf("normalized with Inf: %v", got[:2])
		}
		if m, f := Normalize(nil, nil, 0); m == m || f == f {
			t.Errorf("of nothing: %v, %v", m, f)
		}
	})
}

func BenchmarkVectors(b *testing.B) {
	x, dst := randomFloats(1<<14, 1), make([]float32, 1<<14)
	w := &Window{In: [3]int{1, 112, 112}, Out: [3]int{1, 56, 56}, Kernel: [3]int{1, 3, 3}, Stride: [3]int{1, 2, 2},
		Dilation: [3]int{1, 1, 1}, Pad: [3]int{0, 1, 1}}
	w8 := &Window{In: [3]int{1, 8, 8}, Out: [3]int{1, 1, 1}, Kernel: [3]int{1, 8, 8}, Stride: [3]int{1, 8, 8}, Dilation: [3]int{1, 1, 1}}
	w1 := &Window{In: [3]int{1, 112, 112}, Out: [3]int{1, 112, 112}, Kernel: [3]int{1, 3, 3}, Stride: [3]int{1, 1, 1},
		Dilation: [3]int{1, 1, 1}, Pad: [3]int{0, 1, 1}}
	for _, s := range []struct {
		name string
		n    int
		f    func(dst, x []float32)
	}{
		{"erf", 1 << 14, Erf}, {"gelu", 1 << 14, Gelu}, {"fast_gelu", 1 << 14, FastGelu}, {"mish", 1 << 14, Mish},
		{"elu", 1 << 14, func(dst, x []float32) { Elu(dst, x, 1, 1) }}, {"sqrt", 1 << 14, Sqrt},
		{"total", 1 << 14, func(_, x []float32) { Total(x) }}, {"largest", 1 << 14, func(_, x []float32) { Largest(x) }},
		{"normalize", 768, func(dst, x []float32) { Normalize(dst, x, 1e-5) }},
		{"softmax_row", 1024, func(dst, x []float32) { Softmax(dst, x, 1, 1024, 1) }},
		{"softmax_rows_of_64", 1 << 14, func(dst, x []float32) { Softmax(dst, x, 256, 64, 1) }},
		{"softmax_strided", 1 << 14, func(dst, x []float32) { Softmax(dst, x, 1, 64, 256) }},
		{"max_pool_3x3_stride_1", 112 * 112, func(dst, x []float32) { MaxPool(dst, nil, x, 1, w1, false, 1) }},
		{"max_pool_3x3_stride_2", 112 * 112, func(dst, x []float32) { MaxPool(dst, nil, x, 1, w, false, 1) }},
		{"average_pool_8x8_whole", 1 << 13, func(dst, x []float32) { AveragePool(dst, x, 128, w8, nil, 1) }},
		{"average_pool_3x3_stride_2", 112 * 112, func(dst, x []float32) { AveragePool(dst, x, 1, w, nil, 1) }},
		{"transpose_128x128", 1 << 14, func(dst, x []float32) { Strided(dst, x, []int{128, 128}, []int{1, 128}, 0, 1) }},
	} {
		for l := plain; l <= best; l++ {
			b.Run(s.name+"/"+l.String(), func(b *testing.B) {
				use, spans = l, spansOf(l)
				defer func() { use, spans = best, spansOf(best) }()
				b.SetBytes(int64(4 * s.n))
				for b.Loop() {
					s.f(dst[:s.n], x[:s.n])
				}
			})
		}
	}
}

// A right operand that was transposed and packed gives the product with the transpose.
func TestPackTransposed(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, s := range [][3]int{{1, 1, 1}, {3, 40, 17}, {2, 64, 8}, {13, 5, 33}} {
			m, n, k := s[0], s[1], s[2]
			x, w := randomFloats(m*k, 1), randomFloats(n*k, 2)
			got := make([]float32, m*n)
			ProductPacked(got, n, m, RowMajor(x, k), PackTransposed(w, n, k), Epilogue{}, 1)
			for i, v := range got {
				var want float64
				for p := range k {
					want += float64(x[i/n*k+p]) * float64(w[i%n*k+p])
				}
				if math.Abs(float64(v)-want) > 1e-5*float64(k) {
					t.Errorf("%v: element %d is %v, want %v", s, i, v, want)
				}
			}
		}
	})
}

func TestPanels(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, s := range [][2]int{{1, 1}, {0, 3}, {3, 0}, {31, 7}, {128, 20}, {300, 65}} {
			rows, cols := s[0], s[1]
			w, x, got := randomFloats(rows*cols, 1), randomFloats(cols, 2), randomFloats(rows, 3)
			NewPanels(w, rows, cols).Times(got, x)
			for i, v := range got {
				var want float64
				for p := range cols {
					want += float64(x[p]) * float64(w[i*cols+p])
				}
				if math.Abs(float64(v)-want) > 1e-6*float64(cols) {
					t.Errorf("%v: element %d is %v, want %v", s, i, v, want)
				}
			}
		}
	})
}

func TestMix(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, n := range []int{0, 1, 15, 16, 40} {
			a, b, got, want := randomFloats(n, 1), randomFloats(n, 2), make([]float32, n), make([]float32, n)
			Mix(got, a, b, 0.3, 0.7)
			mixPlain(want, a, b, 0.3, 0.7)
			sameFloats(t, "mix", got, want)
		}
		got := []float32{0, 0}
		if Mix(got, []float32{2, 4}, []float32{8, float32(math.Inf(1))}, 0.5, 0.25); got[0] != 3 || !math.IsInf(float64(got[1]), 1) {
			t.Errorf("half and a quarter: %v", got)
		}
	})
}

func BenchmarkPanels(b *testing.B) {
	for _, h := range []int{128, 256} {
		b.Run(fmt.Sprintf("rows=%d/cols=%d", 4*h, h), func(b *testing.B) {
			p, x, y := NewPanels(randomFloats(4*h*h, 1), 4*h, h), randomFloats(h, 2), make([]float32, 4*h)
			for b.Loop() {
				p.Times(y, x)
			}
			b.ReportMetric(float64(8*h*h)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
