package convert

import (
	"math"

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
			p.multiplier /= math.Pow(max(sensitivities[i]/top, leastSensitivity), allocationPower/2)
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
	count := 0
	take := func(j *job, list []exchange) error {
		a, err := probe.measure(list)
		if err != nil {
			return err
		}
		found[r.plans[j]] = a
		r.measured(j, a)
		count++
		r.progress("measuring sensitivity", count, len(r.active))
		return nil
	}
	layered := map[*job]bool{}
	for _, l := range r.refit.layers {
		layered[l.job] = true
	}
	correction := map[int]*correction{}
	for _, k := range r.refit.corrected {
		correction[k.index] = k
	}
	for _, j := range r.jobs {
		if r.plans[j] == nil || layered[j] {
			continue
		}
		w, err := j.values()
		if err != nil {
			return err
		}
		k := newStepCoder(r.plans[j], 1, 0)
		k.nearest(w)
		list, err := probe.coded(j, k)
		if err == nil {
			err = take(j, list)
		}
		if err != nil {
			return err
		}
	}
	if err := r.refit.observeStates(); err != nil {
		return err
	}
	one := func(l *layer, sums *moments.Sums) error {
		w, err := l.values()
		if err != nil {
			return err
		}
		k := newStepCoder(r.plans[l.job], 1, 0)
		if sums.Len() == 0 {
			k.nearest(w)
		} else if err := l.recode(w, sums, k, false, r.Threads); err != nil {
			return err
		}
		list, err := probe.coded(l.job, k)
		if err != nil {
			return err
		}
		got := make([]float32, len(w))
		q, err := k.quantized()
		if err != nil {
			return err
		}
		q.decoded(l.Tensor.Type, got)
		x, err := probe.bias(l, correction[l.index], l.meanError(w, got, sums, false))
		if err != nil {
			return err
		}
		return take(l.job, append(list, x...))
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
	if err := r.refit.survey(rest, one); err != nil {
		return err
	}
	list := make([]float64, len(r.active))
	for i, p := range r.active {
		list[i] = found[p]
	}
	allocate(r.active, list)
	return nil
}
