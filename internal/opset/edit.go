package opset

import (
	"fmt"
	"slices"

	"bq/onnxio"
)

// rule rewrites a node of the version before into the version that is being made: it changes e.node, and adds nodes in
// front of it or behind.
type rule func(e *edit) error

// edit is one node being rewritten.
type edit struct {
	*raising
	body  *body
	index int
	old   *onnxio.Node // as it was; not changed
	node  *onnxio.Node // its successor, a copy at first
	front []*onnxio.Node
	back  []*onnxio.Node
}

// where names the node for messages.
func (e *edit) where() string { return e.body.prefix() + place(e.index, e.old) }

// refuse says why the node has no equal in the version that is being made.
func (e *edit) refuse(format string, args ...any) error {
	text := fmt.Sprintf("raising to operator set %d: ", e.version) + fmt.Sprintf(format, args...)
	return &onnxio.UnsupportedError{Where: e.where(), Text: text}
}

// malformed says what is wrong with the node.
func (e *edit) malformed(format string, args ...any) error {
	text := fmt.Sprintf("raising to operator set %d: ", e.version) + fmt.Sprintf(format, args...)
	return &onnxio.FormatError{Where: e.where(), Text: text}
}

// attr returns the node's attribute of that name and type, nil where it has none.
func (e *edit) attr(name string, typ onnxio.AttributeType) (*onnxio.Attribute, error) {
	a := e.node.Attr(name)
	switch {
	case a == nil:
		return nil, nil
	case a.RefName != "":
		return nil, e.refuse("attribute %s is that of a function", onnxio.Quote(name))
	case a.Type != typ && a.Type != onnxio.AttrUndefined:
		return nil, e.malformed("attribute %s is of type %v, want %v", onnxio.Quote(name), a.Type, typ)
	}
	return a, nil
}

// int returns an integer attribute, def where it is not given.
func (e *edit) int(name string, def int64) (int64, error) {
	a, err := e.attr(name, onnxio.AttrInt)
	if a == nil {
		return def, err
	}
	return a.I, nil
}

// float returns a float attribute, def where it is not given.
func (e *edit) float(name string, def float32) (float32, error) {
	a, err := e.attr(name, onnxio.AttrFloat)
	if a == nil {
		return def, err
	}
	return a.F, nil
}

// text returns a string attribute, def where it is not given.
func (e *edit) text(name, def string) (string, error) {
	a, err := e.attr(name, onnxio.AttrString)
	if a == nil {
		return def, err
	}
	return string(a.S), nil
}

// ints returns a list of integers and whether the attribute is given.
func (e *edit) ints(name string) (list []int64, given bool, err error) {
	a, err := e.attr(name, onnxio.AttrInts)
	if a == nil {
		return nil, false, err
	}
	return a.Ints, true, nil
}

// floats returns a list of floats and whether the attribute is given.
func (e *edit) floats(name string) (list []float32, given bool, err error) {
	a, err := e.attr(name, onnxio.AttrFloats)
	if a == nil {
		return nil, false, err
	}
	return a.Floats, true, nil
}

// has reports whether the node has an attribute of that name.
func (e *edit) has(name string) bool { return e.node.Attr(name) != nil }

// drop takes attributes away.
func (e *edit) drop(names ...string) {
	e.node.Attributes = slices.DeleteFunc(e.node.Attributes, func(a *onnxio.Attribute) bool { return slices.Contains(names, a.Name) })
}

// set gives the node an attribute in place of one of the same name.
func (e *edit) set(a *onnxio.Attribute) {
	e.drop(a.Name)
	e.node.Attributes = append(e.node.Attributes, a)
}

// setInput makes name input i; those before it that the node lacks are not given.
func (e *edit) setInput(i int, name string) {
	for len(e.node.Inputs) <= i {
		e.node.Inputs = append(e.node.Inputs, "")
	}
	e.node.Inputs[i] = name
}

// become makes the node another operator with these inputs and attributes and the same outputs and name.
func (e *edit) become(op string, inputs []string, attributes ...*onnxio.Attribute) {
	e.node = &onnxio.Node{Name: e.node.Name, OpType: op, Doc: e.node.Doc, Inputs: inputs, Outputs: e.node.Outputs,
		Attributes: attributes, Metadata: e.node.Metadata}
}

func integer(name string, v int64) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrInt, I: v}
}

func integers(name string, v ...int64) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrInts, Ints: v}
}

func floating(name string, v float32) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrFloat, F: v}
}

func text(name, v string) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrString, S: []byte(v)}
}
