package convert

import (
	"fmt"
	"math"
	"slices"

	"bq/balance"
	"bq/onnxio"
)

// Activation is a value that is rounded to codes on its way into those who read it:
//
//	x -> (clamp(round(x/Scale) + Zero, 0, 2^Bits-1) - Zero) * Scale
//
// with Shifts, of channel c along axis 1, by the step Scale / 2^Shifts[c] in place of Scale; where it is ByRow, each row along the last
// axis by the step that its largest magnitude needs, without a zero point:
//
//	x -> round(x/step) * step, step = max(largest |x| of the row, leastRow) / (2^(Bits-1) - 1)
type Activation struct {
	Name  string  `json:"name"`
	Bits  int     `json:"bits"`
	Low   float32 `json:"low"`  // the range that calibration chose
	High  float32 `json:"high"` //
	Scale float32 `json:"scale"`
	Zero  uint8   `json:"zero"`

	Shifts []int8 `json:"shifts,omitempty"` // by channel: how many bits finer its steps are, at most MaxShift; nil: all are alike
	Rank   int    `json:"rank,omitempty"`   // of the value, where there are shifts

	ByRow bool `json:"by_row,omitempty"` // steps follow each row; there is no range

	Everywhere bool `json:"everywhere,omitempty"` // every reader sees the rounded value; else the operators of quantized weights alone
}

// span is the range of a value, and by how many bits the ranges of its channels are narrower.
type span struct {
	low, high float32
	shifts    []int8 // nil: they are not
	rank      int
}

// byRow codes a value by steps that follow each row.
func byRow(p placed, bits int) Activation {
	return Activation{Name: p.name, Bits: bits, Scale: 1, ByRow: true}
}

// newActivation codes the range of a value in the given bits.
func newActivation(p placed, r span, bits int) Activation {
	scale, zero := balance.ActivationParams(r.low, r.high, bits)
	if top := float32(int(1)<<bits - 1 - int(zero)); p.most > 0 && r.high <= p.most {
		for float32(top*scale) > p.most { // codes of what a Clip left cover no more than that: then runtimes need no Clip
			scale = math.Nextafter32(scale, 0)
		}
	}
	return Activation{Name: p.name, Bits: bits, Low: r.low, High: r.high, Scale: scale, Zero: zero, Shifts: r.shifts, Rank: r.rank, Everywhere: p.codes}
}

// MaxShift is the most by which the steps of a channel are finer than those of the value.
const MaxShift = 15

// check reports what is wrong with a.
func (a *Activation) check() error {
	if a.ByRow {
		a = &Activation{Name: a.Name, Bits: a.Bits, Scale: 1, Everywhere: a.Everywhere, Shifts: a.Shifts}
		if a.Bits < 2 || a.Everywhere || a.Shifts != nil {
			return &onnxio.FormatError{Where: "activation " + onnxio.Quote(a.Name), Text: fmt.Sprintf("%d bits by row", a.Bits)}
		}
	}
	wrong := a.Bits < 1 || a.Bits > 8 || !(a.Scale > 0) || a.Scale > math.MaxFloat32 || int(a.Zero) >= 1<<a.Bits || len(a.Shifts) > 0 && (a.Rank < 2 || a.Rank > maxList || !a.Everywhere)
	for _, k := range a.Shifts {
		wrong = wrong || k < 0 || k > MaxShift
	}
	if wrong {
		return &onnxio.FormatError{Where: "activation " + onnxio.Quote(a.Name), Text: fmt.Sprintf("%d bits, scale %v, zero %d, shifts %v, rank %d", a.Bits, a.Scale, a.Zero, a.Shifts, a.Rank)}
	}
	return nil
}

// steps returns the step of each channel, or the one of all.
func (a *Activation) steps() []float32 {
	if a.Shifts == nil {
		return []float32{a.Scale}
	}
	list := make([]float32, len(a.Shifts))
	for c, k := range a.Shifts {
		list[c] = a.Scale / float32(int(1)<<k)
	}
	return list
}

// round returns v rounded as a says: what fakeQuantize's nodes compute from operator set 11 on.
func (a *Activation) round(v *onnxio.Array) *onnxio.Array {
	if a.ByRow {
		return a.roundRows(v)
	}
	out := onnxio.NewArray(v.Type, v.Shape...)
	steps, inner := a.steps(), len(v.F32())
	if len(steps) > 1 {
		inner = product(v.Shape[2:])
	}
	y, zero, top := out.F32(), float32(a.Zero), float32(int(1)<<a.Bits-1)
	for i, x := range v.F32() {
		step := steps[i/inner%len(steps)]
		code := float32(math.RoundToEven(float64(x/step))) + zero
		y[i] = onnxio.Round(v.Type, (min(max(code, 0), top)-zero)*step)
	}
	return out
}

// leastRow is the largest magnitude that rows of less are taken to have: their steps are normal numbers.
const leastRow = 1e-30

// rowTop is the largest code of a row.
func (a *Activation) rowTop() float32 { return float32(int(1)<<(a.Bits-1) - 1) }

// roundRows returns v rounded by the steps of its rows.
func (a *Activation) roundRows(v *onnxio.Array) *onnxio.Array {
	out := onnxio.NewArray(v.Type, v.Shape...)
	x, y := v.F32(), out.F32()
	width := max(1, v.Shape[len(v.Shape)-1])
	for at := 0; at < len(x); at += width {
		most := float32(leastRow)
		for _, f := range x[at : at+width] {
			most = max(most, f, -f)
		}
		step := most / a.rowTop()
		for i, f := range x[at : at+width] {
			y[at+i] = float32(math.RoundToEven(float64(f/step))) * step
		}
	}
	return out
}

// dataUse is the input through which activations reach a node of quantized weights.
type dataUse struct {
	node  *onnxio.Node
	input int
	typ   onnxio.DataType // the element type of the weight, and so of the activation
}

// dataUses lists, in graph order, where activations of the main graph meet the weights that quantized accepts.
// Activations inside subgraphs and local functions, and those of type double, stay as they are.
func dataUses(m *onnxio.Model, list []*site, quantized func(*site) bool) []dataUse {
	of := map[*onnxio.Node]dataUse{}
	for _, s := range list {
		if s.Graph != m.Graph || !quantized(s) {
			continue
		}
		for _, u := range s.uses {
			if i := dataInput(u); i >= 0 && u.node.Input(i) != "" && u.typ(s.Tensor.Type) != onnxio.Double {
				of[u.node] = dataUse{u.node, i, u.typ(s.Tensor.Type)}
			}
		}
	}
	var uses []dataUse
	for _, n := range m.Graph.Nodes {
		if d, ok := of[n]; ok {
			uses = append(uses, d)
		}
	}
	return uses
}

// dataInput returns the input of u's node that the weight at u meets, -1 where it is no activation.
func dataInput(u use) int {
	switch opOf(u.node) {
	case "Conv", "ConvTranspose", "GRU", "LSTM", "RNN":
		return 0
	case "Gemm", "MatMul":
		return 1 - u.input
	}
	return -1
}

// buildFunc adds nodes that make another value of one, which stands for p, and returns its name.
type buildFunc func(b *graphBuilder, p placed, value string) string

// insert puts what build makes of a value in the place of the value: for all who read it where everywhere is set, even as an output of
// the graph, else for its data uses. A value that the graph does not have, or without data uses, is an error.
func insert(m *onnxio.Model, uses []dataUse, list []placed, build buildFunc) error {
	in := &inserter{model: m, names: valueNames(m), readers: map[string][]dataUse{}, producer: map[string]*onnxio.Node{}, after: map[*onnxio.Node][]*onnxio.Node{}}
	for _, d := range uses {
		name := d.node.Inputs[d.input]
		in.readers[name] = append(in.readers[name], d)
	}
	for _, n := range m.Graph.Nodes {
		for _, out := range n.Outputs {
			in.producer[out] = n
		}
	}
	for _, p := range list {
		if err := in.value(p, build); err != nil {
			return err
		}
	}
	nodes := in.after[nil]
	for _, n := range m.Graph.Nodes {
		nodes = append(append(nodes, n), in.after[n]...)
	}
	m.Graph.Nodes = nodes
	return nil
}

// inserter puts values in the place of others.
type inserter struct {
	model    *onnxio.Model
	names    map[string]bool
	readers  map[string][]dataUse
	producer map[string]*onnxio.Node
	after    map[*onnxio.Node][]*onnxio.Node // new nodes by what they stand behind; nil: in front of all
}

func (in *inserter) value(p placed, build buildFunc) error {
	b := &graphBuilder{names: in.names, model: in.model, graph: in.model.Graph}
	from := in.producer[p.name]
	defer func() { in.after[from] = append(in.after[from], b.nodes...) }()
	switch {
	case !p.codes:
		if len(in.readers[p.name]) == 0 {
			return &onnxio.FormatError{Where: "activation " + onnxio.Quote(p.name), Text: "no weighted node reads a value of that name"}
		}
		p.typ = in.readers[p.name][0].typ
		out := build(b, p, p.name)
		for _, d := range in.readers[p.name] {
			d.node.Inputs[d.input] = out
		}
	case from != nil:
		raw := fresh(in.names, p.name+"/float")
		from.Outputs[slices.Index(from.Outputs, p.name)] = raw
		out := build(b, p, raw)
		for _, n := range b.nodes {
			if i := slices.Index(n.Outputs, out); i >= 0 {
				n.Outputs[i] = p.name
			}
		}
	case slices.ContainsFunc(in.model.Graph.Inputs, func(v *onnxio.ValueInfo) bool { return v.Name == p.name }):
		out := build(b, p, p.name)
		for _, n := range in.model.Graph.Nodes {
			for i, name := range n.Inputs {
				if name == p.name {
					n.Inputs[i] = out
				}
			}
		}
	default:
		return &onnxio.FormatError{Where: "activation " + onnxio.Quote(p.name), Text: "the graph has no value of that name"}
	}
	return nil
}

// Operator sets from which Clip takes its bounds as inputs, and which brought Round (ONNX, Changelog.md).
const (
	opsetClipInputs   = 11
	opsetRound        = 11
	opsetReduceInputs = 18 // ReduceMax takes its axes as an input
)

// fakeQuantize builds nodes that round value as a says, in float arithmetic of the model's operator set. QuantizeLinear
// and DequantizeLinear would say it shorter, but ONNX Runtime takes a DequantizeLinear in front of a Conv or Gemm as
// leave to quantize float weights to 8 bits by itself, and then computes something else.
func fakeQuantize(b *graphBuilder, m *onnxio.Model, a Activation, value string, typ onnxio.DataType) string {
	if a.ByRow {
		codes, steps := rowCodes(b, m, a, value)
		return b.node("Mul", a.Name+"/act/value", []string{codes, steps})
	}
	x, base := value, a.Name+"/act"
	if typ != onnxio.Float {
		x = b.node("Cast", base+"/float", []string{x}, intAttr("to", int64(onnxio.Float)))
	}
	shape := []int{}
	if a.Shifts != nil {
		shape = append([]int{len(a.Shifts)}, ones(a.Rank-2)...)
	}
	scale := b.constant(base+"/scale", onnxio.Floats(a.steps(), shape...))
	zero := b.constant(base+"/zero", onnxio.Floats([]float32{float32(a.Zero)}))
	x = b.node("Div", base+"/steps", []string{x, scale})
	top := float32(int(1)<<a.Bits - 1)
	if m.Opset(onnxio.DefaultDomain) >= opsetRound {
		x = b.node("Round", base+"/rounded", []string{x})
		x = b.node("Add", base+"/shifted", []string{x, zero})
		x = b.clip(m, x, base, 0, top)
	} else { // floor(x + zero + 1/2): ties go up instead of to even
		shift := b.constant(base+"/shift", onnxio.Floats([]float32{float32(a.Zero) + 0.5}))
		x = b.node("Add", base+"/shifted", []string{x, shift})
		x = b.clip(m, x, base, 0, top+0.5)
		x = b.node("Floor", base+"/codes", []string{x})
	}
	x = b.node("Sub", base+"/centred", []string{x, zero})
	x = b.node("Mul", base+"/value", []string{x, scale})
	if typ != onnxio.Float {
		x = b.node("Cast", base+"/cast", []string{x}, intAttr("to", int64(typ)))
	}
	return x
}

// rowCodes builds nodes for the codes of a value by row, whole numbers in float32, and for the steps of its rows.
func rowCodes(b *graphBuilder, m *onnxio.Model, a Activation, value string) (codes, steps string) {
	base, set := a.Name+"/act", m.Opset(onnxio.DefaultDomain)
	x := b.node("Abs", base+"/abs", []string{value})
	if keep := intAttr("keepdims", 1); set < opsetReduceInputs {
		x = b.node("ReduceMax", base+"/most", []string{x}, keep, &onnxio.Attribute{Name: "axes", Type: onnxio.AttrInts, Ints: []int64{-1}})
	} else {
		x = b.node("ReduceMax", base+"/most", []string{x, b.constant(base+"/axis", onnxio.Int64s([]int64{-1}, 1))}, keep)
	}
	x = b.node("Max", base+"/bounded", []string{x, b.constant(base+"/least", onnxio.Floats([]float32{leastRow}))})
	steps = b.node("Div", base+"/steps", []string{x, b.constant(base+"/top", onnxio.Floats([]float32{a.rowTop()}))})
	x = b.node("Div", base+"/scaled", []string{value, steps})
	if set >= opsetRound {
		return b.node("Round", base+"/rounded", []string{x}), steps
	}
	x = b.node("Add", base+"/shifted", []string{x, b.constant(base+"/shift", onnxio.Floats([]float32{0.5}))})
	return b.node("Floor", base+"/rounded", []string{x}), steps
}

func (b *graphBuilder) clip(m *onnxio.Model, x, base string, low, high float32) string {
	if m.Opset(onnxio.DefaultDomain) < opsetClipInputs {
		return b.node("Clip", base+"/clip", []string{x}, floatAttr("max", high), floatAttr("min", low))
	}
	lo := b.constant(base+"/low", onnxio.Floats([]float32{low}))
	hi := b.constant(base+"/high", onnxio.Floats([]float32{high}))
	return b.node("Clip", base+"/clip", []string{x, lo, hi})
}

// insertActivations makes m round the given values, in float arithmetic; z, which may be nil, makes products of codes by row.
func insertActivations(m *onnxio.Model, uses []dataUse, list []Activation, z *integers) error {
	places, of := make([]placed, len(list)), map[string]Activation{}
	for i, a := range list {
		places[i], of[a.Name] = placed{name: a.Name, codes: a.Everywhere, typ: onnxio.Float}, a
	}
	return insert(m, uses, places, func(b *graphBuilder, p placed, value string) string {
		a := of[p.name]
		if z == nil || !a.ByRow {
			return fakeQuantize(b, m, a, value, p.typ)
		}
		others := slices.ContainsFunc(uses, func(d dataUse) bool { return d.node.Inputs[d.input] == p.name && !z.gone[d.node] })
		return z.rowProducts(b, a, value, others)
	})
}
