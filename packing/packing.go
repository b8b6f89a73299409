// Package packing turns codes, names and opaque graph bytes into a .bq file and back.
//
// A .bq file holds one model: its metadata, its graph without weights, and its tensors, each one
// either kept (raw bytes) or quantized (codes of 1 to 16 bits with their scales). The package knows no
// ONNX: the graph is a byte string and an element type a number. FORMAT.md describes every byte of
// the file; the rule numbers R1, R2, ... in errors are those of its section "Rules for readers".
//
// A Writer needs nothing but an io.Writer and makes one pass. Open reads header, footer and index, so
// that File.Tensor can fetch any one tensor and leave the others alone. The same content always gives
// the same bytes.
package packing

import (
	"encoding/hex"
	"fmt"
	"math"
)

// Codec says how the bytes of a section are stored. The meaning of a number depends on the section:
// codes of a quantized tensor use CodecPacked, CodecHuffman and CodecRange, everything else CodecRaw and CodecZstd. Numbers are
// stored in files and never change their meaning.
type Codec uint8

const (
	// CodecPacked stores each code in exactly Bits bits (PackBits).
	CodecPacked Codec = 0
	// CodecHuffman stores codes, or several together, by a static prefix code: decoded at once.
	CodecHuffman Codec = 2
	// CodecRange stores codes by an adaptive arithmetic coder that looks at their neighbours: the fewest bytes.
	CodecRange Codec = 3
	// CodecAuto stands in no file: a Writer takes the codec that Smallest would, and codes once.
	CodecAuto Codec = 255
	// CodecRaw stores bytes as they are.
	CodecRaw Codec = 0
	// CodecZstd stores one Zstandard frame (RFC 8878).
	CodecZstd Codec = 1
	// CodecText mixes predictions of each bit; CodecGraph has read graphs of other models before, CodecNumbers looks at the
	// bytes at the same place of the numbers before.
	CodecText    Codec = 2
	CodecGraph   Codec = 3
	CodecNumbers Codec = 4
)

// Pair is one entry of Meta. Keys are unique and not empty; values may hold anything.
type Pair struct {
	Key   string
	Value []byte
}

// Meta is the metadata of a file: pairs whose order is kept. The package gives no meaning to any key.
type Meta []Pair

// Get returns the value stored under key and whether there is one.
func (m Meta) Get(key string) ([]byte, bool) {
	for _, p := range m {
		if p.Key == key {
			return p.Value, true
		}
	}
	return nil, false
}

// Digest is the SHA-256 (FIPS 180-4) that the footer holds: of all bytes before it.
type Digest [32]byte

// String returns the digest as 64 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Layout says which elements of a tensor share a scale. The tensor in row-major order is seen as
// [Outer, Channels, Inner]; element (o, c, i) belongs to group
//
//	c*blocksPerChannel + (o*Inner + i)/Block
//
// and Block 0 means one group for the whole channel. A tensor without elements has no groups.
type Layout struct {
	Outer, Channels, Inner, Block int
}

// Elements returns Outer*Channels*Inner. The product of a layout that came out of a file, or that a
// Writer accepted, does not overflow.
func (l Layout) Elements() int { return l.Outer * l.Channels * l.Inner }

// BlocksPerChannel returns the number of groups in each channel: ceil(Outer*Inner/Block), or 1 when
// Block is 0, or 0 when the tensor has no elements. The last block of a channel may be shorter.
func (l Layout) BlocksPerChannel() int {
	switch {
	case l.Elements() == 0:
		return 0
	case l.Block == 0:
		return 1
	}
	return (l.Outer*l.Inner-1)/l.Block + 1
}

// Groups returns the number of groups, and so of scales: Channels*BlocksPerChannel.
func (l Layout) Groups() int { return l.Channels * l.BlocksPerChannel() }

// Tensor is one tensor of a model. Exactly one of Data and Quant carries its values.
type Tensor struct {
	Name  string  // not empty, unique in the file, any bytes
	Type  int32   // element type, an opaque number >= 0 (for ONNX: TensorProto.DataType)
	Shape []int64 // row-major; empty for a scalar
	Note  string  // kept tensors: the reason; quantized tensors: empty
	Data  []byte  // kept tensors: the values as raw bytes; nil when Quant is set
	Quant *Quant  // nil for kept tensors
}

// Quant is a tensor in quantized form. Levels tells the two kinds apart: nil for affine codes, else a
// codebook. Scales, zero points and levels are restored bit by bit as they were written, with one
// exception: Zeros that all have the default value are read back as nil.
type Quant struct {
	Method  string    // member of the quantizer family, for people
	P       float32   // exponent of that member, finite, for people
	Bits    int       // bits of a code, 1-16
	Layout  Layout    // Elements() equals the number of elements of the tensor
	Codec   Codec     // how the codes are stored: where it gains nothing, a Writer takes CodecPacked in its place
	Scales  []float32 // one per group, finite
	Stretch float32   // affine: multiplies all scales, finite and above 0; 0 means 1
	Zeros   []uint8   // affine: one per group, below 1<<Bits; nil: all are 1<<(Bits-1), and always so above 8 bits
	Levels  []float32 // codebook: 1<<Bits finite values; nil above 8 bits
	Codes   []uint8   // up to 8 bits: one per element in row-major order, below 1<<Bits
	Wide    []uint16  // above 8 bits: the same in place of Codes, which is nil
}

// MaxNarrow is the most bits of codes that stand in Quant.Codes; codes of more stand in Quant.Wide.
const MaxNarrow = 8

// Len returns the number of codes.
func (q *Quant) Len() int {
	if q.Bits > MaxNarrow {
		return len(q.Wide)
	}
	return len(q.Codes)
}

// Code returns the code of element i in row-major order.
func (q *Quant) Code(i int) int {
	if q.Bits > MaxNarrow {
		return int(q.Wide[i])
	}
	return int(q.Codes[i])
}

// Dequantize stores the value of every element in dst, in row-major order. With s and z the scale and
// zero point of the element's group, it is one float32 multiplication, rounded to nearest even:
//
//	affine:   float32(int(code) - int(z)) * s
//	codebook: Levels[code] * s
//
// where s is first multiplied by Stretch, rounded to float32, if there is one. So the result has the same bits on every machine. A product beyond the float32 range is an infinity.
// dst must have one place per code, and q the lengths that its fields promise; else it panics.
func (q *Quant) Dequantize(dst []float32) {
	if len(dst) != q.Len() || len(dst) != q.Layout.Elements() {
		panic(fmt.Sprintf("packing: dequantizing %d codes of %d elements into %d places",
			q.Len(), q.Layout.Elements(), len(dst)))
	}
	l := q.Layout
	perChannel := l.BlocksPerChannel()
	at := 0
	for o := range l.Outer {
		for c := range l.Channels {
			for i := 0; i < l.Inner; {
				run, block := l.Inner-i, 0
				if l.Block > 0 {
					pos := o*l.Inner + i
					block = pos / l.Block
					run = min(run, l.Block-pos%l.Block)
				}
				q.dequantizeRun(dst[at:at+run], at, c*perChannel+block)
				at += run
				i += run
			}
		}
	}
}

// Scale returns the scale of a group as values are decoded with: stretched, rounded to float32.
func (q *Quant) Scale(group int) float32 {
	if stretched(q.Stretch) {
		return q.Scales[group] * q.Stretch
	}
	return q.Scales[group]
}

// dequantizeRun restores consecutive elements of one group, the first of which is element at.
func (q *Quant) dequantizeRun(dst []float32, at, group int) {
	s := q.Scale(group)
	if q.Bits > MaxNarrow {
		centred(dst, q.Wide[at:], q.Zero(group), s)
		return
	}
	if len(dst) >= worthTable<<q.Bits {
		q.dequantizeByTable(dst, q.Codes[at:at+len(dst)], q.Zero(group), s)
		return
	}
	if q.Levels == nil {
		centred(dst, q.Codes[at:], q.Zero(group), s)
		return
	}
	levels, codes := q.Levels, q.Codes[at:at+len(dst)]
	for i, c := range codes {
		dst[i] = levels[c] * s
	}
}

// worthTable is how many times as long as the list of all codes a run is for which their values are worked out first.
const worthTable = 4

// dequantizeByTable restores as many narrow codes of a group as dst has places.
func (q *Quant) dequantizeByTable(dst []float32, codes []uint8, z int, s float32) {
	var values [1 << MaxNarrow]float32
	for c := range 1 << q.Bits {
		if values[c] = float32(c-z) * s; q.Levels != nil {
			values[c] = q.Levels[c] * s
		}
	}
	dst = dst[:len(codes)]
	for i, c := range codes {
		dst[i] = values[c]
	}
}

// centred stores (code - z) * s for as many codes as dst has places.
func centred[T uint8 | uint16](dst []float32, codes []T, z int, s float32) {
	codes = codes[:len(dst)]
	for i, c := range codes {
		dst[i] = float32(int(c)-z) * s
	}
}

// Zero returns the zero point of a group of affine codes.
func (q *Quant) Zero(group int) int {
	if q.Zeros == nil {
		return 1 << (q.Bits - 1)
	}
	return int(q.Zeros[group])
}

// finite reports whether every value is neither NaN nor an infinity.
func finite(values []float32) bool {
	for _, v := range values {
		if math.Float32bits(v)&0x7f800000 == 0x7f800000 {
			return false
		}
	}
	return true
}
