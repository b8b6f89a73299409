package convert

import (
	"bytes"
	"context"
	"errors"
	"math"

	"bq/balance"
	"bq/internal/compare"
	"bq/internal/dataset"
	"bq/internal/infer"
	"bq/internal/moments"
	"bq/onnxio"
	"bq/packing"
)

// Forecast says what a conversion would make of a model.
type Forecast struct {
	Result                                *Result
	Codes, Scales, Kept, Graph, Container int64               // bytes of the file; see packing.File.Sizes
	Bytes                                 int64               // of the whole file
	Alone                                 map[string]*float64 // drift that each quantized weight causes alone, by name; nil without data
	Drift                                 *float64            // of all together: on samples that take no part, else the sum; nil without data
}

// BitsPerWeight returns the rate of the file as a budget counts it.
func (f *Forecast) BitsPerWeight() float64 {
	n := int64(0)
	for _, t := range f.Result.Tensors {
		if t.Reason != Coded {
			n += int64(t.Elements)
		}
	}
	return 8 * float64(f.Codes+f.Scales+f.Kept) / float64(max(1, n))
}

// Planner forecasts conversions of one model. What it knows of the samples is measured once.
type Planner struct {
	ctx    context.Context
	src    *onnxio.File
	table  *Table            // nil without data
	judge  *judge            // nil without samples
	curves map[string]*curve // of the weights whose drift was measured
}

// judge measures drift on the samples that take no part.
type judge struct {
	float   *infer.Program
	outputs []compare.Output
	set     *dataset.Set
	samples []int
	threads int
}

// curve is the drift of one weight alone over its noise, both as logarithms, by falling noise.
type curve struct{ noise, drift []float64 }

// planKnobs are the rate knobs at which the drift of each weight is measured for a forecast: steps in octaves.
var planKnobs = []float64{2, 1, 0.5, 0.125}

// NewPlanner measures what the samples of o, or its table, say of the model; o's flags do not count but for those of data.
func NewPlanner(ctx context.Context, src *onnxio.File, o Options) (*Planner, error) {
	p := &Planner{ctx: ctx, src: src, table: o.Table, curves: map[string]*curve{}}
	switch {
	case o.Samples != nil:
		return p, p.measure(o)
	case o.Table != nil:
		return p, p.read(o)
	}
	return p, nil
}

// measure runs the model, as a conversion does in its first pass, and measures each weight alone at several rates, coded on its inputs.
func (p *Planner) measure(o Options) error {
	o.Budget, o.BitsOf, o.Keep, o.Bits, o.ActBits, o.Method, o.Group, o.Codec = Budget{BudgetBPW, referenceBits}, nil, nil, balance.MaxBits, 0, Auto, Group{}, CodecAuto
	c := &converter{Options: o, ctx: p.ctx, src: p.src}
	if err := c.plan(); err != nil {
		return err
	}
	if err := c.checkPlan(); err != nil {
		return err
	}
	float, feeds, err := c.feed()
	if err != nil {
		return err
	}
	if p.table, err = c.firstPart(float); err != nil {
		return c.named(err)
	}
	p.table.sums = map[string]*moments.Sums{}
	p.judge = &judge{float: float, set: o.Samples, samples: c.checked, threads: o.Threads}
	if p.judge.outputs, err = compare.Outputs(p.src.Model, o.OutputKinds); err != nil {
		return err
	}
	r, err := c.newRated()
	if err != nil || len(r.active) == 0 {
		return err
	}
	allocate(r.active, nil)
	if r.refit, err = c.newRefit(feeds); err != nil {
		return err
	}
	probe, err := r.newProbe(feeds, r.refit.corrected)
	if err != nil {
		return err
	}
	done := 0
	drifts, sensitivities := map[*job][]float64{}, map[string]float64{}
	err = r.eachAlone(probe, planKnobs, func(j *job, at int, sensitivity, drift float64) {
		drifts[j] = append(drifts[j], drift)
		if planKnobs[at] == 1 {
			sensitivities[j.name] = sensitivity
		}
		done++
		c.progress("quantizing one weight at a time", done, len(planKnobs)*len(r.active))
	}, func(l *layer, sums *moments.Sums) {
		if sums.Len() > 0 {
			p.table.sums[l.name] = sums
		}
	})
	if err != nil {
		return c.named(err)
	}
	for i := range p.table.Weights {
		if s, ok := sensitivities[p.table.Weights[i].Name]; ok {
			p.table.Weights[i].Sensitivity = &s
		}
	}
	for j, list := range drifts {
		w, err := j.values()
		if err != nil {
			return err
		}
		k := &curve{}
		for i, knob := range planKnobs {
			s := newStepCoder(r.plans[j], knob, 0)
			plainly(s, w)
			if err := k.add(j, w, s, list[i]); err != nil {
				return err
			}
		}
		p.curves[j.name] = k
	}
	return nil
}

// read takes the drift of each weight alone from a table.
func (p *Planner) read(o Options) error {
	c := &converter{Options: Options{Bits: balance.MaxBits, Threads: o.Threads}, ctx: p.ctx, src: p.src}
	if err := c.plan(); err != nil {
		return err
	}
	known := map[string][]TableAlone{}
	for _, w := range p.table.Weights {
		known[w.Name] = w.Alone
	}
	readers := readersOf(p.src.Model)
	for _, j := range c.jobs {
		if j.reason != "" || len(known[j.name]) == 0 {
			continue
		}
		w, err := j.values()
		if err != nil {
			return err
		}
		plan := newStepPlan(w, j.layout, rowSteps(j, readers))
		if !finite(w) || plan.reference == 0 {
			continue
		}
		k := &curve{}
		for _, a := range known[j.name] {
			s := newStepCoder(plan, plan.stepFor(float64(a.Bits))/plan.reference, 0)
			plainly(s, w)
			if err := k.add(j, w, s, a.Drift); err != nil {
				return err
			}
		}
		p.curves[j.name] = k
	}
	return nil
}

// add adds a point: what k made of w, and the drift that this causes.
func (v *curve) add(j *job, w []float32, k *stepCoder, drift float64) error {
	q, err := k.quantized()
	if err != nil {
		return err
	}
	got := make([]float32, len(w))
	q.decoded(j.Tensor.Type, got)
	if noise := -balance.SQNR(w, got) * math.Log2(10) / 10; drift > 0 && noise-noise == 0 {
		v.noise, v.drift = append(v.noise, noise), append(v.drift, math.Log2(drift))
	}
	return nil
}

// at returns the drift at a noise in octaves of the signal's power: between points a line, beyond them the proportion of drift to noise
// that small errors have.
func (v *curve) at(noise float64) float64 {
	n := len(v.noise)
	if n == 0 {
		return 0
	}
	i := 0
	for i < n && v.noise[i] > noise {
		i++
	}
	switch {
	case i == 0:
		return math.Exp2(v.drift[0] + noise - v.noise[0])
	case i == n:
		return math.Exp2(v.drift[n-1] + noise - v.noise[n-1])
	}
	part := (noise - v.noise[i]) / (v.noise[i-1] - v.noise[i])
	return math.Exp2(v.drift[i] + part*(v.drift[i-1]-v.drift[i]))
}

// Forecast says what a conversion with the flags of o would make.
func (p *Planner) Forecast(o Options) (*Forecast, error) {
	if o.Budget.Kind == BudgetDrift {
		return p.byDrift(o)
	}
	var out bytes.Buffer
	o.Samples, o.Table, o.Record = nil, p.table, false
	r, err := Convert(p.ctx, p.src, &out, o)
	if err != nil {
		return nil, err
	}
	file, err := packing.Open(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		return nil, err
	}
	f := &Forecast{Result: r, Bytes: int64(out.Len()), Alone: map[string]*float64{}}
	f.Codes, f.Scales, f.Kept, f.Graph, f.Container = file.Sizes()
	if p.table == nil {
		return f, nil
	}
	sum := 0.0
	for _, t := range r.Tensors {
		if k := p.curves[t.Name]; k != nil && t.Quantized() {
			alone := 0.0
			if noise := -t.SQNR * math.Log2(10) / 10; noise-noise == 0 {
				alone = k.at(noise)
			}
			f.Alone[t.Name] = &alone
			sum += alone
		}
	}
	f.Drift = &sum
	if p.judge == nil {
		return f, nil
	}
	f.Drift, err = p.judge.drift(p.ctx, file)
	return f, err
}

// drift returns the drift of the worst output of a container, nil where one is not finite.
func (j *judge) drift(ctx context.Context, file *packing.File) (*float64, error) {
	m, _, err := Restore(file, FormFloat)
	if err != nil {
		return nil, err
	}
	p, err := infer.Options{Threads: 1}.Compile(m)
	if err != nil {
		return nil, err
	}
	figures, err := (&compare.Pair{A: j.float, B: p, Outputs: j.outputs}).Run(ctx, j.set, j.samples, j.threads, nil)
	worst := compare.Worst(figures)
	if worst-worst != 0 {
		return nil, err
	}
	return &worst, err
}

// The search for the smallest file whose forecast drift stays within a budget: rates between which it lies, and the rounds.
const (
	leastPlanRate = 1.0
	mostPlanRate  = 12.0
	planRounds    = 8
)

// byDrift returns the forecast of the smallest file whose drift stays within the budget.
func (p *Planner) byDrift(o Options) (*Forecast, error) {
	limit := o.Budget.Value
	low, high := math.Log2(leastPlanRate), math.Log2(mostPlanRate)
	var best *Forecast
	least := math.Inf(1)
	for range planRounds {
		mid := (low + high) / 2
		o.Budget = Budget{BudgetBPW, math.Exp2(mid)}
		f, err := p.Forecast(o)
		if reach := (*ReachError)(nil); errors.As(err, &reach) {
			low = mid
			continue
		}
		if err != nil {
			return nil, err
		}
		if f.Drift != nil {
			least = min(least, *f.Drift)
		}
		if f.Drift != nil && *f.Drift <= limit {
			best, high = f, mid
		} else {
			low = mid
		}
	}
	if best == nil {
		return nil, &ReachError{Budget{BudgetDrift, limit}, least}
	}
	return best, nil
}

// CurvePoint is a size and the drift that is forecast there.
type CurvePoint struct {
	BPW   float64
	Bytes int64
	Drift *float64
}

// curveRates are the rates of a curve (cli.md, plan).
var curveRates = []float64{1.5, 2, 3, 4, 6, 8}

// Curve forecasts sizes and drift at 1.5, 2, 3, 4, 6 and 8 bits a weight, without those that are out of reach.
func (p *Planner) Curve(o Options) ([]CurvePoint, error) {
	var list []CurvePoint
	for _, rate := range curveRates {
		o.Budget = Budget{BudgetBPW, rate}
		f, err := p.Forecast(o)
		if reach := (*ReachError)(nil); errors.As(err, &reach) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, CurvePoint{f.BitsPerWeight(), f.Bytes, f.Drift})
	}
	return list, nil
}
