package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bq/internal/compare"
	"bq/internal/dataset"
	"bq/internal/infer"
	"bq/onnxio"
)

// shifted is a model of two outputs: probs = Softmax(x * scale), and raw = x + shift.
func shifted(t *testing.T, scale, shift float32) Side {
	t.Helper()
	float := func(name string, dims ...int64) *onnxio.ValueInfo {
		v := &onnxio.ValueInfo{Name: name, Type: &onnxio.TensorType{Elem: onnxio.Float, HasShape: true}}
		for _, d := range dims {
			v.Type.Shape = append(v.Type.Shape, onnxio.Dim{Value: d, Known: true})
		}
		return v
	}
	node := func(op, out string, in ...string) *onnxio.Node {
		return &onnxio.Node{OpType: op, Inputs: in, Outputs: []string{out}}
	}
	m := &onnxio.Model{IRVersion: 8, Opsets: []*onnxio.Opset{{Version: 13}}, Graph: &onnxio.Graph{
		Inputs:       []*onnxio.ValueInfo{float("x", 1, 2)},
		Outputs:      []*onnxio.ValueInfo{float("probs", 1, 2), float("raw", 1, 2)},
		Initializers: []*onnxio.Tensor{onnxio.NewTensor("scale", onnxio.Floats([]float32{scale})), onnxio.NewTensor("shift", onnxio.Floats([]float32{shift}))},
		Nodes:        []*onnxio.Node{node("Mul", "s", "x", "scale"), node("Softmax", "probs", "s"), node("Add", "raw", "x", "shift")},
	}}
	p, err := infer.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	return Side{Model: Model{Path: "m.onnx", Format: "onnx"}, Program: p, Graph: m}
}

// set holds the given rows of two values, and labels where there are any.
func set(t *testing.T, side Side, rows []float32, labels []int64) *dataset.Set {
	t.Helper()
	arrays := []dataset.Named{{Name: "x", Array: onnxio.Floats(rows, len(rows)/2, 2)}}
	if labels != nil {
		arrays = append(arrays, dataset.Named{Name: "labels", Array: onnxio.Int64s(labels, len(labels))})
	}
	var b bytes.Buffer
	if err := dataset.WriteNPZ(&b, arrays); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.npz")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := dataset.Open(dataset.Inputs(side.Graph.Graph), dataset.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ln3 makes the logits (0, ln 3), the distribution (1/4, 3/4).
var ln3 = float32(math.Log(3))

// single is the relative error of float32 arithmetic over a few operations.
const single = 1e-5

// Reference (1/4, 3/4) against (1/2, 1/2) on two samples: KL = 1/4 ln 1/2 + 3/4 ln 3/2 = 0.130812; the tie goes to
// class 0, so no row agrees; noise of raw: 0.1^2 on each value.
func TestReportByHand(t *testing.T) {
	a, b := shifted(t, 1, 0), shifted(t, 0, 0.1)
	s := set(t, a, []float32{0, ln3, 0, ln3}, []int64{1, 0})
	half := 0.5
	r, err := Run(context.Background(), a, b, s, Options{
		MaxKL: []Limit{{Value: 0.1}}, MinAgree: []Limit{{"probs", 0}}, MinSQNR: []Limit{{Value: 10}, {"probs", -1}}, MaxTop1Drop: &half,
	})
	if err != nil {
		t.Fatal(err)
	}
	kl := 0.25*math.Log(0.5) + 0.75*math.Log(1.5)
	probs := r.Outputs[0]
	if math.Abs(*probs.KLNats-kl) > single || *probs.KLSE != 0 || *probs.Agree != 0 || probs.Rows != 2 || probs.Kind != "probs" {
		t.Errorf("probs: %+v", probs)
	}
	if *probs.Top1Float != 0.5 || *probs.Top1Quant != 0.5 || math.Abs(*probs.NLLFloat-(math.Log(4)+math.Log(4.0/3))/2) > single {
		t.Errorf("labels: %v, %v, %v", *probs.Top1Float, *probs.Top1Quant, *probs.NLLFloat)
	}
	raw := r.Outputs[1]
	if want := 10 * math.Log10(float64(ln3)*float64(ln3)/0.02); math.Abs(*raw.SQNR-want) > 1e-3 || raw.KLNats != nil || raw.Kind != "values" {
		t.Errorf("raw: %+v, want %v dB", raw, want)
	}
	var got []string
	for _, l := range r.Limits {
		word := "fail"
		if l.Pass {
			word = "pass"
		}
		got = append(got, l.Metric+" "+l.Output+" "+word)
	}
	want := "max-kl probs fail, min-agree probs pass, min-sqnr raw pass, min-sqnr probs pass, max-top1-drop probs pass"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("limits %s\nwant   %s", s, want)
	}
	if r.Verdict != Fail {
		t.Errorf("verdict %s", r.Verdict)
	}
}

func TestVerdicts(t *testing.T) {
	a := shifted(t, 1, 0)
	s := set(t, a, []float32{0, 1, 1, 0}, nil)
	r, err := Run(context.Background(), a, a, s, Options{})
	if err != nil || r.Verdict != Ungated || len(r.Limits) != 0 {
		t.Errorf("no limit: %+v, %v", r, err)
	}
	// equal models are at every limit, and at it is enough
	r, err = Run(context.Background(), a, a, s, Options{MaxKL: []Limit{{Value: 0}}, MinAgree: []Limit{{Value: 1}}, MinSQNR: []Limit{{Value: 1e9}}})
	if err != nil || r.Verdict != Pass || len(r.Limits) != 3 {
		t.Errorf("equal models: %+v, %v", r, err)
	}
	if r.Outputs[0].SQNR != nil || r.Outputs[0].Why != "sqnr_db: the outputs are equal" {
		t.Errorf("equal outputs: %+v", r.Outputs[0])
	}
}

func TestLimitsThatApplyToNothing(t *testing.T) {
	a := shifted(t, 1, 0)
	s := set(t, a, []float32{0, 1}, nil)
	drop := 0.1
	for want, o := range map[string]Options{
		`applying --max-kl to "probabilities": no such output`:                    {MaxKL: []Limit{{"probabilities", 1}}},
		`applying --min-agree to "raw": its kind is values, which has no classes`: {MinAgree: []Limit{{"raw", 1}}},
		`applying --max-top1-drop: the data hold no labels for a class output`:    {MaxTop1Drop: &drop},
		`applying --min-sqnr: no output of kind values`:                           {MinSQNR: []Limit{{Value: 1}}, Kinds: []compare.Override{{Name: "raw", Kind: 1}}},
		`applying --max-kl: no output of classes`:                                 {MaxKL: []Limit{{Value: 1}}, Kinds: []compare.Override{{Name: "probs"}}},
	} {
		_, err := Run(context.Background(), a, a, s, o)
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	var limit *LimitError
	_, err := Run(context.Background(), a, a, s, Options{MaxKL: []Limit{{"no", 1}}})
	if !errors.As(err, &limit) || len(limit.Outputs) != 2 {
		t.Errorf("error %v", err)
	}
}

// Gap 0.01, standard error 0.02 on 100 samples: 2*se/gap = 4, so that 16 times as many samples would decide.
func TestUndecided(t *testing.T) {
	cases := []struct {
		value, se, limit float64
		want             string
	}{
		{0.11, 0.02, 0.1, "within two standard errors of its limit; about 1600 samples in place of 100 would decide"},
		{0.11, 0.004, 0.1, ""},
		{0.11, 0, 0.1, ""},
		{0.11, math.NaN(), 0.1, ""},
		{0.1, 0.02, 0.1, "at its limit, +- 0.02; no number of samples would decide"},
		{0.1000001, 0.02, 0.1, "within two standard errors of its limit; more than 1000000 samples would be needed to decide"},
	}
	for _, c := range cases {
		if got := undecided(c.value, c.se, c.limit, 100); got != c.want {
			t.Errorf("%v +- %v against %v: %q, want %q", c.value, c.se, c.limit, got, c.want)
		}
	}
}

func TestJSONOfAReport(t *testing.T) {
	a := shifted(t, 1, 0)
	s := set(t, a, []float32{0, 1, 1, 0}, nil)
	var first string
	for _, threads := range []int{1, 3} {
		r, err := Run(context.Background(), a, shifted(t, 0.9, 0), s, Options{MaxKL: []Limit{{Value: 1}}, Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(b)
		}
		if string(b) != first {
			t.Errorf("%d threads give another report", threads)
		}
	}
	for _, part := range []string{`{"schema":"bq.verify/1","a":{"path":"m.onnx"`, `"verdict":"pass"}`, `"limits":[{"metric":"max-kl","output":"probs","limit":1,`, `"data":{"kind":"npz"`} {
		if !strings.Contains(first, part) {
			t.Errorf("no %s in %s", part, first)
		}
	}
}

func TestRecordedOutputsCheckTheEngine(t *testing.T) {
	want := onnxio.Floats([]float32{1, 100}, 2)
	if err := nearRecorded(onnxio.Floats([]float32{1.05, 100}, 2), want); err != nil {
		t.Errorf("off by half the tolerance: %v", err)
	}
	if err := nearRecorded(onnxio.Floats([]float32{1.2, 100}, 2), want); err == nil {
		t.Error("off by twice the tolerance and no error")
	}
	if err := nearRecorded(onnxio.Floats([]float32{1}, 1), want); err == nil {
		t.Error("another length and no error")
	}
	a := shifted(t, 1, 0)
	dir := filepath.Join(t.TempDir(), "test_data_set_0")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name string, v *onnxio.Array) {
		if err := os.WriteFile(filepath.Join(dir, name), onnxio.NewTensor("", v).Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("input_0.pb", onnxio.Floats([]float32{0, 1}, 1, 2))
	write("output_0.pb", onnxio.Floats([]float32{0.9, 0.1}, 1, 2)) // wrong
	write("output_1.pb", onnxio.Floats([]float32{0, 1}, 1, 2))
	s, err := dataset.Open(dataset.Inputs(a.Graph.Graph), dataset.Options{Path: filepath.Dir(dir), Outputs: dataset.OutputNames(a.Graph.Graph)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(context.Background(), a, a, s, Options{}); err == nil || !strings.Contains(err.Error(), `checking the float engine against recorded output "probs"`) {
		t.Errorf("error %v", err)
	}
}
