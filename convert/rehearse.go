package convert

import (
	"fmt"

	"bq/internal/compare"
	"bq/internal/infer"
	"bq/onnxio"
)

// A conversion with data is forecast by making it, in memory: what samples near a border between classes do to a mean KL hangs on
// single codes, and no sum over weights tells that. Where that would take long, it is made with fewer of the samples.

// rehearsal goes along with a conversion that is made to forecast it.
type rehearsal struct {
	most         float64          // products that all its runs may come to
	alone        map[string]alone // what each weight does at its reference step, as far as the conversion measures it
	taken, given int              // samples that fit: those that take part, and all
	sampleBytes  int64            // that one sample holds in a pass
}

// mostProducts bounds the work of a rehearsal, in products of weights and values of a run times runs: a few minutes on two threads.
// leastRehearsed samples take part all the same.
const (
	mostProducts   = 4e12
	leastRehearsed = 16
)

// passRuns is how many runs of the model its passes come to on each sample: two for a pilot, three for codes, each of two streams,
// and as much for the moments of inputs.
const passRuns = 20

// shorten returns as many of the samples that fit, evenly spread, as bound the work.
func (h *rehearsal) shorten(c *converter, float *infer.Program, fit []int) ([]int, error) {
	products, bytes, err := c.workOn(float, fit[:1])
	if err != nil {
		return nil, err
	}
	runs := float64(passRuns)
	if c.Budget.Kind != NoBudget {
		for _, j := range c.jobs {
			if j.reason == "" {
				runs++ // alone
			}
		}
	}
	h.given, h.taken, h.sampleBytes = len(fit), len(fit), bytes
	if work := products * runs; work*float64(len(fit)) > h.most {
		h.taken = min(len(fit), max(leastRehearsed, int(h.most/work)))
	}
	return evenly(fit, h.taken), nil
}

// workOn runs the float model on a sample and returns the products of weights and values that this takes, and the bytes that the
// sample holds in both streams of a pass.
func (c *converter) workOn(float *infer.Program, sample []int) (products float64, bytes int64, err error) {
	feeds, err := compare.Feeds(c.ctx, float, c.Samples, sample)
	if err != nil {
		return 0, 0, err
	}
	inputs := map[*onnxio.Node]int{} // of each sum
	for _, l := range c.layers(nil) {
		inputs[l.use.node] += l.m.cols
	}
	largest := 0
	_, err = float.Run(feeds[0], func(n *onnxio.Node, _ string, v *onnxio.Array) (*onnxio.Array, error) {
		products += float64(inputs[n]) * float64(v.Len())
		largest = max(largest, arrayBytes(v))
		return nil, nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("running the model on %s: %w", c.sampleName(sample[0]), err)
	}
	return products, int64(2 * liveValues * largest), nil
}

// rehearse makes the conversion in memory and forecasts it by what came out.
func (p *Planner) rehearse(o Options) (*Forecast, error) {
	h := &rehearsal{most: p.most, alone: map[string]alone{}}
	o.rehearsal = h
	f, _, err := p.make(o)
	if err != nil {
		return nil, err
	}
	f.Taken, f.Given, f.MoreBytes = h.taken, h.given, int64(h.given-h.taken)*h.sampleBytes
	f.worst()
	p.made, p.how, p.heard = f, o, h.alone
	return f, nil
}
