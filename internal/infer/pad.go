package infer

import (
	"fmt"

	"bq/onnxio"
)

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
	for i, n := range x.Shape {
		shape[i] = n + pads[i] + pads[rank+i]
		if shape[i] < 0 || mode != "constant" && n == 0 && shape[i] > 0 {
			return nil, fmt.Errorf("padding %v by %v", x.Shape, pads)
		}
	}
	out, err := r.blank(x.Type, shape...)
	if err != nil || out.Len() == 0 {
		return out, err
	}
	value := onnxio.NewArray(x.Type, 1)
	if mode == "constant" && fill != nil && fill.Len() > 0 {
		if value, err = r.cast(fill, x.Type); err != nil {
			return nil, err
		}
	}
	p := newPadding(x.Shape, shape, pads, mode)
	switch d := out.Data.(type) {
	case []float32:
		padInto(d, x.Data.([]float32), value.Data.([]float32)[0], p)
	case []float64:
		padInto(d, x.Data.([]float64), value.Data.([]float64)[0], p)
	case []int8:
		padInto(d, x.Data.([]int8), value.Data.([]int8)[0], p)
	case []int16:
		padInto(d, x.Data.([]int16), value.Data.([]int16)[0], p)
	case []int32:
		padInto(d, x.Data.([]int32), value.Data.([]int32)[0], p)
	case []int64:
		padInto(d, x.Data.([]int64), value.Data.([]int64)[0], p)
	case []uint8:
		padInto(d, x.Data.([]uint8), value.Data.([]uint8)[0], p)
	case []uint16:
		padInto(d, x.Data.([]uint16), value.Data.([]uint16)[0], p)
	case []uint32:
		padInto(d, x.Data.([]uint32), value.Data.([]uint32)[0], p)
	case []uint64:
		padInto(d, x.Data.([]uint64), value.Data.([]uint64)[0], p)
	case []bool:
		padInto(d, x.Data.([]bool), value.Data.([]bool)[0], p)
	case []string:
		padInto(d, x.Data.([]string), value.Data.([]string)[0], p)
	}
	return out, nil
}

// padding is a plan to pad an array row by row. Dimensions at the end that stay as they are belong to the elements of a
// row, which are blocks then.
type padding struct {
	size    int      // elements of a row of the result
	pieces  []padRun // of a row, in elements, in the order of the result
	source  [][]int  // by dimension before the rows and output position: the input position, -1 for none
	strides []int    // of the input's dimensions before the rows
}

// newPadding plans to pad an array of shape in to shape out.
func newPadding(in, out, pads []int, mode string) *padding {
	last := len(in) - 1
	for last >= 0 && in[last] == out[last] && pads[last] == 0 {
		last--
	}
	block := product(in[last+1:])
	if last < 0 {
		return &padding{size: block, pieces: []padRun{{0, 0, block}}}
	}
	p := &padding{size: out[last] * block, strides: rowStrides(in)[:last]}
	for d := range last + 1 {
		list := make([]int, out[d])
		for o := range list {
			list[o] = padSource(o-pads[d], in[d], mode)
		}
		p.source = append(p.source, list)
	}
	p.pieces = padRuns(p.source[last])
	p.source = p.source[:last]
	for i, piece := range p.pieces {
		p.pieces[i] = padRun{piece.to * block, piece.from * block, piece.n * block}
	}
	return p
}

// padInto writes the rows of src to where they stand in dst, and fill to all other places.
func padInto[T any](dst, src []T, fill T, p *padding) {
	index := make([]int, len(p.source))
	for ; len(dst) > 0; dst = dst[p.size:] {
		base, inside := 0, true
		for d, i := range index {
			base += p.source[d][i] * p.strides[d]
			inside = inside && p.source[d][i] >= 0
		}
		row, done := dst[:p.size], 0
		if inside {
			for _, r := range p.pieces {
				fillWith(row[done:r.to], fill)
				copy(row[r.to:r.to+r.n], src[base+r.from:][:r.n])
				done = r.to + r.n
			}
		}
		fillWith(row[done:], fill)
		for d := len(index) - 1; d >= 0; d-- {
			if index[d]++; index[d] < len(p.source[d]) {
				break
			}
			index[d] = 0
		}
	}
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
