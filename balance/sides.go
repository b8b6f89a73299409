package balance

import (
	"fmt"

	"bq/internal/kernel"
)

// RunBoth is Run where the outputs of the rows do not count apart: other is the Feedback of G = E[g g^T], [rows, rows], g the
// gradients of what counts in the end at the layer's outputs. With the Kronecker product G x H for the Hessian of all weights (Martens
// and Grosse, ICML 2015; adaptive rounding by it: Tseng et al., "YAQA", arXiv 2505.22988), the factor of its inverse is the
// product of the two factors, so that in the order of the columns, and of the rows within a column, an error at (r, j) is
// taken up by every later element (r', j') by U_G[r][r'] U_H[j][j'].
//
// pick is called by one goroutine, column by column. The results do not depend on threads. Rows() of other must be rows; else
// it panics.
func (f *Feedback) RunBoth(w []float64, other *Feedback, threads int, pick func(row, column int, x float64) float64) {
	rows := other.k
	if len(w) != rows*f.k {
		panic(fmt.Sprintf("balance: rounding %d weights in %d rows of %d", len(w), rows, f.k))
	}
	spread := make([]float64, rows*feedbackStep) // what a column's errors come to, by row
	carried := make([]float64, rows)             // the same of the rows before, negative
	for b, u := range f.blocks {
		at := b * f.size
		n := min(f.size, f.k-at)
		for j0 := 0; j0 < n; j0 += feedbackStep {
			j1 := min(n, j0+feedbackStep)
			for j := j0; j < j1; j++ {
				other.column(w[at+j:], f.k, carried, spread[j-j0:], u[j*n+j], func(r int, x float64) float64 { return pick(r, at+j, x) })
				kernel.SubtractProduct(w[at+j+1:], f.k, rows, j1-j-1, 1, spread[j-j0:], feedbackStep, u[j*n+j+1:], n)
			}
			if j1 == n {
				continue
			}
			unit := (rows + threads*8 - 1) / (threads * 8) * 8 // whole tiles of kernel.SubtractProduct
			kernel.Parallel(threads, (rows+unit-1)/unit, func(i int) {
				r0, r1 := i*unit, min(rows, (i+1)*unit)
				kernel.SubtractProduct(w[r0*f.k+at+j1:], f.k, r1-r0, n-j1, j1-j0, spread[r0*feedbackStep:], feedbackStep, u[j0*n+j1:], n)
			})
		}
	}
}

// column rounds one column w[0], w[stride], ..., a weight for each column of f, whose inverse factor has d on its diagonal, and stores in
// spread what is to be multiplied with the factor's row for the columns behind.
func (f *Feedback) column(w []float64, stride int, carried, spread []float64, d float64, pick func(r int, x float64) float64) {
	clear(carried)
	for b, u := range f.blocks {
		at := b * f.size
		n := min(f.size, f.k-at)
		for i := range n {
			r := at + i
			x := w[r*stride] + float64(carried[r]*d)
			e := (x - pick(r, x)) / float64(d*u[i*n+i])
			spread[r*feedbackStep] = float64(e*u[i*n+i]) - carried[r]
			if i+1 < n && e != 0 {
				one := [1]float64{e}
				kernel.SubtractProduct(carried[r+1:], n, 1, n-i-1, 1, one[:], 1, u[i*n+i+1:], n)
			}
		}
	}
}
