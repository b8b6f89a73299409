package balance

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// By the formula: one input, w = 6, h = 2, shift = 1, damp = 1/2: 6 + 6*1/(2 + 1) = 8.
func TestCompensateByHand(t *testing.T) {
	if got := Compensate([]float64{6}, 1, []float64{2}, []float64{1}, 1, 0.5); !close64(got, []float64{8}) {
		t.Errorf("got %v, want 8", got)
	}
}

// Of z = A x with an invertible A, w A^-1 makes what w makes of x; damping draws it toward w.
func TestCompensateRecovers(t *testing.T) {
	const k, rows, n = 12, 3, 400
	rng := rand.New(rand.NewPCG(11, 12))
	x, _ := correlated(rng, n, k)
	a, w := make([]float64, k*k), make([]float64, rows*k)
	for i := range a {
		a[i] = 0.2 * rng.NormFloat64()
		if i/k == i%k {
			a[i]++
		}
	}
	for i := range w {
		w[i] = rng.NormFloat64()
	}
	h, shift := make([]float64, k*k), make([]float64, k*k)
	z := make([]float64, k)
	for r := range n {
		row := x[r*k : (r+1)*k]
		for i := range z {
			z[i] = dotRef(a[i*k:(i+1)*k], row)
		}
		for i := range k {
			for j := range k {
				h[i*k+j] += z[i] * z[j] / n
				shift[i*k+j] += (row[i] - z[i]) * z[j] / n
			}
		}
	}
	copies := [][]float64{slices.Clone(w), slices.Clone(h), slices.Clone(shift)}
	moved := Compensate(w, rows, h, shift, k, 1e-14)
	inv := inverseRef(a, k)
	for i := range w {
		want, r, j := 0.0, i/k, i%k
		for l := range k {
			want += w[r*k+l] * inv[l*k+j]
		}
		if math.Abs(moved[i]-want) > 1e-8 { // what the damping of 1e-14 leaves at a condition number of some thousands
			t.Fatalf("element %d: %v, want %v", i, moved[i], want)
		}
	}
	ridge := Compensate(w, rows, h, shift, k, 0.1)
	inv = inverseRef(damped(h, k, 0.1), k)
	for i := range w {
		want, r, j := w[i], i/k, i%k
		for l := range k {
			for m := range k {
				want += w[r*k+l] * shift[l*k+m] * inv[m*k+j]
			}
		}
		if math.Abs(ridge[i]-want) > factorTolerance {
			t.Fatalf("damped, element %d: %v, want %v", i, ridge[i], want)
		}
	}
	for i, s := range [][]float64{w, h, shift} {
		if !slices.Equal(s, copies[i]) {
			t.Errorf("argument %d was changed", i)
		}
	}
}

func dotRef(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

func TestCompensateDegenerate(t *testing.T) {
	nan, unit := math.NaN(), []float64{1, 0, 0, 1}
	rows := []struct {
		name     string
		w        []float64
		h, shift []float64
		damp     float64
		want     []float64
	}{
		{"no shift", []float64{1, 2}, unit, make([]float64, 4), 0.01, []float64{1, 2}},
		{"no damping", []float64{1, 2}, []float64{2, 0, 0, 4}, unit, 0, []float64{1.5, 2.5}},
		{"no rows", nil, unit, unit, 0.01, []float64{}},
		{"dead input", []float64{1, 2}, []float64{2, 0, 0, 0}, make([]float64, 4), 0.01, []float64{1, 2}},
		{"no input was seen", []float64{1, 2}, make([]float64, 4), make([]float64, 4), 0.01, nil},
		{"singular", []float64{1, 2}, []float64{1, 1, 1, 1}, unit, 0, nil},
		{"indefinite", []float64{1, 2}, []float64{1, 3, 3, 1}, unit, 0.01, nil},
		{"NaN on the diagonal", []float64{1, 2}, []float64{nan, 0, 0, 1}, unit, 0.01, nil},
		{"NaN beside the diagonal", []float64{1, 2}, []float64{1, nan, nan, 1}, unit, 0.01, nil},
		{"NaN in the shift", []float64{1, 2}, unit, []float64{0, nan, 0, 0}, 0.01, nil},
		{"Inf in the shift", []float64{1, 2}, unit, []float64{0, math.Inf(1), 0, 0}, 0.01, nil},
		{"NaN in the weights", []float64{1, nan}, unit, unit, 0.01, nil},
		{"NaN as damping", []float64{1, 2}, unit, unit, nan, nil},
		{"damping below zero", []float64{1, 2}, unit, unit, -0.5, nil},
	}
	for _, row := range rows {
		got := Compensate(row.w, len(row.w)/2, row.h, row.shift, 2, row.damp)
		if (got == nil) != (row.want == nil) || !close64(got, row.want) {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

func BenchmarkCompensate(b *testing.B) {
	const k, rows = 576, 256
	h, w := decaying(k), make([]float64, rows*k)
	for i := range w {
		w[i] = float64(i % 17)
	}
	for b.Loop() {
		Compensate(w, rows, h, h, k, 0.01)
	}
}
