package infer

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

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

func readZip(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// readSet reads input_0.pb, input_1.pb, ... (or output_...) of a test set folder.
func readSet(files map[string]*zip.File, dir, kind string) ([]*onnxio.Tensor, error) {
	var list []*onnxio.Tensor
	for i := 0; ; i++ {
		f := files[fmt.Sprintf("%s/test_data_set_0/%s_%d.pb", dir, kind, i)]
		if f == nil {
			return list, nil
		}
		b, err := readZip(f)
		if err != nil {
			return nil, err
		}
		t, err := onnxio.ParseTensor(b)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
}

// feedsOf decodes the inputs of a test set in the order of the model's inputs.
func feedsOf(p *Program, inputs []*onnxio.Tensor) (map[string]*onnxio.Array, error) {
	if len(inputs) != len(p.Inputs()) {
		return nil, fmt.Errorf("%d inputs given, %d wanted", len(inputs), len(p.Inputs()))
	}
	feeds := map[string]*onnxio.Array{}
	for i, t := range inputs {
		a, err := t.Array()
		if err != nil {
			return nil, err
		}
		feeds[p.Inputs()[i].Name] = a
	}
	return feeds, nil
}

// goldenTolerance is the largest difference from ONNX Runtime's output, relative to the output's largest value:
// float32 sums of some thousand terms in another order differ by about 1e-5.
const goldenTolerance = 1e-4

// sensitive holds the tolerance of models whose output moves by more than goldenTolerance when nothing but the rounding
// of sums changes: with fused multiply-add (GOAMD64=v3) and without, yolox-nano differs from ONNX Runtime by 0.9e-4
// and 1.02e-4, ppocr-en-number-rec by 0.3e-4 and 1.2e-4.
var sensitive = map[string]float64{"yolox-nano": 5e-4, "ppocr-en-number-rec": 5e-4}

// smallestTop bounds the largest value that differences are taken relative to. The largest output of
// ppocr-v3-det-ch is 2.7e-7, which ONNX Runtime's polynomial for the sigmoid gives to 1e-7.
const smallestTop = 1e-2

// heavy lists the models that take a second or more; they are left out of short runs and of runs with the race
// detector, which slows the kernels ten times.
var heavy = map[string]bool{"agllnet-256": true, "fns-candy": true, "road-seg-adas-0001": true, "tbefn-180x320": true}

func TestGoldenModels(t *testing.T) {
	files := openZip(t, "zoo/golden.zip")
	names := map[string]bool{}
	for name := range files {
		names[strings.SplitN(name, "/", 2)[0]] = true
	}
	if len(names) == 0 {
		t.Fatal("golden.zip holds no model")
	}
	var sorted []string
	for name := range names {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	for _, name := range sorted {
		t.Run(name, func(t *testing.T) { checkGolden(t, files, name) })
	}
}

func checkGolden(t *testing.T, files map[string]*zip.File, name string) {
	if heavy[name] && (testing.Short() || raceEnabled) {
		t.Skip("takes long: not in short runs or with the race detector")
	}
	f, err := onnxio.Open(filepath.Join(shared, "zoo/models", name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := Compile(f.Model)
	if err != nil {
		t.Fatal(err)
	}
	inputs, err := readSet(files, name, "input")
	if err != nil {
		t.Fatal(err)
	}
	want, err := readSet(files, name, "output")
	if err != nil || len(want) == 0 {
		t.Fatalf("%d outputs, %v", len(want), err)
	}
	feeds, err := feedsOf(p, inputs)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Run(feeds, nil)
	if err != nil {
		t.Fatal(err)
	}
	tolerance := max(goldenTolerance, sensitive[name])
	for i, w := range want {
		a, err := w.Array()
		if err != nil {
			t.Fatal(err)
		}
		out := f.Model.Graph.Outputs[i].Name
		if diff, err := relativeDifference(got[out], a); err != nil || diff > tolerance {
			t.Errorf("output %q: relative difference %.3g, %v", out, diff, err)
		}
	}
}

// relativeDifference returns the largest difference of two arrays, divided by the largest value of want.
func relativeDifference(got, want *onnxio.Array) (float64, error) {
	if got == nil || got.Type != want.Type || !equalShape(got.Shape, want.Shape) {
		return 0, fmt.Errorf("got %v, want %v %v", describe(got), want.Type, want.Shape)
	}
	g, err := asFloats(got)
	if err != nil {
		return 0, err
	}
	w, err := asFloats(want)
	if err != nil {
		return 0, err
	}
	var diff, top float64
	for i := range w {
		if d := math.Abs(g[i] - w[i]); d > diff || math.IsNaN(d) && !(math.IsNaN(g[i]) && math.IsNaN(w[i])) {
			diff = d
		}
		top = max(top, math.Abs(w[i]))
	}
	if diff == 0 {
		return 0, nil
	}
	return diff / max(top, smallestTop), nil
}

func describe(a *onnxio.Array) string {
	if a == nil {
		return "nothing"
	}
	return fmt.Sprint(a.Type, a.Shape)
}

func asFloats(a *onnxio.Array) ([]float64, error) {
	r := &run{limit: DefaultMaxBytes}
	v, err := r.cast(a, onnxio.Double)
	if err != nil {
		return nil, err
	}
	return v.Data.([]float64), nil
}

// loadModel compiles a model of the zoo for benchmarks and tests; it skips where the zoo is absent.
func loadModel(t testing.TB, name string, threads int) *Program {
	t.Helper()
	path := filepath.Join(shared, "zoo/models", name+".onnx")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no model %s beside the project", name)
	}
	f, err := onnxio.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := Options{Threads: threads}.Compile(f.Model)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
