package onnxio

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// varints encodes values as int32_data, int64_data and uint64_data hold them.
func varints(values ...int64) []byte {
	var b []byte
	for _, v := range values {
		b = binary.AppendUvarint(b, uint64(v))
	}
	return b
}

// Every element type by hand, in raw_data and in its typed field.
func TestTensorArray(t *testing.T) {
	nan16 := uint16(0x7e01)
	cases := []struct {
		name string
		in   Tensor
		want any
	}{
		{"float raw", Tensor{Type: Float, Dims: []int64{2}, HasRaw: true, Raw: []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0}}, []float32{1, -2}},
		{"float typed", Tensor{Type: Float, Dims: []int64{1, 1}, FloatData: []byte{0, 0, 0x80, 0x3f}}, []float32{1}},
		{"scalar", Tensor{Type: Float, HasRaw: true, Raw: []byte{0, 0, 0x80, 0x3f}}, []float32{1}},
		{"empty", Tensor{Type: Float, Dims: []int64{0, 3}}, []float32{}},
		{"float16 raw", Tensor{Type: Float16, Dims: []int64{2}, HasRaw: true, Raw: []byte{0x00, 0x3c, 0x01, 0x00}}, []float32{1, 0x1p-24}},
		{"float16 typed", Tensor{Type: Float16, Dims: []int64{1}, Int32Data: varints(0xc000)}, []float32{-2}},
		{"bfloat16 raw", Tensor{Type: BFloat16, Dims: []int64{1}, HasRaw: true, Raw: []byte{0x80, 0x3f}}, []float32{1}},
		{"double raw", Tensor{Type: Double, Dims: []int64{1}, HasRaw: true, Raw: []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f}}, []float64{1}},
		{"double typed", Tensor{Type: Double, Dims: []int64{1}, DoubleData: []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f}}, []float64{1}},
		{"int8 raw", Tensor{Type: Int8, Dims: []int64{2}, HasRaw: true, Raw: []byte{0xff, 0x7f}}, []int8{-1, 127}},
		{"int8 typed", Tensor{Type: Int8, Dims: []int64{1}, Int32Data: varints(-128)}, []int8{-128}},
		{"uint8 typed", Tensor{Type: Uint8, Dims: []int64{1}, Int32Data: varints(200)}, []uint8{200}},
		{"int16 raw", Tensor{Type: Int16, Dims: []int64{1}, HasRaw: true, Raw: []byte{0xfe, 0xff}}, []int16{-2}},
		{"uint16 typed", Tensor{Type: Uint16, Dims: []int64{1}, Int32Data: varints(65535)}, []uint16{65535}},
		{"int32 raw", Tensor{Type: Int32, Dims: []int64{1}, HasRaw: true, Raw: []byte{1, 0, 0, 0x80}}, []int32{math.MinInt32 + 1}},
		{"uint32 typed", Tensor{Type: Uint32, Dims: []int64{1}, Uint64Data: varints(1 << 31)}, []uint32{1 << 31}},
		{"int64 raw", Tensor{Type: Int64, Dims: []int64{1}, HasRaw: true, Raw: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}, []int64{-1}},
		{"int64 typed", Tensor{Type: Int64, Dims: []int64{2}, Int64Data: varints(-1, 5)}, []int64{-1, 5}},
		{"uint64 typed", Tensor{Type: Uint64, Dims: []int64{1}, Uint64Data: varints(-1)}, []uint64{math.MaxUint64}},
		{"bool raw", Tensor{Type: Bool, Dims: []int64{3}, HasRaw: true, Raw: []byte{0, 1, 2}}, []bool{false, true, true}},
		{"bool typed", Tensor{Type: Bool, Dims: []int64{2}, Int32Data: varints(0, 1)}, []bool{false, true}},
		{"string", Tensor{Type: String, Dims: []int64{2}, StringData: [][]byte{[]byte("a"), nil}}, []string{"a", ""}},
		{"int4 raw, low nibble first", Tensor{Type: Int4, Dims: []int64{3}, HasRaw: true, Raw: []byte{0x8f, 0x07}}, []int8{-1, -8, 7}},
		{"uint4 typed", Tensor{Type: Uint4, Dims: []int64{3}, Int32Data: varints(0x8f, 0x07)}, []uint8{15, 8, 7}},
		{"int2 raw", Tensor{Type: Int2, Dims: []int64{4}, HasRaw: true, Raw: []byte{0b01_10_11_00}}, []int8{0, -1, -2, 1}},
	}
	for _, c := range cases {
		a, err := c.in.Array()
		if err != nil || !reflect.DeepEqual(a.Data, c.want) {
			t.Errorf("%s: got %v, %v, want %v", c.name, a, err, c.want)
		}
	}
	half := Tensor{Type: Float16, Dims: []int64{1}, Int32Data: varints(int64(nan16))}
	if a, err := half.Array(); err != nil || !math.IsNaN(float64(a.F32()[0])) {
		t.Errorf("float16 NaN: got %v, %v", a, err)
	}
}

// Every element keeps its bits, payloads of NaN included, on the way from a typed field to raw_data.
func TestRawBytes(t *testing.T) {
	cases := []struct {
		name string
		in   Tensor
		want []byte
	}{
		{"raw", Tensor{Type: Int8, Dims: []int64{2}, HasRaw: true, Raw: []byte{1, 2}}, []byte{1, 2}},
		{"empty", Tensor{Type: Int32, Dims: []int64{0}}, []byte{}},
		{"float", Tensor{Type: Float, FloatData: []byte{1, 0, 0x80, 0x7f}}, []byte{1, 0, 0x80, 0x7f}},
		{"complex64", Tensor{Type: Complex64, FloatData: []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40}}, []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40}},
		{"double", Tensor{Type: Double, DoubleData: []byte{1, 2, 3, 4, 5, 6, 7, 8}}, []byte{1, 2, 3, 4, 5, 6, 7, 8}},
		{"signalling float16", Tensor{Type: Float16, Int32Data: varints(0x7c01)}, []byte{0x01, 0x7c}},
		{"bfloat16", Tensor{Type: BFloat16, Int32Data: varints(0xff81)}, []byte{0x81, 0xff}},
		{"float8e5m2 infinity and NaN", Tensor{Type: Float8E5M2, Dims: []int64{3}, Int32Data: varints(0x7c, 0xfd, 0xfc)}, []byte{0x7c, 0xfd, 0xfc}},
		{"int4", Tensor{Type: Int4, Dims: []int64{3}, Int32Data: varints(0x8f, 0x07)}, []byte{0x8f, 0x07}},
		{"bool", Tensor{Type: Bool, Dims: []int64{3}, Int32Data: varints(0, 1, 256)}, []byte{0, 1, 1}},
		{"int8", Tensor{Type: Int8, Int32Data: varints(-1)}, []byte{0xff}},
		{"int16", Tensor{Type: Int16, Int32Data: varints(-2)}, []byte{0xfe, 0xff}},
		{"int32", Tensor{Type: Int32, Int32Data: varints(-2)}, []byte{0xfe, 0xff, 0xff, 0xff}},
		{"int64", Tensor{Type: Int64, Int64Data: varints(-2)}, []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{"uint32", Tensor{Type: Uint32, Uint64Data: varints(1 << 31)}, []byte{0, 0, 0, 0x80}},
		{"uint64", Tensor{Type: Uint64, Uint64Data: varints(1 << 40)}, []byte{0, 0, 0, 0, 0, 1, 0, 0}},
	}
	for _, c := range cases {
		if got, err := c.in.RawBytes(); err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("%s: got %x, %v, want %x", c.name, got, err, c.want)
		}
	}
	s := Tensor{Type: String, StringData: [][]byte{nil}}
	if _, err := s.RawBytes(); err == nil {
		t.Error("a string has raw bytes")
	}
	inf := float32(math.Inf(-1))
	if got := NewTensor("", &Array{Type: Float8E5M2, Shape: []int{2}, Data: []float32{inf, 1e9}}).Raw; !bytes.Equal(got, []byte{0xfc, 0x7b}) {
		t.Errorf("-infinity and 1e9 became %x, want fc and the largest value, 7b", got)
	}
}

func TestTensorErrors(t *testing.T) {
	cases := []struct {
		name string
		in   Tensor
		want string
	}{
		{"short raw", Tensor{Name: "w", Type: Float, Dims: []int64{2}, HasRaw: true, Raw: make([]byte, 7)}, `tensor "w": float32 [2] wants 8 values or bytes of data, got 7`},
		{"no data", Tensor{Name: "w", Type: Float, Dims: []int64{2}}, "wants 8"},
		{"too many dimensions", Tensor{Type: Float, Dims: make([]int64, 65)}, "65 dimensions, want at most 64"},
		{"negative", Tensor{Type: Float, Dims: []int64{-1}}, "out of range"},
		{"overflow", Tensor{Type: Float, Dims: []int64{1 << 30, 1 << 30, 1 << 30}}, "too many elements"},
		{"huge and zero", Tensor{Type: Float, Dims: []int64{1 << 62, 0}}, "out of range"},
		{"undefined type", Tensor{Type: Undefined, Dims: []int64{1}}, "element type undefined"},
		{"unknown type", Tensor{Type: 99, Dims: []int64{1}, HasRaw: true, Raw: []byte{0}}, "element type type 99"},
		{"complex", Tensor{Type: Complex64, Dims: []int64{1}, HasRaw: true, Raw: make([]byte, 8)}, "complex64"},
		{"strings raw", Tensor{Type: String, Dims: []int64{1}, HasRaw: true, Raw: []byte{0}}, "strings in raw_data"},
	}
	for _, c := range cases {
		if _, err := c.in.Array(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestFloat32s(t *testing.T) {
	for _, typ := range []DataType{Float, Float16, BFloat16} {
		a := &Array{Type: typ, Shape: []int{3}, Data: []float32{1, -0.5, 0}}
		dst := make([]float32, 3)
		if err := NewTensor("w", a).Float32s(dst); err != nil || !reflect.DeepEqual(dst, a.Data) {
			t.Errorf("%v: got %v, %v", typ, dst, err)
		}
	}
	d := &Tensor{Type: Double, Dims: []int64{1}, DoubleData: []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f}}
	dst := make([]float32, 1)
	if err := d.Float32s(dst); err != nil || dst[0] != 1 {
		t.Errorf("double: got %v, %v", dst, err)
	}
	if err := d.Float32s(nil); err == nil {
		t.Error("a short destination gave no error")
	}
	ints := &Tensor{Type: Int8, Dims: []int64{1}, HasRaw: true, Raw: []byte{1}}
	if err := ints.Float32s(dst); err == nil {
		t.Error("int8 read as float32 gave no error")
	}
}

func TestRoundBFloat16(t *testing.T) {
	cases := []struct {
		in   uint32
		want uint16
	}{
		{0x3f800000, 0x3f80}, // 1
		{0x3f808000, 0x3f80}, // tie, to even below
		{0x3f818000, 0x3f82}, // tie, to even above
		{0x3f808001, 0x3f81},
		{0x7f7fffff, 0x7f80}, // largest float32 becomes infinity
		{0x7f800001, 0x7fc0}, // NaN stays NaN
	}
	for _, c := range cases {
		if got := RoundBFloat16(math.Float32frombits(c.in)); got != c.want {
			t.Errorf("%08x: got %04x, want %04x", c.in, got, c.want)
		}
	}
}

// externalModel writes a model whose tensor "w" of two floats lies in another file, at offset 4.
func externalModel(t *testing.T, dir, location, offset string) string {
	t.Helper()
	m := tiny()
	w := m.Graph.Initializers[0]
	w.Raw, w.HasRaw, w.IsExternal = nil, false, true
	w.External = []*StringEntry{{Key: "location", Value: location}, {Key: "offset", Value: offset}, {Key: "length", Value: "8"}}
	path := filepath.Join(dir, "m.onnx")
	if err := os.WriteFile(path, m.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExternalData(t *testing.T) {
	outside := t.TempDir()
	data := append([]byte{9, 9, 9, 9}, encodeRaw(Floats([]float32{5, 6}, 2))...)
	secret := filepath.Join(outside, "w.bin")
	if err := os.WriteFile(secret, data, 0o644); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ name, location, offset, want string }{
		{"beside", "w.bin", "4", ""},
		{"below", "sub/w.bin", "4", ""},
		{"beyond the end", "w.bin", "5", "8 bytes at 5 reach beyond the file's 12"},
		{"negative offset", "w.bin", "-4", "reach beyond"},
		{"no number", "w.bin", "x", `offset "x" is not a number`},
		{"missing", "none.bin", "4", "no such file"},
		{"parent", "../w.bin", "4", "path escapes from parent"},
		{"absolute", secret, "4", "path escapes from parent"},
		{"symlink", "link.bin", "4", "path escapes from parent"},
		{"folder", "sub", "4", "is a directory"},
		{"no location", "", "4", "no location"},
	}
	for _, c := range cases {
		dir := t.TempDir()
		os.Mkdir(filepath.Join(dir, "sub"), 0o755)
		os.WriteFile(filepath.Join(dir, "w.bin"), data, 0o644)
		os.WriteFile(filepath.Join(dir, "sub", "w.bin"), data, 0o644)
		os.Symlink(secret, filepath.Join(dir, "link.bin"))
		f, err := Open(externalModel(t, dir, c.location, c.offset))
		if err != nil {
			t.Fatal(err)
		}
		a, err := f.Model.Graph.Initializers[0].Array()
		if c.want == "" && (err != nil || !reflect.DeepEqual(a.Data, []float32{5, 6})) {
			t.Errorf("%s: got %v, %v", c.name, a, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
		f.Close()
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "none.onnx"): "no such file",
		dir:                             "is a directory",
	} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "reading ") {
			t.Errorf("%s: error %v, want %q", path, err, want)
		}
	}
}

func TestOpenAloneReadsNoOtherFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "w.bin"), make([]byte, 12), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := OpenAlone(externalModel(t, dir, "w.bin", "4"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Model.Graph.Initializers[0].Array(); err == nil || !strings.Contains(err.Error(), "stand in another file, which was not opened") {
		t.Errorf("error %v", err)
	}
}
