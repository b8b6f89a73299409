package onnxgo

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"bq/internal/infer"
	"bq/onnxio"
)

// zoo is the folder of real models beside the project; tests that need it skip without it.
const zoo = "../../../shared/zoo"

// goldenTolerance is the largest difference from ONNX Runtime's output, relative to the output's largest value:
// float32 sums of some thousand terms in another order differ by about 1e-5.
const goldenTolerance = 1e-4

// smallestTop bounds the largest value that differences are taken relative to.
const smallestTop = 1e-2

// sensitive holds the tolerance of models whose output moves by more than goldenTolerance when nothing but the rounding
// of sums changes; package infer's golden test has the figures.
var sensitive = map[string]float64{"ppocr-en-number-rec": 5e-4}

// heavy lists the models that take half a second or more: they are left out of short runs and of runs with the race
// detector, which slows the kernels ten times.
var heavy = map[string]bool{"fns-candy": true, "tbefn-180x320": true, "deeplab-v3-mnv2": true}

// decodable is the number of models of the zoo that onnx-go decodes.
const decodable = 40

// TestGolden runs every model that onnx-go decodes as its users do, through the backend, and compares the outputs with
// those of ONNX Runtime.
func TestGolden(t *testing.T) {
	z, err := zip.OpenReader(filepath.Join(zoo, "golden.zip"))
	if os.IsNotExist(err) {
		t.Skip("no zoo/golden.zip beside the project")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	ran := 0
	for _, name := range zooNames(t) {
		if undecodable[name] != "" {
			continue
		}
		ran++
		t.Run(name, func(t *testing.T) { checkGolden(t, z, name) })
	}
	if ran != decodable {
		t.Errorf("%d models, want %d", ran, decodable)
	}
}

func checkGolden(t *testing.T, z *zip.ReadCloser, name string) {
	if heavy[name] && (testing.Short() || raceEnabled) {
		t.Skip("takes long: not in short runs or with the race detector")
	}
	inputs, outputs := readSet(t, z, name, "input"), readSet(t, z, name, "output")
	if len(outputs) == 0 {
		t.Fatal("no golden output")
	}
	got := runBackend(t, readModel(t, name), inputs)
	if len(got) != len(outputs) {
		t.Fatalf("%d outputs, want %d", len(got), len(outputs))
	}
	for i, w := range outputs {
		if d := difference(got[i], w); !(d <= max(goldenTolerance, sensitive[name])) {
			t.Errorf("output %d: relative difference %g", i, d)
		}
	}
}

// runBackend feeds a model by onnx-go's interface and returns its outputs.
func runBackend(t *testing.T, b []byte, inputs []*onnxio.Array) []*onnxio.Array {
	t.Helper()
	backend := NewBackend()
	m, err := backend.Unmarshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(inputs) != len(m.Input) {
		t.Fatalf("%d inputs given, %d wanted", len(inputs), len(m.Input))
	}
	for i, a := range inputs {
		v, err := toTensor(a)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.SetInput(i, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := backend.Run(); err != nil {
		t.Fatal(err)
	}
	tensors, err := m.GetOutputTensors()
	if err != nil {
		t.Fatal(err)
	}
	var outs []*onnxio.Array
	for _, v := range tensors {
		a, err := toArray(v)
		if err != nil {
			t.Fatal(err)
		}
		outs = append(outs, a)
	}
	return outs
}

// zooNames returns the names of the models of the zoo.
func zooNames(t *testing.T) []string {
	files, err := filepath.Glob(filepath.Join(zoo, "models", "*.onnx"))
	if err != nil || len(files) == 0 {
		t.Skip("no zoo/models beside the project")
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".onnx")
	}
	return files
}

// twice are models of which both readers' outputs are compared bit by bit.
var twice = []string{"mnist-8", "mnist-burn", "cifar10-resnet20", "mlperf-tiny-kws-dscnn", "charrnn-shakespeare-lstm"}

// TestReadersAgree runs a model as onnx-go decodes it and as onnxio reads it.
func TestReadersAgree(t *testing.T) {
	z, err := zip.OpenReader(filepath.Join(zoo, "golden.zip"))
	if err != nil {
		t.Skip("no zoo/golden.zip beside the project")
	}
	defer z.Close()
	for _, name := range twice {
		b := readModel(t, name)
		decoded, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := onnxio.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		inputs := readSet(t, z, name, "input")
		if !reflect.DeepEqual(runModel(t, decoded, inputs), runModel(t, parsed, inputs)) {
			t.Errorf("%s: the two readers give different outputs", name)
		}
	}
}

// undecodable lists the models of the zoo that onnx-go cannot decode, with what the error must say.
var undecodable = map[string]string{
	"agllnet-256":            `graph.initializer "roi__176": is empty ([0])`,
	"fastestdet":             `graph.initializer "onnx::Resize_704": is empty ([0])`,
	"libtashkeel-ort":        `graph.initializer "/emb/Gather_output_0_zero_point": holds uint8`,
	"nanodet-m-320":          `graph.initializer "853": is empty ([0])`,
	"ppocr-v3-det-ch":        `graph.node[597] "" (Constant): attribute "value": tensor "p2o.helper.constant.89": is empty ([0])`,
	"road-seg-adas-0001":     `graph.initializer "roi__608": is empty ([0])`,
	"shufflenet-v2-12-int8":  `graph.initializer "input_zero_point": holds uint8`,
	"silero-vad-op18-ifless": `graph.node[3] "node_cond__1" (If): attribute "then_branch": holds a subgraph`,
	"silero-vad-v4":          `graph.node[1] "If_25" (If): attribute "else_branch": holds a subgraph`,
	"silero-vad-v5":          `graph.node[2] "If_0" (If): attribute "else_branch": holds a subgraph`,
	"squeezenet-fp16-orig":   `graph.initializer "conv10_b_0": holds float16`,
	"yolox-nano":             `graph.initializer "894": is empty ([0])`,
	"yunet-n-320":            `graph.initializer "267": is empty ([0])`,
}

// TestDecodable decodes the whole zoo: what is read must say what onnxio reads, what is not must be named.
func TestDecodable(t *testing.T) {
	read := 0
	for _, name := range zooNames(t) {
		b := readModel(t, name)
		m, err := Decode(b)
		if want := undecodable[name]; want != "" {
			var e *onnxio.UnsupportedError
			if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s: %v, want an UnsupportedError %s", name, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkSame(t, name, m, b)
		read++
	}
	if read != decodable {
		t.Errorf("%d models decoded, want %d", read, decodable)
	}
}

// checkSame compares the nodes and constants of m with those that onnxio reads.
func checkSame(t *testing.T, name string, m *onnxio.Model, b []byte) {
	t.Helper()
	want, err := onnxio.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	want.Graph.Name, want.Graph.ValueInfo = m.Graph.Name, nil
	want.Graph.Inputs = want.Graph.FeedInputs()
	normalize(m)
	normalize(want)
	if dump(m) != dump(want) {
		t.Errorf("%s: onnx-go and onnxio read different models", name)
	}
}

func readModel(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(zoo, "models", name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readSet reads input_0.pb, input_1.pb, ... (or output_...) of a model's test set.
func readSet(t *testing.T, z *zip.ReadCloser, name, kind string) []*onnxio.Array {
	t.Helper()
	var list []*onnxio.Array
	for i := 0; ; i++ {
		f, err := z.Open(fmt.Sprintf("%s/test_data_set_0/%s_%d.pb", name, kind, i))
		if err != nil {
			return list
		}
		b, err := io.ReadAll(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		v, err := onnxio.ParseTensor(b)
		if err != nil {
			t.Fatal(err)
		}
		a, err := v.Array()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a)
	}
}

// runModel returns the outputs of m in the order of the graph, for inputs in the order of the graph.
func runModel(t *testing.T, m *onnxio.Model, inputs []*onnxio.Array) []*onnxio.Array {
	t.Helper()
	p, err := infer.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	if len(inputs) != len(p.Inputs()) {
		t.Fatalf("%d inputs given, %d wanted", len(inputs), len(p.Inputs()))
	}
	feeds := map[string]*onnxio.Array{}
	for i, in := range p.Inputs() {
		feeds[in.Name] = inputs[i]
	}
	results, err := p.Run(feeds, nil)
	if err != nil {
		t.Fatal(err)
	}
	var outs []*onnxio.Array
	for _, v := range m.Graph.Outputs {
		outs = append(outs, results[v.Name])
	}
	return outs
}

// difference returns the largest difference of two arrays divided by the largest value of want; infinite where types or
// shapes differ, or integers do.
func difference(got, want *onnxio.Array) float64 {
	if got == nil || got.Type != want.Type || !reflect.DeepEqual(got.Shape, want.Shape) {
		return math.Inf(1)
	}
	if want.Type != onnxio.Float {
		if reflect.DeepEqual(got.Data, want.Data) {
			return 0
		}
		return math.Inf(1)
	}
	var diff, top float64
	for i, w := range want.F32() {
		d := math.Abs(float64(got.F32()[i]) - float64(w))
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		diff, top = max(diff, d), max(top, math.Abs(float64(w)))
	}
	if diff == 0 {
		return 0
	}
	return diff / max(top, smallestTop)
}
