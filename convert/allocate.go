package convert

import (
	"math"

	"bq/balance"
	"bq/internal/moments"
	"bq/onnxio"
)

// allocationPower tempers sensitivities, which are measured with noise (recipe.md A1.2).
const allocationPower = 0.75

// leastSensitivity stands for a weight whose drift is too small to see, in parts of the largest.
const leastSensitivity = 1e-7

// allocate sets the multipliers of the plans so that every tensor has the same slope of drift over bits:
// sqrt(n/a^0.75), with the sensitivities a by plan, nil for none: sqrt(n).
func allocate(plans []*stepPlan, sensitivities []float64) {
	top := 0.0
	for _, a := range sensitivities {
		top = max(top, a)
	}
	for i, p := range plans {
		p.multiplier = math.Sqrt(float64(max(1, p.live)))
		if top > 0 {
			p.multiplier /= balance.Power(max(sensitivities[i]/top, leastSensitivity), allocationPower/2)
		}
	}
	balanceMultipliers(plans)
}

// measureSensitivities fills the multipliers from data.
func (r *rated) measureSensitivities(feeds []map[string]*onnxio.Array) error {
	probe, err := r.newProbe(feeds, r.refit.corrected)
	if err != nil {
		return err
	}
	found := map[*stepPlan]float64{}
	err = r.eachAlone(probe, []float64{1}, func(j *job, _ int, sensitivity, drift float64) {
		found[r.plans[j]] = sensitivity
		if r.rehearsal != nil {
			r.rehearsal.alone[j.name] = alone{sensitivity, drift}
		}
		r.measured(j, sensitivity)
		r.progress("measuring sensitivity", len(found), len(r.active))
	}, nil)
	if err != nil {
		return err
	}
	list := make([]float64, len(r.active))
	for i, p := range r.active {
		list[i] = found[p]
	}
	allocate(r.active, list)
	return nil
}

// eachAlone codes one weight after the other, on the inputs that the float model gives its layer and with its mean error taken back,
// at each of the knobs. take is told the place of the knob, and what the weight alone does to the outputs.
//
// observed, where not nil, is told the moments of each layer's inputs.
func (r *rated) eachAlone(probe *probe, knobs []float64, take func(j *job, at int, sensitivity, drift float64), observed func(l *layer, sums *moments.Sums)) error {
	layered := map[*job]bool{}
	for _, l := range r.refit.layers {
		layered[l.job] = true
	}
	correction := map[int]*correction{}
	for _, k := range r.refit.corrected {
		correction[k.index] = k
	}
	measure := func(j *job, at int, list []exchange) error {
		sensitivity, drift, err := probe.measureBoth(list)
		if err == nil {
			take(j, at, sensitivity, drift)
		}
		return err
	}
	for _, j := range r.jobs {
		if r.plans[j] == nil || layered[j] {
			continue
		}
		w, err := j.values()
		if err != nil {
			return err
		}
		for at, knob := range knobs {
			k := newStepCoder(r.plans[j], knob, 0)
			plainly(k, w)
			list, _, err := probe.coded(j, k)
			if err == nil {
				err = measure(j, at, list)
			}
			if err != nil {
				return err
			}
		}
	}
	if err := r.refit.observeStates(); err != nil {
		return err
	}
	one := func(l *layer, sums *moments.Sums) error {
		if observed != nil {
			observed(l, sums)
		}
		for at, knob := range knobs {
			list, err := r.layerAlone(probe, l, sums, knob, correction[l.index])
			if err == nil {
				err = measure(l.job, at, list)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	var rest []*layer
	for _, l := range r.refit.layers {
		if r.plans[l.job] == nil {
			continue
		}
		if l.states {
			if err := one(l, r.refit.states[l]); err != nil {
				return err
			}
			continue
		}
		rest = append(rest, l)
	}
	return r.refit.survey(rest, one)
}

// layerAlone returns the exchanges of a layer's weight coded at a knob, and of the bias that takes its mean error back.
func (r *rated) layerAlone(probe *probe, l *layer, sums *moments.Sums, knob float64, place *correction) ([]exchange, error) {
	w, err := l.values()
	if err != nil {
		return nil, err
	}
	k := newStepCoder(r.plans[l.job], knob, 0)
	if sums.Len() == 0 {
		plainly(k, w)
	} else if err := l.recode(w, sums, k, false, r.Threads); err != nil {
		return nil, err
	}
	list, got, err := probe.coded(l.job, k)
	if err != nil {
		return nil, err
	}
	x, err := probe.bias(l, place, l.meanError(w, got, sums, false))
	return append(list, x...), err
}
