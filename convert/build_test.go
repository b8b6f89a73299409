package convert

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"bq/onnxio"
	"bq/packing"
)

// normal returns n values of a seeded normal distribution.
func normal(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	w := make([]float32, n)
	for i := range w {
		w[i] = float32(r.NormFloat64())
	}
	return w
}

// builder makes small models by hand.
type builder struct{ m *onnxio.Model }

func newBuilder(opset int64) *builder {
	return &builder{&onnxio.Model{IRVersion: 8, Opsets: []*onnxio.Opset{{Version: opset}}, Graph: &onnxio.Graph{Name: "g"}}}
}

func (b *builder) input(name string, dims ...int64) *builder {
	b.m.Graph.Inputs = append(b.m.Graph.Inputs, valueInfo(name, dims))
	return b
}

func (b *builder) output(name string, dims ...int64) *builder {
	b.m.Graph.Outputs = append(b.m.Graph.Outputs, valueInfo(name, dims))
	return b
}

func valueInfo(name string, dims []int64) *onnxio.ValueInfo {
	t := &onnxio.TensorType{Elem: onnxio.Float, HasShape: true}
	for _, d := range dims {
		t.Shape = append(t.Shape, onnxio.Dim{Value: d, Known: true})
	}
	return &onnxio.ValueInfo{Name: name, Type: t}
}

func (b *builder) floats(name string, data []float32, shape ...int) *builder {
	return b.constant(name, onnxio.Floats(data, shape...))
}

func (b *builder) constant(name string, a *onnxio.Array) *builder {
	b.m.Graph.Initializers = append(b.m.Graph.Initializers, onnxio.NewTensor(name, a))
	return b
}

func (b *builder) node(op string, inputs []string, output string, attributes ...*onnxio.Attribute) *builder {
	b.m.Graph.Nodes = append(b.m.Graph.Nodes, &onnxio.Node{Name: output, OpType: op, Inputs: inputs, Outputs: []string{output}, Attributes: attributes})
	return b
}

// file writes the model and opens it again.
func (b *builder) file(t testing.TB) *onnxio.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := os.WriteFile(path, b.m.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := onnxio.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// converted converts f and opens the container.
func converted(t *testing.T, f *onnxio.File, o Options) (*Result, *packing.File, []byte) {
	t.Helper()
	if o.Bits == 0 {
		o.Bits = 4
	}
	r, p, err := open(f, o)
	if err != nil {
		t.Fatal(err)
	}
	return r, p.File, p.raw
}

// container is an open container and its bytes.
type container struct {
	*packing.File
	raw []byte
}

func open(f *onnxio.File, o Options) (*Result, container, error) {
	var b bytes.Buffer
	r, err := Convert(context.Background(), f, &b, o)
	if err != nil {
		return nil, container{}, err
	}
	p, err := packing.Open(bytes.NewReader(b.Bytes()), int64(b.Len()))
	return r, container{p, b.Bytes()}, err
}

func find(t *testing.T, list []Coverage, name string) Coverage {
	t.Helper()
	for _, c := range list {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no tensor %q in the coverage list", name)
	return Coverage{}
}

// entry reads the entry of that name.
func entry(t *testing.T, p *packing.File, name string) *packing.Tensor {
	t.Helper()
	i, ok := p.Lookup(name)
	if !ok {
		t.Fatalf("no entry %s", name)
	}
	v, err := p.Tensor(i)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
