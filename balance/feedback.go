package balance

import (
	"fmt"
	"math"
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"
	"gonum.org/v1/gonum/mat"
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

// upperInverse returns U with (B + damp*mean*I)^-1 = U^T U for the block B of n columns at column at of h. With the order
// of the columns reversed, B = L L^T is B = M M^T in the old order, M upper, and U = M^-1.
func upperInverse(h []float64, k, at, n int, mean, damp float64) ([]float64, error) {
	u := make([]float64, n*n)
	for range dampTries {
		add := damp * mean
		if mean == 0 {
			add = 1
		}
		for i := range n {
			from := h[(at+n-1-i)*k+at : (at+n-1-i)*k+at+n]
			for j := range n {
				u[i*n+j] = from[n-1-j]
			}
			u[i*n+i] += add
		}
		sym := blas64.Symmetric{Uplo: blas.Upper, N: n, Data: u, Stride: n}
		t, ok := lapack64.Potrf(sym) // u = R, B' = R^T R: R^T is the lower factor of the reversed matrix
		if ok && lapack64.Trtri(t) && !anyNaN(u, n) {
			return reversed(u, n), nil
		}
		damp = max(damp, 1e-8) * 10
	}
	return nil, fmt.Errorf("factoring a Hessian of %d columns: not positive definite", k)
}

// reversed returns, for R^-1 of the reversed matrix, the upper matrix U[i][j] = R^-1[n-1-j][n-1-i]: M = J R^T J, so
// M^-1 = J R^-T J.
func reversed(r []float64, n int) []float64 {
	u := make([]float64, n*n)
	for i := range n {
		for j := i; j < n; j++ {
			u[i*n+j] = r[(n-1-j)*n+n-1-i]
		}
	}
	return u
}

func anyNaN(u []float64, n int) bool {
	for i := range n {
		if d := u[i*n+i]; d-d != 0 || d == 0 {
			return true
		}
	}
	return false
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

// feedbackRows is how many rows a thread takes through the columns together: their weights stay in the cache while a row
// of U passes once for all of them.
const feedbackRows = 16

// Run rounds the rows of w [rows, Columns()], which it overwrites: pick is called once for every element, for the columns of
// a row in order, with the value that the row has come to, and returns the value that the element is coded as. Rows are
// independent; up to threads goroutines work on them and call pick, never two for one row. The results do not depend on
// the number of threads.
func (f *Feedback) Run(w []float64, rows, threads int, pick func(row, column int, x float64) float64) {
	units := (rows + feedbackRows - 1) / feedbackRows
	var wg sync.WaitGroup
	next := make(chan int, units)
	for u := range units {
		next <- u
	}
	close(next)
	for range max(1, min(threads, units)) {
		wg.Go(func() {
			for u := range next {
				f.runRows(w, u*feedbackRows, min(rows, (u+1)*feedbackRows), pick)
			}
		})
	}
	wg.Wait()
}

// runRows rounds rows r0 to r1-1.
func (f *Feedback) runRows(w []float64, r0, r1 int, pick func(row, column int, x float64) float64) {
	for j := range f.k {
		u, i, n := f.at(j)
		line := u[i*n+i : (i+1)*n]
		for r := r0; r < r1; r++ {
			x := w[r*f.k+j]
			if e := (x - pick(r, j, x)) / line[0]; e != 0 {
				subtract(w[r*f.k+j+1:r*f.k+j+n-i], line[1:], e)
			}
		}
	}
}

// subtract computes dst -= e*x, each product rounded, so that it is the same on every machine.
func subtract(dst, x []float64, e float64) {
	x = x[:len(dst)]
	for len(dst) >= 4 {
		d, s := (*[4]float64)(dst), (*[4]float64)(x)
		d[0] -= float64(e * s[0])
		d[1] -= float64(e * s[1])
		d[2] -= float64(e * s[2])
		d[3] -= float64(e * s[3])
		dst, x = dst[4:], x[4:]
	}
	for i := range dst {
		dst[i] -= float64(e * x[i])
	}
}

// Compensate returns the weights [rows, k] that do on changed inputs what w [rows, k] does on the original ones, as nearly as
// they can: w + w S (h + damp*mean(diag h)*I)^-1, the ridge regression toward w, where h [k, k] is E[z z^T] of the changed
// inputs z and shift [k, k] is E[(x-z) z^T], x the original ones. nil where the matrix cannot be factored, damp is below
// zero or a value is not finite. Nothing that is given is changed.
func Compensate(w []float64, rows int, h, shift []float64, k int, damp float64) []float64 {
	if rows == 0 {
		return []float64{}
	}
	a := append([]float64(nil), h...)
	add := damp * meanDiagonal(h, k)
	if !(add >= 0) || add > math.MaxFloat64 {
		return nil
	}
	for i := range k {
		a[i*k+i] += add
	}
	var chol mat.Cholesky
	if !chol.Factorize(mat.NewSymDense(k, a)) {
		return nil
	}
	var moved, solved mat.Dense
	moved.Mul(mat.NewDense(rows, k, w), mat.NewDense(k, k, shift))
	if err := chol.SolveTo(&solved, moved.T()); err != nil {
		if _, near := err.(mat.Condition); !near {
			return nil
		}
	}
	out := make([]float64, len(w))
	for r := range rows {
		for j := range k {
			v := w[r*k+j] + solved.At(j, r)
			if v-v != 0 {
				return nil
			}
			out[r*k+j] = v
		}
	}
	return out
}
