package packing

import "fmt"

// StoredLen returns how many bytes q takes in a container with packed codes: these, and the scales, zero points and levels
// in the shortest form that is exact. Alignment and the index entry come on top.
func (q *Quant) StoredLen() int {
	params, _ := appendParams(nil, q)
	return PackedLen(q.Len(), q.Bits) + len(params)
}

// CodesLen returns the bytes of the codes section of q, a tensor of the given shape, under codec c, which are never more than
// under CodecPacked: a Writer takes that where c gains nothing. It takes as long as writing the section, and panics where
// c is no codec for codes.
func (q *Quant) CodesLen(shape []int64, c Codec) int {
	if taken, codes := q.section(shape, c); taken != CodecPacked {
		return len(codes)
	}
	return PackedLen(q.Len(), q.Bits)
}

// Smallest returns the codec that stores the codes of q, a tensor of the given shape, in the fewest bytes; of equals, the
// one that is faster to decode.
func (q *Quant) Smallest(shape []int64) Codec {
	c, _ := q.section(shape, CodecAuto)
	return c
}

// section returns the codec that a Writer takes where c is asked for, and its codes section, nil for CodecPacked.
func (q *Quant) section(shape []int64, c Codec) (Codec, []byte) {
	candidates := []Codec{c}
	switch c {
	case CodecPacked:
		candidates = nil
	case CodecAuto:
		candidates = []Codec{CodecHuffman, CodecRange}
	}
	taken, codes, least := CodecPacked, []byte(nil), PackedLen(q.Len(), q.Bits)
	for _, c := range candidates {
		if b := q.coded(shape, c); len(b) < least {
			taken, codes, least = c, b, len(b)
		}
	}
	return taken, codes
}

// coded returns the codes of q under a codec other than CodecPacked.
func (q *Quant) coded(shape []int64, c Codec) []byte {
	switch c {
	case CodecHuffman:
		return q.encodeHuffman()
	case CodecRange:
		return q.encodeRange(shape)
	}
	panic(fmt.Sprintf("packing: codec %d is none for codes", c))
}

// knownForCodes reports whether a reader of this version can decode codes under c.
func (c Codec) knownForCodes() bool { return c == CodecPacked || c == CodecHuffman || c == CodecRange }

// Name returns what bq's users call a codec of codes.
func (c Codec) Name() string {
	switch c {
	case CodecPacked:
		return "none"
	case CodecHuffman:
		return "huffman"
	case CodecRange:
		return "range"
	}
	return fmt.Sprintf("codec %d", c)
}
