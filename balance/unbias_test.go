package balance

import (
	"math"
	"slices"
	"testing"
)

// Two levels by hand: w = 1, 3, -1, -3, one group of scale 1, bin means -2 and 2: sum(w^2) = 20, sum(w*q) = 16.
func TestUnbiasByHand(t *testing.T) {
	q := &Quantized{Layout: PerTensor(4), Bits: 1, Codes: []uint8{1, 1, 0, 0}, Scales: []float32{1}, Levels: []float32{-2, 2}}
	q.Unbias([]float32{1, 3, -1, -3})
	if !slices.Equal(q.Levels, []float32{-2.5, 2.5}) {
		t.Errorf("levels %v, want -2.5 and 2.5", q.Levels)
	}
}

// halfStep is the largest relative error of rounding to float16.
const halfStep = 1.0 / 2048

func TestUnbiasKeepsTheProjection(t *testing.T) {
	w := gaussian(5000)
	for _, bits := range []int{1, 2, 3, 4, 8} {
		q, err := Quantize(w, nil, Layout{Outer: 1, Channels: 10, Inner: 500}, Spec{Bits: bits, Method: Lloyd, Norm: NormRMS})
		if err != nil {
			t.Fatal(err)
		}
		before := SQNR(w, dequantized(q))
		q.Unbias(w)
		got := dequantized(q)
		var ww, wq float64
		for i, v := range w {
			ww += float64(v) * float64(v)
			wq += float64(v) * float64(got[i])
		}
		if math.Abs(wq/ww-1) > halfStep {
			t.Errorf("%d bits: projection %v, want 1", bits, wq/ww)
		}
		// D/(1-D) in place of D, D below 0.4 at one bit: a loss of at most 10 log10(1/0.6) = 2.3 dB
		if after := SQNR(w, got); after > before+0.1 || after < before-2.3 {
			t.Errorf("%d bits: %.2f dB, then %.2f dB", bits, before, after)
		}
		if err := q.Check(); err != nil {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

// Codes 0 to 3 of zero 2 and scale 1: values -2 to 1; w = 4, 1: sum(w^2) = 17, sum(w*q) = 5.
func TestUnbiasOfAffineCodesByHand(t *testing.T) {
	q := &Quantized{Layout: PerTensor(2), Bits: 2, Codes: []uint8{3, 3}, Scales: []float32{1}}
	q.Unbias([]float32{4, 1})
	if q.Stretch != 3.4 || !slices.Equal(dequantized(q), []float32{3.4, 3.4}) || q.Scales[0] != 1 {
		t.Errorf("stretch %v, values %v", q.Stretch, dequantized(q))
	}
	for _, bad := range []*Quantized{
		{Layout: PerTensor(1), Bits: 1, Codes: []uint8{0}, Scales: []float32{1}, Levels: []float32{0, 1}, Stretch: 2},
		{Layout: PerTensor(1), Bits: 1, Codes: []uint8{0}, Scales: []float32{1}, Stretch: -1},
		{Layout: PerTensor(1), Bits: 1, Codes: []uint8{0}, Scales: []float32{1}, Stretch: float32(math.Inf(1))},
	} {
		if bad.Check() == nil {
			t.Errorf("stretch %v beside levels %v passes", bad.Stretch, bad.Levels)
		}
	}
}

func TestUnbiasLeavesTheRest(t *testing.T) {
	exact := &Quantized{Layout: PerTensor(2), Bits: 2, Codes: []uint8{0, 3}, Scales: []float32{1}}
	if exact.Unbias([]float32{-2, 1}); exact.Stretch != 0 {
		t.Errorf("exact codes were stretched by %v", exact.Stretch)
	}
	for _, w := range [][]float32{{0, 0}, {-1, -1}} { // no projection, and a negative one
		q := &Quantized{Layout: PerTensor(2), Bits: 1, Codes: []uint8{1, 1}, Scales: []float32{1}, Levels: []float32{-1, 1}}
		if q.Unbias(w); !slices.Equal(q.Levels, []float32{-1, 1}) {
			t.Errorf("w = %v: levels %v", w, q.Levels)
		}
	}
}

func dequantized(q *Quantized) []float32 {
	got := make([]float32, len(q.Codes))
	q.Dequantize(got)
	return got
}
