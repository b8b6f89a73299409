package convert

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"bq/balance"
	"bq/internal/compare"
)

// smallTable is a table with something of everything in it.
func smallTable(t *testing.T) *Table {
	t.Helper()
	digest := strings.Repeat("0a", 32)
	var h balance.Histogram
	h.Add([]float32{-1, 0, 0.5, 3})
	s := h.State()
	second, err := newVector([]float64{1, 0.5, 2})
	if err != nil {
		t.Fatal(err)
	}
	z, _ := newVector([]float64{1, -1})
	v := 0.25
	return &Table{
		Schema: TableSchema, MadeBy: "a test", Model: Source{SHA256: digest, Bytes: 7}, Data: TableData{"npz", digest, 4},
		Values: []TableValue{{"x", 4, s.Min, s.Max, s.Sum, TableHistogram{s.Exponent, s.Signed, s.First, s.Counts}, 1, []float64{0.5, -1e-9}, []float64{0, 2}}},
		Weights: []TableWeight{
			{"w", &v, &v, []TableAlone{{2, 0.5}, {3, 0.25}, {4, 0}, {6, 1e-300}}},
			{"u \u2028 <&>", nil, nil, []TableAlone{}},
		},
		Conversion: &TableConversion{
			Flags:       TableFlags{Bits: 8, Budget: "bpw", Value: 3.5, Method: "auto", Group: "channel", Codec: "auto", Keep: []string{"a*"}, BitsOf: []string{}, MinElements: 256},
			Calibration: &Calibration{Kind: "npz", Samples: 3, HeldOut: 1, Data: digest, Outputs: []HeldOutDrift{}}, Rate: 0.5, Knob: 1.25, Corrected: 1},
		Codes:       []TableCodes{{Name: "w", Steps: []float32{0.5}, Scales: []float32{}, Centred: true, Rows: 9, Z: z, Second: second}, {Name: "u", Bits: 3, Steps: []float32{}, Scales: []float32{}}},
		Biases:      []TableBias{{"b", false, []byte{0, 1, 2, 3}}, {"b", true, []byte{}}},
		Activations: []TableActivation{{Name: "x", Low: -1, High: 3}},
		Drift:       []TableDrift{newTableDrift(compare.Figures{Name: "y"})},
	}
}

func encoded(t *testing.T, table *Table) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := table.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTableComesBackAsItWasWritten(t *testing.T) {
	b := encoded(t, smallTable(t))
	got, err := ReadTable(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if again := encoded(t, got); !bytes.Equal(again, b) {
		t.Errorf("written again it is\n%s\nwant\n%s", again, b)
	}
	if x, err := got.Codes[0].Second.floats(3); err != nil || x[0] != 1 || x[1] != 0.5 || x[2] != 2 {
		t.Errorf("moments %v, %v", x, err)
	}
}

// Every table that is spelt in another way, or says what cannot be, is refused.
func TestTablesThatAreRefused(t *testing.T) {
	good := string(encoded(t, smallTable(t)))
	for _, c := range []struct{ name, old, fresh, want string }{
		{"another schema", "bq.calib/1", "bq.calib/2", "not a calibration table"},
		{"an unknown key", `"axis":1,`, `"axis":1,"mode":2,`, "unknown field"},
		{"a key twice", `"axis":1,`, `"axis":1,"axis":1,`, "spelt"},
		{"a key of other case", `"axis":1,`, `"Axis":1,`, "spelt"},
		{"another order", `{"name":"x","count":4,`, `{"count":4,"name":"x",`, "spelt"},
		{"a blank more", `"axis":1,`, `"axis": 1,`, "spelt"},
		{"a long number", `"axis":1,`, `"axis":1.0,`, "cannot unmarshal"},
		{"a long fraction", `"knob":1.25`, `"knob":1.250`, "spelt"},
		{"NaN", `"knob":1.25`, `"knob":NaN`, "invalid character"},
		{"infinity", `"knob":1.25`, `"knob":1e999`, "cannot unmarshal"},
		{"null for a list", `"means":[0.5,-1e-9]`, `"means":null`, "null"},
		{"null at the top", `"activations": [`, `"activations": null, "x": [`, "unknown field"},
		{"a name twice", `{"name":"u","kept"`, `{"name":"w","kept"`, "stands twice"},
		{"a bad digest", strings.Repeat("0a", 32), strings.Repeat("0A", 32), "sha256"},
		{"no samples", `"samples":4}`, `"samples":0}`, "0 samples"},
		{"another count", `"count":4`, `"count":5`, "want 5"},
		{"a bin of its own", `"first":768`, `"first":767`, "bins"},
		{"negative deviation", `"deviations":[0,2]`, `"deviations":[0,-2]`, "deviation"},
		{"deviations missing", `"deviations":[0,2]`, `"deviations":[0]`, "deviations of 1"},
		{"negative importance", `"importance":0.25`, `"importance":-0.25`, "negative"},
		{"other bits alone", `"bits":6,"drift"`, `"bits":7,"drift"`, "alone at 7 bits"},
		{"bits and steps", `"bits":0,"steps":[0.5]`, `"bits":3,"steps":[0.5]`, "3 bits, 1 steps"},
		{"a negative step", `"steps":[0.5]`, `"steps":[-0.5]`, "step of -0.5"},
		{"moments without rows", `"rows":9`, `"rows":0`, "moments without rows"},
		{"a range the wrong way", `"low":-1,"high":3`, `"low":4,"high":3`, "range"},
		{"another reason", `"kept":""`, `"kept":"small"`, "kept"},
		{"kept and coded", `"kept":""`, `"kept":"gain"`, "kept"},
		{"a kind of its own", `"kind":"values"`, `"kind":"scores"`, "want logits"},
		{"held out nothing", `"held_out":1`, `"held_out":0`, "held out"},
	} {
		text := strings.Replace(good, c.old, c.fresh, 1)
		if text == good {
			t.Errorf("%s: %q is not in the table", c.name, c.old)
			continue
		}
		if _, err := ReadTable(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}

func TestTableWithMoreBehind(t *testing.T) {
	b := append(encoded(t, smallTable(t)), '\n')
	if _, err := ReadTable(bytes.NewReader(b)); err == nil || !strings.Contains(err.Error(), "spelt") {
		t.Errorf("error %v", err)
	}
}

func TestTableWithANameThatIsNoText(t *testing.T) {
	table := smallTable(t)
	table.Values[0].Name = "a\xffb"
	if err := table.Write(&bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("error %v, want one of UTF-8", err)
	}
}

func TestVectorsOfTheWrongLength(t *testing.T) {
	v, err := newVector([]float64{1, math.Pi, -3})
	if err != nil {
		t.Fatal(err)
	}
	if x, err := v.floats(3); err != nil || x[1] != math.Pi {
		t.Errorf("%v, %v", x, err)
	}
	for _, n := range []int{0, 2, 4} {
		if _, err := v.floats(n); err == nil {
			t.Errorf("3 numbers pass for %d", n)
		}
	}
	for _, text := range []vector{"*", "AAAA", v[:len(v)-4]} {
		if _, err := text.floats(3); err == nil {
			t.Errorf("%q passes for 3 numbers", text)
		}
	}
}

func TestDriftComesBackFromATable(t *testing.T) {
	f := compare.Figures{Name: "y", Axis: 1}
	f.Kind, f.Samples, f.Rows, f.KL, f.Agree, f.SQNR, f.MaxAbs = 1, 3, 9, 0.25, 0.5, math.Inf(1), math.NaN()
	got, err := newTableDrift(f).restored()
	if err != nil || got.KL != 0.25 || got.Agree != 0.5 || got.Rows != 9 || got.Kind != 1 || got.Axis != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if !math.IsInf(got.SQNR, 1) || !math.IsNaN(got.MaxAbs) {
		t.Errorf("SQNR %v, largest difference %v", got.SQNR, got.MaxAbs)
	}
}

func FuzzReadTable(f *testing.F) {
	var b bytes.Buffer
	if err := smallTable(&testing.T{}).Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := ReadTable(bytes.NewReader(b))
		if err != nil {
			return
		}
		if !bytes.Equal(encoded(t, table), b) {
			t.Error("written again it differs")
		}
	})
}
