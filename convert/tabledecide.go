package convert

import (
	"errors"
	"fmt"

	"bq/onnxio"
)

// ErrTableDrift says that a search by drift needs samples.
var ErrTableDrift = errors.New("searching by drift: it is measured on samples, a table holds none")

// byMeasurements converts with the flags asked for by what a table measured: bits by its sensitivities, codes by its moments, or
// plain rounding without them, biases by its channel means, activations by its histograms.
func (c *converter) byMeasurements() error {
	if c.Budget.Kind == BudgetDrift {
		return ErrTableDrift
	}
	t := c.Table
	if t.Conversion != nil {
		c.result.Notes = append(c.result.Notes, "the table holds a conversion with other flags: bits by its sensitivities, codes by its moments, biases by its means")
	}
	found := c.tableForecasts(t)
	c.told = &Calibration{Kind: t.Data.Kind, Samples: t.Data.Samples, Data: t.Data.SHA256, Outputs: []HeldOutDrift{}}
	c.result.Calibration = t.Data.Samples
	withMoments := map[string]bool{}
	for _, k := range t.Codes {
		withMoments[k.Name] = k.Rows > 0
	}
	for _, j := range c.jobs {
		j.recoded = withMoments[j.name] || t.sums[j.name] != nil
	}
	r := &refit{c: c, corrected: found, table: t}
	if c.Budget.Kind == NoBudget {
		return c.quantizeByTable(r)
	}
	return c.budgetByTable(r)
}

// correctByTable puts in place what goes with the codes so far, so that a trial has all bytes of the file: biases, and the ranges of
// activations.
func (r *refit) correctByTable() error {
	without := r.c.result.Uncorrected
	r.c.uncorrect()
	r.c.result.Uncorrected = without
	var list []*correction
	for _, k := range r.corrected {
		if k.delta != nil {
			list = append(list, k)
		}
	}
	r.c.reserve(list)
	if err := r.c.store(list); err != nil {
		return err
	}
	if err := r.shiftRecurrent(); err != nil {
		return err
	}
	if r.c.ActBits == 0 {
		return nil
	}
	return r.c.rangesByTable()
}

// quantizeByTable gives every weight its bits.
func (c *converter) quantizeByTable(r *refit) error {
	if err := c.quantizeEach(); err != nil {
		return err
	}
	return r.pass(gridOf, false)
}

// budgetByTable allocates bits under a budget and searches for the knob that fills it.
func (c *converter) budgetByTable(f *refit) error {
	r, err := c.newRated()
	if err != nil {
		return err
	}
	r.refit = f
	if len(r.active) == 0 {
		return r.codeAll(1, false)
	}
	known := map[string]*float64{}
	for _, w := range c.Table.Weights {
		known[w.Name] = w.Sensitivity
	}
	var list []float64
	missing := 0
	for _, j := range c.jobs {
		if r.plans[j] == nil {
			continue
		}
		if a := known[j.name]; a != nil {
			list = append(list, *a)
		} else {
			missing++
		}
	}
	if missing > 0 {
		c.warn("the table holds no sensitivity of %d weights: bits are spent by the error of the weights", missing)
		list = nil
	}
	allocate(r.active, list)
	return r.search(false)
}

// passByTable is pass on the moments of a table, without any stream.
func (r *refit) passByTable(coderFor coderFunc) error {
	stored, places := map[string]*TableCodes{}, map[*onnxio.Node]bool{}
	for i := range r.table.Codes {
		stored[r.table.Codes[i].Name] = &r.table.Codes[i]
	}
	r.biases = map[*job][]float64{}
	r.c.uncouple()
	nodes := r.c.src.Model.Graph.Nodes
	for _, k := range r.corrected {
		places[nodes[k.index]], k.delta = true, nil
	}
	for _, j := range r.c.jobs {
		if err := r.c.ctx.Err(); err != nil {
			return err
		}
		if j.reason != "" {
			continue
		}
		l, sums, err := r.c.storedMoments(j, stored[j.name])
		if err != nil {
			return err
		}
		w, err := j.values()
		if err != nil {
			return err
		}
		k := coderFor(j)
		_, steps := k.(*stepCoder)
		switch {
		case sums != nil:
			l.centred = places[l.use.node] || r.c.recurrentBias(l.use.node) != nil
			if err := l.recode(w, sums, k, false, r.c.Threads); err != nil {
				return fmt.Errorf("quantizing %s: %w", onnxio.Quote(j.name), err)
			}
		case steps:
			plainly(k, w)
		}
		if err := j.settle(k, w); err != nil {
			return err
		}
		r.c.measureForecasts(j, w)
		if sums != nil {
			r.takeBack(l, w, sums, false)
		}
	}
	return r.correctByTable()
}

// measureForecasts sets the corrections of a weight w from its codes.
func (c *converter) measureForecasts(j *job, w []float32) {
	if len(j.forecasts) == 0 {
		return
	}
	got := buffers.borrow(len(w))
	defer buffers.put(got)
	j.q.decoded(j.Tensor.Type, *got)
	for _, f := range j.forecasts {
		f.delta = nil
		f.measure(w, *got)
	}
}

// rangesByTable chooses the ranges of activations from the histograms of the table.
func (c *converter) rangesByTable() error {
	known := map[string]*TableValue{}
	for i := range c.Table.Values {
		known[c.Table.Values[i].Name] = &c.Table.Values[i]
	}
	return c.codeAll(func(p placed) (r span, ok bool, err error) {
		v := known[p.name]
		if v == nil {
			return r, false, nil
		}
		h, err := v.histogram()
		if err != nil {
			return r, false, tableErrorf("value %s: %v", onnxio.Quote(p.name), err)
		}
		r.low, r.high = h.Range(usualRule(c.ActBits), c.ActBits)
		return r, true, nil
	})
}
