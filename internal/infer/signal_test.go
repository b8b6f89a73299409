package infer

import (
	"math/cmplx"
	"testing"
)

// transformTolerance bounds what float64 sums of some hundred terms of size 1 lose.
const transformTolerance = 1e-9

// TestTransform compares the fast transform with the sum that defines it, and the inverse with the input.
func TestTransform(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 8, 64, 100, 128, 256} {
		x := make([]complex128, n)
		for i := range x {
			x[i] = complex(float64(i*7%11)-5, float64(i*3%5))
		}
		forward, err := newTransform(n, false)
		if err != nil {
			t.Fatal(err)
		}
		y := forward.run(x)
		for k := range y {
			var want complex128
			for j, v := range x {
				want += v * forward.turn[j*k%n]
			}
			if cmplx.Abs(y[k]-want) > transformTolerance {
				t.Fatalf("n %d, value %d: got %v, want %v", n, k, y[k], want)
			}
		}
		inverse, err := newTransform(n, true)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range inverse.run(y) {
			if cmplx.Abs(v-x[i]) > transformTolerance {
				t.Fatalf("n %d: the inverse gives %v at %d, want %v", n, v, i, x[i])
			}
		}
	}
	for _, n := range []int{0, -1, maxTransform + 1, 1 << 25} {
		if _, err := newTransform(n, false); err == nil {
			t.Errorf("a transform of %d values gave no error", n)
		}
	}
}
