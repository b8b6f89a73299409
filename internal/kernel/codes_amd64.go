package kernel

import "golang.org/x/sys/cpu"

// lookUpVectors looks up as many bytes as fill vectors, and returns how many.
func lookUpVectors(dst, x []uint8, table *[256]uint8) int {
	n, f := len(x)&^63, lookUpVBMI
	if use != avx512 || !cpu.X86.HasAVX512VBMI {
		n, f = len(x)&^31, lookUpAVX2
	}
	if n == 0 || use == plain {
		return 0
	}
	_ = dst[n-1]
	f(&dst[0], &x[0], n, &table[0])
	return n
}

// vectors combines as many codes as fill vectors, and returns how many.
func (s *CodeSum) vectors(dst, a, b []uint8) int {
	n := filled(len(dst))
	if n == 0 {
		return 0
	}
	_, _ = a[n-1], b[n-1]
	wide := use == avx512
	if s.Product {
		f := codeProductUAVX2
		switch {
		case wide && s.Signed:
			f = codeProductSAVX512
		case wide:
			f = codeProductUAVX512
		case s.Signed:
			f = codeProductSAVX2
		}
		f(&dst[0], &a[0], &b[0], n, s.A, float32(s.Low-s.Zero), float32(s.High-s.Zero), s.ZeroA, s.ZeroB, s.Zero)
		return n
	}
	f := codeSumUAVX2
	switch {
	case wide && s.Signed:
		f = codeSumSAVX512
	case wide:
		f = codeSumUAVX512
	case s.Signed:
		f = codeSumSAVX2
	}
	f(&dst[0], &a[0], &b[0], n, s.A, s.B, s.Fixed, float32(s.Low), float32(s.High))
	return n
}
