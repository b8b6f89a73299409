// Package compare runs two models side by side on the same samples and measures how far their outputs are apart.
//
// Samples are spread over goroutines and their figures are added up in the order of the samples, so that a result
// does not depend on the number of threads. A data set that carries state from one step to the next is run in order,
// each model with its own state.
package compare

import (
	"context"
	"fmt"
	"math"
	"slices"

	"bq/internal/dataset"
	"bq/internal/drift"
	"bq/internal/infer"
	"bq/internal/parallel"
	"bq/onnxio"
)

// Figures are the drift of one output. Worst gives samples by their index in the data set.
type Figures struct {
	drift.Figures
	Name       string
	Axis       int      // of the classes, as Output has it
	WorstNames []string // the names of the samples of Worst
}

// Worst returns the drift of a model, that of its worst output (cli.md, convert): NaN where one is, 0 for none.
func Worst(list []Figures) float64 {
	worst := 0.0
	for i := range list {
		d := list[i].Drift()
		if d-d != 0 && !math.IsInf(d, 1) {
			return math.NaN()
		}
		worst = max(worst, d)
	}
	return worst
}

// Pair is a reference model A and a model B that is compared with it. Reference, where not nil, is told what A makes
// of each sample, in order; its error ends the run.
type Pair struct {
	A, B      *infer.Program
	Outputs   []Output
	Reference func(s *dataset.Sample, outputs map[string]*onnxio.Array) error
}

// outcome is what both models made of one sample.
type outcome struct {
	sample *dataset.Sample
	a, b   map[string]*onnxio.Array
}

// Run feeds the given samples of set, each named once, nil for all, to both models and returns the drift of each
// output, in the order of p.Outputs. Labels of a sample belong to the first class output that has as many rows. progress, where not nil,
// is told after each sample, one call at a time.
func (p *Pair) Run(ctx context.Context, set *dataset.Set, samples []int, threads int, progress func(done, total int)) ([]Figures, error) {
	if samples == nil {
		samples = All(set)
	}
	meters := make([]*drift.Meter, len(p.Outputs))
	for i, o := range p.Outputs {
		meters[i] = drift.NewMeter(o.Kind)
	}
	names := map[int]string{}
	err := p.each(ctx, set, samples, threads, func(k int, o outcome) error {
		names[samples[k]] = o.sample.Name
		if p.Reference != nil {
			if err := p.Reference(o.sample, o.a); err != nil {
				return err
			}
		}
		if progress != nil {
			progress(k+1, len(samples))
		}
		return p.measure(meters, samples[k], o)
	})
	if err != nil {
		return nil, err
	}
	list := make([]Figures, len(meters))
	for i, m := range meters {
		list[i] = Figures{Figures: m.Figures(), Name: p.Outputs[i].Name, Axis: p.Outputs[i].Axis}
		for _, w := range list[i].Worst {
			list[i].WorstNames = append(list[i].WorstNames, names[w.Sample])
		}
	}
	return list, nil
}

// All returns the index of every sample of set.
func All(set *dataset.Set) []int {
	list := make([]int, set.Len())
	for i := range list {
		list[i] = i
	}
	return list
}

// each calls f with what both models make of each sample, in the order of samples.
func (p *Pair) each(ctx context.Context, set *dataset.Set, samples []int, threads int, f func(k int, o outcome) error) error {
	if len(set.Carry()) > 0 {
		return p.carried(ctx, set, samples, f)
	}
	return parallel.InOrder(ctx, threads, len(samples), func(k int) (outcome, error) {
		s, err := set.Sample(samples[k])
		if err != nil {
			return outcome{}, err
		}
		return p.both(&s, s.Feeds, s.Feeds)
	}, f)
}

func (p *Pair) both(s *dataset.Sample, feedsA, feedsB map[string]*onnxio.Array) (outcome, error) {
	a, err := p.A.Run(feedsA, nil)
	if err != nil {
		return outcome{}, fmt.Errorf("running the reference on %s: %w", s.Name, err)
	}
	b, err := p.B.Run(feedsB, nil)
	if err != nil {
		return outcome{}, fmt.Errorf("running the model on %s: %w", s.Name, err)
	}
	return outcome{s, a, b}, nil
}

// carried is each where the state of one sample is the input of the next.
func (p *Pair) carried(ctx context.Context, set *dataset.Set, samples []int, f func(k int, o outcome) error) error {
	var a, b state
	return inSteps(ctx, set, samples, func(k int, s *dataset.Sample) error {
		o, err := p.both(s, a.feeds(s, set.Carry()), b.feeds(s, set.Carry()))
		if err != nil {
			return err
		}
		a, b = o.a, o.b
		if k < 0 {
			return nil
		}
		return f(k, o)
	})
}

// inSteps calls f with every sample of set in order, up to the last one asked for, as the state of each is the input of
// the next. k is the sample's place among those asked for, -1 where it is none of them.
func inSteps(ctx context.Context, set *dataset.Set, samples []int, f func(k int, s *dataset.Sample) error) error {
	place := make(map[int]int, len(samples))
	end := 0
	for k, i := range samples {
		place[i] = k
		end = max(end, i+1)
	}
	for i := range end {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, err := set.Sample(i)
		if err != nil {
			return err
		}
		k, asked := place[i]
		if !asked {
			k = -1
		}
		if err := f(k, &s); err != nil {
			return err
		}
	}
	return nil
}

// state is what a model gave out at the step before, by output name.
type state map[string]*onnxio.Array

// feeds returns the sample's feeds with the inputs that carry names taken from the step before.
func (st state) feeds(s *dataset.Sample, carry map[string]string) map[string]*onnxio.Array {
	if s.Reset || st == nil {
		return s.Feeds
	}
	feeds := make(map[string]*onnxio.Array, len(s.Feeds))
	for name, v := range s.Feeds {
		feeds[name] = v
	}
	for output, input := range carry {
		if v := st[output]; v != nil {
			feeds[input] = v
		}
	}
	return feeds
}

// Fed is what a model is fed with on one sample.
type Fed struct {
	Name  string // of the sample, for messages
	Feeds map[string]*onnxio.Array
}

// Samples returns what p is fed with on the given samples of set, each named once: the samples' own arrays, and where
// the set carries state, the state that p itself gives.
func Samples(ctx context.Context, p *infer.Program, set *dataset.Set, samples []int) ([]Fed, error) {
	list := make([]Fed, len(samples))
	if len(set.Carry()) == 0 {
		for k, i := range samples {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			s, err := set.Sample(i)
			if err != nil {
				return nil, err
			}
			list[k] = Fed{s.Name, s.Feeds}
		}
		return list, nil
	}
	var st state
	err := inSteps(ctx, set, samples, func(k int, s *dataset.Sample) (err error) {
		feeds := st.feeds(s, set.Carry())
		if k >= 0 {
			list[k] = Fed{s.Name, feeds}
		}
		st, err = run(p, s, feeds)
		return err
	})
	return list, err
}

// Feeds is Samples without the names.
func Feeds(ctx context.Context, p *infer.Program, set *dataset.Set, samples []int) ([]map[string]*onnxio.Array, error) {
	fed, err := Samples(ctx, p, set, samples)
	if err != nil {
		return nil, err
	}
	list := make([]map[string]*onnxio.Array, len(fed))
	for k, f := range fed {
		list[k] = f.Feeds
	}
	return list, nil
}

// run runs a model on one sample; an error names it.
func run(p *infer.Program, s *dataset.Sample, feeds map[string]*onnxio.Array) (map[string]*onnxio.Array, error) {
	out, err := p.Run(feeds, nil)
	if err != nil {
		return nil, fmt.Errorf("running the model on %s: %w", s.Name, err)
	}
	return out, nil
}

// Execute runs one model on the given samples of set, each named once, nil for all, and calls f with each sample and
// the model's outputs, in order.
func Execute(ctx context.Context, p *infer.Program, set *dataset.Set, samples []int, threads int, f func(k int, s *dataset.Sample, outputs map[string]*onnxio.Array) error) error {
	if samples == nil {
		samples = All(set)
	}
	if len(set.Carry()) > 0 {
		var st state
		return inSteps(ctx, set, samples, func(k int, s *dataset.Sample) (err error) {
			if st, err = run(p, s, st.feeds(s, set.Carry())); err != nil || k < 0 {
				return err
			}
			return f(k, s, st)
		})
	}
	type ran struct {
		s       *dataset.Sample
		outputs map[string]*onnxio.Array
	}
	return parallel.InOrder(ctx, threads, len(samples), func(k int) (ran, error) {
		s, err := set.Sample(samples[k])
		if err != nil {
			return ran{}, err
		}
		out, err := run(p, &s, s.Feeds)
		return ran{&s, out}, err
	}, func(k int, r ran) error { return f(k, r.s, r.outputs) })
}

// measure adds one sample's outputs to the meters.
func (p *Pair) measure(meters []*drift.Meter, index int, o outcome) error {
	labels := o.sample.Labels
	for i, out := range p.Outputs {
		name := onnxio.Quote(out.Name)
		a, b := o.a[out.Name], o.b[out.Name]
		if a == nil || b == nil {
			return fmt.Errorf("comparing output %s on %s: one of the models does not have it", name, o.sample.Name)
		}
		if !slices.Equal(a.Shape, b.Shape) {
			return fmt.Errorf("comparing output %s on %s: shape %v against %v", name, o.sample.Name, a.Shape, b.Shape)
		}
		outer, classes, inner := out.Rows(a.Shape)
		var mine []int64
		if out.Kind.Classes() && labels != nil && len(labels) == outer*inner {
			mine, labels = labels, nil
			if i := slices.IndexFunc(mine, func(v int64) bool { return v >= int64(classes) }); i >= 0 {
				return &LabelError{out.Name, o.sample.Name, mine[i], classes}
			}
		}
		if err := meters[i].Add(index, Numbers(a), Numbers(b), outer, classes, inner, mine); err != nil {
			return fmt.Errorf("comparing output %s on %s: %w", name, o.sample.Name, err)
		}
	}
	return nil
}

// LabelError says that a label is none of the classes of the output that it is for.
type LabelError struct {
	Output, Sample string
	Label          int64
	Classes        int
}

// Error says it in one line, without the program's prefix.
func (e *LabelError) Error() string {
	return fmt.Sprintf("comparing output %s on %s: label %d, want less than the %d classes", onnxio.Quote(e.Output), e.Sample, e.Label, e.Classes)
}

// Numbers returns the elements of any numeric array as float32.
func Numbers(a *onnxio.Array) []float32 {
	switch d := a.Data.(type) {
	case []float32:
		return d
	case []float64:
		out := make([]float32, len(d))
		for i, v := range d {
			out[i] = float32(v)
		}
		return out
	}
	ints := a.Ints()
	out := make([]float32, len(ints))
	for i, v := range ints {
		out[i] = float32(v)
	}
	return out
}
