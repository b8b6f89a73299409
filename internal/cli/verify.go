package cli

import (
	"errors"
	"fmt"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"bq/convert"
	"bq/internal/dataset"
	"bq/internal/infer"
	"bq/onnxio"
	"bq/onnxio/onnxgo"
	"bq/verify"
)

func (s *session) verifyCommand() *urfave.Command {
	flags := []urfave.Flag{
		&urfave.StringSliceFlag{Name: "max-kl", Usage: "[OUT=]X: mean KL in nats, of output OUT or of all class outputs; repeatable"},
		&urfave.StringSliceFlag{Name: "min-agree", Usage: "[OUT=]X: share of rows with the same top-1, as 0.99 or 99%; repeatable"},
		&urfave.StringFlag{Name: "max-top1-drop", Usage: "float accuracy minus quantized accuracy, a share; needs labels"},
		&urfave.StringSliceFlag{Name: "min-sqnr", Usage: "[OUT=]X: dB over all samples, of output OUT or of all outputs of kind values; repeatable"},
		&urfave.StringFlag{Name: "baseline", Usage: "compare with the accepted result in FILE"},
		&urfave.BoolFlag{Name: "update-baseline", Usage: "write this result to --baseline in place of comparing; refused if a limit fails", DisableDefaultText: true},
		&urfave.StringFlag{Name: "tolerance", Usage: "each loss may grow by this share of the baseline, plus one row or 1e-6 nats", Value: "5%"},
		&urfave.BoolFlag{Name: "blame", Usage: "quantize one tensor at a time on 64 samples, on more where tensors are few, rank by the drift alone, price the remedies", DisableDefaultText: true},
		&urfave.StringFlag{Name: "report", Usage: "write a page with all figures and charts to FILE.html"},
		&urfave.StringFlag{Name: "junit", Usage: "write the verdict to FILE.xml as JUnit"},
		&urfave.StringFlag{Name: "ci", Usage: "github (annotations and a step summary), none, or auto: github if GITHUB_ACTIONS=true", Value: "auto"},
		&urfave.StringFlag{Name: "reader", Usage: "who decodes A: native, or onnx-go, which shares no code with convert", Value: "native"},
	}
	return s.command(urfave.Command{
		Name: "verify", Usage: "measure the drift of B against A, and gate it", ArgsUsage: "A.onnx B.bq|B.onnx --data PATH [limits] [baseline]",
		Description: "bq verify model.onnx model.bq --data samples.npz\nbq verify model.onnx model.bq --data samples.npz --max-kl 0.02 --min-agree 99%\nbq verify model.onnx other.onnx --data photos --image preset=imagenet --json\nbq verify model.onnx model.bq --data samples.npz --baseline drift.json --junit drift.xml",
		Flags:       append(flags, dataFlags()...),
	}, resultOutput, false, s.verify)
}

func (s *session) verify(c *urfave.Context) error {
	if err := exactly(c, "model A", "model B"); err != nil {
		return err
	}
	o, err := verifyOptions(c)
	if err != nil {
		return err
	}
	if !hasData(c) {
		return &usageError{text: "reading arguments: verify needs samples", hint: "add --data PATH"}
	}
	if c.Args().Get(0) == "-" && c.Args().Get(1) == "-" {
		return usagef("reading arguments: stdin can be one of the models, not both")
	}
	w, err := s.verifyFiles(c)
	if err != nil {
		return err
	}
	a, err := s.reference(c)
	if err != nil {
		return err
	}
	defer a.close()
	b, err := s.side(c.Args().Get(1))
	if err != nil {
		return err
	}
	defer b.close()
	set, kinds, err := s.samples(c, a.Graph, 0)
	if err != nil {
		return err
	}
	if err := w.checkBaseline(a.Model, set); err != nil {
		return err
	}
	o.Kinds, o.Threads = kinds, s.threads
	progress := s.newProgress()
	o.Progress = func(done, total int) { progress.update("running both models", done, total) }
	r, err := verify.Run(s.ctx, a.Side, b.Side, set, o)
	progress.stop()
	if err != nil {
		return verifyError(err)
	}
	if b.size != nil {
		r.Size = b.size
	}
	if err := w.compare(r); err != nil {
		return err
	}
	steps := s.newLadder(a.input, b.contents)
	if c.Bool("blame") {
		if err := s.blameTensors(a, b, steps, set, kinds, r, func() (*dataset.Set, error) { return openData(c, a.Graph, calibrationSamples) }); err != nil {
			return err
		}
	}
	w.html = s.newHTMLReport(r, a, b, set, kinds, steps)
	if err := w.write(r); err != nil {
		return err
	}
	return s.reportVerify(r)
}

// verifyError adds the outputs there are to an error about one that is not.
func verifyError(err error) error {
	var mismatch *verify.MismatchError
	if errors.As(err, &mismatch) {
		return &hintError{err, "A is the float model, B one that was made from it"}
	}
	var limit *verify.LimitError
	if !errors.As(err, &limit) {
		return err
	}
	names := make([]string, len(limit.Outputs))
	for i, o := range limit.Outputs {
		names[i] = fmt.Sprintf("%s (%v)", o.Name, o.Kind)
	}
	return &usageError{text: err.Error(), hint: "outputs: " + strings.Join(names, ", ")}
}

// verifyOptions reads the limits.
func verifyOptions(c *urfave.Context) (o verify.Options, err error) {
	if o.MaxKL, err = limits(c, "max-kl", decimal); err != nil {
		return o, err
	}
	if o.MinAgree, err = limits(c, "min-agree", fraction); err != nil {
		return o, err
	}
	if o.MinSQNR, err = limits(c, "min-sqnr", decimal); err != nil {
		return o, err
	}
	if c.IsSet("max-top1-drop") {
		v, err := fraction("--max-top1-drop", c.String("max-top1-drop"))
		if err != nil {
			return o, err
		}
		o.MaxTop1Drop = &v
	}
	if r := c.String("reader"); r != "native" && r != "onnx-go" {
		return o, usagef("reading --reader: want native or onnx-go, got %q", r)
	}
	return o, nil
}

// limits reads a repeatable flag of [OUT=]X, split at the last "=".
func limits(c *urfave.Context, flag string, read func(flag, value string) (float64, error)) ([]verify.Limit, error) {
	var list []verify.Limit
	for _, v := range c.StringSlice(flag) {
		l := verify.Limit{}
		if i := strings.LastIndexByte(v, '='); i >= 0 {
			l.Output, v = v[:i], v[i+1:]
		}
		var err error
		if l.Value, err = read("--"+flag, v); err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

// side is a model that is ready to run, with the parts of its file where it is a container. Its graph may be slices of
// the file, which close takes away.
type side struct {
	plain func() (*onnxio.Model, error) // of a container: the model with plain values, whose constants stand where the model it was made from has them
	verify.Side
	size     *sizeRecord
	contents *convert.Contents // of a container
	input    *input            // of an ONNX file read by the native reader
	close    func()
}

// reference opens model A with the reader asked for.
func (s *session) reference(c *urfave.Context) (*side, error) {
	path := c.Args().Get(0)
	if c.String("reader") == "native" {
		return s.side(path)
	}
	if s.isContainer(path) {
		return nil, usagef("reading --reader: onnx-go reads ONNX files, %s is a bq container", path)
	}
	in, err := s.openModel(path)
	if err != nil {
		return nil, err
	}
	m, err := onnxgo.Decode(in.file.Bytes)
	if err != nil {
		in.close()
		return nil, fmt.Errorf("reading %s by onnx-go: %w", path, err)
	}
	return newSide(path, in.record(), m, in.close)
}

// side opens an ONNX model or a container to run it.
func (s *session) side(path string) (*side, error) {
	if s.isContainer(path) {
		return s.containerSide(path)
	}
	if looksLikeContainer(path) {
		return nil, s.notAContainer(path)
	}
	in, err := s.openModel(path)
	if err != nil {
		return nil, err
	}
	sd, err := newSide(path, in.record(), in.file.Model, in.close)
	if err != nil {
		return nil, err
	}
	sd.input = in
	return sd, nil
}

func (s *session) containerSide(path string) (sd *side, err error) {
	f, close, err := s.openContainer(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			close()
		}
	}()
	if err := f.Verify(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	contents, err := convert.ReadContents(f.File)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	rec, err := f.record(contents)
	if err != nil {
		return nil, err
	}
	m, err := convert.Runnable(f.File)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if sd, err = newSide(path, rec.Model, m, close); err != nil {
		return nil, err
	}
	sd.size, sd.contents = rec.Size, contents
	sd.plain = func() (*onnxio.Model, error) {
		m, _, err := convert.Restore(f.File, convert.FormFloat)
		return m, err
	}
	return sd, nil
}

// newSide compiles a model. Samples are spread over threads, so that each runs on one. close is called where it fails.
func newSide(path string, record verify.Model, m *onnxio.Model, close func()) (*side, error) {
	p, err := infer.Options{Threads: 1}.Compile(m)
	if err != nil {
		close()
		var unsupported *onnxio.UnsupportedError
		if missing := (*infer.MissingError)(nil); errors.As(err, &missing) && convert.Supported(m) == nil {
			err = fmt.Errorf("%w; conversion without data still works", err)
		}
		if errors.As(err, &unsupported) {
			return nil, &hintError{fmt.Errorf("preparing %s: %w", path, err), "bq ops " + path}
		}
		return nil, fmt.Errorf("preparing %s: %w", path, err)
	}
	return &side{Side: verify.Side{Model: record, Program: p, Graph: m}, close: close}, nil
}

// withThreads compiles the model again with threads inside its operators.
func (sd *side) withThreads(n int) (*infer.Program, error) {
	return infer.Options{Threads: n}.Compile(sd.Graph)
}
