package infer

import (
	"fmt"

	"bq/onnxio"
)

// Attention, MultiHeadAttention and GroupQueryAttention of the com.microsoft domain.
// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md

// fused holds what the three have in common. Dimensions: batch B, sequence S, keys T, heads N, head size H.
type fused struct {
	heads, kvHeads int
	scale          float32
	filter         float32 // added to the scores of masked keys
	causal         bool
}

func (b *binding) fused() *fused {
	f := &fused{heads: int(b.int("num_heads", 0)), scale: b.float("scale", 0),
		filter: b.float("mask_filter_value", -10000), causal: b.bool("unidirectional", false)}
	f.kvHeads = f.heads
	if f.heads < 1 {
		b.malformed("attribute \"num_heads\" is %d", f.heads)
	}
	return f
}

// refuseInputs refuses the node where it has any of these inputs.
func (b *binding) refuseInputs(inputs ...int) {
	for _, i := range inputs {
		if b.given(i) {
			b.refuse("input %d", i)
		}
	}
}

// refuseUnless refuses the node where an integer attribute is set to anything but want.
func (b *binding) refuseUnless(name string, want int64) {
	if v := b.int(name, want); v != want {
		b.refuse("attribute %s = %d", onnxio.Quote(name), v)
	}
}

// attend runs attention on q [B, N, S, H] and k, v [B, N, T, H] and returns [B, S, N*H] in the type of q. mask and bias
// add to the scores; either may be nil. With causal set, query i sees the keys up to T - S + i.
func (f *fused) attend(r *run, q, k, v *onnxio.Array, mask func(row []float32, b, h, i int), bias *onnxio.Array) (*onnxio.Array, error) {
	a, err := r.openAttend(q, k, v)
	if err != nil {
		return nil, err
	}
	if f.scale != 0 {
		a.scale = f.scale
	}
	add, err := maskAdder(bias, []int{a.batch, a.heads, a.queries, a.keys})
	if err != nil {
		return nil, err
	}
	past := a.keys - a.queries
	a.bias = func(row []float32, b, h, i int) {
		if mask != nil {
			mask(row, b, h, i)
		}
		if add != nil {
			add(row, b, h, i)
		}
		if f.causal {
			keepRange(row, 0, past+i+1)
		}
	}
	y, err := a.run(r)
	if err != nil {
		return nil, err
	}
	if y, err = r.joinHeads(y); err != nil {
		return nil, err
	}
	return r.cast(y, q.Type)
}

// keyMask returns a function that adds the filter value to the scores of masked keys. The mask is one of
//
//	[B]        keys from this number on are masked
//	[2*B]      end and, after all of them, start of the keys that are not
//	[3*B+2]    refused: lengths and offsets of packed sequences
//	[B, T]     0 masks
//	[B, S, T]  0 masks, for each query
func (f *fused) keyMask(mask *onnxio.Array, batch, queries, keys int) (func(row []float32, b, h, i int), error) {
	if mask == nil {
		return nil, nil
	}
	if mask.Type != onnxio.Int32 && mask.Type != onnxio.Int64 {
		return nil, typeError(mask)
	}
	m := mask.Ints()
	var visible func(b, i, j int) bool
	switch {
	case equalShape(mask.Shape, []int{batch}):
		visible = func(b, _, j int) bool { return int64(j) < m[b] }
	case equalShape(mask.Shape, []int{2 * batch}):
		visible = func(b, _, j int) bool { return int64(j) < m[b] && int64(j) >= m[batch+b] }
	case equalShape(mask.Shape, []int{batch, keys}):
		visible = func(b, _, j int) bool { return m[b*keys+j] != 0 }
	case equalShape(mask.Shape, []int{batch, queries, keys}):
		visible = func(b, i, j int) bool { return m[(b*queries+i)*keys+j] != 0 }
	default:
		return nil, fmt.Errorf("mask of shape %v for %d entries, %d queries and %d keys", mask.Shape, batch, queries, keys)
	}
	return func(row []float32, b, _, i int) {
		for j := range row {
			if !visible(b, i, j) {
				row[j] += f.filter
			}
		}
	}, nil
}

// bindFusedAttention: input [B, S, I] times weights [I, N*H of q, k and v] plus bias, split into q, k and v, with past
// [2, B, N, P, H] before k and v; outputs Y and present.
func bindFusedAttention(b *binding) runFunc {
	f, sizes := b.fused(), b.ints("qkv_hidden_sizes")
	b.ignore("rotary_embedding_dim")
	b.refuseUnless("do_rotary", 0)
	b.refuseUnless("past_present_share_buffer", 0)
	b.refuseInputs(6)
	if sizes != nil && (len(sizes) != 3 || !positive(sizes)) {
		b.malformed("attribute \"qkv_hidden_sizes\": %v", sizes)
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		qkv, err := f.project(r, in[0], in[1], in[2], sizes)
		if err != nil {
			return nil, err
		}
		q, k, v := qkv[0], qkv[1], qkv[2]
		if in[4] != nil {
			if k, v, err = r.prependPast(in[4], k, v); err != nil {
				return nil, err
			}
		}
		mask, err := f.keyMask(in[3], q.Shape[0], q.Shape[2], k.Shape[2])
		if err != nil {
			return nil, err
		}
		y, err := f.attend(r, q, k, v, mask, in[5])
		if err != nil || len(b.node.Outputs) < 2 {
			return one(y, err)
		}
		present, err := r.stack([]*onnxio.Array{k, v})
		return []*onnxio.Array{y, present}, err
	}
}

// project returns q, k and v [B, N, S, H] of the input.
func (f *fused) project(r *run, x, weights, bias *onnxio.Array, sizes []int) ([]*onnxio.Array, error) {
	if len(x.Shape) != 3 || len(weights.Shape) != 2 {
		return nil, fmt.Errorf("attention over shape %v with weights %v", x.Shape, weights.Shape)
	}
	if sizes == nil {
		third := weights.Shape[1] / 3
		sizes = []int{third, third, third}
	}
	all, err := r.matmul(x, weights)
	if err != nil {
		return nil, err
	}
	if all, err = r.sum(all, bias); err != nil {
		return nil, err
	}
	return f.parts(r, all, sizes, x.Type)
}

// parts splits the last dimension into q, k and v and each into heads.
func (f *fused) parts(r *run, all *onnxio.Array, sizes []int, t onnxio.DataType) ([]*onnxio.Array, error) {
	list, err := r.split(all, 2, sizes, len(sizes))
	if err != nil {
		return nil, err
	}
	for i, v := range list {
		heads := f.heads
		if i > 0 {
			heads = f.kvHeads
		}
		if v, err = r.splitHeads(v, heads); err != nil {
			return nil, err
		}
		if list[i], err = r.cast(v, t); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// prependPast joins past [2, B, N, P, H] and the new keys and values.
func (r *run) prependPast(past, k, v *onnxio.Array) (*onnxio.Array, *onnxio.Array, error) {
	if len(past.Shape) != 5 || past.Shape[0] != 2 {
		return nil, nil, fmt.Errorf("past of shape %v", past.Shape)
	}
	halves, err := r.split(past, 0, []int{1, 1}, 2)
	if err != nil {
		return nil, nil, err
	}
	if k, err = r.concat([]*onnxio.Array{halves[0].Reshaped(past.Shape[1:]...), k}, 2); err != nil {
		return nil, nil, err
	}
	v, err = r.concat([]*onnxio.Array{halves[1].Reshaped(past.Shape[1:]...), v}, 2)
	return k, v, err
}

// bindMultiHeadAttention: query [B, S, N*H] with key and value [B, T, N*H], or [B, N, T, H] without bias, or all three
// packed as query [B, S, N, 3, H]; outputs Y, present_key and present_value.
func bindMultiHeadAttention(b *binding) runFunc {
	f := b.fused()
	b.refuseInputs(8, 9)
	b.refuseOutputs(3)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		q, k, v, err := f.unpack(r, in[0], in[1], in[2], in[3])
		if err != nil {
			return nil, err
		}
		if in[6] != nil && in[7] != nil {
			if k, err = r.concat([]*onnxio.Array{in[6], k}, 2); err != nil {
				return nil, err
			}
			if v, err = r.concat([]*onnxio.Array{in[7], v}, 2); err != nil {
				return nil, err
			}
		}
		mask, err := f.keyMask(in[4], q.Shape[0], q.Shape[2], k.Shape[2])
		if err != nil {
			return nil, err
		}
		y, err := f.attend(r, q, k, v, mask, in[5])
		return []*onnxio.Array{y, k, v}, err
	}
}

// unpack returns q, k and v [B, N, S, H] from the forms that MultiHeadAttention takes. bias holds the biases of q, k and
// v one after the other.
func (f *fused) unpack(r *run, query, key, value, bias *onnxio.Array) (q, k, v *onnxio.Array, err error) {
	parts := []*onnxio.Array{query, key, value}
	switch {
	case key == nil && len(query.Shape) == 5 && query.Shape[3] == 3:
		if parts, err = r.unstack(query, 3); err != nil {
			return nil, nil, nil, err
		}
	case key != nil && value == nil && len(key.Shape) == 5 && key.Shape[3] == 2:
		kv, err := r.unstack(key, 3)
		if err != nil {
			return nil, nil, nil, err
		}
		parts = []*onnxio.Array{query, kv[0], kv[1]}
	case key == nil || value == nil:
		return nil, nil, nil, fmt.Errorf("query of shape %v without key or value", query.Shape)
	}
	at := 0
	for i, p := range parts {
		if len(p.Shape) == 4 && i > 0 { // cross attention: keys and values come in heads
			continue
		}
		if len(p.Shape) != 3 {
			return nil, nil, nil, fmt.Errorf("attention over shape %v", p.Shape)
		}
		if bias != nil {
			width := p.Shape[2]
			part, err := r.slice(bias, []int{at}, []int{at + width}, []int{0}, []int{1})
			if err != nil {
				return nil, nil, nil, err
			}
			if p, err = r.sum(p, part); err != nil {
				return nil, nil, nil, err
			}
			at += width
		}
		if p, err = r.splitHeads(p, f.heads); err != nil {
			return nil, nil, nil, err
		}
		if parts[i], err = r.cast(p, query.Type); err != nil {
			return nil, nil, nil, err
		}
	}
	return parts[0], parts[1], parts[2], nil
}

// unstack returns the entries of packed [B, S, N, n, H] along its fourth dimension as [B, S, N*H].
func (r *run) unstack(v *onnxio.Array, axis int) ([]*onnxio.Array, error) {
	var list []*onnxio.Array
	for i := range v.Shape[axis] {
		p, err := r.sliceAt(v, axis, i)
		if err != nil {
			return nil, err
		}
		list = append(list, p.Reshaped(p.Shape[0], p.Shape[1], p.Shape[2]*p.Shape[3]))
	}
	return list, nil
}

// bindContribRotaryEmbedding: input, position_ids, cos_cache, sin_cache.
func bindContribRotaryEmbedding(b *binding) runFunc {
	z := &rotary{heads: int(b.int("num_heads", 0)), dims: int(b.int("rotary_embedding_dim", 0)),
		interleaved: b.bool("interleaved", false)}
	b.refuseUnless("is_packed_batching", 0)
	if b.float("scale", 1) != 1 {
		b.refuse("attribute \"scale\"")
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		return one(z.embed(r, in[0], in[1], in[2], in[3]))
	}
}
