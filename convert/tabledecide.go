package convert

import (
	"errors"
	"fmt"
	"slices"

	"bq/internal/parallel"
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
	r := &refit{c: c, corrected: found, table: t}
	var err error
	if c.Budget.Kind == NoBudget {
		err = c.quantizeByTable(r)
	} else {
		err = c.budgetByTable(r)
	}
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(k *correction) bool { return k.delta == nil })
	c.reserve(found)
	if err := c.store(found); err != nil {
		return err
	}
	if c.ActBits == 0 {
		return nil
	}
	return c.rangesByTable()
}

// quantizeByTable gives every weight its bits.
func (c *converter) quantizeByTable(r *refit) error {
	err := parallel.Each(c.ctx, c.Threads, len(c.jobs), c.quantize, func(done int) { c.progress("quantizing", done, len(c.jobs)) })
	if err != nil {
		return err
	}
	return r.pass(func(j *job) (coder, func() (*quantized, error)) {
		return newGridCoder(j.q), func() (*quantized, error) { return j.q, nil }
	}, false)
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
func (r *refit) passByTable(coderFor func(j *job) (coder, func() (*quantized, error))) error {
	stored, places := map[string]*TableCodes{}, map[*onnxio.Node]bool{}
	for i := range r.table.Codes {
		stored[r.table.Codes[i].Name] = &r.table.Codes[i]
	}
	nodes := r.c.src.Model.Graph.Nodes
	for _, k := range r.corrected {
		places[nodes[k.index]] = true
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
		k, done := coderFor(j)
		steps, _ := k.(*stepCoder)
		switch {
		case sums != nil:
			l.centred = places[l.use.node]
			if err := l.recode(w, sums, k, false, r.c.Threads); err != nil {
				return fmt.Errorf("quantizing %s: %w", onnxio.Quote(j.name), err)
			}
		case steps != nil:
			steps.nearest(w)
		}
		q, err := done()
		if err != nil {
			return err
		}
		j.settle(q, w)
		r.c.measureForecasts(j, w)
	}
	return nil
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
	for _, name := range c.activationValues() {
		v := known[name]
		if v == nil {
			return tableErrorf("no histogram of %s, which is to be quantized", onnxio.Quote(name))
		}
		h, err := v.histogram()
		if err != nil {
			return tableErrorf("value %s: %v", onnxio.Quote(name), err)
		}
		low, high := activationRange(h, c.ActBits)
		c.result.Activations = append(c.result.Activations, newActivation(name, low, high, c.ActBits))
	}
	return nil
}
