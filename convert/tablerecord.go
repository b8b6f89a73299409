package convert

import (
	"bq/internal/moments"
)

// recording keeps what the codes of the last pass over the layers followed from. A nil one keeps nothing.
type recording struct {
	compensate bool
	rate       float64
	of         map[*job]*recordedCodes
}

// recordedCodes is what the codes of one weight followed from.
type recordedCodes struct {
	steps   []float32 // nil: of a whole number of bits
	sums    *moments.Sums
	centred bool
	moved   bool // to make up for changed inputs
}

// newRecording begins a pass.
func (c *converter) newRecording(compensate bool) *recording {
	if !c.Record {
		return nil
	}
	return &recording{compensate: compensate, of: map[*job]*recordedCodes{}}
}

// codes notes what j was coded by: l is its layer, nil without one; sums may be nil.
func (r *recording) codes(j *job, l *layer, k coder, sums *moments.Sums, moved bool) {
	if r == nil {
		return
	}
	v := &recordedCodes{}
	if s, ok := k.(*stepCoder); ok {
		v.steps, r.rate = s.steps, s.mu
	}
	if l != nil && sums != nil && sums.Len() > 0 {
		v.sums, v.centred, v.moved = sums, l.centred, moved
	}
	r.of[j] = v
}

// measured notes the sensitivity of a weight.
func (c *converter) measured(j *job, sensitivity float64) {
	if !c.Record {
		return
	}
	for i := range c.result.Table.Weights {
		if w := &c.result.Table.Weights[i]; w.Name == j.name {
			w.Sensitivity = &sensitivity
		}
	}
}

// record fills the second part of the table, when everything but the file is done.
func (c *converter) record() error {
	t := c.result.Table
	about, err := c.about()
	if err != nil {
		return err
	}
	t.Conversion = &TableConversion{Flags: c.flags(), Calibration: about.Calibration, Compensate: c.kept.compensate, Rate: c.kept.rate, Knob: c.knob,
		Corrected: c.result.Corrected, Uncorrected: c.result.Uncorrected}
	for _, w := range t.Weights {
		for _, j := range c.jobs {
			if j.name != w.Name {
				continue
			}
			k, err := c.recordCodes(j)
			if err != nil {
				return err
			}
			t.Codes = append(t.Codes, k)
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
		t.Activations = append(t.Activations, TableActivation{a.Name, a.Low, a.High})
	}
	for _, d := range c.result.Drift {
		t.Drift = append(t.Drift, newTableDrift(d))
	}
	return nil
}

// recordCodes writes down what the codes of a weight followed from.
func (c *converter) recordCodes(j *job) (k TableCodes, err error) {
	k = TableCodes{Name: j.name, Kept: j.reason, Steps: []float32{}}
	v := c.kept.of[j]
	if j.reason != "" || v == nil {
		return k, nil
	}
	if k.Bits = j.bits; v.steps != nil {
		k.Bits, k.Steps = 0, v.steps
	}
	if v.sums == nil {
		return k, nil
	}
	s := v.sums.State()
	if !v.moved {
		s.X, s.Shift = nil, nil
	}
	k.Centred, k.Rows = v.centred, s.Rows
	for _, part := range []struct {
		to   *vector
		from []float64
	}{{&k.Z, s.Z}, {&k.X, s.X}, {&k.Second, s.Second}, {&k.Shift, s.Shift}} {
		if *part.to, err = newVector(part.from); err != nil {
			return k, err
		}
	}
	return k, nil
}
