package convert

import (
	"math"
	"testing"

	"bq/balance"
	"bq/onnxio"
)

// One value of a thousand times the others, which no output depends on, stretches the range of least squared error so that all others
// round to zero: samples that took no part show it, and 99.99 % of the values are taken.
func TestRangesAreChosenBySamplesThatTookNoPart(t *testing.T) {
	const samples, k, n = 64, 512, 8
	w := normal(1, k*n)
	for o := range n {
		w[o] = 0
	}
	x := normal(2, samples*k)
	for i := range x {
		x[i] = float32(math.Abs(float64(x[i])))
	}
	b := func() *builder {
		return newBuilder(13).input("x", 1, k).floats("w", w, k, n).floats("c", normal(3, n), n).node("Gemm", []string{"x", "w", "c"}, "y").output("y", 1, n)
	}
	convert := func(count int) *Result {
		f := b().file(t)
		set := samplesOf(t, f.Model, onnxio.Floats(x[:count*k], count, k))
		r, _, _ := converted(t, f, Options{Bits: 8, ActBits: 4, Samples: set, Threads: 2})
		return r
	}
	if r := convert(samples); r.Ranges != balance.RangeMSE.String() {
		t.Errorf("plain values: ranges by %s", r.Ranges)
	}
	x[0] = 1000
	r := convert(samples)
	if r.Ranges != balance.RangeP9999.String() || len(r.Activations) != 1 || r.Activations[0].High > 6 {
		t.Errorf("ranges by %s: %+v", r.Ranges, r.Activations)
	}
	// too few samples to divide
	if r := convert(rangesFrom - 1); r.Ranges != balance.RangeMSE.String() {
		t.Errorf("few samples: ranges by %s", r.Ranges)
	}
}
