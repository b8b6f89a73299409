package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
func shifted(t testing.TB, scale, shift float32) Side {
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
		`applying --max-top1-drop: the data hold no labels`:                       {MaxTop1Drop: &drop},
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

func TestNearRecorded(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	floats := func(v ...float32) *onnxio.Array { return onnxio.Floats(v, len(v)) }
	ints := func(v ...int64) *onnxio.Array { return onnxio.Int64s(v, len(v)) }
	doubles := func(v ...float64) *onnxio.Array {
		return &onnxio.Array{Type: onnxio.Double, Shape: []int{len(v)}, Data: v}
	}
	words := func(v ...string) *onnxio.Array {
		return &onnxio.Array{Type: onnxio.String, Shape: []int{len(v)}, Data: v}
	}
	bools := func(v ...bool) *onnxio.Array { return &onnxio.Array{Type: onnxio.Bool, Shape: []int{len(v)}, Data: v} }
	cases := []struct {
		name      string
		got, want *onnxio.Array
		err       string
	}{
		{"off by half the tolerance", floats(1.05, 100), floats(1, 100), ""},
		{"off by twice the tolerance", floats(1.2, 100), floats(1, 100), "off by 0.2, the largest value is 100"},
		{"missing", nil, floats(1), "the model does not give it"},
		{"another length", floats(1), floats(1, 100), "shape [1], want [2]"},
		{"another shape", floats(1, 2).Reshaped(1, 2), floats(1, 2).Reshaped(2, 1), "shape [1 2], want [2 1]"},
		{"another type", floats(1, 2), doubles(1, 2), "type float32, want float64"},
		{"empty", floats(), floats(), ""},
		{"zero", floats(0, 0), floats(0, 0), ""},
		{"not zero", floats(0, 1e-9), floats(0, 0), "off by 1e-09, the largest value is 0"},
		{"NaN", floats(nan, 1), floats(2, 1), "value 0 is NaN, want 2"},
		{"want NaN", floats(2, 1), floats(2, nan), "value 1 is 1, want NaN"},
		{"both NaN", floats(nan, 1), floats(nan, 1), ""},
		{"both infinite", floats(inf, 1), floats(inf, 1), ""},
		{"other infinity", floats(-inf, 1), floats(inf, 1), "value 0 is -Inf, want +Inf"},
		{"infinite", floats(1, 2, inf), floats(1, 2, 3), "value 2 is +Inf, want 3"},
		{"want infinite", floats(1, 2, 3), floats(1, 2, inf), "value 2 is 3, want +Inf"},
		{"infinity does not widen the tolerance", floats(inf, 1), floats(inf, 2), "off by 1, the largest value is 2"},
		{"doubles", doubles(1.05, 100), doubles(1, 100), ""},
		{"doubles beyond float32", doubles(1e300), doubles(2e300), "off by 1e+300, the largest value is 2e+300"},
		{"integers", ints(1<<60, 2), ints(1<<60, 2), ""},
		{"integers off by one in 2^60", ints(1<<60+1, 2), ints(1<<60, 2), "value 0 is 1152921504606846977, want 1152921504606846976"},
		{"booleans", bools(true, false), bools(true, true), "value 1 is false, want true"},
		{"strings", words("a", "b"), words("a", "b"), ""},
		{"other strings", words("a", "c"), words("a", "b"), `value 1 is "c", want "b"`},
	}
	for _, c := range cases {
		text := ""
		if err := nearRecorded(c.got, c.want); err != nil {
			text = err.Error()
		}
		if text != c.err {
			t.Errorf("%s: error %q, want %q", c.name, text, c.err)
		}
	}
}

// recorded opens test sets of x with recorded outputs by file name; nil records nothing.
func recorded(t *testing.T, side Side, sets ...map[string]*onnxio.Array) *dataset.Set {
	t.Helper()
	root := t.TempDir()
	for i, files := range sets {
		dir := filepath.Join(root, fmt.Sprintf("test_data_set_%d", i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write := func(name string, v *onnxio.Array) {
			if err := os.WriteFile(filepath.Join(dir, name), onnxio.NewTensor("", v).Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		write("input_0.pb", onnxio.Floats([]float32{0, ln3}, 1, 2))
		for name, v := range files {
			write(name, v)
		}
	}
	g := side.Graph.Graph
	s, err := dataset.Open(dataset.Inputs(g), dataset.Options{Path: root, Outputs: dataset.OutputNames(g)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRecordedOutputsCheckTheEngine(t *testing.T) {
	a := shifted(t, 1, 0)
	pair := func(x, y float32) *onnxio.Array { return onnxio.Floats([]float32{x, y}, 1, 2) }
	right := map[string]*onnxio.Array{"output_0.pb": pair(0.25, 0.75), "output_1.pb": pair(0, ln3)}
	both := map[string]*onnxio.Array{"output_0.pb": pair(0.9, 0.1), "output_1.pb": pair(5, 5)}
	more := map[string]*onnxio.Array{"output_0.pb": pair(0.25, 0.75), "output_1.pb": pair(0, ln3), "output_2.pb": pair(0, 0)}
	cases := []struct {
		name string
		sets []map[string]*onnxio.Array
		err  string
	}{
		{"right", []map[string]*onnxio.Array{right, nil}, ""},
		{"both wrong: the first by name", []map[string]*onnxio.Array{both}, `checking the float engine against recorded output "probs" of test_data_set_0: off by 0.65, the largest value is 0.9`},
		{"only the second set records", []map[string]*onnxio.Array{nil, both}, `checking the float engine against recorded output "probs" of test_data_set_1: off by 0.65, the largest value is 0.9`},
		{"more than there are", []map[string]*onnxio.Array{more}, `checking the float engine against recorded output "" of test_data_set_0: the model does not give it`},
	}
	for _, c := range cases {
		for range 8 { // the order of a map must not decide
			text := ""
			if _, err := Run(context.Background(), a, a, recorded(t, a, c.sets...), Options{}); err != nil {
				text = err.Error()
			}
			if text != c.err {
				t.Errorf("%s: error %q, want %q", c.name, text, c.err)
			}
		}
	}
}

// Nothing runs for a limit that the data can't decide, and of several wrong limits the first is told.
func TestLimitsAreCheckedBeforeTheModelsRun(t *testing.T) {
	a := shifted(t, 1, 0)
	s := set(t, a, []float32{0, 1}, nil)
	drop := 0.1
	ran := func(int, int) { t.Error("the models ran") }
	_, err := Run(context.Background(), a, a, s, Options{MaxTop1Drop: &drop, Progress: ran})
	if want := "applying --max-top1-drop: the data hold no labels"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	labelled := set(t, a, []float32{0, 1}, []int64{1})
	_, err = Run(context.Background(), a, a, labelled, Options{MaxTop1Drop: &drop, Progress: ran, Kinds: []compare.Override{{Name: "probs"}}})
	if want := "applying --max-top1-drop: no output of classes"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	_, err = Run(context.Background(), a, a, s, Options{MaxKL: []Limit{{"p", 1}}, MinAgree: []Limit{{"q", 1}}, Progress: ran})
	if want := `applying --max-kl to "p": no such output`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// A NaN in the output of B is no agreement, and no limit passes on it.
func TestNaNFailsEveryLimit(t *testing.T) {
	a, b := shifted(t, 1, 0), shifted(t, float32(math.NaN()), float32(math.NaN()))
	s := set(t, a, []float32{ln3, 0}, []int64{0})
	drop := 0.5
	r, err := Run(context.Background(), a, b, s, Options{MaxKL: []Limit{{Value: 1e9}}, MinAgree: []Limit{{Value: 0.5}}, MinSQNR: []Limit{{Value: -1e9}}, MaxTop1Drop: &drop})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range r.Limits {
		if l.Pass {
			t.Errorf("%s of %s passes: %+v", l.Metric, l.Output, l)
		}
	}
	if len(r.Limits) != 4 || r.Verdict != Fail || r.Outputs[0].Why != "values are NaN or infinite" {
		t.Errorf("report %+v", r)
	}
}

// Labels that are no class, NaN among what is fed, and models of other inputs or outputs are errors that name the place.
func TestWhatCannotBeJudged(t *testing.T) {
	a := shifted(t, 1, 0)
	nan := float32(math.NaN())
	other := shifted(t, 1, 0)
	other.Graph.Graph.Outputs = other.Graph.Graph.Outputs[:1]
	cases := []struct {
		name   string
		b      Side
		rows   []float32
		labels []int64
		want   string
	}{
		{"label", a, []float32{0, 1, 1, 0}, []int64{1, 2}, `comparing output "probs" on x.npz[1]: label 2, want less than the 2 classes`},
		{"no label", a, []float32{0, 1}, []int64{-1}, ""},
		{"NaN", a, []float32{0, 1, nan, 0}, nil, `feeding x.npz[1]: NaN in input "x"`},
		{"infinity", a, []float32{0, float32(math.Inf(-1))}, nil, ""},
		{"outputs", other, []float32{0, 1}, nil, `comparing m.onnx with m.onnx: B has no output "raw"`},
		{"inputs", renamed(t, a), []float32{0, 1}, nil, `comparing m.onnx with z.onnx: input "z" of B is none of A`},
	}
	for _, c := range cases {
		_, err := Run(context.Background(), a, c.b, set(t, a, c.rows, c.labels), Options{})
		if got := fmt.Sprint(err); got != c.want && !(err == nil && c.want == "") {
			t.Errorf("%s: error %v, want %s", c.name, err, c.want)
		}
	}
}

// renamed is a model that is fed with z in place of x.
func renamed(t *testing.T, a Side) Side {
	t.Helper()
	m := *a.Graph
	g := *m.Graph
	in := *g.Inputs[0]
	in.Name = "z"
	g.Inputs = []*onnxio.ValueInfo{&in}
	g.Nodes = append([]*onnxio.Node{{OpType: "Identity", Inputs: []string{"z"}, Outputs: []string{"x"}}}, g.Nodes...)
	m.Graph = &g
	p, err := infer.Compile(&m)
	if err != nil {
		t.Fatal(err)
	}
	return Side{Model: Model{Path: "z.onnx"}, Program: p, Graph: &m}
}
