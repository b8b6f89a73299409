package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// randomFloats returns n values of a standard normal distribution.
func randomFloats(n int, seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 1))
	d := make([]float32, n)
	for i := range d {
		d[i] = float32(rng.NormFloat64())
	}
	return d
}

func BenchmarkGemm(b *testing.B) {
	for _, s := range [][3]int{{256, 256, 256}, {512, 512, 512}, {64, 3136, 576}, {128, 784, 1152}, {1, 1000, 512}, {384, 128, 384}} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("m=%d/n=%d/k=%d/threads=%d", s[0], s[1], s[2], threads), func(b *testing.B) {
				m, n, k := s[0], s[1], s[2]
				x, y, c := randomFloats(m*k, 1), randomFloats(k*n, 2), make([]float32, m*n)
				for b.Loop() {
					Gemm(c, n, m, n, k, RowMajor(x, k), RowMajor(y, n), threads)
				}
				b.ReportMetric(2*float64(m*n*k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}

func BenchmarkConv(b *testing.B) {
	for _, s := range []struct{ c, m, group, size, kernel int }{{64, 64, 1, 56, 3}, {16, 16, 1, 32, 3}, {24, 24, 1, 112, 3}, {16, 96, 1, 56, 1}, {128, 128, 1, 28, 1}, {192, 192, 192, 28, 3}} {
		b.Run(fmt.Sprintf("in=%d/out=%d/group=%d/size=%d/kernel=%d", s.c, s.m, s.group, s.size, s.kernel), func(b *testing.B) {
			w := &Window{In: [3]int{1, s.size, s.size}, Out: [3]int{1, s.size, s.size}, Kernel: [3]int{1, s.kernel, s.kernel},
				Stride: [3]int{1, 1, 1}, Dilation: [3]int{1, 1, 1}, Pad: [3]int{0, s.kernel / 2, s.kernel / 2}}
			x := randomFloats(s.c*w.InSize(), 1)
			weights := randomFloats(s.m*s.c/s.group*w.KernelSize(), 2)
			y := make([]float32, s.m*w.OutSize())
			for b.Loop() {
				Conv(y, x, weights, nil, 1, s.c, s.m, s.group, w, Epilogue{}, 1)
			}
			flops := 2 * float64(len(y)) * float64(s.c/s.group*w.KernelSize())
			b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
