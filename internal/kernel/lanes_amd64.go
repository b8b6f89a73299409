package kernel

// spansOf returns the loops of a level.
func spansOf(l level) spanSet {
	switch l {
	case avx512:
		return spanSet{
			sigmoid: span1(16, sigmoidAVX512), silu: span1(16, siluAVX512), tanh: span1(16, tanhAVX512), exp: span1(16, expAVX512),
			clamp: span3(16, clampAVX512), affine: span3(16, affineAVX512),
			hardSigmoid: span3(16, hardSigmoidAVX512), hardSwish: span3(16, hardSwishAVX512),
			leaky: span2(16, leakyAVX512),
			add:   spanBinary(16, addAVX512), sub: spanBinary(16, subAVX512), mul: spanBinary(16, mulAVX512), div: spanBinary(16, divAVX512),
		}
	case avx2:
		return spanSet{
			sigmoid: span1(8, sigmoidAVX2), silu: span1(8, siluAVX2), tanh: span1(8, tanhAVX2), exp: span1(8, expAVX2),
			clamp: span3(8, clampAVX2), affine: span3(8, affineAVX2),
			hardSigmoid: span3(8, hardSigmoidAVX2), hardSwish: span3(8, hardSwishAVX2),
			leaky: span2(8, leakyAVX2),
			add:   spanBinary(8, addAVX2), sub: spanBinary(8, subAVX2), mul: spanBinary(8, mulAVX2), div: spanBinary(8, divAVX2),
		}
	}
	return plainSpans
}

// whole runs f on the elements that fill vectors, and on the others in a vector of their own.
func whole(lanes int, dst, x []float32, f func(dst, x *float32, n int)) {
	dst = dst[:len(x)]
	n := len(x) &^ (lanes - 1)
	if n > 0 {
		f(&dst[0], &x[0], n)
	}
	if n < len(x) {
		var part [16]float32
		copy(part[:], x[n:])
		f(&part[0], &part[0], lanes)
		copy(dst[n:], part[:])
	}
}

func span1(lanes int, f func(dst, x *float32, n int)) func(dst, x []float32) {
	return func(dst, x []float32) { whole(lanes, dst, x, f) }
}

func span2(lanes int, f func(dst, x *float32, n int, a float32)) func(dst, x []float32, a float32) {
	return func(dst, x []float32, a float32) {
		whole(lanes, dst, x, func(dst, x *float32, n int) { f(dst, x, n, a) })
	}
}

func span3(lanes int, f func(dst, x *float32, n int, a, b float32)) func(dst, x []float32, a, b float32) {
	return func(dst, x []float32, a, b float32) {
		whole(lanes, dst, x, func(dst, x *float32, n int) { f(dst, x, n, a, b) })
	}
}

func spanBinary(lanes int, f func(dst, a, b *float32, n, stepA, stepB int)) func(dst, a, b []float32, sa, sb int) {
	return func(dst, a, b []float32, sa, sb int) {
		n := len(dst) &^ (lanes - 1)
		if n > 0 {
			_, _ = a[(n-1)*sa], b[(n-1)*sb]
			if sa == 0 && sb == 0 { // the loops take one operand that stands still
				b, sb = repeated(b[0], len(dst)), 1
			}
			f(&dst[0], &a[0], &b[0], n, sa, sb)
		}
		if n < len(dst) {
			var x, y [16]float32
			for i := n; i < len(dst); i++ {
				x[i-n], y[i-n] = a[i*sa], b[i*sb]
			}
			f(&x[0], &x[0], &y[0], lanes, 1, 1)
			copy(dst[n:], x[:])
		}
	}
}

func repeated(v float32, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = v
	}
	return x
}
