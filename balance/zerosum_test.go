package balance

import (
	"math"
	"slices"
	"testing"
)

// Two channels by hand, scale 1, zero point 4. Channel 0: errors 0.4, 0.3, 0.1 add up to 0.8; moving the first up by
// one leaves -0.2, which is nearer to zero. Channel 1: errors -0.3, -0.1, 0 add up to -0.4; a move down would leave
// 0.6, so that nothing moves.
func TestZeroSumByHand(t *testing.T) {
	w := []float32{1.4, 2.3, 0.1, 0.7, 1.9, -1}
	q := &Quantized{Layout: Layout{Outer: 1, Channels: 2, Inner: 3}, Bits: 3, Codes: []uint8{5, 6, 4, 5, 6, 3}, Scales: []float32{1, 1}}
	q.ZeroSum(w)
	if want := []uint8{6, 6, 4, 5, 6, 3}; !slices.Equal(q.Codes, want) {
		t.Errorf("codes %v, want %v", q.Codes, want)
	}
	// the code that would have to grow is the last one already, so the next best moves
	q = &Quantized{Layout: PerTensor(2), Bits: 1, Codes: []uint8{1, 0}, Scales: []float32{1}, Levels: []float32{0, 1}}
	q.ZeroSum([]float32{1.5, 0.3})
	if want := []uint8{1, 1}; !slices.Equal(q.Codes, want) {
		t.Errorf("codes %v, want %v", q.Codes, want)
	}
}

// Whatever the layout, the errors of a channel end within half of its largest step unless its codes run out, and the
// squared error hardly grows.
func TestZeroSumOfEveryLayout(t *testing.T) {
	w := gaussian(6000)
	for i := range w {
		w[i] += 0.3 // errors that don't cancel by themselves
	}
	for _, l := range []Layout{{1, 20, 300, 0}, {300, 20, 1, 0}, {10, 20, 30, 0}, {1, 20, 300, 50}} {
		for _, s := range []Spec{{Bits: 4, Method: Affine}, {Bits: 8, Method: Affine}, {Bits: 4, Method: Lloyd}, {Bits: 6, Method: Lloyd, Norm: NormRMS}} {
			q, err := Quantize(w, nil, l, s)
			if err != nil {
				t.Fatal(err)
			}
			before := SQNR(w, dequantized(q))
			q.ZeroSum(w)
			got := dequantized(q)
			if err := q.Check(); err != nil {
				t.Fatal(err)
			}
			for c := range l.Channels {
				sum, step := 0.0, 0.0
				for e := range w {
					if e/l.Inner%l.Channels != c {
						continue
					}
					sum += float64(w[e]) - float64(got[e])
					for _, up := range []bool{true, false} {
						_, d, _ := q.neighbour(e, l.Group(e), up)
						step = max(step, math.Abs(d))
					}
				}
				if math.Abs(sum) > step/2+1e-6 { // float32 values, a few hundred of them
					t.Errorf("%+v, %+v: errors of channel %d add up to %v, the largest step is %v", l, s, c, sum, step)
				}
			}
			if after := SQNR(w, got); after < before-1 {
				t.Errorf("%+v, %+v: %.2f dB, then %.2f dB", l, s, before, after)
			}
		}
	}
}

func TestZeroSumOfDegenerateTensors(t *testing.T) {
	empty := &Quantized{Layout: Layout{Outer: 1, Channels: 0, Inner: 3}, Bits: 4}
	empty.ZeroSum(nil)
	dead := &Quantized{Layout: PerTensor(3), Bits: 4, Codes: []uint8{8, 8, 8}, Scales: []float32{0}}
	if dead.ZeroSum([]float32{0, 0, 0}); !slices.Equal(dead.Codes, []uint8{8, 8, 8}) {
		t.Errorf("a dead tensor's codes moved to %v", dead.Codes)
	}
}
