package balance

import "math"

// Power returns x^a for finite x >= 0 and a in [0, 1], to about 1e-14 relative; 0^a is 0 for a > 0 and x^0 is 1.
// Unlike math.Pow, and as Log2 and Exp2, it gives the same bits on every architecture: each product is rounded before it is
// added.
func Power(x, a float64) float64 {
	switch {
	case a == 0:
		return 1
	case a == 1:
		return x
	case x <= 0:
		return 0
	}
	return Exp2(float64(a * Log2(x)))
}

// Log2 returns the binary logarithm of a positive finite x: with x = m*2^e, m in [sqrt(1/2), sqrt(2)), and
// t = (m-1)/(m+1), ln m = 2*(t + t^3/3 + t^5/5 + ...), |t| < 0.1716 (Abramowitz and Stegun 4.1.27).
func Log2(x float64) float64 {
	m, e := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m *= 2
		e--
	}
	t := (m - 1) / (m + 1)
	square, sum := float64(t*t), 0.0
	for k := 21; k >= 1; k -= 2 { // t^23/23 < 1e-18
		sum = float64(sum*square) + 1/float64(k)
	}
	return float64(e) + float64(float64(2*t*sum)*math.Log2E)
}

// Exp2 returns 2^y for y in (-1074, 1024): 2^n by exponent, 2^r, |r| <= 1/2, by the series of exp.
func Exp2(y float64) float64 {
	n := math.RoundToEven(y)
	z := float64((y - n) * math.Ln2)
	sum := 1.0
	for k := 16; k >= 1; k-- { // (ln2/2)^17/17! < 1e-22
		sum = float64(sum*z)/float64(k) + 1
	}
	return math.Ldexp(sum, int(n))
}
