package kernel

// packRun copies n <= 32 columns of each row, as into a panel: dst[p*width + j] = src[offsets[p]/4 + j*step].
func packRun(dst, src []float32, offsets []int, n, width, step int) {
	if use != avx512 || step > 2 || len(offsets) == 0 {
		packRunPlain(dst, src, offsets, n, width, step)
		return
	}
	last := len(offsets) - 1 // the largest: offsets rise
	_, _ = dst[last*width+n-1], src[offsets[last]/4+(n-1)*step]
	mask := uint64(1)<<n - 1
	if step == 1 {
		packRowsAVX512(&dst[0], &src[0], &offsets[0], len(offsets), mask, 4*width)
	} else {
		packEvensAVX512(&dst[0], &src[0], &offsets[0], len(offsets), mask, 4*width)
	}
}
