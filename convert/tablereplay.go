package convert

import (
	"fmt"
	"slices"

	"bq/balance"
	"bq/internal/moments"
	"bq/onnxio"
)

// fromTable decides everything by a table: as the conversion that it holds, where that had the same flags, else by its measurements.
func (c *converter) fromTable() error {
	source, err := c.digest.get(c)
	if err != nil {
		return err
	}
	switch of := c.Table.Model; {
	case of.SHA256 != source.SHA256:
		return &ForeignTableError{of.SHA256, source.SHA256}
	case of.Weights != source.Weights:
		return &ForeignTableError{of.Weights, source.Weights}
	}
	if c.table, err = c.Table.SHA256(); err != nil {
		return err
	}
	if k := c.Table.Conversion; k == nil || !k.Flags.equal(c.flags()) {
		return c.byMeasurements()
	}
	return c.repeat()
}

// repeat makes the codes, biases and activations of the conversion that the table holds.
func (c *converter) repeat() error {
	k := c.Table.Conversion
	codes := map[string]*TableCodes{}
	for i := range c.Table.Codes {
		codes[c.Table.Codes[i].Name] = &c.Table.Codes[i]
	}
	for i, j := range c.jobs {
		if j.reason != "" {
			continue
		}
		if codes[j.name] == nil {
			return tableErrorf("no codes of %s", onnxio.Quote(j.name))
		}
		if err := c.repeatCodes(j, codes[j.name]); err != nil {
			return err
		}
		c.progress("quantizing", i+1, len(c.jobs))
	}
	if err := c.repeatBiases(); err != nil {
		return err
	}
	if err := c.repeatActivations(); err != nil {
		return err
	}
	c.result.Corrected, c.result.Uncorrected = k.Corrected, k.Uncorrected
	c.result.Calibration, c.result.HeldOut, c.told = k.Calibration.Samples, k.Calibration.HeldOut, k.Calibration
	for _, d := range c.Table.Drift {
		f, err := d.restored()
		if err != nil {
			return err
		}
		c.result.Drift = append(c.result.Drift, f)
	}
	return nil
}

// repeatCodes codes one weight.
func (c *converter) repeatCodes(j *job, k *TableCodes) error {
	if k.Kept != "" {
		j.reason = k.Kept
		return nil
	}
	w, err := j.values()
	if err != nil {
		return err
	}
	r, err := c.repeatedCoder(j, k, w)
	if err != nil {
		return err
	}
	l, sums, err := c.storedMoments(j, k)
	if err != nil {
		return err
	}
	if sums == nil {
		plainly(r, w)
	} else {
		l.centred = k.Centred
		if err := l.recode(w, sums, r, k.Shift != "", c.Threads); err != nil {
			return fmt.Errorf("quantizing %s: %w", onnxio.Quote(j.name), err)
		}
	}
	if err := j.settle(r, w); err != nil || len(k.Scales) == 0 {
		return err
	}
	layout := j.q.Layout
	if len(k.Scales) > 1 {
		layout = j.layout
	}
	if layout.Groups() != len(k.Scales) || j.q.Zeros != nil && len(j.q.Scales) != len(k.Scales) {
		return tableErrorf("codes of %s: %d scales, want 1 or %d", onnxio.Quote(j.name), len(k.Scales), j.layout.Groups())
	}
	j.q.rescale(layout, k.Scales)
	j.measure(w)
	return nil
}

// repeatedCoder returns what codes the weight w as the table says.
func (c *converter) repeatedCoder(j *job, k *TableCodes, w []float32) (coder, error) {
	if !finite(w) {
		return nil, tableErrorf("codes of %s, which holds values that are not finite", onnxio.Quote(j.name))
	}
	if k.Bits > 0 {
		j.bits = k.Bits
		if err := j.quantize(c.method(), c.typical, false); err != nil {
			return nil, err
		}
		if j.reason != "" {
			return nil, tableErrorf("codes of %s, which is kept (%s)", onnxio.Quote(j.name), j.reason)
		}
		return gridOf(j), nil
	}
	s := &stepCoder{layout: balance.PerTensor(len(w)), steps: k.Steps, mu: c.Table.Conversion.Rate, n: make([]int16, len(w)), narrow: c.narrow(j)}
	if len(k.Steps) > 1 {
		s.layout = j.layout
	}
	if s.layout.Groups() != len(k.Steps) {
		return nil, tableErrorf("codes of %s: %d steps, want 1 or %d", onnxio.Quote(j.name), len(k.Steps), j.layout.Groups())
	}
	return s, nil
}

// storedMoments returns the layer of a weight and the moments of its inputs that the table holds; nil where it holds none.
func (c *converter) storedMoments(j *job, k *TableCodes) (*layer, *moments.Sums, error) {
	sums := c.Table.sums[j.name]
	if sums == nil && (k == nil || k.Rows == 0) {
		return nil, nil, nil
	}
	l := j.layer(c.src.Model.Graph)
	if sums != nil && l != nil {
		return l, sums, nil
	}
	if l == nil {
		return nil, nil, tableErrorf("moments of the inputs of %s, which multiplies none", onnxio.Quote(j.name))
	}
	groups, cols := l.m.groups, l.m.cols
	state := moments.State{Rows: k.Rows}
	for _, part := range []struct {
		to   *[]float64
		from vector
		n    int
	}{{&state.Z, k.Z, groups * cols}, {&state.X, k.X, groups * cols}, {&state.Second, k.Second, groups * (cols * (cols + 1) / 2)}, {&state.Shift, k.Shift, groups * cols * cols}} {
		x, err := part.from.floats(part.n)
		if err != nil {
			return nil, nil, tableErrorf("moments of the inputs of %s: %v", onnxio.Quote(j.name), err)
		}
		*part.to = x
	}
	sums, err := moments.FromState(groups, cols, state)
	if err != nil {
		return nil, nil, tableErrorf("moments of the inputs of %s: %v", onnxio.Quote(j.name), err)
	}
	return l, sums, nil
}

// repeatBiases puts the biases of the table in their places.
func (c *converter) repeatBiases() error {
	kept, places := map[string]*job{}, map[string]*correction{}
	for _, j := range c.jobs {
		if j.reason != "" && !j.listForm() {
			kept[j.name] = j
		}
	}
	corrected, _ := c.corrections()
	for _, k := range corrected {
		if k.bias == nil {
			places[k.output] = k
		}
	}
	var added []*correction
	data := map[*correction][]float32{}
	for _, b := range c.Table.Biases {
		j, k := kept[b.Name], places[b.Name]
		switch {
		case b.Added && k != nil:
			t := &onnxio.Tensor{Type: k.typ, Dims: []int64{int64(k.channels)}}
			w, err := biasValues(t, b)
			if err != nil {
				return err
			}
			added, data[k] = append(added, k), w
		case !b.Added && j != nil:
			t := &onnxio.Tensor{Type: j.Tensor.Type, Dims: j.Tensor.Dims}
			if _, err := biasValues(t, b); err != nil {
				return err
			}
			j.data = b.Data
		default:
			return tableErrorf("a bias %s that the model has no place for", onnxio.Quote(b.Name))
		}
	}
	slices.SortStableFunc(added, func(a, b *correction) int { return a.index - b.index })
	c.reserve(added)
	for _, k := range added {
		k.added.data = data[k]
	}
	return nil
}

// biasValues returns the values of a bias that is to be a tensor like t.
func biasValues(t *onnxio.Tensor, b TableBias) ([]float32, error) {
	n, err := t.Elements()
	if err != nil {
		return nil, err
	}
	if bits := t.Type.Bits(); !t.Type.IsFloat() || int64(len(b.Data))*8 != int64(n)*int64(bits) {
		return nil, tableErrorf("bias %s of %d bytes, want %d values of %v", onnxio.Quote(b.Name), len(b.Data), n, t.Type)
	}
	t.SetRaw(b.Data)
	w := make([]float32, n)
	if err := t.Float32s(w); err != nil {
		return nil, err
	}
	if !finite(w) {
		return nil, tableErrorf("bias %s with a NaN or an infinity", onnxio.Quote(b.Name))
	}
	return w, nil
}

// repeatActivations takes the ranges of the table.
func (c *converter) repeatActivations() error {
	ranges := map[string]TableActivation{}
	for _, a := range c.Table.Activations {
		if a.Spared > 0 {
			c.spared = append(c.spared, Spared{a.Name, a.Spared})
			continue
		}
		ranges[a.Name] = a
	}
	c.result.Spared = c.spared
	c.byRow = slices.ContainsFunc(c.Table.Activations, func(a TableActivation) bool { return a.ByRow })
	if c.ActBits > 0 {
		err := c.codeAll(func(p placed) (r span, ok bool, err error) {
			a, ok := ranges[p.name]
			return span{a.Low, a.High, a.Shifts, a.Rank}, ok, nil
		})
		if err != nil {
			return err
		}
	}
	for _, a := range c.result.Activations {
		delete(ranges, a.Name)
	}
	for _, a := range c.Table.Activations {
		if _, left := ranges[a.Name]; left {
			return tableErrorf("a range of %s, which is no activation to quantize", onnxio.Quote(a.Name))
		}
	}
	return nil
}

// codeAll codes every value that is to be coded, of those that have a range of their own by what the table knows; what it does not know,
// as it was not finite, stays float where no operator of a quantized weight reads it.
func (c *converter) codeAll(rangeOf func(p placed) (r span, ok bool, err error)) error {
	coded := map[string]Activation{}
	for _, p := range c.placed() {
		a, known := coded[p.like]
		if a.Name = p.name; p.byRow {
			a = byRow(p, c.ActBits)
		} else if !known {
			r, ok, err := rangeOf(p)
			switch {
			case err != nil:
				return err
			case !ok && p.asked:
				return tableErrorf("no range of %s, which is to be quantized", onnxio.Quote(p.name))
			case !ok:
				continue
			}
			a = newActivation(p, r, c.ActBits)
			if err := a.check(); err != nil {
				return tableErrorf("%v", err)
			}
		}
		coded[p.name] = a
		c.result.Activations = append(c.result.Activations, a)
	}
	return nil
}
