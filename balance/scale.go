package balance

import (
	"math"

	"github.com/x448/float16"

	"bq/internal/kernel"
)

// A short scale is a float32 whose low 18 mantissa bits are zero: 5 mantissa bits, 32 steps an octave, so that a
// container can keep the scale of a group in one byte. Taken as integers, the bits of the short scales are the
// multiples of 2^18 from minScale to maxScale; below 2^-126 (subnormal) they lie 2^-131 apart.
const (
	scaleShift = 18
	minScale   = uint32(1) << scaleShift // 2^-131
	maxScale   = uint32(0x7f7c0000)      // 1.96875 * 2^127, the largest finite one
)

// scaleUp returns the smallest short scale >= x, or the largest there is; 0 for 0. x is finite and >= 0.
func scaleUp(x float64) float32 {
	if x <= 0 {
		return 0
	}
	f := float32(x)
	if x > math.MaxFloat32 {
		f = math.MaxFloat32
	}
	b := math.Float32bits(f)
	if float64(f) < x && f < math.MaxFloat32 {
		b++ // float32 rounded down; the bits of positive floats are in order
	}
	b = (b + minScale - 1) >> scaleShift << scaleShift
	return math.Float32frombits(min(max(b, minScale), maxScale))
}

// scaleNearest returns the short scale nearest to x, ties to even, never 0 for x > 0. x is finite and >= 0.
func scaleNearest(x float64) float32 {
	if x <= 0 {
		return 0
	}
	b := math.Float32bits(float32(min(x, math.MaxFloat32)))
	b = (b + minScale/2 - 1 + b>>scaleShift&1) >> scaleShift << scaleShift
	return math.Float32frombits(min(max(b, minScale), maxScale))
}

// scaleBelow returns the next smaller short scale; 0 below the smallest.
func scaleBelow(s float32) float32 {
	b := math.Float32bits(s)
	if b <= minScale {
		return 0
	}
	return math.Float32frombits(b - minScale)
}

// absMax returns the largest magnitude, 0 for an empty slice. x is finite.
func absMax(x []float32) float32 {
	low, high, _ := kernel.MinMax(x)
	return max(-low, high)
}

// rms returns the root of the mean square, 0 for an empty slice.
func rms(x []float32) float64 {
	if len(x) == 0 {
		return 0
	}
	return math.Sqrt(kernel.SumProducts(x, x) / float64(len(x)))
}

// maxHalf is the largest finite float16.
const maxHalf = 65504

// roundHalf replaces every level by the nearest float16, ties to even, saturating at +-65504. Order is kept.
func roundHalf(levels []float32) {
	for i, v := range levels {
		levels[i] = float16.Fromfloat32(min(max(v, -maxHalf), maxHalf)).Float32()
	}
}

// keepFinite moves levels toward zero, one float16 at a time, while level*scale overflows float32.
func keepFinite(levels []float32, scale float32) {
	for i, v := range levels {
		for math.IsInf(float64(v*scale), 0) {
			v = (float16.Fromfloat32(v) - 1).Float32() // one less in sign-magnitude: toward zero
		}
		levels[i] = v
	}
}
