package kernel

// subtractTile subtracts k products from n columns of one row, or of as many as a vector holds float64; e [k, rows].
func subtractTile(dst []float64, ldd, rows int, e, u []float64, ldu, n, k int) {
	switch {
	case use == avx512 && rows == 1:
		subtract1AVX512(&dst[0], 8*ldd, &e[0], &u[0], 8*ldu, n, k)
	case use == avx512:
		subtract8AVX512(&dst[0], 8*ldd, &e[0], &u[0], 8*ldu, n, k)
	case rows == 1:
		subtract1AVX2(&dst[0], 8*ldd, &e[0], &u[0], 8*ldu, n, k)
	default:
		subtract4AVX2(&dst[0], 8*ldd, &e[0], &u[0], 8*ldu, n, k)
	}
}
