package infer

import (
	"fmt"

	"bq/onnxio"
)

// bindSlice: from start to end in steps along the named axes; attributes up to version 9, inputs from 10 on.
func bindSlice(b *binding) runFunc {
	var starts, ends, axes []int
	if b.version < 10 {
		starts, ends, axes = b.ints("starts"), b.ints("ends"), b.ints("axes")
		if b.given(1) {
			b.malformed("starts and ends are attributes before version 10")
		}
	} else if !b.given(2) {
		b.malformed("inputs starts and ends are missing")
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		starts, ends, axes := starts, ends, axes
		var steps []int
		for i, list := range []*[]int{&starts, &ends, &axes, &steps} {
			if in[i+1] != nil {
				if !isInteger(in[i+1].Type) {
					return nil, typeError(in[i+1])
				}
				*list = intsOf(in[i+1])
			}
		}
		return one(r.slice(in[0], starts, ends, axes, steps))
	}
}

func (r *run) slice(x *onnxio.Array, starts, ends, axes, steps []int) (*onnxio.Array, error) {
	n := len(starts)
	if len(ends) != n || axes != nil && len(axes) != n || steps != nil && len(steps) != n {
		return nil, fmt.Errorf("starts %v, ends %v, axes %v and steps %v", starts, ends, axes, steps)
	}
	shape, strides := append([]int{}, x.Shape...), rowStrides(x.Shape)
	seen := make([]bool, len(shape))
	offset := 0
	for i := range n {
		a, err := axisOf(int64(at(axes, i, i)), len(shape))
		if err != nil {
			return nil, err
		}
		step := at(steps, i, 1)
		if step == 0 || seen[a] {
			return nil, fmt.Errorf("axes %v and steps %v", axes, steps)
		}
		seen[a] = true
		first, count := sliceRange(starts[i], ends[i], step, shape[a])
		shape[a] = count
		if count > 0 {
			offset += first * strides[a]
		}
		if count > 1 {
			strides[a] *= step
		}
	}
	if offset == 0 && equalShape(shape, x.Shape) && equalShape(strides, rowStrides(x.Shape)) {
		return x, nil
	}
	return r.strided(x, shape, strides, offset)
}

// sliceRange returns the first index and the number of indices from start to end, exclusive, of a dimension of
// size n, with ends counted from the back where negative and clamped as numpy clamps them.
func sliceRange(start, end, step, n int) (first, count int) {
	if start < 0 {
		start += n
	}
	if end < 0 {
		end += n
	}
	if step > 0 {
		start, end = min(max(start, 0), n), min(max(end, 0), n)
		return start, max(0, (end-start+step-1)/step)
	}
	start, end = min(max(start, 0), n-1), min(max(end, -1), n-1)
	return start, max(0, (start-end-step-1)/-step)
}

// bindPad: the input with elements added (or, where negative, removed) on every side. Pads are an attribute up to
// version 10 and an input from 11 on; axes from 18 on.
func bindPad(b *binding) runFunc {
	mode := b.str("mode", "constant", "constant", "reflect", "edge", "wrap")
	var attr []int
	var value *onnxio.Array
	if b.version < 11 {
		attr = b.ints("pads")
		value = onnxio.Floats([]float32{b.float("value", 0)})
	} else if !b.given(1) {
		b.malformed("input pads is missing")
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, pads, fill, rank := in[0], attr, value, len(in[0].Shape)
		if in[1] != nil {
			pads, fill = intsOf(in[1]), in[2]
		}
		if in[3] != nil {
			axes := intsOf(in[3])
			if len(pads) != 2*len(axes) {
				return nil, fmt.Errorf("pads %v for axes %v", pads, axes)
			}
			all := make([]int, 2*rank)
			for i, v := range axes {
				a, err := axisOf(int64(v), rank)
				if err != nil {
					return nil, err
				}
				all[a], all[rank+a] = pads[i], pads[len(axes)+i]
			}
			pads = all
		}
		if len(pads) != 2*rank {
			return nil, fmt.Errorf("pads %v for a value of rank %d", pads, rank)
		}
		return one(r.pad(x, pads, mode, fill))
	}
}

func (r *run) pad(x *onnxio.Array, pads []int, mode string, fill *onnxio.Array) (*onnxio.Array, error) {
	rank := len(x.Shape)
	shape := make([]int, rank)
	source := make([][]int, rank) // by dimension and output position: the input position, -1 for none
	for i, n := range x.Shape {
		shape[i] = n + pads[i] + pads[rank+i]
		if shape[i] < 0 || mode != "constant" && n == 0 && shape[i] > 0 {
			return nil, fmt.Errorf("padding %v by %v", x.Shape, pads)
		}
	}
	out, err := r.new(x.Type, shape...)
	if err != nil {
		return nil, err
	}
	for i, n := range x.Shape {
		source[i] = make([]int, shape[i])
		for o := range source[i] {
			source[i][o] = padSource(o-pads[i], n, mode)
		}
	}
	if mode == "constant" && fill != nil && fill.Len() > 0 {
		f, err := r.cast(fill, x.Type)
		if err != nil {
			return nil, err
		}
		if out.Len() > 0 {
			fillFrom(out, f)
		}
	}
	padRows(out, x, source)
	return out, nil
}

// padSource returns the input position that stands at position i of a dimension of size n, -1 for the constant.
func padSource(i, n int, mode string) int {
	if i >= 0 && i < n {
		return i
	}
	switch mode {
	case "edge":
		return min(max(i, 0), n-1)
	case "wrap":
		return ((i % n) + n) % n
	case "reflect":
		if n == 1 {
			return 0
		}
		period := 2 * (n - 1)
		i = ((i % period) + period) % period
		if i >= n {
			i = period - i
		}
		return i
	}
	return -1
}

// padRows copies the rows of x to where source says they stand in out, in runs of consecutive positions.
func padRows(out, x *onnxio.Array, source [][]int) {
	rank := len(source)
	if rank == 0 {
		copyRange(out, 0, x, 0, 1)
		return
	}
	if out.Len() == 0 || x.Len() == 0 {
		return
	}
	strides := rowStrides(x.Shape)
	size, runs := len(source[rank-1]), padRuns(source[rank-1])
	index := make([]int, rank-1)
	for o := 0; o < out.Len(); o += size {
		base, inside := 0, true
		for d, i := range index {
			base += source[d][i] * strides[d]
			inside = inside && source[d][i] >= 0
		}
		if inside {
			for _, p := range runs {
				copyRange(out, o+p.to, x, base+p.from, p.n)
			}
		}
		for d := rank - 2; d >= 0; d-- {
			if index[d]++; index[d] < len(source[d]) {
				break
			}
			index[d] = 0
		}
	}
}

// padRun is n consecutive positions of a row that come from consecutive positions.
type padRun struct{ to, from, n int }

// padRuns cuts a row into runs; what is the constant belongs to none.
func padRuns(source []int) []padRun {
	var runs []padRun
	for i := 0; i < len(source); {
		n := 1
		for i+n < len(source) && source[i] >= 0 && source[i+n] == source[i]+n {
			n++
		}
		if source[i] >= 0 {
			runs = append(runs, padRun{i, source[i], n})
		}
		i += n
	}
	return runs
}
