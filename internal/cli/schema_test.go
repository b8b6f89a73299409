package cli

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// run runs the program and returns its stdout; status is the one wanted.
func runMain(t *testing.T, status int, args ...string) []byte {
	t.Helper()
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
