package packing

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// The list of scales in a params section. FORMAT.md, "Params".

// shortDrop is the number of low bits that a short8 scale does without: 5 bits of the fraction stay,
// so that a step is 1/32 of an octave.
const shortDrop = 18

// encodeScales returns the form that stores scales exactly in the fewest bytes, of equals the lower, and these.
func encodeScales(scales []float32, l Layout) (form int, b []byte) {
	if form = scaleFormOf(scales); form != scalesShort8 {
		return form, appendScales(nil, scales, form)
	}
	short := appendScales(nil, scales, form)
	if coded := codeSteps(short, l); len(coded) < len(short) {
		return scalesCoded8, coded
	}
	return form, short
}

// scaleFormOf is encodeScales among the forms that code nothing.
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

// checkScales checks that scales, which were decoded from src, are stored as a writer stores them in that form, and that,
// where they are not coded, no other such form is shorter.
func checkScales(src []byte, scales []float32, l Layout, form int) error {
	var again []byte
	if form == scalesCoded8 {
		again = codeSteps(appendScales(nil, scales, scalesShort8), l)
	} else {
		want := scaleFormOf(scales)
		if form != want {
			return fmt.Errorf("form %d, want the shorter %d", form, want)
		}
		again = appendScales(nil, scales, form)
	}
	if !bytes.Equal(again, src) {
		return errors.New("base or middle is not that of the scales")
	}
	return nil
}

// codeSteps codes what appendScales makes in form short8.
func codeSteps(short []byte, l Layout) []byte {
	steps := short[2:]
	sorted := slices.Clone(steps)
	slices.Sort(sorted)
	middle := sorted[(len(sorted)-1)/2]
	q := stepCodes(len(steps), middle)
	q.Codes = steps
	return append([]byte{short[0], short[1], middle}, q.encodeRange(stepShape(l))...)
}

// stepCodes returns the steps of n scales as codes whose zero point is the middle one.
func stepCodes(n int, middle byte) *Quant {
	return &Quant{Bits: 8, Layout: Layout{1, 1, n, 0}, Zeros: []uint8{middle}}
}

// stepShape makes a row of each channel that has several scales.
func stepShape(l Layout) []int64 { return []int64{int64(l.Channels), int64(l.BlocksPerChannel())} }

// decodeScales is the inverse of encodeScales. The length of src is that of the form, or for coded scales less than for
// short8.
func decodeScales(src []byte, l Layout, form int) ([]float32, error) {
	groups := l.Groups()
	if form == scalesCoded8 {
		if len(src) < 3 {
			return nil, errors.New("no base and middle")
		}
		q := stepCodes(groups, src[2])
		if err := q.decodeRange(stepShape(l), src[3:], groups, true); err != nil {
			return nil, err
		}
		src, form = append(slices.Clone(src[:2]), q.Codes...), scalesShort8
	}
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
	return scales, nil
}
