package convert

import (
	"bytes"
	"path/filepath"
	"testing"

	"bq/internal/dataset"
	"bq/onnxio"
)

// Under KeepBiases no bias changes and none is added, with data and without, in feed-forward layers and in recurrent ones; without
// it at least one does.
func TestKeepBiases(t *testing.T) {
	for _, name := range []string{"digits", "chars"} {
		f, err := onnxio.Open(filepath.Join("..", "testdata", name+".onnx"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		set, err := dataset.Open(dataset.Inputs(f.Model.Graph), dataset.Options{Path: filepath.Join("..", "testdata", name+".calib.npz"), Samples: 16})
		if err != nil {
			t.Fatal(err)
		}
		for _, data := range []*dataset.Set{nil, set} {
			o := Options{Bits: 3, Threads: 2, Samples: data}
			o.KeepBiases = true
			if changed, added := biasesOff(t, f, o); changed+added > 0 {
				t.Errorf("%s, data %v: %d biases changed, %d added", name, data != nil, changed, added)
			}
			o.KeepBiases = false
			if changed, added := biasesOff(t, f, o); changed+added == 0 && (data != nil || name == "digits") {
				t.Errorf("%s, data %v: no bias changed, so that the test shows nothing", name, data != nil)
			}
		}
	}
}

// biasesOff converts a model and counts the kept tensors whose bytes changed, and those that are new.
func biasesOff(t *testing.T, f *onnxio.File, o Options) (changed, added int) {
	t.Helper()
	source := map[string][]byte{}
	for _, k := range f.Model.Constants() {
		raw, err := k.Tensor.RawBytes()
		if err != nil {
			t.Fatal(err)
		}
		source[k.Name] = raw
	}
	_, p, _ := converted(t, f, o)
	for i, e := range p.Entries() {
		if e.Quantized {
			continue
		}
		v, err := p.Tensor(i)
		if err != nil {
			t.Fatal(err)
		}
		switch raw, ok := source[e.Name]; {
		case !ok:
			added++
		case !bytes.Equal(raw, v.Data):
			changed++
		}
	}
	return changed, added
}
