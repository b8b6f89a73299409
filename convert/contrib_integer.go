package convert

import (
	"slices"

	"bq/onnxio"
)

// integerProducts makes each MatMul of int8 and coded values the operator that ONNX Runtime makes of it, MatMulIntegerToFloat, which computes
// sums of products of codes, times both scales. Left to itself ONNX Runtime first takes a MatMul and the Add behind it for a Gemm, and
// multiplies floats.
func (c *contrib) integerProducts() {
	g := c.model.Graph
	producer := map[string]*onnxio.Node{}
	for _, n := range g.Nodes {
		for _, out := range n.Outputs {
			producer[out] = n
		}
	}
	read := map[*onnxio.Node]bool{} // what decodes for products, and may be left without readers
	for _, n := range g.Nodes {
		if opOf(n) != "MatMul" || !c.z.done[n] {
			continue
		}
		x, w := producer[c.z.source(n.Inputs[0])], producer[n.Inputs[1]]
		if !decodes(x) || !decodes(w) || x.Input(2) == "" || x.Attr("axis") != nil {
			continue
		}
		read[x], read[w] = true, true
		c.become(n, "MatMulIntegerToFloat", []string{x.Inputs[0], w.Inputs[0], x.Inputs[1], w.Inputs[1], x.Inputs[2]})
		c.counts.Integer--
	}
	readers := readersOf(c.model)
	var zeros []string
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *onnxio.Node) bool {
		if !read[n] || len(readers[n.Outputs[0]]) > 0 {
			return false
		}
		zeros = append(zeros, n.Input(2))
		return true
	})
	readers = readersOf(c.model)
	unread := func(name string) bool { return slices.Contains(zeros, name) && len(readers[name]) == 0 }
	g.Initializers = slices.DeleteFunc(g.Initializers, func(t *onnxio.Tensor) bool { return unread(t.Name) })
	g.Inputs = slices.DeleteFunc(g.Inputs, func(v *onnxio.ValueInfo) bool { return unread(v.Name) })
}

// decodes reports whether n is a DequantizeLinear.
func decodes(n *onnxio.Node) bool { return n != nil && opOf(n) == "DequantizeLinear" }
