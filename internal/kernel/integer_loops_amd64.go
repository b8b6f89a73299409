package kernel

import "math"

// filled returns how many of n elements fill vectors of the level in use.
func filled(n int) int {
	if use == plain {
		return 0
	}
	return n &^ (use.lanes() - 1)
}

// requantize does as many as it can by vectors, and returns how many.
func requantize(dst []uint8, sums []int32, bias int32, first, second, out float32, zero, low int32) int {
	n := filled(len(sums))
	if n == 0 {
		return 0
	}
	_ = dst[n-1]
	if use == avx512 {
		requantizeAVX512(&dst[0], &sums[0], n, bias, first, second, out, zero, low)
	} else {
		requantizeAVX2(&dst[0], &sums[0], n, bias, first, second, out, zero, low)
	}
	return n
}

// requantizeColumns does as many as it can by vectors, and returns how many.
func requantizeColumns(dst []uint8, sums []int32, first float32, second []float32, out float32, zero, low int32) int {
	n := filled(len(sums))
	if n == 0 {
		return 0
	}
	_, _ = dst[n-1], second[n-1]
	if use == avx512 {
		requantizeColumnsAVX512(&dst[0], &sums[0], n, 0, &second[0], first, out, zero, low)
	} else {
		requantizeColumnsAVX2(&dst[0], &sums[0], n, 0, &second[0], first, out, zero, low)
	}
	return n
}

// quantize does as many as it can by vectors, and returns how many.
func quantize(dst []uint8, x []float32, scale float32, zero, low, high int32) int {
	n := filled(len(x))
	if n == 0 {
		return 0
	}
	_ = dst[n-1]
	f := quantizeAVX2
	switch by := multiplies(scale); {
	case use == avx512 && by:
		f = quantizeByAVX512
	case use == avx512:
		f = quantizeAVX512
	case by:
		f = quantizeByAVX2
	}
	f(&dst[0], &x[0], n, scale, zero, low, high)
	return n
}

// multiplies reports whether quotients by scale are those of products with its reciprocal: see _generate/integer.go.
func multiplies(scale float32) bool {
	const fraction, far = 1<<23 - 1, 64
	bits := math.Float32bits(scale)
	exponent := int(bits >> 23)
	return bits&fraction != fraction && exponent > 127-far && exponent < 127+far
}

// dequantize does as many as it can by vectors, and returns how many.
func dequantize(dst []float32, x []uint8, scale float32, zero int32, signed bool) int {
	n := filled(len(x))
	if n == 0 {
		return 0
	}
	_ = dst[n-1]
	switch {
	case use == avx512 && signed:
		dequantizeSAVX512(&dst[0], &x[0], n, scale, zero)
	case use == avx512:
		dequantizeUAVX512(&dst[0], &x[0], n, scale, zero)
	case signed:
		dequantizeSAVX2(&dst[0], &x[0], n, scale, zero)
	default:
		dequantizeUAVX2(&dst[0], &x[0], n, scale, zero)
	}
	return n
}
