package onnxio

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// largeMemory is what inspecting a model of any size may take: heap, and memory that is no file's.
const largeMemory = 50 << 20

// sparseFile makes a file of size bytes that takes no space on the disk, head and tail apart, or skips.
func sparseFile(t *testing.T, path string, size int64, head, tail []byte) {
	t.Helper()
	if testing.Short() || strconv.IntSize < 64 {
		t.Skip("files of gigabytes are not tested with -short, nor where addresses have 32 bits")
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Skipf("this file system has no file of %d bytes: %v", size, err)
	}
	if _, err := f.WriteAt(head, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(tail, size-int64(len(tail))); err != nil {
		t.Fatal(err)
	}
	if !isSparse(t, f) {
		t.Skip("this file system has no sparse files")
	}
}

// inspect opens a model and looks at all constants, and returns how many bytes they say they have.
func inspect(t *testing.T, path string) (total int64, count int) {
	t.Helper()
	runtime.GC()
	anon := anonymous()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range f.Model.Constants() {
		if err := c.Tensor.Check(); err != nil {
			t.Error(err)
		}
		n, _ := c.Tensor.Elements()
		total += int64(n) * int64(c.Tensor.Type.Bits()) / 8
		count++
	}
	if err := f.Model.Check(); err != nil {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > largeMemory {
		t.Errorf("inspecting allocated %d bytes, want at most %d", used, largeMemory)
	}
	if used := anonymous() - anon; used > largeMemory {
		t.Errorf("memory that is no file's grew by %d bytes, want at most %d", used, largeMemory)
	}
	t.Logf("heap %d bytes, resident memory that is no file's grew by %d", after.TotalAlloc-before.TotalAlloc, anonymous()-anon)
	return total, count
}

// anonymous returns RssAnon of this process, 0 where the system has no /proc.
func anonymous() int64 {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
			return kb << 10
		}
	}
	return 0
}

// A single file of 2.5 GB, beyond the 2 GiB of protobuf's own readers: one tensor of 2.4e9 bytes among small ones.
func TestLargeSingleFile(t *testing.T) {
	const elements = 600_000_000
	m := tiny()
	m.Graph.Initializers = append(m.Graph.Initializers, NewTensor("last", Floats([]float32{7}, 1)))
	e := &encoder{}
	m.Graph.encode(e)
	small := bytes.Join(e.finish(), nil)
	tensor := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), elements) // dims
	tensor = append(tensor, "\x10\x01\x42\x03big\x4a"...)                                         // float, name, raw_data
	tensor = protowire.AppendVarint(tensor, 4*elements)
	head := protowire.AppendVarint([]byte("\x08\x08\x42\x02\x10\x0d\x3a"), uint64(graphSize(len(tensor)+4*elements, len(small))))
	head = protowire.AppendVarint(append(head, 0x2a), uint64(len(tensor)+4*elements)) // initializer
	head = append(head, tensor...)
	path := filepath.Join(t.TempDir(), "m.onnx")
	sparseFile(t, path, int64(len(head)+4*elements+len(small)), head, small)
	if total, count := inspect(t, path); count != 3 || total != 4*elements+8+4 {
		t.Errorf("%d constants of %d bytes", count, total)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := f.Model.Size(); got != int64(len(f.Bytes)) {
		t.Errorf("would be written as %d bytes, read %d", got, len(f.Bytes))
	}
	if c := f.Model.Constants()[2]; c.Name != "last" || !bytes.Equal(c.Tensor.Raw, []byte{0, 0, 0xe0, 0x40}) {
		t.Errorf("behind the large tensor stands %+v", c)
	}
}

// graphSize is the size of a graph that holds an initializer of tensor bytes and rest.
func graphSize(tensor, rest int) int {
	return 1 + protowire.SizeVarint(uint64(tensor)) + tensor + rest
}

// 5 GB of external data in one file: 40 tensors of 125 MB.
func TestLargeExternalData(t *testing.T) {
	const tensors, each = 40, 125_000_000
	dir := t.TempDir()
	m := tiny()
	for i := range tensors {
		m.Graph.Initializers = append(m.Graph.Initializers, &Tensor{Name: fmt.Sprint("w", i), Type: Int8, Dims: []int64{each}, IsExternal: true,
			External: []*StringEntry{{Key: "location", Value: "m.data"}, {Key: "offset", Value: fmt.Sprint(i * each)}, {Key: "length", Value: fmt.Sprint(each)}}})
	}
	path := filepath.Join(dir, "m.onnx")
	if err := os.WriteFile(path, m.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	sparseFile(t, filepath.Join(dir, "m.data"), tensors*each, []byte{1}, []byte{2})
	if total, count := inspect(t, path); count != tensors+1 || total != tensors*each+8 {
		t.Errorf("%d constants of %d bytes", count, total)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	last := f.Model.Graph.Initializers[tensors].Raw
	if f.Model.Graph.Initializers[1].Raw[0] != 1 || last[each-1] != 2 {
		t.Error("the ends of the data are not at the ends of the tensors")
	}
}
