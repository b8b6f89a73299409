package packing_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bq/convert"
	"bq/onnxio"
	"bq/packing"
)

// digests returns what testdata/reader/reader.py prints for a file: a digest of the graph and of each tensor's values.
func digests(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := packing.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var s strings.Builder
	graph, err := f.Graph()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&s, "%x graph\n", sha256.Sum256(graph))
	for i, e := range f.Entries() {
		x, err := f.Tensor(i)
		if err != nil {
			t.Fatal(err)
		}
		data := x.Data
		if x.Quant != nil {
			values := make([]float32, e.Elements)
			x.Quant.Dequantize(values)
			data, _ = binary.Append(nil, binary.LittleEndian, values)
		}
		fmt.Fprintf(&s, "%x %s\n", sha256.Sum256(data), hex.EncodeToString([]byte(e.Name)))
	}
	return s.String()
}

// python returns what the reader prints for a file. Frames, and Huffman codes, are for the program of Zstandard, which may not be there.
func python(t *testing.T, path string) string {
	t.Helper()
	var complaints strings.Builder
	c := exec.Command("python3", filepath.Join("testdata", "reader", "reader.py"), path)
	c.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	c.Stderr = &complaints
	out, err := c.Output()
	if strings.Contains(complaints.String(), "'zstd'") {
		t.Skipf("skipped: there is no program zstd for the second reader, and %s holds frames; files without any are still read", path)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", path, err, complaints.String())
	}
	return string(out)
}

func needPython(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("skipped: there is no python3 to run the second reader; the first one is tested on the same files")
	}
}

// Two readers that share no line must restore the same values.
func TestPythonReadsTheSame(t *testing.T) {
	needPython(t)
	files, err := filepath.Glob(filepath.Join("testdata", "*.bq"))
	if err != nil {
		t.Fatal(err)
	}
	vectors, err := filepath.Glob(filepath.Join("testdata", "vectors", "ok-*.bq"))
	if err != nil || len(files) == 0 || len(vectors) == 0 {
		t.Fatalf("%d files and %d vectors: %v", len(files), len(vectors), err)
	}
	for _, path := range append(files, vectors...) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			if got, want := python(t, path), digests(t, path); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

func TestPythonReadsConversions(t *testing.T) {
	needPython(t)
	if testing.Short() {
		t.Skip("skipped: -short, and Python takes its time over 50,000 weights")
	}
	for _, test := range []struct {
		codec  packing.Codec
		method string
		bits   int
		group  convert.Group
	}{
		{packing.CodecPacked, "lloyd", 3, convert.Group{}},
		{packing.CodecHuffman, "affine", 5, convert.Group{}},
		{packing.CodecRange, "auto", 4, convert.Group{Block: 64}},
	} {
		t.Run(fmt.Sprintf("codec %d", test.codec), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "digits.bq")
			method, err := convert.ParseMethod(test.method)
			if err != nil {
				t.Fatal(err)
			}
			model, err := onnxio.Open(filepath.Join("..", "testdata", "digits.onnx"))
			if err != nil {
				t.Fatal(err)
			}
			defer model.Close()
			var packed bytes.Buffer
			if _, err := convert.Convert(context.Background(), model, &packed, convert.Options{Bits: test.bits, Method: method, Group: test.group}); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, recoded(t, packed.Bytes(), test.codec), 0o666); err != nil {
				t.Fatal(err)
			}
			if got, want := python(t, path), digests(t, path); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// smallZoo are the models of the zoo that Python reads in seconds.
var smallZoo = []string{"pinto-point-history-lstm", "mnist-8"}

func TestPythonReadsTheZoo(t *testing.T) {
	needPython(t)
	if testing.Short() {
		t.Skip("skipped: -short, and Python takes its time over 10,000 weights")
	}
	if _, err := os.Stat(zoo); err != nil {
		t.Skip("skipped: there is no zoo beside the project; conversions of testdata/digits.onnx are read")
	}
	for _, name := range smallZoo {
		for _, o := range []convert.Options{{Bits: 8}, {Bits: 3}, {Bits: 4, Codec: convert.CodecHuffman}, {Budget: convert.Budget{Kind: convert.BudgetBPW, Value: 4}}} {
			t.Run(fmt.Sprintf("%s/%d bits, codec %v, budget %v", name, o.Bits, o.Codec, o.Budget.Kind), func(t *testing.T) {
				t.Parallel()
				model, err := onnxio.Open(filepath.Join(zoo, name+".onnx"))
				if err != nil {
					t.Fatal(err)
				}
				defer model.Close()
				var b bytes.Buffer
				var nothing *convert.NothingError
				if _, err := convert.Convert(context.Background(), model, &b, o); errors.As(err, &nothing) {
					return
				} else if err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(t.TempDir(), "zoo.bq")
				if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
					t.Fatal(err)
				}
				if got, want := python(t, path), digests(t, path); got != want {
					t.Errorf("got\n%swant\n%s", got, want)
				}
			})
		}
	}
}

// recoded returns a file with all codes under another codec.
func recoded(t *testing.T, b []byte, c packing.Codec) []byte {
	t.Helper()
	f, err := packing.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := packing.NewWriter(&out, f.Meta())
	graph, err := f.Graph()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Graph(graph); err != nil {
		t.Fatal(err)
	}
	for i := range f.Entries() {
		x, err := f.Tensor(i)
		if err != nil {
			t.Fatal(err)
		}
		if x.Quant != nil {
			x.Quant.Codec = c
		}
		if err := w.Tensor(x); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
