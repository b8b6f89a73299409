package infer

import (
	"fmt"

	"bq/onnxio"
)

// grouped is GroupQueryAttention: queries of N heads over keys of fewer heads that are kept in a cache.
type grouped struct {
	*fused
	rotary *rotary // nil: positions are not embedded
	cap    float64
	window int // keys that a query sees, its own included; -1 for all
}

// bindGroupQueryAttention: query, key, value, past_key, past_value [B, kvN, P, H], seqlens_k [B] (keys in all less one),
// total_sequence_length, cos_cache, sin_cache, position_ids, attention_bias; outputs Y, present_key, present_value.
func bindGroupQueryAttention(b *binding) runFunc {
	g := &grouped{fused: b.fused(), cap: float64(b.float("softcap", 0)), window: int(b.int("local_window_size", -1))}
	g.kvHeads = int(b.int("kv_num_heads", 0))
	if g.causal = b.bool("causal", true); g.kvHeads < 1 || g.heads%g.kvHeads != 0 {
		b.malformed("%d heads over %d", g.heads, g.kvHeads)
	}
	interleaved := b.bool("rotary_interleaved", false)
	if b.bool("do_rotary", false) {
		g.rotary = &rotary{interleaved: interleaved}
	}
	for _, name := range []string{"smooth_softmax", "sliding_window_cache", "qk_output"} {
		if v := b.int(name, 0); v > 0 {
			b.refuse("attribute %s", onnxio.Quote(name))
		}
	}
	for _, name := range []string{"k_quant_type", "v_quant_type"} {
		if v := b.str(name, "NONE"); v != "NONE" {
			b.refuse("attribute %s", onnxio.Quote(name))
		}
	}
	b.ignore("kv_cache_bit_width", "qk_norm_epsilon", "q_norm_epsilon", "k_norm_epsilon")
	b.refuseInputs(11, 12, 13, 14, 15, 16)
	b.refuseOutputs(3)
	return g.run
}

func (g *grouped) run(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
	q, k, v, err := g.heads3(r, in[0], in[1], in[2])
	if err != nil {
		return nil, err
	}
	if !equalShape(k.Shape[:3], v.Shape[:3]) || k.Shape[0] != q.Shape[0] || k.Shape[2] != q.Shape[2] {
		return nil, fmt.Errorf("query %v, key %v and value %v in heads", q.Shape, k.Shape, v.Shape)
	}
	pasts, err := g.pasts(in[5], in[6], q.Shape[0], q.Shape[2])
	if err != nil {
		return nil, err
	}
	if g.rotary != nil {
		if q, k, err = g.embed(r, q, k, in[7], in[8], in[9], pasts); err != nil {
			return nil, err
		}
	}
	total := int(min(max(in[6].Ints()[0], 0), maxValueElements))
	if k, err = g.present(r, in[3], k, pasts, total); err != nil {
		return nil, err
	}
	if v, err = g.present(r, in[4], v, pasts, total); err != nil {
		return nil, err
	}
	a, err := r.openAttend(q, k, v)
	if err != nil {
		return nil, err
	}
	if a.cap = g.cap; g.scale != 0 {
		a.scale = g.scale
	}
	add, err := maskAdder(in[10], []int{a.batch, a.heads, a.queries, a.keys})
	if err != nil {
		return nil, err
	}
	a.bias = func(row []float32, b, h, i int) {
		if add != nil {
			add(row, b, h, i)
		}
		first, end := 0, pasts[b]+a.queries
		if g.causal {
			end = pasts[b] + i + 1
		}
		if g.window > 0 {
			first = end - g.window
		}
		keepRange(row, first, end)
	}
	y, err := a.run(r)
	if err != nil {
		return nil, err
	}
	if y, err = r.joinHeads(y); err != nil {
		return nil, err
	}
	y, err = r.cast(y, in[0].Type)
	return []*onnxio.Array{y, k, v}, err
}

// heads3 returns q, k and v in heads; all three may be packed in query.
func (g *grouped) heads3(r *run, query, key, value *onnxio.Array) (q, k, v *onnxio.Array, err error) {
	if key == nil && value == nil && len(query.Shape) == 3 {
		size := query.Shape[2] / (g.heads + 2*g.kvHeads)
		parts, err := g.parts(r, query, []int{g.heads * size, g.kvHeads * size, g.kvHeads * size}, query.Type)
		if err != nil {
			return nil, nil, nil, err
		}
		return parts[0], parts[1], parts[2], nil
	}
	if key == nil || value == nil {
		return nil, nil, nil, fmt.Errorf("query of shape %v without key or value", query.Shape)
	}
	if q, err = r.splitHeads(query, g.heads); err != nil {
		return nil, nil, nil, err
	}
	if k, err = r.splitHeads(key, g.kvHeads); err != nil {
		return nil, nil, nil, err
	}
	v, err = r.splitHeads(value, g.kvHeads)
	return q, k, v, err
}

// pasts returns the number of keys of every batch entry that come before the new ones: none in the first run, whose
// queries are all there is.
func (g *grouped) pasts(lengths, total *onnxio.Array, batch, queries int) ([]int, error) {
	if lengths.Len() != batch || total.Len() != 1 {
		return nil, fmt.Errorf("seqlens_k %v and total_sequence_length %v for %d entries", lengths.Shape, total.Shape, batch)
	}
	list := make([]int, batch)
	if total.Ints()[0] == int64(queries) {
		return list, nil
	}
	for i, v := range lengths.Ints() {
		past := v + 1 - int64(queries)
		if past < 0 || v >= total.Ints()[0] {
			return nil, fmt.Errorf("seqlens_k %d for %d queries and %d keys in all", v, queries, total.Ints()[0])
		}
		list[i] = int(past)
	}
	return list, nil
}

// embed rotates q and k by their positions, which follow the past where position_ids are not given.
func (g *grouped) embed(r *run, q, k, cos, sin, ids *onnxio.Array, pasts []int) (*onnxio.Array, *onnxio.Array, error) {
	if cos == nil || sin == nil || len(cos.Shape) != 2 {
		return nil, nil, fmt.Errorf("rotary embedding without caches")
	}
	length := q.Shape[2]
	if ids == nil {
		list := make([]int64, len(pasts)*length)
		for i := range list {
			list[i] = int64(pasts[i/length] + i%length)
		}
		ids = onnxio.Int64s(list, len(pasts), length)
	}
	z := *g.rotary
	z.dims = 2 * cos.Shape[1]
	var err error
	if q, err = z.rotate(r, q, ids, cos, sin); err != nil {
		return nil, nil, err
	}
	k, err = z.rotate(r, k, ids, cos, sin)
	return q, k, err
}

// present returns the cache [B, kvN, max(P, total), H] with the new values behind the past ones of every entry.
func (g *grouped) present(r *run, past, fresh *onnxio.Array, pasts []int, total int) (*onnxio.Array, error) {
	n, heads, length, size := fresh.Shape[0], fresh.Shape[1], fresh.Shape[2], fresh.Shape[3]
	room, old := max(total, length), 0
	if past != nil {
		if len(past.Shape) != 4 || past.Shape[0] != n || past.Shape[1] != heads || past.Shape[3] != size || past.Type != fresh.Type {
			return nil, fmt.Errorf("past of shape %v for values %v", past.Shape, fresh.Shape)
		}
		old = past.Shape[2]
		room = max(room, old)
	}
	out, err := r.new(fresh.Type, n, heads, room, size)
	if err != nil {
		return nil, err
	}
	for row := range n * heads {
		keep := pasts[row/heads]
		if keep > old || keep+length > room {
			return nil, fmt.Errorf("%d past values in a cache of %d", keep, old)
		}
		if keep > 0 {
			copyRange(out, row*room*size, past, row*old*size, keep*size)
		}
		copyRange(out, (row*room+keep)*size, fresh, row*length*size, length*size)
	}
	return out, nil
}
