package infer

import (
	"archive/zip"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"bq/onnxio"
)

var update = flag.Bool("update", false, "rewrite the manifests of operator cases from what passes")

var large = flag.Bool("large", false, "run the operator cases of largeCases too")

// largeCases are whole models of one second to twenty each; the others of their kind always run.
var largeCases = map[string]bool{
	"light/light_densenet121": true, "light/light_inception_v1": true, "light/light_inception_v2": true,
	"light/light_resnet50": true, "light/light_vgg19": true, "light/light_zfnet512": true,
}

// The tolerances by which ONNX Runtime judges the operator cases (numpy.allclose).
const (
	caseRelative = 1e-3
	caseAbsolute = 1e-5
)

// suite is an archive of operator cases and the manifest of those that pass.
type suite struct{ archive, manifest string }

// TestConformance runs ONNX's own operator cases. The manifests list those that pass: a listed case that fails and an
// unlisted case that passes are both errors.
func TestConformance(t *testing.T) {
	for _, s := range []suite{
		{"conformance/onnx-node-1.22.0.zip", "testdata/conformance.txt"},
		{"conformance/onnx-other-1.22.0.zip", "testdata/conformance-other.txt"},
	} {
		t.Run(filepath.Base(s.archive), s.run)
	}
}

func (s suite) run(t *testing.T) {
	files := openZip(t, s.archive)
	var names []string
	for name := range files {
		if dir, ok := strings.CutSuffix(name, "/model.onnx"); ok {
			names = append(names, dir)
		}
		if light, ok := strings.CutSuffix(name, ".onnx"); ok && strings.HasPrefix(name, "light/") {
			names = append(names, light)
		}
	}
	if len(names) == 0 {
		t.Fatal("the archive holds no case")
	}
	sort.Strings(names)
	var passed []string
	reasons := map[string]error{}
	for _, name := range names {
		if largeCases[name] && !*large && !*update {
			continue
		}
		if err := runCase(files, name); err != nil {
			reasons[name] = err
			continue
		}
		passed = append(passed, name)
	}
	t.Logf("%d of %d cases pass", len(passed), len(names))
	if *update {
		if err := os.WriteFile(s.manifest, []byte(strings.Join(passed, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		logReasons(t, reasons)
		return
	}
	b, err := os.ReadFile(s.manifest)
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.Fields(string(b))
	for _, name := range listed {
		if !slices.Contains(passed, name) && (reasons[name] != nil || !largeCases[name] || *large) {
			t.Errorf("%s no longer passes: %v", name, reasons[name])
		}
	}
	for _, name := range passed {
		if !slices.Contains(listed, name) {
			t.Errorf("%s passes and is not listed: run with -update", name)
		}
	}
}

// logReasons writes why the other cases do not pass, for whoever updates the manifest.
func logReasons(t *testing.T, reasons map[string]error) {
	var lines []string
	for name, err := range reasons {
		lines = append(lines, fmt.Sprintf("%s: %v", name, err))
	}
	sort.Strings(lines)
	t.Log(strings.Join(lines, "\n"))
}

// runCase returns nil where the case gives the expected outputs.
func runCase(files map[string]*zip.File, name string) error {
	got, want, err := caseResults(files, name)
	if err != nil {
		return err
	}
	for i, w := range want {
		if err := closeTo(got[i], w); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return nil
}

// caseResults runs the model of a case on its inputs and returns the results beside the expected ones.
func caseResults(files map[string]*zip.File, name string) (got, want []*onnxio.Array, err error) {
	model := files[name+"/model.onnx"]
	if model == nil {
		return lightResults(files, name)
	}
	b, err := readZip(model)
	if err != nil {
		return nil, nil, err
	}
	m, err := onnxio.Parse(b)
	if err != nil {
		return nil, nil, err
	}
	p, err := Options{Threads: 1, MaxBytes: 1 << 30}.Compile(m)
	if err != nil {
		return nil, nil, err
	}
	inputs, err := readValues(files, name, "input", inputKinds(b))
	if err != nil {
		return nil, nil, err
	}
	if want, err = readValues(files, name, "output", outputKinds(b)); err != nil {
		return nil, nil, err
	}
	if len(want) == 0 || len(want) != len(m.Graph.Outputs) || len(inputs) != len(p.Inputs()) {
		return nil, nil, fmt.Errorf("%d inputs and %d expected outputs, the model has %d and %d",
			len(inputs), len(want), len(p.Inputs()), len(m.Graph.Outputs))
	}
	feeds := map[string]*onnxio.Array{}
	for i, v := range inputs {
		feeds[p.Inputs()[i].Name] = v
	}
	results, err := p.Run(feeds, nil)
	if err != nil {
		return nil, nil, err
	}
	for _, o := range m.Graph.Outputs {
		got = append(got, results[o.Name])
	}
	return got, want, nil
}

// lightResults is caseResults of a model of the light group, which has no file of inputs: they are i/n for element i of
// n (generate_dummy_data of ONNX's test runner).
func lightResults(files map[string]*zip.File, name string) (got, want []*onnxio.Array, err error) {
	b, err := readZip(files[name+".onnx"])
	if err != nil {
		return nil, nil, err
	}
	m, err := onnxio.Parse(b)
	if err != nil {
		return nil, nil, err
	}
	p, err := Compile(m)
	if err != nil {
		return nil, nil, err
	}
	if b, err = readZip(files[name+"_output_0.pb"]); err != nil {
		return nil, nil, err
	}
	w, err := readValue(b, kindTensor)
	if err != nil {
		return nil, nil, err
	}
	feeds := map[string]*onnxio.Array{}
	for _, in := range p.Inputs() {
		var shape []int
		for _, d := range in.Type.Shape {
			shape = append(shape, max(1, int(d.Value)))
		}
		a := onnxio.NewArray(onnxio.Float, shape...)
		for i := range a.F32() {
			a.F32()[i] = float32(float64(i) / float64(a.Len()))
		}
		feeds[in.Name] = a
	}
	results, err := p.Run(feeds, nil)
	if err != nil {
		return nil, nil, err
	}
	return []*onnxio.Array{results[m.Graph.Outputs[0].Name]}, []*onnxio.Array{w}, nil
}

// closeTo compares as numpy.allclose does, integers and strings exactly.
func closeTo(got, want *onnxio.Array) error {
	if got == nil || got.Type != want.Type || !equalShape(got.Shape, want.Shape) {
		return fmt.Errorf("got %v, want %v", describe(got), describe(want))
	}
	if list, ok := want.Data.([]*onnxio.Array); ok {
		values, err := elements(got)
		for i := 0; err == nil && i < len(list); i++ {
			err = closeTo(values[i], list[i])
		}
		return err
	}
	if isNothing(want) {
		if !isNothing(got) {
			return fmt.Errorf("got %T, want an empty optional", got.Data)
		}
		return nil
	}
	if s, ok := want.Data.([]string); ok {
		if !slices.Equal(s, got.Data.([]string)) {
			return fmt.Errorf("strings differ")
		}
		return nil
	}
	g, err := asFloats(got)
	if err != nil {
		return err
	}
	w, err := asFloats(want)
	if err != nil {
		return err
	}
	for i := range w {
		same := g[i] == w[i] || math.IsNaN(g[i]) && math.IsNaN(w[i])
		if want.Type.IsFloat() {
			same = same || math.Abs(g[i]-w[i]) <= caseAbsolute+caseRelative*math.Abs(w[i])
		}
		if !same {
			return fmt.Errorf("element %d of %v: got %v, want %v", i, want.Shape, g[i], w[i])
		}
	}
	return nil
}
