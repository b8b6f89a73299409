package balance

import (
	"math"
	"slices"
	"testing"
)

func TestShortScales(t *testing.T) {
	const step = 1.0 / 32 // between short scales in [1, 2)
	largest := math.Float32frombits(maxScale)
	rows := []struct {
		x           float64
		up, nearest float32
	}{
		{0, 0, 0},
		{1, 1, 1},
		{1 + step, 1 + step, 1 + step},
		{1 + step/4, 1 + step, 1},
		{1 + step/2, 1 + step, 1},          // tie: 1 has the even number
		{1 + 3*step/2, 1 + 2*step, 1.0625}, // tie: to 1 + 2 steps
		{1.999, 2, 2},
		{1 + 1e-12, 1 + step, 1}, // rounds to float32 1, must still go up
		{0x1p-131, 0x1p-131, 0x1p-131},
		{math.SmallestNonzeroFloat32, 0x1p-131, 0x1p-131},
		{1e-60, 0x1p-131, 0x1p-131},
		{math.MaxFloat32, largest, largest},
		{1e300, largest, largest},
	}
	for _, row := range rows {
		if got := scaleUp(row.x); got != row.up {
			t.Errorf("scaleUp(%v) = %v, want %v", row.x, got, row.up)
		}
		if got := scaleNearest(row.x); got != row.nearest {
			t.Errorf("scaleNearest(%v) = %v, want %v", row.x, got, row.nearest)
		}
	}
	for _, row := range []struct{ s, want float32 }{{1, 1 - step/2}, {2, 2 - step}, {0x1p-131, 0}, {0, 0}} {
		if got := scaleBelow(row.s); got != row.want {
			t.Errorf("scaleBelow(%v) = %v, want %v", row.s, got, row.want)
		}
	}
}

func isShort(s float32) bool {
	b := math.Float32bits(s)
	return b&(minScale-1) == 0 && b <= maxScale
}

func TestRoundHalf(t *testing.T) {
	// binary16 has 10 mantissa bits: steps of 2^-10 in [1, 2), subnormal steps of 2^-24.
	levels := []float32{-1e9, -1, minus0, 0x1p-26, 0x1p-24, 1 + 0x1p-11, 1 + 3*0x1p-11, 1 + 0x1p-10, 65520, huge}
	want := []float32{-65504, -1, minus0, 0, 0x1p-24, 1, 1 + 0x1p-9, 1 + 0x1p-10, 65504, 65504}
	if roundHalf(levels); !slices.EqualFunc(levels, want, sameBits) {
		t.Errorf("got %v, want %v", levels, want)
	}
}

func TestKeepFinite(t *testing.T) {
	levels := []float32{-1 - 0x1p-10, 0, 1, 1.5}
	if keepFinite(levels, huge); !slices.Equal(levels, []float32{-1, 0, 1, 1}) {
		t.Errorf("got %v", levels)
	}
}
