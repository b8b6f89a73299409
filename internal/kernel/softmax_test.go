package kernel

import (
	"math"
	"slices"
	"testing"
)

// softmaxRef is Softmax in float64, element by element.
func softmaxRef(x []float32, log bool) []float64 {
	top, sum := math.Inf(-1), 0.0
	for _, v := range x {
		top = max(top, float64(v))
	}
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	out := make([]float64, len(x))
	for i, v := range x {
		if out[i] = math.Exp(float64(v)-top) / sum; log {
			out[i] = float64(v) - top - math.Log(sum)
		}
	}
	return out
}

// softmaxUlps bounds errors of Softmax: 2 of e^x, whose argument is off by up to 8 * 2^-24 of itself, and of two divisions.
const softmaxUlps = 8

func TestSoftmaxRows(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, s := range [][3]int{{3, 1, 1}, {700, 4, 1}, {2, 15, 1}, {2, 16, 1}, {1, 1000, 1}, {2, 5, 3}, {1, 21, 300}, {2, 1, 17}, {2, 0, 3}, {2, 0, 1}} {
			outer, n, stride := s[0], s[1], s[2]
			x := randomFloats(outer*n*stride, 3)
			got, log := make([]float32, len(x)), slices.Clone(x)
			Softmax(got, x, outer, n, stride)
			LogSoftmax(log, log, outer, n, stride) // in place
			for o := range outer {
				for k := range stride {
					row := make([]float32, n)
					for i := range row {
						row[i] = x[(o*n+i)*stride+k]
					}
					want, wantLog := softmaxRef(row, false), softmaxRef(row, true)
					for i := range row {
						at := (o*n+i)*stride + k
						if ulps(got[at], want[i]) > softmaxUlps || math.Abs(float64(log[at])-wantLog[i]) > 1e-6*(1+math.Abs(wantLog[i])) {
							t.Fatalf("%v: element %d is %v and %v, want %v and %v", s, at, got[at], log[at], want[i], wantLog[i])
						}
					}
				}
			}
		}
	})
}

func TestSoftmaxSpecials(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, tt := range []struct{ x, want, log []float32 }{
		{[]float32{nan, 1}, []float32{nan, nan}, []float32{nan, nan}},
		{[]float32{inf, 1}, []float32{nan, 0}, []float32{nan, nan}},
		{[]float32{-inf, -inf}, []float32{nan, nan}, []float32{nan, nan}},
		{[]float32{-inf, 1}, []float32{0, 1}, []float32{-inf, 0}},
		{[]float32{1000, 1000}, []float32{0.5, 0.5}, []float32{-math.Ln2, -math.Ln2}},
		{[]float32{0}, []float32{1}, []float32{0}},
	} {
		eachLevel(t, func(t *testing.T) {
			for _, stride := range []int{1, 2} {
				n := len(tt.x)
				x, got := make([]float32, n*stride), make([]float32, n*stride)
				for i, v := range tt.x {
					for s := range stride {
						x[i*stride+s] = v
					}
				}
				Softmax(got, x, 1, n, stride)
				for i, w := range tt.want {
					if v := got[i*stride]; w == w && v != w && tt.x[0] != inf || w != w && v == v {
						t.Errorf("softmax of %v, stride %d: %v, want %v", tt.x, stride, got, tt.want)
					}
				}
				LogSoftmax(got, x, 1, n, stride)
				for i, w := range tt.log {
					if v := got[i*stride]; w == w && v != w || w != w && v == v {
						t.Errorf("log softmax of %v, stride %d: %v, want %v", tt.x, stride, got, tt.log)
					}
				}
			}
		})
	}
}
