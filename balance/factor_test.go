package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// correlated returns samples [n, k] of inputs, each of which is partly its neighbour, and E[x x^T] of them, [k, k].
func correlated(rng *rand.Rand, n, k int) (x, h []float64) {
	x, h = make([]float64, n*k), make([]float64, k*k)
	for r := range n {
		row := x[r*k : (r+1)*k]
		before := rng.NormFloat64()
		for j := range row {
			before = 0.9*before + 0.4*rng.NormFloat64()
			row[j] = before
		}
		for i, v := range row {
			for j, w := range row {
				h[i*k+j] += v * w / float64(n)
			}
		}
	}
	return x, h
}

// inverseRef inverts a [k, k] by elimination with row exchanges.
func inverseRef(a []float64, k int) []float64 {
	m, inv := slices.Clone(a), make([]float64, k*k)
	for i := range k {
		inv[i*k+i] = 1
	}
	for c := range k {
		p := c
		for r := c; r < k; r++ {
			if math.Abs(m[r*k+c]) > math.Abs(m[p*k+c]) {
				p = r
			}
		}
		for _, x := range [][]float64{m, inv} {
			for j := range k {
				x[c*k+j], x[p*k+j] = x[p*k+j], x[c*k+j]
			}
		}
		pivot := m[c*k+c]
		for j := range k {
			m[c*k+j] /= pivot
			inv[c*k+j] /= pivot
		}
		for r := range k {
			f := m[r*k+c]
			if r == c || f == 0 {
				continue
			}
			for j := range k {
				m[r*k+j] -= f * m[c*k+j]
				inv[r*k+j] -= f * inv[c*k+j]
			}
		}
	}
	return inv
}

// damped returns h + damp*mean(diag h)*I.
func damped(h []float64, k int, damp float64) []float64 {
	a, mean := slices.Clone(h), 0.0
	for i := range k {
		mean += h[i*k+i] / float64(k)
	}
	for i := range k {
		a[i*k+i] += damp * mean
	}
	return a
}

// decaying is the Hessian 0.9^|i-j| of a chain of inputs, each of which is 0.9 times its neighbour and something new.
func decaying(k int) []float64 {
	h, powers := make([]float64, k*k), make([]float64, k)
	powers[0] = 1
	for i := 1; i < k; i++ {
		powers[i] = 0.9 * powers[i-1]
	}
	for i := range h {
		h[i] = powers[max(i/k-i%k, i%k-i/k)]
	}
	return h
}

// factorTolerance is what elimination without and with a square root may differ by, relative to values near 1, for the
// well-conditioned matrices of these tests.
const factorTolerance = 1e-9

func close64(got, want []float64) bool {
	return slices.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) <= factorTolerance*max(1, math.Abs(b)) })
}

// a = M M^T and a^-1 = U^T U, for sizes on both sides of a panel.
func TestInverseFactor(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for _, k := range []int{1, 2, factorPanel - 1, factorPanel, factorPanel + 1, 2*factorPanel + 17} {
		_, h := correlated(rng, 3*k, k)
		h = damped(h, k, 0.05)
		m := slices.Clone(h)
		if !upperFactor(m, k) {
			t.Fatalf("size %d: not positive definite", k)
		}
		u, inv := inverseFactor(slices.Clone(h), k), inverseRef(h, k)
		for i := range k {
			for j := range i + 1 {
				var square, inverse float64
				for p := range k {
					if p >= i {
						square += m[i*k+p] * m[j*k+p]
					}
					inverse += u[p*k+i] * u[p*k+j]
				}
				if math.Abs(square-h[i*k+j]) > factorTolerance || math.Abs(inverse-inv[i*k+j]) > factorTolerance*max(1, math.Abs(inv[i*k+j])) {
					t.Fatalf("size %d, element %d %d: %v and %v, want %v and %v", k, i, j, square, inverse, h[i*k+j], inv[i*k+j])
				}
				if m[i*k+j] != m[j*k+i] || j < i && u[i*k+j] != 0 {
					t.Fatalf("size %d, element %d %d: M is %v and %v, U %v below its diagonal", k, i, j, m[i*k+j], m[j*k+i], u[i*k+j])
				}
			}
		}
	}
}

func BenchmarkNewFeedback(b *testing.B) {
	for _, k := range []int{576, 2304} {
		h := decaying(k)
		b.Run(fmt.Sprintf("k=%d", k), func(b *testing.B) {
			for b.Loop() {
				factored(b, h, k, 0.01)
			}
		})
	}
}
