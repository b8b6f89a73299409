package kernel

// roundHalf rounds as many as fill vectors, and returns how many.
func roundHalf(x []float32) int {
	n := len(x) &^ 15
	switch {
	case use == plain || n == 0:
		return 0
	case use == avx512:
		roundHalfAVX512(&x[0], n)
	default:
		roundHalfAVX2(&x[0], n)
	}
	return n
}
