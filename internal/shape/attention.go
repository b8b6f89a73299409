package shape

import (
	"fmt"

	"bq/onnxio"
)

// heads returns X [N, S, heads*D], or [N, heads, S, D] as it is, as its dimensions N, heads, S, D.
func (c *call) heads(i int, heads int64) (n, h, s, d Dim, err error) {
	x, ok := c.shape(i)
	if !ok {
		return c.size(), c.size(), c.size(), c.size(), nil
	}
	switch {
	case len(x) == 4:
		return x[0], x[1], x[2], x[3], nil
	case len(x) != 3:
		err = fmt.Errorf("attention over shape %s", shapeText(x))
		return
	case heads < 1:
		return x[0], c.size(), x[1], c.size(), nil
	}
	if k, fixed := x[2].Known(); fixed && k%heads != 0 {
		err = fmt.Errorf("splitting shape %s into %d heads", shapeText(x), heads)
		return
	}
	return x[0], Size(heads), x[1], floorDiv(x[2], heads), nil
}

// grown returns the number of keys with those of past input i [.., .., P, ..] in front.
func (c *call) grown(i int, keys Dim) Dim {
	if !c.given(i) {
		return keys
	}
	if s, ok := c.shape(i); ok && len(s) == 4 {
		return add(s[2], keys)
	}
	return c.size()
}

// attention of ONNX: Q, K, V, attn_mask, past_key, past_value to Y, present_key, present_value and the scores.
func attention(c *call) error {
	qHeads, kvHeads := c.int("q_num_heads", 0), c.int("kv_num_heads", 0)
	n, h, s, d, err := c.heads(0, qHeads)
	if err != nil {
		return err
	}
	kn, kh, keys, kd, err := c.heads(1, kvHeads)
	if err != nil {
		return err
	}
	_, vh, _, vd, err := c.heads(2, kvHeads)
	if err != nil {
		return err
	}
	if d.differs(kd) || n.differs(kn) || kh.differs(vh) {
		return fmt.Errorf("attention over shapes %s, %s and %s", shapeText(c.arg(0).Shape), shapeText(c.arg(1).Shape), shapeText(c.arg(2).Shape))
	}
	keys = c.grown(4, keys)
	if err := c.give(1, c.elem(0), n, kh, keys, kd); err != nil {
		return err
	}
	if err := c.give(2, c.elem(2), n, vh, keys, vd); err != nil {
		return err
	}
	if err := c.give(3, c.elem(0), n, h, s, keys); err != nil {
		return err
	}
	q, ok := c.shape(0)
	switch {
	case !ok:
		return c.giveUnranked(0, c.elem(0))
	case len(q) == 4:
		return c.give(0, c.elem(0), n, h, s, vd)
	}
	return c.give(0, c.elem(0), n, s, mul(h, vd))
}

// fusedAttention of com.microsoft: input [B, S, I] times weights [I, q+k+v] to Y [B, S, v], and present
// [2, B, heads, P+S, size]. past is [2, B, heads, P, size].
func fusedAttention(c *call) error {
	if err := c.rank(0, 3); err != nil {
		return err
	}
	b, s, width := c.size(), c.size(), c.size()
	if x, ok := c.shape(0); ok {
		b, s = x[0], x[1]
	}
	key := width
	if w, ok := c.shape(1); ok && len(w) == 2 {
		width = floorDiv(w[1], 3)
		key = width
	}
	if sizes := c.node.IntsAttr("qkv_hidden_sizes"); len(sizes) == 3 {
		key, width = Size(sizes[1]), Size(sizes[2])
	}
	keys := s
	if c.given(4) {
		if keys = c.size(); len(c.arg(4).Shape) == 5 {
			keys = add(c.arg(4).Shape[3], s)
		}
	}
	heads := max(c.int("num_heads", 1), 1)
	if err := c.give(1, c.elem(0), Size(2), b, Size(heads), keys, floorDiv(key, heads)); err != nil {
		return err
	}
	return c.give(0, c.elem(0), b, s, width)
}

// multiHeadAttention of com.microsoft: query [B, S, N*H] or [B, S, N, 3, H], key and value [B, T, N*H] or [B, N, T, H],
// past_key and past_value as inputs 6 and 7.
func multiHeadAttention(c *call) error {
	heads := max(c.int("num_heads", 1), 1)
	q, ok := c.shape(0)
	if !ok {
		return c.giveUnranked(0, c.elem(0))
	}
	if len(q) != 3 && len(q) != 5 {
		return fmt.Errorf("attention over shape %s", shapeText(q))
	}
	b, s, width := q[0], q[1], c.size()
	keys, size, vSize := c.size(), c.size(), c.size()
	k, ok := c.shape(1)
	switch {
	case len(q) == 5:
		width, keys, size, vSize = mul(q[2], q[4]), s, q[4], q[4]
	case ok && len(k) == 5:
		width, keys, size, vSize = mul(k[2], k[4]), k[1], k[4], k[4]
	case ok:
		_, _, n, d, err := c.heads(1, heads)
		if err != nil {
			return err
		}
		_, _, _, e, err := c.heads(2, heads)
		if err != nil {
			return err
		}
		width, keys, size, vSize = scaled(e, heads), n, d, e
	}
	keys = c.grown(6, keys)
	if err := c.give(1, c.elem(0), b, Size(heads), keys, size); err != nil {
		return err
	}
	if err := c.give(2, c.elem(0), b, Size(heads), keys, vSize); err != nil {
		return err
	}
	return c.give(0, c.elem(0), b, s, width)
}

// groupQueryAttention of com.microsoft: query [B, S, N*H], or q, k and v packed in it; the caches past_key and past_value
// [B, kvN, P, H] grow to max(P, total_sequence_length).
func groupQueryAttention(c *call) error {
	heads, kv := max(c.int("num_heads", 1), 1), max(c.int("kv_num_heads", 1), 1)
	if err := c.rank(0, 3); err != nil {
		return err
	}
	b, s, width := c.size(), c.size(), c.size()
	if q, ok := c.shape(0); ok {
		b, s, width = q[0], q[1], q[2]
	}
	size := floorDiv(width, heads)
	if !c.given(1) {
		size = floorDiv(width, heads+2*kv)
		width = scaled(size, heads)
	}
	room := c.size()
	if list := c.elements(6); len(list) == 1 && list[0].atLeast(0) {
		room = maxDim(list[0], s)
		if c.given(3) {
			old, ok := c.shape(3)
			if room = lost; ok && len(old) == 4 {
				room = maxDim(maxDim(list[0], s), old[2])
			}
		}
	}
	for i := 1; i < 3; i++ {
		if err := c.give(i, c.elem(0), b, Size(kv), room, size); err != nil {
			return err
		}
	}
	return c.give(0, c.elem(0), b, s, width)
}

// flexAttention: Q, K, V of four dimensions to [batch, heads, queries, size of V].
func flexAttention(c *call) error {
	n, h, s, _, err := c.heads(0, 0)
	if err != nil {
		return err
	}
	_, _, _, d, err := c.heads(2, 0)
	if err != nil {
		return err
	}
	return c.give(0, c.elem(0), n, h, s, d)
}

// linearAttention: query, key and value [B, T, heads*D] to [B, T, heads*dv] and the state [B, kvHeads, dk, dv].
func linearAttention(c *call) error {
	q, kv := c.int("q_num_heads", 0), c.int("kv_num_heads", 0)
	if q < 1 || kv < 1 {
		return fmt.Errorf("%d query heads over %d", q, kv)
	}
	n, _, s, d, err := c.heads(0, q)
	if err != nil {
		return err
	}
	_, _, _, v, err := c.heads(2, kv)
	if err != nil {
		return err
	}
	t := c.elem(0)
	if c.given(3) {
		t = c.elem(3)
	}
	if err := c.give(1, t, n, Size(kv), d, v); err != nil {
		return err
	}
	return c.give(0, c.elem(0), n, s, scaled(v, q))
}

// causalConv: input [B, C, L] as it is, and the last k-1 values [B, C, k-1] for weight [C, 1, k].
func causalConv(c *call) error {
	if err := c.rank(0, 3); err != nil {
		return err
	}
	if err := c.rank(1, 3); err != nil {
		return err
	}
	b, channels, last := c.size(), c.size(), c.size()
	if s, ok := c.shape(0); ok {
		b, channels = s[0], s[1]
	}
	if w, ok := c.shape(1); ok {
		last = addInt(w[2], -1)
	}
	if err := c.give(1, c.elem(0), b, channels, last); err != nil {
		return err
	}
	return sameAsInput(c)
}

// embedded: RotaryEmbedding keeps the shape of X [N, heads, S, D] or [N, S, heads*D].
func embedded(c *call) error {
	if err := c.rank(0, 3, 4); err != nil {
		return err
	}
	return sameAsInput(c)
}

// tensorScatter: the cache.
func tensorScatter(c *call) error {
	if err := c.sameRanks(0, 1); err != nil {
		return err
	}
	return c.giveLike(0, 0, firstType(c.elem(0), c.elem(1)))
}

func firstType(a, b onnxio.DataType) onnxio.DataType {
	if a != onnxio.Undefined {
		return a
	}
	return b
}
