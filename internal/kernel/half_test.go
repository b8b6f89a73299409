package kernel

import (
	"math"
	"testing"

	"github.com/x448/float16"
)

// Every 65,521st float32 is rounded as the library does it, whose results are those of the standard (IEEE 754 binary16).
func TestRoundHalf(t *testing.T) {
	var x []float32
	for bits := uint64(0); bits < 1<<32; bits += 65521 {
		x = append(x, math.Float32frombits(uint32(bits)))
	}
	x = append(x, 1, 2049, 2051, 65504, 65519, 65520, 1e-8, 5.9604645e-8, 2.9802322e-8, 8.940697e-8)
	eachLevel(t, func(t *testing.T) {
		got := append([]float32{}, x...)
		RoundHalf(got)
		for i, v := range x {
			want := float16.Fromfloat32(v).Float32()
			if got[i] != want && (got[i] == got[i] || want == want) {
				t.Fatalf("%v: got %v, want %v", v, got[i], want)
			}
		}
	})
}
