package infer

import (
	"fmt"

	"bq/onnxio"
)

// bindIf: the outputs of one of two graphs, which see the values of the graph around them.
func bindIf(b *binding) runFunc {
	yes, no := b.subgraph("then_branch"), b.subgraph("else_branch")
	for _, g := range []*graph{yes, no} {
		if g != nil && (len(g.inputs) != 0 || len(g.outputs) != len(b.node.Outputs)) {
			b.malformed("branch with %d inputs and %d outputs, want 0 and %d", len(g.inputs), len(g.outputs), len(b.node.Outputs))
		}
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		cond, err := truth(in[0])
		if err != nil {
			return nil, err
		}
		if cond {
			return r.graph(yes, r.frame, nil)
		}
		return r.graph(no, r.frame, nil)
	}
}

// truth returns the one element of a boolean array.
func truth(a *onnxio.Array) (bool, error) {
	d, ok := a.Data.([]bool)
	if !ok || len(d) != 1 {
		return false, fmt.Errorf("condition of %v %v, want one bool", a.Type, a.Shape)
	}
	return d[0], nil
}

// maxIterations bounds the steps of one Loop.
const maxIterations = 1 << 24

// bindLoop: a graph run up to M times while a condition holds. Its inputs are the step, the condition and the carried
// values; its outputs the condition, the carried values and values that are stacked over the steps.
func bindLoop(b *binding) runFunc {
	g := b.subgraph("body")
	carried := len(b.node.in) - 2
	if g != nil && (len(g.inputs) != carried+2 || len(g.outputs) != len(b.node.Outputs)+1 || len(b.node.Outputs) < carried) {
		b.malformed("body with %d inputs and %d outputs for %d carried values and %d outputs",
			len(g.inputs), len(g.outputs), carried, len(b.node.Outputs))
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		held := r.live
		defer func() { r.live = held }()
		limit, cond := int64(maxIterations), true
		var err error
		if in[0] != nil {
			if in[0].Type != onnxio.Int64 || in[0].Len() != 1 {
				return nil, typeError(in[0])
			}
			limit = min(in[0].Ints()[0], limit+1)
		}
		if in[1] != nil {
			if cond, err = truth(in[1]); err != nil {
				return nil, err
			}
		}
		state := append([]*onnxio.Array{}, in[2:]...)
		stacks := make([][]*onnxio.Array, len(g.outputs)-1-carried)
		for i := int64(0); i < limit && cond; i++ {
			if i == maxIterations {
				return nil, fmt.Errorf("more than %d iterations", maxIterations)
			}
			c := &onnxio.Array{Type: onnxio.Bool, Shape: []int{}, Data: []bool{cond}}
			outs, err := r.graph(g, r.frame, append([]*onnxio.Array{onnxio.Int64s([]int64{i}), c}, state...))
			if err != nil {
				return nil, err
			}
			if cond, err = truth(outs[0]); err != nil {
				return nil, err
			}
			state = outs[1 : 1+carried]
			for k, v := range outs[1+carried:] {
				if err := r.hold(v); err != nil {
					return nil, err
				}
				stacks[k] = append(stacks[k], v)
			}
		}
		for _, s := range stacks {
			v, err := r.stack(s)
			if err != nil {
				return nil, err
			}
			state = append(state[:len(state):len(state)], v)
		}
		return state, nil
	}
}

// stack joins values of one shape along a new first dimension; none give an empty float32 array.
func (r *run) stack(values []*onnxio.Array) (*onnxio.Array, error) {
	if len(values) == 0 {
		return r.new(onnxio.Float, 0)
	}
	return r.stackAlong(values, 0)
}
