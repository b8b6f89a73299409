package kernel

import "math"

// Functions of float32 and sums over rows, beside those of span.go and under the same rules. Sums are taken in float64 as
// 16 sums, sum i of the elements i, 16+i, 32+i and so on, which are then added in pairs, halves first: the same bits on
// every instruction set.

// Erf writes the error function, to within 2 ulp.
func Erf(dst, x []float32) { levels[use].erf(dst, x) }

// Gelu writes x/2 * (1 + erf(x/sqrt 2)) (Hendrycks and Gimpel, arXiv 1606.08415), to within 3 ulp for x >= 0, and to
// within |x| * 2^-23 below, where 1 + erf takes leading digits away.
func Gelu(dst, x []float32) { levels[use].gelu(dst, x) }

// FastGelu writes x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) (the same paper, section 2), with Gelu's errors.
func FastGelu(dst, x []float32) { levels[use].fastGelu(dst, x) }

// Mish writes x * tanh(log(1 + e^x)) (Misra, arXiv 1908.08681), to within 6 ulp.
func Mish(dst, x []float32) { levels[use].mish(dst, x) }

// Elu writes positive*x where x > 0, else negative*(e^x - 1) (Clevert et al., arXiv 1511.07289), to within 4 ulp. NaN
// stays NaN.
func Elu(dst, x []float32, positive, negative float32) { levels[use].elu(dst, x, positive, negative) }

// Sqrt writes the square root, rounded once; NaN for numbers below zero.
func Sqrt(dst, x []float32) { levels[use].sqrt(dst, x) }

// Abs writes the magnitude.
func Abs(dst, x []float32) { levels[use].abs(dst, x) }

// Neg writes -x.
func Neg(dst, x []float32) { levels[use].neg(dst, x) }

// Reciprocal writes 1/x, rounded once.
func Reciprocal(dst, x []float32) { levels[use].reciprocal(dst, x) }

// Round writes the nearest integer; halves go to the even one.
func Round(dst, x []float32) { levels[use].nearest(dst, x) }

// Floor writes the largest integer not above x.
func Floor(dst, x []float32) { levels[use].floor(dst, x) }

// Ceil writes the smallest integer not below x.
func Ceil(dst, x []float32) { levels[use].ceil(dst, x) }

// Larger writes the larger of a[i*sa] and b[i*sb], NaN where one is NaN; sa and sb are 0 or 1.
func Larger(dst, a, b []float32, sa, sb int) { levels[use].larger(dst, a, b, sa, sb) }

// Smaller writes the smaller of a[i*sa] and b[i*sb], NaN where one is NaN; sa and sb are 0 or 1.
func Smaller(dst, a, b []float32, sa, sb int) { levels[use].smaller(dst, a, b, sa, sb) }

// Mix writes a*wa + b*wb, each product and the sum rounded.
func Mix(dst, a, b []float32, wa, wb float32) { levels[use].mix(dst, a, b, wa, wb) }

// Largest returns the largest element, NaN where one is NaN, -Inf where there is none.
func Largest(x []float32) float32 { return levels[use].largest(x) }

// Total returns the sum of x in float64.
func Total(x []float32) float64 { return levels[use].sums(x) }

// Squares returns the sum of (x - mean)^2 in float64.
func Squares(x []float32, mean float64) float64 { return levels[use].squares(x, mean) }

// vectorSet is a set of loops.
type vectorSet struct {
	erf, gelu, fastGelu, mish              func(dst, x []float32)
	sqrt, abs, neg, reciprocal             func(dst, x []float32)
	nearest, floor, ceil                   func(dst, x []float32)
	elu                                    func(dst, x []float32, positive, negative float32)
	larger, smaller                        func(dst, a, b []float32, sa, sb int)
	largest                                func(x []float32) float32
	sums                                   func(x []float32) float64
	squares                                func(x []float32, mean float64) float64
	normalize                              func(dst, x []float32, mean, factor float64)
	expSum                                 func(dst, x []float32, top float32) float64
	softmax                                func(dst, x []float32, n int) int // of rows of n; returns the elements done; may be nil
	tapMax, tapMaxEven, tapSum, tapSumEven tapFunc
	mix                                    func(dst, a, b []float32, wa, wb float32)
	gemv                                   func(dst, x, w []float32, panels int)
	transpose                              func(dst, x []float32, rows, cols, ldd, ldx int)
}

// tapFunc writes dst[i] = x[i*step+offsets[0]] op x[i*step+offsets[1]] op ..., in this order; step is 2 in those named
// Even, whose x must hold tapSlack elements more. Offsets rise.
type tapFunc func(dst, x []float32, offsets []int)

// tapSlack is how far beyond the last element loops with step 2 may read.
const tapSlack = 32

// levels are the loops of every instruction set.
var levels = [...]vectorSet{plain: vectorsOf(plain), avx2: vectorsOf(avx2), avx512: vectorsOf(avx512), neon: vectorsOf(neon)}

// plainVectors are the loops in Go.
var plainVectors = vectorSet{
	erf:        wideOf(math.Erf),
	gelu:       wideOf(func(v float64) float64 { return 0.5 * v * (1 + math.Erf(v/math.Sqrt2)) }),
	fastGelu:   wideOf(func(v float64) float64 { return v / (1 + math.Exp(-2*math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v))) }),
	mish:       wideOf(func(v float64) float64 { return v * math.Tanh(max(v, 0)+math.Log1p(math.Exp(-math.Abs(v)))) }),
	sqrt:       wideOf(math.Sqrt),
	abs:        wideOf(math.Abs),
	neg:        eachOf(func(v float32) float32 { return -v }),
	reciprocal: eachOf(func(v float32) float32 { return 1 / v }),
	nearest:    wideOf(math.RoundToEven),
	floor:      wideOf(math.Floor),
	ceil:       wideOf(math.Ceil),
	elu: func(dst, x []float32, positive, negative float32) {
		for i, v := range x {
			if v > 0 {
				dst[i] = positive * v
			} else {
				dst[i] = negative * float32(math.Expm1(float64(v)))
			}
		}
	},
	larger:     stepped(func(a, b float32) float32 { return max(a, b) }),
	smaller:    stepped(func(a, b float32) float32 { return min(a, b) }),
	largest:    largestPlain,
	sums:       sumsPlain,
	squares:    squaresPlain,
	normalize:  normalizePlain,
	expSum:     expSumPlain,
	tapMax:     tapped(1, func(a, b float32) float32 { return max(a, b) }),
	tapMaxEven: tapped(2, func(a, b float32) float32 { return max(a, b) }),
	tapSum:     tapped(1, func(a, b float32) float32 { return a + b }),
	tapSumEven: tapped(2, func(a, b float32) float32 { return a + b }),
	transpose:  transposePlain[float32],
	mix:        mixPlain,
	gemv:       gemvPlain,
}

// wideOf makes a loop of a function of float64.
func wideOf(f func(v float64) float64) func(dst, x []float32) {
	return eachOf(func(v float32) float32 { return float32(f(float64(v))) })
}

func largestPlain(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		m = max(m, v)
	}
	return m
}

func sumsPlain(x []float32) float64 {
	var s [16]float64
	for i, v := range x {
		s[i%16] += float64(v)
	}
	return fold(&s)
}

func squaresPlain(x []float32, mean float64) float64 {
	var s [16]float64
	for i, v := range x {
		d := float64(v) - mean
		s[i%16] += float64(d * d)
	}
	return fold(&s)
}

func normalizePlain(dst, x []float32, mean, factor float64) {
	for i, v := range x {
		dst[i] = float32((float64(v) - mean) * factor)
	}
}

func expSumPlain(dst, x []float32, top float32) float64 {
	for i, v := range x {
		dst[i] = float32(math.Exp(float64(v - top)))
	}
	return sumsPlain(dst[:len(x)])
}

func mixPlain(dst, a, b []float32, wa, wb float32) {
	for i := range dst {
		dst[i] = float32(a[i]*wa) + float32(b[i]*wb)
	}
}

// fold adds up 16 sums in pairs, halves first.
func fold(s *[16]float64) float64 {
	for n := len(s) / 2; n > 0; n /= 2 {
		for i := range n {
			s[i] += s[n+i]
		}
	}
	return s[0]
}

func tapped(step int, f func(a, b float32) float32) tapFunc {
	return func(dst, x []float32, offsets []int) {
		for i := range dst {
			v := x[i*step+offsets[0]]
			for _, at := range offsets[1:] {
				v = f(v, x[i*step+at])
			}
			dst[i] = v
		}
	}
}
