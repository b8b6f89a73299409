package opset

import (
	"math"
	"slices"

	"bq/onnxio"
)

// Operators that were experimental in ONNX 1.0 and never became part of the standard stand in no version of it, but
// models of that time have them and ONNX Runtime runs them. Those that have an equal are replaced by it, in the oldest
// version that has what it takes.
var experiments = map[string]struct {
	since int64
	rule  rule
}{
	"Affine":             {7, affine},
	"Crop":               {7, crop},
	"DynamicSlice":       {10, dynamicSlice},
	"GivenTensorFill":    {7, givenTensorFill},
	"ImageScaler":        {7, imageScaler},
	"ParametricSoftplus": {7, parametricSoftplus},
	"Scale":              {7, scale},
	"ScaledTanh":         {7, scaledTanh},
}

// factor returns a float attribute as a constant of the input's type.
func (e *edit) factor(name string, def float32) (string, error) {
	v, err := e.float(name, def)
	if err != nil {
		return "", err
	}
	return e.scalar(name, e.old.Input(0), onnxio.Floats([]float32{v}))
}

// factors returns two of them.
func (e *edit) factors(first string, def float32, second string, def2 float32) (a, b string, err error) {
	if a, err = e.factor(first, def); err == nil {
		b, err = e.factor(second, def2)
	}
	return a, b, err
}

// affine: alpha * X + beta.
func affine(e *edit) error {
	alpha, beta, err := e.factors("alpha", 1, "beta", 0)
	if err != nil {
		return err
	}
	scaled := e.add("Mul", "scaled", []string{e.node.Input(0), alpha})
	e.become("Add", []string{scaled, beta})
	return nil
}

// scale: scale * X.
func scale(e *edit) error {
	factor, err := e.factor("scale", 1)
	if err == nil {
		e.become("Mul", []string{e.node.Input(0), factor})
	}
	return err
}

// scaledTanh: alpha * tanh(beta * X).
func scaledTanh(e *edit) error {
	alpha, beta, err := e.factors("alpha", 1, "beta", 1)
	if err != nil {
		return err
	}
	scaled := e.add("Mul", "scaled", []string{e.node.Input(0), beta})
	e.become("Mul", []string{e.add("Tanh", "tanh", []string{scaled}), alpha})
	return nil
}

// parametricSoftplus: alpha * ln(exp(beta * X) + 1).
func parametricSoftplus(e *edit) error {
	alpha, beta, err := e.factors("alpha", 1, "beta", 1)
	if err != nil {
		return err
	}
	scaled := e.add("Mul", "scaled", []string{e.node.Input(0), beta})
	e.become("Mul", []string{e.add("Softplus", "softplus", []string{scaled}), alpha})
	return nil
}

// imageScaler: scale * X + bias per channel of X [N, C, H, W].
func imageScaler(e *edit) error {
	bias, _, err := e.floats("bias")
	if err != nil {
		return err
	}
	shift, err := e.scalar("bias", e.node.Input(0), onnxio.Floats(slices.Clone(bias), len(bias), 1, 1))
	if err != nil {
		return err
	}
	factor, err := e.factor("scale", 1)
	if err != nil {
		return err
	}
	scaled := e.add("Mul", "scaled", []string{e.node.Input(0), factor})
	e.become("Add", []string{scaled, shift})
	return nil
}

// crop: X [N, C, H, W] without border (left, top, right, bottom), or the part of size scale (height, width) that starts
// at left and top.
func crop(e *edit) error {
	border, _, err := e.ints("border")
	if err != nil {
		return err
	}
	size, given, err := e.ints("scale")
	if err != nil {
		return err
	}
	if len(border) != 4 || given && len(size) != 2 || slices.Min(border) < 0 {
		return e.malformed("border %v, scale %v", border, size)
	}
	starts := []int64{border[1], border[0]}
	ends := []int64{-border[3], -border[2]}
	for i := range ends {
		if given {
			ends[i] = starts[i] + size[i]
		} else if ends[i] == 0 {
			ends[i] = math.MaxInt64
		}
	}
	e.become("Slice", []string{e.node.Input(0)}, integers("starts", starts...), integers("ends", ends...), integers("axes", 2, 3))
	if e.version < 10 {
		return nil
	}
	return slice10(e)
}

// dynamicSlice: Slice with the inputs starts, ends and axes, which became that of version 10.
func dynamicSlice(e *edit) error {
	e.become("Slice", e.node.Inputs)
	return nil
}

// givenTensorFill: a constant of these values; the shape from an input is that of something that is not known.
func givenTensorFill(e *edit) error {
	values, _, err := e.floats("values")
	if err != nil {
		return err
	}
	shape, _, err := e.ints("shape")
	if err != nil {
		return err
	}
	dims, total := make([]int, len(shape)), 1
	for i, d := range shape {
		if d < 0 || d > int64(len(values)) {
			return e.malformed("shape %v for %d values", shape, len(values))
		}
		dims[i] = int(d)
	}
	if n, ok := onnxio.CheckedLen(dims); ok {
		total = n
	}
	if len(e.node.Inputs) > 0 || e.has("extra_shape") || e.has("input_as_shape") {
		return e.refuse("a shape that an input gives")
	}
	if total != len(values) {
		return e.malformed("shape %v for %d values", shape, len(values))
	}
	e.become("Constant", nil, &onnxio.Attribute{Name: "value", Type: onnxio.AttrTensor, T: onnxio.NewTensor("", onnxio.Floats(slices.Clone(values), dims...))})
	return nil
}
