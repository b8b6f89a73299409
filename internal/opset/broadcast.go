package opset

import "bq/onnxio"

// Up to version 6 the second operand was stretched to the first where the attribute broadcast said so: it stood for the
// dimensions from attribute axis on, or for the last ones. Since then shapes are aligned at the end, without asking.

// broadcast7: an operand that stands for dimensions in the middle gets dimensions of one element behind it.
func broadcast7(e *edit) error {
	stretched, err := e.int("broadcast", 0)
	if err != nil {
		return err
	}
	axis, err := e.int("axis", -1)
	if err != nil {
		return err
	}
	aligned := stretched == 0 || !e.has("axis") || axis == -1
	e.drop("broadcast", "axis")
	if aligned {
		return nil
	}
	if axis < 0 || len(e.node.Inputs) != 2 {
		return e.refuse("axis %d, %d inputs", axis, len(e.node.Inputs))
	}
	a, b := e.node.Inputs[0], e.node.Inputs[1]
	if e.single(b) {
		return nil
	}
	first, known := e.rank(a)
	second, known2 := e.rank(b)
	if !known || !known2 {
		return e.refuse("the ranks of %s and %s are not both known", onnxio.Quote(a), onnxio.Quote(b))
	}
	behind := int64(first) - int64(second) - axis
	if behind < 0 {
		return e.malformed("an operand of rank %d at axis %d of one of rank %d", second, axis, first)
	}
	e.stretch(1, second, int(behind))
	return nil
}

// single reports whether a value is known to have one element.
func (e *edit) single(name string) bool {
	if a := e.value(name); a != nil {
		return a.Len() == 1
	}
	sizes, known := e.sizes(name)
	for _, n := range sizes {
		known = known && n == 1
	}
	return known
}

// stretch gives input i, of this rank, more dimensions of one element behind.
func (e *edit) stretch(i, rank, more int) {
	if more == 0 {
		return
	}
	var axes []int64
	for k := range more {
		axes = append(axes, int64(rank+k))
	}
	e.setInput(i, e.unsqueeze("aligned", e.node.Inputs[i], axes...))
}

// prelu7: a slope per channel stood for dimension 1.
func prelu7(e *edit) error {
	if len(e.node.Inputs) != 2 {
		return e.malformed("%d inputs, want 2", len(e.node.Inputs))
	}
	x, slope := e.node.Inputs[0], e.node.Inputs[1]
	if e.single(slope) {
		return nil
	}
	rank, known := e.rank(x)
	own, known2 := e.rank(slope)
	if !known || !known2 {
		return e.refuse("the ranks of %s and %s are not both known", onnxio.Quote(x), onnxio.Quote(slope))
	}
	if own == 1 && rank > 2 {
		e.stretch(1, 1, rank-2)
	}
	return nil
}

// gemm7: C is stretched without asking.
func gemm7(e *edit) error {
	e.drop("broadcast")
	return nil
}
