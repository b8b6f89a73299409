package shape

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"bq/onnxio"
)

// shared is the folder of real models and operator cases, beside the project; tests that need it skip without it.
const shared = "../../../shared"

// openZip opens an archive and returns its files by name; the test is skipped where it is absent.
func openZip(t testing.TB, path string) map[string]*zip.File {
	t.Helper()
	z, err := zip.OpenReader(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no %s", path)
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

// caseNames returns the folders of an archive that hold a model.
func caseNames(files map[string]*zip.File) (names []string) {
	for name := range files {
		if dir, ok := strings.CutSuffix(name, "/model.onnx"); ok {
			names = append(names, dir)
		}
	}
	sort.Strings(names)
	return names
}

// field returns the contents of all occurrences of a length-delimited field.
func field(b []byte, want protowire.Number) (list [][]byte) {
	eachField(b, func(num protowire.Number, b []byte, _ uint64) {
		if num == want && b != nil {
			list = append(list, b)
		}
	})
	return list
}

// measured is a value of a test set: type and shape of a tensor, or the kind and the values inside.
type measured struct {
	kind   Kind
	tensor *onnxio.Tensor
	inner  []measured
}

// readSet reads input_0.pb, input_1.pb, ... (or output_...) of a test set folder; infos say what they hold: TensorProto,
// SequenceProto or OptionalProto (onnx-data.proto).
func readSet(t testing.TB, files map[string]*zip.File, dir, what string, kinds []Info) (list []measured) {
	t.Helper()
	for i := 0; ; i++ {
		f := files[fmt.Sprintf("%s/test_data_set_0/%s_%d.pb", dir, what, i)]
		if f == nil {
			return list
		}
		k := Info{Kind: Tensor}
		if i < len(kinds) {
			k = kinds[i]
		}
		list = append(list, readMeasured(t, readZip(t, f), k))
	}
}

func readMeasured(t testing.TB, b []byte, kind Info) measured {
	switch kind.Kind {
	case Sequence: // SequenceProto: tensor_values = 3
		m := measured{kind: Sequence}
		for _, v := range field(b, 3) {
			m.inner = append(m.inner, readMeasured(t, v, Info{Kind: Tensor}))
		}
		return m
	case Optional: // OptionalProto: tensor_value = 3, sequence_value = 5
		m := measured{kind: Optional}
		for _, v := range field(b, 3) {
			m.inner = append(m.inner, readMeasured(t, v, Info{Kind: Tensor}))
		}
		for _, v := range field(b, 5) {
			m.inner = append(m.inner, readMeasured(t, v, Info{Kind: Sequence}))
		}
		return m
	}
	p, err := onnxio.ParseTensor(b)
	if err != nil {
		t.Fatal(err)
	}
	return measured{kind: Tensor, tensor: p}
}

// contradiction compares what was inferred of a value with what it is; "" where nothing contradicts.
func (m measured) contradiction(i Info) string {
	if i.Kind == Unknown {
		return ""
	}
	if i.Kind == Optional && m.kind != Optional { // an optional with a value is that value
		m = measured{kind: Optional, inner: []measured{m}}
	}
	if m.kind == Optional && i.Kind != Optional && len(m.inner) == 1 {
		m = m.inner[0]
	}
	if i.Kind != m.kind {
		return fmt.Sprintf("inferred %v, is of kind %d", i, m.kind)
	}
	if m.kind != Tensor {
		for _, v := range m.inner {
			if i.Elem != nil {
				if text := v.contradiction(*i.Elem); text != "" {
					return text
				}
			}
		}
		return ""
	}
	return contradicts(i, m.tensor.Type, m.tensor.Dims)
}

func contradicts(i Info, t onnxio.DataType, dims []int64) string {
	bad := i.Type != onnxio.Undefined && i.Type != t || i.Ranked && len(i.Shape) != len(dims)
	for k := 0; !bad && i.Ranked && k < len(dims); k++ {
		n, ok := i.Shape[k].Known()
		bad = ok && n != dims[k]
	}
	if bad {
		return fmt.Sprintf("inferred %v, is %v%v", i, t, dims)
	}
	return ""
}

// dimsOf returns the dimensions of a tensor.
func dimsOf(m measured) []int {
	out := []int{}
	for _, d := range m.tensor.Dims {
		out = append(out, int(d))
	}
	return out
}

func zooPath(name string) string { return filepath.Join(shared, "zoo/models", name+".onnx") }
