package convert

import (
	"fmt"

	"bq/packing"
)

// Codec says how codes are stored.
type Codec uint8

const (
	CodecAuto    Codec = iota // for each weight the one that takes the fewest bytes
	CodecNone                 // plain packed bits
	CodecHuffman              // entropy-coded, quick to open
	CodecRange                // entropy-coded with contexts, smallest
)

var codecNames = []string{"auto", "none", "huffman", "range"}

// ParseCodec reads a codec as --codec gives it: auto, none, huffman or range.
func ParseCodec(s string) (Codec, error) {
	for i, name := range codecNames {
		if s == name {
			return Codec(i), nil
		}
	}
	return 0, fmt.Errorf("want auto, none, huffman or range, got %q", s)
}

// String returns the name that ParseCodec reads.
func (c Codec) String() string { return codecNames[c] }

// codecName names the codec of a code stream as --codec does.
func codecName(c packing.Codec) string { return c.Name() }

// packing returns the codec as a container's writer takes it.
func (c Codec) packing() packing.Codec {
	return [...]packing.Codec{packing.CodecAuto, packing.CodecPacked, packing.CodecHuffman, packing.CodecRange}[c]
}
