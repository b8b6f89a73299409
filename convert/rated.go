package convert

import (
	"bq/balance"
	"bq/internal/compare"
	"bq/internal/infer"
	"bq/onnxio"
)

// rated is a conversion under a budget. One knob sets the rate of all weights, whose steps or bits differ by what each of them does
// to the outputs: integers times a step where the codes are coded by entropy, else a whole number of bits.
type rated struct {
	*converter
	plans   map[*job]*stepPlan // of the weights that the knob turns
	active  []*stepPlan        // the same in file order
	whole   bool               // whole numbers of bits
	weights int64              // all float weights
	live    int                // weights that the knob turns and that are not dead
	refit   *refit             // nil without data
	pilot   sizes              // at the knob of the aim, where it was tried
}

// withBudget quantizes under a budget. feeds are what the samples that fit feed the float model with, nil without data.
func (c *converter) withBudget(float *infer.Program, feeds []map[string]*onnxio.Array) error {
	r, err := c.newRated()
	if err != nil {
		return err
	}
	if len(r.active) == 0 {
		if feeds != nil {
			if r.refit, err = c.newRefit(feeds); err != nil {
				return err
			}
		}
		return r.codeAll(1, false)
	}
	allocate(r.active, nil)
	if feeds == nil {
		return r.search(false)
	}
	var judge []int
	if c.Budget.Kind == BudgetDrift {
		judge = c.setAside()
		if feeds, err = compare.Feeds(c.ctx, float, c.Samples, c.fitted); err != nil {
			return err
		}
	}
	if r.refit, err = c.newRefit(feeds); err != nil {
		return err
	}
	if err := r.measureSensitivities(feeds); err != nil {
		return err
	}
	compensate, err := r.compensates(feeds, float)
	if err != nil {
		return err
	}
	if c.Budget.Kind == BudgetDrift {
		return r.searchDrift(float, feeds, judge, compensate)
	}
	return r.search(compensate)
}

// newRated plans every weight that is to be quantized; those with values that are not finite are kept, and those that
// --bits-of gives bits get them.
func (c *converter) newRated() (*rated, error) {
	r := &rated{converter: c, plans: map[*job]*stepPlan{}, whole: c.wholeBits()}
	readers := readersOf(c.src.Model)
	for _, j := range c.jobs {
		n, err := j.Tensor.Elements()
		if err != nil {
			return nil, err
		}
		r.weights += int64(n)
		if j.reason != "" {
			continue
		}
		w, err := j.values()
		if err != nil {
			return nil, err
		}
		if !finite(w) {
			j.reason = Nonfinite
			continue
		}
		if j.fixed {
			continue
		}
		p := newStepPlan(w, j.layout, !c.Group.PerTensor && rowSteps(j, readers))
		p.whole = r.whole
		if c.narrow(j) {
			p.fitInt8(w, j.layout)
		}
		r.plans[j], r.active, r.live = p, append(r.active, p), r.live+p.live
	}
	return r, nil
}

// narrow reports whether the codes of j are to be int8: activations are codes too, and products of both are wanted.
func (o *Options) narrow(j *job) bool { return o.ActBits > 0 && j.layout.Block == 0 }

// wholeBits reports whether weights under a budget take whole numbers of bits: where a method asks for that, or the codes are
// to be stored plainly.
func (o *Options) wholeBits() bool {
	m := o.method()
	return m.name != "auto" && m.name != "entropy" || o.Codec == CodecNone
}

// aim returns the bits that the codes are first tried at.
func (r *rated) aim() float64 {
	if r.Budget.Kind == BudgetBPW {
		return min(r.Budget.Value, maxFirstBits) * float64(r.live)
	}
	return referenceBits * float64(r.live)
}

// maxFirstBits bounds the rate that a search starts from.
const maxFirstBits = 8

// codeAll codes every weight at a knob; compensate lets layers make up for what earlier ones have changed.
func (r *rated) codeAll(knob float64, compensate bool) error {
	mu := r.rateStrength(knob)
	r.knob = knob
	for _, j := range r.jobs {
		p := r.plans[j]
		if p != nil && j.reason == Gain { // of other bits
			j.reason = ""
		}
		if j.reason == "" && (p == nil || r.whole) {
			if p != nil {
				j.bits = p.bits(knob)
			}
			if err := j.quantize(r.method(), r.typical, r.refit == nil && j.sumsInputs()); err != nil {
				return err
			}
		}
	}
	coderFor := func(j *job) coder {
		if p := r.plans[j]; p != nil && !r.whole {
			return newStepCoder(p, knob, mu)
		}
		return newGridCoder(j.q)
	}
	if r.refit != nil {
		return r.refit.pass(coderFor, compensate)
	}
	for _, j := range r.jobs {
		p := r.plans[j]
		if j.reason != "" || p == nil || r.whole {
			continue
		}
		w, err := j.values()
		if err != nil {
			return err
		}
		k := newStepCoder(p, knob, 0)
		plainly(k, w)
		if err := j.settle(k, w); err != nil {
			return err
		}
	}
	return nil
}

// estimate returns the bits of all codes at a knob, by the entropy of excerpts.
func (r *rated) estimate(knob float64) float64 {
	sum := 0.0
	for _, p := range r.active {
		sum += p.estimate(knob)
	}
	return sum
}

// The rate term of rounding fades out between these bits a weight, by the entropy of plainly rounded integers: bits are worth more
// where there are few (recipe.md A1.3).
const (
	mostRateStrength = 0.5
	fullRateBits     = 3.0
	noRateBits       = 5.5
)

// rateStrength returns how strongly rounding looks at the rate.
func (r *rated) rateStrength(knob float64) float64 {
	if r.refit == nil || r.whole {
		return 0
	}
	bits := r.estimate(knob) / float64(max(1, r.live))
	return mostRateStrength * max(0, min(1, (noRateBits-bits)/(noRateBits-fullRateBits)))
}

// Search for the knob that fills a budget.
const (
	maxRounds = 8
	closeness = 0.005 // of the bytes of codes that may stay unused
)

// fit is what codes at a knob came to: by how many bytes they exceed their room.
type fit struct{ knob, over float64 }

// search codes all weights so that the file fits the budget, and fills it.
func (r *rated) search(compensate bool) error {
	knob := knobFor(r.active, r.aim())
	if r.pilot.codes > 0 {
		if knob = r.nextKnob(r.pilot, knob, nil, nil); knob == 0 {
			return r.outOfReach()
		}
	}
	var fine, coarse *fit // the nearest knobs on both sides
	for round := range maxRounds {
		if err := r.codeAll(knob, compensate); err != nil {
			return err
		}
		s, err := r.trial()
		if err != nil {
			return err
		}
		over := r.over(s)
		if over <= 0 && (-over <= closeness*float64(s.codes) || round >= maxRounds/2) {
			return nil
		}
		if over > 0 {
			fine = &fit{knob, over}
		} else {
			coarse = &fit{knob, over}
		}
		next := r.nextKnob(s, knob, fine, coarse)
		if next == 0 {
			return r.outOfReach()
		}
		if next == knob {
			if over <= 0 {
				return nil
			}
			next *= 1.01
		}
		knob = next
	}
	if coarse != nil { // whole bits leave gaps
		return r.codeAll(coarse.knob, compensate)
	}
	return r.outOfReach()
}

// nextKnob returns the knob that should fill the budget but for a little, where codes at knob gave a file of sizes s; 0 where there
// is no room for codes. Between two knobs that were tried it interpolates.
func (r *rated) nextKnob(s sizes, knob float64, fine, coarse *fit) float64 {
	over := r.over(s)
	codes := float64(s.codes - s.fixed)
	room := codes - over
	if room <= float64(len(r.active)) {
		return 0
	}
	aim := -closeness / 2 * room
	if fine != nil && coarse != nil {
		part := (aim - fine.over) / (coarse.over - fine.over)
		part = max(0.05, min(0.95, part))
		return balance.Exp2(balance.Log2(fine.knob) + float64(part*(balance.Log2(coarse.knob)-balance.Log2(fine.knob))))
	}
	return knobFor(r.active, (room+aim)*r.estimate(knob)/max(1, codes))
}

// coarsestKnob is the rate knob at which next to nothing is left of a weight.
const coarsestKnob = 1 << 8

// outOfReach returns the error of a budget that even the coarsest codes exceed.
func (r *rated) outOfReach() error {
	r.refit = nil
	if err := r.codeAll(coarsestKnob, false); err != nil {
		return err
	}
	s, err := r.trial()
	if err != nil {
		return err
	}
	e := &ReachError{Budget: r.Budget, Nearest: float64(s.total)}
	if r.Budget.Kind == BudgetBPW {
		e.Nearest = 8 * float64(s.codes+s.scales+s.kept) / float64(max(1, r.weights))
	}
	return e
}

// over returns by how many bytes s, and what the closing pass is still to add, exceed a budget; negative below.
func (r *rated) over(s sizes) float64 {
	biases, rest := r.still()
	if r.Budget.Kind == BudgetSize {
		return float64(s.total+biases+rest) - r.Budget.Value
	}
	return float64(s.codes+s.scales+s.kept+biases) - r.Budget.Value*float64(r.weights)/8
}

// What the closing pass adds to a file, at most: for each bias vector an entry and a name in the graph, for each output a line of
// metadata, and what a few biases of other values take more when they are compressed.
const (
	biasEntryBytes  = 96
	outputMetaBytes = 160
	changeBytes     = 64
)

// still returns the bytes that the closing pass is still to add: of bias vectors' values, and of everything else.
func (r *rated) still() (biases, rest int64) {
	if r.refit == nil || r.refit.table != nil { // which has added it
		return 0, 0
	}
	for _, k := range r.refit.corrected {
		if k.bias == nil && (!k.optional || r.paying[k.index]) {
			biases += int64(k.channels * k.typ.Bits() / 8)
			rest += biasEntryBytes + int64(2*len(k.output))
		}
	}
	return biases, rest + outputMetaBytes*int64(len(r.src.Model.Graph.Outputs)) + changeBytes
}
