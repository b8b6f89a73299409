package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"bq/internal/compare"
	"bq/internal/dataset"
	"bq/internal/drift"
	"bq/onnxio"
)

// calibrationSamples is how many samples calibration takes where --samples does not say.
const calibrationSamples = 64

// syntheticKind is the kind of data that was made up; every result says so.
const syntheticKind = "synthetic"

// maxSamples bounds --samples and --synthetic.
const maxSamples = 1 << 30

func dataFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "data", Usage: "samples: .npz, .npy, a folder of them, of pictures or of ONNX test sets, or a data spec .yaml"},
		&urfave.StringSliceFlag{Name: "image", Usage: "KEY=VALUE: how pictures become numbers, such as preset=imagenet; repeatable"},
		&urfave.StringFlag{Name: "samples", Usage: "take N samples, spread evenly", DefaultText: "64 to calibrate, else all"},
		&urfave.StringFlag{Name: "synthetic", Usage: "N samples of normal random numbers in place of data"},
		&urfave.StringFlag{Name: "seed", Usage: "of --synthetic", Value: "0"},
		&urfave.StringSliceFlag{Name: "output-kind", Usage: "NAME=KIND[:AXIS]: what an output is: logits, probs, logprobs, values; repeatable"},
	}
}

// hasData reports whether the command line names samples.
func hasData(c *urfave.Context) bool { return c.IsSet("data") || c.IsSet("synthetic") }

// dataWords writes the flags that name the samples, as verify takes them to run all of them.
func dataWords(c *urfave.Context) string {
	if !hasData(c) {
		return "--data DATA"
	}
	var words []string
	for _, name := range []string{"data", "synthetic", "seed"} {
		if c.IsSet(name) {
			words = append(words, "--"+name, shellQuote(c.String(name)))
		}
	}
	for _, name := range []string{"image", "output-kind"} {
		for _, v := range c.StringSlice(name) {
			words = append(words, "--"+name, shellQuote(v))
		}
	}
	return strings.Join(words, " ")
}

// samples opens the data that the flags name for a model, says what it is fed with, and reads --output-kind. Without
// data the set is nil. take is the number of samples where --samples is not given, 0 for all.
func (s *session) samples(c *urfave.Context, m *onnxio.Model, take int) (*dataset.Set, []compare.Override, error) {
	kinds, err := outputKinds(c)
	if err != nil {
		return nil, nil, err
	}
	if !hasData(c) {
		return nil, kinds, unusedDataFlags(c)
	}
	set, err := openData(c, m, take)
	if err != nil {
		return nil, nil, err
	}
	s.files = append(s.files, set.Files()...)
	return set, kinds, s.feeding(set)
}

// openData opens the data that the flags name; take is as for samples.
func openData(c *urfave.Context, m *onnxio.Model, take int) (*dataset.Set, error) {
	var err error
	o := dataset.Options{Path: c.String("data"), Samples: take, Outputs: dataset.OutputNames(m.Graph)}
	if c.IsSet("image") {
		o.Image = c.StringSlice("image")
	}
	if c.IsSet("samples") {
		if o.Samples, err = wholeNumber("--samples", c.String("samples"), 1, maxSamples); err != nil {
			return nil, err
		}
	}
	if c.IsSet("synthetic") {
		if c.IsSet("data") {
			return nil, usagef("reading arguments: --data and --synthetic exclude each other")
		}
		if o.Synthetic, err = wholeNumber("--synthetic", c.String("synthetic"), 1, maxSamples); err != nil {
			return nil, err
		}
		o.Samples = 0
	}
	if o.Seed, err = strconv.ParseUint(c.String("seed"), 10, 64); err != nil {
		return nil, usagef("reading --seed: want a whole number not below 0, got %q", c.String("seed"))
	}
	set, err := dataset.Open(dataset.Inputs(m.Graph), o)
	if usage := (*dataset.UsageError)(nil); err == nil || errors.As(err, &usage) && usage.Hint != "" {
		return set, err
	}
	return nil, &hintError{err, "bq help data"}
}

// unusedDataFlags refuses flags that only say how data are read where there are none.
func unusedDataFlags(c *urfave.Context) error {
	for _, f := range []string{"image", "samples", "seed", "output-kind"} {
		if c.IsSet(f) {
			return &usageError{text: fmt.Sprintf("reading arguments: --%s without data", f), hint: "add --data PATH"}
		}
	}
	return nil
}

// feeding says what the model is fed with, and what of the data could not be used.
func (s *session) feeding(set *dataset.Set) error {
	info, err := set.Describe()
	if err != nil {
		return err
	}
	if info.Kind == syntheticKind {
		s.warn("synthetic data: random numbers say little about real ones")
	}
	for _, f := range info.Skipped {
		s.warn("skipped %s: %s", f.File, f.Why)
	}
	if info.Rotated > 0 {
		s.warn("%d pictures carry a rotation in their EXIF data, which is ignored", info.Rotated)
	}
	if info.Dropped > 0 {
		s.warn("%d rows at the ends of files do not fill a batch and are dropped", info.Dropped)
	}
	noun := info.Noun
	if noun == "" {
		noun = "samples"
	}
	for _, f := range info.Fed {
		s.note("feeding %s %s %s, %s of %s %s, range %.4g to %.4g, mean %.4g", f.Input, f.DType, shapeText(f.Shape), thousands(info.Taken),
			thousands(info.Samples), noun, f.Min, f.Max, f.Mean)
	}
	return nil
}

// outputKinds reads --output-kind NAME=KIND[:AXIS], split at the last "=".
func outputKinds(c *urfave.Context) ([]compare.Override, error) {
	var list []compare.Override
	for _, v := range c.StringSlice("output-kind") {
		i := strings.LastIndexByte(v, '=')
		if i <= 0 {
			return nil, usagef("reading --output-kind: want NAME=KIND[:AXIS], got %q", v)
		}
		o := compare.Override{Name: v[:i]}
		kind, axis, given := strings.Cut(v[i+1:], ":")
		var err error
		if o.Kind, err = drift.ParseKind(kind); err != nil {
			return nil, usagef("reading --output-kind: %v", err)
		}
		if given {
			if o.Axis, err = strconv.Atoi(axis); err != nil || o.Axis < -maxAxis || o.Axis >= maxAxis {
				return nil, usagef("reading --output-kind: want an axis such as 1 or -1, got %q", axis)
			}
			o.HasAxis = true
		}
		list = append(list, o)
	}
	return list, nil
}

// maxAxis bounds the axis of --output-kind.
const maxAxis = 64
