package verify

import (
	"errors"
	"math"
	"strings"
	"testing"

	"bq/internal/dataset"
)

// pairOf builds a report and its baseline of one class output and one of values.
func pairOf() (*Report, *Baseline) {
	r := &Report{
		A: Model{SHA256: "aa"}, B: Model{Bytes: 1000}, Verdict: Ungated,
		Outputs: []Output{
			{Name: "p", Kind: "probs", Rows: 100, KLNats: new(0.01), Agree: new(0.98), Top1Float: new(0.9), Top1Quant: new(0.88)},
			{Name: "v", Kind: "values", SQNR: new(20.0), MaxAbs: new(1.0)},
		},
	}
	base := &Baseline{B: Model{Bytes: 1000}}
	for _, o := range r.Outputs {
		base.Outputs = append(base.Outputs, Output{Name: o.Name, Kind: o.Kind, Rows: o.Rows, KLNats: o.KLNats, Agree: o.Agree,
			Top1Float: o.Top1Float, Top1Quant: o.Top1Quant, SQNR: o.SQNR, MaxAbs: o.MaxAbs})
	}
	return r, base
}

// At 5 %: KL 0.01 may become 0.0105 + 1e-6; disagreement 0.02 becomes 0.021 + 1/100; an accuracy drop of 0.02 the
// same; noise power 10^(-20/10) = 0.01 as KL; 1,000 bytes 1,050.
func TestToleranceByHand(t *testing.T) {
	cases := []struct {
		name   string
		change func(r *Report)
		metric string
		pass   bool
	}{
		{"nothing changed", func(*Report) {}, "", true},
		{"KL at what is allowed", func(r *Report) { r.Outputs[0].KLNats = new(0.010501) }, LossKL, true},
		{"KL above", func(r *Report) { r.Outputs[0].KLNats = new(0.0105011) }, LossKL, false},
		{"KL undefined", func(r *Report) { r.Outputs[0].KLNats = nil }, LossKL, false},
		{"one row and 5 % more disagree", func(r *Report) { r.Outputs[0].Agree = new(0.9690001) }, LossDisagree, true},
		{"two rows more", func(r *Report) { r.Outputs[0].Agree = new(0.96) }, LossDisagree, false},
		{"accuracy falls by one row", func(r *Report) { r.Outputs[0].Top1Quant = new(0.87) }, LossTop1, true},
		{"accuracy falls by two rows", func(r *Report) { r.Outputs[0].Top1Quant = new(0.86) }, LossTop1, false},
		{"noise within", func(r *Report) { r.Outputs[1].SQNR = new(19.8) }, LossNoise, true}, // 0.010471
		{"noise above", func(r *Report) { r.Outputs[1].SQNR = new(19.7) }, LossNoise, false}, // 0.010715
		{"file within", func(r *Report) { r.B.Bytes = 1050 }, LossBytes, true},
		{"file above", func(r *Report) { r.B.Bytes = 1051 }, LossBytes, false},
	}
	for _, c := range cases {
		r, base := pairOf()
		c.change(r)
		if err := r.Compare(base, "b.json", 0.05); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var failed []string
		for _, ch := range r.Baseline.Changes {
			if !ch.Pass {
				failed = append(failed, ch.Metric)
			}
		}
		want := ""
		if !c.pass {
			want = c.metric
		}
		if got := strings.Join(failed, " "); got != want || r.Baseline.Pass != c.pass || (r.Verdict == Pass) != c.pass {
			t.Errorf("%s: failed %q, want %q; verdict %s", c.name, got, want, r.Verdict)
		}
		if len(r.Baseline.Changes) != 5 {
			t.Errorf("%s: %d changes, want 5", c.name, len(r.Baseline.Changes))
		}
	}
}

// A gain is one of more than a loss might have grown; a figure that was undefined is no regression.
func TestGains(t *testing.T) {
	r, base := pairOf()
	r.Outputs[0].KLNats, r.B.Bytes = new(0.009), 951
	if err := r.Compare(base, "b.json", 0.05); err != nil || len(r.Gains) != 1 || r.Gains[0].Metric != LossKL {
		t.Errorf("gains %+v, %v", r.Gains, err)
	}
	r, base = pairOf()
	base.Outputs[0].KLNats = nil
	if err := r.Compare(base, "b.json", 0); err != nil || !r.Baseline.Pass || r.Baseline.Changes[0].Allowed != nil {
		t.Errorf("%+v, %v", r.Baseline, err)
	}
	// a model that was better than float may fall back by the tolerance of that gain, and a row
	r, base = pairOf()
	base.Outputs[0].Top1Quant, r.Outputs[0].Top1Quant = new(0.94), new(0.9301)
	if err := r.Compare(base, "b.json", 0); err != nil || !r.Baseline.Pass {
		t.Errorf("%+v, %v", r.Baseline, err)
	}
	// equal outputs had no noise
	r, base = pairOf()
	base.Outputs[1].SQNR, base.Outputs[1].MaxAbs = nil, new(0.0)
	if err := r.Compare(base, "b.json", 0.05); err != nil || r.Baseline.Pass || *r.Baseline.Changes[3].Allowed != 1e-6 {
		t.Errorf("%+v, %v", r.Baseline, err)
	}
}

func TestForeignBaselines(t *testing.T) {
	_, base := pairOf()
	base.A.SHA256, base.Data = "aaaaaaaaaa", &baselineData{"dd", 64}
	for want, run := range map[string]struct {
		a    Model
		data dataset.Info
	}{
		"": {Model{SHA256: "aaaaaaaaaa"}, dataset.Info{SHA256: "dd", Taken: 64}},
		"made for another model (sha256 aaaaaaaa..., this one bbbbbbbb...)": {Model{SHA256: "bbbbbbbbbb"}, dataset.Info{SHA256: "dd", Taken: 64}},
		"made on other data":               {Model{SHA256: "aaaaaaaaaa"}, dataset.Info{SHA256: "ee", Taken: 64}},
		"made on 64 samples, these are 32": {Model{SHA256: "aaaaaaaaaa"}, dataset.Info{SHA256: "dd", Taken: 32}},
	} {
		err := base.Check(run.a, run.data)
		var foreign *ForeignError
		if want == "" && err != nil || want != "" && (!errors.As(err, &foreign) || err.Error() != want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	r, base := pairOf()
	base.Outputs[0].Name = "q"
	if err := r.Compare(base, "b.json", 0); err == nil || err.Error() != `made without output "p"` {
		t.Errorf("error %v", err)
	}
}

func FuzzReadBaseline(f *testing.F) {
	f.Add(`{"schema":"bq.verify/1","a":{"sha256":"aa"},"b":{"bytes":1},"data":{"sha256":"d","taken":1},"outputs":[{"name":"v","kind":"values","sqnr_db":1e3}]}`)
	f.Add(`{"schema":"bq.verify/1","outputs":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		base, err := ReadBaseline(strings.NewReader(text))
		if err != nil {
			return
		}
		r, _ := pairOf()
		r.Outputs[1].Name = base.Outputs[0].Name
		if r.Compare(base, "b", 1) != nil {
			return
		}
		for _, c := range r.Baseline.Changes {
			if c.Allowed != nil && (math.IsNaN(*c.Allowed) || math.IsInf(*c.Allowed, 0)) {
				t.Errorf("%+v is no JSON", c)
			}
		}
	})
}
