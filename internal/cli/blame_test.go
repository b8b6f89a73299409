package cli

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"bq/verify"
)

// remedied REPORT MODEL CONTAINER DATA SAMPLES TOLERANCE converts the model with the widths of --bits 3 and the flags
// that the report's blame prints, measures the drift, and wants it within a share of the forecast, and the size to be
// what was priced, but for what the flags themselves take in the metadata.
func remedied(ts *testscript.TestScript, _ bool, args []string) {
	var r verify.Report
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(json.Unmarshal(b, &r))
	tolerance, err := strconv.ParseFloat(args[5], 64)
	ts.Check(err)
	if r.Forecast == nil || len(r.Forecast.Flags) < 2 {
		ts.Fatalf("no forecast in %s", args[0])
	}
	words := []string{"convert", args[1], "--bits", "3", "-o", "remedied.bq", "-q", "-f"}
	for _, f := range r.Forecast.Flags {
		words = append(words, strings.Fields(f)...)
	}
	ts.Check(ts.Exec("bq", words...))
	was, err := os.Stat(ts.MkAbs(args[2]))
	ts.Check(err)
	now, err := os.Stat(ts.MkAbs("remedied.bq"))
	ts.Check(err)
	flags := int64(len(strings.Join(r.Forecast.Flags, "")))
	if got := now.Size() - was.Size(); got < r.Forecast.PriceBytes-8 || got > r.Forecast.PriceBytes+flags {
		ts.Fatalf("the remedies cost %d bytes, want %d", got, r.Forecast.PriceBytes)
	}
	cmd := exec.Command("bq", "verify", args[1], "remedied.bq", "--data", args[3], "--samples", args[4], "--json", "-q")
	cmd.Dir = ts.MkAbs(".")
	out, err := cmd.Output()
	ts.Check(err)
	var after verify.Report
	ts.Check(json.NewDecoder(bytes.NewReader(out)).Decode(&after))
	got := *after.Outputs[0].KLNats
	if math.Abs(got-r.Forecast.About) > tolerance*got {
		ts.Fatalf("KL %v, the forecast is %v", got, r.Forecast.About)
	}
	ts.Logf("KL %v to %v, the forecast is %v", r.Forecast.Was, got, r.Forecast.About)
}

func TestShellQuote(t *testing.T) {
	for word, want := range map[string]string{
		"conv1.weight=8": "conv1.weight=8", "onnx::Conv_12=6": "onnx::Conv_12=6", "": "''", "a b": "'a b'", `If "x" / w`: `'If "x" / w'`, "it's": `'it'\''s'`, "$(x)": "'$(x)'",
	} {
		if got := shellQuote(word); got != want {
			t.Errorf("%s: %s, want %s", word, got, want)
		}
	}
}
