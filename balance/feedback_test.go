package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
)

// surgeonRef is the Optimal Brain Surgeon on one row (Hassibi and Stork, NIPS 1992; Frantar and Alistarh, "Optimal Brain
// Compression", NeurIPS 2022, equation 7): element j is fixed at pick's value, all that remain take the least-squares
// answer from the inverse Hessian of those that remain, and j leaves the inverse by one step of elimination. It returns what
// pick was shown, and the loss factor of each element.
func surgeonRef(w []float64, h []float64, pick func(j int, x float64) float64) (seen, loss []float64) {
	k := len(w)
	w, inv := slices.Clone(w), inverseRef(h, k)
	for j := range k {
		d := inv[j*k+j]
		seen, loss = append(seen, w[j]), append(loss, 1/d)
		e := (w[j] - pick(j, w[j])) / d
		for l := j + 1; l < k; l++ {
			w[l] -= e * inv[j*k+l]
		}
		line := slices.Clone(inv[j*k : (j+1)*k])
		for a := range k {
			f := inv[a*k+j] / d
			for b := range k {
				inv[a*k+b] -= f * line[b]
			}
		}
	}
	return seen, loss
}

// outputError is (w-v) h (w-v)^T.
func outputError(w, v, h []float64) float64 {
	k, total := len(w), 0.0
	for i := range k {
		for j := range k {
			total += (w[i] - v[i]) * h[i*k+j] * (w[j] - v[j])
		}
	}
	return total
}

// factored is NewFeedback of a Hessian that can be factored.
func factored(t testing.TB, h []float64, k int, damp float64) *Feedback {
	t.Helper()
	f, err := NewFeedback(h, k, damp)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// steps rounds to multiples of step and keeps what was shown and what was picked, both [rows, k].
type steps struct {
	step         float64
	k            int
	seen, picked []float64
}

func newSteps(step float64, rows, k int) *steps {
	return &steps{step: step, k: k, seen: make([]float64, rows*k), picked: make([]float64, rows*k)}
}

func (s *steps) pick(row, column int, x float64) float64 {
	v := math.RoundToEven(x/s.step) * s.step
	s.seen[row*s.k+column], s.picked[row*s.k+column] = x, v
	return v
}

// H = [2 1; 1 2] has the inverse [2 -1; -1 2]/3. Fixing element 0 of (0.4, 0.4) at 0 moves element 1 by
// -0.4*(-1/3)/(2/3) = 0.2 to 0.6, which is coded as 1. An error of element 0 costs 1/(2/3) = 1.5 times its square; then
// element 1 stands alone: 2. The sum 1.5*0.16 + 2*0.16 = 0.56 is the error of (0.4, -0.6); plain rounding has 0.96.
func TestFeedbackByHand(t *testing.T) {
	h := []float64{2, 1, 1, 2}
	f, s := factored(t, h, 2, 0), newSteps(1, 1, 2)
	w := []float64{0.4, 0.4}
	f.Run(w, 1, 1, s.pick)
	if !close64(s.seen, []float64{0.4, 0.6}) || !slices.Equal(s.picked, []float64{0, 1}) {
		t.Errorf("seen %v, picked %v; want [0.4 0.6], [0 1]", s.seen, s.picked)
	}
	if got := []float64{f.Loss(0), f.Loss(1)}; !close64(got, []float64{1.5, 2}) || f.Columns() != 2 {
		t.Errorf("losses %v of %d columns, want [1.5 2]", got, f.Columns())
	}
	if got := outputError([]float64{0.4, 0.4}, s.picked, h); math.Abs(got-0.56) > factorTolerance {
		t.Errorf("error %v, want 0.56", got)
	}
	if !slices.Equal(h, []float64{2, 1, 1, 2}) {
		t.Errorf("the Hessian became %v", h)
	}
}

// What is fed back and what it costs, where the Hessian is degenerate. The row is (0.4, 0.4), the step 1.
func TestFeedbackDegenerate(t *testing.T) {
	rows := []struct {
		name       string
		h          []float64
		damp       float64
		seen, loss []float64
	}{
		{"zeros are the unit matrix", []float64{0, 0, 0, 0}, 0.01, []float64{0.4, 0.4}, []float64{1, 1}},
		{"zeros without damping", []float64{0, 0, 0, 0}, 0, []float64{0.4, 0.4}, []float64{1, 1}},
		{"diagonal", []float64{3, 0, 0, 5}, 0, []float64{0.4, 0.4}, []float64{3, 5}},
		{"damped by the mean of the diagonal", []float64{3, 0, 0, 5}, 0.5, []float64{0.4, 0.4}, []float64{5, 7}},
		{"dead first column", []float64{0, 0, 0, 4}, 0.01, []float64{0.4, 0.4}, []float64{0.02, 4.02}},
		{"dead last column", []float64{4, 0, 0, 0}, 0.01, []float64{0.4, 0.4}, []float64{4.02, 0.02}},
		// [2 1; 1 2] again, in sizes whose squares leave the range of float64.
		{"large", []float64{2e200, 1e200, 1e200, 2e200}, 0, []float64{0.4, 0.6}, []float64{1.5e200, 2e200}},
		{"small", []float64{2e-200, 1e-200, 1e-200, 2e-200}, 0, []float64{0.4, 0.6}, []float64{1.5e-200, 2e-200}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f, s := factored(t, row.h, 2, row.damp), newSteps(1, 1, 2)
			f.Run([]float64{0.4, 0.4}, 1, 1, s.pick)
			if !close64(s.seen, row.seen) {
				t.Errorf("seen %v, want %v", s.seen, row.seen)
			}
			for j, want := range row.loss {
				if got := f.Loss(j); math.Abs(got/want-1) > factorTolerance {
					t.Errorf("loss of column %d: %v, want %v", j, got, want)
				}
			}
		})
	}
}

// A singular matrix is damped until it can be factored: two equal inputs, of which the second takes back all but a
// ten millionth of what the first does.
func TestFeedbackSingular(t *testing.T) {
	f, s := factored(t, []float64{1, 1, 1, 1}, 2, 0), newSteps(1, 1, 2)
	f.Run([]float64{0.4, 0.4}, 1, 1, s.pick)
	if math.Abs(s.seen[1]-0.8) > 1e-6 || s.picked[1] != 1 {
		t.Errorf("seen %v, picked %v; want 0.8 and 1 for the second", s.seen, s.picked)
	}
	// One sample of many inputs, summed in float32: eigenvalues a little below zero.
	const k = 60
	rng := rand.New(rand.NewPCG(1, 2))
	x, h := make([]float32, k), make([]float64, k*k)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	for i := range h {
		h[i] = float64(x[i/k] * x[i%k])
	}
	f = factored(t, h, k, 0)
	for j := range k {
		if l := f.Loss(j); !(l > 0) || math.IsInf(l, 0) {
			t.Errorf("loss of column %d: %v", j, l)
		}
	}
}

func TestNewFeedbackErrors(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	rows := []struct {
		name string
		h    []float64
		k    int
		damp float64
	}{
		{"no columns", nil, 0, 0.01},
		{"columns below zero", []float64{1}, -1, 0.01},
		{"too few values", []float64{1, 0, 0}, 2, 0.01},
		{"too many values", []float64{1, 0, 0, 1, 0}, 2, 0.01},
		{"NaN on the diagonal", []float64{1, 0, 0, nan}, 2, 0.01},
		{"NaN beside the diagonal", []float64{1, nan, nan, 1}, 2, 0.01},
		{"Inf on the diagonal", []float64{inf, 0, 0, 1}, 2, 0.01},
		{"Inf beside the diagonal", []float64{1, inf, inf, 1}, 2, 0.01},
		{"negative Inf beside the diagonal", []float64{1, -inf, -inf, 1}, 2, 0.01},
		{"Inf less Inf on the diagonal", []float64{inf, 0, 0, -inf}, 2, 0.01},
		{"negative diagonal", []float64{-1, 0, 0, -1}, 2, 0.01},
		{"indefinite", []float64{1, 1e4, 1e4, 1}, 2, 0.01}, // 0.01*10^5 times the mean is the most that is added
		{"NaN as damping", []float64{1, 0, 0, 1}, 2, nan},
		{"Inf as damping", []float64{1, 0, 0, 1}, 2, inf},
	}
	for _, row := range rows {
		if f, err := NewFeedback(row.h, row.k, row.damp); err == nil {
			t.Errorf("%s: got a factor of %d columns and no error", row.name, f.Columns())
		}
	}
}

// Every element is shown what the Optimal Brain Surgeon has come to, for many sizes and dampings.
func TestFeedbackAgainstSurgeon(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, k := range []int{1, 2, 3, 7, 16, 33, 100, 150} {
		for _, damp := range []float64{0.01, 0.3} {
			const rows = 3
			_, h := correlated(rng, 4*k, k)
			f, s, w := factored(t, h, k, damp), newSteps(0.5, rows, k), make([]float64, rows*k)
			for i := range w {
				w[i] = rng.NormFloat64()
			}
			f.Run(slices.Clone(w), rows, 2, s.pick)
			for r := range rows {
				seen, loss := surgeonRef(w[r*k:(r+1)*k], damped(h, k, damp), func(j int, x float64) float64 { return s.picked[r*k+j] })
				if !close64(s.seen[r*k:(r+1)*k], seen) {
					t.Errorf("k=%d damp=%v row %d: seen %v, want %v", k, damp, r, s.seen[r*k:(r+1)*k], seen)
				}
				for j, want := range loss {
					if got := f.Loss(j); math.Abs(got/want-1) > factorTolerance {
						t.Errorf("k=%d damp=%v: loss of column %d is %v, want %v", k, damp, j, got, want)
					}
				}
			}
		}
	}
}

// The error of the output is the sum of what each element adds, Loss(j)*(x-v)^2, and less than that of plain rounding.
func TestFeedbackLowersTheOutputError(t *testing.T) {
	const k, rows, step, damp = 64, 200, 0.5, 0.01
	rng := rand.New(rand.NewPCG(5, 6))
	_, h := correlated(rng, 1000, k)
	f, s, w := factored(t, h, k, damp), newSteps(step, rows, k), make([]float64, rows*k)
	for i := range w {
		w[i] = rng.NormFloat64()
	}
	f.Run(slices.Clone(w), rows, 1, s.pick)
	withDamp := damped(h, k, damp)
	var fed, plain float64
	for r := range rows {
		row, rounded, sum := w[r*k:(r+1)*k], make([]float64, k), 0.0
		for j := range k {
			rounded[j] = math.RoundToEven(row[j]/step) * step
			d := s.seen[r*k+j] - s.picked[r*k+j]
			sum += f.Loss(j) * d * d
		}
		picked := s.picked[r*k : (r+1)*k]
		if got := outputError(row, picked, withDamp); math.Abs(got/sum-1) > factorTolerance {
			t.Errorf("row %d: error %v, losses add up to %v", r, got, sum)
		}
		fed += outputError(row, picked, h)
		plain += outputError(row, rounded, h)
	}
	if fed > 0.5*plain { // measured: 0.33, neighbours being alike to 0.9
		t.Errorf("error %v with feedback, %v without", fed/rows, plain/rows)
	}
}

// Above feedbackWhole columns, blocks of feedbackBlock answer for themselves. The Hessian D + a a^T of the columns j.. of a
// block has the inverse D^-1 - D^-1 a a^T D^-1/(1 + sum a^2/D) (Sherman and Morrison 1950), from which each step follows.
func TestFeedbackBlocks(t *testing.T) {
	const k = feedbackWhole + 1
	rng := rand.New(rand.NewPCG(7, 8))
	a, d, w, h := make([]float64, k), make([]float64, k), make([]float64, k), make([]float64, k*k)
	for i := range k {
		a[i], d[i], w[i] = rng.NormFloat64(), 0.5+rng.Float64(), rng.NormFloat64()
	}
	for i := range k {
		for j := range k {
			h[i*k+j] = a[i] * a[j]
		}
		h[i*k+i] += d[i]
	}
	f, s := factored(t, h, k, 0), newSteps(0.5, 1, k)
	f.Run(slices.Clone(w), 1, 1, s.pick)
	for from := 0; from < k; from += feedbackBlock {
		to, sum := min(k, from+feedbackBlock), 1.0
		for j := from; j < to; j++ {
			sum += a[j] * a[j] / d[j]
		}
		for j := from; j < to; j++ {
			if math.Abs(s.seen[j]-w[j]) > factorTolerance {
				t.Fatalf("column %d was shown as %v, want %v", j, s.seen[j], w[j])
			}
			c := a[j] / d[j]
			diagonal := 1/d[j] - c*c/sum
			if got := f.Loss(j); math.Abs(got*diagonal-1) > factorTolerance {
				t.Fatalf("loss of column %d: %v, want %v", j, got, 1/diagonal)
			}
			e := (w[j] - s.picked[j]) / diagonal
			for l := j + 1; l < to; l++ {
				w[l] += e * c * (a[l] / d[l]) / sum
			}
			sum -= a[j] * c
		}
	}
}

// An input that is not finite in one block is an error of the whole.
func TestFeedbackBlocksErrors(t *testing.T) {
	const k = feedbackWhole + 1
	h := make([]float64, k*k)
	for i := range k {
		h[i*k+i] = 1
	}
	h[(k-1)*k+k-2], h[(k-2)*k+k-1] = math.NaN(), math.NaN()
	if _, err := NewFeedback(h, k, 0.01); err == nil {
		t.Error("NaN in the last block: got no error")
	}
	h[(k-1)*k+k-2], h[(k-2)*k+k-1] = 0, 0
	h[k-1], h[(k-1)*k] = math.NaN(), math.NaN()
	if _, err := NewFeedback(h, k, 0.01); err != nil {
		t.Errorf("NaN between two blocks, which is not read: %v", err)
	}
}

// Rows are whole and in order for pick, and come to the same bits whatever the number of threads.
func TestFeedbackThreads(t *testing.T) {
	const k = 40
	rng := rand.New(rand.NewPCG(9, 10))
	_, h := correlated(rng, 200, k)
	f := factored(t, h, k, 0.01)
	for _, rows := range []int{0, 1, 15, 16, 17, 33, 100} {
		w := make([]float64, rows*k)
		for i := range w {
			w[i] = rng.NormFloat64()
		}
		var first *steps
		for _, threads := range []int{-1, 0, 1, 2, 3, 8} {
			s, next, busy := newSteps(0.5, rows, k), make([]int, rows), make([]atomic.Bool, rows)
			f.Run(slices.Clone(w), rows, threads, func(row, column int, x float64) float64 {
				if busy[row].Swap(true) || next[row] != column {
					t.Errorf("row %d: column %d, want %d and nobody else there", row, column, next[row])
				}
				next[row]++
				defer busy[row].Store(false)
				return s.pick(row, column, x)
			})
			if first == nil {
				first = s
			}
			for r, n := range next {
				if n != k {
					t.Errorf("row %d: %d calls, want %d", r, n, k)
				}
			}
			if !slices.Equal(s.seen, first.seen) || !slices.Equal(s.picked, first.picked) {
				t.Errorf("%d rows: %d threads come to other values", rows, threads)
			}
		}
	}
}

// A value that pick does not return as a number stays in its row.
func TestFeedbackKeepsNaNInItsRow(t *testing.T) {
	f, s := factored(t, []float64{2, 1, 1, 2}, 2, 0), newSteps(1, 3, 2)
	w := []float64{0.4, 0.4, math.NaN(), 0.4, 0.4, 0.4}
	f.Run(w, 3, 1, s.pick)
	if !close64(s.seen[:2], []float64{0.4, 0.6}) || !close64(s.seen[4:], []float64{0.4, 0.6}) || s.seen[3] == s.seen[3] {
		t.Errorf("seen %v, want NaN in row 1 alone", s.seen)
	}
}

// Codes, and all that leads to them, are the same bits on every machine: sums of what the factor is, what pick is shown and what
// Compensate returns, for a size that leaves rests everywhere.
func TestFeedbackIsTheSameEverywhere(t *testing.T) {
	const k, rows = 2*factorPanel + 21, 13
	h, w := decaying(k), make([]float64, rows*k)
	for i := range w {
		w[i] = float64(i*7919%1000-500) / 250
	}
	f, s := factored(t, h, k, 0.01), newSteps(0.5, rows, k)
	moved := Compensate(w, rows, h, h, k, 0.1)
	f.Run(w, rows, 3, s.pick)
	var sums []uint64
	for _, list := range [][]float64{f.blocks[0], s.seen, moved} {
		sum := uint64(0)
		for _, v := range list {
			sum = sum*31 + math.Float64bits(v)
		}
		sums = append(sums, sum)
	}
	if want := []uint64{0x3ae19fd33a7ad71f, 0xe5c350df6edcd4d4, 0x7ae1a509509ef4e1}; !slices.Equal(sums, want) {
		t.Errorf("sums %#x, want %#x", sums, want)
	}
}

func BenchmarkFeedback(b *testing.B) {
	const rows = 256
	for _, k := range []int{576, 2304} {
		f := factored(b, decaying(k), k, 0.01)
		rng := rand.New(rand.NewPCG(2, 2))
		w, work := make([]float64, rows*k), make([]float64, rows*k)
		for i := range w {
			w[i] = rng.NormFloat64()
		}
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("k=%d/rows=%d/threads=%d", k, rows, threads), func(b *testing.B) {
				for b.Loop() {
					copy(work, w)
					f.Run(work, rows, threads, func(_, _ int, x float64) float64 { return math.RoundToEven(x*2) / 2 })
				}
				nsPerValue(b, rows*k)
			})
		}
	}
}
