package infer

import (
	"fmt"
	"math"

	"bq/internal/kernel"
	"bq/onnxio"
)

// attend is one scaled dot product attention: softmax(softcap(q * k' * scale) + bias) * v, per batch entry and head.
// Head h of q belongs to head h / (heads / kvHeads) of k and v ("GQA", arXiv 2305.13245). A row whose keys are all
// masked gives zeros.
type attend struct {
	batch, heads, kvHeads, queries, keys, size, vSize int

	q     []float32 // [batch, heads, queries, size]
	k     []float32 // [batch, kvHeads, keys, size]
	v     []float32 // [batch, kvHeads, keys, vSize]
	scale float32
	cap   float64 // softcap(x) = cap * tanh(x / cap), 0 for none

	bias  func(row []float32, b, h, i int) // adds the masks to the scores of query i; nil for none
	stage int                              // what scores receives: a stage below
	score []float32                        // [batch, heads, queries, keys]; nil where it is not wanted
}

// The stages of the scores that operators can give as an output (ONNX Attention, qk_matmul_output_mode).
const (
	stageProduct = iota
	stageCapped
	stageBiased
	stageSoftmax
)

// openAttend checks the shapes of q, k and v, of four dimensions each, and decodes them.
func (r *run) openAttend(q, k, v *onnxio.Array) (*attend, error) {
	fail := fmt.Errorf("attention over shapes %v, %v and %v", q.Shape, k.Shape, v.Shape)
	if len(q.Shape) != 4 || len(k.Shape) != 4 || len(v.Shape) != 4 {
		return nil, fail
	}
	a := &attend{batch: q.Shape[0], heads: q.Shape[1], kvHeads: k.Shape[1], queries: q.Shape[2], keys: k.Shape[2],
		size: q.Shape[3], vSize: v.Shape[3]}
	if k.Shape[0] != a.batch || v.Shape[0] != a.batch || v.Shape[1] != a.kvHeads || v.Shape[2] != a.keys ||
		k.Shape[3] != a.size || a.kvHeads == 0 || a.heads%a.kvHeads != 0 {
		return nil, fail
	}
	a.scale = float32(1 / math.Sqrt(float64(max(1, a.size))))
	var err error
	if a.q, err = r.float32s(q); err != nil {
		return nil, err
	}
	if a.k, err = r.float32s(k); err != nil {
		return nil, err
	}
	a.v, err = r.float32s(v)
	return a, err
}

// run returns the result [batch, heads, queries, vSize].
func (a *attend) run(r *run) (*onnxio.Array, error) {
	out, err := r.new(onnxio.Float, a.batch, a.heads, a.queries, a.vSize)
	if err != nil {
		return nil, err
	}
	if n := int64(min(r.threads, a.batch*a.heads)) * int64(a.queries) * int64(a.keys) * 4; n > r.limit-r.live {
		return nil, fmt.Errorf("attention scores need %d bytes, limit %d", n, r.limit)
	}
	kernel.Parallel(r.threads, a.batch*a.heads, func(i int) { a.head(out.F32(), i) })
	return out, nil
}

// head computes one head of one batch entry.
func (a *attend) head(dst []float32, n int) {
	b, h := n/a.heads, n%a.heads
	kv := b*a.kvHeads + h/(a.heads/a.kvHeads)
	q := a.q[n*a.queries*a.size : (n+1)*a.queries*a.size]
	k := a.k[kv*a.keys*a.size : (kv+1)*a.keys*a.size]
	v := a.v[kv*a.keys*a.vSize : (kv+1)*a.keys*a.vSize]
	s := make([]float32, a.queries*a.keys)
	kernel.Gemm(s, a.keys, a.queries, a.keys, a.size, kernel.RowMajor(q, a.size), kernel.RowMajor(k, a.size).T(), 1)
	for i := range s {
		s[i] *= a.scale
	}
	a.capture(s, n, stageProduct)
	if a.cap > 0 {
		for i, v := range s {
			s[i] = float32(a.cap * math.Tanh(float64(v)/a.cap))
		}
	}
	a.capture(s, n, stageCapped)
	if a.bias != nil {
		for i := range a.queries {
			a.bias(s[i*a.keys:(i+1)*a.keys], b, h, i)
		}
	}
	a.capture(s, n, stageBiased)
	softmaxOrZero(s, a.keys)
	a.capture(s, n, stageSoftmax)
	kernel.Gemm(dst[n*a.queries*a.vSize:(n+1)*a.queries*a.vSize], a.vSize, a.queries, a.vSize, a.keys,
		kernel.RowMajor(s, a.keys), kernel.RowMajor(v, a.vSize), 1)
}

// capture copies the scores of head n where this stage is wanted.
func (a *attend) capture(s []float32, n, stage int) {
	if a.score != nil && a.stage == stage {
		copy(a.score[n*a.queries*a.keys:], s)
	}
}

// softmaxOrZero is the softmax of rows of n elements in place; a row of nothing but -Inf becomes zeros.
func softmaxOrZero(s []float32, n int) {
	first := 0 // of the rows not yet done
	for i := 0; i < len(s); i += n {
		if row := s[i : i+n]; allMasked(row) {
			kernel.Softmax(s[first:i], s[first:i], (i-first)/n, n, 1)
			clear(row)
			first = i + n
		}
	}
	if n > 0 {
		kernel.Softmax(s[first:], s[first:], (len(s)-first)/n, n, 1)
	}
}

func allMasked(row []float32) bool {
	for _, v := range row {
		if !math.IsInf(float64(v), -1) {
			return false
		}
	}
	return true
}

// splitHeads returns X [N, S, heads*D] as [N, heads, S, D].
func (r *run) splitHeads(x *onnxio.Array, heads int) (*onnxio.Array, error) {
	if len(x.Shape) != 3 || heads < 1 || x.Shape[2]%heads != 0 {
		return nil, fmt.Errorf("splitting shape %v into %d heads", x.Shape, heads)
	}
	return r.transpose(x.Reshaped(x.Shape[0], x.Shape[1], heads, x.Shape[2]/heads), []int{0, 2, 1, 3})
}

// joinHeads is the inverse of splitHeads.
func (r *run) joinHeads(x *onnxio.Array) (*onnxio.Array, error) {
	y, err := r.transpose(x, []int{0, 2, 1, 3})
	if err != nil {
		return nil, err
	}
	return y.Reshaped(x.Shape[0], x.Shape[2], x.Shape[1]*x.Shape[3]), nil
}

// attentionAttrs are the attributes of ONNX Attention.
type attentionAttrs struct {
	qHeads, kvHeads, mode int
	scale                 float32
	hasScale, causal      bool
	cap                   float64
	left, right           int // keys visible before and after a query's own position, -1 for all
	wantScores            bool
}

// bindAttention: Q, K, V, attn_mask, past_key, past_value, nonpad_kv_seqlen to Y, present_key, present_value and the
// scores. Scores and softmax are computed in float32 whatever softmax_precision says.
func bindAttention(b *binding) runFunc {
	a := &attentionAttrs{
		qHeads: int(b.int("q_num_heads", 0)), kvHeads: int(b.int("kv_num_heads", 0)),
		mode: int(b.int("qk_matmul_output_mode", 0)), scale: b.float("scale", 0), hasScale: b.has("scale"),
		causal: b.bool("is_causal", false), cap: float64(b.float("softcap", 0)),
		left: int(b.int("left_window_size", -1)), right: int(b.int("right_window_size", -1)),
		wantScores: len(b.node.Outputs) > 3 && b.node.Outputs[3] != "",
	}
	b.ignore("softmax_precision")
	if a.mode < stageProduct || a.mode > stageSoftmax || a.left < -1 || a.right < -1 {
		b.malformed("qk_matmul_output_mode %d, windows of %d and %d", a.mode, a.left, a.right)
	}
	if b.given(4) != b.given(5) || b.given(4) && b.given(6) {
		b.malformed("past_key, past_value and nonpad_kv_seqlen do not go together")
	}
	return a.run
}

func (at *attentionAttrs) run(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
	q, k, v := in[0], in[1], in[2]
	flat := len(q.Shape) == 3
	var err error
	if flat {
		if q, err = r.splitHeads(q, at.qHeads); err != nil {
			return nil, err
		}
		if k, err = r.splitHeads(k, at.kvHeads); err != nil {
			return nil, err
		}
		if v, err = r.splitHeads(v, at.kvHeads); err != nil {
			return nil, err
		}
	}
	past := 0
	if in[4] != nil {
		if k, err = r.concat([]*onnxio.Array{in[4], k}, 2); err != nil {
			return nil, err
		}
		if v, err = r.concat([]*onnxio.Array{in[5], v}, 2); err != nil {
			return nil, err
		}
		past = in[4].Shape[2]
	}
	a, err := r.openAttend(q, k, v)
	if err != nil {
		return nil, err
	}
	if a.cap = at.cap; at.hasScale {
		a.scale = at.scale
	}
	if a.bias, err = at.masks(a, in[3], in[6], past); err != nil {
		return nil, err
	}
	outs := []*onnxio.Array{nil, k, v, nil}
	if at.wantScores {
		if outs[3], err = r.new(floatType(q.Type), a.batch, a.heads, a.queries, a.keys); err != nil {
			return nil, err
		}
		a.score, a.stage = outs[3].F32(), at.mode
	}
	y, err := a.run(r)
	if err != nil {
		return nil, err
	}
	if flat {
		if y, err = r.joinHeads(y); err != nil {
			return nil, err
		}
	}
	outs[0], err = r.cast(y, q.Type)
	return outs, err
}

// masks joins the causal and window limits, which count from the position offset + i of query i, with the mask and
// the number of valid keys of each batch entry.
func (at *attentionAttrs) masks(a *attend, mask, valid *onnxio.Array, past int) (func(row []float32, b, h, i int), error) {
	add, err := maskAdder(mask, []int{a.batch, a.heads, a.queries, a.keys})
	if err != nil {
		return nil, err
	}
	var lengths []int64
	if valid != nil {
		if lengths = valid.Ints(); valid.Type != onnxio.Int64 || len(lengths) != a.batch {
			return nil, fmt.Errorf("nonpad_kv_seqlen %v %v for %d entries", valid.Type, valid.Shape, a.batch)
		}
	}
	return func(row []float32, b, h, i int) {
		if add != nil {
			add(row, b, h, i)
		}
		position, end := past+i, len(row)
		if lengths != nil {
			end = int(min(max(lengths[b], 0), int64(len(row))))
			position = end - a.queries + i
		}
		first := 0
		if at.left >= 0 {
			first = position - at.left
		}
		if at.right >= 0 {
			end = min(end, position+at.right+1)
		}
		if at.causal {
			end = min(end, position+1)
		}
		keepRange(row, first, end)
	}, nil
}

// keepRange sets the scores outside first..end-1 to -Inf.
func keepRange(row []float32, first, end int) {
	for j := range row {
		if j < first || j >= end {
			row[j] = float32(math.Inf(-1))
		}
	}
}

// maskAdder returns a function that adds a mask, which broadcasts to shape [batch, heads, queries, keys], to a row of
// scores: false is -Inf. Its last dimension may be shorter than keys; the keys beyond are masked.
func maskAdder(mask *onnxio.Array, shape []int) (func(row []float32, b, h, i int), error) {
	if mask == nil {
		return nil, nil
	}
	if len(mask.Shape) == 0 || len(mask.Shape) > 4 {
		return nil, fmt.Errorf("mask of shape %v for scores %v", mask.Shape, shape)
	}
	for i := range mask.Shape {
		d, want := mask.Shape[len(mask.Shape)-1-i], shape[3-i]
		if d != 1 && d != want && (i > 0 || d > want) {
			return nil, fmt.Errorf("mask of shape %v for scores %v", mask.Shape, shape)
		}
	}
	value, err := maskValues(mask)
	if err != nil {
		return nil, err
	}
	s, last := broadcastStrides(mask.Shape, 4), mask.Shape[len(mask.Shape)-1]
	return func(row []float32, b, h, i int) {
		base := b*s[0] + h*s[1] + i*s[2]
		for j := range row {
			if s[3] != 0 && j >= last {
				row[j] = float32(math.Inf(-1))
				continue
			}
			row[j] += value(base + j*s[3])
		}
	}, nil
}

// maskValues returns element i of a mask as what is added to the scores.
func maskValues(mask *onnxio.Array) (func(i int) float32, error) {
	switch d := mask.Data.(type) {
	case []bool:
		return func(i int) float32 {
			if d[i] {
				return 0
			}
			return float32(math.Inf(-1))
		}, nil
	case []float32:
		return func(i int) float32 { return d[i] }, nil
	case []float64:
		return func(i int) float32 { return float32(d[i]) }, nil
	}
	return nil, typeError(mask)
}
