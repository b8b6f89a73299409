package infer

import (
	"fmt"

	"bq/onnxio"
)

// dropout holds what Dropout's bind function reads. The ratio and, from version 12 on, the mode are inputs.
type dropout struct {
	node     *node
	seed     uint32
	wantMask bool
	version  int64
}

// bindDropout: the input itself and a mask of true; in training mode (version 12 on) the elements for which a uniform
// number is below the ratio become 0, the others are divided by 1 - ratio, and the mask tells which.
func bindDropout(b *binding) runFunc {
	z := &dropout{node: b.node, seed: b.nameSeed(), wantMask: len(b.node.Outputs) > 1, version: b.version}
	b.ignore("ratio")
	if b.has("seed") {
		z.seed = uint32(b.int("seed", 0))
	}
	return z.run
}

func (z *dropout) run(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
	ratio, err := scalarOr(in[1], 0.5)
	if err != nil {
		return nil, err
	}
	training := false
	if in[2] != nil {
		if training, err = truth(in[2]); err != nil {
			return nil, err
		}
	}
	if !(ratio >= 0 && ratio < 1) && training {
		return nil, fmt.Errorf("dropping a ratio of %v", ratio)
	}
	if training && ratio > 0 {
		return z.drop(r, in[0], float32(ratio))
	}
	if !z.wantMask {
		return in[:1], nil
	}
	mask, err := z.mask(r, in[0])
	return []*onnxio.Array{in[0], mask}, err
}

// mask returns the mask of inference: from version 12 on all true; the specification leaves it open before, and ONNX
// Runtime gives zeros.
func (z *dropout) mask(r *run, x *onnxio.Array) (*onnxio.Array, error) {
	switch {
	case z.version < 10:
		return r.new(x.Type, x.Shape...)
	case z.version < 12:
		return r.new(onnxio.Bool, x.Shape...)
	}
	return r.expand(&onnxio.Array{Type: onnxio.Bool, Shape: []int{}, Data: []bool{true}}, x.Shape)
}

func (z *dropout) drop(r *run, x *onnxio.Array, ratio float32) ([]*onnxio.Array, error) {
	g, scale := r.generator(z.node, z.seed), 1/(1-ratio)
	mask, err := r.new(onnxio.Bool, x.Shape...)
	if err != nil {
		return nil, err
	}
	kept := mask.Data.([]bool)
	out, err := r.pooled(x, x.Shape, func(dst, src []float32) {
		for i, v := range src {
			if kept[i] = g.float32() >= ratio; kept[i] {
				dst[i] = v * scale
			}
		}
	})
	return append(out, mask), err
}
