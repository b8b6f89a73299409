package balance

import (
	"fmt"
	"math"

	"bq/internal/kernel"
)

// feedbackWhole is the largest number of columns whose Hessian is factored as a whole. Wider ones are cut into blocks
// of feedbackBlock columns, between which no error is fed back: the cost of a factor grows with the cube of its size.
const (
	feedbackWhole = 2500
	feedbackBlock = 512
)

// Feedback rounds the rows of a weight matrix column by column and makes the columns that are still to come take back
// what each rounding error does to the layer's output. With H = E[x x^T] of the layer's inputs, the expected squared
// error of a row w coded as v is (w-v) H (w-v)^T; the optimal update after one element is fixed is that of the Optimal
// Brain Surgeon (Hassibi and Stork, NIPS 1992), and for all rows in one order it needs no more than the upper factor U of
// H^-1 = U^T U (Frantar et al., "GPTQ", arXiv 2210.17323, algorithm 1).
type Feedback struct {
	k      int
	size   int         // of a block
	blocks [][]float64 // U of each block, row-major, upper triangle
}

// NewFeedback factors the Hessian h [k, k], row-major and symmetric, with damp times the mean of its diagonal added to the
// diagonal. A Hessian of zeros stands for the unit matrix: no input was ever seen, and every error counts alike.
// Values that are not finite, or a matrix that no damping makes positive definite, are an error. h is not changed.
func NewFeedback(h []float64, k int, damp float64) (*Feedback, error) {
	if k <= 0 || len(h) != k*k {
		return nil, fmt.Errorf("factoring a Hessian of %d columns: %d values, want %d", k, len(h), k*k)
	}
	f := &Feedback{k: k, size: k}
	if k > feedbackWhole {
		f.size = feedbackBlock
	}
	mean := meanDiagonal(h, k)
	if mean-mean != 0 {
		return nil, fmt.Errorf("factoring a Hessian of %d columns: a diagonal of mean %v", k, mean)
	}
	mean = max(0, mean) // differences of sums leave a little less than nothing
	for at := 0; at < k; at += f.size {
		u, err := upperInverse(h, k, at, min(f.size, k-at), mean, damp)
		if err != nil {
			return nil, err
		}
		f.blocks = append(f.blocks, u)
	}
	return f, nil
}

func meanDiagonal(h []float64, k int) float64 {
	sum := 0.0
	for i := range k {
		sum += h[i*k+i]
	}
	return sum / float64(k)
}

// dampTries is how often the damping grows tenfold where the matrix is not positive definite as it was given: sums in
// float32 leave eigenvalues a little below zero.
const dampTries = 6

// upperInverse returns U with (B + damp*mean*I)^-1 = U^T U for the block B of n columns at column at of h.
func upperInverse(h []float64, k, at, n int, mean, damp float64) ([]float64, error) {
	b := make([]float64, n*n)
	for range dampTries {
		add := float64(damp * mean)
		if mean == 0 {
			add = 1
		}
		for i := range n {
			copy(b[i*n:(i+1)*n], h[(at+i)*k+at:])
			b[i*n+i] += add
		}
		if u := inverseFactor(b, n); u != nil {
			return u, nil
		}
		damp = max(damp, 1e-8) * 10
	}
	return nil, fmt.Errorf("factoring a Hessian of %d columns: not positive definite", k)
}

// Columns returns the number of columns.
func (f *Feedback) Columns() int { return f.k }

// Loss returns by how much a squared rounding error of column j raises the expected squared error of the output, when all
// later columns answer it in the best way: 1/U[j][j]^2.
func (f *Feedback) Loss(j int) float64 {
	u, i, n := f.at(j)
	return 1 / (u[i*n+i] * u[i*n+i])
}

// at returns the block of column j, the column's place in it and the block's size.
func (f *Feedback) at(j int) (u []float64, i, n int) {
	b := j / f.size
	return f.blocks[b], j - b*f.size, min(f.size, f.k-b*f.size)
}

// feedbackRows is the most rows that a thread takes through the columns together: a part of U is read once for all of them.
// feedbackStep is how many columns they go before the columns behind these take up the errors.
const (
	feedbackRows = 64
	feedbackStep = 64
)

// Run rounds the rows of w [rows, Columns()], which it overwrites: pick is called once for every element, for the columns of
// a row in order, with the value that the row has come to, and returns the value that the element is coded as. Rows are
// independent; up to threads goroutines work on them and call pick, never two for one row. The results do not depend on
// the number of threads, and given U are the same on every machine.
func (f *Feedback) Run(w []float64, rows, threads int, pick func(row, column int, x float64) float64) {
	share := (rows + max(1, threads) - 1) / max(1, threads)
	unit := min(feedbackRows, max(1, (share+7)/8)*8) // whole tiles of kernel.SubtractProduct
	kernel.Parallel(threads, (rows+unit-1)/unit, func(i int) {
		f.runRows(w, i*unit, min(rows, (i+1)*unit), pick)
	})
}

// runRows rounds rows r0 to r1-1.
func (f *Feedback) runRows(w []float64, r0, r1 int, pick func(row, column int, x float64) float64) {
	errors := make([]float64, (r1-r0)*feedbackStep)
	for b, u := range f.blocks {
		at := b * f.size
		n := min(f.size, f.k-at)
		for j0 := 0; j0 < n; j0 += feedbackStep {
			j1 := min(n, j0+feedbackStep)
			for j := j0; j < j1; j++ {
				for r := r0; r < r1; r++ {
					x := w[r*f.k+at+j]
					errors[(r-r0)*feedbackStep+j-j0] = (x - pick(r, at+j, x)) / u[j*n+j]
				}
				kernel.SubtractProduct(w[r0*f.k+at+j+1:], f.k, r1-r0, j1-j-1, 1, errors[j-j0:], feedbackStep, u[j*n+j+1:], n)
			}
			kernel.SubtractProduct(w[r0*f.k+at+j1:], f.k, r1-r0, n-j1, j1-j0, errors, feedbackStep, u[j0*n+j1:], n)
		}
	}
}

// Compensate returns the weights [rows, k] that do on changed inputs what w [rows, k] does on the original ones, as nearly as
// they can: w + w S (h + damp*mean(diag h)*I)^-1, the ridge regression toward w, where h [k, k] is E[z z^T] of the changed
// inputs z and shift [k, k] is E[(x-z) z^T], x the original ones. nil where the matrix cannot be factored, damp is below
// zero or a value is not finite. Nothing that is given is changed.
func Compensate(w []float64, rows int, h, shift []float64, k int, damp float64) []float64 {
	a := append([]float64(nil), h...)
	add := float64(damp * meanDiagonal(h, k))
	if !(add >= 0 && add <= math.MaxFloat64) {
		return nil
	}
	for i := range k {
		a[i*k+i] += add
	}
	u := inverseFactor(a, k)
	if u == nil {
		return nil
	}
	transposed := a // its place, which is free
	for i := range k {
		for j := range k {
			transposed[j*k+i] = u[i*k+j]
		}
	}
	out := append(make([]float64, 0, len(w)), w...)
	parallelRows(rows, func(r0, r1 int) {
		part := out[r0*k : r1*k]
		left, right := make([]float64, len(part)), make([]float64, len(part))
		kernel.SubtractProduct(left, k, r1-r0, k, k, part, k, shift, k)
		for i, v := range left {
			left[i] = -v // w S
		}
		kernel.SubtractProduct(right, k, r1-r0, k, k, left, k, transposed, k) // -w S U^T
		kernel.SubtractProduct(part, k, r1-r0, k, k, right, k, u, k)
	})
	for _, v := range out {
		if v-v != 0 {
			return nil
		}
	}
	return out
}
