package kernel

import "golang.org/x/sys/cpu"

// gather is a way to gather taps.
type gather int

const (
	gatherNone gather = iota
	gatherPairs
	gatherQuads
)

// byteGather returns the way of the level in use. AVX-512 without VBMI takes that of AVX2.
func byteGather() gather {
	switch {
	case use == plain:
		return gatherNone
	case vnni() && cpu.X86.HasAVX512VBMI:
		return gatherQuads
	}
	return gatherPairs
}

// call computes vectors of channel c.
func (s *byteShuffle) call(dst, src []uint8, vectors []byteVector, table []uint8, c int, q *ByteFinish) {
	if len(vectors) == 0 {
		return
	}
	groups := len(s.offsets)
	weights := s.weights[c*groups : (c+1)*groups]
	_ = src[s.reach-1]
	bias, second, shift := q.of(c)
	f := byteDeepAVX2
	if !s.pairs {
		f = byteDeepAVX512
	}
	f(&dst[0], &src[0], &vectors[0].from, len(vectors), &table[0], s.step, &s.offsets[0], &weights[0], groups, bias, q.First, second, shift,
		q.Out, q.Zero, q.Low, q.High)
}

// vectors finishes as many sums as fill vectors, and returns how many.
func (q *ByteFinish) vectors(dst []uint8, sums, seen []int32, bias, times int32, second, shift float32) int {
	n := filled(len(sums))
	if n == 0 {
		return 0
	}
	_, _ = dst[n-1], seen[n-1]
	f := finishBytesAVX2
	switch {
	case use == avx512 && q.Out == 1:
		f = finishWholeAVX512
	case use == avx512:
		f = finishBytesAVX512
	case q.Out == 1:
		f = finishWholeAVX2
	}
	f(&dst[0], &sums[0], &seen[0], n, bias, times, q.First, second, shift, q.Out, q.Zero, q.Low, q.High)
	return n
}

// vectors finishes as many sums as fill vectors, and returns how many.
func (q *FloatFinish) vectors(dst []float32, sums, seen []int32, bias, times int32, second, shift float32) int {
	n := filled(len(sums))
	if n == 0 {
		return 0
	}
	_, _ = dst[n-1], seen[n-1]
	f := finishFloatsAVX2
	if use == avx512 {
		f = finishFloatsAVX512
	}
	f(&dst[0], &sums[0], &seen[0], n, bias, times, q.First, second, shift, q.Low, q.High)
	return n
}

// columns finishes as many sums of a row as fill vectors, and returns how many; none where numbers are not given for every
// output, or Out is not 1.
func (q *ByteFinish) columns(dst []uint8, sums []int32, times, more int32) int {
	n := filled(len(sums))
	if n == 0 || len(q.Second) < n || q.Shift == nil || q.Out != 1 {
		return 0
	}
	_, _, _ = dst[n-1], q.Bias[n-1], q.Shift[n-1]
	f := finishByteColumnsAVX2
	if use == avx512 {
		f = finishByteColumnsAVX512
	}
	f(&dst[0], &sums[0], n, &q.Bias[0], &q.Second[0], &q.Shift[0], times, more, q.First, q.Out, q.Zero, q.Low, q.High)
	return n
}

// columns finishes as many sums of a row as fill vectors, and returns how many; none where numbers are not given for every
// output.
func (q *FloatFinish) columns(dst []float32, sums []int32, times, more int32) int {
	n := filled(len(sums))
	if n == 0 || len(q.Second) < n || q.Shift == nil {
		return 0
	}
	_, _, _ = dst[n-1], q.Bias[n-1], q.Shift[n-1]
	f := finishFloatColumnsAVX2
	if use == avx512 {
		f = finishFloatColumnsAVX512
	}
	f(&dst[0], &sums[0], n, &q.Bias[0], &q.Second[0], &q.Shift[0], times, more, q.First, q.Low, q.High)
	return n
}
