package kernel

import (
	"fmt"
	"math"
	"testing"
)

// Pooling by rows gives what a walk through every window gives, for all strides, dilations and paddings.
func TestPoolRows(t *testing.T) {
	nan := float32(math.NaN())
	for i, s := range []struct{ h, w, k, stride, dilation, pad, end int }{
		{8, 8, 2, 2, 1, 0, 0}, {13, 13, 3, 2, 1, 1, 1}, {40, 37, 3, 1, 1, 1, 1}, {7, 7, 3, 2, 1, 0, 1}, {20, 33, 5, 1, 1, 2, 2},
		{13, 13, 13, 1, 1, 6, 6}, {9, 50, 3, 3, 2, 2, 2}, {5, 5, 3, 2, 2, 0, 0}, {1, 1, 1, 1, 1, 0, 0}, {4, 4, 2, 2, 1, 1, 3}, {3, 70, 2, 4, 1, 1, 0},
		{8, 8, 8, 1, 1, 0, 0}, {5, 5, 9, 3, 1, 2, 2}, {6, 6, 6, 1, 1, 1, 0}, {3, 3, 3, 1, 2, 1, 1},
	} {
		size := func(n int) int { return (n+s.pad+s.end-(s.k-1)*s.dilation-1)/s.stride + 1 }
		w := &Window{In: [3]int{2, s.h, s.w}, Out: [3]int{2, size(s.h), size(s.w)}, Kernel: [3]int{1, s.k, s.k},
			Stride: [3]int{1, s.stride, s.stride}, Dilation: [3]int{1, s.dilation, s.dilation}, Pad: [3]int{0, s.pad, s.pad}}
		x := randomFloats(3*w.InSize(), uint64(i))
		x[len(x)/3], x[0] = nan, nan
		count := make([]float32, w.OutSize())
		for i := range count {
			count[i] = float32(1 + i%(w.Out[1]*w.Out[2])%5)
		}
		eachLevel(t, func(t *testing.T) {
			n := 3 * w.OutSize()
			top, mean, counted, index := make([]float32, n), make([]float32, n), make([]float32, n), make([]int64, n)
			want := make([]float32, n)
			MaxPool(top, nil, x, 3, w, false, 2)
			MaxPool(want, index, x, 3, w, false, 1)
			sameFloats(t, fmt.Sprintf("max %+v", s), top, want)
			AveragePool(mean, x, 3, w, nil, 2)
			AveragePool(counted, x, 3, w, count, 1)
			for p := range 3 {
				src := x[p*w.InSize() : (p+1)*w.InSize()]
				w.eachWindow(func(o int, lo, hi [3]int) {
					sum, n := w.sum(src, lo, hi)
					at := p*w.OutSize() + o
					if v := mean[at]; math.Abs(float64(v-sum/n)) > 1e-5 || (v == v) != (sum/n == sum/n) {
						t.Errorf("%+v: mean %d is %v, want %v", s, at, v, sum/n)
					}
					if v := counted[at]; math.Abs(float64(v-sum/count[o])) > 1e-5 {
						t.Errorf("%+v: counted mean %d is %v, want %v", s, at, v, sum/count[o])
					}
				})
			}
		})
	}
}
