package convert

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"bq/onnxio"
	"bq/packing"
)

// recorded is a small model, and a table of its conversion with data.
func recorded(t *testing.T, o Options) (*onnxio.File, Options, []byte, *Table) {
	t.Helper()
	f := newBuilder(13).input("x", 1, 16).output("z", 1, 20).floats("w", normal(1, 512), 16, 32).floats("b", normal(3, 32), 32).floats("v", normal(4, 640), 32, 20).
		node("MatMul", []string{"x", "w"}, "a").node("Add", []string{"a", "b"}, "s").node("Relu", []string{"s"}, "y").node("Gemm", []string{"y", "v"}, "z").file(t)
	x := onnxio.Floats(normal(2, 16*120), 120, 16) // enough that layers make up for earlier ones
	o.Samples, o.Record = samplesOf(t, f.Model, x), true
	r, _, b := converted(t, f, o)
	o.Samples, o.Record = nil, false
	table, err := ReadTable(bytes.NewReader(encoded(t, r.Table)))
	if err != nil {
		t.Fatal(err)
	}
	return f, o, b, table
}

func TestATableRepeatsItsConversion(t *testing.T) {
	for name, o := range map[string]Options{
		"bits":        {Bits: 3},
		"activations": {Bits: 4, ActBits: 8},
		"rate":        {Budget: Budget{BudgetBPW, 4}},
		"whole bits":  {Budget: Budget{BudgetBPW, 5}, Method: Method{name: "lloyd"}},
		"size":        {Budget: Budget{BudgetSize, 1900}},
	} {
		f, o, want, table := recorded(t, o)
		if table.Conversion == nil || len(table.Codes) != 2 || len(table.Biases) != 2 || table.Codes[1].Shift == "" != !table.Conversion.Compensate {
			t.Fatalf("%s: a table of %d codes, %d biases, shift of %d characters", name, len(table.Codes), len(table.Biases), len(table.Codes[1].Shift))
		}
		o.Table = table
		r, _, got := converted(t, f, o)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes differ from the %d of the conversion with data", name, len(got), len(want))
		}
		if len(r.Notes) != 0 || len(r.Drift) != 1 || r.HeldOut != 30 || r.Calibration != 90 {
			t.Errorf("%s: notes %q, drift of %d outputs, %d and %d samples", name, r.Notes, len(r.Drift), r.Calibration, r.HeldOut)
		}
	}
}

func TestATableWithOtherFlagsMeasuresNothingAgain(t *testing.T) {
	f, o, _, table := recorded(t, Options{Budget: Budget{BudgetBPW, 4}})
	o.Table = table
	o.Budget.Value = 5
	r, _, b := converted(t, f, o)
	if len(r.Notes) != 1 || r.Corrected != 2 || r.Drift != nil {
		t.Errorf("notes %q, %d biases corrected, drift %v", r.Notes, r.Corrected, r.Drift)
	}
	o.Threads = 3
	if _, _, again := converted(t, f, o); !bytes.Equal(again, b) {
		t.Error("another number of threads gives other bytes")
	}
	o.Budget = Budget{BudgetDrift, 0.1}
	if _, err := Convert(context.Background(), f, &bytes.Buffer{}, o); !errors.Is(err, ErrTableDrift) {
		t.Errorf("a search by drift: %v", err)
	}
}

// What a table says of the model must be true of it: no panic, and an error that says what is wrong.
func TestTablesThatDoNotFitTheModel(t *testing.T) {
	f, o, _, table := recorded(t, Options{Budget: Budget{BudgetBPW, 4}})
	text := encoded(t, table)
	long, _ := newVector(make([]float64, 1000))
	nan, _ := newVector([]float64{0, 1})
	for name, c := range map[string]struct {
		change func(t *Table)
		want   string
	}{
		"no codes":        {func(t *Table) { t.Codes[0].Name = "else" }, `no codes of "w"`},
		"steps":           {func(t *Table) { t.Codes[0].Steps = []float32{1, 2, 3} }, "3 steps, want 1"},
		"long moments":    {func(t *Table) { t.Codes[0].Second = long }, "more than"},
		"short moments":   {func(t *Table) { t.Codes[0].Z = nan }, "want 16 numbers"},
		"no means":        {func(t *Table) { t.Codes[0].Z = "" }, "moments of the inputs"},
		"one shift":       {func(t *Table) { t.Codes[0].X, t.Codes[0].Shift = "", long }, "moments of the inputs"},
		"bias":            {func(t *Table) { t.Biases[0].Name = "w" }, "no place"},
		"bytes of bias":   {func(t *Table) { t.Biases[0].Data = []byte{1} }, "1 bytes"},
		"NaN in a bias":   {func(t *Table) { copy(t.Biases[0].Data, []byte{0, 0, 192, 127}) }, "NaN"},
		"added bias":      {func(t *Table) { t.Biases[1].Name = "y" }, "no place"},
		"added elsewhere": {func(t *Table) { t.Biases[1].Added = false }, "no place"},
		"activation":      {func(t *Table) { t.Activations = []TableActivation{{Name: "x", High: 1}} }, "no activation"},
	} {
		table, err := ReadTable(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		c.change(table)
		o.Table = table
		_, err = Convert(context.Background(), f, &bytes.Buffer{}, o)
		var damaged *TableError
		if !errors.As(err, &damaged) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	table.Model.SHA256 = strings.Repeat("ab", 32)
	o.Table = table
	var foreign *ForeignTableError
	if _, err := Convert(context.Background(), f, &bytes.Buffer{}, o); !errors.As(err, &foreign) || !strings.HasPrefix(err.Error(), "made for another model (sha256 abab..., this one ") {
		t.Errorf("another model: %v", err)
	}
}

// Steps that no search finds make no panic, whatever comes of them.
func TestTablesWithStepsOfAnySize(t *testing.T) {
	f, o, _, table := recorded(t, Options{Budget: Budget{BudgetBPW, 4}})
	for _, step := range []float32{0, math.SmallestNonzeroFloat32, 1e-30, 1, 1e30, math.MaxFloat32} {
		for i := range table.Codes {
			table.Codes[i].Steps = []float32{step}
		}
		o.Table = table
		var b bytes.Buffer
		if _, err := Convert(context.Background(), f, &b, o); err != nil {
			continue
		}
		if _, faults := packing.Check(bytes.NewReader(b.Bytes()), int64(b.Len())); len(faults) > 0 {
			t.Errorf("step %v: %v", step, faults[0])
		}
	}
}

// The channel means of a table bring the mean of the output back, as those of data do.
func TestBiasesByChannelMeans(t *testing.T) {
	f := newBuilder(13).input("x", 1, 16).output("y", 1, 32).floats("w", normal(1, 512), 16, 32).floats("b", normal(3, 32), 32).
		node("MatMul", []string{"x", "w"}, "a").node("Add", []string{"a", "b"}, "y").file(t)
	x := normal(2, 16*40)
	for i := range x {
		x[i] += 3
	}
	set := samplesOf(t, f.Model, onnxio.Floats(x, 40, 16))
	table, err := Calibrate(context.Background(), f, CalibrateOptions{Samples: set, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	off := func(o Options) float64 {
		_, p, _ := converted(t, f, o)
		m, _, err := Restore(p, FormFloat)
		if err != nil {
			t.Fatal(err)
		}
		return gap(meansOf(t, f.Model, set, -1), meansOf(t, m, set, -1))
	}
	plain, corrected := off(Options{Bits: 2}), off(Options{Bits: 2, Table: table})
	if corrected > plain/100 {
		t.Errorf("means are off by %g, without a table by %g", corrected, plain)
	}
}
