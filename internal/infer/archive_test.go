package infer

import (
	"archive/zip"
	"math"
	"sort"
	"strings"
	"testing"

	"bq/onnxio"
)

// contribTolerance is the largest difference from ONNX Runtime relative to the output's largest value: sums of up to 64
// products in float32 in another order.
const contribTolerance = 2e-5

// looseContrib holds the tolerance of cases where ONNX Runtime rounds more: it quantizes the activations of
// DynamicQuantizeLSTM to 8 bits in every step.
var looseContrib = map[string]float64{
	"dynamic_quantize_lstm_forward": 0.005, "dynamic_quantize_lstm_bidirectional": 0.005,
}

// oneStep starts the names of cases whose integer results may differ by one step: ONNX Runtime sums in another order,
// so that a tie may fall the other way.
const oneStep = "qlinear_global_average_pool"

// archives hold cases that the scripts of the same names made with ONNX Runtime: operators of com.microsoft and
// ai.onnx.ml, the forms that operators of ONNX had in opsets 7 to 12, and operators that draw random numbers.
var archives = []string{"contrib", "oldforms", "seeded"}

// archiveCases opens testdata/<archive>.zip.
func archiveCases(t *testing.T, archive string) (files map[string]*zip.File, names []string) {
	z, err := zip.OpenReader("testdata/" + archive + ".zip")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { z.Close() })
	files = map[string]*zip.File{}
	for _, f := range z.File {
		files[f.Name] = f
		if dir, ok := strings.CutSuffix(f.Name, "/model.onnx"); ok {
			names = append(names, dir)
		}
	}
	if len(names) == 0 {
		t.Fatalf("%s.zip holds no case", archive)
	}
	sort.Strings(names)
	return files, names
}

// TestArchives compares every case of the archives with ONNX Runtime.
func TestArchives(t *testing.T) {
	for _, archive := range archives {
		files, names := archiveCases(t, archive)
		for _, name := range names {
			t.Run(archive+"/"+name, func(t *testing.T) { checkArchived(t, files, name) })
		}
	}
}

func checkArchived(t *testing.T, files map[string]*zip.File, name string) {
	got, want, err := caseResults(files, name)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		if w.Type.IsFloat() {
			diff, err := relativeDifference(got[i], w)
			if err != nil || diff > max(contribTolerance, looseContrib[name]) {
				t.Errorf("output %d: relative difference %.3g, %v", i, diff, err)
			}
		} else if err := closeInts(got[i], w, name); err != nil {
			t.Errorf("output %d: %v", i, err)
		}
	}
}

// closeInts compares integers and strings exactly, or to one step for the operators of oneStep.
func closeInts(got, want *onnxio.Array, name string) error {
	if !strings.HasPrefix(name, oneStep) || got == nil || got.Type != want.Type || !equalShape(got.Shape, want.Shape) {
		return closeTo(got, want)
	}
	g, w := got.Ints(), want.Ints()
	for i := range w {
		if math.Abs(float64(g[i]-w[i])) > 1 {
			return closeTo(got, want)
		}
	}
	return nil
}
