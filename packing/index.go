package packing

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// Entry is what the index says about one tensor. No payload is read for it.
type Entry struct {
	Name     string
	Type     int32   // element type, an opaque number
	Shape    []int64 // row-major
	Elements int64   // product of Shape
	Codec    Codec   // of the codes, or of the data of a kept tensor

	// Kept tensors only.
	Note      string
	DataBytes int64 // raw values
	KeptBytes int64 // the same as stored

	// Quantized tensors only.
	Quantized   bool
	Codebook    bool // levels; else affine
	Method      string
	P           float32
	Bits        int
	Layout      Layout
	CodesBytes  int64 // codes as stored
	ScalesBytes int64 // scales, zero points and levels as stored

	Offset    int64  // of the tensor's first byte in the file
	forms     forms  // of the params section
	apart     bool   // codes and params have a checksum each, as the first writers had it
	sum       uint32 // CRC-32C of the codes or data as stored; of codes and params, unless they are apart
	paramsSum uint32 // CRC-32C of the params section, when they are apart
}

// stored returns the bytes of the tensor in the file, padding apart.
func (e *Entry) stored() int64 { return e.KeptBytes + e.CodesBytes + e.ScalesBytes }

// blob is a section of opaque bytes.
type blob struct {
	codec       Codec
	raw, stored int64
	sum         uint32
	offset      int64
}

// extra is a section of a kind that this version does not know, and may skip.
type extra struct {
	id, stored, offset int64
	sum                uint32
}

// index is the decoded index of a file.
type index struct {
	meta    Meta
	graph   blob
	entries []Entry
	byName  map[string]int
	extras  []extra
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendTo appends the meta data as the index holds it.
func (m Meta) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(m)))
	for _, p := range m {
		b = appendString(b, p.Key)
		b = appendString(b, string(p.Value))
	}
	return b
}

// appendTo appends codec, raw length, stored length (left out with CodecRaw) and checksum.
func (s *blob) appendTo(b []byte) []byte {
	b = append(b, byte(s.codec))
	b = binary.AppendUvarint(b, uint64(s.raw))
	if s.codec != CodecRaw {
		b = binary.AppendUvarint(b, uint64(s.stored))
	}
	return binary.LittleEndian.AppendUint32(b, s.sum)
}

// appendTo appends the entry as the index holds it. FORMAT.md, "Tensor entry".
func (e *Entry) appendTo(b []byte) []byte {
	b = appendString(b, e.Name)
	b = binary.AppendUvarint(b, uint64(e.Type))
	b = binary.AppendUvarint(b, uint64(len(e.Shape)))
	for _, d := range e.Shape {
		b = binary.AppendUvarint(b, uint64(d))
	}
	if !e.Quantized {
		b = appendString(append(b, stateKept), e.Note)
		s := blob{codec: e.Codec, raw: e.DataBytes, stored: e.KeptBytes, sum: e.sum}
		return s.appendTo(b)
	}
	if e.apart {
		b = appendString(append(b, stateApart), e.Method)
	} else {
		b = appendString(append(b, stateQuantized), e.Method)
	}
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(e.P))
	b = append(b, byte(e.Bits))
	for _, n := range [...]int{e.Layout.Outer, e.Layout.Channels, e.Layout.Inner, e.Layout.Block} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = append(b, byte(e.Codec))
	if e.apart {
		b = binary.AppendUvarint(b, uint64(e.CodesBytes))
		b = binary.LittleEndian.AppendUint32(b, e.sum)
		b = append(b, byte(e.forms))
		b = binary.AppendUvarint(b, uint64(e.ScalesBytes))
		return binary.LittleEndian.AppendUint32(b, e.paramsSum)
	}
	if e.Codec != CodecPacked {
		b = binary.AppendUvarint(b, uint64(e.CodesBytes))
	}
	b = append(b, byte(e.forms))
	if !e.forms.fixed() {
		b = binary.AppendUvarint(b, uint64(e.ScalesBytes))
	}
	return binary.LittleEndian.AppendUint32(b, e.sum)
}

const (
	stateKept      = 0
	stateApart     = 1 // quantized, with all lengths and a checksum for codes and params each
	stateQuantized = 2 // without lengths that follow from the rest, and one checksum
)

// elementLimit bounds the elements of a tensor on this machine, so that sizes in bytes fit in an int.
const elementLimit = min(MaxElements, math.MaxInt>>4)

// elements returns the product of dims. It fails when a dimension is negative or when the product of
// those that are not zero is above elementLimit; so a hostile [0, 1<<62] fails too.
func elements(dims ...int64) (int64, bool) {
	n, zero := uint64(1), false
	for _, d := range dims {
		if d < 0 || d > elementLimit {
			return 0, false
		}
		if d == 0 {
			zero = true
			continue
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > elementLimit {
			return 0, false
		}
		n = lo
	}
	if zero {
		n = 0
	}
	return int64(n), true
}

// valid reports whether the layout covers n elements.
func (l Layout) valid(n int64) bool {
	got, ok := elements(int64(l.Outer), int64(l.Channels), int64(l.Inner))
	return ok && got == n && l.Block >= 0 && int64(l.Block) <= elementLimit
}
