package opset

import "slices"

// softmax13: Softmax, LogSoftmax and Hardmax went along all dimensions from axis on, taken together, and go along one.
// Where no more than one of those dimensions is larger than 1, it is that one. Else the input is flattened to two
// dimensions and gets its shape again.
func softmax13(e *edit) error {
	axis, err := e.int("axis", 1)
	if err != nil {
		return err
	}
	if len(e.node.Inputs) != 1 || len(e.node.Outputs) != 1 {
		return e.malformed("%d inputs and %d outputs, want one each", len(e.node.Inputs), len(e.node.Outputs))
	}
	x := e.node.Inputs[0]
	if along, ok := e.along(x, axis); ok {
		e.set(integer("axis", along))
		return nil
	}
	flat := e.add("Flatten", "flat", []string{x}, integer("axis", axis))
	e.node.Inputs[0] = flat
	e.set(integer("axis", 1))
	e.like("shaped", x)
	return nil
}

// along returns the one dimension from axis on that is larger than 1, the last one counted as -1; false where there may
// be more. Where there are no elements any will do.
func (e *edit) along(x string, axis int64) (int64, bool) {
	sizes, known := e.sizes(x)
	rank := int64(len(sizes))
	if axis < 0 {
		axis += rank
	}
	if !known || axis < 0 || axis >= rank {
		return 0, false
	}
	if slices.Contains(sizes, 0) {
		return -1, true
	}
	along := axis
	for i, n := range sizes[axis:] {
		if n == 1 {
			continue
		}
		if sizes[along] != 1 && i > 0 {
			return 0, false
		}
		along = axis + int64(i)
	}
	if along == rank-1 {
		return -1, true
	}
	return along, true
}
