package convert

import (
	"math"

	"bq/balance"
	"bq/onnxio"
)

// Activation is a value that is rounded to codes on its way into the operators of quantized weights:
//
//	x -> (clamp(round(x/Scale) + Zero, 0, 2^Bits-1) - Zero) * Scale
type Activation struct {
	Name  string  `json:"name"`
	Bits  int     `json:"bits"`
	Low   float32 `json:"low"`  // the range that calibration chose
	High  float32 `json:"high"` //
	Scale float32 `json:"scale"`
	Zero  uint8   `json:"zero"`
}

// newActivation codes the range [low, high] in the given bits.
func newActivation(name string, low, high float32, bits int) Activation {
	scale, zero := balance.ActivationParams(low, high, bits)
	return Activation{Name: name, Bits: bits, Low: low, High: high, Scale: scale, Zero: zero}
}

// round returns v rounded as a says: what fakeQuantize's nodes compute from operator set 11 on.
func (a Activation) round(v *onnxio.Array) *onnxio.Array {
	out := onnxio.NewArray(v.Type, v.Shape...)
	y, zero, top := out.F32(), float32(a.Zero), float32(int(1)<<a.Bits-1)
	for i, x := range v.F32() {
		code := float32(math.RoundToEven(float64(x/a.Scale))) + zero
		y[i] = onnxio.Round(v.Type, (min(max(code, 0), top)-zero)*a.Scale)
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

// insert puts what build makes between each named value and its data uses. build returns the name of the value that
// takes its place there. A value without data uses is an error.
func insert(m *onnxio.Model, uses []dataUse, values []string, build func(b *graphBuilder, value string, typ onnxio.DataType) string) error {
	readers := map[string][]dataUse{}
	for _, d := range uses {
		name := d.node.Inputs[d.input]
		readers[name] = append(readers[name], d)
	}
	producer := map[string]*onnxio.Node{}
	for _, n := range m.Graph.Nodes {
		for _, out := range n.Outputs {
			producer[out] = n
		}
	}
	names := valueNames(m)
	after := map[*onnxio.Node][]*onnxio.Node{} // nil: in front of all
	for _, value := range values {
		if len(readers[value]) == 0 {
			return &onnxio.FormatError{Where: "activation " + onnxio.Quote(value), Text: "no weighted node reads a value of that name"}
		}
		b := &graphBuilder{names: names, model: m, graph: m.Graph}
		out := build(b, value, readers[value][0].typ)
		for _, d := range readers[value] {
			d.node.Inputs[d.input] = out
		}
		after[producer[value]] = append(after[producer[value]], b.nodes...)
	}
	nodes := after[nil]
	for _, n := range m.Graph.Nodes {
		nodes = append(append(nodes, n), after[n]...)
	}
	m.Graph.Nodes = nodes
	return nil
}

// Operator sets from which Clip takes its bounds as inputs, and which brought Round (ONNX, Changelog.md).
const (
	opsetClipInputs = 11
	opsetRound      = 11
)

// fakeQuantize builds nodes that round value as a says, in float arithmetic of the model's operator set. QuantizeLinear
// and DequantizeLinear would say it shorter, but ONNX Runtime takes a DequantizeLinear in front of a Conv or Gemm as
// leave to quantize float weights to 8 bits by itself, and then computes something else.
func fakeQuantize(b *graphBuilder, m *onnxio.Model, a Activation, value string, typ onnxio.DataType) string {
	x, base := value, a.Name+"/act"
	if typ != onnxio.Float {
		x = b.node("Cast", base+"/float", []string{x}, intAttr("to", int64(onnxio.Float)))
	}
	scale := b.constant(base+"/scale", onnxio.Floats([]float32{a.Scale}))
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

func (b *graphBuilder) clip(m *onnxio.Model, x, base string, low, high float32) string {
	if m.Opset(onnxio.DefaultDomain) < opsetClipInputs {
		return b.node("Clip", base+"/clip", []string{x}, floatAttr("max", high), floatAttr("min", low))
	}
	lo := b.constant(base+"/low", onnxio.Floats([]float32{low}))
	hi := b.constant(base+"/high", onnxio.Floats([]float32{high}))
	return b.node("Clip", base+"/clip", []string{x, lo, hi})
}

// insertActivations makes m round the given values on their way into the data uses.
func insertActivations(m *onnxio.Model, uses []dataUse, list []Activation) error {
	values := make([]string, len(list))
	of := map[string]Activation{}
	for i, a := range list {
		values[i], of[a.Name] = a.Name, a
	}
	return insert(m, uses, values, func(b *graphBuilder, value string, typ onnxio.DataType) string {
		return fakeQuantize(b, m, of[value], value, typ)
	})
}
