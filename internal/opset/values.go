package opset

import "bq/onnxio"

// The rules of this file write out defaults that changed, and give attributes and constants their new form.

// concat4: the axis was 1 where it was not given, and must be given.
func concat4(e *edit) error {
	if !e.has("axis") {
		e.set(integer("axis", 1))
	}
	return nil
}

// selu6: alpha and gamma had defaults of five digits.
func selu6(e *edit) error {
	e.drop("consumed_inputs")
	if !e.has("alpha") {
		e.set(floating("alpha", 1.6732))
	}
	if !e.has("gamma") {
		e.set(floating("gamma", 1.0507))
	}
	return nil
}

// typeNames are the element types by the names of onnx.proto, by which Cast called them.
var typeNames = map[string]onnxio.DataType{
	"FLOAT": onnxio.Float, "UINT8": onnxio.Uint8, "INT8": onnxio.Int8, "UINT16": onnxio.Uint16, "INT16": onnxio.Int16,
	"INT32": onnxio.Int32, "INT64": onnxio.Int64, "BOOL": onnxio.Bool, "FLOAT16": onnxio.Float16, "DOUBLE": onnxio.Double,
	"UINT32": onnxio.Uint32, "UINT64": onnxio.Uint64,
}

// cast6: the attribute to was the name of a type and is its number.
func cast6(e *edit) error {
	if a := e.node.Attr("to"); a != nil && a.Type == onnxio.AttrInt {
		return nil
	}
	name, err := e.text("to", "")
	if err != nil {
		return err
	}
	t, ok := typeNames[name]
	if !ok {
		return e.refuse("casting to type %s", onnxio.Quote(name))
	}
	e.set(integer("to", int64(t)))
	return nil
}

// lpPool2: p was a float and is an integer; the size of the window must be given.
func lpPool2(e *edit) error {
	if !e.has("kernel_shape") {
		return e.refuse("attribute kernel_shape is not given")
	}
	return globalLpPool2(e)
}

// globalLpPool2: p was a float and is an integer.
func globalLpPool2(e *edit) error {
	if a := e.node.Attr("p"); a == nil || a.Type == onnxio.AttrInt {
		return nil
	}
	p, err := e.float("p", 2)
	if err != nil {
		return err
	}
	if p != float32(int64(p)) || p < 1 || p > 1<<24 {
		return e.refuse("the norm of p = %v", p)
	}
	e.set(integer("p", int64(p)))
	return nil
}

// gru3: the default of direction was misspelt.
func gru3(e *edit) error {
	direction, err := e.text("direction", "forward")
	if err == nil && direction == "foward" {
		e.set(text("direction", "forward"))
	}
	return err
}

// recurrent7: output_sequence goes: the outputs that have a name are given.
func recurrent7(e *edit) error {
	e.drop("output_sequence")
	return nil
}

// roiAlign16: the coordinates of the version before are the mode output_half_pixel.
func roiAlign16(e *edit) error {
	if !e.has("coordinate_transformation_mode") {
		e.set(text("coordinate_transformation_mode", "output_half_pixel"))
	}
	return nil
}

// gridSample20: bilinear and bicubic are called linear and cubic.
func gridSample20(e *edit) error {
	mode, err := e.text("mode", "bilinear")
	if err != nil {
		return err
	}
	switch mode {
	case "bilinear":
		e.set(text("mode", "linear"))
	case "bicubic":
		e.set(text("mode", "cubic"))
	}
	return nil
}

// scatter11: the operator is called ScatterElements.
func scatter11(e *edit) error {
	e.node.OpType = "ScatterElements"
	return nil
}
