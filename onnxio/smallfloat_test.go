package onnxio

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"testing"
)

var smallTypes = []DataType{Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float4E2M1, Float8E8M0}

// TestDecodeSmallFloat compares all values with those of the Python package ml_dtypes 0.5, given as the digest of
// the float32 values of all codes, NaNs written as zeros, and the number of NaNs.
func TestDecodeSmallFloat(t *testing.T) {
	cases := []struct {
		t      DataType
		digest string
		nans   int
	}{
		{Float8E4M3FN, "0c5d81084420441d5c98db2c276b865fc29738d60fba9c32b55aa8214762b794", 2},
		{Float8E4M3FNUZ, "3551e5a780d001d526fba021600a2595813caa0fcb582092da1be9a1bdb80481", 1},
		{Float8E5M2, "f3e7031368f3245d56c8114ed15a46144bf609430c117e10fc3e0f5114d773b3", 6},
		{Float8E5M2FNUZ, "801b50f1b961308528bde43a912bee3216578cab9d4154d2c8c1b07bc19cd843", 1},
		{Float8E8M0, "77b869e821d2ed59a324e24d2f75966dcfaa6288d900ba7969b8aa7ccde1229d", 1},
		{Float4E2M1, "c736c7e2e761e08975d601fab3563265be14d8df46628e596c0989b97735b5f5", 0},
	}
	for _, c := range cases {
		var raw []byte
		nans := 0
		for code := range 1 << c.t.Bits() {
			v := DecodeSmallFloat(c.t, uint8(code))
			if v != v {
				nans, v = nans+1, 0
			}
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
		sum := sha256.Sum256(raw)
		if got := hex.EncodeToString(sum[:]); got != c.digest || nans != c.nans {
			t.Errorf("%v: digest %s with %d NaNs, want %s with %d", c.t, got, nans, c.digest, c.nans)
		}
	}
}

// TestSmallFloatCodes encodes every value again.
func TestSmallFloatCodes(t *testing.T) {
	for _, typ := range smallTypes {
		for code := range 1 << typ.Bits() {
			v := DecodeSmallFloat(typ, uint8(code))
			got := DecodeSmallFloat(typ, EncodeSmallFloat(typ, v, false, RoundNearest))
			if math.Float32bits(got) != math.Float32bits(v) && (got == got || v == v) {
				t.Errorf("%v code %#x: %v becomes %v", typ, code, v, got)
			}
		}
	}
}

// TestEncodeSmallFloat takes its values from the tables of ONNX Cast and from the formats' spacing: 16 is followed by
// 18 in E4M3 and by 20 in E5M2.
func TestEncodeSmallFloat(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	cases := []struct {
		t        DataType
		in       float32
		saturate bool
		want     float32
	}{
		{Float8E4M3FN, 17, true, 16}, {Float8E4M3FN, 19, true, 20}, {Float8E4M3FN, -17, true, -16},
		{Float8E4M3FN, 464, false, 448}, {Float8E4M3FN, 465, false, nan}, {Float8E4M3FN, 465, true, 448},
		{Float8E4M3FN, inf, true, 448}, {Float8E4M3FN, -inf, true, -448}, {Float8E4M3FN, inf, false, nan},
		{Float8E4M3FN, nan, true, nan}, {Float8E4M3FN, 0x1p-10, true, 0}, {Float8E4M3FN, 0x1.8p-9, true, 0x1p-8},
		{Float8E4M3FNUZ, 1e9, true, 240}, {Float8E4M3FNUZ, -1e9, true, -240}, {Float8E4M3FNUZ, 1e9, false, nan},
		{Float8E4M3FNUZ, nan, true, nan}, {Float8E4M3FNUZ, -1e-9, true, 0},
		{Float8E5M2, 18, true, 16}, {Float8E5M2, 22, true, 24}, {Float8E5M2, 1e9, true, 57344},
		{Float8E5M2, 1e9, false, inf}, {Float8E5M2, -inf, false, -inf}, {Float8E5M2, inf, true, 57344},
		{Float8E5M2FNUZ, inf, false, nan}, {Float8E5M2FNUZ, -inf, true, -57344},
		{Float4E2M1, 0.25, true, 0}, {Float4E2M1, 0.75, true, 1}, {Float4E2M1, 2.5, true, 2}, {Float4E2M1, 5, true, 4},
		{Float4E2M1, 100, false, 6}, {Float4E2M1, -inf, true, -6}, {Float4E2M1, nan, true, 0},
		{Float8E8M0, 3, true, 4}, {Float8E8M0, 4, true, 4}, {Float8E8M0, nan, true, nan}, {Float8E8M0, 0, false, nan},
		{Float8E8M0, 0, true, 0x1p-127}, {Float8E8M0, inf, true, 0x1p127}, {Float8E8M0, inf, false, nan},
	}
	for _, c := range cases {
		got := DecodeSmallFloat(c.t, EncodeSmallFloat(c.t, c.in, c.saturate, RoundUp))
		if got != c.want && (got == got || c.want == c.want) {
			t.Errorf("%v %v saturate %v: got %v, want %v", c.t, c.in, c.saturate, got, c.want)
		}
	}
}

func TestE8M0Modes(t *testing.T) {
	for _, c := range []struct {
		in   float32
		want [3]float32 // up, down, nearest
	}{{2, [3]float32{2, 2, 2}}, {2.5, [3]float32{4, 2, 2}}, {3, [3]float32{4, 2, 4}}, {3.5, [3]float32{4, 2, 4}}} {
		for mode, want := range c.want {
			if got := DecodeSmallFloat(Float8E8M0, EncodeSmallFloat(Float8E8M0, c.in, true, E8M0Mode(mode))); got != want {
				t.Errorf("%v mode %d: got %v, want %v", c.in, mode, got, want)
			}
		}
	}
}

func TestSmallFloatTensor(t *testing.T) {
	a := &Array{Type: Float4E2M1, Shape: []int{3}, Data: []float32{1.5, -6, 0.4}}
	x := NewTensor("w", a)
	if want := []byte{0xf3, 0x01}; !slices.Equal(x.Raw, want) {
		t.Errorf("raw data %x, want %x", x.Raw, want)
	}
	b, err := x.Array()
	if err != nil || !slices.Equal(b.F32(), []float32{1.5, -6, 0.5}) {
		t.Errorf("decoded %v, %v", b, err)
	}
	y := &Tensor{Type: Float8E5M2, Dims: []int64{2}, Int32Data: varints(0x3c, 0xbc)}
	if b, err = y.Array(); err != nil || !slices.Equal(b.F32(), []float32{1, -1}) {
		t.Errorf("decoded from int32_data %v, %v", b, err)
	}
}
