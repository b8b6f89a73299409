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
func (s *byteShuffle) call(dst, src []uint8, vectors []byteVector, table []uint8, c int, q *Requantizer) {
	if len(vectors) == 0 {
		return
	}
	groups := len(s.offsets)
	weights := s.weights[c*groups : (c+1)*groups]
	_ = src[s.reach-1]
	f := byteDeepAVX2
	if !s.pairs {
		f = byteDeepAVX512
	}
	f(&dst[0], &src[0], &vectors[0].from, len(vectors), &table[0], s.step, &s.offsets[0], &weights[0], groups, q.Bias[c], q.First, q.factor(c), q.Out,
		q.Zero, q.low())
}
