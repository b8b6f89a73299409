package opset

import (
	"archive/zip"
	"errors"
	"sort"
	"strings"
	"testing"

	"bq/onnxio"
)

// caseTolerance is how far outputs of ONNX's operator cases may lie from the expected ones, relative to the largest,
// where the engine cannot run the model as it was.
const caseTolerance = 1e-3

// slowCases are whole models of a second or more.
var slowCases = map[string]bool{"light/light_densenet121": true, "light/light_inception_v1": true, "light/light_inception_v2": true,
	"light/light_resnet50": true, "light/light_vgg19": true, "light/light_zfnet512": true}

// tally counts what became of the cases of an archive.
type tally struct{ newer, same, expected, refused, unrunnable int }

// TestConformance raises ONNX's own operator cases of older versions. What the engine runs as it was gives the same bits;
// what it does not, the expected outputs.
func TestConformance(t *testing.T) {
	for _, archive := range []string{"conformance/onnx-node-1.22.0.zip", "conformance/onnx-other-1.22.0.zip"} {
		files := openZip(t, archive)
		var names []string
		for name := range files {
			if dir, ok := strings.CutSuffix(name, "/model.onnx"); ok {
				names = append(names, dir)
			}
		}
		sort.Strings(names)
		for _, to := range []int64{13, 21} {
			var n tally
			for _, name := range names {
				n.check(t, files, name, to)
			}
			t.Logf("%s to %d: %d the same bits, %d the expected values, %d refused, %d not run, %d not older",
				archive, to, n.same, n.expected, n.refused, n.unrunnable, n.newer)
			if n.same+n.expected == 0 {
				t.Errorf("%s to %d: no case", archive, to)
			}
		}
	}
}

func (n *tally) check(t *testing.T, files map[string]*zip.File, name string, to int64) {
	b := readZip(t, files[name+"/model.onnx"])
	before, err := onnxio.Parse(b)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if v := before.Opset(""); v == 0 || v >= to {
		n.newer++
		return
	}
	after, err := onnxio.Parse(b)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := Raise(after, to); err != nil {
		var u *onnxio.UnsupportedError
		if !errors.As(err, &u) {
			t.Errorf("%s to %d: %v", name, to, err)
		}
		t.Logf("%s: %v", name, err)
		n.refused++
		return
	}
	checkForms(t, name, after)
	after = reread(t, after)
	inputs, ok := readSet(t, files, name, "input")
	outputs, ok2 := readSet(t, files, name, "output")
	if !ok || !ok2 {
		n.unrunnable++
		return
	}
	want, err := run(before, inputs)
	tolerance := 0.0
	if err != nil {
		want, tolerance = outputs, caseTolerance
	}
	got, failed := run(after, inputs)
	if failed != nil {
		if err == nil {
			t.Errorf("%s to %d: %v", name, to, failed)
		}
		t.Logf("%s to %d: not run: %v", name, to, failed)
		n.unrunnable++
		return
	}
	if len(want) != len(got) {
		t.Errorf("%s to %d: %d outputs, want %d", name, to, len(got), len(want))
		return
	}
	for i := range want {
		if d, err := difference(got[i], want[i]); err != nil || d > tolerance {
			t.Errorf("%s to %d: output %d: relative difference %.3g, %v", name, to, i, d, err)
			return
		}
	}
	if err != nil {
		n.expected++
	} else {
		n.same++
	}
}

// TestLight raises whole models of ONNX 1.0 to 1.5, whose inputs are i/n for element i of n.
func TestLight(t *testing.T) {
	files := openZip(t, "conformance/onnx-other-1.22.0.zip")
	ran := 0
	for name, f := range files {
		light, ok := strings.CutSuffix(name, ".onnx")
		if !ok || !strings.HasPrefix(name, "light/") {
			continue
		}
		b := readZip(t, f)
		before, err := onnxio.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		after, _ := onnxio.Parse(b)
		if err := Raise(after, 21); err != nil {
			t.Errorf("%s: %v", light, err)
			continue
		}
		after = reread(t, after)
		if slowCases[light] {
			continue
		}
		var inputs []*onnxio.Array
		for _, in := range before.Graph.FeedInputs() {
			var shape []int
			for _, d := range in.Type.Shape {
				shape = append(shape, max(1, int(d.Value)))
			}
			a := onnxio.NewArray(onnxio.Float, shape...)
			for i := range a.F32() {
				a.F32()[i] = float32(float64(i) / float64(a.Len()))
			}
			inputs = append(inputs, a)
		}
		want, err := run(before, inputs)
		if err != nil {
			t.Errorf("%s: %v", light, err)
			continue
		}
		got, err := run(after, inputs)
		if err != nil {
			t.Errorf("%s: %v", light, err)
			continue
		}
		for i := range want {
			if d, err := difference(got[i], want[i]); err != nil || d > zooTolerance {
				t.Errorf("%s: output %d: relative difference %.3g, %v", light, i, d, err)
			}
		}
		ran++
	}
	if ran == 0 {
		t.Error("no model ran")
	}
}
