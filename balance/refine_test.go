package balance

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// What Quantize does under Unbias and ZeroSum is what the methods of these names do to its result, in any layout, and
// Signal and Noise are the sums that SquaredError finds.
func TestRefinementsOfQuantize(t *testing.T) {
	const rounding = 1e-6 // moves change the noise by steps that are exact, values by steps rounded to float32
	w := gaussian(6000)
	for i := range w {
		w[i] = float32(w[i]*0.5) + 0.1
	}
	for _, l := range []Layout{{1, 20, 300, 0}, {300, 20, 1, 0}, {10, 20, 30, 0}, {1, 20, 300, 50}, {300, 20, 1, 7}, PerTensor(6000)} {
		for _, s := range []Spec{
			{Bits: 2, Method: Affine}, {Bits: 4, Method: Affine}, {Bits: 8, Method: Affine},
			{Bits: 3, Method: Lloyd}, {Bits: 8, Method: Lloyd, Norm: NormRMS}, {Bits: 5, Method: Balanced, P: 1},
		} {
			t.Run(fmt.Sprint(l, s.label()), func(t *testing.T) {
				apart, err := Quantize(w, nil, l, s)
				if err != nil {
					t.Fatal(err)
				}
				apart.Unbias(w)
				apart.ZeroSum(w)
				s.Unbias, s.ZeroSum = true, true
				q, err := Quantize(w, nil, l, s)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(q.Codes, apart.Codes) || !slices.Equal(q.Levels, apart.Levels) || q.Stretch != apart.Stretch {
					t.Error("codes, levels or stretch differ")
				}
				signal, noise := SquaredError(w, dequantized(q), nil)
				if math.Abs(q.Signal/signal-1) > rounding || math.Abs(q.Noise/noise-1) > rounding {
					t.Errorf("signal %v, noise %v, want %v and %v", q.Signal, q.Noise, signal, noise)
				}
				if want := SQNR(w, dequantized(q)); math.Abs(q.SQNR()-want) > rounding {
					t.Errorf("%v dB, want %v", q.SQNR(), want)
				}
			})
		}
	}
}

// movesRef lists the moves of ZeroSum for one channel in order of cost, exactly, by looking at every element.
func movesRef(d *decoder, x []float32, c int, sum float64, most int) []move {
	var all []move
	blocks := d.Layout.Blocks()
	for g := c * blocks; g < (c+1)*blocks; g++ {
		lo, hi := d.Layout.Span(g)
		for e := lo; e < hi; e++ {
			if v, ok := d.move(x[e], e, g, d.values(g), sum > 0); ok {
				all = append(all, v)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b move) int {
		switch {
		case a.cost < b.cost:
			return -1
		case a.cost > b.cost:
			return 1
		}
		return 0
	})
	return all[:min(most, len(all))]
}

// The search by vectors, under a limit that the channels before have left, finds the moves of the plain one.
func TestCheapMovesAgainstRef(t *testing.T) {
	for seed, scale := range []float32{1, 1e-30, 1e30, tiny * 100} {
		x := gaussian(9000)
		for i := range x {
			x[i] *= scale
			if i < 3000 {
				x[i] *= 1.0 / 64 // a channel whose moves cost less, then others whose moves cost more
			}
			if i%1000 == seed {
				x[i] *= 20
			}
		}
		for _, s := range []Spec{{Bits: 4, Method: Affine}, {Bits: 8, Method: Lloyd}, {Bits: 3, Method: Lloyd, Norm: NormRMS}, {Bits: 1, Method: Affine}} {
			for _, l := range []Layout{{1, 3, 3000, 0}, {1, 9, 1000, 300}, PerTensor(9000)} {
				q, err := Quantize(x, nil, l, s)
				if err != nil {
					t.Fatal(err)
				}
				d := q.decoder()
				d.up, d.down = q.moveTable(true), q.moveTable(false)
				for c := range l.Channels {
					for _, sum := range []float64{float64(scale) * 3, float64(scale) * -0.5, float64(scale)} {
						got := slices.Clone(d.cheapMoves(x, c, sum))
						if want := movesRef(d, x, c, sum, d.moveCount(x, c, sum)); !slices.Equal(got, want) {
							t.Errorf("%v, %v, channel %d, sum %v: %d moves %v, want %d %v", l, s.label(), c, sum, len(got), got, len(want), want)
						}
					}
				}
			}
		}
	}
}
