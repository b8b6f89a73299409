package shape

import (
	"fmt"
	"slices"
)

// scan: a graph run once for each step along an axis of its scan inputs. Version 8 takes sequence_lens first and has a
// batch dimension in front of everything.
func scan(c *call) error {
	n, first := int(c.int("num_scan_inputs", 0)), 0
	if c.version < 9 {
		first = 1
	}
	states := len(c.in) - first - n
	if n < 1 || states < 0 || states > len(c.out) {
		return fmt.Errorf("%d scan inputs of %d inputs, %d outputs", n, len(c.in)-first, len(c.out))
	}
	z := &scanning{call: c, batched: c.version < 9, batch: c.size(), steps: c.size()}
	var state, inputs []*value
	for i := first; i < len(c.in); i++ {
		v, err := z.entry(c.arg(i), i-first-states)
		if err != nil {
			return err
		}
		if i-first < states {
			state = append(state, v)
		} else {
			inputs = append(inputs, v)
		}
	}
	outs, last, err := c.settle("body", nil, state, inputs)
	if err != nil || outs == nil {
		return err
	}
	if len(outs) != len(c.out) {
		return fmt.Errorf("body with %d outputs for %d", len(outs), len(c.out))
	}
	for i, v := range outs {
		if i < states {
			v = last[i]
		}
		if err := z.give(i, v, i-states); err != nil {
			return err
		}
	}
	return nil
}

// scanning is what a Scan finds out about its batch and steps.
type scanning struct {
	*call
	batched      bool
	batch, steps Dim
}

// entry returns what the body sees of an input: a state value where k is negative, else a slice of scan input k.
func (z *scanning) entry(v *value, k int) (*value, error) {
	if !v.Ranked {
		return &value{Info: Info{Kind: Tensor, Type: v.Type}}, nil
	}
	shape := slices.Clone(v.Shape)
	var err error
	if z.batched {
		if len(shape) == 0 {
			return nil, fmt.Errorf("shape %s where a batch is wanted", shapeText(shape))
		}
		if z.batch, err = z.agreed(z.batch, shape[0]); err != nil {
			return nil, err
		}
		shape = shape[1:]
	}
	if k < 0 {
		if !z.batched {
			return v, nil
		}
		return &value{Info: tensorOf(v.Type, shape...)}, nil
	}
	along := int64(0)
	if list := z.node.IntsAttr("scan_input_axes"); k < len(list) && !z.batched {
		along = list[k]
	}
	a, err := axis(along, len(shape))
	if err != nil {
		return nil, err
	}
	if z.steps, err = z.agreed(z.steps, shape[a]); err != nil {
		return nil, err
	}
	return &value{Info: tensorOf(v.Type, slices.Delete(shape, a, a+1)...)}, nil
}

// agreed returns what two sizes that must be equal say together.
func (z *scanning) agreed(a, b Dim) (Dim, error) {
	d, ok := unify(a, b)
	if !ok {
		return d, fmt.Errorf("scan inputs of %v and %v steps or entries", a, b)
	}
	return d, nil
}

// give sets output i to a final state where k is negative, else to the slices of scan output k stacked.
func (z *scanning) give(i int, v *value, k int) error {
	if k < 0 && !z.batched {
		return z.giveValue(i, v)
	}
	if !v.Ranked {
		return z.giveUnranked(i, v.Type)
	}
	along := int64(0)
	if list := z.node.IntsAttr("scan_output_axes"); k >= 0 && k < len(list) {
		along = list[k]
	}
	if k >= 0 {
		if err := z.giveStacked(i, v, along, z.steps); err != nil {
			return err
		}
		if i < len(z.out) && z.out[i] != nil {
			v = z.out[i]
		}
	}
	if z.batched {
		return z.call.give(i, v.Type, append([]Dim{z.batch}, v.Shape...)...)
	}
	return nil
}
