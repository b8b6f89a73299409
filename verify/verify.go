// Package verify judges a model against its reference: it runs both on the same samples, reports the drift of every
// output and compares it with limits.
//
// A limit is compared with the estimate itself. Where the two are within two standard errors of each other, a note
// says how many samples would decide.
package verify

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"bq/internal/compare"
	"bq/internal/dataset"
	"bq/internal/drift"
	"bq/internal/infer"
	"bq/onnxio"
)

// Side is one of the two models.
type Side struct {
	Model   Model          // what the report says of it
	Program *infer.Program //
	Graph   *onnxio.Model  // its graph; of the reference, from which the kinds of outputs are derived
}

// Limit bounds one metric of one output, or of all outputs that the metric applies to where Output is empty.
type Limit struct {
	Output string
	Value  float64
}

// Options are the limits, and how to run.
type Options struct {
	MaxKL       []Limit            // nats, of class outputs
	MinAgree    []Limit            // share of rows, of class outputs
	MinSQNR     []Limit            // dB; without Output: of outputs of kind values
	MaxTop1Drop *float64           // reference accuracy minus accuracy, a share; needs labels
	Kinds       []compare.Override // what outputs are, where the graph doesn't say it
	Threads     int
	Progress    func(done, total int)
}

// Verdicts of a report.
const (
	Pass    = "pass"
	Fail    = "fail"
	Ungated = "ungated" // there was no limit
)

// Run runs a and b on every sample of set. An error means that there is no report: a model does not run, outputs
// differ in shape, a limit names an output that does not exist, the reference misses its recorded outputs.
func Run(ctx context.Context, a, b Side, set *dataset.Set, o Options) (*Report, error) {
	outputs, err := compare.Outputs(a.Graph, o.Kinds)
	if err != nil {
		return nil, err
	}
	checks, err := o.checks(outputs, set.Labelled())
	if err != nil {
		return nil, err
	}
	if set.Len() == 0 {
		return nil, errors.New("comparing: the data hold no samples")
	}
	if err := sameInterface(a, b); err != nil {
		return nil, err
	}
	pair := &compare.Pair{A: a.Program, B: b.Program, Outputs: outputs, Reference: checkSample}
	figures, err := pair.Run(ctx, set, nil, o.Threads, o.Progress)
	if err != nil {
		return nil, err
	}
	data, err := set.Describe()
	if err != nil {
		return nil, err
	}
	r := &Report{Data: &data, Schema: schemaName, A: a.Model, B: b.Model, Limits: []LimitResult{}, Blame: []Blame{}, Verdict: Ungated, Figures: figures}
	for _, f := range figures {
		r.Outputs = append(r.Outputs, NewOutput(f))
	}
	for _, c := range checks {
		if err := r.judge(c, figures); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// MismatchError says that the two models do not belong together.
type MismatchError struct{ Text string }

// Error says what one has and the other has not.
func (e *MismatchError) Error() string { return e.Text }

// sameInterface wants B to be fed with no more than A, and to give all that A gives.
func sameInterface(a, b Side) error {
	fed := map[string]bool{}
	for _, in := range a.Program.Inputs() {
		fed[in.Name] = true
	}
	for _, in := range b.Program.Inputs() {
		if !fed[in.Name] {
			return &MismatchError{fmt.Sprintf("comparing %s with %s: input %s of B is none of A", a.Model.Path, b.Model.Path, onnxio.Quote(in.Name))}
		}
	}
	given := map[string]bool{}
	for _, out := range b.Graph.Graph.Outputs {
		given[out.Name] = true
	}
	for _, out := range a.Graph.Graph.Outputs {
		if !given[out.Name] {
			return &MismatchError{fmt.Sprintf("comparing %s with %s: B has no output %s", a.Model.Path, b.Model.Path, onnxio.Quote(out.Name))}
		}
	}
	return nil
}

// metric is a figure that a limit can bound.
type metric struct {
	name    string
	maximum bool // the limit is an upper one
	value   func(f *compare.Figures) (value, se float64)
}

var (
	maxKL = metric{"max-kl", true, func(f *compare.Figures) (float64, float64) { return f.KL, f.KLSE }}
	agree = metric{"min-agree", false, func(f *compare.Figures) (float64, float64) { return f.Agree, f.AgreeSE }}
	sqnr  = metric{"min-sqnr", false, func(f *compare.Figures) (float64, float64) { return f.SQNR, math.NaN() }}
	drop  = metric{"max-top1-drop", true, func(f *compare.Figures) (float64, float64) { return f.Top1Ref - f.Top1Got, f.Top1DropSE }}
)

// check is a limit on the figure of one output.
type check struct {
	metric
	output int // index; -1: the first output with labels
	limit  float64
}

// checks applies the limits to the outputs, and fails for the first one that applies to none. labelled says whether
// the data have labels.
func (o *Options) checks(outputs []compare.Output, labelled bool) ([]check, error) {
	classes := drift.Kind.Classes
	values := func(k drift.Kind) bool { return k == drift.Values }
	var list []check
	for _, group := range []struct {
		metric  metric
		limits  []Limit
		applies func(drift.Kind) bool
		what    string
	}{
		{maxKL, o.MaxKL, classes, "of classes"},
		{agree, o.MinAgree, classes, "of classes"},
		{sqnr, o.MinSQNR, values, "of kind values"},
	} {
		for _, l := range group.limits {
			found, err := l.checks(group.metric, outputs, group.applies)
			if err != nil {
				return nil, err
			}
			if len(found) == 0 {
				return nil, noOutput(group.metric.name, l, outputs, group.what)
			}
			list = append(list, found...)
		}
	}
	if o.MaxTop1Drop == nil {
		return list, nil
	}
	switch {
	case !slices.ContainsFunc(outputs, func(out compare.Output) bool { return out.Kind.Classes() }):
		return nil, noOutput(drop.name, Limit{}, outputs, "of classes")
	case !labelled:
		return nil, errors.New("applying --max-top1-drop: the data hold no labels")
	}
	return append(list, check{drop, -1, *o.MaxTop1Drop}), nil
}

// checks applies one limit to the output that it names, or to all whose kind the metric applies to.
func (l Limit) checks(m metric, outputs []compare.Output, applies func(drift.Kind) bool) ([]check, error) {
	var list []check
	for i, out := range outputs {
		if l.Output == out.Name && m.name != sqnr.name && !out.Kind.Classes() {
			return nil, fmt.Errorf("applying --%s to %s: its kind is values, which has no classes", m.name, onnxio.Quote(l.Output))
		}
		if l.Output == out.Name || l.Output == "" && applies(out.Kind) {
			list = append(list, check{m, i, l.Value})
		}
	}
	return list, nil
}

// LimitError says that a limit applies to no output.
type LimitError struct {
	Text    string
	Outputs []compare.Output
}

// Error says which limit applies to nothing.
func (e *LimitError) Error() string { return e.Text }

func noOutput(name string, l Limit, outputs []compare.Output, what string) error {
	if l.Output != "" {
		return &LimitError{fmt.Sprintf("applying --%s to %s: no such output", name, onnxio.Quote(l.Output)), outputs}
	}
	return &LimitError{fmt.Sprintf("applying --%s: no output %s", name, what), outputs}
}

// judge compares one figure with its limit.
func (r *Report) judge(c check, figures []compare.Figures) error {
	f, err := c.pick(figures)
	if err != nil {
		return err
	}
	value, se := c.value(f)
	res := LimitResult{Metric: c.name, Output: f.Name, Limit: c.limit, Value: number(value), SE: number(se)}
	res.Pass = value <= c.limit
	if !c.maximum {
		res.Pass = value >= c.limit
	}
	r.Limits = append(r.Limits, res)
	switch {
	case !res.Pass:
		r.Verdict = Fail
	case r.Verdict == Ungated:
		r.Verdict = Pass
	}
	if text := undecided(value, se, c.limit, f.Samples); text != "" {
		r.Notes = append(r.Notes, fmt.Sprintf("%s %s: %s", f.Name, c.name, text))
	}
	return nil
}

func (c check) pick(figures []compare.Figures) (*compare.Figures, error) {
	if c.output >= 0 {
		return &figures[c.output], nil
	}
	for i := range figures {
		if figures[i].Labelled > 0 {
			return &figures[i], nil
		}
	}
	return nil, errors.New("applying --max-top1-drop: no class output has a row for each label")
}

// decisive is how many standard errors a figure must be away from its limit for the side to count as decided.
const decisive = 2

// undecided says how many samples would decide on which side of its limit a figure is; nothing where it is decided
// or has no standard error. The error of a mean falls with the root of the samples.
func undecided(value, se, limit float64, samples int) string {
	gap := math.Abs(value - limit)
	if !(se > 0) || gap > decisive*se {
		return ""
	}
	if gap == 0 {
		return fmt.Sprintf("at its limit, +- %.3g; no number of samples would decide", se)
	}
	need := math.Round(float64(samples) * math.Pow(decisive*se/gap, 2))
	if need > maxAdvice {
		return fmt.Sprintf("within two standard errors of its limit; more than %d samples would be needed to decide", int(maxAdvice))
	}
	return fmt.Sprintf("within two standard errors of its limit; about %d samples in place of %d would decide", int(need), samples)
}

// maxAdvice is the largest number of samples that is worth advising.
const maxAdvice = 1e6
