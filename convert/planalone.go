package convert

import (
	"math"

	"bq/balance"
	"bq/internal/compare"
	"bq/internal/infer"
	"bq/internal/moments"
	"bq/onnxio"
)

// What each weight does to the outputs alone, at the bits that a plan gives it: measured at one step, or at the widths of a table,
// and carried to others by the noise of its codes.

// curve is the drift of one weight alone over its noise, both as logarithms, by falling noise.
type curve struct{ noise, drift []float64 }

// aloneSamples is how many samples show what weights do alone where the conversion itself does not measure that.
const aloneSamples = 16

// Alone fills in the drift that each quantized weight of a forecast causes alone, nil for those of which that is not known. Where the
// conversion did not measure it, one weight after the other is coded alone, on a few samples.
func (p *Planner) Alone(f *Forecast, o Options) error {
	if o.Samples == nil {
		return nil // by a table it is there
	}
	if len(p.heard) == 0 {
		if err := p.survey(o, aloneSamples, false); err != nil {
			return err
		}
	}
	if err := p.hear(o); err != nil {
		return err
	}
	drift := f.Drift
	p.sumUp(f)
	f.Drift = drift
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

// hear makes a curve of each weight that was heard: one point, at the noise of its reference step.
func (p *Planner) hear(o Options) error {
	c, r, err := p.referenced(o)
	if err != nil {
		return err
	}
	for _, j := range c.jobs {
		a, ok := p.heard[j.name]
		if !ok || r.plans[j] == nil {
			continue
		}
		w, err := j.values()
		if err != nil {
			return err
		}
		k, s := &curve{}, newStepCoder(r.plans[j], 1, 0)
		plainly(s, w)
		if err := k.add(j, w, s, a.drift); err != nil {
			return err
		}
		p.curves[j.name] = k
	}
	return nil
}

// referenced plans all weights as under a budget, so that each has its reference step.
func (p *Planner) referenced(o Options) (*converter, *rated, error) {
	c := &converter{Options: Options{Samples: o.Samples, Threads: o.Threads, OutputKinds: o.OutputKinds, KeepBiases: o.KeepBiases, MinElements: o.MinElements, MadeBy: o.MadeBy,
		Progress: o.Progress, Bits: balance.MaxBits, Budget: Budget{BudgetBPW, referenceBits}, rehearsal: o.rehearsal}, ctx: p.ctx, src: p.src}
	if err := c.plan(); err != nil {
		return nil, nil, err
	}
	if err := c.checkPlan(); err != nil {
		return nil, nil, err
	}
	r, err := c.newRated()
	if err == nil {
		allocate(r.active, nil)
	}
	return c, r, err
}

// survey runs the model as a conversion does in its first pass: on some of the samples, 0 for all, it hears what each weight does
// alone, unless that is known. whole makes a table of what is seen, and a judge, so that conversions can be forecast by the table.
func (p *Planner) survey(o Options, some int, whole bool) error {
	c, r, err := p.referenced(o)
	if err != nil {
		return err
	}
	float, feeds, err := c.feed()
	if err != nil {
		return err
	}
	if some > 0 {
		feeds = evenly(feeds, some)
	}
	if whole {
		if err := p.tabulate(c, float, o); err != nil {
			return c.named(err)
		}
	}
	if len(r.active) == 0 {
		return nil
	}
	if r.refit, err = c.newRefit(feeds); err != nil {
		return err
	}
	return c.named(p.listen(c, r, feeds, whole))
}

// listen hears what each weight does alone, unless that is known, and where whole is set keeps the moments of the layers' inputs.
func (p *Planner) listen(c *converter, r *rated, feeds []map[string]*onnxio.Array, whole bool) error {
	var probe *probe
	var knobs []float64
	var err error
	if len(p.heard) == 0 {
		if probe, err = r.newProbe(feeds, r.refit.corrected); err != nil {
			return err
		}
		knobs = []float64{1}
	}
	var observed func(l *layer, sums *moments.Sums)
	if whole {
		observed = func(l *layer, sums *moments.Sums) {
			if sums.Len() > 0 {
				p.table.sums[l.name] = sums
			}
		}
	}
	done := 0
	return r.eachAlone(probe, knobs, func(j *job, _ int, sensitivity, drift float64) {
		p.heard[j.name] = alone{sensitivity, drift}
		done++
		c.progress("quantizing one weight at a time", done, len(r.active))
	}, observed)
}

// tabulate makes the table, and the judge of what is forecast by it.
func (p *Planner) tabulate(c *converter, float *infer.Program, o Options) (err error) {
	if p.table, err = c.firstPart(float); err != nil {
		return err
	}
	p.table.sums = map[string]*moments.Sums{}
	p.judge = &judge{float: float, set: o.Samples, samples: c.checked, threads: o.Threads}
	p.judge.outputs, err = compare.Outputs(p.src.Model, o.OutputKinds)
	return err
}
