package cli

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"bq/internal/compare"
	"bq/internal/dataset"
	"bq/onnxio"
	"bq/verify"
)

func (s *session) runCommand() *urfave.Command {
	flags := []urfave.Flag{
		&urfave.BoolFlag{Name: "time", Usage: "measure median and 90th percentile per sample, warm, one sample at a time", DisableDefaultText: true},
	}
	return s.command(urfave.Command{
		Name: "run", Usage: "run a model", ArgsUsage: "MODEL.bq|MODEL.onnx --data PATH [-o OUT.npz] [--time]",
		Description: "bq run model.bq --data samples.npz\nbq run model.onnx --data photos --image preset=imagenet\nbq run model.bq --data samples.npz -o out.npz --time",
		Flags:       append(flags, dataFlags()...),
	}, "an .npz of all outputs, - for stdout", true, s.runModel)
}

type runRecord struct {
	Schema  string        `json:"schema"`
	Model   verify.Model  `json:"model"`
	Data    *dataset.Info `json:"data"`
	Outputs []runOutput   `json:"outputs"`
	Time    *runTime      `json:"time"`
}

type runOutput struct {
	Sample string     `json:"sample"`
	Name   string     `json:"name"`
	Kind   string     `json:"kind"`
	Shape  []int      `json:"shape"`
	Top    []topClass `json:"top"` // the largest classes of the first row; empty for values
}

type topClass struct {
	Index int      `json:"index"`
	Value nullable `json:"value"`
}

type runTime struct {
	Samples int     `json:"samples"`
	Median  float64 `json:"median_s"`
	P90     float64 `json:"p90_s"`
	Threads int     `json:"threads"`
}

func (s *session) runModel(c *urfave.Context) error {
	if err := exactly(c, "one model"); err != nil {
		return err
	}
	if !hasData(c) {
		return &usageError{text: "reading arguments: run needs samples", hint: "add --data PATH"}
	}
	var err error
	path := c.Args().First()
	var out *target
	if c.IsSet("output") {
		none := func(string) bool { return false } // an .npz does not say who wrote it
		if out, err = s.outTarget(c, &target{ours: none, avoid: []string{path, c.String("data")}}); err != nil {
			return err
		}
	}
	m, err := s.side(path)
	if err != nil {
		return err
	}
	defer m.close()
	set, kinds, err := s.samples(c, m.Graph, 0)
	if err != nil {
		return err
	}
	outputs, err := compare.Outputs(m.Graph, kinds)
	if err != nil {
		return err
	}
	rn := &runner{session: s, outputs: outputs, keep: c.String("output") != ""}
	if err := rn.all(m, set, s.threads, c.Bool("time")); err != nil {
		return err
	}
	if rn.keep {
		if err := rn.save(out, c.String("output")); err != nil {
			return err
		}
	}
	if s.json {
		data, err := set.Describe()
		if err != nil {
			return err
		}
		return s.printJSON(rn.record(m.Model, &data))
	}
	if rn.time != nil {
		s.printf("%s, median %.3g ms, p90 %.3g ms, %s\n", plural(rn.time.Samples, "sample"), 1e3*rn.time.Median, 1e3*rn.time.P90, plural(rn.time.Threads, "thread"))
	}
	return nil
}

// runner collects what a model makes of the samples.
type runner struct {
	*session
	outputs []compare.Output
	keep    bool
	arrays  [][]*onnxio.Array // by output, by sample
	records []runOutput       // by sample, by output
	time    *runTime
}

func (r *runner) all(m *side, set *dataset.Set, threads int, timed bool) error {
	r.arrays = make([][]*onnxio.Array, len(r.outputs))
	if timed {
		if err := r.measure(m, set, threads); err != nil {
			return err
		}
	}
	progress := r.newProgress()
	defer progress.stop()
	return compare.Execute(r.ctx, m.Program, set, nil, threads, func(k int, sample *dataset.Sample, got map[string]*onnxio.Array) error {
		progress.update("running", k+1, set.Len())
		for i, o := range r.outputs {
			a := got[o.Name]
			if a == nil {
				return fmt.Errorf("running on %s: no output %s", sample.Name, onnxio.Quote(o.Name))
			}
			r.take(i, o, sample.Name, a)
		}
		return nil
	})
}

// topCount is how many classes of a row are shown.
const topCount = 5

func (r *runner) take(i int, o compare.Output, sample string, a *onnxio.Array) {
	if r.keep {
		r.arrays[i] = append(r.arrays[i], a)
	}
	rec := runOutput{Sample: sample, Name: o.Name, Kind: o.Kind.String(), Shape: a.Shape, Top: []topClass{}}
	if o.Kind.Classes() {
		rec.Top = largest(a, o)
	}
	if r.json {
		r.records = append(r.records, rec)
		return
	}
	if len(rec.Top) == 0 {
		r.printf("%s  %s  %s\n", escape(sample), escape(o.Name), summary(a))
		return
	}
	parts := make([]string, len(rec.Top))
	for k, t := range rec.Top {
		parts[k] = fmt.Sprintf("%d %.4g", t.Index, t.Value)
	}
	r.printf("%s  %s  %s\n", escape(sample), escape(o.Name), strings.Join(parts, "  "))
}

// largest returns the classes of largest score of the first row of an output, NaN last; of equals, the lowest first.
// It is empty, not nil, where the output has no row or no class.
func largest(a *onnxio.Array, o compare.Output) []topClass {
	x := compare.Numbers(a)
	outer, classes, inner := o.Rows(a.Shape)
	list := []topClass{}
	if outer*inner == 0 {
		return list
	}
	for k := range classes {
		list = append(list, topClass{k, nullable(x[k*inner])})
	}
	slices.SortStableFunc(list, func(a, b topClass) int { return cmp.Compare(b.Value, a.Value) })
	return list[:min(topCount, len(list))]
}

// summary describes an output without classes.
func summary(a *onnxio.Array) string {
	x := compare.Numbers(a)
	if len(x) == 0 {
		return shapeText(a.Shape) + " empty"
	}
	low, high, sum := math.Inf(1), math.Inf(-1), 0.0
	for _, v := range x {
		low, high, sum = min(low, float64(v)), max(high, float64(v)), sum+float64(v)
	}
	return fmt.Sprintf("%s  min %.4g  max %.4g  mean %.4g", shapeText(a.Shape), low, high, sum/float64(len(x)))
}

// warmRuns are made before the clock counts.
const warmRuns = 3

// measure times one sample after the other, with the given threads inside the model.
func (r *runner) measure(m *side, set *dataset.Set, threads int) error {
	p, err := m.withThreads(threads)
	if err != nil {
		return err
	}
	fed, err := compare.Samples(r.ctx, p, set, compare.All(set))
	if err != nil {
		return err
	}
	var times []float64
	for i := range len(fed) + warmRuns {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		sample := fed[i%len(fed)]
		start := time.Now()
		if _, err := p.Run(sample.Feeds, nil); err != nil {
			return fmt.Errorf("running the model on %s: %w", sample.Name, err)
		}
		if i >= warmRuns {
			times = append(times, time.Since(start).Seconds())
		}
	}
	slices.Sort(times)
	r.time = &runTime{Samples: len(times), Median: times[len(times)/2], P90: times[(len(times)*9)/10], Threads: threads}
	return nil
}

// save writes the outputs of all samples, each joined along its first axis.
func (r *runner) save(out *target, path string) error {
	var arrays []dataset.Named
	for i, o := range r.outputs {
		a, err := joined(r.arrays[i])
		if err != nil {
			return fmt.Errorf("writing %s: output %s: %w", path, onnxio.Quote(o.Name), err)
		}
		arrays = append(arrays, dataset.Named{Name: o.Name, Array: a})
	}
	fill := func(w io.Writer) error {
		b := bufio.NewWriter(w)
		if err := dataset.WriteNPZ(b, arrays); err != nil {
			return fmt.Errorf("writing %s: %w", path, err)
		}
		return b.Flush()
	}
	verify := func(string) error { return nil }
	if out == nil {
		return r.toStdout(fill, verify)
	}
	return out.write(fill, verify)
}

// joined puts the samples' arrays behind each other: along the first axis where it is the batch, which all but scalars
// have, else along a new one.
func joined(list []*onnxio.Array) (*onnxio.Array, error) {
	if len(list) == 0 {
		return nil, fmt.Errorf("no samples")
	}
	return onnxio.Concat(list)
}

func (r *runner) record(m verify.Model, data *dataset.Info) runRecord {
	return runRecord{Schema: "bq.run/1", Model: m, Data: data, Outputs: append([]runOutput{}, r.records...), Time: r.time}
}
