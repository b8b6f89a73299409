package convert

import (
	"slices"
	"strings"

	"bq/onnxio"
)

// ONNX Runtime has operators of its own for quantized weights (docs/ContribOperators.md there), in place of arithmetic that it runs in float:
//
//	MatMul, Gemm -> MatMulNBits: codes of 4 bits in blocks of inputs, which meet activations as floats
//	Gather       -> GatherBlockQuantized: codes of 2, 4 and 8 bits in blocks along the last axis, decoded where they are read
//	LSTM         -> DynamicQuantizeLSTM: int8, a scale for each row of a gate
//	MatMul, Gemm -> DynamicQuantizeMatMul: int8, a scale for each output
//	MatMul       -> MatMulIntegerToFloat: int8 and coded values, as ONNX Runtime would have it where no Add is behind
//
// The first two and the last compute with the values of the other forms. The others round their activations to 8 bits, in the range
// that they find, and stand only where the model's activations are quantized, at inputs that stayed float: how much that is off is
// part of what was asked for there. What all of them take was found by running them (ONNX Runtime 1.32, processors with AVX-512 and VNNI), as was what
// serves: a product of [1, 512] and [64, 512] by [512, 2048] takes with float weights 156 and 735 us on one thread,
//
//	MatMulNBits, activations in float   4 bits 74, 870   2 bits 1,900, 2,850   8 bits 990, 1,740
//	the same, activations of 8 bits     4 bits 22, 989   2 bits 49, 2,197      8 bits 26, 864
//	DynamicQuantizeMatMul               21, 99
//
// so that codes of 2 bits take the room of 4, and 8 bits meet float activations as floats.

// domainRuntime is the domain of ONNX Runtime's own operators, versionRuntime the only version there is.
const (
	domainRuntime  = "com.microsoft"
	versionRuntime = 1
)

// Left is a weight that FormORT holds as FormQDQ does.
type Left struct {
	Name string
	Op   string // that reads it
	Why  Why
}

// Why says why a weight got no operator of ONNX Runtime's own.
type Why string

// The reasons, as they stand in JSON.
const (
	WhyOp     Why = "op"     // there is none for the operator that reads it, or for this input or shape of it
	WhyForm   Why = "form"   // there is none for the attributes or the bias of the operator that reads it
	WhyType   Why = "type"   // other than float32
	WhyPlace  Why = "place"  // in a local function, or read in another graph
	WhyLevels Why = "levels" // a codebook whose levels are no whole multiples of a step, or codes of too many bits
	WhyBlocks Why = "blocks" // scales for other blocks than 16, 32, 64... along the inputs
	WhySmall  Why = "small"  // fewer inputs than the smallest block
	WhySlow   Why = "slow"   // more than 4 bits, and float activations
	WhyRounds Why = "rounds" // the operator would round activations, and those of the model are float
	WhyCoded  Why = "coded"  // more than 4 bits, and activations that are codes already, which the operator would round again
	WhyPair   Why = "pair"   // the operator wants both weights of the LSTM as int8, and the other is not
)

// contrib puts weights of a lowering into ONNX Runtime's own operators.
type contrib struct {
	*lowering
	z         *integers       // products of codes, which go first; nil: there are none
	acts      map[string]bool // coded values
	constants map[value]*onnxio.Tensor
	readers   map[string][]*onnxio.Node // before
	producer  map[string]*onnxio.Node
	made      map[string]int // operators
}

// taker replaces what a use computes; it is called once all uses of a weight have one.
type taker func(b *graphBuilder)

// contrib puts every weight that waits, and that some operator of ONNX Runtime's own takes, into such an operator. The others follow
// when activations are coded: finish.
func (l *lowering) contrib(z *integers, list []Activation) *contrib {
	c := &contrib{lowering: l, z: z, acts: map[string]bool{}, constants: map[value]*onnxio.Tensor{}, readers: readersOf(l.model),
		producer: map[string]*onnxio.Node{}, made: map[string]int{}}
	for _, a := range list {
		c.acts[a.Name] = true
	}
	for _, n := range l.model.Graph.Nodes {
		for _, out := range n.Outputs {
			c.producer[out] = n
		}
	}
	for _, t := range l.model.Constants() {
		if t.Graph != nil {
			c.constants[value{t.Graph, t.Name}] = t.Tensor
		} else if slices.Contains(l.model.Graph.Nodes, t.Node) {
			c.constants[value{l.model.Graph, t.Name}] = t.Tensor
		}
	}
	for s := range l.coded {
		delete(c.constants, value{s.Graph, s.Name})
	}
	for _, w := range l.waiting {
		if l.replaced[w.site] || z != nil && z.products[w.site] != nil {
			continue
		}
		if why := c.take(w); why != "" {
			l.counts.Left = append(l.counts.Left, Left{w.site.name, w.site.op(), why})
		}
	}
	return c
}

// finish makes products of codes ONNX Runtime's own, and takes what nothing reads any more out of the rebuilt graph.
func (c *contrib) finish() {
	c.sweep()
	if c.z != nil {
		c.integerProducts()
	}
	for op, n := range c.made {
		c.counts.Contrib = append(c.counts.Contrib, OpCount{op, n})
	}
	slices.SortFunc(c.counts.Contrib, func(a, b OpCount) int { return strings.Compare(a.Op, b.Op) })
	if len(c.made) > 0 && c.model.Opset(domainRuntime) == 0 {
		c.model.Opsets = append(c.model.Opsets, &onnxio.Opset{Domain: domainRuntime, Version: versionRuntime})
	}
}

// take puts w into operators where all its uses have one, else it says why not.
func (c *contrib) take(w codedSite) Why {
	s := w.site
	if why := c.reach(s); why != "" {
		return why
	}
	if opOf(s.uses[0].node) == "LSTM" {
		return c.takeLSTM(w)
	}
	codes, ok := wholeCodes(w.quant)
	if !ok {
		return c.unlikeCodes(s)
	}
	var takers []taker
	for _, u := range s.uses {
		t, why := c.use(s, codes, u)
		if why != "" {
			return why
		}
		takers = append(takers, t)
	}
	b := &graphBuilder{names: c.names, model: c.model, graph: s.Graph}
	for _, t := range takers {
		t(b)
	}
	c.leave(b, s)
	return ""
}

// unlikeCodes tells of a weight whose codes no operator takes: WhyOp where none would take any.
func (c *contrib) unlikeCodes(s *site) Why {
	for _, u := range s.uses {
		switch op := opOf(u.node); {
		case (op == "MatMul" || op == "Gemm") && u.input == 1, op == "Gather" && u.input == 0:
		default:
			return WhyOp
		}
	}
	return WhyLevels
}

// reach says why nodes cannot be replaced that read s: all must stand beside it, and read float32.
func (c *contrib) reach(s *site) Why {
	if s.function != nil || s.output || len(s.uses) == 0 {
		return WhyPlace
	}
	for _, u := range s.uses {
		if s.Tensor.Type != onnxio.Float || u.typ(s.Tensor.Type) != onnxio.Float {
			return WhyType
		}
		for _, mv := range u.moves {
			if !slices.Contains(s.Graph.Nodes, mv.node) {
				return WhyPlace
			}
		}
		if !slices.Contains(s.Graph.Nodes, u.node) {
			return WhyPlace
		}
	}
	return ""
}

// use returns what replaces the node of u.
func (c *contrib) use(s *site, w *whole, u use) (taker, Why) {
	switch op := opOf(u.node); {
	case (op == "MatMul" || op == "Gemm") && u.input == 1:
		return c.product(s, w, u)
	case op == "Gather" && u.input == 0:
		return c.table(s, w, u)
	}
	return nil, WhyOp
}

// leave takes s and what moved its elements out of the graph.
func (c *contrib) leave(b *graphBuilder, s *site) {
	for _, u := range s.uses {
		for _, mv := range u.moves {
			c.gone[mv.node] = true
		}
	}
	c.replaced[s] = true
	c.nodes[s.Graph] = append(c.nodes[s.Graph], b.nodes...)
}

// become makes n another operator, of ONNX Runtime's own, and counts it.
func (c *contrib) become(n *onnxio.Node, op string, inputs []string, attributes ...*onnxio.Attribute) {
	for len(inputs) > 0 && inputs[len(inputs)-1] == "" {
		inputs = inputs[:len(inputs)-1]
	}
	n.OpType, n.Domain, n.Inputs, n.Attributes = op, domainRuntime, inputs, attributes
	c.made[op]++
}

// stored notes the bits of the codes of s where they are not those of the container.
func (c *contrib) stored(s *site, w *whole, bits int) {
	if i := len(c.counts.Widened) - 1; i >= 0 && c.counts.Widened[i].Name == s.name {
		c.counts.Widened[i].BitsNow = max(c.counts.Widened[i].BitsNow, bits)
	} else if bits > w.bits {
		c.counts.Widened = append(c.counts.Widened, Widened{Name: s.name, Bits: w.bits, BitsNow: bits})
	}
}

// source returns the value that v is, behind Identity and Dropout.
func (c *contrib) source(v string) string {
	for range maxMoves {
		n := c.producer[v]
		if c.acts[v] || n == nil || opOf(n) != "Identity" && opOf(n) != "Dropout" || len(n.Inputs) == 0 {
			break
		}
		v = n.Inputs[0]
	}
	return v
}

// sweep takes constants away that nothing reads any more: shapes and biases of operators that went.
func (c *contrib) sweep() {
	readers, g := readersOf(c.model), c.model.Graph
	unread := func(name string) bool {
		return c.constants[value{g, name}] != nil && len(c.readers[name]) > 0 && len(readers[name]) == 0
	}
	g.Initializers = slices.DeleteFunc(g.Initializers, func(t *onnxio.Tensor) bool { return unread(t.Name) })
	g.Inputs = slices.DeleteFunc(g.Inputs, func(v *onnxio.ValueInfo) bool { return unread(v.Name) })
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *onnxio.Node) bool {
		return opOf(n) == "Constant" && len(n.Outputs) == 1 && unread(n.Outputs[0])
	})
}
