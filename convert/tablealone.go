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
	n := min(len(c.fitted), sensitivitySamples)
	samples := make([]int, n)
	for i := range samples {
		samples[i] = c.fitted[i*len(c.fitted)/n]
	}
	feeds, err := compare.Feeds(c.ctx, float, c.Samples, samples)
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
	if err != nil || !finiteValues(w) {
		return err
	}
	p := newStepPlan(w, j.layout, rows)
	got := make([]float32, len(w))
	for _, bits := range aloneBits {
		sensitivity, drift := 0.0, 0.0
		if p.reference > 0 {
			k := newStepCoder(p, p.stepFor(float64(bits))/p.reference, 0)
			k.nearest(w)
			list, err := s.coded(j, k)
			if err != nil {
				return err
			}
			q, err := k.quantized()
			if err != nil {
				return err
			}
			q.decoded(j.Tensor.Type, got)
			for _, f := range j.forecasts {
				f.measure(w, got)
				x, err := s.shifted(f.correction)
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

// shifted returns the exchange of the bias that takes the shift of a correction.
func (s *probe) shifted(k *correction) ([]exchange, error) {
	t := s.biases[k.index]
	if t == nil || k.delta == nil {
		return nil, nil
	}
	w := make([]float32, len(k.delta))
	if n, err := t.Elements(); err != nil || n != len(w) {
		return nil, err
	}
	if err := t.Float32s(w); err != nil {
		return nil, err
	}
	for i, v := range k.shift() {
		w[i] += float32(v)
	}
	return []exchange{{t, rawFloats(t.Type, w)}}, nil
}

// tableForecasts attaches to each weight the corrections that the channel means of a table allow, and lists them.
func (c *converter) tableForecasts(t *Table) []*correction {
	known := map[string]*TableValue{}
	for i := range t.Values {
		known[t.Values[i].Name] = &t.Values[i]
	}
	c.result.Uncorrected = 0
	list := c.corrections()
	f := c.placer()
	var found []*correction
	for _, k := range list {
		n := c.src.Model.Graph.Nodes[k.index]
		w := f.weights[n]
		v := known[n.Input(dataInput(w.use))]
		if v == nil || v.Axis != channelAxis(w.use) || !rowMajor(w.use) {
			continue
		}
		tp, ok := tableTaps(n, w.use.shape(dims(w.Tensor.Dims)), len(v.Means))
		if !ok {
			continue
		}
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
