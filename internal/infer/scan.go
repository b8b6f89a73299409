package infer

import (
	"fmt"

	"bq/onnxio"
)

// scan runs a graph once for each step along an axis of its scan inputs. The graph takes state values and one slice of
// each scan input, and gives the next state and one slice of each scan output.
type scan struct {
	body                    *graph
	states, inputs, outputs int
	axes, outAxes           []int
	back, outBack           []int // 1: from the last slice to the first
	batched                 bool  // version 8: a batch dimension in front, the steps along the next
}

// bindScan: Scan of every version. Version 8 takes sequence_lens first: the steps that each entry of the batch has.
func bindScan(b *binding) runFunc {
	z := &scan{inputs: int(b.int("num_scan_inputs", 0)), batched: b.version < 9}
	given := len(b.node.in)
	if z.batched {
		z.back = b.ints("directions")
		given--
	} else {
		z.axes, z.back = b.ints("scan_input_axes"), b.ints("scan_input_directions")
		z.outAxes, z.outBack = b.ints("scan_output_axes"), b.ints("scan_output_directions")
	}
	z.body = b.subgraph("body")
	z.states = given - z.inputs
	z.outputs = len(b.node.Outputs) - z.states
	switch {
	case z.inputs < 1 || z.states < 0 || z.outputs < 0:
		b.malformed("%d scan inputs of %d inputs, %d outputs", z.inputs, given, len(b.node.Outputs))
	case z.body != nil && (len(z.body.inputs) != given || len(z.body.outputs) != len(b.node.Outputs)):
		b.malformed("body with %d inputs and %d outputs, want %d and %d",
			len(z.body.inputs), len(z.body.outputs), given, len(b.node.Outputs))
	case !fits(z.axes, z.inputs) || !fits(z.back, z.inputs) || !fits(z.outAxes, z.outputs) || !fits(z.outBack, z.outputs):
		b.malformed("axes or directions for %d scan inputs and %d scan outputs", z.inputs, z.outputs)
	}
	if z.batched {
		return z.batches
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) { return z.run(r, in) }
}

// fits reports whether an attribute list has n values or is not given.
func fits(list []int, n int) bool { return list == nil || len(list) == n }

// run is the operator on state values and scan inputs.
func (z *scan) run(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
	held := r.live
	defer func() { r.live = held }()
	axes, steps, err := z.steps(in[z.states:])
	if err != nil {
		return nil, err
	}
	args := append([]*onnxio.Array{}, in...)
	rows := make([][]*onnxio.Array, z.outputs)
	for step := range steps {
		for i, v := range in[z.states:] {
			place := step
			if at(z.back, i, 0) == 1 {
				place = steps - 1 - step
			}
			if args[z.states+i], err = r.sliceAt(v, axes[i], place); err != nil {
				return nil, err
			}
		}
		outs, err := r.graph(z.body, r.frame, args)
		if err != nil {
			return nil, err
		}
		copy(args, outs[:z.states])
		for k, v := range outs[z.states:] {
			if err := r.hold(v); err != nil {
				return nil, err
			}
			rows[k] = append(rows[k], v)
		}
	}
	outs := append([]*onnxio.Array{}, args[:z.states]...)
	for k, list := range rows {
		v, err := z.joined(r, k, list)
		if err != nil {
			return nil, err
		}
		outs = append(outs, v)
	}
	return outs, nil
}

// steps returns the axis of every scan input and their common length along it.
func (z *scan) steps(in []*onnxio.Array) (axes []int, n int, err error) {
	axes = make([]int, len(in))
	for i, v := range in {
		if axes[i], err = axisOf(int64(at(z.axes, i, 0)), len(v.Shape)); err != nil {
			return nil, 0, err
		}
		d := v.Shape[axes[i]]
		if i > 0 && d != n {
			return nil, 0, fmt.Errorf("scan inputs of %d and %d steps", n, d)
		}
		n = d
	}
	return axes, n, nil
}

// joined stacks the slices of scan output k along its axis.
func (z *scan) joined(r *run, k int, list []*onnxio.Array) (*onnxio.Array, error) {
	if len(list) == 0 {
		return nil, fmt.Errorf("scanning over no steps leaves output %d without a shape", z.states+k)
	}
	if at(z.outBack, k, 0) == 1 {
		for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
			list[i], list[j] = list[j], list[i]
		}
	}
	return r.stackAlong(list, int64(at(z.outAxes, k, 0)))
}

// batches runs the scan on every entry of the first dimension and stacks the results. Entries of fewer steps than the
// longest take only their first ones; their scan outputs end in zeros.
func (z *scan) batches(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
	n := -1
	for _, v := range in[1:] {
		if len(v.Shape) == 0 || n >= 0 && v.Shape[0] != n {
			return nil, fmt.Errorf("shape %v where a batch is wanted", v.Shape)
		}
		n = v.Shape[0]
	}
	if n < 1 || in[0] != nil && (in[0].Type != onnxio.Int64 || !equalShape(in[0].Shape, []int{n})) {
		return nil, fmt.Errorf("scanning a batch of %d with sequence_lens", n)
	}
	lists := make([][]*onnxio.Array, z.states+z.outputs)
	for i := range n {
		outs, err := z.entry(r, in, i)
		if err != nil {
			return nil, err
		}
		for k, v := range outs {
			lists[k] = append(lists[k], v)
		}
	}
	outs := make([]*onnxio.Array, len(lists))
	for k, list := range lists {
		var err error
		if outs[k], err = r.stack(list); err != nil {
			return nil, err
		}
	}
	return outs, nil
}

// entry runs the scan on entry i of a batch.
func (z *scan) entry(r *run, in []*onnxio.Array, i int) ([]*onnxio.Array, error) {
	args, steps := make([]*onnxio.Array, len(in)-1), -1
	for k, v := range in[1:] {
		var err error
		if args[k], err = r.sliceAt(v, 0, i); err != nil {
			return nil, err
		}
		if k < z.states || in[0] == nil {
			continue
		}
		if len(args[k].Shape) == 0 || k > z.states && args[k].Shape[0] != steps {
			return nil, fmt.Errorf("scan input of shape %v", v.Shape)
		}
		steps = args[k].Shape[0]
		n := intsOf(in[0])[i]
		if n < 1 || n > steps {
			return nil, fmt.Errorf("sequence_lens of %d where there are %d steps", n, steps)
		}
		if args[k], err = r.slice(args[k], []int{0}, []int{n}, nil, nil); err != nil {
			return nil, err
		}
	}
	outs, err := z.run(r, args)
	if err != nil || in[0] == nil {
		return outs, err
	}
	for k := z.states; k < len(outs); k++ {
		pads := make([]int, 2*len(outs[k].Shape))
		pads[len(outs[k].Shape)] = steps - outs[k].Shape[0]
		if outs[k], err = r.pad(outs[k], pads, "constant", nil); err != nil {
			return nil, err
		}
	}
	return outs, nil
}

// sliceAt returns the entry of v at one position along an axis, without that axis.
func (r *run) sliceAt(v *onnxio.Array, axis, at int) (*onnxio.Array, error) {
	strides := rowStrides(v.Shape)
	shape := append(append([]int{}, v.Shape[:axis]...), v.Shape[axis+1:]...)
	rest := append(append([]int{}, strides[:axis]...), strides[axis+1:]...)
	return r.strided(v, shape, rest, at*strides[axis])
}

// stackAlong joins values of one shape along a new dimension at axis.
func (r *run) stackAlong(values []*onnxio.Array, axis int64) (*onnxio.Array, error) {
	a, err := axisOf(axis, len(values[0].Shape)+1)
	if err != nil {
		return nil, err
	}
	wide := make([]*onnxio.Array, len(values))
	for i, v := range values {
		if !isTensor(v) || len(v.Shape) != len(values[0].Shape) {
			return nil, fmt.Errorf("stacking shapes %v and %v", values[0].Shape, v.Shape)
		}
		wide[i] = v.Reshaped(append(append(append([]int{}, v.Shape[:a]...), 1), v.Shape[a:]...)...)
	}
	return r.concat(wide, int64(a))
}
