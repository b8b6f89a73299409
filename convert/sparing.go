package convert

import (
	"slices"

	"bq/internal/compare"
	"bq/internal/infer"
	"bq/internal/parallel"
	"bq/onnxio"
)

// A few values can cause most of what coding all of them costs, as one with a range that single places fill (recipe.md B3, Q6: one of 230
// values of yolox-nano 82 %). Where the cost is high, each value is coded alone, and those that stand out stay float: operators around
// them compute in float then.

const (
	costly      = 0.01 // noise over signal, or what stands for it, from which values are looked at one by one: 20 dB
	sparedShare = 0.02 // of what all values cost alone, from which one stays float
	mostSpared  = 8    // values that stay float
	sparedGain  = 0.9  // of the drift, that must be left at most
	costSamples = 4    // on which a value is coded alone

	costElements = 1 << 34 // bounds the elements that all these runs compute: some minutes
)

// Spared is a value that stays float although operators on codes read it.
type Spared struct {
	Name  string
	Share float64 // of what the values cost, each coded alone
}

// spare looks for values that are better left float, and fits the rest again where that gains. It comes after correct.
func (c *converter) spare(float *infer.Program, feeds []map[string]*onnxio.Array) error {
	if c.ActBits == 0 || c.Table != nil || len(c.result.Activations) < 2*mostSpared {
		return nil
	}
	t, err := c.newCosts(evenly(feeds, costSamples))
	if err != nil {
		return err
	}
	before, err := t.drift(c.result.Activations)
	if err != nil || !(before > costly) {
		return err
	}
	if elements, err := elementsOf(float, t.samples[0]); err != nil || elements*len(t.samples)*len(c.result.Activations) > costElements {
		if err == nil {
			c.warn("coding costs much, and the model is too large to find the values that cause it: --keep the weights beside them, or more bits")
		}
		return err
	}
	list, err := t.shares()
	if err != nil || len(list) == 0 {
		return err
	}
	activations, corrected := c.result.Activations, c.result.Corrected
	c.spared = list
	c.uncorrect()
	if err := c.correct(float, feeds); err != nil {
		return err
	}
	after, err := t.drift(c.result.Activations)
	if err != nil || after < before*sparedGain {
		c.result.Spared = list
		return err
	}
	c.spared = nil
	c.uncorrect()
	if err := c.correct(float, feeds); err != nil {
		return err
	}
	c.result.Activations, c.result.Corrected = activations, corrected
	return nil
}

// elementsOf returns how many elements a run computes.
func elementsOf(p *infer.Program, feeds map[string]*onnxio.Array) (int, error) {
	total := 0
	_, err := p.Run(feeds, func(_ *onnxio.Node, _ string, v *onnxio.Array) (*onnxio.Array, error) {
		total += v.Len()
		return nil, nil
	})
	return total, err
}

// costs measures what coding values costs, against the model with float values.
type costs struct {
	probe
}

func (c *converter) newCosts(samples []map[string]*onnxio.Array) (*costs, error) {
	outputs, err := compare.Outputs(c.src.Model, c.OutputKinds)
	if err != nil {
		return nil, err
	}
	t := &costs{probe: probe{c: c, outputs: outputs, samples: samples}}
	t.float, err = t.runWith(nil)
	return t, err
}

// runWith runs the model as it would be restored with these activations.
func (t *costs) runWith(list []Activation) ([]map[string]*onnxio.Array, error) {
	m, _, err := t.c.restored(list)
	if err != nil {
		return nil, err
	}
	p, err := infer.Options{Threads: 1}.Compile(m)
	if err != nil {
		return nil, err
	}
	results := make([]map[string]*onnxio.Array, len(t.samples))
	err = parallel.Each(t.c.ctx, t.c.Threads, len(t.samples), func(i int) (err error) {
		results[i], err = p.Run(t.samples[i], nil)
		return err
	}, func(int) {})
	return results, err
}

// drift returns what these activations cost.
func (t *costs) drift(list []Activation) (float64, error) {
	got, err := t.runWith(list)
	if err != nil {
		return 0, err
	}
	d, _, err := t.probe.drift(got)
	return d, err
}

// shares returns the values that cost most alone, those that share their scale counted to the one that has it, the most costly first.
func (t *costs) shares() ([]Spared, error) {
	like := map[string]string{}
	for _, p := range t.c.placed() {
		like[p.name] = p.like
	}
	var list []Spared
	total := 0.0
	for i, a := range t.c.result.Activations {
		t.c.progress("coding one value at a time", i, len(t.c.result.Activations))
		if like[a.Name] != "" || a.ByRow {
			continue
		}
		d, err := t.drift([]Activation{a})
		if err != nil {
			return nil, err
		}
		if d-d == 0 {
			total += d
			list = append(list, Spared{a.Name, d})
		}
	}
	slices.SortStableFunc(list, func(a, b Spared) int {
		switch {
		case a.Share > b.Share:
			return -1
		case a.Share < b.Share:
			return 1
		}
		return 0
	})
	list = slices.DeleteFunc(list[:min(mostSpared, len(list))], func(s Spared) bool { return s.Share < sparedShare*total })
	for i := range list {
		list[i].Share /= total
	}
	return list, nil
}
