package packing

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// dump writes a file as text: what the index says, and a digest of all decoded values.
func dump(t *testing.T, b []byte) string {
	f, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var s strings.Builder
	fmt.Fprintf(&s, "bq container 1, %d bytes, sha256 %v\n", len(b), f.Digest())
	for _, p := range f.Meta() {
		fmt.Fprintf(&s, "meta %q = %q\n", p.Key, p.Value)
	}
	graph, err := f.Graph()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&s, "graph %d bytes, sha256 %x\n", len(graph), sha256.Sum256(graph))
	for i, e := range f.Entries() {
		x, err := f.Tensor(i)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&s, "tensor %q type %d shape %v at %d\n", e.Name, e.Type, e.Shape, e.Offset)
		data := x.Data
		if q := x.Quant; q != nil {
			values := make([]float32, e.Elements)
			q.Dequantize(values)
			data, _ = binary.Append(nil, binary.LittleEndian, values)
			fmt.Fprintf(&s, "  quantized: %s p %v bits %d layout %v codec %d, codes %d bytes, params %d in form %02x\n",
				q.Method, q.P, q.Bits, q.Layout, q.Codec, e.CodesBytes, e.ScalesBytes, byte(e.forms))
			fmt.Fprintf(&s, "  scales %v zeros %v levels %v codes %v\n", q.Scales, q.Zeros, q.Levels, q.Codes)
		} else {
			fmt.Fprintf(&s, "  kept: %s, %d bytes as %d with codec %d\n", e.Note, e.DataBytes, e.KeptBytes, e.Codec)
		}
		fmt.Fprintf(&s, "  values sha256 %x\n", sha256.Sum256(data))
	}
	return s.String()
}

// goldens are files that must keep opening: those of the first version, which knew no coder of codes and bytes but
// Zstandard, and those of today, which a writer must give again.
var goldens = []struct {
	name    string
	content func() *content
	today   bool
}{
	{"golden", sample, false},
	{"coded", coded, true},
	{"mixed", sample, true},
}

func TestGolden(t *testing.T) {
	for _, g := range goldens {
		binaryFile, textFile := filepath.Join("testdata", g.name+".bq"), filepath.Join("testdata", g.name+".txt")
		b := g.content().encode(t)
		if *update && g.today {
			writeFile(t, binaryFile, b)
			writeFile(t, textFile, []byte(dump(t, b)))
		}
		golden, err := os.ReadFile(binaryFile)
		if err != nil {
			t.Fatal(err)
		}
		if g.today && !bytes.Equal(b, golden) {
			t.Errorf("writing gives other bytes than %s", binaryFile)
		}
		if c, err := decode(golden); err != nil || !reflect.DeepEqual(c, g.content()) {
			t.Errorf("%s no longer holds its content: %v", binaryFile, err)
		}
		text, err := os.ReadFile(textFile)
		if err != nil {
			t.Fatal(err)
		}
		if got := dump(t, golden); got != string(text) {
			t.Errorf("%s: got\n%s", textFile, got)
		}
	}
}

func writeFile(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestIsContainer(t *testing.T) {
	for head, want := range map[string]bool{
		signature: true, "\x8bbq2\r\n\x1a\n": true, signature + "more": true,
		"": false, signature[:7]: false, "\x8bbq1\n\x1a\n\n": false, "\x08\x07\x12\x04torc": false,
	} {
		if got := IsContainer([]byte(head)); got != want {
			t.Errorf("%q: got %v, want %v", head, got, want)
		}
	}
}

func TestStoredLen(t *testing.T) {
	c := sample()
	b := c.encode(t)
	f, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range f.Entries() {
		if q := c.tensors[i].Quant; q != nil && int64(q.StoredLen()) != e.CodesBytes+e.ScalesBytes {
			t.Errorf("%s: got %d, want %d", e.Name, q.StoredLen(), e.CodesBytes+e.ScalesBytes)
		}
	}
}
