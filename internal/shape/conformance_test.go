package shape

import (
	"archive/zip"
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"bq/onnxio"
)

var update = flag.Bool("update", false, "rewrite the counts of what is inferred")

// TestConformance infers ONNX's operator cases twice: with the shapes of the inputs, and with small inputs as constants,
// so that rules see their elements. What is inferred must be what the case's outputs are; how many outputs of each group
// are known completely stands in testdata/known.txt and may not fall.
func TestConformance(t *testing.T) {
	counts := map[string]int{}
	for _, path := range []string{
		filepath.Join(shared, "conformance/onnx-node-1.22.0.zip"), filepath.Join(shared, "conformance/onnx-other-1.22.0.zip"),
		"../infer/testdata/contrib.zip",
	} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			files := openZip(t, path)
			names := caseNames(files)
			if len(names) == 0 {
				t.Fatal("the archive holds no case")
			}
			for _, name := range names {
				for _, constants := range []bool{false, true} {
					known, total := inferCase(t, files, name, constants)
					key := fmt.Sprintf("%s/constants=%v", filepath.Base(path), constants)
					counts[key+" outputs"] += total
					counts[key+" known"] += known
				}
			}
		})
	}
	checkCounts(t, counts, "testdata/known.txt")
}

// verbose lists outputs that are not known completely.
var verbose = flag.Bool("unknown", false, "list the outputs that are not known")

// inferCase returns how many outputs of a case are known and how many it has.
func inferCase(t *testing.T, files map[string]*zip.File, name string, constants bool) (known, total int) {
	m, err := onnxio.Parse(readZip(t, files[name+"/model.onnx"]))
	if err != nil {
		t.Fatal(err)
	}
	x := &inference{bound: map[string]int{}}
	var in, out []Info
	for _, v := range m.Graph.FeedInputs() {
		in = append(in, x.declared(v))
	}
	for _, v := range m.Graph.Outputs {
		out = append(out, x.declared(v))
	}
	inputs := readSet(t, files, name, "input", in)
	want := readSet(t, files, name, "output", out)
	o := bindCase(m, inputs, constants)
	clearOutputs(m) // nothing may come from what the case declares
	r, err := o.Infer(m)
	if err != nil {
		t.Errorf("%s, constants %v: %v", name, constants, err)
		return 0, len(want)
	}
	for i, w := range want {
		v := r.Lookup(m.Graph.Outputs[i].Name)
		if text := w.contradiction(v.Info); text != "" {
			t.Errorf("%s, constants %v: output %d: %s", name, constants, i, text)
		}
		total++
		if v.Complete() {
			known++
		} else if *verbose {
			t.Logf("%s, constants %v: output %d: %v %v", name, constants, i, v.Info, r.Warnings)
		}
	}
	return known, total
}

// clearOutputs replaces the declarations of outputs by their bare names.
func clearOutputs(m *onnxio.Model) {
	for i, v := range m.Graph.Outputs {
		m.Graph.Outputs[i] = &onnxio.ValueInfo{Name: v.Name}
	}
	m.Graph.ValueInfo = nil
}

// bindCase fixes the shapes of inputs, and makes initializers of small ones where constants is set.
func bindCase(m *onnxio.Model, inputs []measured, constants bool) Options {
	o := Options{Inputs: map[string][]int{}}
	for i, v := range m.Graph.FeedInputs() {
		if i >= len(inputs) || inputs[i].kind != Tensor {
			continue
		}
		tensor := inputs[i].tensor
		o.Inputs[v.Name] = dimsOf(inputs[i])
		if n, err := tensor.Elements(); constants && err == nil && n <= maxElements {
			tensor.Name = v.Name
			m.Graph.Initializers = append(m.Graph.Initializers, tensor)
		}
	}
	return o
}

// checkCounts compares counts with a manifest of "name count" lines.
func checkCounts(t *testing.T, counts map[string]int, path string) {
	t.Helper()
	var lines []string
	for name, n := range counts {
		lines = append(lines, fmt.Sprintf("%s %d", name, n))
	}
	sort.Strings(lines)
	if *update {
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		cut := strings.LastIndexByte(s.Text(), ' ')
		want, err := strconv.Atoi(s.Text()[cut+1:])
		if err != nil {
			t.Fatal(err)
		}
		got, ran := counts[s.Text()[:cut]]
		switch {
		case ran && got < want:
			t.Errorf("%s: %d, was %d", s.Text()[:cut], got, want)
		case ran && got > want:
			t.Errorf("%s: %d, was %d: run with -update", s.Text()[:cut], got, want)
		}
	}
}
