package kernel

import (
	"sync"
	"testing"
	"time"
)

// floatPeak measures, once, what the processor reaches at best in float32 operations a second: a tile of a matrix product
// whose operands stay in the first level cache, the fastest of many runs.
var floatPeak = sync.OnceValue(func() float64 {
	rows, width := use.blocking()
	const k = 256
	t := tile{a: randomFloats(rows*k, 1), b: randomFloats(k*width, 2), dst: make([]float32, rows*width), lda: k, ldb: width, ldc: width,
		rows: rows, cols: width, k: k}
	best := time.Duration(1 << 62)
	for range 500 {
		start := time.Now()
		for range 20 {
			t.run()
		}
		best = min(best, time.Since(start))
	}
	return 20 * 2 * float64(rows*width*k) / best.Seconds()
})

// reportOperations reports operations a second, a multiply-add counting two, and how often they are the float operations
// that the processor reaches at best.
func reportOperations(b *testing.B, each float64) {
	b.Helper()
	rate := each * float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(rate/floatPeak(), "float-peaks")
	b.ReportMetric(rate/1e9, "GOP/s")
}
