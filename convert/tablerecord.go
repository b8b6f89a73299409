package convert

import (
	"bq/internal/infer"
	"bq/internal/moments"
)

// recording keeps what the codes of the last pass over the layers followed from. A nil one keeps nothing.
type recording struct {
	compensate bool
	rate       float64
	of         map[*job]*TableCodes
	err        error // the first one
}

// newRecording begins a pass.
func (c *converter) newRecording(compensate bool) *recording {
	if !c.Record {
		return nil
	}
	return &recording{compensate: compensate, of: map[*job]*TableCodes{}}
}

// codes writes down at once what j was coded by, so that the sums, many times as large, can go: l is its layer, nil without one;
// sums may be nil; moved tells that the layer made up for changed inputs.
func (r *recording) codes(j *job, l *layer, k coder, sums *moments.Sums, moved bool) {
	if r == nil {
		return
	}
	v := &TableCodes{Name: j.name, Bits: j.bits, Steps: []float32{}, Scales: []float32{}}
	if s, ok := k.(*stepCoder); ok {
		v.Bits, v.Steps, r.rate = 0, s.steps, s.mu
	}
	if l != nil && sums != nil && sums.Len() > 0 {
		v.Centred = l.centred
		if err := v.setMoments(sums.State(), moved); r.err == nil {
			r.err = err
		}
	}
	r.of[j] = v
}

// setMoments writes down the sums of a layer's inputs, those of changed inputs only where moved.
func (k *TableCodes) setMoments(s moments.State, moved bool) error {
	if !moved {
		s.X, s.Shift = nil, nil
	}
	k.Rows = s.Rows
	for _, part := range []struct {
		to   *vector
		from []float64
	}{{&k.Z, s.Z}, {&k.X, s.X}, {&k.Second, s.Second}, {&k.Shift, s.Shift}} {
		var err error
		if *part.to, err = newVector(part.from); err != nil {
			return err
		}
	}
	return nil
}

// scales notes that the scales behind the codes of j were changed.
func (r *recording) scales(j *job) {
	if r != nil {
		r.of[j].Scales = j.q.Scales
	}
}

// measured notes the sensitivity of a weight.
func (c *converter) measured(j *job, sensitivity float64) {
	if c.result.Table == nil {
		return
	}
	for i := range c.result.Table.Weights {
		if w := &c.result.Table.Weights[i]; w.Name == j.name {
			w.Sensitivity = &sensitivity
		}
	}
}

// beginTable measures the first part of the table.
func (c *converter) beginTable(float *infer.Program) (err error) {
	c.result.Table, err = c.firstPart(float)
	c.table = stillUnknown
	return err
}

// stillUnknown stands for the digest of a table that is not complete, where only the size of the file counts.
const stillUnknown = "5ee3a2c1d8f09b7446e1fd02937ac85bb0c92e6df41873a55d0e8b7c16f2934a"

// closeTable completes the table, where there is to be one, and takes its digest.
func (c *converter) closeTable() (err error) {
	if c.result.Table == nil {
		return nil
	}
	if err = c.record(); err == nil {
		c.table, err = c.result.Table.SHA256()
	}
	return err
}

// record fills the second part of the table, when everything but the file is done.
func (c *converter) record() error {
	t := c.result.Table
	if c.kept.err != nil {
		return c.kept.err
	}
	about, err := c.about()
	if err != nil {
		return err
	}
	t.Conversion = &TableConversion{Flags: c.flags(), Calibration: about.Calibration, Compensate: c.kept.compensate, Rate: c.kept.rate, Knob: c.knob,
		Corrected: c.result.Corrected, Uncorrected: c.result.Uncorrected}
	for _, w := range t.Weights {
		for _, j := range c.jobs {
			if j.name == w.Name {
				t.Codes = append(t.Codes, c.kept.codesOf(j))
			}
		}
	}
	for _, j := range c.jobs {
		if j.data != nil {
			t.Biases = append(t.Biases, TableBias{j.name, false, j.data})
		}
	}
	places := map[int]string{}
	corrected, _ := c.corrections()
	for _, k := range corrected {
		places[k.index] = k.output
	}
	for _, a := range c.added {
		t.Biases = append(t.Biases, TableBias{places[a.index], true, a.tensor().Data})
	}
	for _, a := range c.result.Activations {
		t.Activations = append(t.Activations, TableActivation{Name: a.Name, Low: a.Low, High: a.High, Shifts: a.Shifts, Rank: a.Rank, ByRow: a.ByRow})
	}
	for _, v := range c.result.Spared {
		t.Activations = append(t.Activations, TableActivation{Name: v.Name, Spared: v.Share})
	}
	for _, d := range c.result.Drift {
		t.Drift = append(t.Drift, newTableDrift(d))
	}
	return nil
}

// codesOf returns what the codes of a weight followed from.
func (r *recording) codesOf(j *job) TableCodes {
	if v := r.of[j]; v != nil && j.reason == "" {
		return *v
	}
	return TableCodes{Name: j.name, Kept: j.reason, Steps: []float32{}, Scales: []float32{}}
}
