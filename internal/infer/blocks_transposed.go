package infer

import (
	"bq/internal/kernel"
	"bq/onnxio"
)

// blockedTranspose is a transposed convolution in blocks, with what follows.
type blockedTranspose struct {
	*fusedConvolution
	channels, outputs int
	after             func(span []float32)
	packed            *kernel.BlockTransposed
}

// transposed takes a transposed convolution of one group over one or two dimensions, whose padding is given.
func (b *blocking) transposed(nd *node, f *fusedConvolution) bool {
	rank, in := len(f.w.Shape), nd.in[0]
	explicit := f.window.autoPad == "NOTSET" || f.window.autoPad == "VALID"
	if f.w.Type != onnxio.Float || rank != 3 && rank != 4 || f.w.Len() == 0 || f.group != 1 || f.sum || !explicit || f.out != nil {
		return false
	}
	c := &blockedTranspose{fusedConvolution: f, channels: f.w.Shape[0], outputs: f.w.Shape[1]}
	if f.bias != nil && f.bias.Len() != c.outputs || !fills(c.outputs) || !b.fits(in, c.channels) {
		return false
	}
	spatial := make([]int, rank-2) // phases do not depend on the size
	for i := range spatial {
		spatial[i] = 1 << 10
	}
	w, _, err := f.window.backward(spatial, f.w.Shape[2:], f.extra, nil)
	if err != nil || w.In[0] != 1 {
		return false
	}
	var bias []float32
	if f.bias != nil {
		bias = f.bias.F32()
	}
	if c.packed = kernel.PackBlocksTransposed(f.w.F32(), bias, c.channels, c.outputs, w); c.packed == nil {
		return false
	}
	if f.tail.f != nil {
		c.after = func(span []float32) { f.tail.f(span, span) }
	}
	slots := []int{b.enter(nd, onnxio.Float, in, c.channels)}
	b.rank[nd.out[0]] = rank
	b.produce(nd, slots, c.outputs, c.run)
	b.count++
	return true
}

func (c *blockedTranspose) run(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
	size := c.fusedConvolution.w.Shape[2:]
	n, spatial := in[0].Shape[0], spatialOf(in[0])
	if len(spatial) != len(size) || !equalShape(c.window.sizeOr(size), size) {
		return nil, nil
	}
	w, to, err := c.window.backward(spatial, size, c.extra, nil)
	if err != nil || !c.packed.Fits(w) {
		return nil, nil
	}
	out, err := r.blank(onnxio.Float, blockShape(n, c.outputs, to)...)
	if err != nil || arrayBytes(out) > r.limit-r.live { // phases are laid out beside it
		return nil, nil
	}
	c.packed.Run(out.F32(), in[0].F32(), n, w, c.tail.epilogue(), c.after, r.threads)
	return out, nil
}
