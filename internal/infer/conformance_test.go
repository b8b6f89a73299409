package infer

import (
	"archive/zip"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"sort"
	"strings"
	"testing"

	"bq/onnxio"
)

var update = flag.Bool("update", false, "rewrite testdata/conformance.txt from what passes")

// The tolerances by which ONNX Runtime judges the operator cases (numpy.allclose).
const (
	caseRelative = 1e-3
	caseAbsolute = 1e-5
)

const manifest = "testdata/conformance.txt"

// TestConformance runs ONNX's own operator cases. The manifest lists those that pass: a listed case that fails and an
// unlisted case that passes are both errors.
func TestConformance(t *testing.T) {
	files := openZip(t, "conformance/onnx-node-1.22.0.zip")
	var names []string
	for name := range files {
		if dir, ok := strings.CutSuffix(name, "/model.onnx"); ok {
			names = append(names, dir)
		}
	}
	if len(names) == 0 {
		t.Fatal("the archive holds no case")
	}
	sort.Strings(names)
	var passed []string
	reasons := map[string]error{}
	for _, name := range names {
		if err := runCase(files, name); err != nil {
			reasons[name] = err
			continue
		}
		passed = append(passed, name)
	}
	t.Logf("%d of %d cases pass", len(passed), len(names))
	if *update {
		if err := os.WriteFile(manifest, []byte(strings.Join(passed, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		logReasons(t, reasons)
		return
	}
	b, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.Fields(string(b))
	for _, name := range listed {
		if !slices.Contains(passed, name) {
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
func runCase(files map[string]*zip.File, name string) (err error) {
	b, err := readZip(files[name+"/model.onnx"])
	if err != nil {
		return err
	}
	m, err := onnxio.Parse(b)
	if err != nil {
		return err
	}
	p, err := Options{Threads: 1, MaxBytes: 1 << 30}.Compile(m)
	if err != nil {
		return err
	}
	inputs, err := readSet(files, name, "input")
	if err != nil {
		return err
	}
	want, err := readSet(files, name, "output")
	if err != nil {
		return err
	}
	if len(want) == 0 || len(want) != len(m.Graph.Outputs) {
		return fmt.Errorf("%d expected outputs", len(want))
	}
	feeds, err := feedsOf(p, inputs)
	if err != nil {
		return err
	}
	got, err := p.Run(feeds, nil)
	if err != nil {
		return err
	}
	for i, w := range want {
		a, err := w.Array()
		if err != nil {
			return err
		}
		if err := closeTo(got[m.Graph.Outputs[i].Name], a); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return nil
}

// closeTo compares as numpy.allclose does, integers and strings exactly.
func closeTo(got, want *onnxio.Array) error {
	if got == nil || got.Type != want.Type || !equalShape(got.Shape, want.Shape) {
		return fmt.Errorf("got %v, want %v", describe(got), describe(want))
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
