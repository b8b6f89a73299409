package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bq/internal/dataset"
	"bq/onnxio"
	"bq/verify"
)

// readmeStandIns are what the commands of the README name that the example's model does not have.
var readmeStandIns = strings.NewReplacer("preset=imagenet", "preset=unit", "*head*", "fc2*")

// readmeCommands returns the command lines of the README without "bq": indented ones, and those in tables.
func readmeCommands(t *testing.T) [][]string {
	t.Helper()
	text := string(readFile(t, filepath.Join(root, "README.md")))
	var lines []string
	for _, m := range regexp.MustCompile("(?m)^    go run \\. (.*)$|`bq ([a-z]+ [^`]*)`").FindAllStringSubmatch(text, -1) {
		for _, part := range strings.Split(m[1]+m[2], " && ") {
			lines = append(lines, strings.TrimPrefix(part, "bq "))
		}
	}
	var list [][]string
	for _, l := range lines {
		if strings.Contains(l, "COMMAND") {
			continue
		}
		words := strings.Fields(readmeStandIns.Replace(l))
		for i, w := range words {
			words[i] = strings.Trim(w, "'")
		}
		list = append(list, words)
	}
	return list
}

// sampleArrays are the first 24 samples of the example's calibration data, which are enough to run commands on.
func sampleArrays(t *testing.T) []dataset.Named {
	t.Helper()
	f, err := onnxio.Open(filepath.Join(root, "testdata", "digits.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	set, err := dataset.Open(dataset.Inputs(f.Model.Graph), dataset.Options{Path: filepath.Join(root, "testdata", "digits.calib.npz"), Samples: 24})
	if err != nil {
		t.Fatal(err)
	}
	all := onnxio.NewArray(onnxio.Float, set.Len(), 1, 28, 28)
	for i := range set.Len() {
		s, err := set.Sample(i)
		if err != nil {
			t.Fatal(err)
		}
		copy(all.F32()[i*28*28:], s.Feeds["image"].F32())
	}
	return []dataset.Named{{Name: "image", Array: all}}
}

// readmeFolder makes what the README's commands find: a model under two names, samples, pictures, a configuration.
func readmeFolder(t *testing.T) {
	t.Helper()
	var npz bytes.Buffer
	if err := dataset.WriteNPZ(&npz, sampleArrays(t)); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"samples.npz": npz.Bytes(), "bq.yaml": []byte("version: 1\nmodel: m.onnx\ndata: samples.npz\nverify: {min-agree: 10%}\n")}
	for _, name := range []string{"digits.onnx", "digits.calib.npz", "digits.eval.npz"} {
		files["testdata/"+name] = readFile(t, filepath.Join(root, "testdata", name))
	}
	files["m.onnx"] = files["testdata/digits.onnx"]
	for i := range 4 {
		picture := image.NewGray(image.Rect(0, 0, 28, 28))
		for k := range picture.Pix {
			picture.SetGray(k%28, k/28, color.Gray{Y: uint8(k*(i+1) + k/28)})
		}
		var b bytes.Buffer
		if err := png.Encode(&b, picture); err != nil {
			t.Fatal(err)
		}
		files[fmt.Sprintf("photos/%d.png", i)] = b.Bytes()
	}
	t.Chdir(t.TempDir())
	for _, folder := range []string{"testdata", "photos"} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, b := range files {
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"v1.bq", "v2.bq"} {
		runMain(t, statusDone, "convert", "m.onnx", "-o", name, "-q")
	}
	runMain(t, statusDone, "verify", "m.onnx", "v1.bq", "--data", "samples.npz", "--baseline", "drift.json", "--update-baseline", "-q")
}

// Every command that stands in the README runs, on the example's model; a verdict of verify may be either. The figures that it names
// come out.
func TestReadmeCommands(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped under the race detector, where it takes minutes: it runs without, and the same commands have scripts that run with it")
	}
	list := readmeCommands(t)
	text := string(readFile(t, filepath.Join(root, "README.md")))
	readmeFolder(t)
	ran := map[string]int{}
	for _, words := range list {
		ran[words[0]]++
		var out, errs bytes.Buffer
		status := Main(words, strings.NewReader(""), &out, &errs)
		if status != statusDone && (words[0] != "verify" || status != statusDrift) {
			t.Errorf("bq %s exits with %d: %s", strings.Join(words, " "), status, &errs)
		}
	}
	for _, c := range table().VisibleCommands() {
		if ran[c.Name] == 0 && c.Name != "completion" {
			t.Errorf("the README shows no bq %s", c.Name)
		}
	}
	said := regexp.MustCompile(`from a KL of ([\d.]+) nats to ([\d.]+\d)`).FindStringSubmatch(text)
	if said == nil {
		t.Fatal("the README does not say what data do to the drift")
	}
	for i, name := range []string{"blind.bq", "seen.bq"} {
		was, err := strconv.ParseFloat(said[1+i], 64)
		if err != nil {
			t.Fatal(err)
		}
		if now := klOf(t, name); math.Abs(now-was) > readmeTolerance*was {
			t.Errorf("the README says a KL of %v for %s, which is %v: .ci/figures makes its figures again", was, name, now)
		}
	}
}

// readmeTolerance is how far a figure of the README may be off, in parts: machines sum floats in unlike orders, so that samples give
// other codes, and figures have four decimals.
const readmeTolerance = 0.4

// klOf returns the mean KL of a container of the example on its evaluation samples.
func klOf(t *testing.T, container string) float64 {
	t.Helper()
	var r verify.Report
	out := runMain(t, statusDone, "verify", "testdata/digits.onnx", container, "--data", "testdata/digits.eval.npz", "--json", "-q")
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	return *r.Outputs[0].KLNats
}

// The README's pictures are there.
func TestReadmePictures(t *testing.T) {
	found := regexp.MustCompile(`!\[[^\]]+\]\(([^)]+)\)`).FindAllStringSubmatch(string(readFile(t, filepath.Join(root, "README.md"))), -1)
	names := []string{}
	for _, m := range found {
		names = append(names, m[1])
		img, err := png.Decode(bytes.NewReader(readFile(t, filepath.Join(root, m[1]))))
		if err != nil || img.Bounds().Dx() < 500 {
			t.Errorf("%s: %v", m[1], err)
		}
	}
	if !slices.Contains(names, "testdata/report.png") {
		t.Errorf("the README shows %v, want the report", names)
	}
}
