package convert

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"bq/internal/opset"
	"bq/onnxio"
	"bq/packing"
)

// Form says in which operators a restored model holds its quantized weights. All forms compute with the same
// values of weights, bit for bit.
type Form int

const (
	// FormFloat holds plain values in the tensors' own types.
	FormFloat Form = iota
	// FormQDQ holds codes: DequantizeLinear for affine ones where the model's operator set has it for their type and
	// groups, else Cast, Sub and Mul; Gather from a table and Mul for codebooks.
	FormQDQ
	// FormORT holds codes in operators of ONNX Runtime's own where these serve (contrib.go), the others as FormQDQ does, but for
	// weights that runtimes multiply as floats, which they fold only behind Cast, Sub and Mul.
	FormORT

	// formRounding is FormORT of a model whose activations are quantized, so that operators may round them.
	formRounding
)

// stored gives the entry of a container by tensor name, nil where there is none.
type stored func(name string) (*packing.Tensor, error)

// lowering fills a graph without values from stored tensors.
type lowering struct {
	model  *onnxio.Model
	form   Form
	rounds bool // operators may round activations to 8 bits
	stored stored
	used   int
	names  map[string]bool // every value name of the model
	coded  map[*site]bool  // the sites whose entry is quantized

	waiting  []codedSite           // weights that get their nodes when all constants have values
	replaced map[*site]bool        // by nodes that compute their values
	gone     map[*onnxio.Node]bool // BatchNormalizations that scales and biases take in
	nodes    map[*onnxio.Graph][]*onnxio.Node
	counts   Lowered
}

// Lowered counts what FormQDQ and FormORT made of the quantized weights.
type Lowered struct {
	Integer    int       // behind DequantizeLinear, as products of codes want them
	Dequantize int       // behind DequantizeLinear
	Gather     int       // behind Gather from a codebook
	Arithmetic int       // behind Cast, Sub and Mul
	Contrib    []OpCount // operators of ONNX Runtime's own, by name
	Left       []Left    // what FormORT found no such operator for, but products of codes
	Unraised   error     // why activations are rounded in float arithmetic: operators that the operator set of codes does not have; nil: they are not
	Plain      []string  // weights left as plain values: their blocks cross the rows of the tensor
	Widened    []Widened // weights of other than 8 or 16 bits, whose codes take the next of these
}

// OpCount says how many nodes of an operator there are.
type OpCount struct {
	Op    string
	Count int
}

// Widened is a weight whose codes take more bits in the restored model than in the container.
type Widened struct {
	Name    string
	Bits    int
	BitsNow int
}

// codedSite is a weight whose nodes are still to be made.
type codedSite struct {
	*site
	quant *packing.Quant
	view  view
}

// lower gives every site of m that has a stored entry its values again, and makes the values of list codes. It fails where entry and graph
// disagree, and where fewer than want entries are used. The data uses it returns are where activations meet quantized weights.
func lower(m *onnxio.Model, form Form, list []Activation, get stored, want int) (*Lowered, []dataUse, error) {
	l := &lowering{model: m, form: min(form, FormORT), rounds: form == formRounding, stored: get, names: valueNames(m), coded: map[*site]bool{},
		replaced: map[*site]bool{}, gone: map[*onnxio.Node]bool{}, nodes: map[*onnxio.Graph][]*onnxio.Node{}}
	all, err := sites(m)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range all {
		if err := l.site(s); err != nil {
			return nil, nil, err
		}
	}
	if l.used != want {
		return nil, nil, &onnxio.FormatError{Where: "container", Text: fmt.Sprintf("%d tensors, the graph has a place for %d", l.used, want)}
	}
	if err := l.activations(all, list); err != nil {
		return nil, nil, err
	}
	return &l.counts, dataUses(m, all, func(s *site) bool { return l.coded[s] }), nil
}

// activations makes the nodes of the weights that wait for theirs, and those that code values.
func (l *lowering) activations(all []*site, list []Activation) error {
	if err := checkFit(l.model, dataUses(l.model, all, func(s *site) bool { return l.coded[s] }), list); err != nil {
		return err
	}
	var z *integers
	if l.form != FormFloat && runForm(list) == FormQDQ {
		if l.counts.Unraised = opset.Raise(l.model, opsetIntegers); l.counts.Unraised == nil {
			fix(l.model)
			z = l.integers(list)
			z.prepare(l.waiting)
		}
	}
	uses := dataUses(l.model, all, func(s *site) bool { return l.coded[s] })
	if l.form == FormORT {
		defer l.contrib(z, list).finish()
	}
	for _, w := range l.waiting {
		if !l.replaced[w.site] {
			l.codes(w.site, w.quant, w.view, z)
		}
	}
	l.rebuild()
	if z == nil {
		return insertActivations(l.model, uses, list, nil)
	}
	z.prune()
	rest := slices.DeleteFunc(slices.Clone(list), func(a Activation) bool { return a.Everywhere })
	if err := insertActivations(l.model, uses, rest, z); err != nil {
		return err
	}
	return z.code(list)
}

// valueNames returns the names of all values of all graphs and functions, so that new ones can avoid them.
func valueNames(m *onnxio.Model) map[string]bool {
	names := map[string]bool{}
	m.EachGraph(func(g *onnxio.Graph, _ string) {
		for _, v := range g.Inputs {
			names[v.Name] = true
		}
		for _, t := range g.Initializers {
			names[t.Name] = true
		}
		for _, n := range g.Nodes {
			for _, out := range n.Outputs {
				names[out] = true
			}
		}
	})
	for _, f := range m.Functions {
		for _, name := range f.Inputs {
			names[name] = true
		}
		for _, n := range f.Nodes {
			for _, out := range n.Outputs {
				names[out] = true
			}
		}
	}
	return names
}

// fresh returns base, or base with a number behind it where a value of that name exists.
func fresh(names map[string]bool, base string) string {
	name := base
	for i := 2; names[name]; i++ {
		name = fmt.Sprintf("%s.%d", base, i)
	}
	names[name] = true
	return name
}

func (l *lowering) site(s *site) error {
	if s.listForm() {
		return nil
	}
	t, err := l.stored(s.name)
	if err != nil {
		return err
	}
	if t == nil {
		return &onnxio.FormatError{Where: "tensor " + onnxio.Quote(s.name), Text: "in the graph, not in the container"}
	}
	l.used++
	if err := s.agrees(t); err != nil {
		return err
	}
	if t.Quant == nil {
		s.Tensor.SetRaw(t.Data)
		return nil
	}
	l.coded[s] = true
	view, ok := viewOf(t.Quant.Layout, dims(t.Shape))
	if l.form == FormFloat {
		s.Tensor.SetRaw(floatBytes(t))
		return nil
	}
	if !ok { // of no axis
		view.axis = -2
	}
	l.waiting = append(l.waiting, codedSite{s, t.Quant, view})
	return nil
}

// agrees compares a stored entry with the tensor that the graph declares.
func (s *site) agrees(t *packing.Tensor) error {
	same := int32(s.Tensor.Type) == t.Type && len(s.Tensor.Dims) == len(t.Shape)
	for i := 0; same && i < len(t.Shape); i++ {
		same = s.Tensor.Dims[i] == t.Shape[i]
	}
	if !same {
		return &onnxio.FormatError{
			Where: "tensor " + onnxio.Quote(s.name),
			Text:  fmt.Sprintf("stored as %v %v, the graph has %v %v", onnxio.DataType(t.Type), t.Shape, s.Tensor.Type, s.Tensor.Dims),
		}
	}
	return nil
}

// values returns the values of a quantized tensor, rounded to its element type.
func values(t *packing.Tensor) []float32 {
	w := make([]float32, t.Quant.Len())
	t.Quant.Dequantize(w)
	roundTo(onnxio.DataType(t.Type), w)
	return w
}

// floatBytes returns the values of a quantized tensor as raw_data of its element type.
func floatBytes(t *packing.Tensor) []byte { return rawFloats(onnxio.DataType(t.Type), values(t)) }

// rawFloats returns values as raw_data of the float type typ.
func rawFloats(typ onnxio.DataType, w []float32) []byte {
	switch typ {
	case onnxio.Double:
		raw := make([]byte, 8*len(w))
		for i, v := range w {
			binary.LittleEndian.PutUint64(raw[8*i:], math.Float64bits(float64(v)))
		}
		return raw
	case onnxio.Float:
		raw := make([]byte, 4*len(w))
		for i, v := range w {
			binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(v))
		}
		return raw
	}
	return onnxio.NewTensor("", &onnxio.Array{Type: typ, Shape: []int{len(w)}, Data: w}).Raw
}

// graphBuilder puts constants and nodes in front of a graph's nodes.
type graphBuilder struct {
	names map[string]bool
	model *onnxio.Model
	graph *onnxio.Graph
	nodes []*onnxio.Node

	function bool // graph is the body of a local function
}

// constant adds a constant and returns its name, which starts with base: an initializer, which before IR version 4 must
// be a graph input too. The inputs of a subgraph are not free, and a function has no initializers: there it is a Constant
// node.
func (b *graphBuilder) constant(base string, a *onnxio.Array) string {
	name := fresh(b.names, base)
	listed := b.model.IRVersion < firstIRWithoutInputs
	if b.function || listed && b.graph != b.model.Graph {
		b.nodes = append(b.nodes, &onnxio.Node{OpType: "Constant", Outputs: []string{name}, Attributes: []*onnxio.Attribute{
			{Name: "value", Type: onnxio.AttrTensor, T: onnxio.NewTensor("", a)},
		}})
		return name
	}
	b.graph.Initializers = append(b.graph.Initializers, onnxio.NewTensor(name, a))
	if listed {
		b.graph.Inputs = append(b.graph.Inputs, constantInput(name, a.Type, a.Shape))
	}
	return name
}

// constantInput declares an initializer as a graph input.
func constantInput(name string, typ onnxio.DataType, shape []int) *onnxio.ValueInfo {
	t := &onnxio.TensorType{Elem: typ, HasShape: true}
	for _, d := range shape {
		t.Shape = append(t.Shape, onnxio.Dim{Value: int64(d), Known: true})
	}
	return &onnxio.ValueInfo{Name: name, Type: t}
}

// node adds a node and returns its output, a new name that starts with base.
func (b *graphBuilder) node(op, base string, inputs []string, attributes ...*onnxio.Attribute) string {
	out := fresh(b.names, base)
	b.add(op, out, inputs, attributes...)
	return out
}

func (b *graphBuilder) add(op, out string, inputs []string, attributes ...*onnxio.Attribute) {
	b.nodes = append(b.nodes, &onnxio.Node{OpType: op, Inputs: inputs, Outputs: []string{out}, Attributes: attributes})
}

func intAttr(name string, v int64) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrInt, I: v}
}

func floatAttr(name string, v float32) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrFloat, F: v}
}

// firstIRWithoutInputs is the IR version from which initializers need not be graph inputs too (ONNX IR.md).
const firstIRWithoutInputs = 4

// codes replaces the site by nodes that compute its values from codes; z, which may be nil, makes products of codes.
func (l *lowering) codes(s *site, q *packing.Quant, v view, z *integers) {
	if v.codes == nil { // no operator of a standard form takes its blocks
		l.counts.Plain = append(l.counts.Plain, s.name)
		s.Tensor.SetRaw(floatBytes(&packing.Tensor{Type: int32(s.Tensor.Type), Quant: q}))
		return
	}
	b := &graphBuilder{names: l.names, model: l.model, graph: s.Graph, function: s.function != nil}
	out := s.Name
	if s.Tensor.Type != onnxio.Float {
		out = fresh(l.names, s.Name+"/float")
	}
	if z != nil && z.weight(b, s) {
		l.counts.Integer++
	} else if q.Levels != nil {
		l.counts.Gather++
		l.codebook(b, s, q, v, out)
	} else if axis, ok := v.dequantizeAxis(l.opset(s), q.Bits); ok && z == nil && l.form == FormQDQ { // what is not part of a product runtimes fold only as arithmetic
		l.counts.Dequantize++
		l.dequantize(b, s, q, out, axis)
	} else {
		l.counts.Arithmetic++
		l.arithmetic(b, s, q, v, out)
	}
	if out != s.Name {
		b.add("Cast", s.Name, []string{out}, intAttr("to", int64(s.Tensor.Type)))
	}
	if now := (q.Bits + 7) &^ 7; now > q.Bits {
		l.counts.Widened = append(l.counts.Widened, Widened{Name: s.name, Bits: q.Bits, BitsNow: now})
	}
	l.replaced[s] = true
	l.nodes[s.Graph] = append(l.nodes[s.Graph], b.nodes...)
}

// opset returns the version of ONNX's own operators where s stands: a local function imports them for itself.
func (l *lowering) opset(s *site) int64 {
	if s.function == nil {
		return l.model.Opset(onnxio.DefaultDomain)
	}
	for _, o := range s.function.Opsets {
		if onnxio.CanonicalDomain(o.Domain) == onnxio.DefaultDomain {
			return o.Version
		}
	}
	return 0
}

// rebuild takes the replaced sites out of their graphs and puts the new nodes in front.
func (l *lowering) rebuild() {
	gone := map[any]bool{}
	inputs := map[value]bool{}
	functions := map[*onnxio.Graph]*onnxio.Function{}
	for n := range l.gone {
		gone[n] = true
	}
	for s := range l.replaced {
		functions[s.Graph] = s.function
		if s.Node != nil {
			gone[s.Node] = true
		} else {
			gone[s.Tensor] = true
			inputs[value{s.Graph, s.Name}] = true
		}
	}
	for g, nodes := range l.nodes {
		g.Nodes = append(nodes, without(g.Nodes, func(n *onnxio.Node) bool { return gone[n] })...)
		g.Initializers = without(g.Initializers, func(t *onnxio.Tensor) bool { return gone[t] })
		g.Inputs = without(g.Inputs, func(v *onnxio.ValueInfo) bool { return inputs[value{g, v.Name}] })
		if f := functions[g]; f != nil {
			f.Nodes = g.Nodes
		}
	}
}

// without returns a new list of the elements of list for which drop is false.
func without[T any](list []T, drop func(T) bool) []T {
	var kept []T
	for _, v := range list {
		if !drop(v) {
			kept = append(kept, v)
		}
	}
	return kept
}

// codebook: Mul(Gather(levels, codes), scales).
func (l *lowering) codebook(b *graphBuilder, s *site, q *packing.Quant, v view, out string) {
	levels := b.constant(s.Name+"/levels", onnxio.Floats(q.Levels, len(q.Levels)))
	codes := b.constant(s.Name+"/codes", &onnxio.Array{Type: onnxio.Uint8, Shape: v.codes, Data: q.Codes})
	index := b.node("Cast", s.Name+"/index", []string{codes}, intAttr("to", int64(onnxio.Int32)))
	unit := b.node("Gather", s.Name+"/unit", []string{levels, index}, intAttr("axis", 0))
	l.scale(b, s, q, v, unit, out)
}

// arithmetic: Mul(Sub(Cast(codes), zeros), scales).
func (l *lowering) arithmetic(b *graphBuilder, s *site, q *packing.Quant, v view, out string) {
	codes, zeros := signedCodes(q)
	codes.Shape = v.codes
	name := b.constant(s.Name+"/codes", codes)
	unit := b.node("Cast", s.Name+"/unit", []string{name}, intAttr("to", int64(onnxio.Float)))
	if zeros != nil {
		z := make([]float32, len(zeros))
		for i, zero := range zeros {
			z[i] = float32(zero)
		}
		zero := b.constant(s.Name+"/zeros", onnxio.Floats(v.order(z), v.scales...))
		unit = b.node("Sub", s.Name+"/centred", []string{unit, zero})
	}
	l.scale(b, s, q, v, unit, out)
}

// scale ends a chain: Mul by the scales, and Reshape where the codes have a shape of their own.
func (l *lowering) scale(b *graphBuilder, s *site, q *packing.Quant, v view, unit, out string) {
	scales := b.constant(s.Name+"/scales", onnxio.Floats(v.order(stretched(q)), v.scales...))
	if !v.reshaped {
		b.add("Mul", out, []string{unit, scales})
		return
	}
	product := b.node("Mul", s.Name+"/blocks", []string{unit, scales})
	shape := b.constant(s.Name+"/shape", onnxio.Int64s(append([]int64{}, s.Tensor.Dims...), len(s.Tensor.Dims)))
	b.add("Reshape", out, []string{product, shape})
}

// dequantize: DequantizeLinear(codes, scales, zeros) along axis, or per tensor where axis is -1.
func (l *lowering) dequantize(b *graphBuilder, s *site, q *packing.Quant, out string, axis int) {
	codes, zeros := signedCodes(q)
	codes.Shape = dims(s.Tensor.Dims)
	shape := []int{}
	var attributes []*onnxio.Attribute
	if axis >= 0 {
		shape = []int{len(q.Scales)}
		attributes = append(attributes, intAttr("axis", int64(axis)))
	}
	zero := &onnxio.Array{Type: codes.Type, Shape: shape}
	switch {
	case zeros != nil:
		zero.Data = zeros
	case codes.Type == onnxio.Int16:
		zero.Data = make([]int16, len(q.Scales))
	default:
		zero.Data = make([]int8, len(q.Scales))
	}
	b.add("DequantizeLinear", out, []string{
		b.constant(s.Name+"/codes", codes),
		b.constant(s.Name+"/scales", onnxio.Floats(stretched(q), shape...)),
		b.constant(s.Name+"/zeros", zero),
	}, attributes...)
}

// stretched returns the scales as values are decoded with.
func stretched(q *packing.Quant) []float32 {
	scales := make([]float32, len(q.Scales))
	for g := range scales {
		scales[g] = q.Scale(g)
	}
	return scales
}

// signedCodes returns affine codes as int8 with zero point 0 where code - zero fits every group, which is the form
// that integer kernels want; else as uint8 with the zero points, one per group. Codes of more than 8 bits, whose zero
// point is the middle, are int16 with zero point 0.
func signedCodes(q *packing.Quant) (codes *onnxio.Array, zeros []uint8) {
	if q.Bits > packing.MaxNarrow {
		wide := make([]int16, len(q.Wide))
		for e, c := range q.Wide {
			wide[e] = int16(int(c) - q.Zero(0))
		}
		return &onnxio.Array{Type: onnxio.Int16, Data: wide}, nil
	}
	zeros = q.Zeros
	if zeros == nil {
		zeros = make([]uint8, len(q.Scales))
		for i := range zeros {
			zeros[i] = 1 << (q.Bits - 1)
		}
	}
	signed := make([]int8, len(q.Codes))
	for e, c := range q.Codes {
		v := int(c) - int(zeros[groupOf(q.Layout, e)])
		if v < math.MinInt8 || v > math.MaxInt8 {
			return &onnxio.Array{Type: onnxio.Uint8, Data: q.Codes}, zeros
		}
		signed[e] = int8(v)
	}
	return &onnxio.Array{Type: onnxio.Int8, Data: signed}, nil
}

// groupOf returns the group of element e: packing.Layout's formula.
func groupOf(l packing.Layout, e int) int {
	i, rest := e%l.Inner, e/l.Inner
	c, o := rest%l.Channels, rest/l.Channels
	if l.Block == 0 {
		return c
	}
	return c*l.BlocksPerChannel() + (o*l.Inner+i)/l.Block
}
