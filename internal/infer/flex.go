package infer

import (
	"fmt"

	"bq/internal/kernel"
	"bq/onnxio"
)

// bindFlexAttention: softmax over Q * K' * scale, where graph attributes may change the scores before the softmax and
// the probabilities after it (ai.onnx.preview).
func bindFlexAttention(b *binding) runFunc {
	scale, hasScale := b.float("scale", 0), b.has("scale")
	b.ignore("softmax_precision")
	var mods [2]*graph
	for i, name := range []string{"score_mod", "prob_mod"} {
		if !b.has(name) {
			continue
		}
		if mods[i] = b.subgraph(name); mods[i] != nil && (len(mods[i].inputs) != 1 || len(mods[i].outputs) != 1) {
			b.malformed("attribute %q: want one input and one output", name)
		}
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		a, err := r.openAttend(in[0], in[1], in[2])
		if err != nil {
			return nil, err
		}
		if hasScale {
			a.scale = scale
		}
		s, err := r.new(onnxio.Float, a.batch, a.heads, a.queries, a.keys)
		if err != nil {
			return nil, err
		}
		a.score, a.stage = s.F32(), stageProduct
		y, err := a.run(r)
		if err != nil || mods[0] == nil && mods[1] == nil {
			return one(r.castFrom(y, in[0].Type, err))
		}
		if s, err = r.modified(mods[0], s); err != nil {
			return nil, err
		}
		p, err := r.new(onnxio.Float, s.Shape...)
		if err != nil {
			return nil, err
		}
		kernel.Softmax(p.F32(), s.F32(), a.batch*a.heads*a.queries, a.keys, 1)
		if p, err = r.modified(mods[1], p); err != nil {
			return nil, err
		}
		y = a.weighted(y, p.F32())
		return one(r.cast(y, in[0].Type))
	}
}

// castFrom is cast of a result that may have failed.
func (r *run) castFrom(v *onnxio.Array, t onnxio.DataType, err error) (*onnxio.Array, error) {
	if err != nil {
		return nil, err
	}
	return r.cast(v, t)
}

// modified runs a graph of one input and one output of the same shape on float32 values; nil changes nothing.
func (r *run) modified(g *graph, v *onnxio.Array) (*onnxio.Array, error) {
	if g == nil {
		return v, nil
	}
	outs, err := r.graph(g, r.frame, []*onnxio.Array{v})
	if err != nil {
		return nil, err
	}
	if !equalShape(outs[0].Shape, v.Shape) {
		return nil, fmt.Errorf("modified scores of shape %v, want %v", outs[0].Shape, v.Shape)
	}
	return r.cast(outs[0], onnxio.Float)
}

// weighted writes the product of the probabilities p and v to y.
func (a *attend) weighted(y *onnxio.Array, p []float32) *onnxio.Array {
	clear(y.F32())
	rows, values := a.queries*a.keys, a.keys*a.vSize
	for n := range a.batch * a.heads {
		kv := n/a.heads*a.kvHeads + n%a.heads/(a.heads/a.kvHeads)
		kernel.Gemm(y.F32()[n*a.queries*a.vSize:(n+1)*a.queries*a.vSize], a.vSize, a.queries, a.vSize, a.keys,
			kernel.RowMajor(p[n*rows:(n+1)*rows], a.keys), kernel.RowMajor(a.v[kv*values:(kv+1)*values], a.vSize), 1)
	}
	return y
}
