package infer

import (
	"slices"
	"testing"

	"bq/onnxio"
)

// Runs that threads share are those that one thread copies: many short ones, and few long ones.
func TestCopyRunsByThreads(t *testing.T) {
	for _, c := range []runs{
		{n: 3, count: 40000, from: 5, fromStep: 4, to: 2, toStep: 5}, {n: 70001, count: 2, from: 1, fromStep: 70001, to: 3, toStep: 80000},
		{n: 1, count: 100, fromStep: 1, toStep: 2},
	} {
		src := noise(1, c.from+c.count*c.fromStep)
		want := make([]float32, c.to+c.count*c.toStep)
		for i := range c.count {
			copy(want[c.to+i*c.toStep:][:c.n], src.F32()[c.from+i*c.fromStep:])
		}
		got := onnxio.NewArray(onnxio.Float, len(want))
		(&run{threads: 3}).copyRuns(got, src, c)
		if !slices.Equal(got.F32(), want) {
			t.Errorf("%+v: differs", c)
		}
	}
}
