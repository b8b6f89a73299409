package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"bq/internal/dataset"
	"bq/internal/drift"
	"bq/onnxio"
)

// A baseline is a report that was accepted. Later reports on the same model A and the same samples are compared with
// it: each loss of an output, and the size of the file, may grow by a share of what it was, and by a little more where
// it was near zero.

// Baseline is what Compare needs of an accepted report. Figures that are null in it are nil here.
type Baseline struct {
	Schema  string        `json:"schema"`
	A       Model         `json:"a"`
	B       Model         `json:"b"`
	Data    *baselineData `json:"data"`
	Outputs []Output      `json:"outputs"`
}

type baselineData struct {
	SHA256 string `json:"sha256"`
	Taken  int    `json:"taken"`
}

// maxBaselineBytes bounds a baseline file; a report of a hundred outputs takes 100 KB.
const maxBaselineBytes = 16 << 20

// ForeignError says that a baseline cannot be compared with this run.
type ForeignError struct{ Text string }

// Error says what it was made on.
func (e *ForeignError) Error() string { return e.Text }

// ReadBaseline reads a report as `bq verify --update-baseline` or --json writes it.
func ReadBaseline(r io.Reader) (*Baseline, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxBaselineBytes+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxBaselineBytes {
		return nil, fmt.Errorf("more than %d bytes", maxBaselineBytes)
	}
	base := &Baseline{}
	if err := json.Unmarshal(b, base); err != nil {
		return nil, fmt.Errorf("want the JSON of bq verify: %w", err)
	}
	switch {
	case base.Schema != schemaName:
		return nil, fmt.Errorf("schema %q, want %q", base.Schema, schemaName)
	case base.Data == nil || base.A.SHA256 == "" || base.B.Bytes <= 0 || len(base.Outputs) == 0:
		return nil, errors.New("want the fields a, b, data and outputs of bq verify's JSON")
	}
	for _, o := range base.Outputs {
		if err := o.check(); err != nil {
			return nil, fmt.Errorf("output %s: %w", onnxio.Quote(o.Name), err)
		}
	}
	return base, nil
}

// maxFigure bounds the figures of a baseline, so that no sum of them overflows; drift of float32 values stays far
// below it, in nats and in dB.
const maxFigure = 1e3

// check refuses figures that no run gives.
func (o *Output) check() error {
	for _, f := range []struct {
		name      string
		v         *float64
		low, high float64
	}{
		{"kl_nats", o.KLNats, -maxFigure, maxFigure}, {"agree", o.Agree, 0, 1}, {"top1_float", o.Top1Float, 0, 1},
		{"top1_quantized", o.Top1Quant, 0, 1}, {"sqnr_db", o.SQNR, -maxFigure, maxFigure}, {"max_abs", o.MaxAbs, 0, math.MaxFloat64},
	} {
		if f.v != nil && (*f.v < f.low || *f.v > f.high) {
			return fmt.Errorf("%s is %v, want %v to %v", f.name, *f.v, f.low, f.high)
		}
	}
	return nil
}

// Figure is a figure of a report by the name that it has there. Value is nil where it is null.
type Figure struct {
	Metric string
	Output string   // "" for the file's size
	Value  *float64 //
	SE     *float64 // nil: it has no standard error
}

// Figures lists the figures of a report, output by output, then the size of model B's file.
func (base *Baseline) Figures() []Figure {
	var list []Figure
	for _, o := range base.Outputs {
		list = append(list,
			Figure{"kl_nats", o.Name, o.KLNats, o.KLSE}, Figure{"kl_p99", o.Name, o.KLP99, nil}, Figure{"kl_max", o.Name, o.KLMax, nil},
			Figure{"agree", o.Name, o.Agree, o.AgreeSE}, Figure{"top1_float", o.Name, o.Top1Float, nil}, Figure{"top1_quantized", o.Name, o.Top1Quant, nil},
			Figure{"nll_float", o.Name, o.NLLFloat, nil}, Figure{"nll_quantized", o.Name, o.NLLQuantized, nil},
			Figure{"sqnr_db", o.Name, o.SQNR, nil}, Figure{"max_abs", o.Name, o.MaxAbs, nil})
	}
	return append(list, Figure{LossBytes, "", new(float64(base.B.Bytes)), nil})
}

// Check compares what the baseline was made on with this run, before the models run: a *ForeignError where model A,
// the data or the number of samples differ.
func (base *Baseline) Check(a Model, data dataset.Info) error {
	switch {
	case base.A.SHA256 != a.SHA256:
		return &ForeignError{fmt.Sprintf("made for another model (sha256 %.8s..., this one %.8s...)", base.A.SHA256, a.SHA256)}
	case base.Data.SHA256 != data.SHA256:
		return &ForeignError{"made on other data"}
	case base.Data.Taken != data.Taken:
		return &ForeignError{fmt.Sprintf("made on %d samples, these are %d", base.Data.Taken, data.Taken)}
	}
	return nil
}

// BaselineResult is what became of a comparison with a baseline.
type BaselineResult struct {
	Path    string   `json:"path"`
	Pass    bool     `json:"pass"`
	Changes []Change `json:"changes"`
}

// Change is a loss then and now. Figures that do not exist are null: a loss that has none any more is a regression,
// one that had none is not.
type Change struct {
	Metric  string   `json:"metric"`
	Output  string   `json:"output"` // "" for the file's size
	Was     *float64 `json:"was"`
	Now     *float64 `json:"now"`
	Allowed *float64 `json:"allowed"`
	Pass    bool     `json:"pass"`
}

// The losses that a baseline bounds.
const (
	LossKL       = "kl_nats"     // mean KL, nats
	LossDisagree = "disagree"    // share of rows with another top-1
	LossTop1     = "top1_drop"   // float accuracy minus quantized accuracy, a share
	LossNoise    = "noise_power" // over the signal's, of outputs of kind values
	LossBytes    = "file_bytes"  // of model B
)

// slack is what a loss may grow beside its share: 1e-6 nats, and as much of the signal's power (60 dB), which is what
// another order of float32 sums can make.
const slack = 1e-6

// Compare adds a comparison with a baseline to the report: each loss may grow by tolerance, a share of the baseline,
// plus one row or slack; the file by tolerance alone. A gain of more than that is a note. The error is a
// *ForeignError where the outputs are not the baseline's.
func (r *Report) Compare(base *Baseline, path string, tolerance float64) error {
	res := &BaselineResult{Path: path, Pass: true, Changes: []Change{}}
	for _, o := range r.Outputs {
		was, err := base.output(o)
		if err != nil {
			return err
		}
		res.add(o.Name, was, o, tolerance)
	}
	was, now := float64(base.B.Bytes), float64(r.B.Bytes)
	res.Changes = append(res.Changes, newChange(LossBytes, "", &was, &now, tolerance, 0))
	for _, c := range res.Changes {
		res.Pass = res.Pass && c.Pass
		if c.gain(tolerance) {
			r.Gains = append(r.Gains, c)
		}
	}
	r.Baseline = res
	switch {
	case !res.Pass:
		r.Verdict = Fail
	case r.Verdict == Ungated:
		r.Verdict = Pass
	}
	return nil
}

// output finds an output of this run in the baseline.
func (base *Baseline) output(o Output) (*Output, error) {
	for i := range base.Outputs {
		was := &base.Outputs[i]
		if was.Name != o.Name {
			continue
		}
		if was.Kind != o.Kind {
			return nil, &ForeignError{fmt.Sprintf("made with output %s as %s, now it is %s", onnxio.Quote(o.Name), was.Kind, o.Kind)}
		}
		return was, nil
	}
	return nil, &ForeignError{fmt.Sprintf("made without output %s", onnxio.Quote(o.Name))}
}

// add compares the losses that an output of its kind has.
func (res *BaselineResult) add(name string, was *Output, now Output, tolerance float64) {
	put := func(metric string, was, now *float64, extra float64) {
		if was != nil || now != nil {
			res.Changes = append(res.Changes, newChange(metric, name, was, now, tolerance, extra))
		}
	}
	if now.Kind == drift.Values.String() {
		put(LossNoise, noisePower(was.SQNR, was.MaxAbs), noisePower(now.SQNR, now.MaxAbs), slack)
		return
	}
	row := 1 / float64(max(1, now.Rows))
	put(LossKL, was.KLNats, now.KLNats, slack)
	put(LossDisagree, less(new(1.0), was.Agree), less(new(1.0), now.Agree), row)
	if was.Top1Float != nil || now.Top1Float != nil {
		put(LossTop1, less(was.Top1Float, was.Top1Quant), less(now.Top1Float, now.Top1Quant), row)
	}
}

// less returns a - b where both exist.
func less(a, b *float64) *float64 {
	if a == nil || b == nil {
		return nil
	}
	v := *a - *b
	return &v
}

// noisePower returns the noise's power over the signal's, 10^(-SQNR/10); nil where it is undefined. Equal outputs have
// no SQNR, and no difference either.
func noisePower(sqnr, maxAbs *float64) *float64 {
	v := 0.0
	switch {
	case sqnr != nil:
		v = math.Pow(10, -*sqnr/10)
	case maxAbs == nil || *maxAbs != 0:
		return nil
	}
	return &v
}

func newChange(metric, output string, was, now *float64, tolerance, extra float64) Change {
	c := Change{Metric: metric, Output: output, Was: was, Now: now, Pass: was == nil || now != nil}
	if was == nil {
		return c
	}
	allowed := *was + tolerance*math.Abs(*was) + extra
	c.Allowed = &allowed
	if now != nil {
		c.Pass = *now <= allowed
	}
	return c
}

// gain reports whether a loss fell by more than it might have grown.
func (c Change) gain(tolerance float64) bool {
	return c.Was != nil && c.Now != nil && *c.Now < *c.Was-(*c.Allowed-*c.Was)
}

// baselineFile is a report without limits, baseline and blame, which are judgements and not figures.
type baselineFile struct {
	Schema  string        `json:"schema"`
	A       Model         `json:"a"`
	B       Model         `json:"b"`
	Data    *dataset.Info `json:"data"`
	Size    any           `json:"size"`
	Outputs []Output      `json:"outputs"`
	Verdict string        `json:"verdict"`
}

// ForBaseline returns what a baseline file holds of the report, to be written as JSON.
func (r *Report) ForBaseline() any {
	return baselineFile{r.Schema, r.A, r.B, r.Data, r.Size, r.Outputs, r.Verdict}
}
