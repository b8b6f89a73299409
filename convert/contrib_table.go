package convert

import "bq/onnxio"

// table returns what makes a Gather of rows of the table u an operator that decodes those it reads.
func (c *contrib) table(s *site, w *whole, u use) (taker, Why) {
	n, shape := u.node, u.shape(dims(s.Tensor.Dims))
	rank := len(shape)
	if axis := n.IntAttr("axis", 0); rank < 2 || axis != 0 && axis != -int64(rank) || product(shape) == 0 || product(shape) > maxMatrix-1 || len(n.Inputs) != 2 {
		return nil, WhyOp
	}
	k := shape[rank-1]
	r := w.rowsOf(product(shape[:rank-1]), k, readOrder(u, product(shape)))
	var sizes []int
	for _, bits := range []int{2, 4, 8} {
		if k*bits%8 == 0 { // rows are packed without padding
			sizes = append(sizes, bits)
		}
	}
	bits, middle := r.field(sizes...)
	if bits == 0 {
		return nil, WhyLevels
	}
	block := r.limit
	if block == 0 { // the row
		for block = smallestBlock; block < k; block *= 2 {
		}
	}
	if block < smallestBlock {
		return nil, WhyBlocks
	}
	return func(b *graphBuilder) {
		p := r.pack(bits, block, middle, false)
		to := func(last int) []int { return append(append([]int{}, shape[:rank-1]...), last) }
		inputs := []string{
			b.constant(s.Name+"/codes", &onnxio.Array{Type: onnxio.Uint8, Shape: to(k * bits / 8), Data: p.codes}), n.Inputs[1],
			b.constant(s.Name+"/scales", onnxio.Floats(p.scales, to(p.blocks)...)), ""}
		if p.zeros != nil {
			inputs[3] = b.constant(s.Name+"/zeros", &onnxio.Array{Type: onnxio.Uint8, Shape: to(len(p.zeros) / r.n), Data: p.zeros})
		}
		c.become(n, "GatherBlockQuantized", inputs, intAttr("bits", int64(bits)), intAttr("block_size", int64(block)), intAttr("gather_axis", 0),
			intAttr("quantize_axis", int64(rank-1)))
		c.stored(s, w, bits)
	}, ""
}
