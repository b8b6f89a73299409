package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"bq/convert"
	"bq/internal/compare"
	"bq/internal/drift"
	"bq/onnxio"
)

func TestFraction(t *testing.T) {
	for in, want := range map[string]float64{"0.99": 0.99, "99%": 0.99, "0": 0, "100%": 1, "1": 1, "0.5%": 0.005} {
		if got, err := fraction("--x", in); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "99", "101%", "-1%", "NaN", "inf%", "1e400", "%", "0.9 %", "abc", "-0"} {
		var usage *usageError
		if v, err := fraction("--x", bad); !errors.As(err, &usage) {
			t.Errorf("%q was read as %v, %v", bad, v, err)
		}
	}
}

func TestGroupAndBitsOf(t *testing.T) {
	for in, want := range map[string]convert.Group{"channel": {}, "tensor": {PerTensor: true}, "16": {Block: 16}, "1024": {Block: 1024}} {
		if got, err := group(in); err != nil || got != want {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	for _, bad := range []string{"", "15", "1025", "row", "-32", "32.0"} {
		if g, err := group(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, g)
		}
	}
	if b, err := bitsOf("a=b=3"); err != nil || b.Glob != "a=b" || b.Bits != 3 {
		t.Errorf("split at the last =: %+v, %v", b, err)
	}
	for _, bad := range []string{"", "=3", "a=", "a=0", "a=9", "a"} {
		if b, err := bitsOf(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, b)
		}
	}
}

// The largest classes of the first row; an output without rows or classes has none, and that is no fault.
func TestLargest(t *testing.T) {
	nan := float32(math.NaN())
	last := compare.Output{Kind: drift.Logits, Axis: -1}
	cases := []struct {
		name string
		a    *onnxio.Array
		o    compare.Output
		want []int
	}{
		{"two rows", onnxio.Floats([]float32{1, 3, 2, 9, 9, 9}, 2, 3), last, []int{1, 2, 0}},
		{"equal scores", onnxio.Floats([]float32{1, 1, 2}, 1, 3), last, []int{2, 0, 1}},
		{"more than are shown", onnxio.Floats([]float32{1, 2, 3, 4, 5, 6, 7}, 7), last, []int{6, 5, 4, 3, 2}},
		{"NaN", onnxio.Floats([]float32{nan, 1, 2}, 1, 3), last, []int{2, 1, 0}},
		{"classes on the first axis", onnxio.Floats([]float32{1, 0, 2, 0}, 2, 2), compare.Output{Kind: drift.Logits}, []int{1, 0}},
		{"no row", onnxio.Floats(nil, 0, 3), last, []int{}},
		{"no pixel", onnxio.Floats(nil, 3, 0), compare.Output{Kind: drift.Logits}, []int{}},
		{"no class", onnxio.Floats(nil, 1, 0), last, []int{}},
		{"one value", onnxio.Floats([]float32{5}), last, []int{0}},
	}
	for _, c := range cases {
		got := []int{}
		top := largest(c.a, c.o)
		for _, class := range top {
			got = append(got, class.Index)
		}
		if top == nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: classes %v, want %v", c.name, got, c.want)
		}
	}
}

func TestNullable(t *testing.T) {
	inf := nullable(math.Inf(1))
	b, err := json.Marshal([]nullable{0.5, inf, -inf, nullable(math.NaN()), 0})
	if err != nil || string(b) != "[0.5,null,null,null,0]" {
		t.Errorf("%s, %v", b, err)
	}
}

func TestWorstDrift(t *testing.T) {
	kl := func(v float64) compare.Figures {
		return compare.Figures{Figures: drift.Figures{Kind: drift.Logits, KL: v}}
	}
	if d := worstDrift([]compare.Figures{kl(0.1), kl(0.3), kl(0.2)}); d == nil || *d != 0.3 {
		t.Errorf("drift %v, want 0.3", d)
	}
	for _, none := range [][]compare.Figures{nil, {kl(0.1), kl(math.NaN())}, {kl(math.Inf(1)), kl(0.1)}} {
		if d := worstDrift(none); d != nil {
			t.Errorf("%v: drift %v, want none", none, *d)
		}
	}
}

func TestThousands(t *testing.T) {
	for in, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1094229: "1,094,229", -1234567: "-1,234,567", -12: "-12"} {
		if got := thousands(in); got != want {
			t.Errorf("%d: %s, want %s", in, got, want)
		}
	}
}

// Names come from files: nothing in them may move the cursor, start a line or be taken for a CI command.
func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"conv1.weight":     "conv1.weight",
		"a\x1b[31mb":       `a\x1b[31mb`,
		"a\nb\r":           `a\nb\x0d`,
		"::error::x":       `\::error::x`,
		"  ::warning::":    `  \::warning::`,
		"onnx::Conv_1":     "onnx::Conv_1",
		"x ##[group]":      `x #\#[group]`,
		"\u2028\u0085\x7f": `\x2028\x85\x7f`,
		"gewicht für ñ":    "gewicht für ñ",
	} {
		if got := escape(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestProgressIsQuietOffTerminals(t *testing.T) {
	var b bytes.Buffer
	p := (&session{stderr: &b}).newProgress()
	for i := range 1000 {
		p.update("quantizing", i, 1000)
	}
	p.update("writing\x1b", 1, 2)
	p.stop()
	p.update("late", 1, 2)
	if want := "bq: note: quantizing\nbq: note: writing\\x1b\n"; b.String() != want {
		t.Errorf("progress wrote %q, want %q", b.String(), want)
	}
	b.Reset()
	silent := (&session{stderr: &b, quiet: true}).newProgress()
	silent.update("quantizing", 1, 2)
	silent.stop()
	if b.Len() > 0 {
		t.Errorf("progress under --quiet wrote %q", b.String())
	}
}

// Every flag of every command stands in its help, and the completion scripts know it.
func TestHelpAndCompletionKnowEveryFlag(t *testing.T) {
	run := func(args ...string) string {
		var out, err bytes.Buffer
		if status := Main(args, strings.NewReader(""), &out, &err); status != 0 || err.Len() > 0 {
			t.Fatalf("%v: status %d, %s", args, status, err.String())
		}
		return out.String()
	}
	app := (&session{}).app()
	bash := run("completion", "bash")
	for _, c := range app.VisibleCommands() {
		help := run("help", c.Name)
		for _, f := range c.VisibleFlags() {
			flag := "--" + f.Names()[0]
			if !strings.Contains(help, flag) || !strings.Contains(bash, flag) {
				t.Errorf("%s of %s is missing from help or completion", flag, c.Name)
			}
		}
	}
}
