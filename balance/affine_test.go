package balance

import (
	"math"
	"slices"
	"testing"
)

// affineRef tries every short scale of eight octaves below the covering one for every zero point in zeros, with the
// codes themselves, and returns the least squared error.
func affineRef(x []float32, bits int, zeros []float64) float64 {
	best := math.Inf(1)
	top := float64(int(1)<<bits - 1)
	for _, zero := range zeros {
		s := scaleUp(float64(absMax(x)))
		for range 10 * 32 {
			if covers(x, float64(s), zero, top) {
				total := 0.0
				for _, v := range x {
					half := zero - math.Floor(zero)
					q := math.RoundToEven(float64(v)/float64(s)-half) + half
					q = min(max(q, -zero), top-zero)
					d := q*float64(s) - float64(v)
					total += d * d
				}
				best = min(best, total)
			}
			s = scaleBelow(s)
		}
	}
	return best
}

// covers reports whether s is at most the short scale from which the search starts.
func covers(x []float32, s, zero, top float64) bool {
	lo, hi := 0.0, 0.0
	for _, v := range x {
		lo, hi = min(lo, float64(v)), max(hi, float64(v))
	}
	start := 0.0
	if zero > 0 {
		start = -lo / zero
	}
	if top > zero {
		start = max(start, hi/(top-zero))
	}
	return s <= float64(scaleUp(start))
}

// refTolerance: the search adds float32 quotients, the reference float64 ones.
const refTolerance = 1e-4

func TestAffineAgainstExhaustive(t *testing.T) {
	for name, x := range map[string][]float32{
		"gauss 9": gaussian(9), "gauss 32": gaussian(32), "laplace 100": laplacian(100), "uniform 50": uniform(50),
		"outlier": append(gaussian(60), 40), "few": {1, 1, 2, -7}, "one": {3}, "negative": {-1, -2, -5},
	} {
		for bits := 2; bits <= 8; bits++ {
			middle := float64(int(1) << (bits - 1))
			want := affineRef(x, bits, []float64{middle})
			if bits == 2 {
				want = min(want, affineRef(x, bits, []float64{1.5}))
			}
			q, err := Quantize(x, nil, PerTensor(len(x)), Spec{Bits: bits})
			if err != nil {
				t.Fatal(err)
			}
			y := make([]float32, len(x))
			q.Dequantize(y)
			_, got := SquaredError(x, y, nil)
			if got > want*(1+refTolerance)+1e-12 {
				t.Errorf("%s, %d bits: error %v, best symmetric or half-step grid %v", name, bits, got, want)
			}
			if q.Zeros != nil {
				if least := affineRef(x, bits, []float64{float64(q.Zeros[0])}); got > least*(1+refTolerance)+1e-12 {
					t.Errorf("%s, %d bits: error %v, best for this zero point %v", name, bits, got, least)
				}
			}
		}
	}
}

// TestCellsAgainstElements: the histogram search loses next to nothing against the one over all elements.
func TestCellsAgainstElements(t *testing.T) {
	const loss = 1.01 // at most 0.04 dB of squared error
	for name, x := range map[string][]float32{
		"gauss": gaussian(5000), "laplace": laplacian(5000), "uniform": uniform(5000),
		"outlier": append(gaussian(4999), 30),
	} {
		for bits := 2; bits <= 8; bits++ {
			l := PerTensor(len(x))
			fast, slow := newAffine(l, bits), newAffine(l, bits)
			slow.large = math.MaxInt
			fast.load(x, nil, l, 0)
			slow.load(x, nil, l, 0)
			a, b := fast.descend(fast.middle(), math.Inf(1)), slow.descend(slow.middle(), math.Inf(1))
			below, above := a.zero, float32(int(1)<<bits-1)-a.zero
			if got, _ := slow.errors(a.scale, below, above); got > loss*b.err {
				t.Errorf("%s, %d bits: scale %v has error %v, scale %v %v", name, bits, a.scale, got, b.scale, b.err)
			}
		}
	}
}

// TestHalfStep: |x - value| <= step/2 inside the range of the grid.
func TestHalfStep(t *testing.T) {
	const rounding = 1e-6 // of the quotient and the product in float32, relative to the largest value
	x := gaussian(3000)
	for bits := 2; bits <= 8; bits++ {
		for _, l := range []Layout{PerTensor(3000), {1, 100, 30, 0}, {1, 1, 3000, 32}} {
			_, q := quantizedSQNR(x, l, Spec{Bits: bits})
			y := make([]float32, len(x))
			q.Dequantize(y)
			for e, v := range x {
				g := l.Group(e)
				step := float64(q.Scales[g])
				lo, hi := -1.5*step, 1.5*step
				if q.Levels == nil {
					zero := float64(int(1) << (bits - 1))
					if q.Zeros != nil {
						zero = float64(q.Zeros[g])
					}
					lo, hi = -zero*step, (float64(int(1)<<bits-1)-zero)*step
				}
				inside := float64(v) >= lo && float64(v) <= hi
				if d := math.Abs(float64(v) - float64(y[e])); inside && d > step/2+rounding*5 {
					t.Fatalf("%d bits, %v: %v decoded to %v with step %v", bits, l, v, y[e], step)
				}
			}
		}
	}
}

func TestEncodeTies(t *testing.T) {
	x := []float32{-2.5, -1.5, -0.5, minus0, 0, 0.5, 1.5, 2.5, 9, -9, inf, -inf}
	rows := []struct {
		name string
		grid grid
		bits int
		want []uint8
	}{
		{"integer", grid{scale: 1, zero: 4}, 3, []uint8{2, 2, 4, 4, 4, 4, 6, 6, 7, 0, 7, 0}},
		{"scale 2", grid{scale: 2, zero: 4}, 3, []uint8{3, 3, 4, 4, 4, 4, 5, 5, 7, 0, 7, 0}},
		{"one-sided", grid{scale: 1, zero: 0}, 2, []uint8{0, 0, 0, 0, 0, 0, 2, 2, 3, 0, 3, 0}},
		// levels -1.5 -0.5 0.5 1.5: 0 is midway, x - 1/2 = -0.5 rounds to even 0, the level 0.5
		{"half step", grid{scale: 1, zero: 1.5}, 2, []uint8{0, 0, 1, 2, 2, 2, 3, 3, 3, 0, 3, 0}},
		{"dead", grid{zero: 2}, 2, []uint8{2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}},
	}
	for _, row := range rows {
		got := make([]uint8, len(x))
		if encode(got, x, row.grid, row.bits); !slices.Equal(got, row.want) {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

func TestAffineByHand(t *testing.T) {
	rows := []struct {
		name   string
		x      []float32
		bits   int
		want   []float32
		zeros  []uint8
		levels []float32
	}{
		{"integers of int4", []float32{-8, -3, 0, 5, 7}, 4, []float32{-8, -3, 0, 5, 7}, nil, nil},
		{"one-sided", []float32{0, 1, 2, 15}, 4, []float32{0, 1, 2, 15}, []uint8{0}, nil},
		{"one-sided below", []float32{0, -1, -2, -15}, 4, []float32{0, -1, -2, -15}, []uint8{15}, nil},
		{"mirrored", []float32{-7, -1, 3, 8}, 4, []float32{-7, -1, 3, 8}, []uint8{7}, nil},
		{"half step", []float32{-3, -1, 1, 3}, 2, []float32{-3, -1, 1, 3}, nil, []float32{-1.5, -0.5, 0.5, 1.5}},
		// the mean magnitude 1.6 lies between 51/32 and 52/32
		{"sign", []float32{1, -3, 2, -2, 0}, 1, []float32{1.59375, -1.59375, 1.59375, -1.59375, 1.59375}, nil, []float32{-1, 1}},
		{"constant", []float32{-3, -3, -3}, 2, []float32{-3, -3, -3}, nil, nil},
		{"sign, constant", []float32{-3, -3}, 1, []float32{-3, -3}, nil, []float32{-1, 1}},
	}
	for _, row := range rows {
		q, err := Quantize(row.x, nil, PerTensor(len(row.x)), Spec{Bits: row.bits})
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(row.x))
		q.Dequantize(got)
		if !slices.Equal(got, row.want) || !slices.Equal(q.Zeros, row.zeros) {
			t.Errorf("%s: got %v, zeros %v, want %v, %v", row.name, got, q.Zeros, row.want, row.zeros)
		}
		if row.name != "constant" && !slices.Equal(q.Levels, row.levels) {
			t.Errorf("%s: levels %v, want %v", row.name, q.Levels, row.levels)
		}
	}
}
