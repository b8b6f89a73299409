package cli

import (
	"encoding/xml"
	"fmt"
	"os"
	"strings"
	"testing"

	"bq/internal/dataset"
	"bq/verify"
)

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// failing is a report of n limits that all fail.
func failing(n int, output string) *verify.Report {
	r := &verify.Report{A: verify.Model{Path: "a.onnx"}, B: verify.Model{Path: "b.bq"}, Data: &dataset.Info{Kind: "npz", Taken: 64}, Verdict: verify.Fail}
	value, se := 0.0112, 0.0006
	for i := range n {
		r.Limits = append(r.Limits, verify.LimitResult{Metric: "max-kl", Output: fmt.Sprint(output, i), Limit: 0.01, Value: &value, SE: &se})
	}
	return r
}

func TestAnnotations(t *testing.T) {
	got := annotations(failing(1, "logits"))
	want := "::error title=bq verify::logits0 max-kl 0.0112 above 0.01, standard error 0.0006 (b.bq against a.onnx)"
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r := failing(1, "logits")
	r.Blame = []verify.Blame{{Tensor: "w1"}, {Tensor: "w2"}, {Tensor: "w3"}, {Tensor: "w4"}}
	if got := annotations(r)[0]; !strings.Contains(got, "; most to blame: w1, w2, w3 (b.bq") {
		t.Errorf("got %q", got)
	}
	got = annotations(failing(10, "o"))
	if len(got) != 10 || !strings.Contains(got[9], "o9 max-kl") {
		t.Errorf("ten: %q", got)
	}
	got = annotations(failing(14, "o"))
	if len(got) != 10 || got[9] != "::error title=bq verify::5 more limits or baseline metrics failed" {
		t.Errorf("fourteen: %q", got)
	}
	// a name cannot end the line and start a command of its own
	got = annotations(failing(1, "x\n::add-mask::%"))
	if len(got) != 1 || strings.ContainsAny(got[0], "\n\r") || !strings.Contains(got[0], `x\n::add-mask::%250 max-kl`) {
		t.Errorf("got %q", got)
	}
}

func TestSummaryIsCut(t *testing.T) {
	text := cutSummary(stepSummary(failing(10, "o")))
	if strings.Contains(text, "cut at") || strings.Count(text, "**FAIL**") != 10 {
		t.Errorf("short summary: %s", text)
	}
	text = cutSummary(stepSummary(failing(5000, "output")))
	if len(text) > maxSummaryBytes || len(text) < maxSummaryBytes-200 {
		t.Errorf("%d bytes, want at most %d and nearly as many", len(text), maxSummaryBytes)
	}
	if !strings.HasSuffix(text, "|\n\ncut at 64 KiB; all of it is in the JSON of bq verify\n") {
		t.Errorf("end %q", text[len(text)-120:])
	}
}

func TestMarkdownEscapesMarkup(t *testing.T) {
	for in, want := range map[string]string{
		"conv1.weight": "conv1.weight", "a|b": `a\|b`, "<img src=x>": "&lt;img src=x&gt;", "a\nb": `a\\nb`, "`x` *y* [z](u) @me": "\\`x\\` \\*y\\* \\[z\\](u) \\@me",
	} {
		if got := markdown(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// What JUnit readers see: an XML document whatever the names are, with as many failures as gates that fail.
func TestJUnit(t *testing.T) {
	r := failing(2, "<\x01\"'&\uFFFE")
	r.Limits[1].Pass = true
	b, err := junitXML(r)
	if err != nil {
		t.Fatal(err)
	}
	var got junitSuites
	if err := xml.Unmarshal(b, &got); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	if got.Tests != 2 || got.Failures != 1 || len(got.Suite.Cases) != 2 || got.Suite.Cases[0].Failure == nil || got.Suite.Cases[1].Failure != nil {
		t.Errorf("%s", b)
	}
	if want := "0.0112 above 0.01"; got.Suite.Cases[0].Failure.Message != want {
		t.Errorf("message %q, want %q", got.Suite.Cases[0].Failure.Message, want)
	}
}
