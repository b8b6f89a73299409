package infer

import (
	"fmt"
	"math"

	"bq/internal/kernel"
	"bq/onnxio"
)

// linearAttention is the recurrence of LinearAttention over the state S [dk, dv] of every batch entry and key head,
// with decay g and rate beta (default 1):
//
//	linear       S = S + k (x) v                    gated        S = exp(g) S + k (x) v
//	delta        S = S + beta k (x) (v - S' k)      gated_delta  S = exp(g) S, then as delta
//	output       scale * q' S
type linearAttention struct {
	qHeads, kvHeads int
	scale           float32
	gated, delta    bool
}

// bindLinearAttention: query, key, value [B, T, heads*D], past_state [B, kvHeads, dk, dv], decay, beta; outputs the result
// and the state after the last step.
func bindLinearAttention(b *binding) runFunc {
	z := &linearAttention{qHeads: int(b.int("q_num_heads", 0)), kvHeads: int(b.int("kv_num_heads", 0)), scale: b.float("scale", 0)}
	b.ignore("chunk_size") // a hint for parallel algorithms
	rule := b.str("update_rule", "gated_delta", "linear", "gated", "delta", "gated_delta")
	z.gated, z.delta = rule == "gated" || rule == "gated_delta", rule == "delta" || rule == "gated_delta"
	if z.qHeads < 1 || z.kvHeads < 1 || z.qHeads%z.kvHeads != 0 {
		b.malformed("%d query heads over %d", z.qHeads, z.kvHeads)
	}
	return z.run
}

func (z *linearAttention) run(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
	q, err := r.splitHeads(in[0], z.qHeads)
	if err != nil {
		return nil, err
	}
	k, err := r.splitHeads(in[1], z.kvHeads)
	if err != nil {
		return nil, err
	}
	v, err := r.splitHeads(in[2], z.kvHeads)
	if err != nil {
		return nil, err
	}
	steps, dk, dv := q.Shape[2], q.Shape[3], v.Shape[3]
	shape := []int{q.Shape[0], z.kvHeads, dk, dv}
	if k.Shape[0] != shape[0] || v.Shape[0] != shape[0] || k.Shape[2] != steps || v.Shape[2] != steps || k.Shape[3] != dk {
		return nil, fmt.Errorf("linear attention over %v, %v and %v", in[0].Shape, in[1].Shape, in[2].Shape)
	}
	state, err := r.new(onnxio.Float, shape...)
	if err != nil {
		return nil, err
	}
	if in[3] != nil {
		past, err := r.cast(in[3], onnxio.Float)
		if err != nil {
			return nil, err
		}
		if !equalShape(past.Shape, shape) {
			return nil, fmt.Errorf("past_state of shape %v, want %v", past.Shape, shape)
		}
		copy(state.F32(), past.F32())
	}
	out, err := r.new(onnxio.Float, q.Shape[0], z.qHeads, steps, dv)
	if err != nil {
		return nil, err
	}
	if err := z.heads(r, out, state, q, k, v, in[4], in[5]); err != nil {
		return nil, err
	}
	y, err := r.joinHeads(out)
	if err != nil {
		return nil, err
	}
	if y, err = r.cast(y, in[0].Type); err != nil {
		return nil, err
	}
	t := in[0].Type
	if in[3] != nil {
		t = in[3].Type
	}
	state, err = r.cast(state, t)
	return []*onnxio.Array{y, state}, err
}

// rates reads decay or beta [B, T, kvHeads*n]; n is 1 or the size of a key. A last dimension of 1 serves all heads.
func (z *linearAttention) rates(r *run, v *onnxio.Array, batch, steps, size int) (func(b, t, h, i int) float32, error) {
	if v == nil {
		return nil, nil
	}
	d, err := r.float32s(v)
	if err != nil {
		return nil, err
	}
	if len(v.Shape) != 3 || v.Shape[0] != batch || v.Shape[1] != steps {
		return nil, fmt.Errorf("decay or beta of shape %v for %d entries of %d steps", v.Shape, batch, steps)
	}
	switch w := v.Shape[2]; w {
	case z.kvHeads * size:
		return func(b, t, h, i int) float32 { return d[(b*steps+t)*w+h*size+i] }, nil
	case z.kvHeads:
		return func(b, t, h, _ int) float32 { return d[(b*steps+t)*w+h] }, nil
	case 1:
		return func(b, t, _, _ int) float32 { return d[b*steps+t] }, nil
	}
	return nil, fmt.Errorf("decay or beta of shape %v for %d heads of %d", v.Shape, z.kvHeads, size)
}

func (z *linearAttention) heads(r *run, out, state, q, k, v, decay, beta *onnxio.Array) error {
	batch, steps, dk, dv := q.Shape[0], q.Shape[2], q.Shape[3], v.Shape[3]
	g, err := z.rates(r, decay, batch, steps, dk)
	if err != nil {
		return err
	}
	rate, err := z.rates(r, beta, batch, steps, 1)
	if err != nil {
		return err
	}
	if z.gated && g == nil {
		return fmt.Errorf("a gated update without decay")
	}
	var d [3][]float32
	for i, x := range []*onnxio.Array{q, k, v} {
		if d[i], err = r.float32s(x); err != nil {
			return err
		}
	}
	scale := z.scale
	if scale == 0 {
		scale = float32(1 / math.Sqrt(float64(max(1, dk))))
	}
	group := z.qHeads / z.kvHeads
	kernel.Parallel(r.threads, batch*z.kvHeads, func(n int) {
		b, h := n/z.kvHeads, n%z.kvHeads
		s := state.F32()[n*dk*dv : (n+1)*dk*dv]
		for t := range steps {
			key, value := d[1][(n*steps+t)*dk:][:dk], d[2][(n*steps+t)*dv:][:dv]
			if z.gated {
				decayState(s, dv, func(i int) float32 { return g(b, t, h, i) })
			}
			w := float32(1)
			if z.delta && rate != nil {
				w = rate(b, t, h, 0)
			}
			z.update(s, key, value, w)
			for j := range group {
				row := (b*z.qHeads+h*group+j)*steps + t
				readState(out.F32()[row*dv:][:dv], s, d[0][row*dk:][:dk], scale)
			}
		}
	})
	return nil
}

// decayState multiplies row i of the state by exp(g(i)).
func decayState(s []float32, dv int, g func(i int) float32) {
	for i := range len(s) / max(1, dv) {
		f := float32(math.Exp(float64(g(i))))
		for j := range dv {
			s[i*dv+j] *= f
		}
	}
}

// update adds rate * key (x) (value - S' key), or key (x) value where the rule is not delta.
func (z *linearAttention) update(s, key, value []float32, rate float32) {
	target := append([]float32{}, value...)
	if z.delta {
		seen := make([]float32, len(value))
		readState(seen, s, key, 1)
		for j := range target {
			target[j] = rate * (target[j] - seen[j])
		}
	}
	for i, k := range key {
		for j, v := range target {
			s[i*len(target)+j] += k * v
		}
	}
}

// readState writes scale * q' S to dst.
func readState(dst, s, q []float32, scale float32) {
	for i, k := range q {
		for j := range dst {
			dst[j] += k * s[i*len(dst)+j]
		}
	}
	for j := range dst {
		dst[j] *= scale
	}
}

// bindCausalConvWithState: input [B, C, L] with past_state [B, C, k-1] in front, each channel convolved with its row of
// weight [C, 1, k], plus bias [C]; the second output is the last k-1 values.
func bindCausalConvWithState(b *binding) runFunc {
	swish := b.str("activation", "none", "none", "silu", "swish") != "none"
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, w := in[0], in[1]
		if len(x.Shape) != 3 || len(w.Shape) != 3 || w.Shape[0] != x.Shape[1] || w.Shape[1] != 1 || w.Shape[2] < 1 {
			return nil, fmt.Errorf("convolving %v with %v", x.Shape, w.Shape)
		}
		n, c, k := x.Shape[0], x.Shape[1], w.Shape[2]
		past := in[3]
		var err error
		if past == nil {
			if past, err = r.new(x.Type, n, c, k-1); err != nil {
				return nil, err
			}
		}
		if !equalShape(past.Shape, []int{n, c, k - 1}) || past.Type != x.Type {
			return nil, fmt.Errorf("past_state %v %v, want [%d %d %d]", past.Type, past.Shape, n, c, k-1)
		}
		full, err := r.concat([]*onnxio.Array{past, x}, 2)
		if err != nil {
			return nil, err
		}
		end := full.Shape[2]
		present, err := r.slice(full, []int{end - k + 1}, []int{end}, []int{2}, []int{1})
		if err != nil {
			return nil, err
		}
		y, err := r.depthwise(full, w, in[2], x.Shape)
		if err != nil {
			return nil, err
		}
		if swish {
			if y, err = r.pointwise(y, func(v float64) float64 { return v * sigmoid(v) }); err != nil {
				return nil, err
			}
		}
		y, err = r.cast(y, x.Type)
		return []*onnxio.Array{y, present}, err
	}
}

// pointwise is unary of one value.
func (r *run) pointwise(v *onnxio.Array, f func(float64) float64) (*onnxio.Array, error) {
	outs, err := unary(r, v, f)
	if err != nil {
		return nil, err
	}
	return outs[0], nil
}

// depthwise convolves every channel of x with its own row of w and adds bias, which may be nil.
func (r *run) depthwise(x, w, bias *onnxio.Array, shape []int) (*onnxio.Array, error) {
	var ops [3][]float32
	for i, v := range []*onnxio.Array{x, w, bias} {
		if v == nil {
			continue
		}
		var err error
		if ops[i], err = r.float32s(v); err != nil {
			return nil, err
		}
	}
	c, length, k := shape[1], shape[2], w.Shape[2]
	if bias != nil && len(ops[2]) != c {
		return nil, fmt.Errorf("bias of shape %v for %d channels", bias.Shape, c)
	}
	out, err := r.new(onnxio.Float, shape...)
	if err != nil {
		return nil, err
	}
	dst := out.F32()
	for row := range shape[0] * c {
		src, taps := ops[0][row*(length+k-1):], ops[1][row%c*k:][:k]
		for t := range length {
			v := kernel.Dot(src[t:t+k], taps)
			if ops[2] != nil {
				v += ops[2][row%c]
			}
			dst[row*length+t] = v
		}
	}
	return out, nil
}
