package convert

import (
	"bq/internal/infer"
	"bq/onnxio"
)

// compensateFrom is the number of samples from which layers make up for what earlier ones have changed: with fewer they fit
// the samples (recipe.md A1.3).
const compensateFrom = 96

// pilotFrom is the least number of samples that are divided to find out whether layers make up for earlier ones.
const pilotFrom = 3

// compensates decides whether layers make up for what earlier ones have changed: with many samples always; with few the better on
// samples that took no part.
func (r *rated) compensates(feeds []map[string]*onnxio.Array, float *infer.Program) (bool, error) {
	if n := len(feeds); n < pilotFrom || n >= compensateFrom {
		return n >= compensateFrom, nil
	}
	all, fit := r.fitted, r.refit.twins.samples
	defer func() { r.fitted, r.refit.twins.samples = all, fit }()
	var judge []int
	r.fitted, r.refit.twins.samples = nil, nil
	for i, s := range all {
		if i%judgeEvery == judgeEvery-1 {
			judge = append(judge, s)
			continue
		}
		r.fitted = append(r.fitted, s)
		r.refit.twins.samples = append(r.refit.twins.samples, fit[i])
	}
	var drift [2]float64
	knob := knobFor(r.active, r.aim())
	for i, on := range []bool{false, true} {
		if err := r.codeAll(knob, on); err != nil {
			return false, err
		}
		d, err := r.driftOn(float, r.refit.twins.samples, judge)
		if err != nil {
			return false, err
		}
		drift[i] = d
		if r.pilot, err = r.trial(); err != nil {
			return false, err
		}
	}
	return drift[1] < drift[0], nil
}
