package kernel

// stripArgs is a strip as the kernels take it: _generate/arm64_depthwise.go counts on this layout. Pitches count bytes.
type stripArgs struct {
	dst       *float32
	dstPitch  int
	src       *float32
	srcPitch  int
	rows      int
	taps      int
	offsets   *int
	w         *float32
	low, high float32
	bias      float32
	cols      uint32
}

// run computes the strip. Its source must reach stripSlack elements beyond the last that it needs.
func (s *strip) run() {
	if use != neon || s.rows == 0 || s.cols == 0 || len(s.offsets) == 0 {
		s.runPlain()
		return
	}
	s.check()
	a := stripArgs{
		dst: &s.dst[0], dstPitch: 4 * s.dstPitch, src: &s.src[0], srcPitch: 4 * s.srcPitch, rows: s.rows, taps: len(s.offsets),
		offsets: &s.offsets[0], w: &s.w[0], low: s.low, high: s.high, bias: s.bias, cols: uint32(s.cols),
	}
	switch {
	case s.three:
		strip3x3NEON(&a)
	case s.step == 1:
		strip1NEON(&a)
	default:
		strip2NEON(&a)
	}
}
