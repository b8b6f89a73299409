package convert

import (
	"math"

	"bq/internal/infer"
	"bq/internal/moments"
	"bq/internal/parallel"
	"bq/onnxio"
)

// compensateFrom is the number of samples from which layers make up for what earlier ones have changed: with fewer they may fit
// the samples (recipe.md A1.3), and a pilot decides.
const compensateFrom = 96

// pilotFrom is the least number of samples that are divided for a pilot.
const pilotFrom = 3

// divide parts samples into two thirds that fit, with what they feed, and a third that judges.
func divide(all []int, feeds []map[string]*onnxio.Array) (fit []int, samples []map[string]*onnxio.Array, judge []int) {
	for i, s := range all {
		if i%judgeEvery == judgeEvery-1 {
			judge = append(judge, s)
			continue
		}
		fit, samples = append(fit, s), append(samples, feeds[i])
	}
	return fit, samples, judge
}

// pilot codes the weights in each of the given ways on two thirds of the samples, and returns the one whose drift on the rest is
// least, with biases corrected; of equals, and of those whose drift is no number, the first. done is told of each after it is judged.
func (r *refit) pilot(float *infer.Program, ways []func() error, done func(way int) error) (int, error) {
	c, all, fit := r.c, r.c.fitted, r.twins.samples
	defer func() {
		c.fitted, r.twins.samples, r.states = all, fit, map[*layer]*moments.Sums{}
	}()
	rest, samples, judge := divide(all, fit)
	c.fitted, r.twins.samples, r.states = rest, samples, map[*layer]*moments.Sums{}
	best, least := 0, math.Inf(1)
	for i, code := range ways {
		if err := code(); err != nil {
			return 0, err
		}
		d, err := c.driftOn(float, samples, judge)
		if err != nil {
			return 0, err
		}
		if d < least {
			best, least = i, d
		}
		if err := done(i); err != nil {
			return 0, err
		}
	}
	return best, nil
}

// compensates decides whether layers make up for what earlier ones have changed: with many samples always; with few the better on
// samples that took no part.
func (r *rated) compensates(feeds []map[string]*onnxio.Array, float *infer.Program) (bool, error) {
	if n := len(feeds); n < pilotFrom || n >= compensateFrom {
		return n >= compensateFrom, nil
	}
	knob := knobFor(r.active, r.aim())
	ways := []func() error{
		func() error { return r.codeAll(knob, false) },
		func() error { return r.codeAll(knob, true) },
	}
	best, err := r.refit.pilot(float, ways, func(int) (err error) {
		r.pilot, err = r.trial()
		return err
	})
	return best == 1, err
}

// quantizeAll gives every weight its bits, and rounds again by what the data say, where samples that took no part say that it is better.
func (c *converter) quantizeAll(float *infer.Program, feeds []map[string]*onnxio.Array) error {
	if err := c.quantizeEach(); err != nil {
		return err
	}
	r, err := c.newRefit(feeds)
	if err != nil {
		return err
	}
	again := func(compensate bool) error {
		return r.pass(gridOf, compensate)
	}
	if len(feeds) >= compensateFrom {
		return again(true)
	}
	plain := r.withoutFeedback
	if len(feeds) < pilotFrom {
		c.warn("%s: too few to round by what they say", countOf(len(feeds), "sample"))
		return plain()
	}
	ways := []func() error{plain, func() error { return again(false) }, func() error { return again(true) }}
	best, err := r.pilot(float, ways, func(int) error { return nil })
	switch {
	case err != nil:
		return err
	case best == 0:
		return plain()
	}
	return again(best == 2)
}

// withoutFeedback rounds every weight to the nearest of its levels, whatever the data say.
func (r *refit) withoutFeedback() error {
	r.c.kept = r.c.newRecording(false)
	r.c.result.Layers, r.c.result.Rescaled, r.c.result.Chained, r.c.paying = 0, 0, false, nil
	r.c.uncouple()
	for _, j := range r.c.jobs {
		if j.reason != "" {
			continue
		}
		w, err := j.values()
		if err != nil {
			return err
		}
		k := gridOf(j)
		plainly(k, w)
		if err := j.settle(k, w); err != nil {
			return err
		}
		r.c.kept.codes(j, nil, k, nil, false)
	}
	return nil
}

// gridOf codes the weight of a job again by the levels that it has.
func gridOf(j *job) coder { return newGridCoder(j.q) }

// quantizeEach gives every weight its bits by its own values.
func (c *converter) quantizeEach() error {
	return parallel.Each(c.ctx, c.Threads, len(c.jobs), c.quantize,
		func(done int) { c.progress("quantizing", done, len(c.jobs)) })
}
