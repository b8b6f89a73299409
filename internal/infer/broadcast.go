package infer

import (
	"fmt"

	"bq/internal/kernel"
	"bq/onnxio"
)

// broadcastShape returns the common shape of operands after numpy's rules (ONNX "Broadcasting in ONNX",
// multidirectional): shapes are aligned at their last dimension and a size of 1 stretches to the other size.
func broadcastShape(shapes ...[]int) ([]int, error) {
	rank := 0
	for _, s := range shapes {
		rank = max(rank, len(s))
	}
	out := make([]int, rank)
	for i := range out {
		out[i] = 1
	}
	for _, s := range shapes {
		for i, d := range s {
			o := &out[rank-len(s)+i]
			if *o == 1 {
				*o = d
			} else if d != 1 && d != *o {
				return nil, fmt.Errorf("shapes %v do not broadcast", shapes)
			}
		}
	}
	return out, nil
}

// walk is a plan to go through broadcast operands in the order of the result: a number of runs of equal length,
// along which every operand either advances by one element or stands still.
type walk struct {
	n     int     // elements of a run
	step  []int   // of each operand along a run: 1 or 0
	dims  []int   // outer dimensions
	moves [][]int // by outer dimension: what each operand advances
}

// newWalk plans the walk of operands with the given shapes through a result of shape out.
func newWalk(out []int, shapes ...[]int) *walk {
	w := &walk{n: 1, step: make([]int, len(shapes))}
	stride := make([]int, len(shapes)) // of each operand, elements of one step along the current dimension
	for k := range stride {
		stride[k] = 1
	}
	var dims []int
	var moves [][]int
	for i := len(out) - 1; i >= 0; i-- {
		if out[i] == 1 {
			continue
		}
		move := make([]int, len(shapes))
		for k, s := range shapes {
			if j := i - len(out) + len(s); j >= 0 && s[j] != 1 {
				move[k] = stride[k]
				stride[k] *= s[j]
			}
		}
		if m := len(dims) - 1; m >= 0 && continues(move, moves[m], dims[m]) {
			dims[m] *= out[i]
			continue
		}
		dims, moves = append(dims, out[i]), append(moves, move)
	}
	if len(dims) > 0 {
		w.n, w.step = dims[0], moves[0]
		w.dims, w.moves = dims[1:], moves[1:]
	}
	return w
}

// continues reports whether a dimension with these moves carries on where an inner one of size n ends.
func continues(outer, inner []int, n int) bool {
	for k := range outer {
		if outer[k] != inner[k]*n {
			return false
		}
	}
	return true
}

// each calls f for every run: o is the offset of the run in the result, at the offset in each operand.
func (w *walk) each(f func(o int, at []int)) {
	if w.n > 0 {
		w.between(0, product(w.dims), f)
	}
}

// eachOn is each spread over threads, where there is enough work: f must write only to its run. A single long run is cut
// in pieces of w.n elements, which f finds changed.
func (w *walk) eachOn(threads int, f func(o int, at []int)) {
	const unit = 1 << 13
	total := product(w.dims)
	switch {
	case threads < 2 || w.n*total < 2*unit:
		w.each(f)
	case total == 1:
		w.cut(unit)
		fallthrough
	default:
		total = product(w.dims)
		units := min(total, w.n*total/unit)
		kernel.Parallel(threads, units, func(u int) { w.between(total*u/units, total*(u+1)/units, f) })
	}
}

// cut makes runs of the one run that the walk has, as near to size elements as its length divides; the walk stays whole
// where that leaves runs of less than half the size.
func (w *walk) cut(size int) {
	pieces := (w.n + size - 1) / size
	for ; pieces < 2*w.n/size && w.n%pieces != 0; pieces++ {
	}
	if pieces == 0 || w.n%pieces != 0 {
		return
	}
	n := w.n / pieces
	moves := make([]int, len(w.step))
	for k, s := range w.step {
		moves[k] = s * n
	}
	w.n, w.dims, w.moves = n, []int{pieces}, [][]int{moves}
}

// between calls f for the runs from lo to hi.
func (w *walk) between(lo, hi int, f func(o int, at []int)) {
	at := make([]int, len(w.step))
	index := make([]int, len(w.dims))
	for d, rest := 0, lo; d < len(w.dims) && rest > 0; d++ {
		index[d] = rest % w.dims[d]
		rest /= w.dims[d]
		for k, m := range w.moves[d] {
			at[k] += m * index[d]
		}
	}
	for i := lo; i < hi; i++ {
		f(i*w.n, at)
		for d := range w.dims {
			index[d]++
			for k, m := range w.moves[d] {
				at[k] += m
			}
			if index[d] < w.dims[d] {
				break
			}
			for k, m := range w.moves[d] {
				at[k] -= m * w.dims[d]
			}
			index[d] = 0
		}
	}
}

// spanFunc computes dst[i] from a[i*sa] and b[i*sb], sa and sb being 0 or 1.
type spanFunc[T, R any] func(dst []R, a, b []T, sa, sb int)

// spanOf makes a spanFunc of a function of two elements.
func spanOf[T, R any](f func(x, y T) R) spanFunc[T, R] {
	return func(dst []R, a, b []T, sa, sb int) {
		for i := range dst {
			dst[i] = f(a[i*sa], b[i*sb])
		}
	}
}

// binary applies f to two broadcast arrays of elements T; the result has elements R of type t.
func binary[T, R any](r *run, t onnxio.DataType, x, y *onnxio.Array, f spanFunc[T, R]) ([]*onnxio.Array, error) {
	a, ok := x.Data.([]T)
	b, ok2 := y.Data.([]T)
	if !ok || !ok2 || x.Type != y.Type {
		return nil, fmt.Errorf("types %v and %v differ", x.Type, y.Type)
	}
	shape, err := broadcastShape(x.Shape, y.Shape)
	if err != nil {
		return nil, err
	}
	out, err := r.new(t, shape...)
	if err != nil {
		return nil, err
	}
	dst, ok := out.Data.([]R)
	if !ok {
		return nil, fmt.Errorf("result type %v", t)
	}
	w := newWalk(shape, x.Shape, y.Shape)
	if size := product(w.dims); w.n > 0 && w.n < shortRun && size > shortRun && size <= mostSpread/w.n {
		if u, v := r.spread(x, shape), r.spread(y, shape); u != nil && v != nil {
			a, b = u.Data.([]T), v.Data.([]T)
			w = &walk{n: len(dst), step: []int{1, 1}}
		}
	}
	w.eachOn(r.threads, func(o int, at []int) {
		f(dst[o:o+w.n], a[at[0]:], b[at[1]:], w.step[0], w.step[1])
	})
	return []*onnxio.Array{out}, nil
}

// Runs of fewer elements than shortRun cost more than their elements: operands of up to mostSpread elements are then
// written out in the shape of the result first.
const (
	shortRun   = 32
	mostSpread = 1 << 20
)

// spread is expand, nil where that fails.
func (r *run) spread(v *onnxio.Array, shape []int) *onnxio.Array {
	if v.Type == onnxio.String {
		return nil
	}
	full, err := r.expand(v, shape)
	if err != nil {
		return nil
	}
	return full
}

// expand returns v broadcast to shape, which v must fit (unidirectional broadcasting); v itself where it has it.
func (r *run) expand(v *onnxio.Array, shape []int) (*onnxio.Array, error) {
	if equalShape(v.Shape, shape) {
		return v, nil
	}
	full, err := broadcastShape(v.Shape, shape)
	if err != nil {
		return nil, err
	}
	if !equalShape(full, shape) {
		return nil, fmt.Errorf("shape %v does not broadcast to %v", v.Shape, shape)
	}
	return r.strided(v, shape, broadcastStrides(v.Shape, len(shape)), 0)
}

// broadcastStrides returns the strides by which a row-major array of the given shape is read as one of more
// dimensions: 0 along dimensions that stretch.
func broadcastStrides(shape []int, rank int) []int {
	strides := make([]int, rank)
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		if shape[i] != 1 {
			strides[rank-len(shape)+i] = step
		}
		step *= shape[i]
	}
	return strides
}
