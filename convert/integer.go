package convert

import (
	"fmt"
	"math"
	"slices"

	"bq/onnxio"
	"bq/packing"
)

// Where the input of a product is coded, and its weights are, a runtime multiplies integers (recipe.md B2, the rules of ONNX Runtime):
//
//	DequantizeLinear(x codes) \
//	DequantizeLinear(int8, a scale for each output, zero point 0) -> Conv, Gemm, MatMul -> [Relu, Clip] -> QuantizeLinear
//	DequantizeLinear(int32, x scale * weight scale)            /
//
// A BatchNormalization behind a Conv goes into scales and bias. Weights that are no int8, as those with a scale for each block, are
// multiplied as floats; ONNX Runtime would quantize them again by its own lights where it sees a DequantizeLinear in front of them, so
// that there values are decoded by Cast, Sub and Mul.

// opsetIntegers is the operator set of exports with coded activations: DequantizeLinear with an axis, Clip of uint8 (ONNX, Changelog.md).
const opsetIntegers = 13

// integers makes products of codes of the weights of a lowering.
type integers struct {
	*lowering
	list     []Activation
	rows     map[string]Activation    // values whose steps follow each row
	byRow    map[string][]*intProduct // the products of these
	acts     map[string]Activation    // values whose readers all see codes
	readers  map[string][]*onnxio.Node
	producer map[string]*onnxio.Node
	constant map[string]*onnxio.Tensor // of the main graph, without the coded ones
	products map[*site]*intProduct
	of       map[*onnxio.Node]*intProduct
	folded   map[string]bool       // values whose steps by channel went into the weights of the Conv that makes them
	through  map[string]bool       // of these, those that stay so until others take them out
	done     map[*onnxio.Node]bool // operators whose weights are int8
	bytes    map[string]string     // constants of one uint8
}

func (l *lowering) integers(list []Activation) *integers {
	z := &integers{lowering: l, list: list, rows: map[string]Activation{}, byRow: map[string][]*intProduct{}, acts: map[string]Activation{}, readers: readersOf(l.model), producer: map[string]*onnxio.Node{},
		constant: map[string]*onnxio.Tensor{}, products: map[*site]*intProduct{}, of: map[*onnxio.Node]*intProduct{},
		folded: map[string]bool{}, through: map[string]bool{}, done: map[*onnxio.Node]bool{}, bytes: map[string]string{}}
	for _, a := range list {
		switch {
		case a.Everywhere:
			z.acts[a.Name] = a
		case a.ByRow:
			z.rows[a.Name] = a
		}
	}
	for _, n := range l.model.Graph.Nodes {
		for _, out := range n.Outputs {
			z.producer[out] = n
		}
	}
	for _, c := range l.model.Constants() {
		if c.Graph == l.model.Graph {
			z.constant[c.Name] = c.Tensor
		}
	}
	for s := range l.coded {
		delete(z.constant, s.Name)
	}
	return z
}

// intProduct is an operator on codes in the making.
type intProduct struct {
	node   *onnxio.Node
	norm   *onnxio.Node // BatchNormalization to take in; nil: none
	axis   int          // of the outputs in the weight
	outs   int
	codes  []int8
	scales []float32 // one, or one for each output
	bias   []float64 // nil: none
	deep   bool      // a depthwise Conv
	rows   bool      // the steps of its inputs follow each row

	weight, steps string // of these: constants
}

// prepare finds the products of codes among the weights, and what values with steps for each channel make of them.
func (z *integers) prepare(list []codedSite) {
	for _, w := range list {
		p, x := z.product(w.site, w.quant, w.view)
		if p == nil || !z.takeBias(p) {
			continue
		}
		if z.takeNorm(p); !p.fits(x.steps()) {
			continue
		}
		z.products[w.site], z.of[p.node] = p, p
	}
	for _, a := range z.list { // in the order of the graph, as what makes a value must be decided before it
		if a.Shifts != nil && a.Everywhere {
			z.fold(a)
		}
	}
	for s, p := range z.products { // steps for each channel that did not go into weights are none for a product
		if a := z.acts[z.source(p.node.Inputs[0])]; a.Shifts != nil && !z.folded[a.Name] {
			delete(z.products, s)
		}
	}
}

// fold lets the Conv that makes a take in the steps of its channels, and depthwise Convs that read it take them out again, so that codes
// have one scale between them; where others read it, or something does not fit, the value keeps its scales, and readers see it as it is.
func (z *integers) fold(a Activation) {
	p := z.maker(a.Name)
	if p == nil || p.outs != len(a.Shifts) {
		return
	}
	if x := z.acts[z.source(p.node.Inputs[0])]; x.Shifts != nil && !z.folded[x.Name] {
		return
	}
	var readers []*intProduct
	for _, n := range z.readers[a.Name] {
		if n == nil || opOf(n) != "Conv" {
			readers = nil
			break
		}
		r := z.of[n]
		if r == nil || n.Inputs[0] != a.Name || !r.deep || r.outs%len(a.Shifts) != 0 {
			return
		}
		readers = append(readers, r)
	}
	p.shift(a.Shifts, 1)
	for _, r := range readers {
		r.shift(a.Shifts, -1)
	}
	z.folded[a.Name], z.through[a.Name] = true, len(readers) > 0
}

// maker returns the product whose output, behind a Relu, is the value of that name.
func (z *integers) maker(name string) *intProduct {
	for _, op := range []string{"Relu", ""} {
		n := z.producer[name]
		if op == "Relu" && n != nil && opOf(n) == op && len(z.readers[n.Input(0)]) == 1 {
			name = n.Input(0)
		}
	}
	for _, p := range z.of {
		if out := p.node.Outputs[0]; p.norm == nil && out == name || p.norm != nil && p.norm.Outputs[0] == name && out != name {
			return p
		}
	}
	return nil
}

// shift multiplies the outputs of a Conv, channel by channel, by two to the power of the shifts, or divides them.
func (p *intProduct) shift(shifts []int8, sign int) {
	per := p.outs / len(shifts)
	if len(p.scales) == 1 {
		p.scales = slices.Repeat(p.scales, p.outs)
	}
	for o := range p.scales {
		k := sign * int(shifts[o/per])
		p.scales[o] = float32(math.Ldexp(float64(p.scales[o]), k))
		if p.bias != nil && sign > 0 {
			p.bias[o] = math.Ldexp(p.bias[o], k)
		}
	}
}

// weight makes the site int8 codes behind a DequantizeLinear, and what multiplies with it an operator on codes; false where it is none.
func (z *integers) weight(b *graphBuilder, s *site) bool {
	p := z.products[s]
	if p == nil {
		return false
	}
	if p.rows {
		shape := []int{}
		if len(p.scales) > 1 {
			shape = []int{p.outs}
		}
		p.weight = b.constant(s.Name+"/codes", &onnxio.Array{Type: onnxio.Int8, Shape: dims(s.Tensor.Dims), Data: p.codes})
		p.steps = b.constant(s.Name+"/scales", onnxio.Floats(p.scales, shape...))
		z.byRow[p.node.Inputs[0]] = append(z.byRow[p.node.Inputs[0]], p)
		z.gone[p.node] = true
		return true
	}
	x := z.acts[z.source(p.node.Inputs[0])]
	shape := []int{}
	var attributes []*onnxio.Attribute
	if len(p.scales) > 1 {
		shape, attributes = []int{p.outs}, []*onnxio.Attribute{intAttr("axis", int64(p.axis))}
	}
	inputs := []string{
		b.constant(s.Name+"/codes", &onnxio.Array{Type: onnxio.Int8, Shape: dims(s.Tensor.Dims), Data: p.codes}),
		b.constant(s.Name+"/scales", onnxio.Floats(p.scales, shape...)),
	}
	if opOf(p.node) == "Gemm" { // ONNX Runtime's QGemm wants zero points; elsewhere none are taken to be 0
		inputs = append(inputs, b.constant(s.Name+"/zeros", &onnxio.Array{Type: onnxio.Int8, Shape: shape, Data: make([]int8, len(p.scales))}))
	}
	b.add("DequantizeLinear", s.Name, inputs, attributes...)
	z.addBias(b, s, p, x.Scale)
	if p.norm != nil {
		p.node.Outputs[0] = p.norm.Outputs[0]
		z.gone[p.norm] = true
	}
	z.done[p.node] = true
	return true
}

// product finds the operator that multiplies codes by s.
func (z *integers) product(s *site, q *packing.Quant, v view) (*intProduct, Activation) {
	none := Activation{}
	if s.Graph != z.model.Graph || len(s.uses) != 1 || len(s.uses[0].moves) > 0 || s.uses[0].input != 1 || s.output || s.Tensor.Type != onnxio.Float {
		return nil, none
	}
	n := s.uses[0].node
	if len(n.Outputs) == 0 {
		return nil, none
	}
	p := &intProduct{node: n}
	switch rank := len(s.Tensor.Dims); {
	case opOf(n) == "Conv" && rank > 2 && z.ends(n):
		p.deep = s.Tensor.Dims[1] == 1 && n.IntAttr("group", 1) > 1
	case opOf(n) == "MatMul" && rank == 2:
		p.axis = 1
	case opOf(n) == "Gemm" && n.IntAttr("transA", 0) == 0 && n.FloatAttr("alpha", 1) == 1 && n.FloatAttr("beta", 1) == 1:
		if n.IntAttr("transB", 0) == 0 {
			p.axis = 1
		}
	default:
		return nil, none
	}
	x, ok := z.acts[z.source(n.Inputs[0])]
	if !ok && opOf(n) == "MatMul" {
		_, ok = z.rows[n.Inputs[0]]
		x.Scale, p.rows = 1, true
	}
	if !ok || v.reshaped || v.axis != -1 && v.axis != p.axis {
		return nil, none
	}
	p.outs = int(s.Tensor.Dims[p.axis])
	var unit float32
	if p.codes, unit, ok = int8Codes(q); !ok {
		return nil, none
	}
	for _, scale := range stretched(q) {
		p.scales = append(p.scales, scale*unit)
	}
	p.revive()
	return p, x
}

// ends reports whether what n makes becomes codes, behind what it absorbs: a Conv that makes floats multiplies floats.
func (z *integers) ends(n *onnxio.Node) bool {
	if len(n.Outputs) == 0 {
		return false
	}
	v := n.Outputs[0]
	for range 3 {
		if z.acts[v].Everywhere {
			return true
		}
		r := z.readers[v]
		if len(r) != 1 || r[0] == nil || len(r[0].Outputs) == 0 {
			return false
		}
		if op := opOf(r[0]); op != "BatchNormalization" && op != "Relu" && op != "Clip" {
			return false
		}
		v = r[0].Outputs[0]
	}
	return false
}

// revive gives outputs without a scale one, and codes of zero: a step of 0 is none.
func (p *intProduct) revive() {
	for o, scale := range p.scales {
		if scale != 0 {
			continue
		}
		p.scales[o] = 1
		for e := range p.codes {
			if len(p.scales) == 1 || p.output(e) == o {
				p.codes[e] = 0
			}
		}
	}
}

// output returns the output that weight e belongs to.
func (p *intProduct) output(e int) int {
	if p.axis == 0 {
		return e / (len(p.codes) / p.outs)
	}
	return e % p.outs
}

// source returns the value that v is, behind Identity and Dropout.
func (z *integers) source(v string) string {
	for range maxMoves {
		n := z.producer[v]
		if n == nil || opOf(n) != "Identity" && opOf(n) != "Dropout" || len(n.Inputs) == 0 {
			break
		}
		v = n.Inputs[0]
	}
	return v
}

// int8Codes returns codes as int8 with zero point 0 and the value of a step before the scale; false where they are none: codes of more
// than 8 bits, zero points far from the middle, codebooks whose levels are not whole multiples of a power of two.
func int8Codes(q *packing.Quant) (codes []int8, unit float32, ok bool) {
	if q.Levels == nil {
		a, _ := signedCodes(q)
		if codes, ok = a.Data.([]int8); ok {
			return codes, 1, true
		}
		return narrowed(a)
	}
	unit = levelUnit(q.Levels)
	if unit == 0 {
		return nil, 0, false
	}
	codes = make([]int8, len(q.Codes))
	for e, c := range q.Codes {
		codes[e] = int8(q.Levels[c] / unit)
	}
	return codes, unit, true
}

// narrowed returns codes of 16 bits as int8, where they fit.
func narrowed(a *onnxio.Array) ([]int8, float32, bool) {
	wide, ok := a.Data.([]int16)
	if !ok {
		return nil, 0, false
	}
	codes := make([]int8, len(wide))
	for e, c := range wide {
		if c < math.MinInt8 || c > math.MaxInt8 {
			return nil, 0, false
		}
		codes[e] = int8(c)
	}
	return codes, 1, true
}

// levelUnit returns the power of two of which all levels are multiples from -127 to 127, 0 where there is none.
func levelUnit(levels []float32) float32 {
	most := float32(0)
	for _, v := range levels {
		most = max(most, float32(math.Abs(float64(v))))
	}
	if !(most > 0) || most-most != 0 {
		return 0
	}
	unit := unitOf(most)
	for _, v := range levels {
		if k := v / unit; k != float32(int32(k)) {
			return 0
		}
	}
	return unit
}

// takeBias notes the constant bias of the operator; false where a value stands there that is computed, or of another shape.
func (z *integers) takeBias(p *intProduct) bool {
	if opOf(p.node) == "MatMul" || p.node.Input(biasInput) == "" {
		return true
	}
	w := z.vector(p.node.Inputs[biasInput], p.outs)
	if w == nil {
		return false
	}
	p.bias = make([]float64, p.outs)
	for i, v := range w {
		p.bias[i] = float64(v)
	}
	return true
}

// vector returns the constant of that name, where it holds n finite floats along its last axis.
func (z *integers) vector(name string, n int) []float32 {
	t := z.constant[name]
	if t == nil || t.Type != onnxio.Float || len(t.Dims) == 0 || product(dims(t.Dims)) != n || int(t.Dims[len(t.Dims)-1]) != n {
		return nil
	}
	a, err := t.Array()
	if err != nil || !finite(a.F32()) {
		return nil
	}
	return a.F32()
}

// takeNorm takes a BatchNormalization that is alone behind a Conv into scales and bias.
func (z *integers) takeNorm(p *intProduct) {
	r := z.readers[p.node.Outputs[0]]
	if opOf(p.node) != "Conv" || len(r) != 1 || r[0] == nil || opOf(r[0]) != "BatchNormalization" || r[0].Inputs[0] != p.node.Outputs[0] {
		return
	}
	n := r[0]
	if len(n.Inputs) < 5 || len(n.Outputs) != 1 || n.IntAttr("training_mode", 0) != 0 {
		return
	}
	var v [4][]float32 // scale, B, mean, variance
	for i := range v {
		if v[i] = z.vector(n.Inputs[1+i], p.outs); v[i] == nil {
			return
		}
	}
	gain := make([]float64, p.outs)
	for o := range gain {
		gain[o] = float64(v[0][o]) / math.Sqrt(float64(v[3][o])+float64(n.FloatAttr("epsilon", defaultNormEpsilon)))
		if gain[o]-gain[o] != 0 {
			return
		}
	}
	if !p.scale(gain) {
		return
	}
	bias := make([]float64, p.outs)
	for o := range bias {
		bias[o] = float64(v[1][o]) - float64(float64(v[2][o])*gain[o])
		if p.bias != nil {
			bias[o] += float64(p.bias[o] * gain[o])
		}
	}
	p.bias, p.norm = bias, n
}

// scale multiplies the weights of each output; false, and nothing is changed, where a scale would have to leave float32. Of codes that change
// their sign, -128 becomes 127.
func (p *intProduct) scale(gain []float64) bool {
	per := len(p.codes) / p.outs // a Conv's outputs come first
	for o, g := range gain {
		if float64(p.scales[min(o, len(p.scales)-1)])*math.Abs(g) > math.MaxFloat32 {
			return false
		}
	}
	scales := make([]float32, p.outs)
	for o, g := range gain {
		row := p.codes[o*per : (o+1)*per]
		s := float64(p.scales[min(o, len(p.scales)-1)])
		if scales[o] = float32(s * math.Abs(g)); scales[o] == 0 {
			g, scales[o] = 0, 1
		}
		for i := range row {
			switch {
			case g < 0:
				row[i] = -max(row[i], -math.MaxInt8)
			case g == 0:
				row[i] = 0
			}
		}
	}
	p.scales = scales
	return true
}

// maxBiasCode bounds the codes of biases: the sums of products have the other half of int32 (internal/infer refuses more as well).
const maxBiasCode = 1 << 30

// maxCoarse bounds the terms of a sum whose codes are made coarser for the sake of a large bias: each of them is then off by at most
// 255/2 steps of 2^-28 of the bias, all together by less than a 1024th of it, which 8 bits of the result do not show.
const maxCoarse = 1 << 11

// leastStep bounds the steps of products from below: smaller ones are no normal float32.
const leastStep = 0x1p-126

// fits reports whether the bias can be written in steps of the products, where the steps of the inputs are x, one or one for each channel
// of a depthwise Conv. Outputs whose weights are too small beside their bias get a larger scale.
func (p *intProduct) fits(steps []float32) bool {
	if p.bias == nil {
		return true
	}
	if len(steps) > 1 && (!p.deep || p.outs%len(steps) != 0) {
		return false
	}
	for o, v := range p.bias {
		most, x := math.Abs(v), float64(steps[o*len(steps)/p.outs])
		step := x * float64(p.scales[min(o, len(p.scales)-1)])
		if step >= leastStep && most < step*maxBiasCode {
			continue
		}
		if len(p.codes)/p.outs > maxCoarse {
			return false
		}
		scale := float32(max(most/(maxBiasCode/4), 2*leastStep) / x)
		if scale-scale != 0 {
			return false
		}
		p.coarsen(o, scale)
	}
	return true
}

// coarsen gives output o a larger scale, and its codes the nearest values that it has.
func (p *intProduct) coarsen(o int, scale float32) {
	if len(p.scales) == 1 {
		p.scales = slices.Repeat(p.scales, p.outs)
	}
	ratio := float64(p.scales[o]) / float64(scale)
	for e, c := range p.codes {
		if p.output(e) == o {
			p.codes[e] = int8(math.RoundToEven(float64(c) * ratio))
		}
	}
	p.scales[o] = scale
}

// addBias gives the operator its bias as int32 behind a DequantizeLinear.
func (z *integers) addBias(b *graphBuilder, s *site, p *intProduct, x float32) {
	if p.bias == nil {
		return
	}
	codes, scales := make([]int32, p.outs), make([]float32, len(p.scales))
	for i, w := range p.scales {
		scales[i] = x * w
	}
	for o, v := range p.bias {
		codes[o] = int32(math.RoundToEven(v / float64(scales[min(o, len(scales)-1)])))
	}
	shape := []int{}
	var attributes []*onnxio.Attribute
	if len(scales) > 1 {
		shape, attributes = []int{p.outs}, []*onnxio.Attribute{intAttr("axis", 0)}
	}
	out := fresh(z.names, s.Name+"/bias")
	inputs := []string{
		b.constant(s.Name+"/bias/codes", &onnxio.Array{Type: onnxio.Int32, Shape: []int{p.outs}, Data: codes}),
		b.constant(s.Name+"/bias/scales", onnxio.Floats(scales, shape...)),
	}
	if opOf(p.node) == "Gemm" {
		inputs = append(inputs, b.constant(s.Name+"/bias/zeros", &onnxio.Array{Type: onnxio.Int32, Shape: shape, Data: make([]int32, len(scales))}))
	}
	b.add("DequantizeLinear", out, inputs, attributes...)
	for len(p.node.Inputs) <= biasInput {
		p.node.Inputs = append(p.node.Inputs, "")
	}
	p.node.Inputs[biasInput] = out
}

// code makes every value of acts codes: QuantizeLinear, for less than 8 bits Clip, and DequantizeLinear for who reads it; products
// of floats read what Cast, Sub and Mul make of the codes.
func (z *integers) code(list []Activation) error {
	z.readers, z.producer = readersOf(z.model), map[string]*onnxio.Node{}
	for _, n := range z.model.Graph.Nodes {
		for _, out := range n.Outputs {
			z.producer[out] = n
		}
	}
	floats := z.floats()
	var places []placed
	for _, a := range list {
		if a.Everywhere {
			places = append(places, placed{name: a.Name, codes: true, typ: onnxio.Float})
		}
	}
	return insert(z.model, nil, places, func(b *graphBuilder, p placed, value string) string {
		a, base := z.acts[p.name], p.name
		scale := b.constant(base+"/scale", onnxio.Floats([]float32{a.Scale}))
		zero := z.byte(b, "zero_point", a.Zero)
		decode := []string{scale, zero}
		var axis []*onnxio.Attribute
		if a.Shifts != nil && !z.through[p.name] {
			axis, decode = []*onnxio.Attribute{intAttr("axis", 1)}, []string{
				b.constant(base+"/scales", onnxio.Floats(a.steps(), len(a.Shifts))),
				b.constant(base+"/zeros", &onnxio.Array{Type: onnxio.Uint8, Shape: []int{len(a.Shifts)}, Data: slices.Repeat([]uint8{a.Zero}, len(a.Shifts))}),
			}
			if !z.folded[p.name] {
				scale, zero = decode[0], decode[1]
			}
		}
		encode := axis
		if z.folded[p.name] {
			encode = nil
		}
		codes := b.node("QuantizeLinear", base+"/codes", []string{value, scale, zero}, encode...)
		if top := 1<<a.Bits - 1; top < math.MaxUint8 {
			codes = b.node("Clip", base+"/clip", []string{codes, z.byte(b, "code", 0), z.byte(b, "code", uint8(top))})
		}
		if list := floats[p.name]; list != nil {
			x := b.node("Cast", base+"/cast", []string{codes}, intAttr("to", int64(onnxio.Float)))
			x = b.node("Sub", base+"/centred", []string{x, b.constant(base+"/zero/float", onnxio.Floats([]float32{float32(a.Zero)}))})
			x = b.node("Mul", base+"/value", []string{x, z.factor(b, base, &a)})
			for _, r := range list {
				r.node.Inputs[r.input] = x
			}
		}
		return b.node("DequantizeLinear", base+"/decoded", append([]string{codes}, decode...), axis...)
	})
}

// carried are the operators that ONNX Runtime takes a DequantizeLinear behind, or a QuantizeLinear in front of, or a Conv absorbs: codes
// on one side of them are codes on the other.
var carried = map[string]bool{"Identity": true, "Dropout": true, "Pad": true, "MaxPool": true, "Reshape": true, "Flatten": true, "Transpose": true,
	"Squeeze": true, "Unsqueeze": true, "Slice": true}

// floatInput is where a value goes into a product of floats, or into what carries it there.
type floatInput struct {
	node  *onnxio.Node
	input int
}

// floats returns, by coded value, where products of floats read it whose weights ONNX Runtime would quantize: those between codes.
func (z *integers) floats() map[string][]floatInput {
	list := map[string][]floatInput{}
	for _, n := range z.model.Graph.Nodes {
		if op := opOf(n); op != "Conv" && op != "ConvTranspose" && op != "Gemm" || z.done[n] || !z.becomesCodes(n) {
			continue
		}
		for i := range n.Inputs[:min(2, len(n.Inputs))] {
			at := floatInput{n, i}
			for range maxMoves {
				v := at.node.Inputs[at.input]
				from := z.producer[v]
				if z.acts[v].Everywhere {
					if !slices.Contains(list[v], at) {
						list[v] = append(list[v], at)
					}
					break
				}
				if from == nil || !carried[opOf(from)] || len(from.Inputs) == 0 {
					break
				}
				at = floatInput{from, 0}
			}
		}
	}
	return list
}

// becomesCodes reports whether ONNX Runtime may find that what n makes becomes codes: as ends does, and behind operators that carry codes or
// that it folds into n.
func (z *integers) becomesCodes(n *onnxio.Node) bool {
	for range maxMoves {
		if len(n.Outputs) == 0 {
			break
		}
		v := n.Outputs[0]
		if z.acts[v].Everywhere {
			return true
		}
		r := z.readers[v]
		if len(r) != 1 || r[0] == nil {
			break
		}
		n = r[0]
		switch op := opOf(n); {
		case carried[op], op == "BatchNormalization", op == "Relu", op == "Clip":
		case (op == "Mul" || op == "Add" || op == "Sub" || op == "Div") && slices.ContainsFunc(n.Inputs, func(in string) bool { return z.constant[in] != nil }):
		default:
			return false
		}
	}
	return false
}

// rowProducts adds the products of a value whose steps follow each row, each under the name of the one that it stands for:
//
//	MatMulInteger(int8 codes, int8 weights) * steps of the rows * scales of the outputs
//
// and returns the rounded value for others, where there are any.
func (z *integers) rowProducts(b *graphBuilder, a Activation, value string, others bool) string {
	codes, steps := rowCodes(b, z.model, a, value)
	if list := z.byRow[a.Name]; len(list) > 0 {
		narrow := b.node("Cast", a.Name+"/act/codes", []string{codes}, intAttr("to", int64(onnxio.Int8)))
		for _, p := range list {
			out := p.node.Outputs[0]
			x := b.node("MatMulInteger", out+"/sums", []string{narrow, p.weight})
			x = b.node("Cast", out+"/float", []string{x}, intAttr("to", int64(onnxio.Float)))
			x = b.node("Mul", out+"/rows", []string{x, steps})
			b.add("Mul", out, []string{x, p.steps})
		}
	}
	if !others {
		return value
	}
	return b.node("Mul", a.Name+"/act/value", []string{codes, steps})
}

// byte returns a constant of one uint8, the same for all who ask for it.
func (z *integers) byte(b *graphBuilder, what string, v uint8) string {
	key := fmt.Sprintf("%s/%d", what, v)
	if z.bytes[key] == "" {
		z.bytes[key] = b.constant(key, &onnxio.Array{Type: onnxio.Uint8, Shape: []int{}, Data: []uint8{v}})
	}
	return z.bytes[key]
}

// factor adds the steps of a in a shape that broadcasts over its values.
func (z *integers) factor(b *graphBuilder, base string, a *Activation) string {
	shape := []int{}
	if a.Shifts != nil {
		shape = append([]int{len(a.Shifts)}, ones(a.Rank-2)...)
	}
	return b.constant(base+"/steps", onnxio.Floats(a.steps(), shape...))
}

// prune takes constants away that nothing reads any more: biases and statistics that went into others.
func (z *integers) prune() {
	readers := readersOf(z.model)
	unread := func(name string) bool {
		return z.constant[name] != nil && len(z.readers[name]) > 0 && len(readers[name]) == 0
	}
	g := z.model.Graph
	g.Initializers = slices.DeleteFunc(g.Initializers, func(t *onnxio.Tensor) bool { return unread(t.Name) })
	g.Inputs = slices.DeleteFunc(g.Inputs, func(v *onnxio.ValueInfo) bool { return unread(v.Name) })
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *onnxio.Node) bool {
		return opOf(n) == "Constant" && len(n.Outputs) == 1 && unread(n.Outputs[0])
	})
}
