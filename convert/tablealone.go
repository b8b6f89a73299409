package convert

import (
	"bq/internal/compare"
	"bq/internal/infer"
	"bq/onnxio"
)

// aloneBits are the rates at which the drift of a weight alone is measured.
var aloneBits = []int{2, referenceBits, 4, 6}

// measureAlone quantizes one weight after the other, plainly and with its mean error taken back, at each of aloneBits, and notes the
// drift. The sensitivity is taken at referenceBits. At most sensitivitySamples samples are looked at.
func (c *converter) measureAlone(float *infer.Program, t *Table) error {
	forecasts := c.tableForecasts(t)
	feeds, err := compare.Feeds(c.ctx, float, c.Samples, evenly(c.fitted, sensitivitySamples))
	if err != nil {
		return err
	}
	probe, err := c.newProbe(feeds, forecasts)
	if err != nil {
		return err
	}
	readers := readersOf(c.src.Model)
	at := 0
	for _, j := range c.jobs {
		if j.reason != "" {
			continue
		}
		c.progress("quantizing one weight at a time", at, len(t.Weights))
		if err := probe.alone(j, rowSteps(j, readers), &t.Weights[at]); err != nil {
			return err
		}
		at++
	}
	return nil
}

// alone measures one weight; one with values that are not finite is left out.
func (s *probe) alone(j *job, rows bool, to *TableWeight) error {
	w, err := j.values()
	if err != nil || !finite(w) {
		return err
	}
	p := newStepPlan(w, j.layout, rows)
	for _, bits := range aloneBits {
		sensitivity, drift := 0.0, 0.0
		if p.reference > 0 {
			k := newStepCoder(p, p.stepFor(float64(bits))/p.reference, 0)
			plainly(k, w)
			list, got, err := s.coded(j, k)
			if err != nil {
				return err
			}
			for _, f := range j.forecasts {
				f.measure(w, got)
				if f.delta == nil {
					continue
				}
				x, err := shiftExchange(s.biases[f.index], f.shift())
				if err != nil {
					return err
				}
				list = append(list, x...)
			}
			if sensitivity, drift, err = s.measureBoth(list); err != nil {
				return err
			}
		}
		to.Alone = append(to.Alone, TableAlone{Bits: bits, Drift: drift})
		if bits == referenceBits {
			to.Sensitivity = &sensitivity
		}
	}
	return nil
}

// tableForecasts attaches to each weight the corrections that the channel means of a table allow, and lists them.
func (c *converter) tableForecasts(t *Table) []*correction {
	known := map[string]*TableValue{}
	for i := range t.Values {
		known[t.Values[i].Name] = &t.Values[i]
	}
	list, without := c.corrections()
	c.result.Uncorrected = without
	f := c.placer()
	var found []*correction
	for _, k := range list {
		n := c.src.Model.Graph.Nodes[k.index]
		w := f.weights[n]
		v := known[n.Input(dataInput(w.use))]
		if k.optional {
			c.result.Uncorrected++
			continue
		}
		if v == nil || v.Axis != channelAxis(w.use) || !rowMajor(w.use) {
			continue
		}
		tp, ok := tableTaps(n, w.use.shape(dims(w.Tensor.Dims)), len(v.Means))
		if !ok {
			continue
		}
		k.meets = k.index
		w.forecasts = append(w.forecasts, &forecast{k, tp, v.Means, v.Deviations})
		found = append(found, k)
	}
	return found
}

// tableTaps is tapsOf, and knows MatMul too: where data were seen, the features of its input are its channels.
func tableTaps(n *onnxio.Node, shape []int, ins int) (taps, bool) {
	if opOf(n) == "MatMul" && len(shape) == 2 && shape[0] == ins {
		outs := shape[1]
		return taps{ins, outs, 1, func(e int) (int, int) { return e / outs, e % outs }}, true
	}
	return tapsOf(n, shape, ins)
}
