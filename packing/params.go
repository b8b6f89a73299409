package packing

import (
	"encoding/binary"
	"math"

	"github.com/x448/float16"
)

// Forms of the three lists in a params section. FORMAT.md, "Params". One byte of the index holds all
// three: scales in bits 0-3, zero points in bits 4-5, levels in bits 6-7.
const (
	scalesFloat32  = 0 // 4 bytes each
	scalesBfloat16 = 1 // 2 bytes each: the upper half of a float32 whose lower half is zero
	scalesShort8   = 2 // a 2-byte base, then 1 byte each, for float32 with 18 low zero bits
	scalesCoded8   = 3 // a 2-byte base, the middle byte, then the bytes of scalesShort8 under CodecRange

	zerosDefault = 0 // nothing: all are 1<<(bits-1)
	zerosPacked  = 1 // PackBits
	zerosCoded   = 2 // as codes under CodecRange; the section starts with their length

	levelsNone    = 0 // affine codes
	levelsFloat16 = 1 // 2 bytes each, IEEE 754 binary16
	levelsFloat32 = 2 // 4 bytes each
	levelsStretch = 3 // affine codes: one float32 that multiplies all scales
)

type forms byte

func makeForms(scales, zeros, levels int) forms { return forms(scales | zeros<<4 | levels<<6) }

func (f forms) scales() int { return int(f & 15) }
func (f forms) zeros() int  { return int(f >> 4 & 3) }
func (f forms) levels() int { return int(f >> 6) }

// known reports whether this version defines all three forms.
func (f forms) known() bool {
	return f.scales() <= scalesCoded8 && f.zeros() <= zerosCoded
}

// fixed reports whether the lengths of the lists follow from their forms.
func (f forms) fixed() bool { return f.scales() < scalesCoded8 && f.zeros() <= zerosPacked }

// codebook reports whether the codes are those of a codebook.
func (f forms) codebook() bool { return f.levels() == levelsFloat16 || f.levels() == levelsFloat32 }

// size returns the three lengths of a params section in known forms; those of coded lists are the most that they can have.
// groups is at most MaxElements.
func (f forms) size(groups, bits int) (scales, zeros, levels int) {
	scales = [...]int{4 * groups, 2 * groups, 2 + groups, 1 + groups}[f.scales()]
	switch f.zeros() {
	case zerosPacked:
		zeros = PackedLen(groups, bits)
	case zerosCoded:
		zeros = PackedLen(groups, bits) - 1
	}
	levels = [...]int{0, 2, 4, 0}[f.levels()] << bits
	if f.levels() == levelsStretch {
		levels = 4
	}
	return scales, zeros, levels
}

// appendParams appends the params section of q in the shortest exact forms.
func appendParams(dst []byte, q *Quant) ([]byte, forms) {
	zeroForm, levelForm := zerosDefault, levelFormOf(q.Levels)
	scaleForm, scales := encodeScales(q.Scales, q.Layout)
	var zeros []byte
	if !allDefault(q.Zeros, q.Bits) {
		zeroForm, zeros = encodeZeros(q.Zeros, q.Bits, q.Layout)
	}
	if zeroForm == zerosCoded {
		dst = binary.AppendUvarint(dst, uint64(len(zeros)))
	}
	dst = append(append(dst, scales...), zeros...)
	for _, v := range q.Levels {
		if levelForm == levelsFloat16 {
			dst = binary.LittleEndian.AppendUint16(dst, float16.Fromfloat32(v).Bits())
		} else {
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
		}
	}
	if stretched(q.Stretch) {
		levelForm = levelsStretch
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(q.Stretch))
	}
	return dst, makeForms(scaleForm, zeroForm, levelForm)
}

// encodeZeros returns the shorter form of zero points, and these.
func encodeZeros(zeros []uint8, bits int, l Layout) (form int, b []byte) {
	packed := make([]byte, PackedLen(len(zeros), bits))
	PackBits(packed, zeros, bits)
	z := zeroCodes(len(zeros), bits)
	z.Codes = zeros
	coded := z.encodeRange(stepShape(l))
	if len(binary.AppendUvarint(nil, uint64(len(coded))))+len(coded) < len(packed) {
		return zerosCoded, coded
	}
	return zerosPacked, packed
}

// zeroCodes returns n zero points as codes, whose own zero point is the default.
func zeroCodes(n, bits int) *Quant { return &Quant{Bits: bits, Layout: Layout{1, 1, n, 0}} }

// stretched reports whether a stretch changes anything: 0 stands for none.
func stretched(v float32) bool { return v != 0 && v != 1 }

// levelFormOf returns the shortest form that stores levels exactly.
func levelFormOf(levels []float32) int {
	if levels == nil {
		return levelsNone
	}
	for _, v := range levels {
		if math.Float32bits(float16.Fromfloat32(v).Float32()) != math.Float32bits(v) {
			return levelsFloat32
		}
	}
	return levelsFloat16
}

func allDefault(zeros []uint8, bits int) bool {
	for _, z := range zeros {
		if z != 1<<(bits-1) {
			return false
		}
	}
	return true
}

// decodeParams checks rules R30 to R33 on the params section of e, whose length the index has matched
// to its forms, and fills in scales, zero points, levels and stretch of q.
func (e *Entry) decodeParams(q *Quant, src []byte) error {
	at := e.Offset + e.CodesBytes
	groups := e.Layout.Groups()
	_, nz, nl := e.forms.size(groups, e.Bits)
	if e.forms.zeros() == zerosCoded {
		n, size := binary.Uvarint(src)
		if size <= 0 || size > 1 && src[size-1] == 0 || n > uint64(len(src)-size-nl) {
			return formatError(ruleZeros, at, e.Name, "zero points of %q: no length that lies in the section", e.Name)
		}
		src, nz = src[size:], int(n)
	}
	ns := len(src) - nz - nl
	zeros, levels := src[ns:ns+nz], src[ns+nz:]
	var err error
	if q.Scales, err = decodeScales(src[:ns], e.Layout, e.forms.scales()); err != nil {
		return formatError(ruleScales, at, e.Name, "scales of %q: %v", e.Name, err)
	}
	switch e.forms.zeros() {
	case zerosPacked:
		q.Zeros = make([]uint8, groups)
		if err := UnpackBits(q.Zeros, zeros, e.Bits); err != nil {
			return formatError(ruleUnusedBits, at+int64(ns), e.Name, "zero points of %q: %v", e.Name, err)
		}
	case zerosCoded:
		z := zeroCodes(groups, e.Bits)
		if err := z.decodeRange(stepShape(e.Layout), zeros, groups, true); err != nil {
			return formatError(ruleZeros, at+int64(ns), e.Name, "zero points of %q: %v", e.Name, err)
		}
		q.Zeros = z.Codes
	}
	if !finite(q.Scales) {
		return formatError(ruleScales, at, e.Name, "scales of %q: not all are finite", e.Name)
	}
	if err := checkScales(src[:ns], q.Scales, e.Layout, e.forms.scales()); err != nil {
		return formatError(ruleScales, at, e.Name, "scales of %q: %v", e.Name, err)
	}
	if q.Zeros != nil && allDefault(q.Zeros, e.Bits) {
		return formatError(ruleZeros, at+int64(ns), e.Name, "zero points of %q: stored though all are %d", e.Name, 1<<(e.Bits-1))
	}
	if e.forms.levels() == levelsStretch {
		q.Stretch = math.Float32frombits(binary.LittleEndian.Uint32(levels))
		if !validStretch(q.Stretch) || !stretched(q.Stretch) {
			return formatError(ruleLevels, at+int64(ns+nz), e.Name, "stretch of %q: %v, want a finite number above 0 other than 1", e.Name, q.Stretch)
		}
		return nil
	}
	if q.Levels = decodeLevels(levels, e.Bits, e.forms.levels()); !finite(q.Levels) {
		return formatError(ruleLevels, at+int64(ns+nz), e.Name, "levels of %q: not all are finite", e.Name)
	}
	if form := levelFormOf(q.Levels); form != e.forms.levels() {
		return formatError(ruleLevels, at+int64(ns+nz), e.Name, "levels of %q: form %d, want the shorter %d", e.Name, e.forms.levels(), form)
	}
	return nil
}

// validStretch reports whether v can stand in a file: finite and above 0.
func validStretch(v float32) bool { return v > 0 && v <= math.MaxFloat32 }

func decodeLevels(src []byte, bits, form int) []float32 {
	if form == levelsNone {
		return nil
	}
	levels := make([]float32, 1<<bits)
	for i := range levels {
		if form == levelsFloat16 {
			levels[i] = float16.Frombits(binary.LittleEndian.Uint16(src[2*i:])).Float32()
		} else {
			levels[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	}
	return levels
}
