package cli

import (
	"bytes"
	"math"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"bq/onnxio"
)

// run runs the program and returns its stdout; status is the one wanted.
func runMain(t *testing.T, status int, args ...string) []byte {
	t.Helper()
	t.Setenv("GITHUB_ACTIONS", "") // what tests do is no result of the job that runs them
	var out, errs bytes.Buffer
	if got := Main(args, bytes.NewReader(nil), &out, &errs); got != status {
		t.Fatalf("bq %v exits with %d, want %d: %s", args, got, status, errs.String())
	}
	return out.Bytes()
}

// schema compiles one of the project's JSON schemas.
func schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile(filepath.Join("..", "..", "schemas", name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, name string, b []byte) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := s.Validate(v); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// testModel converts a model of testdata and returns the paths of model, container and samples.
func testModel(t *testing.T, name string, flags ...string) (model, container, data string) {
	t.Helper()
	model, data = filepath.Join("..", "..", "testdata", name+".onnx"), filepath.Join("..", "..", "testdata", name+".eval.npz")
	container = filepath.Join(t.TempDir(), name+".bq")
	runMain(t, statusDone, append([]string{"convert", model, "-o", container, "-q"}, flags...)...)
	return model, container, data
}

func TestVerifyJSONIsOfItsSchema(t *testing.T) {
	s := schema(t, "verify.json")
	model, container, data := testModel(t, "digits", "--bits", "2", "--method", "balanced")
	base := filepath.Join(t.TempDir(), "drift.json")
	verify := func(status int, args ...string) []byte {
		return runMain(t, status, append([]string{"verify", model, container, "--samples", "64", "--json", "-q"}, args...)...)
	}
	validate(t, s, "ungated", verify(statusDone, "--data", data))
	validate(t, s, "limits", verify(statusDrift, "--data", data, "--max-kl", "0", "--min-agree", "0", "--max-top1-drop", "100%", "--min-sqnr", "logits=1"))
	validate(t, s, "synthetic values", runMain(t, statusDone, "verify", model, model, "--synthetic", "1", "--output-kind", "logits=values", "--json", "-q"))
	runMain(t, statusDone, "verify", model, container, "--samples", "64", "-q", "--data", data, "--baseline", base, "--update-baseline")
	validate(t, s, "with a baseline", verify(statusDone, "--data", data, "--baseline", base))
	validate(t, s, "baseline", readFile(t, base))
	validate(t, s, "blame", verify(statusDrift, "--data", data, "--max-kl", "0", "--blame"))
	validate(t, s, "blame of values", verify(statusDone, "--data", data, "--output-kind", "logits=values", "--blame"))
	validate(t, s, "one sample", runMain(t, statusDone, "verify", model, container, "--data", data, "--samples", "1", "--json", "-q"))

	// the schema is no sieve: another field, a wrong type and a missing field are refused
	for _, bad := range []string{`{}`, `{"schema":"bq.verify/1"}`} {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(bad)))
		if err != nil {
			t.Fatal(err)
		}
		if s.Validate(v) == nil {
			t.Errorf("the schema takes %s", bad)
		}
	}
	odd := bytes.Replace(readFile(t, base), []byte(`"verdict"`), []byte(`"clock": 1, "verdict"`), 1)
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(odd))
	if err != nil {
		t.Fatal(err)
	}
	if s.Validate(v) == nil {
		t.Error("the schema takes an unknown field")
	}
}

func TestDiffJSONIsOfItsSchema(t *testing.T) {
	s := schema(t, "diff.json")
	model, four, data := testModel(t, "digits", "--bits", "4")
	_, two, _ := testModel(t, "digits", "--bits", "2")
	report := func(container string) string {
		path := filepath.Join(t.TempDir(), "drift.json")
		runMain(t, statusDone, "verify", model, container, "--data", data, "--samples", "16", "--json", "-q", "-o", path)
		return path
	}
	for name, pair := range map[string][2]string{"containers": {four, two}, "model": {model, four}, "same": {two, two}, "reports": {report(four), report(two)}} {
		validate(t, s, name, runMain(t, statusDone, "diff", pair[0], pair[1], "--json", "-q"))
	}
}

func TestDifferenceByHand(t *testing.T) {
	inf := float32(math.Inf(1))
	floats := func(v ...float32) *onnxio.Array { return onnxio.Floats(v, len(v)) }
	cases := []struct {
		name   string
		a, b   *onnxio.Array
		equal  bool
		most   float64
		reason string
	}{
		{"equal", floats(1, 2), floats(1, 2), true, 0, ""},
		{"the largest of two", floats(1, 2), floats(1.5, 0), false, 2, ""},
		{"both NaN", floats(float32(math.NaN())), floats(float32(math.NaN())), true, 0, ""},
		{"both infinite", floats(inf), floats(inf), true, 0, ""},
		{"one infinite", floats(inf, 1), floats(1, 5), false, -1, "a value is NaN or infinite on one side"},
		{"shape", floats(1, 2), floats(1, 2).Reshaped(1, 2), false, -1, "shape [1 2], was [2]"},
		{"type", floats(1), onnxio.Int64s([]int64{1}, 1), false, -1, "type int64, was float32"},
		{"integers that differ by one in 2^60", onnxio.Int64s([]int64{1 << 60}, 1), onnxio.Int64s([]int64{1<<60 + 1}, 1), false, 1, ""},
		{"empty", floats(), floats(), true, 0, ""},
	}
	for _, c := range cases {
		equal, most, reason := difference(c.a, c.b)
		got := -1.0
		if most != nil {
			got = *most
		}
		if equal != c.equal || got != c.most || reason != c.reason {
			t.Errorf("%s: %v %v %q, want %v %v %q", c.name, equal, got, reason, c.equal, c.most, c.reason)
		}
	}
}
