package opset

import (
	"slices"

	"bq/onnxio"
)

// upsample7: height_scale and width_scale of images [N, C, H, W] become the attribute scales.
func upsample7(e *edit) error {
	height, err := e.float("height_scale", 0)
	if err != nil {
		return err
	}
	width, err := e.float("width_scale", 0)
	if err != nil {
		return err
	}
	mode, err := e.text("mode", "nearest")
	if err != nil {
		return err
	}
	if !(height >= 1 && width >= 1) {
		return e.malformed("scales %v and %v, want 1 or more", height, width)
	}
	if mode == "bilinear" {
		e.set(text("mode", "linear"))
	}
	e.drop("height_scale", "width_scale")
	e.set(&onnxio.Attribute{Name: "scales", Type: onnxio.AttrFloats, Floats: []float32{1, 1, height, width}})
	return nil
}

// upsample9: the attribute scales becomes input 1.
func upsample9(e *edit) error {
	scales, given, err := e.floats("scales")
	if err != nil {
		return err
	}
	if !given {
		return e.malformed("no attribute scales")
	}
	e.drop("scales")
	e.setInput(1, e.constant("scales", onnxio.Floats(scales, len(scales))))
	return nil
}

// upsample10: the operator is called Resize, which may shrink, too.
func upsample10(e *edit) error {
	e.node.OpType = "Resize"
	if len(e.node.Outputs) > 0 {
		e.grows[e.node.Outputs[0]] = true
	}
	return nil
}

// resize11: inputs (X, scales) become (X, roi, scales, sizes), and what was the only way of placing coordinates, output
// place by scale, is one of several. The nearest place is that below where the size grows, and that above where it
// shrinks: so ONNX's case of version 10 and ONNX Runtime have it.
func resize11(e *edit) error {
	scales := e.node.Input(1)
	if scales == "" {
		return e.malformed("input scales is missing")
	}
	mode, err := e.text("mode", "nearest")
	if err != nil {
		return err
	}
	if mode == "nearest" {
		rounding, err := e.rounding(scales)
		if err != nil {
			return err
		}
		e.set(text("nearest_mode", rounding))
	}
	e.set(text("coordinate_transformation_mode", "asymmetric"))
	roi := ""
	if e.to < 13 { // where the input must be given
		roi = e.constant("roi", onnxio.Floats(nil, 0))
	}
	e.node.Inputs = []string{e.node.Inputs[0], roi, scales}
	return nil
}

// rounding returns the nearest_mode of Resize of version 10 by these scales.
func (e *edit) rounding(scales string) (string, error) {
	if len(e.node.Outputs) > 0 && e.grows[e.node.Outputs[0]] {
		return "floor", nil
	}
	a := e.value(scales)
	if a == nil || a.F32() == nil {
		return "", e.refuse("the scales %s are not constant: whether sizes grow or shrink is not known", onnxio.Quote(scales))
	}
	grows, shrinks := false, false
	for _, s := range a.F32() {
		grows = grows || s > 1
		shrinks = shrinks || s < 1
	}
	switch {
	case grows && shrinks:
		return "", e.refuse("scales %v grow in one dimension and shrink in another", a.F32())
	case shrinks:
		return "ceil", nil
	}
	return "floor", nil
}

// resize13: scales and sizes exclude each other: scales, which had to be empty where sizes are given, are left out. The
// mode tf_half_pixel_for_nn went; with the place below it is half_pixel with halves rounded up: floor(v) is
// floor((v - 0.5) + 0.5).
func resize13(e *edit) error {
	if len(e.node.Inputs) == 4 && e.node.Inputs[3] != "" {
		if e.empty(e.node.Inputs[3]) {
			e.node.Inputs = e.node.Inputs[:3]
		} else {
			e.node.Inputs[2] = ""
		}
	}
	coordinates, err := e.text("coordinate_transformation_mode", "half_pixel")
	if err != nil || coordinates != "tf_half_pixel_for_nn" {
		return err
	}
	mode, err := e.text("mode", "nearest")
	if err != nil {
		return err
	}
	nearest, err := e.text("nearest_mode", "round_prefer_floor")
	if err != nil {
		return err
	}
	if mode != "nearest" || nearest != "floor" {
		return e.refuse("coordinates tf_half_pixel_for_nn with mode %s and nearest_mode %s", onnxio.Quote(mode), onnxio.Quote(nearest))
	}
	e.set(text("coordinate_transformation_mode", "half_pixel"))
	e.set(text("nearest_mode", "round_prefer_ceil"))
	return nil
}

// empty reports whether a value is known to have no elements.
func (e *edit) empty(name string) bool {
	if a := e.value(name); a != nil {
		return a.Len() == 0
	}
	sizes, _ := e.sizes(name)
	return slices.Contains(sizes, 0)
}
