package onnxio

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"bq/internal/onnxpb"
)

// bigModel writes a model of 168 MB: 40 tensors of 4.2 MB in raw_data, each read by a MatMul.
func bigModel(b *testing.B) (path string, size int64) {
	b.Helper()
	m := &Model{IRVersion: 8, Opsets: []*Opset{{Version: 13}}, Graph: &Graph{Inputs: []*ValueInfo{{Name: "x0"}}, Outputs: []*ValueInfo{{Name: "x40"}}}}
	for i := range 40 {
		w := make([]byte, 4*1024*1024)
		for k := range w {
			w[k] = byte(k * (i + 1))
		}
		name := fmt.Sprint("w", i)
		m.Graph.Initializers = append(m.Graph.Initializers, &Tensor{Name: name, Type: Float, Dims: []int64{1024, 1024}, Raw: w, HasRaw: true})
		m.Graph.Nodes = append(m.Graph.Nodes, &Node{OpType: "MatMul", Inputs: []string{fmt.Sprint("x", i), name}, Outputs: []string{fmt.Sprint("x", i+1)}})
	}
	path = filepath.Join(b.TempDir(), "m.onnx")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if size, err = m.WriteTo(f); err != nil {
		b.Fatal(err)
	}
	return path, size
}

// BenchmarkLargeModel reads and writes a model of 168 MB: walk only finds the tensors' raw_data in the mapped file, open
// maps and parses it, generated is what protoc-gen-go's code takes to read and write it, absmax looks at every weight,
// rewrite copies it to memory unchanged, rewrite one with one tensor changed, bytes to memory that is new, to null only
// finds that nothing changed; save writes two files, reads them again and syncs them.
func BenchmarkLargeModel(b *testing.B) {
	path, size := bigModel(b)
	open := func() *File {
		f, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		return f
	}
	run := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
	run("walk", func() {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		m, err := mapFile(f)
		if err != nil {
			b.Fatal(err)
		}
		defer m.close()
		inside(m.data, 7, func(graph []byte) {
			inside(graph, 5, func(tensor []byte) { inside(tensor, 9, func([]byte) {}) })
		})
	})
	run("open", func() { open().Close() })
	run("read", func() { os.ReadFile(path) })
	run("absmax", func() {
		f := open()
		defer f.Close()
		var top float32
		dst := make([]float32, 1024*1024)
		for _, t := range f.Model.Graph.Initializers {
			t.Float32s(dst)
			for _, v := range dst {
				top = max(top, v, -v)
			}
			f.Release(t.Raw)
		}
	})
	buf := &buffer{make([]byte, 0, size+1<<20)}
	rewrite := func(change bool) func() {
		return func() {
			f := open()
			defer f.Close()
			if change {
				f.Model.Graph.Initializers[7].SetRaw(f.Model.Graph.Initializers[8].Raw)
			}
			buf.b = buf.b[:0]
			if _, err := f.Model.WriteTo(buf); err != nil {
				b.Fatal(err)
			}
		}
	}
	run("rewrite", rewrite(false))
	run("rewrite one", rewrite(true))
	run("bytes", func() {
		f := open()
		defer f.Close()
		f.Model.Bytes()
	})
	run("generated", func() {
		in, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		var p onnxpb.ModelProto
		if err := proto.Unmarshal(in, &p); err != nil {
			b.Fatal(err)
		}
		if _, err := proto.Marshal(&p); err != nil {
			b.Fatal(err)
		}
	})
	run("to null", func() {
		f := open()
		defer f.Close()
		f.Model.WriteTo(io.Discard)
	})
	out := filepath.Join(filepath.Dir(path), "out.onnx")
	run("save", func() {
		f := open()
		defer f.Close()
		if _, err := f.Model.Save(out, SaveOptions{Replace: true, External: true}); err != nil {
			b.Fatal(err)
		}
	})
}

// buffer is a writer to memory that is there already.
type buffer struct{ b []byte }

func (w *buffer) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

func BenchmarkOpen(b *testing.B) {
	models := zooModels(b)
	for b.Loop() {
		for _, path := range models {
			f, err := Open(path)
			if err != nil {
				b.Fatal(err)
			}
			f.Close()
		}
	}
}
