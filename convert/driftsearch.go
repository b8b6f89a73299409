package convert

import (
	"math"

	"bq/internal/compare"
	"bq/internal/infer"
	"bq/onnxio"
)

// judgeEvery: of the samples that fit, every so many-th judges the drift of a search instead, where there are at least
// heldOutFrom.
const judgeEvery = 3

// setAside takes the samples that judge out of those that fit.
func (c *converter) setAside() (judge []int) {
	if len(c.fitted) < heldOutFrom {
		return c.fitted
	}
	var fit []int
	for i, s := range c.fitted {
		if i%judgeEvery == judgeEvery-1 {
			judge = append(judge, s)
		} else {
			fit = append(fit, s)
		}
	}
	c.fitted, c.result.Calibration = fit, len(fit)
	return judge
}

// Search for the coarsest knob whose drift is small enough.
const (
	driftRounds = 8
	driftNear   = 0.1  // of the budget that may stay unused
	driftAim    = 0.95 // of the budget that the search aims at
	finestKnob  = 1.0 / 512
)

// searchDrift codes all weights so that the drift on the samples that judge, and on those that check, stays within the budget. Drift
// grows about with the square of the step.
func (r *rated) searchDrift(float *infer.Program, feeds []map[string]*onnxio.Array, judge []int, compensate bool) error {
	low, high := math.Inf(-1), math.Inf(1) // log2 of a knob that is fine enough, and of one that is not
	knob, least := math.Log2(knobFor(r.active, 4*float64(r.live))), math.Inf(1)
	try := func(at float64, samples []int) (float64, error) {
		c := math.Exp2(at)
		if err := r.codeAll(c, compensate); err != nil {
			return 0, err
		}
		d, err := r.driftOn(float, feeds, samples)
		least = min(least, d)
		return d, err
	}
	for round := 0; round < driftRounds; round++ {
		d, err := try(knob, judge)
		if err != nil {
			return err
		}
		if d <= r.Budget.Value {
			low = knob
			if d >= r.Budget.Value*(1-driftNear) {
				break
			}
		} else {
			high = knob
		}
		next := knob + math.Log2(driftAim*r.Budget.Value/max(d, r.Budget.Value*1e-6))/2
		if next <= low || next >= high {
			next = (max(low, high-2) + min(high, low+2)) / 2
		}
		if next < math.Log2(finestKnob) {
			break
		}
		if knob = next; high-low < 0.01 {
			break
		}
	}
	// the closing samples have the last word
	for knob = low; knob > math.Inf(-1) && knob > math.Log2(finestKnob); {
		d, err := try(knob, r.checked)
		if err != nil {
			return err
		}
		if d <= r.Budget.Value {
			return nil
		}
		knob -= max(0.02, math.Log2(d/(driftAim*r.Budget.Value))/2)
	}
	return &ReachError{r.Budget, least}
}

// driftOn corrects biases for the codes so far and returns the drift of the worst output on the given samples.
func (c *converter) driftOn(float *infer.Program, feeds []map[string]*onnxio.Array, samples []int) (float64, error) {
	if err := c.correct(float, feeds); err != nil {
		return 0, err
	}
	figures, err := c.compareOn(float, samples)
	c.uncorrect()
	return compare.Worst(figures), err
}
