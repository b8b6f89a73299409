package packing

import (
	"bytes"
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

	zerosDefault = 0 // nothing: all are 1<<(bits-1)
	zerosPacked  = 1 // PackBits

	levelsNone    = 0 // affine codes
	levelsFloat16 = 1 // 2 bytes each, IEEE 754 binary16
	levelsFloat32 = 2 // 4 bytes each
	levelsStretch = 3 // affine codes: one float32 that multiplies all scales
)

// shortDrop is the number of low bits that a short8 scale does without: 5 bits of the fraction stay,
// so that a step is 1/32 of an octave.
const shortDrop = 18

type forms byte

func makeForms(scales, zeros, levels int) forms { return forms(scales | zeros<<4 | levels<<6) }

func (f forms) scales() int { return int(f & 15) }
func (f forms) zeros() int  { return int(f >> 4 & 3) }
func (f forms) levels() int { return int(f >> 6) }

// known reports whether this version defines all three forms.
func (f forms) known() bool {
	return f.scales() <= scalesShort8 && f.zeros() <= zerosPacked
}

// codebook reports whether the codes are those of a codebook.
func (f forms) codebook() bool { return f.levels() == levelsFloat16 || f.levels() == levelsFloat32 }

// size returns the three lengths of a params section in known forms. groups is at most MaxElements.
func (f forms) size(groups, bits int) (scales, zeros, levels int) {
	scales = [...]int{4 * groups, 2 * groups, 2 + groups}[f.scales()]
	if f.zeros() == zerosPacked {
		zeros = PackedLen(groups, bits)
	}
	levels = [...]int{0, 2, 4, 0}[f.levels()] << bits
	if f.levels() == levelsStretch {
		levels = 4
	}
	return scales, zeros, levels
}

// appendParams appends the params section of q in the shortest exact forms.
func appendParams(dst []byte, q *Quant) ([]byte, forms) {
	scaleForm, zeroForm, levelForm := scaleFormOf(q.Scales), zerosDefault, levelFormOf(q.Levels)
	dst = appendScales(dst, q.Scales, scaleForm)
	if !allDefault(q.Zeros, q.Bits) {
		zeroForm = zerosPacked
		n := len(dst)
		dst = append(dst, make([]byte, PackedLen(len(q.Zeros), q.Bits))...)
		PackBits(dst[n:], q.Zeros, q.Bits)
	}
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

// stretched reports whether a stretch changes anything: 0 stands for none.
func stretched(v float32) bool { return v != 0 && v != 1 }

// scaleFormOf returns the form that stores scales exactly in the fewest bytes; of equals, the lower.
func scaleFormOf(scales []float32) int {
	low, lo, hi := uint32(0), uint32(math.MaxUint32), uint32(0)
	for _, s := range scales {
		b := math.Float32bits(s)
		low |= b
		if b != 0 {
			lo, hi = min(lo, b>>shortDrop), max(hi, b>>shortDrop)
		}
	}
	form, size := scalesFloat32, 4*len(scales)
	if low<<16 == 0 && 2*len(scales) < size {
		form, size = scalesBfloat16, 2*len(scales)
	}
	// Byte 0 stands for the scale 0, which leaves 255 steps for all others.
	near := hi == 0 || hi-lo < 255
	if low<<(32-shortDrop) == 0 && near && 2+len(scales) < size {
		form = scalesShort8
	}
	return form
}

func appendScales(dst []byte, scales []float32, form int) []byte {
	switch form {
	case scalesShort8:
		base := shortBase(scales)
		dst = binary.LittleEndian.AppendUint16(dst, uint16(base))
		for _, s := range scales {
			if b := math.Float32bits(s); b == 0 {
				dst = append(dst, 0)
			} else {
				dst = append(dst, byte(b>>shortDrop-base+1))
			}
		}
	case scalesBfloat16:
		for _, s := range scales {
			dst = binary.LittleEndian.AppendUint16(dst, uint16(math.Float32bits(s)>>16))
		}
	default:
		for _, s := range scales {
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(s))
		}
	}
	return dst
}

// shortBase returns the smallest step among the scales that are not +0, or 0 when all are.
func shortBase(scales []float32) uint32 {
	base := uint32(math.MaxUint32)
	for _, s := range scales {
		if b := math.Float32bits(s); b != 0 {
			base = min(base, b>>shortDrop)
		}
	}
	if base == math.MaxUint32 {
		return 0
	}
	return base
}

func decodeScales(src []byte, groups, form int) []float32 {
	scales := make([]float32, groups)
	for i := range scales {
		switch form {
		case scalesShort8:
			if d := src[2+i]; d != 0 {
				step := uint32(binary.LittleEndian.Uint16(src)) + uint32(d) - 1
				scales[i] = math.Float32frombits(step << shortDrop)
			}
		case scalesBfloat16:
			scales[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
		default:
			scales[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	}
	return scales
}

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
	ns, nz, _ := e.forms.size(groups, e.Bits)
	zeros, levels := src[ns:ns+nz], src[ns+nz:]
	q.Scales = decodeScales(src, groups, e.forms.scales())
	if e.forms.zeros() == zerosPacked {
		q.Zeros = make([]uint8, groups)
		if err := UnpackBits(q.Zeros, zeros, e.Bits); err != nil {
			return formatError(ruleUnusedBits, at+int64(ns), e.Name, "zero points of %q: %v", e.Name, err)
		}
	}
	if !finite(q.Scales) {
		return formatError(ruleScales, at, e.Name, "scales of %q: not all are finite", e.Name)
	}
	if form := scaleFormOf(q.Scales); form != e.forms.scales() {
		return formatError(ruleScales, at, e.Name, "scales of %q: form %d, want the shorter %d", e.Name, e.forms.scales(), form)
	}
	if !bytes.Equal(appendScales(nil, q.Scales, e.forms.scales()), src[:ns]) {
		return formatError(ruleScales, at, e.Name, "scales of %q: base is not that of the smallest scale", e.Name)
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
