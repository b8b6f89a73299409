package convert

import (
	"slices"

	"bq/internal/shape"
	"bq/onnxio"
)

// Where values are coded decides what runs on integers: a runtime computes with codes where all inputs of an operator are codes and its
// output becomes codes again (recipe.md B2, checked in ONNX Runtime's optimized graphs). placements finds these values in the main graph:
//
//	what operators of quantized weights read
//	what a Conv makes, behind the BatchNormalization, Relu or Clip that it absorbs, unless a function that runtimes compute in float
//	reads it alone, as in x * Sigmoid(x): then the Conv makes floats, and what the function makes of them is coded
//	all inputs of Add, Mul and Concat of which one is coded, and what they make
//	what pools and operators on single elements make of codes, where an operator on codes reads it
//	what operators that only move elements make of codes: with the scale and zero point of what they move
//
// Behind the last operator of a quantized weight (the tail: box decoding, Softmax) nothing is coded but the output of a Conv that is
// averaged. Recurrent operators read floats: no runtime has a kernel for static codes there.

// placed is a value that is coded.
type placed struct {
	name     string
	like     string          // the coded value whose scale and zero point it takes; "": it has its own
	most     float32         // no code stands for more than what a Clip left; 0: no bound
	typ      onnxio.DataType // of the value
	byRow    bool            // its steps follow each row
	codes    bool            // every reader sees the codes; else the operators of quantized weights alone
	channels bool            // steps of its own for each channel cost nothing
	asked    bool            // an operator of a quantized weight reads it; others stay float where a sample shows a NaN or an infinity
}

// kinds of operators, by what codes can pass.
var (
	movers = map[string]bool{"MaxPool": true, "Reshape": true, "Transpose": true, "Flatten": true, "Squeeze": true, "Unsqueeze": true, "Slice": true,
		"Split": true, "Gather": true, "DepthToSpace": true, "SpaceToDepth": true, "Resize": true, "Upsample": true}
	pools  = map[string]bool{"AveragePool": true, "GlobalAveragePool": true}
	joins  = map[string]bool{"Add": true, "Mul": true, "Concat": true}
	single = map[string]bool{"Sigmoid": true, "HardSigmoid": true, "HardSwish": true, "LeakyRelu": true, "Tanh": true, "Elu": true, "Selu": true,
		"Softplus": true, "Softsign": true, "Gelu": true, "Mish": true, "Relu": true, "Clip": true, "Erf": true, "Celu": true, "ThresholdedRelu": true}
	// tables are operators on single elements that ONNX Runtime has no kernel on codes for, or a fused one on floats
	tables   = map[string]bool{"Sigmoid": true, "HardSigmoid": true, "HardSwish": true, "Tanh": true, "Elu": true, "Gelu": true, "Mish": true, "Softplus": true}
	averages = map[string]bool{"AveragePool": true, "GlobalAveragePool": true, "ReduceMean": true}
)

// placer of codes: what is known of the main graph.
type codePlacer struct {
	model    *onnxio.Model
	values   map[string]shape.Info     // of the main graph, as far as they can be told
	constant map[string]*onnxio.Tensor // nil: constant, but of other than one element
	fixed    map[string]bool           // constants
	producer map[string]*onnxio.Node
	readers  map[string][]*onnxio.Node // nil: a graph output, or a reader in a subgraph
	weighted map[*onnxio.Node]dataUse
	leads    map[string]bool // an operator of a quantized weight is downstream
	coded    map[string]bool
	changed  bool
	byRow    bool
	spared   map[string]bool // values that stay float
	rows     map[string]bool // what MatMul multiplies by a weight
}

// placements lists the values of the main graph that are coded, in the order in which they are made, where coded tells which weights are.
// byRow gives what MatMul multiplies by a weight steps for each row, unless another operator has it coded; the spared ones stay float.
func placements(m *onnxio.Model, list []*site, coded func(*site) bool, byRow bool, spared []Spared) []placed {
	p := &codePlacer{model: m, byRow: byRow, values: mainValues(m), constant: map[string]*onnxio.Tensor{}, fixed: map[string]bool{}, producer: map[string]*onnxio.Node{},
		readers: readersOf(m), weighted: map[*onnxio.Node]dataUse{}, leads: map[string]bool{}, coded: map[string]bool{}, rows: map[string]bool{}, spared: map[string]bool{}}
	for _, c := range m.Constants() {
		if c.Graph == m.Graph {
			p.fixed[c.Name], p.constant[c.Name] = true, c.Tensor
		}
	}
	for _, n := range m.Graph.Nodes {
		for _, out := range n.Outputs {
			p.producer[out] = n
		}
	}
	uses := dataUses(m, list, coded)
	for _, d := range uses {
		if v := d.node.Inputs[d.input]; byRow && opOf(d.node) == "MatMul" && d.input == 0 && p.float(v) {
			p.rows[v] = true
		} else if !hasState(d.node) {
			p.weighted[d.node] = d
		}
	}
	for _, v := range spared {
		p.spared[v.Name] = true
	}
	p.findLeads()
	for _, d := range uses {
		if p.weighted[d.node].node != nil {
			p.demand(d.node.Inputs[d.input])
		}
	}
	for p.changed = true; p.changed; {
		p.changed = false
		for _, n := range m.Graph.Nodes {
			p.node(n)
		}
	}
	return p.list(uses)
}

// hasState reports whether n is an operator with a state.
func hasState(n *onnxio.Node) bool {
	op := opOf(n)
	return op == "LSTM" || op == "GRU" || op == "RNN"
}

// findLeads marks the values from which a way leads to an operator of a quantized weight.
func (p *codePlacer) findLeads() {
	for more := true; more; {
		more = false
		for _, n := range slices.Backward(p.model.Graph.Nodes) {
			_, leads := p.weighted[n]
			leads = leads || slices.ContainsFunc(n.Outputs, func(out string) bool { return p.leads[out] })
			for _, in := range n.Inputs {
				if leads && in != "" && !p.leads[in] {
					p.leads[in], more = true, true
				}
			}
		}
	}
}

// float reports whether v is a value of the main graph that can be coded: float32, and computed.
func (p *codePlacer) float(v string) bool {
	return v != "" && !p.fixed[v] && !p.spared[v] && p.values[v].Kind == shape.Tensor && p.values[v].Type == onnxio.Float
}

// source returns the value that v is, behind Identity and Dropout.
func (p *codePlacer) source(v string) string {
	for range maxMoves {
		n := p.producer[v]
		if n == nil || len(n.Inputs) == 0 || opOf(n) != "Identity" && (opOf(n) != "Dropout" || n.Outputs[0] != v) {
			break
		}
		v = n.Inputs[0]
	}
	return v
}

// demand codes v, or what it is behind Identity and Dropout.
func (p *codePlacer) demand(v string) {
	if v = p.source(v); p.float(v) && !p.coded[v] {
		p.coded[v], p.changed = true, true
	}
}

// isCoded reports whether v is coded, perhaps behind Identity and Dropout.
func (p *codePlacer) isCoded(v string) bool { return p.coded[p.source(v)] }

// node codes what n makes, where that serves.
func (p *codePlacer) node(n *onnxio.Node) {
	if len(n.Outputs) == 0 || len(n.Inputs) == 0 {
		return
	}
	out, op := n.Outputs[0], opOf(n)
	_, weighted := p.weighted[n]
	switch {
	case op == "Conv" && weighted:
		if end := p.end(out); (p.leads[end] || p.averaged(end)) && !p.intoTables(end) {
			p.demand(end)
		}
	case joins[op] && p.combines(n):
		if end := p.end(out); p.leads[end] && slices.ContainsFunc(n.Inputs, p.isCoded) {
			for _, in := range n.Inputs {
				p.demand(in)
			}
			p.demand(end)
		}
	case p.moves(n):
		for _, out := range n.Outputs {
			if p.isCoded(n.Inputs[0]) && (p.leads[out] || p.averaged(out)) && p.wanted(out) {
				p.demand(out)
			}
		}
	case pools[op]:
		if p.isCoded(n.Inputs[0]) && p.leads[out] && p.wanted(out) {
			p.demand(out)
		}
	case p.single(n) != "":
		if end := p.end(out); p.isCoded(p.single(n)) && p.leads[end] && p.wanted(end) {
			p.demand(end)
		}
	}
}

// moves reports whether n only moves elements, so that its codes are those of its input.
func (p *codePlacer) moves(n *onnxio.Node) bool {
	switch op := opOf(n); op {
	case "MaxPool":
		return len(n.Outputs) == 1
	case "Resize", "Upsample":
		return n.StringAttr("mode", "nearest") == "nearest"
	case "Gather":
		return p.float(n.Inputs[0])
	default:
		return movers[op]
	}
}

// combines reports whether n joins several computed values that are not all made of one.
func (p *codePlacer) combines(n *onnxio.Node) bool {
	for _, in := range n.Inputs {
		if !p.float(in) {
			return false
		}
	}
	first := p.root(n.Inputs[0])
	return opOf(n) == "Concat" || slices.ContainsFunc(n.Inputs, func(in string) bool { return p.root(in) != first })
}

// single returns the value of which n makes another, element by element; "" where it is no such operator: one with one computed input,
// or Add and Mul of two values that are made so of one.
func (p *codePlacer) single(n *onnxio.Node) string {
	switch op := opOf(n); {
	case single[op]:
		return n.Inputs[0]
	case op == "Add" || op == "Mul" || op == "Sub" || op == "Div" || op == "Max" || op == "Min" || op == "Pow":
		if len(n.Inputs) != 2 {
			return ""
		}
		for i, in := range n.Inputs {
			if t := p.constant[in]; t != nil && product(dims(t.Dims)) == 1 && p.float(n.Inputs[1-i]) {
				return n.Inputs[1-i]
			}
		}
		if a, b := p.root(n.Inputs[0]), p.root(n.Inputs[1]); a == b && p.float(a) {
			return a
		}
	}
	return ""
}

// root returns the value that v is made of, element by element; v where it is made otherwise.
func (p *codePlacer) root(v string) string {
	for range maxMoves {
		n := p.producer[p.source(v)]
		if n == nil || len(n.Inputs) == 0 || p.isCoded(v) {
			break
		}
		from := ""
		switch op := opOf(n); {
		case single[op]:
			from = n.Inputs[0]
		case len(n.Inputs) == 2 && (op == "Add" || op == "Mul" || op == "Sub" || op == "Div"):
			for i, in := range n.Inputs {
				if t := p.constant[in]; t != nil && product(dims(t.Dims)) == 1 {
					from = n.Inputs[1-i]
				}
			}
		}
		if from == "" {
			break
		}
		v = from
	}
	return p.source(v)
}

// end returns the value that takes the place of v where what reads it alone is absorbed by the operator that makes v: a
// BatchNormalization behind a Conv, then Relu or Clip.
func (p *codePlacer) end(v string) string {
	if n := p.alone(v); n != nil && opOf(n) == "BatchNormalization" && opOf(p.producer[v]) != "Conv" {
		return v
	}
	return endOf(p.readers, v)
}

// endOf is end for what a Conv makes.
func endOf(readers map[string][]*onnxio.Node, v string) string {
	for _, ops := range [][]string{{"BatchNormalization"}, {"Relu", "Clip"}} {
		if r := readers[v]; len(r) == 1 && r[0] != nil && len(r[0].Outputs) > 0 && slices.Contains(ops, opOf(r[0])) && r[0].Inputs[0] == v {
			v = r[0].Outputs[0]
		}
	}
	return v
}

// alone returns the node that is the only reader of v, nil where there are others.
func (p *codePlacer) alone(v string) *onnxio.Node {
	if r := p.readers[v]; len(r) == 1 && r[0] != nil && len(r[0].Outputs) > 0 {
		return r[0]
	}
	return nil
}

// wanted reports whether an operator that can take codes reads v.
func (p *codePlacer) wanted(v string) bool {
	return slices.ContainsFunc(p.readers[v], func(n *onnxio.Node) bool {
		if n == nil || len(n.Outputs) == 0 {
			return false
		}
		op := opOf(n)
		switch _, weighted := p.weighted[n]; {
		case op == "Identity" || op == "Dropout":
			return p.wanted(n.Outputs[0])
		case weighted:
			return p.weighted[n].node.Inputs[p.weighted[n].input] == v
		case joins[op]:
			return p.combines(n) && p.leads[n.Outputs[0]]
		}
		return pools[op] && p.leads[n.Outputs[0]] || p.moves(n) && n.Inputs[0] == v
	})
}

// averaged reports whether v, of the tail, is read by a mean over places alone, in which rounding errors cancel.
func (p *codePlacer) averaged(v string) bool {
	n := p.alone(v)
	if n != nil && (opOf(n) == "Identity" || opOf(n) == "Dropout") {
		return p.averaged(n.Outputs[0])
	}
	return n != nil && averages[opOf(n)]
}

// list returns what is coded, in the order in which it is made.
func (p *codePlacer) list(uses []dataUse) []placed {
	narrow := map[string]onnxio.DataType{} // values of other types, which operators of quantized weights alone see coded
	for _, d := range uses {
		if v := d.node.Inputs[d.input]; p.weighted[d.node].node != nil && !p.coded[p.source(v)] && !p.fixed[v] && !p.spared[v] {
			narrow[v] = d.typ
		}
	}
	asked := map[string]bool{}
	for _, d := range p.weighted {
		asked[p.source(d.node.Inputs[d.input])] = true
	}
	var list []placed
	add := func(v string, n *onnxio.Node) {
		switch {
		case p.coded[v]:
			list = append(list, placed{name: v, like: p.like(n), most: p.most(n), typ: onnxio.Float, codes: true, asked: asked[v], channels: p.channels(v)})
		case p.rows[v] && !p.isCoded(v):
			list = append(list, placed{name: v, typ: onnxio.Float, asked: true, byRow: true})
		case narrow[v] != 0:
			list = append(list, placed{name: v, typ: narrow[v], asked: true})
		}
	}
	for _, in := range p.model.Graph.Inputs {
		if !p.fixed[in.Name] {
			add(in.Name, nil)
		}
	}
	for _, n := range p.model.Graph.Nodes {
		for _, out := range n.Outputs {
			add(out, n)
		}
	}
	return list
}

// channels reports whether each channel of v may have steps of its own: it is made by a Conv of quantized weights, whose scales take them
// in, and depthwise Convs of quantized weights alone read it, whose scales take them out again.
func (p *codePlacer) channels(v string) bool {
	if _, ok := p.weighted[p.conv(v)]; !ok || len(p.readers[v]) == 0 {
		return false
	}
	return !slices.ContainsFunc(p.readers[v], func(n *onnxio.Node) bool {
		return n == nil || opOf(n) != "Conv" || p.weighted[n].node == nil || n.Inputs[0] != v || !p.depthwise(n)
	})
}

// intoTables reports whether all who read v are operators on single elements that runtimes compute in float. ONNX Runtime has kernels on
// codes for Sigmoid and Mul, which take as long as floats do and cost 8 dB of yolox-nano.
func (p *codePlacer) intoTables(v string) bool {
	return len(p.readers[v]) > 0 && !slices.ContainsFunc(p.readers[v], func(n *onnxio.Node) bool {
		return n == nil || !tables[opOf(n)] && (single[opOf(n)] || p.single(n) == "")
	})
}

// conv returns the Conv that makes v, perhaps behind the BatchNormalization and the Relu that it absorbs; nil where there is none.
func (p *codePlacer) conv(v string) *onnxio.Node {
	n := p.producer[v]
	for _, op := range []string{"Relu", "BatchNormalization"} {
		if n != nil && opOf(n) == op && p.alone(n.Input(0)) == n {
			n = p.producer[n.Input(0)]
		}
	}
	if n == nil || opOf(n) != "Conv" {
		return nil
	}
	return n
}

// depthwise reports whether each output of the Conv n sees one channel.
func (p *codePlacer) depthwise(n *onnxio.Node) bool {
	t := p.constant[n.Input(1)]
	return t != nil && len(t.Dims) > 2 && t.Dims[1] == 1 && n.IntAttr("group", 1) > 1
}

// like returns the coded value that n moves, "" where it does something else.
func (p *codePlacer) like(n *onnxio.Node) string {
	if n != nil && len(n.Inputs) > 0 && p.moves(n) && p.isCoded(n.Inputs[0]) {
		return p.source(n.Inputs[0])
	}
	return ""
}

// most returns the upper bound of n, a Clip; 0 where there is none above 0.
func (p *codePlacer) most(n *onnxio.Node) float32 {
	if n == nil || opOf(n) != "Clip" {
		return 0
	}
	most := n.FloatAttr("max", 0)
	if t := p.constant[n.Input(2)]; t != nil {
		if a, err := t.Array(); err == nil && a.Len() == 1 && a.F32() != nil {
			most = a.F32()[0]
		}
	}
	return max(0, most)
}
