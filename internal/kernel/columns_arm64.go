package kernel

// packRun copies n <= 32 columns of each row, as into a panel: dst[p*width + j] = src[offsets[p]/4 + j*step].
func packRun(dst, src []float32, offsets []int, n, width, step int) {
	if use != neon || step > 2 || len(offsets) == 0 || n == 0 {
		packRunPlain(dst, src, offsets, n, width, step)
		return
	}
	last := len(offsets) - 1 // the largest: offsets rise
	end := offsets[last]/4 + (n-1)*step
	_, _ = dst[last*width+n-1], src[end]
	switch {
	case step == 1:
		packRowsNEON(&dst[0], &src[0], &offsets[0], len(offsets), n, 4*width)
	case n%4 != 0 || end+1 < len(src): // four columns are taken from eight elements
		packEvensNEON(&dst[0], &src[0], &offsets[0], len(offsets), n, 4*width)
	default:
		packRunPlain(dst, src, offsets, n, width, step)
	}
}
