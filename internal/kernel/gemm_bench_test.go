package kernel

import (
	"fmt"
	"testing"
)

// BenchmarkProduct reports GFLOP/s, a multiply-add counting two.
func BenchmarkProduct(b *testing.B) {
	for _, s := range [][3]int{{256, 256, 256}, {512, 512, 512}, {1024, 1024, 1024}, {64, 3136, 576}, {128, 784, 1152}, {512, 49, 512}, {1, 1000, 512}, {384, 384, 128}} {
		m, n, k := s[0], s[1], s[2]
		x, y, dst := randomFloats(m*k, 1), randomFloats(k*n, 2), make([]float32, m*n)
		packed := Pack(RowMajor(y, n), k, n)
		report := func(b *testing.B) {
			b.ReportMetric(2*float64(m)*float64(n)*float64(k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		}
		b.Run(fmt.Sprintf("%dx%dx%d", m, n, k), func(b *testing.B) {
			for b.Loop() {
				Product(dst, n, m, n, k, RowMajor(x, k), RowMajor(y, n), Epilogue{}, 1)
			}
			report(b)
		})
		b.Run(fmt.Sprintf("%dx%dx%d/packed", m, n, k), func(b *testing.B) {
			for b.Loop() {
				ProductPacked(dst, n, m, RowMajor(x, k), packed, Epilogue{}, 1)
			}
			report(b)
		})
	}
}

// BenchmarkTile reports what the processor reaches at best: one tile whose operands stay in the first level cache.
func BenchmarkTile(b *testing.B) {
	rows, width := use.blocking()
	const k = 256
	t := tile{a: randomFloats(rows*k, 1), b: randomFloats(k*width, 2), dst: make([]float32, rows*width), lda: k, ldb: width, ldc: width,
		rows: rows, cols: width, k: k}
	for b.Loop() {
		t.run()
	}
	b.ReportMetric(2*float64(rows*width*k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
