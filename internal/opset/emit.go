package opset

import (
	"fmt"

	"bq/onnxio"
)

// firstIRWithoutInputs is the IR version from which initializers need not be graph inputs too (ONNX IR.md).
const firstIRWithoutInputs = 4

// fresh returns base, or base with a number behind it where a value or node of that name exists.
func (r *raising) fresh(base string) string {
	name := base
	for n := max(2, r.numbers[base]); r.names[name]; n++ {
		name = fmt.Sprintf("%s.%d", base, n)
		r.numbers[base] = n + 1
	}
	r.names[name] = true
	return name
}

// named returns a new name for something that serves the node: its first output's, a slash and what it is.
func (e *edit) named(what string) string {
	base := e.old.OpType
	for _, out := range e.old.Outputs {
		if out != "" {
			base = out
			break
		}
	}
	return e.fresh(base + "/" + what)
}

// constant adds a constant and returns its name.
func (e *edit) constant(what string, a *onnxio.Array) string {
	name := e.named(what)
	e.made[name] = a
	if e.body.inFunction() || e.ir < firstIRWithoutInputs {
		e.front = append(e.front, &onnxio.Node{Name: name, OpType: "Constant", Outputs: []string{name}, Attributes: []*onnxio.Attribute{
			{Name: "value", Type: onnxio.AttrTensor, T: onnxio.NewTensor("", a)},
		}})
		return name
	}
	e.constants = append(e.constants, onnxio.NewTensor(name, a))
	return name
}

// list adds a constant list of int64.
func (e *edit) list(what string, v ...int64) string {
	return e.constant(what, onnxio.Int64s(append([]int64{}, v...), len(v)))
}

// firstCastLike is the version in which CastLike begins.
const firstCastLike = 15

// scalar adds a constant of the element type of value like, whose shape is that of a; a holds floats.
func (e *edit) scalar(what, like string, a *onnxio.Array) (string, error) {
	t, known := e.elem(like)
	switch {
	case known && t.IsFloat():
		return e.constant(what, ofType(t, a)), nil
	case known:
		return "", e.refuse("input %s is %v, want floats", onnxio.Quote(like), t)
	case e.to >= firstCastLike:
		return e.add("CastLike", what, []string{e.constant(what+"/float", a), like}), nil
	}
	return "", e.refuse("the element type of input %s is not known", onnxio.Quote(like))
}

// ofType returns an array of floats as one of the float type t.
func ofType(t onnxio.DataType, a *onnxio.Array) *onnxio.Array {
	if t != onnxio.Double {
		return &onnxio.Array{Type: t, Shape: a.Shape, Data: a.Data}
	}
	out := onnxio.NewArray(t, a.Shape...)
	for i, v := range a.F32() {
		out.Data.([]float64)[i] = float64(v)
	}
	return out
}

// add puts a node in front and returns its output.
func (e *edit) add(op, what string, inputs []string, attributes ...*onnxio.Attribute) string {
	out := e.named(what)
	e.front = append(e.front, &onnxio.Node{Name: out, OpType: op, Inputs: inputs, Outputs: []string{out}, Attributes: attributes})
	return out
}

// finish puts a node behind that takes the new output of e.node, which it returns, to what e.node gave before.
func (e *edit) finish(op, what string, inputs func(out string) []string, attributes ...*onnxio.Attribute) {
	last := e.node.Outputs[0]
	out := e.named(what)
	e.node.Outputs[0] = out
	e.back = append(e.back, &onnxio.Node{Name: e.fresh(last + "/" + what + "/" + op), OpType: op, Inputs: inputs(out), Outputs: []string{last}, Attributes: attributes})
}

// unsqueeze adds dimensions of one element at these axes.
func (e *edit) unsqueeze(what, x string, axes ...int64) string {
	if e.version < 13 {
		return e.add("Unsqueeze", what, []string{x}, integers("axes", axes...))
	}
	return e.add("Unsqueeze", what, []string{x, e.list(what+"/axes", axes...)})
}

// reshape gives x the constant shape.
func (e *edit) reshape(what, x string, shape ...int64) string {
	return e.add("Reshape", what, []string{x, e.list(what+"/shape", shape...)})
}

// like puts a Reshape behind the node that gives its output the shape of x again. From version 14 on a size of 0 stands
// for itself, before for the size in that place of what is reshaped.
func (e *edit) like(what, x string) {
	shape := e.add("Shape", what+"/shape", []string{x})
	var attributes []*onnxio.Attribute
	if e.to >= 14 {
		attributes = append(attributes, integer("allowzero", 1))
	}
	e.finish("Reshape", what, func(out string) []string { return []string{out, shape} }, attributes...)
}
