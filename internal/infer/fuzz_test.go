package infer

import (
	"archive/zip"
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bq/onnxio"
)

// FuzzCompileAndRun gives whatever parses as a model to Compile and, where its inputs are small, to Run: no panic,
// and memory within the limit. The seeds are the operator cases below a few kilobytes, where they are at hand.
func FuzzCompileAndRun(f *testing.F) {
	f.Add(smallConvNet().Bytes())
	m := modelOf(13, newNode("Reshape", "x s", "y"))
	m.Graph.Inputs, m.Graph.Outputs = []*onnxio.ValueInfo{input("x", onnxio.Float, 2, 3)}, []*onnxio.ValueInfo{{Name: "y"}}
	m.Graph.Initializers = []*onnxio.Tensor{onnxio.NewTensor("s", longs([]int{2}, 3, -1))}
	f.Add(m.Bytes())
	for name, file := range seedFiles() {
		if strings.HasSuffix(name, "/model.onnx") && file.UncompressedSize64 < 2000 {
			if b, err := readZip(file); err == nil {
				f.Add(bytes.Clone(b))
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := onnxio.Parse(b)
		if err != nil {
			return
		}
		p, err := Options{Threads: 1, MaxBytes: 1 << 20}.Compile(m)
		if err != nil {
			return
		}
		feeds := map[string]*onnxio.Array{}
		for _, in := range p.Inputs() {
			a := zeroFeed(in)
			if a == nil {
				return
			}
			feeds[in.Name] = a
		}
		steps := 0
		visit := func(*onnxio.Node, string, *onnxio.Array) (*onnxio.Array, error) {
			if steps++; steps > 1000 { // a Loop may rightly run for long
				return nil, errors.New("enough")
			}
			return nil, nil
		}
		started := time.Now()
		_, err = p.Run(feeds, visit)
		if d := time.Since(started); d > 10*time.Second {
			t.Errorf("runs for %v", d)
		}
		if errors.Is(err, errPanic) {
			t.Error(err)
		}
	})
}

// zeroFeed returns zeros for a declared input, nil where it is large or not a tensor; symbolic dimensions are 2.
func zeroFeed(in *onnxio.ValueInfo) *onnxio.Array {
	if in.Type == nil || !in.Type.Elem.HasArray() {
		return nil
	}
	var shape []int
	for _, d := range in.Type.Shape {
		n := int64(2)
		if d.Known {
			n = d.Value
		}
		if n < 0 || n > 1<<10 {
			return nil
		}
		shape = append(shape, int(n))
	}
	if n, ok := onnxio.CheckedLen(shape); !ok || n > 1<<12 {
		return nil
	}
	return onnxio.NewArray(in.Type.Elem, shape...)
}

// seedFiles returns the operator cases, none where they are not beside the project.
func seedFiles() map[string]*zip.File {
	files := map[string]*zip.File{}
	z, err := zip.OpenReader(filepath.Join(shared, "conformance/onnx-node-1.22.0.zip"))
	if err != nil {
		return nil
	}
	for _, f := range z.File {
		files[f.Name] = f
	}
	return files
}
