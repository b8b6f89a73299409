package kernel

import "math"

// Element-wise functions of float32, by vectors where the processor has them. An element's result depends on nothing
// but the element: not on its place, and not on how the work is cut. NaN gives NaN.

// Sigmoid writes 1/(1+e^-x), to within 3 ulp.
func Sigmoid(dst, x []float32) { spans.sigmoid(dst, x) }

// SiLU writes x/(1+e^-x), to within 3 ulp; results below 1e-36 may be 0.
func SiLU(dst, x []float32) { spans.silu(dst, x) }

// Tanh writes the hyperbolic tangent, to within 2 ulp.
func Tanh(dst, x []float32) { spans.tanh(dst, x) }

// Exp writes e^x, to within 2 ulp.
func Exp(dst, x []float32) { spans.exp(dst, x) }

// Clamp writes x limited to low..high. Where low > high the result is high.
func Clamp(dst, x []float32, low, high float32) { spans.clamp(dst, x, low, high) }

// LeakyRelu writes x where it is positive, else slope*x.
func LeakyRelu(dst, x []float32, slope float32) { spans.leaky(dst, x, slope) }

// Affine writes x*scale + shift, rounded twice.
func Affine(dst, x []float32, scale, shift float32) { spans.affine(dst, x, scale, shift) }

// HardSigmoid writes x*scale + shift limited to 0..1.
func HardSigmoid(dst, x []float32, scale, shift float32) { spans.hardSigmoid(dst, x, scale, shift) }

// HardSwish writes x times HardSigmoid of x.
func HardSwish(dst, x []float32, scale, shift float32) { spans.hardSwish(dst, x, scale, shift) }

// spanSet is a set of element-wise loops.
type spanSet struct {
	sigmoid, silu, tanh, exp              func(dst, x []float32)
	clamp, affine, hardSigmoid, hardSwish func(dst, x []float32, a, b float32)
	leaky                                 func(dst, x []float32, slope float32)
	add, sub, mul, div                    func(dst, a, b []float32, sa, sb int)
}

// spans are the loops that this process uses.
var spans = spansOf(best)

// plainSpans are the loops in Go.
var plainSpans = spanSet{
	sigmoid: eachOf(func(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }),
	silu:    eachOf(func(x float32) float32 { return float32(float64(x) / (1 + math.Exp(-float64(x)))) }),
	tanh:    eachOf(func(x float32) float32 { return float32(math.Tanh(float64(x))) }),
	exp:     eachOf(func(x float32) float32 { return float32(math.Exp(float64(x))) }),
	clamp: func(dst, x []float32, low, high float32) {
		for i, v := range x {
			if v < low {
				v = low
			}
			if v > high {
				v = high
			}
			dst[i] = v
		}
	},
	leaky: func(dst, x []float32, slope float32) {
		for i, v := range x {
			if v < 0 {
				v *= slope
			}
			dst[i] = v
		}
	},
	affine: func(dst, x []float32, scale, shift float32) {
		for i, v := range x {
			dst[i] = float32(v*scale) + shift
		}
	},
	hardSigmoid: func(dst, x []float32, scale, shift float32) {
		for i, v := range x {
			dst[i] = min(max(float32(v*scale)+shift, 0), 1)
		}
	},
	hardSwish: func(dst, x []float32, scale, shift float32) {
		for i, v := range x {
			dst[i] = v * min(max(float32(v*scale)+shift, 0), 1)
		}
	},
	add: stepped(func(a, b float32) float32 { return a + b }),
	sub: stepped(func(a, b float32) float32 { return a - b }),
	mul: stepped(func(a, b float32) float32 { return a * b }),
	div: stepped(func(a, b float32) float32 { return a / b }),
}

func eachOf(f func(x float32) float32) func(dst, x []float32) {
	return func(dst, x []float32) {
		for i, v := range x {
			dst[i] = f(v)
		}
	}
}

func stepped(f func(a, b float32) float32) func(dst, a, b []float32, sa, sb int) {
	return func(dst, a, b []float32, sa, sb int) {
		for i := range dst {
			dst[i] = f(a[i*sa], b[i*sb])
		}
	}
}
