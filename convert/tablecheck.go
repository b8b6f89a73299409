package convert

import (
	"encoding/hex"
	"slices"
	"strings"

	"bq/balance"
	"bq/internal/drift"
	"bq/onnxio"
)

// What a table must keep beside its spelling. What a model wants of it is checked where the two meet.

// maxTableSamples bounds how many samples a table may say it was made from.
const maxTableSamples = 1 << 30

// check refuses figures that no measurement gives.
func (t *Table) check() error {
	if !isDigest(t.Model.SHA256) || !isDigest(t.Data.SHA256) || t.Model.Weights != "" && !isDigest(t.Model.Weights) {
		return tableErrorf("a sha256 that is none: model %q, data %q", t.Model.SHA256, t.Data.SHA256)
	}
	if t.Data.Samples < 1 || t.Data.Samples > maxTableSamples {
		return tableErrorf("%d samples", t.Data.Samples)
	}
	for i := range t.Values {
		if err := t.Values[i].check(); err != nil {
			return err
		}
	}
	for i := range t.Weights {
		if err := t.Weights[i].check(); err != nil {
			return err
		}
	}
	return t.checkConversion()
}

// isDigest reports whether s is a SHA-256 in hexadecimal, of small letters.
func isDigest(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && s == strings.ToLower(s)
}

func (v *TableValue) check() error {
	h, err := v.histogram()
	switch {
	case err != nil:
		return tableErrorf("value %s: %v", onnxio.Quote(v.Name), err)
	case h.Count() != v.Count:
		return tableErrorf("value %s: a histogram of %d values, want %d", onnxio.Quote(v.Name), h.Count(), v.Count)
	case v.Histogram.Counts == nil || v.Means == nil || v.Deviations == nil:
		return tableErrorf("value %s: null in place of a list", onnxio.Quote(v.Name))
	case len(v.Means) != len(v.Deviations):
		return tableErrorf("value %s: means of %d channels, deviations of %d", onnxio.Quote(v.Name), len(v.Means), len(v.Deviations))
	case slices.ContainsFunc(v.Deviations, func(d float64) bool { return d < 0 }):
		return tableErrorf("value %s: a negative deviation", onnxio.Quote(v.Name))
	}
	return nil
}

func (w *TableWeight) check() error {
	for _, v := range []*float64{w.Importance, w.Sensitivity} {
		if v != nil && *v < 0 {
			return tableErrorf("weight %s: a negative figure %v", onnxio.Quote(w.Name), *v)
		}
	}
	if w.Alone == nil {
		return tableErrorf("weight %s: null in place of a list", onnxio.Quote(w.Name))
	}
	for i, a := range w.Alone {
		if len(w.Alone) != len(aloneBits) || a.Bits != aloneBits[i] || a.Drift < 0 {
			return tableErrorf("weight %s: drift %v alone at %d bits, want that at %v", onnxio.Quote(w.Name), a.Drift, a.Bits, aloneBits)
		}
	}
	return nil
}

// checkConversion checks the second part.
func (t *Table) checkConversion() error {
	if t.Conversion == nil {
		if len(t.Codes)+len(t.Biases)+len(t.Activations)+len(t.Drift) > 0 {
			return tableErrorf("codes, biases, activations or drift without a conversion")
		}
		return nil
	}
	k := t.Conversion
	if k.Flags.Keep == nil || k.Flags.BitsOf == nil || k.Calibration != nil && k.Calibration.Outputs == nil {
		return tableErrorf("a conversion with null in place of a list")
	}
	if k.Corrected < 0 || k.Uncorrected < 0 || k.Rate < 0 || k.Rate > 1 || k.Knob < 0 || k.Calibration == nil {
		return tableErrorf("a conversion of %d and %d biases, rate %v, knob %v", k.Corrected, k.Uncorrected, k.Rate, k.Knob)
	}
	if k.Calibration.Samples < 1 || k.Calibration.HeldOut < 1 || k.Calibration.Samples > maxTableSamples || k.Calibration.HeldOut > maxTableSamples {
		return tableErrorf("a conversion on %d samples, %d held out", k.Calibration.Samples, k.Calibration.HeldOut)
	}
	for i := range t.Codes {
		if err := t.Codes[i].check(); err != nil {
			return err
		}
	}
	for _, b := range t.Biases {
		if b.Data == nil {
			return tableErrorf("bias %s: null in place of data", onnxio.Quote(b.Name))
		}
	}
	for _, a := range t.Activations {
		if a.Low > a.High {
			return tableErrorf("activation %s: a range from %v to %v", onnxio.Quote(a.Name), a.Low, a.High)
		}
	}
	for _, d := range t.Drift {
		if _, err := drift.ParseKind(d.Kind); err != nil {
			return tableErrorf("drift of %s: %v", onnxio.Quote(d.Name), err)
		}
	}
	return nil
}

func (k *TableCodes) check() error {
	if k.Kept != "" && (k.Kept != Nonfinite && k.Kept != Gain || k.Bits+len(k.Steps)+len(k.Scales)+k.Rows != 0) {
		return tableErrorf("codes of %s, which is kept (%s)", onnxio.Quote(k.Name), onnxio.Quote(string(k.Kept)))
	}
	if k.Steps == nil || k.Scales == nil || len(k.Scales) > 0 && k.Rows == 0 || k.Bits < 0 || k.Bits > balance.MaxBits || k.Kept == "" && (k.Bits == 0) != (len(k.Steps) > 0) || k.Rows < 0 {
		return tableErrorf("codes of %s: %d bits, %d steps, %d rows of inputs", onnxio.Quote(k.Name), k.Bits, len(k.Steps), k.Rows)
	}
	for _, s := range append(slices.Clone(k.Steps), k.Scales...) {
		if s < 0 {
			return tableErrorf("codes of %s: a step of %v", onnxio.Quote(k.Name), s)
		}
	}
	if k.Rows == 0 && k.Z+k.X+k.Second+k.Shift != "" {
		return tableErrorf("codes of %s: moments without rows", onnxio.Quote(k.Name))
	}
	return nil
}
