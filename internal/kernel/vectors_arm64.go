package kernel

// vectorsOf returns the loops of a level.
func vectorsOf(l level) vectorSet {
	if l != neon {
		return plainVectors
	}
	return vectorSet{
		erf: span1(erfNEON), gelu: span1(geluNEON), fastGelu: span1(fastGeluNEON), mish: span1(mishNEON),
		sqrt: span1(sqrtNEON), abs: span1(absNEON), neg: span1(negNEON), reciprocal: span1(reciprocalNEON),
		nearest: span1(nearestNEON), floor: span1(floorNEON), ceil: span1(ceilNEON),
		elu: span3(eluNEON), larger: spanBinary(largerNEON), smaller: spanBinary(smallerNEON),
		largest: largestOf, sums: sumsOf, squares: squaresOf, normalize: normalizeRow, expSum: expSumOf,
		tapMax: tapsOf(1, tapMaxNEON), tapMaxEven: tapsOf(2, tapMaxEvenNEON),
		tapSum: tapsOf(1, tapSumNEON), tapSumEven: tapsOf(2, tapSumEvenNEON),
		transpose: transposeFours, mix: mixOf, gemv: gemvOf,
	}
}

func largestOf(x []float32) float32 {
	n := len(x) &^ 15
	if n == 0 {
		return largestPlain(x)
	}
	var m [4]float32
	largestNEON(&m[0], &x[0], n)
	return max(largestPlain(m[:]), largestPlain(x[n:]))
}

func sumsOf(x []float32) float64 {
	var s [16]float64
	n := len(x) &^ 15
	if n > 0 {
		sumsNEON(&s[0], &x[0], n)
	}
	for i, v := range x[n:] {
		s[i] += float64(v)
	}
	return fold(&s)
}

func squaresOf(x []float32, mean float64) float64 {
	var s [16]float64
	n := len(x) &^ 15
	if n > 0 {
		squaresNEON(&s[0], &x[0], n, mean)
	}
	for i, v := range x[n:] {
		d := float64(v) - mean
		s[i] += float64(d * d)
	}
	return fold(&s)
}

func normalizeRow(dst, x []float32, mean, factor float64) {
	dst = dst[:len(x)]
	n := len(x) &^ 3
	if n > 0 {
		normalizeNEON(&dst[0], &x[0], n, mean, factor)
	}
	normalizePlain(dst[n:], x[n:], mean, factor)
}

func expSumOf(dst, x []float32, top float32) float64 {
	var s [16]float64
	dst = dst[:len(x)]
	n := len(x) &^ 15
	if n > 0 {
		expSumNEON(&s[0], &dst[0], &x[0], n, top)
	}
	rest := dst[n:]
	for i, v := range x[n:] {
		rest[i] = v - top
	}
	if len(rest) > 0 {
		expNEON(&rest[0], &rest[0], len(rest))
	}
	for i, v := range rest {
		s[i] += float64(v)
	}
	return fold(&s)
}

func mixOf(dst, a, b []float32, wa, wb float32) {
	if n := len(dst); n > 0 {
		mixNEON(&dst[0], &a[:n][0], &b[:n][0], n, wa, wb)
	}
}

func gemvOf(dst, x, w []float32, panels int) {
	wide := 8 * neon.lanes()
	_, _ = dst[wide*panels-1], w[wide*panels*len(x)-1]
	gemvNEON(&dst[0], &x[0], &w[0], len(x), panels)
}

func tapsOf(step int, f func(dst, x *float32, n int, offsets *int, taps int)) tapFunc {
	return func(dst, x []float32, offsets []int) {
		if n := len(dst); n > 0 {
			_ = x[(n-1)*step+offsets[len(offsets)-1]+(step-1)*tapSlack]
			f(&dst[0], &x[0], n, &offsets[0], len(offsets))
		}
	}
}

// transposeFours is transposePlain by blocks of four rows and columns.
func transposeFours(dst, x []float32, rows, cols, ldd, ldx int) {
	whole, full := rows&^3, cols&^3
	if whole == 0 || full == 0 {
		transposePlain(dst, x, rows, cols, ldd, ldx)
		return
	}
	_, _ = dst[(cols-1)*ldd+rows-1], x[(rows-1)*ldx+cols-1]
	const strip = 64 // columns at a time: the rows of dst that are written to stay in the first level cache
	for j := 0; j < full; j += strip {
		for i := 0; i < whole; i += 4 {
			transpose4NEON(&dst[j*ldd+i], &x[i*ldx+j], min(strip, full-j), 4*ldd, 4*ldx)
		}
	}
	if full < cols {
		transposePlain(dst[full*ldd:], x[full:], rows, cols-full, ldd, ldx)
	}
	if whole < rows {
		transposePlain(dst[whole:], x[whole*ldx:], rows-whole, full, ldd, ldx)
	}
}
