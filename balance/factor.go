package balance

import (
	"math"
	"runtime"

	"bq/internal/kernel"
)

// factorPanel is how many rows of a matrix are factored together before the others take them up; factorRows is how many of
// the others a thread works on at a time.
const (
	factorPanel = 64
	factorRows  = 16
)

// inverseFactor returns the upper U with a^-1 = U^T U of the symmetric a [n, n], row-major, which it overwrites and of which
// it reads what is on and left of the diagonal; nil where a is not positive definite or U is not finite. With a = M M^T, M upper
// (a Cholesky factor that begins with the last column), U is M^-1. All sums are products rounded one by one and subtracted in a
// fixed order, so that U has the same bits on every machine.
func inverseFactor(a []float64, n int) []float64 {
	if !upperFactor(a, n) {
		return nil
	}
	u := invertUpper(a, n)
	for _, v := range u {
		if v-v != 0 {
			return nil
		}
	}
	for i := range n {
		if u[i*n+i] == 0 {
			return nil
		}
	}
	return u
}

// upperFactor replaces a by M on and right of the diagonal and by M^T on and left of it; false where a has no such factor.
func upperFactor(a []float64, n int) bool {
	for end := n; end > 0; end -= factorPanel {
		start := max(0, end-factorPanel)
		if !factorLast(a, n, start, end) {
			return false
		}
		mirror(a, n, start, end, start, end)
		parallelRows(start, func(i0, i1 int) {
			mirror(a, n, i0, i1, start, end)
			kernel.SubtractProduct(a[i0*n:], n, i1-i0, i1, end-start, a[i0*n+start:], n, a[start*n:], n)
		})
	}
	return true
}

// factorLast factors rows start to end-1 of a, whose rows from end on are done and have been subtracted.
func factorLast(a []float64, n, start, end int) bool {
	for p := end - 1; p >= start; p-- {
		square := a[p*n+p]
		if !(square > 0 && square <= math.MaxFloat64) {
			return false
		}
		root := math.Sqrt(square)
		row := a[p*n : p*n+p+1]
		for i := range row[:p] {
			row[i] /= root
		}
		row[p] = root
		kernel.SubtractProduct(a[start*n:], n, p-start, p, 1, row[start:], 1, row, n)
	}
	return true
}

// mirror copies what is left of the diagonal in columns i0 to i1-1 of rows start to end-1 to the right of it.
func mirror(a []float64, n, i0, i1, start, end int) {
	for i := i0; i < i1; i++ {
		for p := max(start, i+1); p < end; p++ {
			a[i*n+p] = a[p*n+i]
		}
	}
}

// invertUpper returns the inverse of the upper m [n, n], whose diagonal is not 0: from the last row on, row i of the inverse is
// that of the unit matrix less m[i][j] times row j for all j > i, divided by m[i][i].
func invertUpper(m []float64, n int) []float64 {
	u := make([]float64, n*n)
	for end := n; end > 0; end -= factorPanel {
		start := max(0, end-factorPanel)
		parallelRows(end-start, func(i0, i1 int) {
			at := (start + i0) * n
			for j := end; j < n; j += factorPanel {
				kernel.SubtractProduct(u[at+j:], n, i1-i0, n-j, min(factorPanel, n-j), m[at+j:], n, u[j*n+j:], n)
			}
		})
		for i := end - 1; i >= start; i-- {
			next := i*n + i + 1
			kernel.SubtractProduct(u[next:], n, 1, n-i-1, end-i-1, m[next:], n, u[min(len(u), next+n):], n)
			u[next-1] = 1
			for c := range u[next-1 : (i+1)*n] {
				u[next-1+c] /= m[next-1]
			}
		}
	}
	return u
}

// parallelRows calls f for runs of rows that make up 0 to n-1.
func parallelRows(n int, f func(i0, i1 int)) {
	kernel.Parallel(runtime.GOMAXPROCS(0), (n+factorRows-1)/factorRows, func(unit int) {
		f(unit*factorRows, min(n, (unit+1)*factorRows))
	})
}
