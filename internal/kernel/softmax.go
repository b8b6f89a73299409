package kernel

import "math"

// Softmax writes exp(x - max) / sum exp(x - max) along rows of n elements that stand stride apart: element i of row
// (o, s) is x[(o*n + i)*stride + s]. The sum is taken in float64. A row that holds NaN or +Inf gives NaN; so does a
// row of nothing but -Inf.
func Softmax(dst, x []float32, outer, n, stride int) {
	eachRow(outer, n, stride, func(base int) {
		m := rowMax(x, base, n, stride)
		var sum float64
		for i := range n {
			e := math.Exp(float64(x[base+i*stride]) - m)
			dst[base+i*stride] = float32(e)
			sum += e
		}
		for i := range n {
			dst[base+i*stride] = float32(float64(dst[base+i*stride]) / sum)
		}
	})
}

// LogSoftmax writes x - max - log(sum exp(x - max)), with rows as in Softmax.
func LogSoftmax(dst, x []float32, outer, n, stride int) {
	eachRow(outer, n, stride, func(base int) {
		m := rowMax(x, base, n, stride)
		var sum float64
		for i := range n {
			sum += math.Exp(float64(x[base+i*stride]) - m)
		}
		log := math.Log(sum)
		for i := range n {
			dst[base+i*stride] = float32(float64(x[base+i*stride]) - m - log)
		}
	})
}

func eachRow(outer, n, stride int, f func(base int)) {
	for o := range outer {
		for s := range stride {
			f(o*n*stride + s)
		}
	}
}

func rowMax(x []float32, base, n, stride int) float64 {
	m := math.Inf(-1)
	for i := range n {
		m = max(m, float64(x[base+i*stride]))
	}
	return m
}
