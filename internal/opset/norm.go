package opset

import "bq/onnxio"

// batchNorm7: the mode, test or training, is told by the number of outputs alone. A flag that was not given means test
// mode where there are no statistics of the batch among the outputs.
func batchNorm7(e *edit) error {
	test, err := e.int("is_test", 0)
	if err != nil {
		return err
	}
	training := e.trains()
	switch {
	case test != 0 && (e.used(1) || e.used(2) || e.used(3) || e.used(4)):
		return e.refuse("statistics of the batch in test mode")
	case test == 0 && e.has("is_test") && !training:
		return e.refuse("training mode without outputs for the statistics of the batch")
	case test != 0 || !training:
		e.node.Outputs = e.node.Outputs[:min(1, len(e.node.Outputs))]
	}
	e.drop("is_test")
	return nil
}

// trains reports whether an output beside the first is given: up to version 13 that meant training.
func (e *edit) trains() bool {
	for i, out := range e.node.Outputs {
		if i > 0 && out != "" {
			return true
		}
	}
	return false
}

// batchNorm9: statistics per feature (spatial = 0) go; the features of an entry become its channels, as the
// specification advises.
func batchNorm9(e *edit) error {
	spatial, err := e.int("spatial", 1)
	if err != nil {
		return err
	}
	e.drop("spatial")
	if spatial != 0 {
		return nil
	}
	if len(e.node.Inputs) != 5 || len(e.node.Outputs) == 0 {
		return e.malformed("%d inputs, want 5", len(e.node.Inputs))
	}
	if e.trains() {
		return e.refuse("statistics of the batch per feature")
	}
	x := e.node.Inputs[0]
	e.node.Inputs[0] = e.add("Flatten", "features", []string{x}, integer("axis", 1))
	for i, what := range []string{"scale", "bias", "mean", "variance"} {
		e.node.Inputs[1+i] = e.reshape(what, e.node.Inputs[1+i], -1)
	}
	e.node.Outputs = e.node.Outputs[:1]
	e.like("shaped", x)
	return nil
}

// batchNorm14: training is an attribute; it was told by outputs beside the first, of which two remain.
func batchNorm14(e *edit) error {
	training := e.trains()
	if training && (e.used(3) || e.used(4)) {
		return e.refuse("the saved statistics of the batch")
	}
	if training {
		e.node.Outputs = e.node.Outputs[:min(3, len(e.node.Outputs))]
		e.set(integer("training_mode", 1))
		return nil
	}
	e.node.Outputs = e.node.Outputs[:min(1, len(e.node.Outputs))]
	return nil
}

// groupNorm21: scale and bias of each group become those of its channels, and the precision of the statistics, which was
// the input's, is float32 where no other is named.
func groupNorm21(e *edit) error {
	groups, err := e.int("num_groups", 0)
	if err != nil {
		return err
	}
	if groups < 1 || len(e.node.Inputs) != 3 {
		return e.malformed("%d groups, %d inputs", groups, len(e.node.Inputs))
	}
	count := e.list("groups", groups)
	channels := e.add("Shape", "channels", []string{e.node.Inputs[0]}, integer("start", 1), integer("end", 2))
	each := e.add("Div", "each", []string{channels, count})
	shape := e.add("Concat", "expanded", []string{count, each}, integer("axis", 0))
	for i, what := range []string{"scale", "bias"} {
		column := e.unsqueeze(what+"/column", e.node.Inputs[1+i], 1)
		wide := e.add("Expand", what+"/wide", []string{column, shape})
		e.node.Inputs[1+i] = e.reshape(what, wide, -1)
	}
	if t, known := e.elem(e.node.Inputs[0]); known && t == onnxio.Double {
		e.set(integer("stash_type", int64(onnxio.Double)))
	}
	return nil
}

// meanVariance9: the experimental form had images [N, C, H, W] and flags; the standard one has axes.
func meanVariance9(e *edit) error {
	across, err := e.int("across_channels", 0)
	if err != nil {
		return err
	}
	scaled, err := e.int("normalize_variance", 1)
	if err != nil {
		return err
	}
	axes := []int64{2, 3}
	if across != 0 {
		axes = []int64{1, 2, 3}
	}
	if e.drop("across_channels", "normalize_variance"); scaled != 0 {
		e.set(integers("axes", axes...))
		return nil
	}
	x := e.node.Input(0)
	mean := e.mean("mean", x, axes...)
	e.become("Sub", []string{x, mean})
	return nil
}

// mean adds the mean along axes, which stay as dimensions of one element.
func (e *edit) mean(what, x string, axes ...int64) string {
	if e.version < 18 {
		return e.add("ReduceMean", what, []string{x}, integers("axes", axes...))
	}
	return e.add("ReduceMean", what, []string{x, e.list(what+"/axes", axes...)})
}

// dropout7: the flag is_test goes: without more inputs, Dropout is the identity.
func dropout7(e *edit) error {
	test, err := e.int("is_test", 0)
	if err != nil {
		return err
	}
	if test == 0 && e.has("is_test") {
		return e.refuse("training mode")
	}
	e.drop("is_test")
	return nil
}

// dropout10: the mask holds bools; what it holds in inference was left open.
func dropout10(e *edit) error {
	if e.used(1) {
		return e.refuse("the mask of inference, whose values are open before operator set 12")
	}
	e.node.Outputs = e.node.Outputs[:min(1, len(e.node.Outputs))]
	return nil
}

// dropout12: the attribute ratio becomes input 1.
func dropout12(e *edit) error {
	if err := dropout10(e); err != nil || !e.has("ratio") {
		return err
	}
	ratio, err := e.float("ratio", 0.5)
	if err != nil {
		return err
	}
	e.drop("ratio")
	e.setInput(1, e.constant("ratio", onnxio.Floats([]float32{ratio})))
	return nil
}
