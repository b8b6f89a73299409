package convert

import (
	"slices"

	"bq/onnxio"
)

// widestFloat is the widest code that MatMulNBits multiplies by float activations faster than a product of floats is.
const widestFloat = 4

// roundingLevel is the accuracy_level at which MatMulNBits may round activations to 8 bits, block by block; by default it does not.
const roundingLevel = 4

// product returns what makes a MatMul or Gemm, whose weight is u, an operator on codes.
func (c *contrib) product(s *site, w *whole, u use) (taker, Why) {
	n, shape := u.node, u.shape(dims(s.Tensor.Dims))
	if len(shape) != 2 || product(shape) > maxMatrix-1 {
		return nil, WhyOp
	}
	if opOf(n) == "Gemm" && (n.IntAttr("transA", 0) != 0 || n.FloatAttr("alpha", 1) != 1 || n.Input(biasInput) != "" && n.FloatAttr("beta", 1) != 1) {
		return nil, WhyForm
	}
	m, ok := matrixOf(u, dims(s.Tensor.Dims))
	if !ok {
		return nil, WhyOp
	}
	bias, ok := c.bias(s.Graph, n, m.rows)
	if !ok {
		return nil, WhyForm
	}
	r := w.rowsOf(m.rows, m.cols, m.stored)
	coded := c.acts[c.source(n.Inputs[0])]
	if c.rounds && !coded {
		if codes, scales, ok := r.transposed(); ok {
			return func(b *graphBuilder) {
				c.become(n, "DynamicQuantizeMatMul", []string{n.Inputs[0],
					b.constant(s.Name+"/codes", &onnxio.Array{Type: onnxio.Int8, Shape: []int{r.k, r.n}, Data: codes}),
					b.constant(s.Name+"/scales", onnxio.Floats(scales, r.n)), "", bias(b)})
				c.stored(s, w, 8)
			}, ""
		}
	}
	return c.blocks(s, &r, n, bias, coded)
}

// blocks returns what makes n a MatMulNBits by r.
func (c *contrib) blocks(s *site, r *rows, n *onnxio.Node, bias func(*graphBuilder) string, coded bool) (taker, Why) {
	bits, middle := r.field(4, 8)
	switch {
	case bits == 0:
		return nil, WhyLevels
	case r.k < smallestBlock:
		return nil, WhySmall
	case bits > widestFloat && coded:
		return nil, WhyCoded
	case bits > widestFloat && !c.rounds:
		return nil, WhySlow
	}
	block := r.block(bits)
	if block == 0 {
		return nil, WhyBlocks
	}
	return func(b *graphBuilder) {
		p := r.pack(bits, block, middle, true)
		inputs := []string{n.Inputs[0],
			b.constant(s.Name+"/codes", &onnxio.Array{Type: onnxio.Uint8, Shape: []int{r.n, p.blocks, block * bits / 8}, Data: p.codes}),
			b.constant(s.Name+"/scales", onnxio.Floats(p.scales, r.n, p.blocks)), "", "", ""}
		if p.zeros != nil {
			inputs[3] = b.constant(s.Name+"/zeros", &onnxio.Array{Type: onnxio.Uint8, Shape: []int{r.n, len(p.zeros) / r.n}, Data: p.zeros})
		}
		inputs[5] = bias(b)
		attributes := []*onnxio.Attribute{intAttr("K", int64(r.k)), intAttr("N", int64(r.n)), intAttr("bits", int64(bits)), intAttr("block_size", int64(block))}
		if bits > widestFloat {
			attributes = append(attributes, intAttr("accuracy_level", roundingLevel))
		}
		c.become(n, "MatMulNBits", inputs, attributes...)
		c.stored(s, r.whole, bits)
	}, ""
}

// bias returns what gives the name of the bias of n, a vector of outputs elements, "" where there is none; false where it is none.
func (c *contrib) bias(g *onnxio.Graph, n *onnxio.Node, outputs int) (func(*graphBuilder) string, bool) {
	name := n.Input(biasInput)
	if opOf(n) != "Gemm" || name == "" {
		return func(*graphBuilder) string { return "" }, true
	}
	from := name
	if g == c.model.Graph {
		from = c.source(name)
	}
	t := c.constants[value{g, from}]
	if t == nil || t.Type != onnxio.Float || len(t.Dims) == 0 || product(dims(t.Dims)) != outputs || int(t.Dims[len(t.Dims)-1]) != outputs {
		return nil, false
	}
	if slices.Equal(t.Dims, []int64{int64(outputs)}) {
		return func(*graphBuilder) string { return name }, true
	}
	a, err := t.Array()
	if err != nil {
		return nil, false
	}
	return func(b *graphBuilder) string { return b.constant(name, a.Reshaped(outputs)) }, true
}
