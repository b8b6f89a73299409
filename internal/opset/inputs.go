package opset

import (
	"math"

	"bq/onnxio"
)

// The rules of this file move attributes into inputs.

// dropConsumed (6): the attribute consumed_inputs, a hint about memory, goes.
func dropConsumed(e *edit) error {
	e.drop("consumed_inputs")
	return nil
}

// axesInput makes the rule that moves the attribute axes into input 1. Without axes there are none, which means all; an
// empty list means all, too, in both forms.
func axesInput(required bool) rule {
	return func(e *edit) error {
		axes, given, err := e.ints("axes")
		if err != nil {
			return err
		}
		if required && !given {
			return e.malformed("no attribute axes")
		}
		if e.drop("axes"); len(axes) > 0 {
			e.setInput(1, e.list("axes", axes...))
		}
		return nil
	}
}

// reshape5: the attribute shape becomes input 1.
func reshape5(e *edit) error {
	shape, given, err := e.ints("shape")
	if err != nil {
		return err
	}
	if !given {
		return e.malformed("no attribute shape")
	}
	e.drop("shape", "consumed_inputs")
	e.setInput(1, e.list("shape", shape...))
	return nil
}

// slice10: the attributes starts, ends and axes become inputs 1 to 3. Axes that are not given are the first ones, which
// is written out: the form with inputs says that they are all.
func slice10(e *edit) error {
	starts, _, err := e.ints("starts")
	if err != nil {
		return err
	}
	ends, _, err := e.ints("ends")
	if err != nil {
		return err
	}
	axes, given, err := e.ints("axes")
	if err != nil {
		return err
	}
	if !given {
		for i := range starts {
			axes = append(axes, int64(i))
		}
	}
	if len(starts) != len(ends) || len(axes) != len(starts) {
		return e.malformed("%d starts, %d ends and %d axes", len(starts), len(ends), len(axes))
	}
	e.drop("starts", "ends", "axes")
	e.setInput(1, e.list("starts", starts...))
	e.setInput(2, e.list("ends", ends...))
	e.setInput(3, e.list("axes", axes...))
	return nil
}

// topK10: the attribute k becomes input 1.
func topK10(e *edit) error {
	a, err := e.attr("k", onnxio.AttrInt)
	if err != nil {
		return err
	}
	if a == nil {
		return e.malformed("no attribute k")
	}
	e.drop("k")
	e.setInput(1, e.list("k", a.I))
	return nil
}

// pad2: the attribute paddings is called pads.
func pad2(e *edit) error {
	pads, given, err := e.ints("paddings")
	if err != nil || !given {
		return err
	}
	e.drop("paddings")
	e.set(integers("pads", pads...))
	return nil
}

// pad11: the attributes pads and value become inputs 1 and 2; a value of zero, the default, is left out.
func pad11(e *edit) error {
	pads, given, err := e.ints("pads")
	if err != nil {
		return err
	}
	if !given || len(e.node.Inputs) != 1 {
		return e.malformed("no attribute pads, or %d inputs, want 1", len(e.node.Inputs))
	}
	value, err := e.float("value", 0)
	if err != nil {
		return err
	}
	mode, err := e.text("mode", "constant")
	if err != nil {
		return err
	}
	e.drop("pads", "value")
	e.setInput(1, e.list("pads", pads...))
	if math.Float32bits(value) == 0 || mode != "constant" {
		return nil
	}
	name, err := e.scalar("value", e.node.Input(0), onnxio.Floats([]float32{value}))
	if err == nil {
		e.setInput(2, name)
	}
	return err
}

// clip11: the attributes min and max become inputs 1 and 2. Their defaults, the ends of float32, are written out: the
// default of the inputs is the ends of the element type.
func clip11(e *edit) error {
	for i, b := range []struct {
		name string
		def  float32
	}{{"min", -math.MaxFloat32}, {"max", math.MaxFloat32}} {
		v, err := e.float(b.name, b.def)
		if err != nil {
			return err
		}
		name, err := e.scalar(b.name, e.old.Input(0), onnxio.Floats([]float32{v}))
		if err != nil {
			return err
		}
		e.drop(b.name)
		e.setInput(1+i, name)
	}
	return nil
}

// split2: the optional input of lengths becomes the attribute split, which takes a constant; the axis, which had no
// default, must be given.
func split2(e *edit) error {
	if !e.has("axis") {
		return e.refuse("attribute axis is not given and had no default")
	}
	lengths := e.node.Input(1)
	if lengths == "" {
		e.node.Inputs = e.node.Inputs[:min(1, len(e.node.Inputs))]
		return nil
	}
	a := e.value(lengths)
	if a == nil {
		return e.refuse("the lengths %s are not constant", onnxio.Quote(lengths))
	}
	list, ok := integral(a)
	if !ok {
		return e.malformed("lengths of type %v", a.Type)
	}
	e.node.Inputs = e.node.Inputs[:1]
	e.set(integers("split", list...))
	return nil
}

// split13: the attribute split becomes input 1.
func split13(e *edit) error {
	lengths, _, err := e.ints("split")
	if err != nil {
		return err
	}
	if e.drop("split"); len(lengths) > 0 {
		e.setInput(1, e.list("split", lengths...))
	}
	return nil
}

// split18: without lengths the number of outputs must be said.
func split18(e *edit) error {
	if e.node.Input(1) == "" {
		e.node.Inputs = e.node.Inputs[:min(1, len(e.node.Inputs))]
		e.set(integer("num_outputs", int64(len(e.node.Outputs))))
	}
	return nil
}

// dft20: the attribute axis becomes input 2; its default was 1 and is -2.
func dft20(e *edit) error {
	axis, err := e.int("axis", 1)
	if err != nil {
		return err
	}
	e.drop("axis")
	e.setInput(2, e.constant("axis", onnxio.Int64s([]int64{axis})))
	return nil
}

// tile6: (input, tiles, axis) repeats along one axis, (input, repeats) along all.
func tile6(e *edit) error {
	tiles, axis := e.value(e.node.Input(1)), e.value(e.node.Input(2))
	if tiles == nil || axis == nil {
		return e.refuse("inputs tiles and axis are not both constant")
	}
	n, ok := integral(tiles)
	a, ok2 := integral(axis)
	if !ok || !ok2 || len(n) != 1 || len(a) != 1 {
		return e.malformed("tiles and axis of %d and %d elements, want one each", tiles.Len(), axis.Len())
	}
	rank, known := e.rank(e.node.Input(0))
	if !known {
		return e.refuse("the rank of input %s is not known", onnxio.Quote(e.node.Input(0)))
	}
	if a[0] < 0 {
		a[0] += int64(rank)
	}
	if a[0] < 0 || a[0] >= int64(rank) {
		return e.malformed("axis %d of a value of rank %d", a[0], rank)
	}
	repeats := make([]int64, rank)
	for i := range repeats {
		repeats[i] = 1
	}
	repeats[a[0]] = n[0]
	e.node.Inputs = []string{e.node.Inputs[0], e.list("repeats", repeats...)}
	return nil
}

// integral returns the elements of an array of integers, or of floats that are whole; false for others.
func integral(a *onnxio.Array) ([]int64, bool) {
	if list := a.Ints(); list != nil && a.Type != onnxio.Bool {
		return append([]int64{}, list...), true
	}
	var list []int64
	for _, v := range a.F32() {
		if v != float32(int64(v)) || v > 1<<24 || v < -1<<24 {
			return nil, false
		}
		list = append(list, int64(v))
	}
	return list, a.F32() != nil
}
