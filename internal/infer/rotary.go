package infer

import (
	"fmt"

	"bq/onnxio"
)

// rotary is a rotation of the pairs of a head's elements by angles that depend on the position (RoPE, arXiv 2104.09864,
// equation 34): (x1, x2) becomes (x1 cos - x2 sin, x1 sin + x2 cos).
type rotary struct {
	heads, dims int  // heads of three-dimensional inputs; elements of a head that are rotated, 0 for all
	interleaved bool // pairs are neighbours, else the halves of the rotated elements
}

// bindRotaryEmbedding: X [N, heads, S, D] or [N, S, heads*D], cos_cache, sin_cache [max, D/2] by position_ids [N, S], or
// [N, S, D/2] without.
func bindRotaryEmbedding(b *binding) runFunc {
	z := &rotary{heads: int(b.int("num_heads", 0)), dims: int(b.int("rotary_embedding_dim", 0)),
		interleaved: b.bool("interleaved", false)}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		return one(z.embed(r, in[0], in[3], in[1], in[2]))
	}
}

// embed rotates x; ids may be nil.
func (z *rotary) embed(r *run, x, ids, cos, sin *onnxio.Array) (*onnxio.Array, error) {
	if len(x.Shape) == 4 {
		return z.rotate(r, x, ids, cos, sin)
	}
	heads := z.heads
	if heads == 0 && z.dims == 0 && len(cos.Shape) > 0 && len(x.Shape) == 3 {
		if size := 2 * cos.Shape[len(cos.Shape)-1]; size > 0 {
			heads = x.Shape[2] / size
		}
	}
	y, err := r.splitHeads(x, heads)
	if err != nil {
		return nil, err
	}
	if y, err = z.rotate(r, y, ids, cos, sin); err != nil {
		return nil, err
	}
	return r.joinHeads(y)
}

// rotate rotates x [N, heads, S, D].
func (z *rotary) rotate(r *run, x, ids, cos, sin *onnxio.Array) (*onnxio.Array, error) {
	n, heads, length, size := x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]
	dims := z.dims
	if dims == 0 {
		dims = size
	}
	half := dims / 2
	if dims < 0 || dims > size || dims%2 != 0 || !equalShape(cos.Shape, sin.Shape) || len(cos.Shape) == 0 ||
		cos.Shape[len(cos.Shape)-1] != half {
		return nil, fmt.Errorf("rotating %d of %d elements with caches %v and %v", dims, size, cos.Shape, sin.Shape)
	}
	rows, err := positions(ids, cos, n, length)
	if err != nil {
		return nil, err
	}
	src, err := r.float32s(x)
	if err != nil {
		return nil, err
	}
	c, err := r.float32s(cos)
	if err != nil {
		return nil, err
	}
	s, err := r.float32s(sin)
	if err != nil {
		return nil, err
	}
	out, err := r.new(floatType(x.Type), x.Shape...)
	if err != nil {
		return nil, err
	}
	for row := range n * heads * length {
		at := rows[row/(heads*length)*length+row%length] * half
		z.row(out.F32()[row*size:(row+1)*size], src[row*size:(row+1)*size], c[at:at+half], s[at:at+half])
	}
	return r.cast(out, x.Type)
}

// row rotates the pairs of one head at one position.
func (z *rotary) row(dst, src, cos, sin []float32) {
	copy(dst, src)
	for i := range cos {
		p, q := i, i+len(cos)
		if z.interleaved {
			p, q = 2*i, 2*i+1
		}
		dst[p] = float32(src[p]*cos[i]) - float32(src[q]*sin[i])
		dst[q] = float32(src[p]*sin[i]) + float32(src[q]*cos[i])
	}
}

// positions returns the row of the cache of every batch entry and position: by ids [n, length], or from a single first
// position, else in the order of the cache.
func positions(ids, cache *onnxio.Array, n, length int) ([]int, error) {
	list := make([]int, n*length)
	for i := range list {
		list[i] = i
	}
	if ids == nil {
		if !equalShape(cache.Shape[:len(cache.Shape)-1], []int{n, length}) {
			return nil, fmt.Errorf("caches of shape %v for %d entries of %d positions", cache.Shape, n, length)
		}
		return list, nil
	}
	if len(cache.Shape) != 2 {
		return nil, fmt.Errorf("caches of shape %v with position_ids", cache.Shape)
	}
	if len(ids.Shape) == 1 && ids.Len() == 1 {
		first := ids.Ints()
		if len(first) != 1 || first[0] < 0 || first[0] > int64(cache.Shape[0]-length) {
			return nil, fmt.Errorf("positions %v of %d", first, cache.Shape[0])
		}
		for i := range list {
			list[i] = int(first[0]) + i%length
		}
		return list, nil
	}
	rows, err := indices(ids, cache.Shape[0])
	if err != nil || len(rows) != len(list) {
		return nil, fmt.Errorf("position_ids of shape %v for %d entries of %d positions: %w", ids.Shape, n, length, err)
	}
	return rows, nil
}
