package kernel

// tap is tapPlain; it may write beyond element n, within slack.
func (p *bytePool) tap(dst, x []uint8, n int, taps []int, step int) {
	whole := (n + 31) &^ 31
	if use == plain || step > 2 || len(taps) == 0 || len(dst) < whole || len(x) < taps[len(taps)-1]+whole*step {
		p.tapPlain(dst, x, n, taps, step)
		return
	}
	f := byteMaxU1AVX2
	switch {
	case p.signed && step == 1:
		f = byteMaxS1AVX2
	case p.signed:
		f = byteMaxS2AVX2
	case step == 2:
		f = byteMaxU2AVX2
	}
	if step == 2 {
		whole = (n + 15) &^ 15
	}
	f(&dst[0], &x[0], whole, &taps[0], len(taps))
}
