package kernel

import "unsafe"

// stripArgs is a strip as the kernels take it: _generate/depthwise.go counts on this layout. Pitches count bytes.
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
	mask      uint32 // AVX-512: a bit for each column; AVX2: their number
}

// run computes the strip. Its source must reach stripSlack elements beyond the last that it needs.
func (s *strip) run() {
	if use == plain || s.rows == 0 || s.cols == 0 {
		s.runPlain()
		return
	}
	s.check()
	a := stripArgs{
		dst: &s.dst[0], dstPitch: 4 * s.dstPitch, src: &s.src[0], srcPitch: 4 * s.srcPitch, rows: s.rows, taps: len(s.offsets),
		offsets: &s.offsets[0], w: &s.w[0], low: s.low, high: s.high, bias: s.bias, mask: uint32(s.cols),
	}
	if use == avx512 {
		a.mask = 1<<s.cols - 1
	}
	p := (*uint64)(unsafe.Pointer(&a))
	switch {
	case s.three && use == avx512:
		strip3x3AVX512(p)
	case s.three:
		strip3x3AVX2(p)
	case use == avx512 && s.step == 1:
		strip1AVX512(p)
	case use == avx512:
		strip2AVX512(p)
	case s.step == 1:
		strip1AVX2(p)
	default:
		strip2AVX2(p)
	}
}
