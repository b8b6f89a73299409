package convert

import "bq/onnxio"

// The bias B [directions, 2*gates*hidden] of LSTM, GRU and RNN is added to what W makes of the input, its first half, and to what R
// makes of the state, its second (ONNX operators LSTM, GRU, RNN).

// recurrentBiasInput is the input where B stands.
const recurrentBiasInput = 3

// recurrentBias returns the kept constant B of n where it is n's alone, nil where there is none, n is no recurrent node,
// or biases are not to be corrected.
func (c *converter) recurrentBias(n *onnxio.Node) *job {
	if op := opOf(n); c.KeepBiases || op != "LSTM" && op != "GRU" && op != "RNN" {
		return nil
	}
	name := n.Input(recurrentBiasInput)
	for _, j := range c.jobs {
		if j.Graph != c.src.Model.Graph || j.Name != name || name == "" {
			continue
		}
		shape := dims(j.Tensor.Dims)
		if j.reason == "" || j.listForm() || len(j.uses) != 1 || len(j.uses[0].moves) > 0 || j.output || len(shape) != 2 || !computedInFloat32(j.Tensor.Type) {
			return nil
		}
		return j
	}
	return nil
}

// recurrentShift adds, to shift of B's length, what takes back the mean errors by of a layer: of all rows of W, or of R. Both go to the
// half of W where only the sum of the halves counts, so that a half of zeros stays one, which takes no bytes. It does not where a GRU
// resets what R makes of the state with its bias, in the last of its three gates (ONNX operator GRU, linear_before_reset).
func (l *layer) recurrentShift(shift, by []float64) {
	directions := 1
	if l.use.node.StringAttr("direction", "forward") == "bidirectional" {
		directions = 2
	}
	rows := len(by) / directions
	apart := opOf(l.use.node) == "GRU" && l.use.node.IntAttr("linear_before_reset", 0) != 0
	for i, v := range by {
		d, r := i/rows, i%rows
		if l.states && apart && r >= 2*rows/3 {
			r += rows
		}
		if at := d*2*rows + r; at < len(shift) {
			shift[at] += v
		}
	}
}
