package onnxio

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"

	"bq/internal/onnxpb"
)

// smallest returns the real models below size bytes, as seeds.
func smallest(f *testing.F, size int) (list [][]byte) {
	paths, _ := filepath.Glob("../../shared/zoo/models/*.onnx")
	for _, path := range paths {
		if b, err := os.ReadFile(path); err == nil && len(b) < size {
			list = append(list, b)
		}
	}
	return list
}

// What can be read is written back byte for byte, is found to be whole or not without a panic, and means the same when
// it is encoded anew.
func FuzzParse(f *testing.F) {
	f.Add(tiny().Bytes())
	f.Add([]byte{})
	f.Add([]byte("\x3a\x02\x0a\x00"))
	for variant := range 3 {
		p := &onnxpb.ModelProto{}
		fill(p.ProtoReflect(), variant, 5)
		if b, err := proto.Marshal(p); err == nil {
			f.Add(b)
		}
	}
	for _, b := range smallest(f, 30_000) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		if got := m.Bytes(); !bytes.Equal(got, b) {
			t.Fatalf("%d bytes were written back as %d others", len(b), len(got))
		}
		use(m)
		once := anew(m)
		again, err := Parse(once)
		if err != nil {
			t.Fatalf("encoded anew: %v", err)
		}
		if twice := anew(again); !bytes.Equal(once, twice) {
			t.Fatalf("encoded anew as %d bytes, then as %d others", len(once), len(twice))
		}
	})
}

// use does what commands do with a model that was read.
func use(m *Model) {
	m.Check()
	for _, c := range append(m.Constants(), m.OtherTensors()...) {
		if n, err := c.Tensor.Elements(); err == nil && n < 1<<16 {
			c.Tensor.Array()
		}
	}
	m.Graph.FeedInputs()
}

func FuzzTensor(f *testing.F) {
	for typ := Float; typ <= Int2; typ++ {
		f.Add((&Tensor{Name: "t", Type: typ, Dims: []int64{3}, HasRaw: true, Raw: make([]byte, (3*typ.Bits()+7)/8)}).Bytes())
		f.Add((&Tensor{Type: typ, Dims: []int64{1, 1}, Int32Data: varints(-1), Int64Data: varints(-5), Uint64Data: varints(1)}).Bytes())
	}
	f.Add((&Tensor{Type: String, Dims: []int64{2}, StringData: [][]byte{[]byte("a"), nil}}).Bytes())
	f.Add((&Tensor{Type: Float, Dims: []int64{2}, FloatData: make([]byte, 8)}).Bytes())
	f.Add((&Tensor{Type: Double, Dims: []int64{0}, DoubleData: make([]byte, 8)}).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := ParseTensor(b)
		if err != nil {
			return
		}
		if got := x.Bytes(); !bytes.Equal(got, b) {
			t.Fatalf("read %x, written as %x", b, got)
		}
		a, err := x.Array()
		if (err == nil) != (x.Check() == nil && x.Type.HasArray()) {
			t.Fatalf("Check says %v, Array %v", x.Check(), err)
		}
		if err != nil {
			return
		}
		if n, _ := x.Elements(); reflect.ValueOf(a.Data).Len() != n || a.Len() != n {
			t.Fatalf("%d values, want %d", a.Len(), n)
		}
		back, err := NewTensor(x.Name, a).Array()
		if err != nil || !reflect.DeepEqual(bits(back), bits(a)) {
			t.Fatalf("%v became %v: %v", a, back, err)
		}
		if x.Type.IsFloat() {
			if err := x.Float32s(make([]float32, a.Len())); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// bits returns the elements of a, NaNs of any payload alike.
func bits(a *Array) any {
	if a.Type == Double {
		return NewTensor("", a).Raw
	}
	s, ok := a.Data.([]float32)
	if !ok {
		return a.Data
	}
	codes := make([]string, len(s))
	for i, v := range s {
		if codes[i] = "NaN"; v == v {
			codes[i] = string(encodeRaw(Floats([]float32{v}, 1)))
		}
	}
	return codes
}
