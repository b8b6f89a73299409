package kernel

import (
	"math"
	"testing"
)

// ulps returns how far got is from want in units of the last place of a float32 of want's size.
func ulps(got float32, want float64) float64 {
	w := float32(want)
	if got == w || got != got && w != w {
		return 0
	}
	if math.IsInf(want, 0) || math.IsInf(float64(got), 0) {
		if math.Abs(want) > math.MaxFloat32 && math.IsInf(float64(got), int(want)) {
			return 0
		}
		return math.Inf(1)
	}
	up := math.Abs(float64(math.Nextafter32(w, float32(math.Inf(1)))) - float64(w))
	return math.Abs(float64(got)-want) / up
}

// tiny is below what functions promise anything: where e^-x overflows, 1/(1+e^-x) is 0, and x/(1+e^-x) 89 times that.
const tiny = 1e-36

// The largest error of each function, over every 4,093rd bit pattern of a float32, in ulp; subnormal results may be off
// by one of the smallest numbers beside.
func TestTranscendentalsWithinUlps(t *testing.T) {
	functions := []struct {
		name  string
		f     func(dst, x []float32)
		exact func(x float64) float64
		limit float64
	}{
		{"exp", Exp, math.Exp, 2},
		{"sigmoid", Sigmoid, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }, 3},
		{"silu", SiLU, func(x float64) float64 { return x / (1 + math.Exp(-x)) }, 3},
		{"tanh", Tanh, math.Tanh, 2},
	}
	var x []float32
	for bits := uint64(0); bits < 1<<32; bits += 4093 {
		x = append(x, math.Float32frombits(uint32(bits)))
	}
	for i := range 4000 {
		x = append(x, float32(i-2000)/100)
	}
	eachLevel(t, func(t *testing.T) {
		for _, tt := range functions {
			got := make([]float32, len(x))
			tt.f(got, x)
			worst, at := 0.0, float32(0)
			for i, v := range x {
				want := tt.exact(float64(v))
				if math.Abs(want) < tiny && math.Abs(float64(got[i])-want) < tiny {
					continue
				}
				if math.IsInf(float64(v), -1) && tt.name == "silu" {
					continue // -Inf * 0
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

// An element's result does not depend on where it stands.
func TestSpansDoNotDependOnThePlace(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		x := randomFloats(67, 4)
		for _, f := range []func(dst, x []float32){Exp, Sigmoid, SiLU, Tanh} {
			all := make([]float32, len(x))
			f(all, x)
			for i := range x {
				one := make([]float32, 1)
				if f(one, x[i:i+1]); one[0] != all[i] {
					t.Fatalf("element %d alone is %v, among others %v", i, one[0], all[i])
				}
			}
		}
	})
}

// Loops of one operation give the very bits of Go's.
func TestSpansOfOneOperation(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	x := append(randomFloats(37, 1), nan, inf, -inf, 0, float32(math.Copysign(0, -1)))
	y := append(randomFloats(37, 2), 1, 2, 3, 4, 5)
	same := func(t *testing.T, name string, got, want []float32) {
		t.Helper()
		for i := range want {
			if got[i] != want[i] && (got[i] == got[i] || want[i] == want[i]) {
				t.Errorf("%s: element %d is %v, want %v", name, i, got[i], want[i])
			}
		}
	}
	eachLevel(t, func(t *testing.T) {
		for n := 0; n <= len(x); n++ {
			got, want := make([]float32, n), make([]float32, n)
			for i, f := range []func(s spanSet) func(dst, x []float32, a, b float32){
				func(s spanSet) func(dst, x []float32, a, b float32) { return s.clamp },
				func(s spanSet) func(dst, x []float32, a, b float32) { return s.affine },
				func(s spanSet) func(dst, x []float32, a, b float32) { return s.hardSigmoid },
				func(s spanSet) func(dst, x []float32, a, b float32) { return s.hardSwish },
			} {
				f(spans)(got, x[:n], -0.25, 0.5)
				f(plainSpans)(want, x[:n], -0.25, 0.5)
				same(t, []string{"clamp", "affine", "hard sigmoid", "hard swish"}[i], got, want)
			}
			spans.leaky(got, x[:n], 0.1)
			plainSpans.leaky(want, x[:n], 0.1)
			same(t, "leaky", got, want)
			for _, steps := range [][2]int{{1, 1}, {1, 0}, {0, 1}, {0, 0}} {
				if n == 0 {
					continue
				}
				for i, f := range [][2]func(dst, a, b []float32, sa, sb int){
					{spans.add, plainSpans.add}, {spans.sub, plainSpans.sub}, {spans.mul, plainSpans.mul}, {spans.div, plainSpans.div},
				} {
					f[0](got, x[:n], y[:n], steps[0], steps[1])
					f[1](want, x[:n], y[:n], steps[0], steps[1])
					same(t, []string{"add", "sub", "mul", "div"}[i], got, want)
				}
			}
		}
	})
}

func BenchmarkSpans(b *testing.B) {
	x, dst := randomFloats(1<<14, 1), make([]float32, 1<<14)
	for _, s := range []struct {
		name string
		f    func(dst, x []float32)
	}{{"sigmoid", Sigmoid}, {"silu", SiLU}, {"tanh", Tanh}, {"exp", Exp}, {"clamp", func(dst, x []float32) { Clamp(dst, x, 0, 6) }},
		{"add", func(dst, x []float32) { Add(dst, x, x, 1, 1) }}} {
		b.Run(s.name, func(b *testing.B) {
			b.SetBytes(4 << 14)
			for b.Loop() {
				s.f(dst, x)
			}
		})
	}
}
