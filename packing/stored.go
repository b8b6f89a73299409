package packing

import "fmt"

// StoredLen returns how many bytes q takes in a container with packed codes: these, and the scales, zero points and levels
// in the shortest form that is exact. Alignment and the index entry come on top.
func (q *Quant) StoredLen() int {
	params, _ := appendParams(nil, q)
	return PackedLen(q.Len(), q.Bits) + len(params)
}

// CodesLen returns the bytes of the codes section of q, a tensor of the given shape, under codec c. It panics where c is
// no codec for codes. It takes as long as writing the section.
func (q *Quant) CodesLen(shape []int64, c Codec) int {
	if c == CodecPacked {
		return PackedLen(q.Len(), q.Bits)
	}
	return len(q.encode(shape, c))
}

// encode returns the codes section of q under codec c.
func (q *Quant) encode(shape []int64, c Codec) []byte {
	switch c {
	case CodecPacked:
		dst := make([]byte, PackedLen(q.Len(), q.Bits))
		q.packCodes(dst, 0, q.Len())
		return dst
	case CodecRange:
		return q.encodeRange(shape)
	}
	panic(fmt.Sprintf("packing: codec %d is none for codes", c))
}

// Smallest returns the codec that stores the codes of q, a tensor of the given shape, in the fewest bytes; of equals, the
// one that is faster to decode.
func (q *Quant) Smallest(shape []int64) Codec {
	best, least := CodecPacked, q.CodesLen(shape, CodecPacked)
	for _, c := range [...]Codec{CodecRange} {
		if n := q.CodesLen(shape, c); n < least {
			best, least = c, n
		}
	}
	return best
}
