package kernel

// spansOf returns the loops of a level. Those of NEON take any number of elements but none.
func spansOf(l level) spanSet {
	if l != neon {
		return plainSpans
	}
	return spanSet{
		sigmoid: span1(sigmoidNEON), silu: span1(siluNEON), tanh: span1(tanhNEON), exp: span1(expNEON),
		clamp: span3(clampNEON), affine: span3(affineNEON), hardSigmoid: span3(hardSigmoidNEON), hardSwish: span3(hardSwishNEON),
		leaky: span2(leakyNEON),
		add:   spanBinary(addNEON), sub: spanBinary(subNEON), mul: spanBinary(mulNEON), div: spanBinary(divNEON),
	}
}

func span1(f func(dst, x *float32, n int)) func(dst, x []float32) {
	return func(dst, x []float32) {
		if n := len(x); n > 0 {
			f(&dst[:n][0], &x[0], n)
		}
	}
}

func span2(f func(dst, x *float32, n int, a float32)) func(dst, x []float32, a float32) {
	return func(dst, x []float32, a float32) {
		if n := len(x); n > 0 {
			f(&dst[:n][0], &x[0], n, a)
		}
	}
}

func span3(f func(dst, x *float32, n int, a, b float32)) func(dst, x []float32, a, b float32) {
	return func(dst, x []float32, a, b float32) {
		if n := len(x); n > 0 {
			f(&dst[:n][0], &x[0], n, a, b)
		}
	}
}

func spanBinary(f func(dst, a, b *float32, n, stepA, stepB int)) func(dst, a, b []float32, sa, sb int) {
	return func(dst, a, b []float32, sa, sb int) {
		n := len(dst)
		if n == 0 {
			return
		}
		_, _ = a[(n-1)*sa], b[(n-1)*sb]
		if sa == 0 && sb == 0 { // the loops take one operand that stands still
			f(&dst[0], &a[0], &b[0], 1, 1, 1)
			fillRow(dst[1:], dst[0])
			return
		}
		f(&dst[0], &a[0], &b[0], n, sa, sb)
	}
}
