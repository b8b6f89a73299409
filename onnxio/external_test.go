package onnxio

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// weighted is tiny with two large tensors ("w", 1,028 bytes, and "v", more than 1 MiB) and small ones around them, one
// in a branch.
func weighted() *Model {
	m := tiny()
	w, v := make([]float32, 257), make([]float32, 1<<18+1)
	w[0], w[256], v[1<<18] = 1, float32(math.Inf(-1)), float32(math.NaN())
	inner := branch("X", "X", "inner")
	inner.Attributes[0].G.Initializers = []*Tensor{{Name: "u", Type: Int64, Dims: []int64{2, 64}, Int64Data: varints(make([]int64, 128)...)}}
	m.Graph.Nodes = append(m.Graph.Nodes, inner, &Node{OpType: "Constant", Outputs: []string{"k"}, Attributes: []*Attribute{{
		Name: "value", Type: AttrTensor, T: NewTensor("", Floats(w, 257))}}})
	m.Graph.Initializers = append(m.Graph.Initializers,
		NewTensor("w", Floats(w, 257)), NewTensor("below", Floats(w[:255], 255)), NewTensor("v", Floats(v, 1<<18+1)), NewTensor("empty", Floats(nil, 0)))
	return m
}

func TestMoveData(t *testing.T) {
	want := contents(t, weighted())
	m := weighted()
	x, err := m.MoveData("m.data")
	if err != nil {
		t.Fatal(err)
	}
	places := map[string]string{}
	m.EachTensor(func(t *Tensor) {
		if t.IsExternal {
			places[t.Name] = fmt.Sprint(t.External[0].Value, " ", t.External[1].Value, " ", t.External[2].Value)
		}
	})
	// w stands first; v is above 1 MiB and goes to the next 64 KiB, u to the next 4 KiB behind its 1<<20+4 bytes.
	if want := map[string]string{"w": "m.data 0 1028", "v": "m.data 65536 1048580", "u": "m.data 1118208 1024"}; !reflect.DeepEqual(places, want) {
		t.Errorf("tensors moved to %v, want %v", places, want)
	}
	var data bytes.Buffer
	if n, err := x.WriteTo(&data); err != nil || n != x.Size || int64(data.Len()) != x.Size || x.Size != 1118208+1024 {
		t.Errorf("wrote %d of %d bytes: %v", n, x.Size, err)
	}
	if i := bytes.IndexFunc(data.Bytes()[1028:65536], func(r rune) bool { return r != 0 }); i >= 0 {
		t.Error("the gap is not zero")
	}
	if got := contents(t, m); got != want {
		t.Error("the model holds other values")
	}
	if err := m.MoveIn(); err != nil || contents(t, m) != want || bytes.Contains(m.Bytes(), []byte("m.data")) {
		t.Errorf("taken in again: %v", err)
	}
}

// contents are the bytes of all tensors.
func contents(t *testing.T, m *Model) string {
	t.Helper()
	var all strings.Builder
	m.EachTensor(func(x *Tensor) {
		raw, err := x.RawBytes()
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(&all, "%s %v %v %x\n", x.Name, x.Type, x.Dims, raw)
	})
	return all.String()
}

func TestMoveDataErrors(t *testing.T) {
	for _, name := range []string{"", ".", "..", "../m.data", "/m.data", "a/m.data", `a\m.data`, "m\x00"} {
		if _, err := weighted().MoveData(name); err == nil || !strings.Contains(err.Error(), "want the name of a file in the model's folder") {
			t.Errorf("%q: error %v", name, err)
		}
	}
	m := weighted()
	m.Graph.Initializers[3].Raw = m.Graph.Initializers[3].Raw[1:]
	if _, err := m.MoveData("m.data"); err == nil || !strings.Contains(err.Error(), `tensor "v": float32 [262145] wants 1048580`) {
		t.Errorf("short tensor: error %v", err)
	}
	m.EachTensor(func(x *Tensor) {
		if x.IsExternal {
			t.Errorf("%s was moved", x.Name)
		}
	})
}

func TestOneFilePerSpelling(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "w.bin"), make([]byte, 12), 0o644); err != nil {
		t.Fatal(err)
	}
	m := tiny()
	m.Graph.Initializers = nil
	for _, loc := range []string{"w.bin", "./w.bin", ".//w.bin"} {
		m.Graph.Initializers = append(m.Graph.Initializers, &Tensor{Name: loc, Type: Float, Dims: []int64{3}, IsExternal: true, External: []*StringEntry{{Key: "location", Value: loc}}})
	}
	path := filepath.Join(dir, "m.onnx")
	if err := os.WriteFile(path, m.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if want := []string{filepath.Join(dir, "w.bin")}; !reflect.DeepEqual(f.ExternalPaths, want) || len(f.maps) != 2 {
		t.Errorf("opened %v, want %v", f.ExternalPaths, want)
	}
	if err := f.Model.checkData(); err != nil {
		t.Error(err)
	}
}

func TestNegativeLength(t *testing.T) {
	x := &Tensor{Name: "w", Type: Float, Dims: []int64{1}, IsExternal: true, External: []*StringEntry{{Key: "location", Value: "w.bin"}, {Key: "length", Value: "-4"}}}
	_, _, n, err := x.externalRange()
	if err != nil || n != -4 {
		t.Errorf("length %d, %v", n, err)
	}
	if _, err := window(make([]byte, 8), 0, n); err == nil {
		t.Error("a window of a negative length was given")
	}
}

func TestQuoteIsBounded(t *testing.T) {
	for in, want := range map[string]string{"": `""`, "a\n": `"a\n"`, strings.Repeat("x", 1024): `"` + strings.Repeat("x", 1024) + `"`,
		strings.Repeat("x", 1025): `"` + strings.Repeat("x", 1024) + `"... (1025 bytes)`} {
		if got := Quote(in); got != want {
			t.Errorf("%.10q: got %q", in, got)
		}
	}
}

// Whatever stands in external_data: no panic, and no byte from outside the model's folder.
func FuzzExternal(f *testing.F) {
	dir := f.TempDir()
	secret := filepath.Join(dir, "secret")
	inside := filepath.Join(dir, "inside")
	if err := os.Mkdir(inside, 0o755); err != nil {
		f.Fatal(err)
	}
	for _, path := range []string{secret, filepath.Join(inside, "w.bin")} {
		if err := os.WriteFile(path, bytes.Repeat([]byte(filepath.Base(path)[:1]), 64), 0o644); err != nil {
			f.Fatal(err)
		}
	}
	if err := os.Symlink(secret, filepath.Join(inside, "link")); err != nil {
		f.Skip(err)
	}
	f.Add("w.bin", "0", "64", int64(16))
	f.Add("../secret", "0", "64", int64(16))
	f.Add("link", "-1", "9223372036854775807", int64(-1))
	f.Add("", "9223372036854775800", "100", int64(1<<40))
	path := filepath.Join(inside, "m.onnx")
	f.Fuzz(func(t *testing.T, location, offset, length string, dim int64) {
		m := tiny()
		m.Graph.Initializers = []*Tensor{{Name: "B", Type: Float, Dims: []int64{dim}, IsExternal: true, External: []*StringEntry{
			{Key: "location", Value: location}, {Key: "offset", Value: offset}, {Key: "length", Value: length}}}}
		if err := os.WriteFile(path, m.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		file, err := Open(path)
		if err != nil {
			return
		}
		defer file.Close()
		b := file.Model.Graph.Initializers[0]
		if bytes.Contains(b.Raw, []byte("ss")) {
			t.Fatalf("location %q read a file outside", location)
		}
		if a, err := b.Array(); err == nil && a.Len() > 16 && location == "w.bin" {
			t.Fatalf("%d values from a file of 16", a.Len())
		}
	})
}
