package convert

import (
	"slices"

	"bq/balance"
	"bq/onnxio"
)

// rule says how one input of an operator is quantized when it is a constant: which elements share a scale.
type rule struct {
	op     string
	input  int
	axis   string // the channel axis in words, for the support list
	layout func(n *onnxio.Node, shape []int) (balance.Layout, bool)
}

// rules lists the inputs that are weights, by operator name and input. Channels are what method.md section 3
// says: outputs of the linear map that the operator applies, rows of a table.
var rules = []rule{
	{"Conv", 1, "axis 0", conv},
	{"ConvTranspose", 1, "axis 1; axes 0 and 1 where depthwise", convTranspose},
	{"GRU", 1, "axes 0 and 1", recurrent},
	{"GRU", 2, "axes 0 and 1", recurrent},
	{"Gather", 0, "axis 0", table},
	{"Gemm", 0, "row of A", gemmA},
	{"Gemm", 1, "column of B", gemmB},
	{"LSTM", 1, "axes 0 and 1", recurrent},
	{"LSTM", 2, "axes 0 and 1", recurrent},
	{"MatMul", 0, "axis -2", matMulA},
	{"MatMul", 1, "axis -1", matMulB},
	{"RNN", 1, "axes 0 and 1", recurrent},
	{"RNN", 2, "axes 0 and 1", recurrent},
}

// WeightInput names one input of an operator that convert quantizes, and its channel axis.
type WeightInput struct {
	Op    string
	Input int
	Axis  string
}

// WeightInputs lists what convert quantizes, by operator and input.
func WeightInputs() []WeightInput {
	list := make([]WeightInput, len(rules))
	for i, r := range rules {
		list[i] = WeightInput{r.op, r.input, r.axis}
	}
	return list
}

// weightLayout returns the layout of a weight by the first of its uses, false where some use has no rule.
func (s *site) weightLayout(shape []int) (balance.Layout, bool) {
	if len(s.uses) == 0 || s.output {
		return balance.Layout{}, false
	}
	var first balance.Layout
	for i, u := range s.uses {
		l, ok := useLayout(u, u.shape(shape))
		if ok {
			l, ok = u.back(l)
		}
		if !ok {
			return balance.Layout{}, false
		}
		if i == 0 {
			first = l
		}
	}
	return first, true
}

// useLayout returns the layout of a constant of the given shape, as u's node reads it.
func useLayout(u use, shape []int) (balance.Layout, bool) {
	if hasReference(u.node) {
		return balance.Layout{}, false
	}
	i := slices.IndexFunc(rules, func(r rule) bool { return r.op == opOf(u.node) && r.input == u.input })
	if i < 0 {
		return balance.Layout{}, false
	}
	return rules[i].layout(u.node, shape)
}

// axisLayout is the layout whose channels are the indices of axes [from, to) of shape, read as one axis.
func axisLayout(shape []int, from, to int) balance.Layout {
	return balance.Layout{Outer: product(shape[:from]), Channels: product(shape[from:to]), Inner: product(shape[to:])}
}

func product(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// conv: W [M, C/group, k...], a channel is a filter.
func conv(_ *onnxio.Node, shape []int) (balance.Layout, bool) {
	if len(shape) < 3 {
		return balance.Layout{}, false
	}
	return axisLayout(shape, 0, 1), true
}

// convTranspose: W [C, M/group, k...]. A channel is an output, shared by the groups; where each group has one input, it
// is an output of its own group.
func convTranspose(n *onnxio.Node, shape []int) (balance.Layout, bool) {
	if len(shape) < 3 {
		return balance.Layout{}, false
	}
	if group := n.IntAttr("group", 1); group > 1 && group == int64(shape[0]) {
		return axisLayout(shape, 0, 2), true
	}
	return axisLayout(shape, 1, 2), true
}

// gemmB: B [K, N], or [N, K] where transB is set; a channel is one of the N outputs.
func gemmB(n *onnxio.Node, shape []int) (balance.Layout, bool) {
	if len(shape) != 2 {
		return balance.Layout{}, false
	}
	if n.IntAttr("transB", 0) != 0 {
		return axisLayout(shape, 0, 1), true
	}
	return axisLayout(shape, 1, 2), true
}

// gemmA: A [M, K], or [K, M] where transA is set; a channel is one of the M rows of the result.
func gemmA(n *onnxio.Node, shape []int) (balance.Layout, bool) {
	if len(shape) != 2 {
		return balance.Layout{}, false
	}
	if n.IntAttr("transA", 0) != 0 {
		return axisLayout(shape, 1, 2), true
	}
	return axisLayout(shape, 0, 1), true
}

// matMulB: B [..., K, N], a channel is a column, shared by all matrices of a batch.
func matMulB(_ *onnxio.Node, shape []int) (balance.Layout, bool) {
	if len(shape) < 2 {
		return balance.Layout{}, false
	}
	return axisLayout(shape, len(shape)-1, len(shape)), true
}

// matMulA: A [..., M, K], a channel is a row, shared by all matrices of a batch.
func matMulA(_ *onnxio.Node, shape []int) (balance.Layout, bool) {
	if len(shape) < 2 {
		return balance.Layout{}, false
	}
	return axisLayout(shape, len(shape)-2, len(shape)-1), true
}

// recurrent: W [directions, gates*hidden, input] and R [directions, gates*hidden, hidden]; a channel is a row.
func recurrent(_ *onnxio.Node, shape []int) (balance.Layout, bool) {
	if len(shape) != 3 {
		return balance.Layout{}, false
	}
	return axisLayout(shape, 0, 2), true
}

// table: data [rows, ...] gathered along axis 0; a channel is a row.
func table(n *onnxio.Node, shape []int) (balance.Layout, bool) {
	if len(shape) < 2 || n.IntAttr("axis", 0) != 0 {
		return balance.Layout{}, false
	}
	if product(shape[1:]) == 1 { // a scale for every element would be as large as the element
		return balance.PerTensor(shape[0]), true
	}
	return axisLayout(shape, 0, 1), true
}

// biases and norms list the inputs that are kept for what they are: few values, whose error is not averaged out.
var (
	biases = map[string][]int{"Conv": {2}, "ConvTranspose": {2}, "GRU": {3}, "Gemm": {2}, "LSTM": {3, 7}, "RNN": {3}}
	norms  = map[string][]int{"BatchNormalization": {1, 2, 3, 4}, "GroupNormalization": {1, 2}, "InstanceNormalization": {1, 2}, "LayerNormalization": {1, 2}, "RMSNormalization": {1}}
)

// isBias reports whether u reads a bias: an input listed above, or a vector that is added.
func (u use) isBias(shape []int) bool {
	op := opOf(u.node)
	if op == "Add" || op == "Sub" {
		return vectorLike(shape)
	}
	return slices.Contains(biases[op], u.input)
}

func (u use) isNorm() bool { return slices.Contains(norms[opOf(u.node)], u.input) }

// vectorLike reports whether at most one dimension is above one.
func vectorLike(shape []int) bool {
	wide := 0
	for _, d := range shape {
		if d > 1 {
			wide++
		}
	}
	return wide <= 1
}
