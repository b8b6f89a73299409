package cli

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// maxReport bounds the report of a model of 500 layers.
const maxReport = 1_000_000

// The report of 500 layers, each of 16 x 16 weights that keep the length of a vector about as it is.
func TestReportOfManyLayers(t *testing.T) {
	const count, width = 500, 16
	random := rand.New(rand.NewPCG(1, 2))
	weights := make([][]float32, count)
	for i := range weights {
		weights[i] = make([]float32, width*width)
		for k := range weights[i] {
			weights[i][k] = float32(random.NormFloat64() / 4)
		}
	}
	dir := t.TempDir()
	model, container, report, made := filepath.Join(dir, "m.onnx"), filepath.Join(dir, "m.bq"), filepath.Join(dir, "m.html"), filepath.Join(dir, "made.html")
	f, err := os.Create(model)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chain(width, weights...).WriteTo(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	runMain(t, statusDone, "convert", model, "--bits", "4", "--method", "affine", "--report", made, "-q")
	runMain(t, statusDone, "verify", model, container, "--synthetic", "4", "--output-kind", "y=logits", "--report", report, "-q")
	for _, path := range []string{report, made} {
		checkManyLayers(t, path, count)
	}
}

// checkManyLayers wants the first and the last layer in tables and histograms of a report that is not too long.
func checkManyLayers(t *testing.T, path string, count int) {
	t.Helper()
	text := string(readFile(t, path))
	if len(text) > maxReport {
		t.Errorf("%s has %d bytes, want at most %d", path, len(text), maxReport)
	}
	for _, i := range []int{0, count - 1} {
		if strings.Count(text, fmt.Sprintf(`<th scope="row">w%d</th>`, i)) != 2 || !strings.Contains(text, fmt.Sprintf("<title>w%d</title>", i)) {
			t.Errorf("%s: layer %d does not stand among layers, histograms and coverage", path, i)
		}
	}
	t.Logf("%s has %d bytes", path, len(text))
}
