package opset

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bq/internal/infer"
	"bq/onnxio"
)

// shared is the folder of real models and operator cases, beside the project; tests that need it skip without it.
const shared = "../../../shared"

// openZip opens an archive of the shared folder and returns its files by name.
func openZip(t testing.TB, path string) map[string]*zip.File {
	t.Helper()
	z, err := zip.OpenReader(filepath.Join(shared, path))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no %s beside the project", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { z.Close() })
	files := map[string]*zip.File{}
	for _, f := range z.File {
		files[f.Name] = f
	}
	return files
}

func readZip(t testing.TB, f *zip.File) []byte {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readSet reads input_0.pb, input_1.pb, ... (or output_...) of a test set; ok is false where one is not a tensor.
func readSet(t testing.TB, files map[string]*zip.File, dir, kind string) (list []*onnxio.Array, ok bool) {
	t.Helper()
	for i := 0; ; i++ {
		f := files[fmt.Sprintf("%s/test_data_set_0/%s_%d.pb", dir, kind, i)]
		if f == nil {
			return list, true
		}
		tensor, err := onnxio.ParseTensor(readZip(t, f))
		if err != nil {
			return nil, false
		}
		a, err := tensor.Array()
		if err != nil {
			return nil, false
		}
		list = append(list, a)
	}
}

// modelOf returns a model of the given operator set with these nodes; inputs and outputs are left to the caller.
func modelOf(opset int64, nodes ...*onnxio.Node) *onnxio.Model {
	return &onnxio.Model{IRVersion: irVersion(opset), Opsets: []*onnxio.Opset{{Version: opset}}, Graph: &onnxio.Graph{Name: "g", Nodes: nodes}}
}

// newNode returns a node; inputs and outputs are names separated by spaces, _ for one that is not given.
func newNode(op, inputs, outputs string, attributes ...*onnxio.Attribute) *onnxio.Node {
	n := &onnxio.Node{OpType: op, Attributes: attributes, Inputs: strings.Fields(inputs), Outputs: strings.Fields(outputs)}
	for _, list := range [][]string{n.Inputs, n.Outputs} {
		for i, s := range list {
			if s == "_" {
				list[i] = ""
			}
		}
	}
	return n
}

// declare declares a value of this type and shape; -1 stands for the symbolic dimension N.
func declare(name string, typ onnxio.DataType, shape ...int) *onnxio.ValueInfo {
	v := &onnxio.ValueInfo{Name: name, Type: &onnxio.TensorType{Elem: typ, HasShape: true}}
	for _, d := range shape {
		if d < 0 {
			v.Type.Shape = append(v.Type.Shape, onnxio.Dim{Param: "N"})
			continue
		}
		v.Type.Shape = append(v.Type.Shape, onnxio.Dim{Known: true, Value: int64(d)})
	}
	return v
}

func floatsAttr(name string, v ...float32) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrFloats, Floats: v}
}

func graphAttr(name string, g *onnxio.Graph) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrGraph, G: g}
}

// reread writes a model and reads it again, so that what is judged is the file.
func reread(t testing.TB, m *onnxio.Model) *onnxio.Model {
	t.Helper()
	again, err := onnxio.Parse(m.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Check(); err != nil {
		t.Fatal(err)
	}
	return again
}

// run returns the outputs of a model for its inputs in order.
func run(m *onnxio.Model, inputs []*onnxio.Array) ([]*onnxio.Array, error) {
	p, err := infer.Options{Threads: 2, MaxBytes: 1 << 32}.Compile(m)
	if err != nil {
		return nil, err
	}
	if len(inputs) != len(p.Inputs()) {
		return nil, fmt.Errorf("%d inputs given, %d wanted", len(inputs), len(p.Inputs()))
	}
	feeds := map[string]*onnxio.Array{}
	for i, v := range p.Inputs() {
		feeds[v.Name] = inputs[i]
	}
	results, err := p.Run(feeds, nil)
	if err != nil {
		return nil, err
	}
	var list []*onnxio.Array
	for _, v := range m.Graph.Outputs {
		list = append(list, results[v.Name])
	}
	return list, nil
}

// difference returns the largest difference of two arrays relative to the largest value of want, 0 where all bits are
// the same; NaN agrees with NaN. It is an error where types, shapes, integers or strings differ.
func difference(got, want *onnxio.Array) (float64, error) {
	if got == nil || want == nil || got.Type != want.Type || !slices.Equal(got.Shape, want.Shape) {
		return 0, fmt.Errorf("got %v, want %v", describe(got), describe(want))
	}
	switch w := want.Data.(type) {
	case []float32:
		return spread(got.Data.([]float32), w), nil
	case []float64:
		return spread(got.Data.([]float64), w), nil
	case []string:
		if !slices.Equal(got.Data.([]string), w) {
			return 0, fmt.Errorf("strings differ")
		}
		return 0, nil
	case []*onnxio.Array:
		g, ok := got.Data.([]*onnxio.Array)
		if !ok || len(g) != len(w) {
			return 0, fmt.Errorf("sequences differ")
		}
		var most float64
		for i := range w {
			d, err := difference(g[i], w[i])
			if err != nil {
				return 0, err
			}
			most = max(most, d)
		}
		return most, nil
	}
	if !slices.Equal(got.Ints(), want.Ints()) {
		return 0, fmt.Errorf("got %v, want %v", got.Data, want.Data)
	}
	return 0, nil
}

func spread[T float32 | float64](got, want []T) float64 {
	var diff, top float64
	for i, w := range want {
		g, w := float64(got[i]), float64(w)
		if g == w || math.IsNaN(g) && math.IsNaN(w) {
			continue
		}
		if d := math.Abs(g - w); !(d <= diff) {
			diff = d
		}
		top = max(top, math.Abs(w))
	}
	if diff == 0 {
		return 0
	}
	for _, w := range want {
		if v := math.Abs(float64(w)); !math.IsInf(v, 0) {
			top = max(top, v)
		}
	}
	return diff / max(top, 1e-2)
}

func describe(a *onnxio.Array) string {
	if a == nil {
		return "nothing"
	}
	return fmt.Sprint(a.Type, a.Shape)
}
