package kernel

// The functions below run a loop of the quantizer on the elements that fill turns of 16, and return how many these are.

// turns returns the elements of a slice of n that fill turns, 0 where there are no vectors.
func turns(n int) int {
	if use == plain {
		return 0
	}
	return n &^ 15
}

// small says to the loops whether all codes are below 16.
func small(bits int) int {
	if bits <= 4 {
		return 1
	}
	return 0
}

func minMaxVectors(found *[3][16]float32, x []float32) int {
	n := turns(len(x))
	switch {
	case n == 0:
	case use == avx512:
		minMaxAVX512(&x[0], n, &found[0][0])
	default:
		minMaxAVX2(&x[0], n, &found[0][0])
	}
	return n
}

func assignVectors(dst []uint8, x, heap []float32, scale, limit float32) int {
	n := turns(len(x))
	switch {
	case n == 0:
	case len(heap) == 16 && use == avx512:
		assign16AVX512(&dst[0], &x[0], n, &heap[0], scale, limit)
	case len(heap) == 16:
		assign16AVX2(&dst[0], &x[0], n, &heap[0], scale, limit)
	case use == avx512:
		assign256AVX512(&dst[0], &x[0], n, &heap[0], scale, limit)
	default:
		assign256AVX2(&dst[0], &x[0], n, &heap[0], scale, limit)
	}
	return n
}

func dotVectors(lanes *[16]float64, x, y []float32) int {
	n := turns(len(x))
	switch {
	case n == 0:
	case use == avx512:
		dotAVX512(&x[0], &y[0], n, &lanes[0])
	default:
		dotAVX2(&x[0], &y[0], n, &lanes[0])
	}
	return n
}

func cellIndexVectors(dst []uint32, x []float32, scale, limit float32, knee, half float64, last uint32) int {
	n := turns(len(x))
	switch {
	case n == 0:
	case use == avx512:
		cellIndexAVX512(&dst[0], &x[0], n, scale, limit, knee, half, last)
	default:
		cellIndexAVX2(&dst[0], &x[0], n, scale, limit, knee, half, last)
	}
	return n
}

func roundClampVectors(dst []uint8, x []float32, scale, low, high, half, zero float32) int {
	n := turns(len(x))
	switch {
	case n == 0:
	case use == avx512:
		roundClampAVX512(&dst[0], &x[0], n, scale, low, high, half, zero)
	default:
		roundClampAVX2(&dst[0], &x[0], n, scale, low, high, half, zero)
	}
	return n
}

func decodeVectors(dst []float32, codes []uint8, values *Values, bits int, scale float32) int {
	n := turns(len(codes))
	switch {
	case n == 0:
	case use == avx512:
		decodeAVX512(&dst[0], &codes[0], n, &values[0], small(bits), scale)
	default:
		decodeAVX2(&dst[0], &codes[0], n, &values[0], small(bits), scale)
	}
	return n
}

func projectVectors(lanes *[16]float64, x []float32, codes []uint8, values *Values, bits int, scale float32) int {
	n := turns(len(x))
	switch {
	case n == 0:
	case use == avx512:
		projectAVX512(&x[0], &codes[0], n, &values[0], small(bits), scale, &lanes[0])
	default:
		projectAVX2(&x[0], &codes[0], n, &values[0], small(bits), scale, &lanes[0])
	}
	return n
}

func codeErrorsVectors(lanes *[2][16]float64, x []float32, codes []uint8, values *Values, bits int, scale float32) int {
	n := turns(len(x))
	switch {
	case n == 0:
	case use == avx512:
		codeErrorsAVX512(&x[0], &codes[0], n, &values[0], small(bits), scale, &lanes[0][0])
	default:
		codeErrorsAVX2(&x[0], &codes[0], n, &values[0], small(bits), scale, &lanes[0][0])
	}
	return n
}

func cheapMovesVectors(dst []uint32, x []float32, codes []uint8, values, steps *Values, bits int, scale, unit, limit float32) (n, count int) {
	n = turns(len(x))
	switch {
	case n == 0:
	case use == avx512:
		count = cheapMovesAVX512(&dst[0], &x[0], &codes[0], n, &values[0], &steps[0], small(bits), scale, unit, limit)
	default:
		count = cheapMovesAVX2(&dst[0], &x[0], &codes[0], n, &values[0], &steps[0], small(bits), scale, unit, limit)
	}
	return n, count
}

func gridErrorsVectors(lanes *[2][16]float64, x []float32, scale, half, low, high float32) int {
	n := turns(len(x))
	switch {
	case n == 0:
	case use == avx512:
		gridErrorsAVX512(&x[0], n, scale, half, low, high, &lanes[0][0])
	default:
		gridErrorsAVX2(&x[0], n, scale, half, low, high, &lanes[0][0])
	}
	return n
}
