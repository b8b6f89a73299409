package dataset

import (
	"bytes"
	"io"
	"math"
	"os"
	"slices"
	"testing"

	"bq/onnxio"
)

func TestNPYHeader(t *testing.T) {
	for _, c := range []struct {
		name  string
		file  []byte
		shape []int
		dtype string
	}{
		{"matrix", npyOf("<f4", "(2, 3)", ramp(6)...), []int{2, 3}, "float32"},
		{"vector", npyOf("<i8", "(1,)", int64(7)), []int{1}, "int64"},
		{"scalar", npyOf("<f8", "()", 2.5), []int{}, "float64"},
		{"empty", npyOf[float32]("<f4", "(0, 3)"), []int{0, 3}, "float32"},
		{"bool", npyOf("|b1", "(2,)", true, false), []int{2}, "bool"},
		{"python 2 sizes", npyOf("|u1", "(2L, 1L)", uint8(1), uint8(2)), []int{2, 1}, "uint8"},
		{"version 2", append([]byte("\x93NUMPY\x02\x00\x3b\x00\x00\x00{'shape': (1,), 'fortran_order': False, 'descr': '>u2'}   \n"), 0, 1), []int{1}, "uint16"},
	} {
		h, err := readNPYHeader(bytes.NewReader(c.file), int64(len(c.file)))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !slices.Equal(h.shape, c.shape) || h.dtype() != c.dtype {
			t.Errorf("%s: %v %v, want %v %v", c.name, h.dtype(), h.shape, c.dtype, c.shape)
		}
	}
}

func TestNPYHeaderErrors(t *testing.T) {
	good := npyOf("<f4", "(2,)", ramp(2)...)
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"nothing", nil, "signature"},
		{"not npy", []byte("PK\x03\x04 other things"), "signature"},
		{"version 4", []byte("\x93NUMPY\x04\x00\x00\x00"), "version 4"},
		{"cut in the header", good[:40], "ends in it"},
		{"cut in the data", good[:len(good)-1], "want 8 bytes, 7 are left"},
		{"long header", []byte("\x93NUMPY\x02\x00\xff\xff\xff\xff"), "longer than"},
		{"overflow", npyOf[float32]("<f4", "(4294967296, 4294967296, 0x)"), "shape"},
		{"too many", npyOf[float32]("<f4", "(4294967296, 4294967296)"), "too many elements"},
		{"huge with zero", npyOf[float32]("<f4", "(0, 9223372036854775807)"), "too many elements"},
		{"beyond int", npyOf[float32]("<f4", "(99999999999999999999,)"), "shape"},
		{"negative", npyOf[float32]("<f4", "(-1,)"), "shape"},
		{"not a tuple", npyOf[float32]("<f4", "3"), "tuple"},
		{"pickle", npyOf[float32]("|O", "(1,)"), "pickled Python objects"},
		{"complex", npyOf[float32]("<c8", "(1,)"), `"<c8" is not supported`},
		{"text", npyOf[float32]("<U5", "(1,)"), `"<U5" is not supported`},
		{"no order", npyOf("|f4", "(1,)", ramp(1)...), `"|f4" is not supported`},
		{"key twice", npyOf[float32]("<f4', 'descr': '<f4", "(1,)"), "new key"},
		{"unknown key", npyOf[float32]("<f4', 'more': '<f4", "(1,)"), `unknown key "more"`},
		{"key missing", append([]byte("\x93NUMPY\x01\x00\x02\x00"), "{}"...), "exactly the keys"},
		{"order", npyBytes("<f4", "Maybe", "(1,)", nil), "True or False"},
		{"more behind", append([]byte("\x93NUMPY\x01\x00\x44\x00"), "{'descr': '<f4', 'fortran_order': False, 'shape': (0,)} or something "...), "exactly the keys"},
	} {
		_, err := readNPYHeader(bytes.NewReader(c.file), int64(len(c.file)))
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		wantError(t, err, false, c.want)
	}
}

// The arrays of testdata/make.py, whose values stand there.
func TestNumpyFiles(t *testing.T) {
	for _, file := range []string{"numpy.npz", "packed.npz"} {
		list, names, err := openNPZ("testdata/"+file, file, newCache(1<<20))
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"half", "fortran", "big", "flags", "scalar", "empty"}; !slices.Equal(names, want) {
			t.Errorf("%s: names %q, want %q", file, names, want)
		}
		for name, want := range map[string][]float64{
			"half": {1.5, -2.25, 65504, 0x1p-24}, "big": {-3, -2, -1, 0, 1, 2}, "flags": {1, 0, 1}, "scalar": {2.5}, "empty": {},
			"fortran": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23},
		} {
			r := list[name]
			n := 1
			if len(r.shape) > 0 {
				n = r.shape[0]
			}
			raw, err := r.slice(0, n)
			if err != nil {
				t.Errorf("%s %s: %v", file, name, err)
				continue
			}
			a, err := decode(r.npyHeader, raw, onnxio.Double, r.shape)
			if err != nil || !slices.Equal(a.Data.([]float64), want) {
				t.Errorf("%s %s: %v, %v, want %v", file, name, a, err, want)
			}
		}
	}
}

func TestDecode(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		name string
		file []byte
		to   onnxio.DataType
		want any
		err  string
	}{
		{"pixels are not scaled", npyOf("|u1", "(2,)", uint8(0), uint8(255)), onnxio.Float, []float32{0, 255}, ""},
		{"double is rounded to even", npyOf("<f8", "(2,)", 1+0x1p-24, 1+0x3p-24), onnxio.Float, []float32{1, 1 + 0x1p-22}, ""},
		{"infinite", npyOf("<f8", "(2,)", inf, -1e300), onnxio.Float, []float32{float32(inf), float32(-inf)}, ""},
		{"to half", npyOf("<f4", "(2,)", float32(1+0x1p-11), float32(1+0x3p-11)), onnxio.Float16, []float32{1, 1 + 0x1p-9}, ""},
		{"int8 widened", npyOf("|i1", "(2,)", int8(-128), int8(127)), onnxio.Int64, []int64{-128, 127}, ""},
		{"int64 narrowed", npyOf("<i8", "(2,)", int64(-2147483648), int64(2147483647)), onnxio.Int32, []int32{-2147483648, 2147483647}, ""},
		{"int64 too large", npyOf("<i8", "(1,)", int64(2147483648)), onnxio.Int32, nil, "value 2147483648 does not fit"},
		{"int64 too small", npyOf("<i8", "(1,)", int64(-1)), onnxio.Uint8, nil, "value -1 does not fit"},
		{"uint64 whole range", npyOf("<u8", "(1,)", uint64(math.MaxUint64)), onnxio.Uint64, []uint64{math.MaxUint64}, ""},
		{"uint64 too large", npyOf("<u8", "(1,)", uint64(1<<63)), onnxio.Int64, nil, "value 9223372036854775808 does not fit"},
		{"least int64", npyOf("<i8", "(1,)", int64(math.MinInt64)), onnxio.Int64, []int64{math.MinInt64}, ""},
		{"bool to float", npyOf("|b1", "(2,)", true, false), onnxio.Float, []float32{1, 0}, ""},
		{"0 and 1 to bool", npyOf("|u1", "(2,)", uint8(1), uint8(0)), onnxio.Bool, []bool{true, false}, ""},
		{"2 to bool", npyOf("|u1", "(1,)", uint8(2)), onnxio.Bool, nil, "value 2 does not fit"},
		{"float to int", npyOf("<f4", "(1,)", float32(1)), onnxio.Int64, nil, "float32 array for an input of type int64"},
		{"text", npyOf("<f4", "(1,)", float32(1)), onnxio.String, nil, "type string cannot"},
		{"float8", npyOf("<f4", "(1,)", float32(1)), onnxio.Float8E5M2, nil, "cannot be fed"},
		{"empty", npyOf[float32]("<f4", "(0,)"), onnxio.Float, []float32{}, ""},
	} {
		h, err := readNPYHeader(bytes.NewReader(c.file), int64(len(c.file)))
		if err != nil {
			t.Fatal(c.name, err)
		}
		a, err := decode(h, c.file[h.data:], c.to, h.shape)
		if c.err != "" {
			wantError(t, err, false, c.err)
			continue
		}
		if err != nil || !equalSlices(a.Data, c.want) {
			t.Errorf("%s: %v, %v, want %v", c.name, a, err, c.want)
		}
	}
	file := npyOf("<f4", "(1,)", float32(nan))
	h, _ := readNPYHeader(bytes.NewReader(file), int64(len(file)))
	if a, err := decode(h, file[h.data:], onnxio.Double, []int{1}); err != nil || !math.IsNaN(a.Data.([]float64)[0]) {
		t.Errorf("NaN: %v, %v", a, err)
	}
}

func equalSlices(a, b any) bool {
	switch a := a.(type) {
	case []float32:
		return slices.Equal(a, b.([]float32))
	case []int32:
		return slices.Equal(a, b.([]int32))
	case []int64:
		return slices.Equal(a, b.([]int64))
	case []uint64:
		return slices.Equal(a, b.([]uint64))
	case []bool:
		return slices.Equal(a, b.([]bool))
	}
	return false
}

func TestHostileNPZ(t *testing.T) {
	array := npyOf("<f4", "(2, 2)", ramp(4)...)
	stored := npzBytes(t, 0, "x.npy", array)
	flipped := bytes.Clone(stored)
	flipped[bytes.Index(stored, array)+len(array)-1] ^= 1
	bomb := npzBytes(t, 8, "x.npy", npyOf[float32]("<f4", "(1099511627776,)"))
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "zip"},
		{"cut", stored[:len(stored)-9], "zip"},
		{"flipped bit", flipped, "checksum"},
		{"claims a terabyte", bomb, "are left in the file"},
		{"no npy", npzBytes(t, 0, "x.txt", array), "ends in .npy"},
		{"twice", npzBytes(t, 0, "x.npy", array, "x.npy", array), "new name"},
		{"member cut", npzBytes(t, 8, "x.npy", array[:len(array)-1]), "are left in the file"},
		{"ratio", claimSize(npzBytes(t, 8, "x.npy", array), 1<<30), "packed"},
	} {
		path := write(t, "f.npz", c.file) + "/f.npz"
		_, _, err := openNPZ(path, "f.npz", newCache(1<<20))
		wantError(t, err, false, c.want)
	}
}

// claimSize changes the unpacked size in the zip directory of a file with one member (APPNOTE 4.3.12: offset 24).
func claimSize(file []byte, size uint32) []byte {
	at := bytes.Index(file, []byte("PK\x01\x02")) + 24
	file[at], file[at+1], file[at+2], file[at+3] = byte(size), byte(size>>8), byte(size>>16), byte(size>>24)
	return file
}

func TestCache(t *testing.T) {
	c, loads := newCache(10), 0
	get := func(key string, size int64) {
		c.get(key, size, func() ([]byte, error) { loads++; return make([]byte, size), nil })
	}
	get("a", 4)
	get("b", 4)
	get("a", 4) // held
	if loads != 2 {
		t.Errorf("%d loads, want 2", loads)
	}
	get("c", 4) // b is the least recently used
	get("a", 4)
	get("b", 4)
	if loads != 4 || c.bytes > 10 {
		t.Errorf("%d loads, %d bytes held, want 4 loads and at most 10 bytes", loads, c.bytes)
	}
}

func TestWriteNPZ(t *testing.T) {
	arrays := []Named{
		{"logits/out", onnxio.Floats([]float32{1, -2.5, float32(math.Inf(1))}, 1, 3)},
		{"größe", onnxio.Int64s([]int64{math.MinInt64}, 1)},
		{"empty", onnxio.Floats(nil, 0, 3)},
		{"scalar", &onnxio.Array{Type: onnxio.Double, Shape: []int{}, Data: []float64{2.5}}},
		{"flags", &onnxio.Array{Type: onnxio.Bool, Shape: []int{2}, Data: []bool{true, false}}},
		{"bytes", &onnxio.Array{Type: onnxio.Uint8, Shape: []int{2}, Data: []uint8{1, 255}}},
	}
	var one, two bytes.Buffer
	if err := WriteNPZ(&one, arrays); err != nil {
		t.Fatal(err)
	}
	WriteNPZ(&two, arrays)
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("two files of the same arrays differ")
	}
	list, _, err := openNPZ(write(t, "f.npz", one.Bytes())+"/f.npz", "f.npz", newCache(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range arrays {
		r := list[a.Name]
		if r == nil || r.offset < 0 || r.offset%npyAlign != 0 || !slices.Equal(r.shape, a.Array.Shape) {
			t.Fatalf("%s: %+v, want it stored and aligned, shape %v", a.Name, r, a.Array.Shape)
		}
		raw, _ := r.readAt(r.offset, r.bytes())
		got, err := decode(r.npyHeader, raw, a.Array.Type, r.shape)
		if err != nil || !equalBytes(got, a.Array) {
			t.Errorf("%s: %v, %v, want %v", a.Name, got, err, a.Array)
		}
	}
	wantError(t, WriteNPZ(io.Discard, []Named{arrays[0], arrays[0]}), false, "stands twice")
	wantError(t, WriteNPZ(io.Discard, []Named{{"s", onnxio.NewArray(onnxio.String, 1)}}), false, "type string")
}

func equalBytes(a, b *onnxio.Array) bool {
	x, _ := onnxio.NewTensor("", a).RawBytes()
	y, _ := onnxio.NewTensor("", b).RawBytes()
	return bytes.Equal(x, y)
}

// A float32 vector of three elements, byte by byte as numpy 2.4 writes it.
func TestWriteNPY(t *testing.T) {
	var b bytes.Buffer
	if err := WriteNPY(&b, onnxio.Floats([]float32{0, 1, 2}, 3)); err != nil {
		t.Fatal(err)
	}
	want := "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }" +
		"                                                            \n" +
		"\x00\x00\x00\x00\x00\x00\x80\x3f\x00\x00\x00\x40"
	if b.String() != want {
		t.Errorf("%q\nwant %q", b.String(), want)
	}
}

func FuzzNPY(f *testing.F) {
	f.Add(npyOf("<f4", "(2, 3)", ramp(6)...))
	f.Add(npyBytes(">i2", "True", "(2, 1)", []byte{0, 1, 2, 3}))
	f.Fuzz(func(t *testing.T, file []byte) {
		h, err := readNPYHeader(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		raw := file[h.data : int64(h.data)+h.bytes()]
		if h.fortran {
			raw = turn(raw, h.shape, h.size)
		}
		a, err := decode(h, raw, onnxio.Double, h.shape)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := WriteNPY(&b, a); err != nil {
			t.Fatal(err)
		}
		again, err := readNPYHeader(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil || !slices.Equal(again.shape, h.shape) {
			t.Fatalf("written again: %v, %v, want %v", again, err, h.shape)
		}
	})
}

func FuzzNPZ(f *testing.F) {
	array := npyOf("<f4", "(2, 2)", ramp(4)...)
	f.Add(npzBytes(f, 0, "x.npy", array, "labels.npy", npyOf("<i8", "(2,)", int64(1), int64(2))))
	f.Add(npzBytes(f, 8, "x.npy", array))
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, _, err := archiveRows(bytes.NewReader(file), int64(len(file))); err != nil {
			return
		}
		path := t.TempDir() + "/f.npz"
		if err := os.WriteFile(path, file, 0o666); err != nil {
			t.Fatal(err)
		}
		s, err := Open([]Input{input("x", onnxio.Float, -1, 2)}, Options{Path: path, Samples: 3})
		if err != nil {
			return
		}
		for i := range s.Len() {
			s.Sample(i)
		}
	})
}

// Every element type that can be written is read back under the type it was written as.
func TestWriteNPYTypes(t *testing.T) {
	for _, c := range []struct {
		a    *onnxio.Array
		want string
	}{
		{&onnxio.Array{Type: onnxio.Int8, Data: []int8{-128}}, "int8"}, {&onnxio.Array{Type: onnxio.Uint4, Data: []uint8{15}}, "uint8"},
		{&onnxio.Array{Type: onnxio.Int16, Data: []int16{-32768}}, "int16"}, {&onnxio.Array{Type: onnxio.Uint16, Data: []uint16{65535}}, "uint16"},
		{&onnxio.Array{Type: onnxio.Int32, Data: []int32{-1 << 31}}, "int32"}, {&onnxio.Array{Type: onnxio.Uint32, Data: []uint32{1<<32 - 1}}, "uint32"},
		{&onnxio.Array{Type: onnxio.Int64, Data: []int64{-1}}, "int64"}, {&onnxio.Array{Type: onnxio.Uint64, Data: []uint64{1<<64 - 1}}, "uint64"},
		{&onnxio.Array{Type: onnxio.Float16, Data: []float32{0.5}}, "float32"}, {&onnxio.Array{Type: onnxio.BFloat16, Data: []float32{0.5}}, "float32"},
		{&onnxio.Array{Type: onnxio.Double, Data: []float64{0.1}}, "float64"}, {&onnxio.Array{Type: onnxio.Bool, Data: []bool{true}}, "bool"},
	} {
		c.a.Shape = []int{1, 1}
		var b bytes.Buffer
		if err := WriteNPY(&b, c.a); err != nil {
			t.Fatal(err)
		}
		h, err := readNPYHeader(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil || h.dtype() != c.want || h.data%npyAlign != 0 {
			t.Fatalf("%v: %+v, %v, want %s", c.a.Type, h, err, c.want)
		}
		to := c.a.Type
		got, err := decode(h, b.Bytes()[h.data:], to, h.shape)
		if err != nil || !equalBytes(got, c.a) {
			t.Errorf("%v: %v, %v, want %v", c.a.Type, got, err, c.a)
		}
	}
}
