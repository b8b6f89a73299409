package kernel

import "math"

// vectorsOf returns the loops of a level.
func vectorsOf(l level) vectorSet {
	switch l {
	case avx512:
		return vectorSet{
			erf: span1(16, erfAVX512), gelu: span1(16, geluAVX512), fastGelu: span1(16, fastGeluAVX512), mish: span1(16, mishAVX512),
			sqrt: span1(16, sqrtAVX512), abs: span1(16, absAVX512), neg: span1(16, negAVX512), reciprocal: span1(16, reciprocalAVX512),
			nearest: span1(16, nearestAVX512), floor: span1(16, floorAVX512), ceil: span1(16, ceilAVX512),
			elu: span3(16, eluAVX512), larger: spanBinary(16, largerAVX512), smaller: spanBinary(16, smallerAVX512),
			largest: vectorLargest(16, largestAVX512), sums: vectorSums(sumsAVX512), squares: vectorSquares(squaresAVX512),
			normalize: vectorNormalize(normalizeAVX512), expSum: vectorExpSum(expSumAVX512), softmax: vectorSoftmax(2, softmaxAVX512),
			tapMax: taps512(1, tapMaxAVX512), tapMaxEven: taps512(2, tapMaxEvenAVX512),
			tapSum: taps512(1, tapSumAVX512), tapSumEven: taps512(2, tapSumEvenAVX512),
			transpose: transposeEights, mix: vectorMix(16, mixAVX512), gemv: vectorGemv(16, gemvAVX512),
		}
	case avx2:
		return vectorSet{
			erf: span1(8, erfAVX2), gelu: span1(8, geluAVX2), fastGelu: span1(8, fastGeluAVX2), mish: span1(8, mishAVX2),
			sqrt: span1(8, sqrtAVX2), abs: span1(8, absAVX2), neg: span1(8, negAVX2), reciprocal: span1(8, reciprocalAVX2),
			nearest: span1(8, nearestAVX2), floor: span1(8, floorAVX2), ceil: span1(8, ceilAVX2),
			elu: span3(8, eluAVX2), larger: spanBinary(8, largerAVX2), smaller: spanBinary(8, smallerAVX2),
			largest: vectorLargest(8, largestAVX2), sums: vectorSums(sumsAVX2), squares: vectorSquares(squaresAVX2),
			normalize: vectorNormalize(normalizeAVX2), expSum: vectorExpSum(expSumAVX2), softmax: vectorSoftmax(1, softmaxAVX2),
			tapMax: taps8(1, tapMaxAVX2, plainVectors.tapMax), tapMaxEven: taps8(2, tapMaxEvenAVX2, plainVectors.tapMaxEven),
			tapSum: taps8(1, tapSumAVX2, plainVectors.tapSum), tapSumEven: taps8(2, tapSumEvenAVX2, plainVectors.tapSumEven),
			transpose: transposeEights, mix: vectorMix(8, mixAVX2), gemv: vectorGemv(8, gemvAVX2),
		}
	}
	return plainVectors
}

func vectorLargest(lanes int, f func(dst, x *float32, n int)) func(x []float32) float32 {
	return func(x []float32) float32 {
		n := len(x) &^ (lanes - 1)
		if n == 0 {
			return largestPlain(x)
		}
		var m [16]float32
		f(&m[0], &x[0], n)
		return max(largestPlain(m[:lanes]), largestPlain(x[n:]))
	}
}

func vectorSums(f func(dst *float64, x *float32, n int)) func(x []float32) float64 {
	return func(x []float32) float64 {
		var s [16]float64
		n := len(x) &^ 15
		if n > 0 {
			f(&s[0], &x[0], n)
		}
		for i, v := range x[n:] {
			s[i] += float64(v)
		}
		return fold(&s)
	}
}

func vectorSquares(f func(dst *float64, x *float32, n int, mean float64)) func(x []float32, mean float64) float64 {
	return func(x []float32, mean float64) float64 {
		var s [16]float64
		n := len(x) &^ 15
		if n > 0 {
			f(&s[0], &x[0], n, mean)
		}
		for i, v := range x[n:] {
			d := float64(v) - mean
			s[i] += float64(d * d)
		}
		return fold(&s)
	}
}

func vectorNormalize(f func(dst, x *float32, n int, mean, factor float64)) func(dst, x []float32, mean, factor float64) {
	return func(dst, x []float32, mean, factor float64) {
		dst = dst[:len(x)]
		n := len(x) &^ 15
		if n > 0 {
			f(&dst[0], &x[0], n, mean, factor)
		}
		normalizePlain(dst[n:], x[n:], mean, factor)
	}
}

func vectorExpSum(f func(sums *float64, dst, x *float32, n int, top float32)) func(dst, x []float32, top float32) float64 {
	return func(dst, x []float32, top float32) float64 {
		dst = dst[:len(x)]
		var s, rest [16]float64
		n := len(x) &^ 15
		if n > 0 {
			f(&s[0], &dst[0], &x[0], n, top)
		}
		if n < len(x) {
			var part [16]float32
			copy(part[:], x[n:])
			for i := len(x) - n; i < len(part); i++ {
				part[i] = float32(math.Inf(-1))
			}
			f(&rest[0], &part[0], &part[0], 16, top)
			copy(dst[n:], part[:])
			for i := range len(x) - n {
				s[i] += rest[i]
			}
		}
		return fold(&s)
	}
}

// vectorSoftmax makes loops over rows of f, which takes them in groups of the given size. A last row that does not fill a
// group costs as much as one, which pays where it is short.
func vectorSoftmax(group int, f func(dst, x *float32, rows, n int)) func(dst, x []float32, n int) int {
	const short = 256
	return func(dst, x []float32, n int) int {
		rows := len(x) / n
		if n > short {
			rows -= rows % group
		}
		if rows > 0 {
			f(&dst[:rows*n][0], &x[:rows*n][0], rows, n)
		}
		return rows * n
	}
}

func vectorMix(lanes int, f func(dst, a, b *float32, n int, wa, wb float32)) func(dst, a, b []float32, wa, wb float32) {
	return func(dst, a, b []float32, wa, wb float32) {
		a, b = a[:len(dst)], b[:len(dst)]
		n := len(dst) &^ (lanes - 1)
		if n > 0 {
			f(&dst[0], &a[0], &b[0], n, wa, wb)
		}
		mixPlain(dst[n:], a[n:], b[n:], wa, wb)
	}
}

func vectorGemv(lanes int, f func(dst, x, w *float32, k, panels int)) func(dst, x, w []float32, panels int) {
	return func(dst, x, w []float32, panels int) {
		_, _ = dst[8*lanes*panels-1], w[8*lanes*panels*len(x)-1]
		f(&dst[0], &x[0], &w[0], len(x), panels)
	}
}

// checkTaps panics where x does not hold what a loop over taps reads.
func checkTaps(dst, x []float32, step int, offsets []int) {
	_ = x[(len(dst)-1)*step+offsets[len(offsets)-1]+(step-1)*tapSlack]
}

func taps512(step int, f func(dst, x *float32, n int, offsets *int, taps int)) tapFunc {
	return func(dst, x []float32, offsets []int) {
		if len(dst) > 0 {
			checkTaps(dst, x, step, offsets)
			f(&dst[0], &x[0], len(dst), &offsets[0], len(offsets))
		}
	}
}

// taps8 takes the last eight elements together where the number of elements is no multiple of eight.
func taps8(step int, f func(dst, x *float32, n int, offsets *int, taps int), short tapFunc) tapFunc {
	return func(dst, x []float32, offsets []int) {
		n := len(dst) &^ 7
		if n == 0 {
			short(dst, x, offsets)
			return
		}
		checkTaps(dst, x, step, offsets)
		f(&dst[0], &x[0], n, &offsets[0], len(offsets))
		if last := len(dst) - 8; n < len(dst) {
			f(&dst[last], &x[last*step], 8, &offsets[0], len(offsets))
		}
	}
}

// transposeEights is transposePlain by blocks of eight rows and columns.
func transposeEights(dst, x []float32, rows, cols, ldd, ldx int) {
	whole, full := rows&^7, cols&^7
	if whole == 0 || full == 0 {
		transposePlain(dst, x, rows, cols, ldd, ldx)
		return
	}
	_, _ = dst[(cols-1)*ldd+rows-1], x[(rows-1)*ldx+cols-1]
	const strip = 64 // columns at a time: the rows of dst that are written to stay in the first level cache
	for j := 0; j < full; j += strip {
		for i := 0; i < whole; i += 8 {
			transpose8AVX2(&dst[j*ldd+i], &x[i*ldx+j], min(strip, full-j), 4*ldd, 4*ldx)
		}
	}
	if full < cols {
		transposePlain(dst[full*ldd:], x[full:], rows, cols-full, ldd, ldx)
	}
	if whole < rows {
		transposePlain(dst[whole:], x[whole*ldx:], rows-whole, full, ldd, ldx)
	}
}
