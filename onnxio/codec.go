package onnxio

import (
	"encoding/binary"
	"math"

	"github.com/x448/float16"
)

// decodeRaw fills a, whose length was checked against raw, from little-endian raw_data.
// 4- and 2-bit elements start at the low bits of each byte (onnx.proto, TensorProto.raw_data).
func decodeRaw(a *Array, raw []byte) {
	le := binary.LittleEndian
	switch d := a.Data.(type) {
	case []float32:
		if a.Type == Float {
			getFloat32s(d, raw)
			return
		}
		if a.Type.IsSmallFloat() {
			for i := range d {
				d[i] = DecodeSmallFloat(a.Type, uint8(subByte(raw, i, a.Type.Bits(), false)))
			}
			return
		}
		for i := range d {
			d[i] = widenHalf(a.Type, le.Uint16(raw[2*i:]))
		}
	case []float64:
		for i := range d {
			d[i] = math.Float64frombits(le.Uint64(raw[8*i:]))
		}
	case []int8:
		for i := range d {
			d[i] = int8(subByte(raw, i, a.Type.Bits(), true))
		}
	case []uint8:
		for i := range d {
			d[i] = uint8(subByte(raw, i, a.Type.Bits(), false))
		}
	case []int16:
		for i := range d {
			d[i] = int16(le.Uint16(raw[2*i:]))
		}
	case []uint16:
		for i := range d {
			d[i] = le.Uint16(raw[2*i:])
		}
	case []int32:
		for i := range d {
			d[i] = int32(le.Uint32(raw[4*i:]))
		}
	case []uint32:
		for i := range d {
			d[i] = le.Uint32(raw[4*i:])
		}
	case []int64:
		for i := range d {
			d[i] = int64(le.Uint64(raw[8*i:]))
		}
	case []uint64:
		for i := range d {
			d[i] = le.Uint64(raw[8*i:])
		}
	case []bool:
		for i := range d {
			d[i] = raw[i] != 0
		}
	}
}

// subByte returns element i of elements of the given bits (8, 4 or 2), packed from the low bits up.
func subByte(raw []byte, i, bits int, signed bool) int {
	per := 8 / bits
	v := int(raw[i/per]>>(i%per*bits)) & (1<<bits - 1)
	if signed && v >= 1<<(bits-1) {
		v -= 1 << bits
	}
	return v
}

// decodeTyped fills a from the typed data field of its type; the counts were checked.
func (t *Tensor) decodeTyped(a *Array) {
	switch d := a.Data.(type) {
	case []float32:
		if a.Type == Float {
			getFloat32s(d, t.FloatData)
			return
		}
		if a.Type.IsSmallFloat() {
			t.decodeSmall(a)
			return
		}
		eachVarint(t.Int32Data, func(i int, v uint64) { d[i] = widenHalf(a.Type, uint16(v)) })
	case []float64:
		for i := range d {
			d[i] = math.Float64frombits(binary.LittleEndian.Uint64(t.DoubleData[8*i:]))
		}
	case []int64:
		eachVarint(t.Int64Data, func(i int, v uint64) { d[i] = int64(v) })
	case []uint64:
		eachVarint(t.Uint64Data, func(i int, v uint64) { d[i] = v })
	case []uint32:
		eachVarint(t.Uint64Data, func(i int, v uint64) { d[i] = uint32(v) })
	case []int32:
		eachVarint(t.Int32Data, func(i int, v uint64) { d[i] = int32(v) })
	case []int16:
		eachVarint(t.Int32Data, func(i int, v uint64) { d[i] = int16(v) })
	case []uint16:
		eachVarint(t.Int32Data, func(i int, v uint64) { d[i] = uint16(v) })
	case []bool:
		eachVarint(t.Int32Data, func(i int, v uint64) { d[i] = v != 0 })
	case []int8, []uint8:
		t.decodeSmall(a)
	}
}

// decodeSmall fills a from int32_data whose entries hold one 8-bit, two 4-bit or four 2-bit elements.
func (t *Tensor) decodeSmall(a *Array) {
	bytes := make([]byte, countVarints(t.Int32Data))
	eachVarint(t.Int32Data, func(i int, v uint64) { bytes[i] = byte(v) })
	decodeRaw(a, bytes)
}

// typedRaw returns the elements of a checked tensor that are not in raw_data as raw_data would hold them.
func (t *Tensor) typedRaw() []byte {
	le := binary.LittleEndian
	field, bytes := t.Int32Data, max(t.Type.Bits()/8, 1)
	switch t.Type {
	case Float, Complex64:
		return t.FloatData
	case Double, Complex128:
		return t.DoubleData
	case Int64:
		field = t.Int64Data
	case Uint32, Uint64:
		field = t.Uint64Data
	}
	raw := make([]byte, 0, bytes*countVarints(field))
	eachVarint(field, func(_ int, v uint64) {
		switch {
		case t.Type == Bool && v != 0:
			raw = append(raw, 1)
		case bytes == 1: // also two elements of 4 bits, four of 2
			raw = append(raw, byte(v))
		case bytes == 2:
			raw = le.AppendUint16(raw, uint16(v))
		case bytes == 4:
			raw = le.AppendUint32(raw, uint32(v))
		default:
			raw = le.AppendUint64(raw, v)
		}
	})
	return raw
}

// encodeRaw returns a's elements as raw_data. Floats of 16 bits and less are rounded to nearest even; the small ones
// saturate, but for the infinities of Float8E5M2, which has them.
func encodeRaw(a *Array) []byte {
	le := binary.LittleEndian
	bits := a.Type.Bits()
	raw := make([]byte, 0, (a.Len()*bits+7)/8)
	switch d := a.Data.(type) {
	case []float32:
		if a.Type.IsSmallFloat() {
			codes := make([]uint8, len(d))
			for i, v := range d {
				saturate := a.Type != Float8E5M2 || !math.IsInf(float64(v), 0)
				codes[i] = EncodeSmallFloat(a.Type, v, saturate, RoundUp)
			}
			return appendSubByte(raw, codes, bits)
		}
		for _, v := range d {
			switch a.Type {
			case Float:
				raw = le.AppendUint32(raw, math.Float32bits(v))
			case BFloat16:
				raw = le.AppendUint16(raw, RoundBFloat16(v))
			default:
				raw = le.AppendUint16(raw, float16.Fromfloat32(v).Bits())
			}
		}
	case []float64:
		for _, v := range d {
			raw = le.AppendUint64(raw, math.Float64bits(v))
		}
	case []int8:
		raw = appendSubByte(raw, d, bits)
	case []uint8:
		raw = appendSubByte(raw, d, bits)
	case []int16:
		for _, v := range d {
			raw = le.AppendUint16(raw, uint16(v))
		}
	case []uint16:
		for _, v := range d {
			raw = le.AppendUint16(raw, v)
		}
	case []int32:
		for _, v := range d {
			raw = le.AppendUint32(raw, uint32(v))
		}
	case []uint32:
		for _, v := range d {
			raw = le.AppendUint32(raw, v)
		}
	case []int64:
		for _, v := range d {
			raw = le.AppendUint64(raw, uint64(v))
		}
	case []uint64:
		for _, v := range d {
			raw = le.AppendUint64(raw, v)
		}
	case []bool:
		for _, v := range d {
			b := byte(0)
			if v {
				b = 1
			}
			raw = append(raw, b)
		}
	}
	return raw
}

func appendSubByte[T int8 | uint8](raw []byte, d []T, bits int) []byte {
	per := 8 / bits
	for i := 0; i < len(d); i += per {
		b := byte(0)
		for j := 0; j < per && i+j < len(d); j++ {
			b |= byte(d[i+j]) & (1<<bits - 1) << (j * bits)
		}
		raw = append(raw, b)
	}
	return raw
}

// RoundBFloat16 returns the bits of the bfloat16 nearest to v, ties to even; a NaN stays a NaN.
func RoundBFloat16(v float32) uint16 {
	b := math.Float32bits(v)
	if v != v {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// Round returns v as an element of type t holds it: rounded to nearest even for Float16, BFloat16 and the small float
// types, which saturate; else v.
func Round(t DataType, v float32) float32 {
	if t.IsSmallFloat() {
		return DecodeSmallFloat(t, EncodeSmallFloat(t, v, true, RoundUp))
	}
	switch t {
	case Float16:
		return float16.Fromfloat32(v).Float32()
	case BFloat16:
		return math.Float32frombits(uint32(RoundBFloat16(v)) << 16)
	}
	return v
}
