package kernel

import "unsafe"

// relationFunc compares n elements of 32 bits, n a multiple of 16 and not 0.
type relationFunc func(dst, a, b *byte, n, stepA, stepB int)

// relationLoops are the loops by level and relation, for float32 and for int32.
var relationLoops = [...][3][2]relationFunc{
	avx2: {
		equal:     {equalFloatsAVX2, equalIntsAVX2},
		less:      {lessFloatsAVX2, lessIntsAVX2},
		lessEqual: {lessEqualFloatsAVX2, lessEqualIntsAVX2},
	},
	avx512: {
		equal:     {equalFloatsAVX512, equalIntsAVX512},
		less:      {lessFloatsAVX512, lessIntsAVX512},
		lessEqual: {lessEqualFloatsAVX512, lessEqualIntsAVX512},
	},
}

// relate does as many elements as it can by vectors, and returns how many.
func relate[T any](r relation, dst []bool, a, b []T, sa, sb int) int {
	n := len(dst) &^ 15
	if n == 0 || use == plain || sa+sb == 0 {
		return 0
	}
	kind := 0
	switch any(a).(type) {
	case []float32:
	case []int32:
		kind = 1
	default:
		return 0
	}
	first, second := &a[:(n-1)*sa+1][0], &b[:(n-1)*sb+1][0]
	relationLoops[use][r][kind]((*byte)(unsafe.Pointer(&dst[0])), (*byte)(unsafe.Pointer(first)), (*byte)(unsafe.Pointer(second)), n, sa, sb)
	return n
}
