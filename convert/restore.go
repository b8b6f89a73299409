package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"bq/onnxio"
	"bq/packing"
)

// Restore turns a container into an ONNX model again: the graph as it was, the weights in the form asked for, and
// the quantized activations as operators that round. All forms compute the same but for the rounding of float32 sums, which moves a
// code by one step where a value lies at the border of two; and where activations are quantized, ONNX Runtime's own operators of FormORT
// round also those that the other forms leave in float.
func Restore(f *packing.File, form Form) (*onnxio.Model, *Lowered, error) {
	graph, err := f.Graph()
	if err != nil {
		return nil, nil, err
	}
	m, err := onnxio.Parse(graph)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the container's graph: %w", err)
	}
	tensors := readAhead(f)
	defer tensors.stop()
	about, err := ReadAbout(f)
	if err != nil {
		return nil, nil, err
	}
	if form == FormORT && (len(about.Activations) > 0 || about.Flags != nil && about.Flags.ActBits > 0) {
		form = formRounding
	}
	counts, _, err := lower(m, form, about.Activations, tensors.get, len(f.Entries()))
	if err != nil {
		return nil, nil, fmt.Errorf("restoring the model: %w", err)
	}
	return m, counts, nil
}

// Runnable restores the model as it is run here: on codes where activations are coded, else with plain values.
func Runnable(f *packing.File) (*onnxio.Model, error) {
	about, err := ReadAbout(f)
	if err != nil {
		return nil, err
	}
	m, _, err := Restore(f, runForm(about.Activations))
	return m, err
}

// runForm is the form in which a model with these activations is run.
func runForm(list []Activation) Form {
	if slices.ContainsFunc(list, func(a Activation) bool { return a.Everywhere || a.ByRow }) {
		return FormQDQ
	}
	return FormFloat
}

// About is what a container says of its making.
type About struct {
	MadeBy      string       // program and version
	Source      Source       //
	Flags       *Flags       // nil: made before bq wrote them down
	Table       string       // SHA-256 of the calibration table, in hexadecimal; "": made without, or before bq wrote it down
	SQNR        []*float64   // of each quantized tensor's values in dB, in the order of the file; nil: without noise, or without signal
	Calibration *Calibration // nil: made without data
	Activations []Activation // in graph order
}

// Source identifies the model that a container was made from.
type Source struct {
	SHA256  string `json:"sha256"` // of the model file
	Bytes   int64  `json:"bytes"`
	Weights string `json:"weights_sha256,omitempty"` // of the tensors in other files, one after the other; "": there are none
}

// Calibration tells of the samples that fitted a container, and how far it drifts on those held out.
type Calibration struct {
	Kind    string         `json:"kind"`    // of the data, as in dataset.Info
	Samples int            `json:"samples"` // that fitted
	HeldOut int            `json:"held_out"`
	Data    string         `json:"data_sha256"`
	Outputs []HeldOutDrift `json:"outputs"`
}

// HeldOutDrift is the drift of one output on the held-out samples: KL of class outputs, noise power over signal
// power of the others.
type HeldOutDrift struct {
	Name  string   `json:"name"`
	Kind  string   `json:"kind"`
	Drift *float64 `json:"drift"` // nil where the outputs are not finite
}

// Metadata keys of a container (packing/FORMAT.md, "Metadata of bq"); the values of all but made_by and table_sha256 are JSON.
const (
	keyMadeBy      = "made_by"
	keySource      = "source"
	keyFlags       = "flags"
	keyTable       = "table_sha256"
	keySQNR        = "sqnr_db"
	keyCalibration = "calibration"
	keyActivations = "activations"
)

// ReadAbout reads the container's metadata.
func ReadAbout(f *packing.File) (*About, error) {
	a := &About{}
	for _, pair := range f.Meta() {
		var err error
		switch pair.Key {
		case keyMadeBy:
			a.MadeBy = string(pair.Value)
		case keySource:
			err = strictJSON(pair.Value, &a.Source)
		case keyFlags:
			err = strictJSON(pair.Value, &a.Flags)
		case keyTable:
			if a.Table = string(pair.Value); !isDigest(a.Table) {
				err = errors.New("no SHA-256 in hexadecimal")
			}
		case keySQNR:
			err = strictJSON(pair.Value, &a.SQNR)
		case keyCalibration:
			err = strictJSON(pair.Value, &a.Calibration)
		case keyActivations:
			err = strictJSON(pair.Value, &a.Activations)
		}
		if err != nil {
			return nil, &onnxio.FormatError{Where: "metadata " + onnxio.Quote(pair.Key), Text: err.Error()}
		}
	}
	for i := range a.Activations {
		if err := a.Activations[i].check(); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func strictJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more behind the value")
	}
	return nil
}

// meta encodes the container's metadata.
func (a *About) meta() (packing.Meta, error) {
	meta := packing.Meta{{Key: keyMadeBy, Value: []byte(a.MadeBy)}}
	add := func(key string, v any) error {
		b, err := json.Marshal(v)
		meta = append(meta, packing.Pair{Key: key, Value: b})
		return err
	}
	if err := add(keySource, a.Source); err != nil {
		return nil, err
	}
	if a.Flags != nil {
		if err := add(keyFlags, a.Flags); err != nil {
			return nil, err
		}
	}
	if a.Table != "" {
		meta = append(meta, packing.Pair{Key: keyTable, Value: []byte(a.Table)})
	}
	if len(a.SQNR) > 0 {
		if err := add(keySQNR, a.SQNR); err != nil {
			return nil, err
		}
	}
	if a.Calibration != nil {
		if err := add(keyCalibration, a.Calibration); err != nil {
			return nil, err
		}
	}
	if len(a.Activations) > 0 {
		return meta, add(keyActivations, a.Activations)
	}
	return meta, nil
}
