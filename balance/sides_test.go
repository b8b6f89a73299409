package balance

import (
	"math"
	"math/rand/v2"
	"testing"
)

// sidesTolerance: an update of a few dozen elements in float64 against solving for the rest anew.
const sidesTolerance = 1e-9

// randomHessian is the second moment of correlated normal vectors.
func randomHessian(r *rand.Rand, k int) []float64 {
	h, x := make([]float64, k*k), make([]float64, k)
	mix := make([]float64, k*k)
	for i := range mix {
		mix[i] = r.NormFloat64() / float64(1+i%k)
	}
	for range 8 * k {
		for i := range x {
			x[i] = 0.1 * r.NormFloat64()
		}
		for j := range k {
			z := r.NormFloat64()
			for i := range x {
				x[i] += mix[i*k+j] * z
			}
		}
		for i := range k {
			for j := range k {
				h[i*k+j] += x[i] * x[j] / float64(8*k)
			}
		}
	}
	return h
}

// RunBoth is Run of the one long row that the columns make side by side, with the Kronecker product for its Hessian.
func TestRunBothIsRunOfTheKroneckerProduct(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const rows, k = 5, 7
	h, g := randomHessian(r, k), randomHessian(r, rows)
	w := make([]float64, rows*k)
	for i := range w {
		w[i] = r.NormFloat64()
	}
	long, kron := make([]float64, rows*k), make([]float64, rows*k*rows*k)
	for j := range k {
		for i := range rows {
			long[j*rows+i] = w[i*k+j]
			for j2 := range k {
				for i2 := range rows {
					kron[(j*rows+i)*rows*k+j2*rows+i2] = h[j*k+j2] * g[i*rows+i2]
				}
			}
		}
	}
	whole, err := NewFeedback(kron, rows*k, 0)
	if err != nil {
		t.Fatal(err)
	}
	const step = 0.25
	var want, came [rows * k]float64
	whole.Run(long, 1, 1, func(_, e int, x float64) float64 {
		came[e] = x
		want[e] = math.RoundToEven(x/step) * step
		return want[e]
	})
	in, err := NewFeedback(h, k, 0)
	if err != nil {
		t.Fatal(err)
	}
	out, err := NewFeedback(g, rows, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, threads := range []int{1, 3} {
		in.RunBoth(append([]float64(nil), w...), out, threads, func(i, j int, x float64) float64 {
			if math.Abs(x-came[j*rows+i]) > sidesTolerance {
				t.Fatalf("element %d, %d comes to %v, want %v", i, j, x, came[j*rows+i])
			}
			return math.RoundToEven(x/step) * step
		})
	}
}

// Without correlation between the rows it is Run.
func TestRunBothOfEqualRowsIsRun(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	const rows, k = 20, 150 // more than one stretch of columns
	f, err := NewFeedback(randomHessian(r, k), k, 0.01)
	if err != nil {
		t.Fatal(err)
	}
	unit, err := NewFeedback(make([]float64, rows*rows), rows, 0)
	if err != nil {
		t.Fatal(err)
	}
	w, want := make([]float64, rows*k), make([]float64, rows*k)
	for i := range w {
		w[i] = r.NormFloat64()
	}
	round := func(x float64) float64 { return math.RoundToEven(x*2) / 2 }
	f.Run(append([]float64(nil), w...), rows, 2, func(i, j int, x float64) float64 {
		want[i*k+j] = round(x)
		return want[i*k+j]
	})
	f.RunBoth(w, unit, 2, func(i, j int, x float64) float64 {
		if got := round(x); got != want[i*k+j] {
			t.Fatalf("element %d, %d: %v, want %v", i, j, got, want[i*k+j])
		}
		return want[i*k+j]
	})
}
