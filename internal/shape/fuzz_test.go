package shape

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bq/onnxio"
)

// slowest bounds the time to infer a model of some kilobytes, mutated or not.
const slowest = 5 * time.Second

// FuzzInfer infers whatever parses as a model, with and without sizes: no panic, and no long run. The seeds are models of
// our own and the operator cases and real models below some kilobytes, where they are at hand.
func FuzzInfer(f *testing.F) {
	for _, text := range fuzzSeeds() {
		f.Add(text.Bytes())
	}
	for _, archive := range []string{"../infer/testdata/contrib.zip", filepath.Join(shared, "conformance/onnx-node-1.22.0.zip")} {
		if _, err := os.Stat(archive); err != nil {
			continue
		}
		for name, file := range openZip(f, archive) {
			if strings.HasSuffix(name, "/model.onnx") && file.UncompressedSize64 < 4000 {
				f.Add(readZip(f, file))
			}
		}
	}
	for _, name := range []string{"lgbm-classifier", "pinto-point-history-lstm"} {
		if b, err := os.ReadFile(zooPath(name)); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := onnxio.Parse(b)
		if err != nil {
			return
		}
		started := time.Now()
		r, err := Infer(m, nil)
		if err == nil {
			for _, v := range r.Values {
				_ = v.String()
			}
		}
		o := Options{Dims: map[string]int{"N": 2, "batch": 3}}
		_, _ = o.Infer(m)
		if d := time.Since(started); d > slowest {
			t.Errorf("takes %v", d)
		}
	})
}

// fuzzSeeds returns small models with control flow, functions and sequences.
func fuzzSeeds() []*onnxio.Model {
	return []*onnxio.Model{loopModel(), branchModel(), functionModel(), reshapeModel()}
}
