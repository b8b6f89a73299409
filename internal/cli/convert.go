package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"bq/convert"
	"bq/packing"
)

func (s *session) convertCommand() *urfave.Command {
	flags := []urfave.Flag{
		&urfave.StringFlag{Name: "bits", Usage: "at most 2^B levels for every covered tensor, B from 1 to 8", Value: "8"},
		&urfave.StringFlag{Name: "bpw", Usage: "average bits per float weight, kept ones counted; bits differ by tensor"},
		&urfave.StringFlag{Name: "max-size", Usage: "least drift in a file of at most SIZE (1200000, 1.2MB, 1.2MiB)"},
		&urfave.StringFlag{Name: "max-drift", Usage: "smallest file with drift at most D (KL in nats, or noise over signal power); needs data"},
		&urfave.StringFlag{Name: "method", Usage: "auto (measured rate and distortion), affine, entropy (uniform step and coder), lloyd, balanced (equal counts), balanced:P (equal mass of f^P), paper (literal)", Value: "auto"},
		&urfave.StringFlag{Name: "codec", Usage: "none (plain packed bits), huffman, range, auto (the smallest)", Value: "auto"},
		&urfave.StringFlag{Name: "group", Usage: "scales per channel, tensor, or block of 16 to 1024 weights", Value: "channel"},
		&urfave.StringFlag{Name: "act-bits", Usage: "also quantize activations to N bits, from 2 to 8; 0: float; needs data", Value: "0"},
		&urfave.StringSliceFlag{Name: "keep", Usage: "leave the tensors that a glob fits in float; repeatable"},
		&urfave.StringSliceFlag{Name: "bits-of", Usage: "GLOB=N: give these N bits; repeatable, later wins"},
		&urfave.StringFlag{Name: "calib", Usage: "read a calibration table in place of running the model on samples"},
		&urfave.StringFlag{Name: "save-calib", Usage: "write what was measured and decided to a table, with which --calib gives the same file; needs data"},
		&urfave.StringFlag{Name: "report", Usage: "write a page with all figures and charts to FILE.html"},
		&urfave.BoolFlag{Name: "strict", Usage: "a tensor kept for op, type, nonfinite or gain is an error", DisableDefaultText: true},
	}
	return s.command(urfave.Command{
		Name: "convert", Usage: "quantize a model into a .bq", ArgsUsage: "MODEL.onnx [-o MODEL.bq] [flags]",
		Description: "bq convert model.onnx\nbq convert model.onnx --bits 4 --data photos --image preset=imagenet\nbq convert model.onnx --bits 4 --keep '*head*' --bits-of 'conv1.*=8'",
		Flags:       append(flags, dataFlags()...),
	}, "the container, - for stdout; by default beside the model", true, s.convert)
}

// convertOptions reads the flags of convert.
func convertOptions(c *urfave.Context) (o convert.Options, err error) {
	o.MadeBy, o.Strict, o.Keep = "bq "+Version, c.Bool("strict"), c.StringSlice("keep")
	if o.Bits, err = wholeNumber("--bits", c.String("bits"), 1, 8); err != nil {
		return o, err
	}
	if o.Method, err = convert.ParseMethod(c.String("method")); err != nil {
		return o, usagef("reading --method: %v", err)
	}
	if o.Codec, err = convert.ParseCodec(c.String("codec")); err != nil {
		return o, usagef("reading --codec: %v", err)
	}
	if o.Group, err = group(c.String("group")); err != nil {
		return o, err
	}
	if o.ActBits, err = wholeNumber("--act-bits", c.String("act-bits"), 0, 8); err != nil {
		return o, err
	}
	if o.ActBits == 1 {
		return o, usagef("reading --act-bits: want 0, or 2 to 8, got 1")
	}
	if o.Budget, err = budget(c); err != nil {
		return o, err
	}
	for _, v := range c.StringSlice("bits-of") {
		b, err := bitsOf(v)
		if err != nil {
			return o, err
		}
		o.BitsOf = append(o.BitsOf, b)
	}
	if err := o.Check(); err != nil {
		return o, usagef("reading %v", err)
	}
	return o, nil
}

// budget reads the flag that bounds the file, if one is given.
func budget(c *urfave.Context) (b convert.Budget, err error) {
	var given []string
	for _, name := range []string{"bits", "bpw", "max-size", "max-drift"} {
		if c.IsSet(name) {
			given = append(given, "--"+name)
		}
	}
	if len(given) > 1 {
		return b, usagef("reading %s and %s: one budget at most", given[0], given[1])
	}
	switch {
	case c.IsSet("bpw"):
		b.Kind = convert.BudgetBPW
		b.Value, err = positive("--bpw", c.String("bpw"), maxBPW)
	case c.IsSet("max-size"):
		b.Kind = convert.BudgetSize
		b.Value, err = byteSize("--max-size", c.String("max-size"))
	case c.IsSet("max-drift"):
		b.Kind = convert.BudgetDrift
		b.Value, err = positive("--max-drift", c.String("max-drift"), math.MaxFloat32)
	}
	return b, err
}

// maxBPW is the largest rate that --bpw takes: what a float has.
const maxBPW = 32

// conversion reads what convert and plan are asked for: flags and the table, and refuses what needs samples without any; hint is the
// way out.
func (s *session) conversion(c *urfave.Context, hint string) (o convert.Options, t *convertTables, err error) {
	if o, err = convertOptions(c); err != nil {
		return o, nil, err
	}
	o.Threads = s.threads
	o.KeepBiases, o.MinElements = s.expert.keepBiases, s.expert.minElements
	if t, err = s.convertTables(c); err != nil {
		return o, nil, err
	}
	o.Table, o.Record = t.read, t.save != nil
	if o.Table == nil && !hasData(c) {
		switch {
		case o.Budget.Kind == convert.BudgetDrift:
			return o, nil, &usageError{text: "reading --max-drift: drift is measured on samples", hint: hint}
		case o.ActBits > 0:
			return o, nil, &usageError{text: "reading --act-bits: activations need samples to calibrate on", hint: hint}
		}
	}
	return o, t, nil
}

func (s *session) convert(c *urfave.Context) error {
	if err := exactly(c, "one model"); err != nil {
		return err
	}
	o, tables, err := s.conversion(c, "add --data PATH")
	if err != nil {
		return err
	}
	in, err := s.openModel(c.Args().First())
	if err != nil {
		return err
	}
	defer in.close()
	out, err := s.convertTarget(c, in)
	if err != nil {
		return err
	}
	if o.Samples, o.OutputKinds, err = s.samples(c, in.file.Model, calibrationSamples); err != nil {
		return err
	}
	if out != nil && tables.save != nil && samePath(out.path, tables.save.path) {
		return usagef("reading arguments: --save-calib and the container name the same file %s", out.path)
	}
	page, err := s.newConvertReport(c, in, out, tables)
	if err != nil {
		return err
	}
	s.warnOfOptions(&o)
	progress := s.newProgress()
	defer progress.stop()
	o.Progress = progress.update
	var result *convert.Result
	done := &written{path: "stdout", data: dataWords(c)}
	fill := func(w io.Writer) error {
		buffered := bufio.NewWriterSize(w, 1<<20)
		if result, err = convert.Convert(s.ctx, in.file, buffered, o); err != nil {
			return tables.explain(convertError(in, err), in)
		}
		return buffered.Flush()
	}
	check := func(path string) error {
		if err := done.check(path, result); err != nil {
			return err
		}
		content, err := page.make(path, done, result, &o)
		if err != nil {
			return err
		}
		if err := tables.write(result.Table); err != nil {
			return err
		}
		return page.write(content)
	}
	if out == nil {
		err = s.toStdout(fill, check)
	} else {
		done.path = out.path
		err = out.write(fill, check)
	}
	progress.stop()
	if err != nil {
		return err
	}
	return s.reportConvert(in, done, result, &o, tables)
}

// warnOfOptions warns of options that cost what a person may not expect.
func (s *session) warnOfOptions(o *convert.Options) {
	if o.Samples == nil && o.Table == nil && o.Budget.Kind != convert.NoBudget {
		s.warn("no --data: bits are spent by the error of the weights, not by what it does to the outputs")
	}
	if o.Method.Literal() {
		s.warn("--method paper is the paper's quantizer to the letter: without the training that goes with it, it destroys a model")
	}
}

// written is a container that convert wrote.
type written struct {
	path   string
	data   string // the flags of the samples that it was made with
	sha256 string
	size   sizeRecord
}

// check reads a container that was just written, every tensor in it, and takes its figures.
func (w *written) check(path string, r *convert.Result) error {
	f, size, err := openFile(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, faults := packing.Check(f, size); len(faults) > 0 {
		return errors.New(faults[0].String())
	}
	p, err := packing.Open(f, size)
	if err != nil {
		return err
	}
	w.size = newSizeRecord(p, size, floatWeights(r.Tensors))
	w.sha256, err = fileSHA256(f)
	return err
}

// convertError adds the file and a way out to an error of a conversion.
func convertError(in *input, err error) error {
	var nothing *convert.NothingError
	switch {
	case errors.As(err, &nothing) && nothing.Already > 0:
		return &hintError{fmt.Errorf("converting %s: %w", in.name, err), "the model can be used as it is"}
	case errors.As(err, &nothing) || errors.Is(err, convert.ErrLarger):
		return &hintError{fmt.Errorf("converting %s: %w", in.name, err), "bq inspect " + in.name + " --tensors"}
	}
	var reach *convert.ReachError
	if errors.As(err, &reach) {
		return reachError(fmt.Errorf("converting %s: %w", in.name, err), reach)
	}
	var noMatch *convert.NoMatchError
	if errors.As(err, &noMatch) {
		return err
	}
	return fmt.Errorf("converting %s: %w", in.name, err)
}

// reachError adds the way out, where there is one, to err, which says that a budget is out of reach.
func reachError(err error, reach *convert.ReachError) error {
	if reach.Kind == convert.BudgetSize && reach.Nearest > 0 {
		return &hintError{err, fmt.Sprintf("fewer --keep, or --max-size %.0fkB", math.Ceil(reach.Nearest/1000))}
	}
	return err
}

// convertTarget decides where the container goes; nil means stdout.
func (s *session) convertTarget(c *urfave.Context, in *input) (*target, error) {
	t := &target{ours: isContainer, avoid: in.paths()}
	if !in.spooled {
		t.path = strings.TrimSuffix(in.name, filepath.Ext(in.name)) + ".bq"
	}
	return s.outTarget(c, t)
}

// isContainer reports whether a regular file starts like a container.
func isContainer(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, packing.SniffBytes)
	_, err = io.ReadFull(f, head)
	return err == nil && packing.IsContainer(head)
}
