package kernel

// roundHalf rounds as many as fill vectors, and returns how many.
func roundHalf(x []float32) int {
	n := len(x) &^ 3
	if use != neon || n == 0 {
		return 0
	}
	roundHalfNEON(&x[0], n)
	return n
}
