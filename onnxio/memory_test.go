package onnxio

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// nested wraps b in the fields nums of messages, the last number innermost.
func nested(b []byte, nums ...protowire.Number) []byte {
	for i := len(nums) - 1; i >= 0; i-- {
		b = protowire.AppendBytes(protowire.AppendTag(nil, nums[i], protowire.BytesType), b)
	}
	return b
}

// tiled repeats b to about size bytes.
func tiled(b []byte, size int) []byte { return bytes.Repeat(b, size/len(b)) }

// The files below have a size, and a budget with a base of their own, small enough to be quick.
const (
	hostileSize = 1 << 20
	hostileBase = 1 << 20
)

// Files of the smallest messages there are, each of which takes many times its size in memory: reading takes at most
// what the budget says, and says so where it stops.
func TestMemoryIsBounded(t *testing.T) {
	many := func(elem []byte, nums ...protowire.Number) []byte {
		return nested(tiled(elem, hostileSize), nums...)
	}
	field := func(num protowire.Number) []byte { return nested(nil, num) } // an empty message, 2 bytes
	typed := func(elem []byte) []byte { return many(elem, 7, 11, 2, 1, 2) }
	cases := []struct {
		name string
		b    []byte
		fits bool // within the budget, as tensor data stay in the file
	}{
		{"nodes", many(field(1), 7), false},
		{"initializers", many(field(5), 7), false},
		{"inputs", many(field(11), 7), false},
		{"outputs", many(field(12), 7), false},
		{"value infos", many(field(13), 7), false},
		{"metadata of a node", many(field(9), 7, 1), false},
		{"attributes", many(field(5), 7, 1), false},
		{"input names", many(field(1), 7, 1), false},
		{"strings", many(field(9), 7, 1, 5), false},
		{"tensors", many(field(10), 7, 1, 5), false},
		{"graphs", many(field(11), 7, 1, 5), false},
		{"ints", many([]byte("\x40\x01"), 7, 1, 5), true},
		{"packed ints", many([]byte{1}, 7, 1, 5, 8), false},
		{"chunks of ints", many([]byte("\x42\x02\x01\x01"), 7, 1, 5), false},
		{"floats", many([]byte("\x3d\x00\x00\x80\x3f"), 7, 1, 5), true},
		{"packed floats", many([]byte{0, 0, 0, 0}, 7, 1, 5, 7), true},
		{"dims", many([]byte{1}, 7, 5, 1), false},
		{"string data", many(field(6), 7, 5), false},
		{"external", many([]byte("\x2a\x02\x70\x01"), 7), false},
		{"external entries", many(field(13), 7, 5), false},
		{"int32 data", many([]byte{1}, 7, 5, 5), true},
		{"int64 data", many([]byte{1}, 7, 5, 7), true},
		{"uint64 data, one by one", many([]byte("\x58\x01"), 7, 5), true},
		{"float data, one by one", many([]byte("\x25\x00\x00\x80\x3f"), 7, 5), true},
		{"symbols", typed(field(1)), false},
		{"shapes", many(nested(field(1), 2), 7, 11, 2, 1), false},
		{"opsets", append(nested(nil, 7), tiled(field(8), hostileSize)...), false},
		{"metadata", append(nested(nil, 7), tiled(field(14), hostileSize)...), false},
		{"functions", append(nested(nil, 7), tiled(field(25), hostileSize)...), false},
		{"attributes of functions", append(nested(nil, 7), many(field(6), 25)...), false},
		{"unknown fields", many(nested(nil, 77), 7), true},
		{"long names of nested graphs", longPaths(), false},
	}
	for _, c := range cases {
		var m *Model
		var err error
		limit := budget(len(c.b)) - memoryBase + hostileBase
		used := allocated(func() { m, err = (&parser{limit: limit, left: limit}).file(c.b) })
		if used > uint64(limit) {
			t.Errorf("%s: reading %d bytes took %d, want at most %d", c.name, len(c.b), used, limit)
		}
		var fe *FormatError
		if c.fits != (err == nil) || !c.fits && (!errors.As(err, &fe) || !strings.Contains(err.Error(), "bytes of memory, 4 times its size and 64 MiB")) {
			t.Errorf("%s: error %v, read %v", c.name, err, m != nil)
		}
	}
}

// The same at full size, with the base that files have.
func TestMemoryOfAFileIsBounded(t *testing.T) {
	b := nested(tiled(nested(nil, 1), 4<<20), 7)
	var err error
	used := allocated(func() { _, err = Parse(b) })
	if used > uint64(4*len(b)+64<<20) || used < 64<<20 {
		t.Errorf("reading %d bytes took %d", len(b), used)
	}
	if want := "messages of the file would take more than 83886100 bytes of memory"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

// longPaths makes a model whose nested graphs take a name of 64 KiB in the path of each.
func longPaths() []byte {
	graphs := tiled(nested(nil, 11), 1<<12)
	node := append(nested(graphs, 5), nested(make([]byte, 1<<16), 3)...)
	return nested(node, 7, 1)
}

// allocated returns the bytes that f allocates, freed ones included.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// largeGraph is more nodes than language models have whose layers are all written out.
const largeGraph = 100_000

// The budget does not stop a large graph without any weights in the file, whose nodes have the names and attributes that
// exporters of quantized language models give them.
func TestLargeGraphsAreRead(t *testing.T) {
	m := &Model{IRVersion: 8, Graph: &Graph{}}
	for i := range largeGraph {
		layer := "/model/layers." + strings.Repeat("1", i%3+1) + "/self_attn/q_proj/MatMul"
		m.Graph.Nodes = append(m.Graph.Nodes, &Node{Name: layer, OpType: "MatMulNBits", Domain: "com.microsoft",
			Inputs: []string{layer + "_input", layer + ".weight_Q4", layer + ".weight_scales"}, Outputs: []string{layer + "_output_0"},
			Attributes: []*Attribute{{Name: "K", Type: AttrInt, I: 4096}, {Name: "N", Type: AttrInt, I: 4096}, {Name: "bits", Type: AttrInt, I: 4}}})
	}
	b := m.Bytes()
	if _, err := Parse(b); err != nil {
		t.Errorf("%d nodes in %d bytes: %v", largeGraph, len(b), err)
	}
}

func TestJoiningChunks(t *testing.T) {
	// float_data as one value, a chunk of two, one value; int64_data as a varint of two bytes, a chunk, a varint.
	b := []byte("\x25\x00\x00\x80\x3f\x22\x08\x00\x00\x00\x40\x00\x00\x40\x40\x25\x00\x00\x80\x40" + "\x38\x80\x01\x3a\x02\x01\x02\x38\x03")
	x, err := ParseTensor(b)
	if err != nil {
		t.Fatal(err)
	}
	floats := make([]float32, 4)
	getFloat32s(floats, x.FloatData)
	if floats[0] != 1 || floats[1] != 2 || floats[2] != 3 || floats[3] != 4 || len(x.FloatData) != 16 {
		t.Errorf("floats %v", floats)
	}
	if want := varints(128, 1, 2, 3); !bytes.Equal(x.Int64Data, want) {
		t.Errorf("ints %x, want %x", x.Int64Data, want)
	}
	if !bytes.Equal(b[:4], []byte("\x25\x00\x00\x80")) {
		t.Error("the file was written to")
	}
}

func TestBadVarintsAreRefused(t *testing.T) {
	for _, b := range []string{"\x3a\x01\x80", "\x3a\x0b\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x0a\x01\x80"} {
		if _, err := ParseTensor([]byte(b)); err == nil {
			t.Errorf("%x was read", b)
		}
	}
}
