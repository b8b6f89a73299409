package shape

import (
	"archive/zip"
	"fmt"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"bq/internal/infer"
	"bq/onnxio"
)

// slow lists the models that take more than a second to run; their outputs are compared, their inner values are not.
var slow = map[string]bool{"agllnet-256": true, "fns-candy": true, "road-seg-adas-0001": true, "tbefn-180x320": true, "deeplab-v3-mnv2": true}

func openZoo(t testing.TB, name string) *onnxio.Model {
	t.Helper()
	f, err := onnxio.Open(zooPath(name))
	if err != nil {
		t.Skipf("no model %s", name)
	}
	t.Cleanup(func() { f.Close() })
	return f.Model
}

// TestZoo infers real models for the inputs of their golden sets and compares the outputs with those of the sets, and every
// value that nodes compute with what internal/infer computes. How many are known completely may not fall.
func TestZoo(t *testing.T) {
	files := openZip(t, filepath.Join(shared, "zoo/golden.zip"))
	names := map[string]bool{}
	for name := range files {
		names[strings.SplitN(name, "/", 2)[0]] = true
	}
	if len(names) == 0 {
		t.Fatal("golden.zip holds no model")
	}
	counts := map[string]int{}
	for _, name := range sortedKeys(names) {
		t.Run(name, func(t *testing.T) { inferModel(t, files, name, counts) })
	}
	checkCounts(t, counts, "testdata/zoo.txt")
}

func inferModel(t *testing.T, files map[string]*zip.File, name string, counts map[string]int) {
	m := openZoo(t, name)
	inputs := readSet(t, files, name, "input", nil)
	o := bindCase(m, inputs, false)
	clearOutputs(m)
	r, err := o.Infer(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range r.Warnings {
		t.Log(w)
	}
	for i, w := range readSet(t, files, name, "output", nil) {
		if text := w.contradiction(r.Lookup(m.Graph.Outputs[i].Name).Info); text != "" {
			t.Errorf("output %d: %s", i, text)
		}
	}
	known, total := 0, 0
	for _, v := range r.Values {
		if v.Path != "" || v.Origin != FromNode {
			continue
		}
		if total++; v.Complete() {
			known++
		} else if *verbose {
			t.Logf("%s: %v", v.Name, v.Info)
		}
	}
	counts[name+" values"], counts[name+" known"] = total, known
	if !slow[name] && !testing.Short() && !raceEnabled { // the detector slows the kernels ten times
		compareRun(t, m, r, inputs)
	}
}

// compareRun runs the model and compares every value that a visitor sees with what was inferred. Names of values in
// subgraphs may be those of other values of the main graph: only the main graph's are compared.
func compareRun(t *testing.T, m *onnxio.Model, r *Result, inputs []measured) {
	p, err := infer.Options{Threads: 1}.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	feeds := map[string]*onnxio.Array{}
	for i, in := range p.Inputs() {
		if feeds[in.Name], err = inputs[i].tensor.Array(); err != nil {
			t.Fatal(err)
		}
	}
	inferred := map[string]Info{}
	for _, v := range r.Values {
		if v.Path == "" {
			inferred[v.Name] = v.Info
		}
	}
	main := map[*onnxio.Node]bool{}
	for _, n := range m.Graph.Nodes {
		main[n] = true
	}
	seen := 0
	_, err = p.Run(feeds, func(n *onnxio.Node, output string, v *onnxio.Array) (*onnxio.Array, error) {
		if !main[n] {
			return nil, nil
		}
		seen++
		dims := make([]int64, len(v.Shape))
		for i, d := range v.Shape {
			dims[i] = int64(d)
		}
		if text := contradicts(inferred[output], v.Type, dims); text != "" {
			t.Errorf("%s: %s", output, text)
		}
		return nil, nil
	})
	if err != nil || seen == 0 {
		t.Errorf("%d values seen, %v", seen, err)
	}
}

// TestEval infers real models with symbols, and evaluates every size for the golden set's inputs: the same as inferring
// with the sizes from the start, wherever both are known.
func TestEval(t *testing.T) {
	files := openZip(t, filepath.Join(shared, "zoo/golden.zip"))
	compared := 0
	models, err := filepath.Glob(filepath.Join(shared, "zoo/models/*.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(models)
	for _, path := range models {
		name := strings.TrimSuffix(filepath.Base(path), ".onnx")
		m := openZoo(t, name)
		inputs := readSet(t, files, name, "input", nil)
		if len(inputs) == 0 {
			continue
		}
		clearOutputs(m)
		for i, v := range m.Graph.FeedInputs() { // sizes without a name get one
			for k := range v.Type.Shape {
				if d := &v.Type.Shape[k]; !d.Known && (d.Param == "" || d.Param == noName) {
					d.Param = fmt.Sprintf("i%d.%d", i, k)
				}
			}
		}
		sizes := map[string]int{}
		for i, v := range m.Graph.FeedInputs() {
			for k, d := range v.Type.Shape {
				if !d.Known {
					sizes[d.Param] = int(inputs[i].tensor.Dims[k])
				}
			}
		}
		compared += compareEval(t, name, m, sizes)
	}
	if compared < 1000 {
		t.Errorf("only %d symbolic sizes compared", compared)
	}
}

func compareEval(t *testing.T, name string, m *onnxio.Model, sizes map[string]int) (compared int) {
	open, err := Infer(m, nil)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return 0
	}
	fixed, err := Infer(m, sizes)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return 0
	}
	for i, v := range open.Values {
		w := fixed.Values[i]
		if v.Ranked != w.Ranked || len(v.Shape) != len(w.Shape) {
			continue
		}
		for k, d := range v.Shape {
			n, ok := d.Eval(sizes)
			want, ok2 := w.Shape[k].Known()
			if _, number := d.Known(); !ok || !ok2 || number {
				continue
			}
			if compared++; n != want {
				t.Errorf("%s: %s: %v is %d for %v, want %d", name, v.Name, d, n, sizes, want)
			}
		}
	}
	return compared
}
