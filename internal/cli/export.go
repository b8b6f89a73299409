package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"bq/convert"
	"bq/onnxio"
	"bq/verify"
)

func (s *session) exportCommand() *urfave.Command {
	return s.command(urfave.Command{
		Name: "export", Usage: "write a standard ONNX file again", ArgsUsage: "MODEL.bq [-o MODEL.bq.onnx] [--form qdq|ort|float] [--external]",
		Description: "bq export model.bq\nbq export model.bq --form ort -o model.ort.onnx\nbq export model.bq -o - | sha256sum",
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "form", Usage: "qdq: codes behind DequantizeLinear, or Gather from a table for codebooks; ort: ONNX Runtime's own operators where they serve; float: plain values", Value: "qdq"},
			&urfave.BoolFlag{Name: "external", Usage: "large tensors in a file beside the model, OUT.data; always where it would pass 2 GiB", DisableDefaultText: true},
		},
	}, "the ONNX file, - for stdout; by default beside the container", true, s.export)
}

type exportRecord struct {
	Schema   string          `json:"schema"`
	Input    verify.Model    `json:"input"`
	Output   verify.Model    `json:"output"`
	Form     string          `json:"form"`
	OpsetWas int64           `json:"opset_was"`
	OpsetNow int64           `json:"opset_now"`
	Widened  []widenedRecord `json:"widened"`
	Became   []becameRecord  `json:"became,omitempty"`
	Left     []leftRecord    `json:"left,omitempty"`
	Plain    []string        `json:"plain,omitempty"`
}

// becameRecord counts what quantized weights became.
type becameRecord struct {
	What  string `json:"what"`
	Count int    `json:"count"`
}

// leftRecord is a weight that got no operator of ONNX Runtime's own, and why.
type leftRecord struct {
	Name string `json:"name"`
	Op   string `json:"op"`
	Why  string `json:"why"`
}

type widenedRecord struct {
	Name    string `json:"name"`
	BitsWas int    `json:"bits_was"`
	BitsNow int    `json:"bits_now"`
}

// producer marks the models that bq writes.
const producer = "bq"

func (s *session) export(c *urfave.Context) error {
	if err := exactly(c, "one .bq file"); err != nil {
		return err
	}
	form, ok := map[string]convert.Form{"qdq": convert.FormQDQ, "ort": convert.FormORT, "float": convert.FormFloat}[c.String("form")]
	if !ok {
		return usagef("reading --form: want qdq, ort or float, got %q", c.String("form"))
	}
	path := c.Args().First()
	if !s.isContainer(path) {
		return s.notAContainer(path)
	}
	f, close, err := s.openContainer(path)
	if err != nil {
		return err
	}
	defer close()
	beside := &target{ours: isExport, avoid: []string{path}}
	if f.in.Name() == path {
		beside.path = strings.TrimSuffix(path, ".bq") + ".bq.onnx"
	}
	out, err := s.outTarget(c, beside)
	if err != nil {
		return err
	}
	m, counts, err := convert.Restore(f.File, form)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	if err := f.Verify(); err != nil {
		return fmt.Errorf("reading %s: %w", shown(path), err)
	}
	m.ProducerName, m.ProducerVersion = producer, Version
	if size := m.Size(); c.Bool("external") || size > onnxio.MaxFileSize {
		if out == nil {
			return &hintError{fmt.Errorf("exporting %s: a model of %s bytes and a file of external data do not go to stdout", path, thousands(size)), "-o FILE"}
		}
		if err := s.exportExternal(out, m); err != nil {
			return err
		}
		return s.reportExport(f, out, m, counts, c.String("form"))
	}
	fill := func(w io.Writer) error {
		b := bufio.NewWriterSize(w, 1<<20)
		if _, err := m.WriteTo(b); err != nil {
			return err
		}
		return b.Flush()
	}
	verify := func(tmp string) error { return sameModel(tmp, m) }
	if out == nil {
		return s.toStdout(fill, verify)
	}
	if err := out.write(fill, verify); err != nil {
		return err
	}
	return s.reportExport(f, out, m, counts, c.String("form"))
}

// dataSuffix behind the name of a model is the name of its external data.
const dataSuffix = ".data"

// exportExternal writes the model with its large tensors in a file beside it.
func (s *session) exportExternal(out *target, m *onnxio.Model) error {
	data := &target{path: out.path + dataSuffix, force: out.force, avoid: out.avoid, ours: func(path string) bool { return isDataOf(path, out.path) }}
	if err := data.check(); err != nil {
		return err
	}
	distinct := func() error {
		inputs := s.inputFiles()
		return errors.Join(out.distinct(inputs), data.distinct(inputs))
	}
	_, err := m.Save(out.path, onnxio.SaveOptions{External: true, Replace: true, Track: trackTemporary, Commit: distinct})
	return err
}

// isExport reports whether a file is a model that bq wrote.
func isExport(path string) bool {
	f, err := onnxio.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Model.ProducerName == producer
}

// isDataOf reports whether path holds the external data of a model that bq wrote.
func isDataOf(path, model string) bool {
	f, err := onnxio.Open(model)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Model.ProducerName == producer && slices.Contains(f.ExternalPaths, path)
}

// sameModel compares a written file with the model that was to be written.
func sameModel(path string, m *onnxio.Model) error {
	f, err := onnxio.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	rest := f.Bytes
	if _, err := m.WriteTo(compareWriter{&rest}); err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes too many", len(rest))
	}
	return nil
}

// compareWriter takes what equals the front of rest off it.
type compareWriter struct{ rest *[]byte }

func (w compareWriter) Write(b []byte) (int, error) {
	if !bytes.HasPrefix(*w.rest, b) {
		return 0, errors.New("the file differs from what was written")
	}
	*w.rest = (*w.rest)[len(b):]
	return len(b), nil
}

func (s *session) reportExport(f *container, out *target, m *onnxio.Model, counts *convert.Lowered, form string) error {
	opset := m.Opset(onnxio.DefaultDomain)
	written, err := s.openModel(out.path)
	if err != nil {
		return err
	}
	defer written.close()
	if s.json {
		contents, err := convert.ReadContents(f.File)
		if err != nil {
			return err
		}
		in, err := f.record(contents)
		if err != nil {
			return err
		}
		rec := exportRecord{Schema: "bq.export/1", Input: in.Model, Output: written.record(), Form: form, OpsetWas: opset, OpsetNow: opset,
			Widened: []widenedRecord{}, Became: became(counts, form), Plain: counts.Plain}
		for _, w := range counts.Widened {
			rec.Widened = append(rec.Widened, widenedRecord{w.Name, w.Bits, w.BitsNow})
		}
		for _, l := range counts.Left {
			rec.Left = append(rec.Left, leftRecord{l.Name, l.Op, string(l.Why)})
		}
		return s.printJSON(rec)
	}
	external := ""
	for _, path := range written.file.ExternalPaths {
		if info, err := os.Stat(path); err == nil {
			external += fmt.Sprintf(" and %s bytes in %s", thousands(info.Size()), filepath.Base(path))
		}
	}
	s.printf("%s  %s bytes%s, opset %d; %s\n", out.path, thousands(int64(len(written.file.Bytes))), external, opset, loweredText(counts, form))
	s.noteLeft(counts)
	return nil
}

// leftWords say why weights got no operator of ONNX Runtime's own, in the order in which they are printed.
var leftWords = []struct {
	why  convert.Why
	text string
}{
	{convert.WhyOp, "it has none for %s"},
	{convert.WhyForm, "it has none for the attributes or the bias of this %s"},
	{convert.WhyType, "they are not of float32"},
	{convert.WhyPlace, "they stand in a local function, or are read in another graph"},
	{convert.WhyLevels, "their levels are no whole multiples of a step; convert with --method affine"},
	{convert.WhyBlocks, "their scales are not those of blocks of 16, 32, 64... inputs"},
	{convert.WhySmall, "they have fewer than 16 inputs"},
	{convert.WhySlow, "they have more than 4 bits, which it multiplies by float values slower than floats"},
	{convert.WhyRounds, "its LSTM rounds to 8 bits what is float in this model; convert with --act-bits"},
	{convert.WhyCoded, "they have more than 4 bits, and what they meet is coded already"},
	{convert.WhyPair, "its LSTM takes W and R as int8, and one is not"},
}

// mostLeft bounds how many names of a group stand in the text; the JSON has all.
const mostLeft = 6

// noteLeft names the weights that the form did not take, by reason.
func (s *session) noteLeft(counts *convert.Lowered) {
	for _, w := range leftWords {
		names := map[string][]string{} // by operator, where the reason names it
		var ops []string
		for _, l := range counts.Left {
			if l.Why != w.why {
				continue
			}
			op := ""
			if strings.Contains(w.text, "%s") {
				op = l.Op
			}
			if names[op] == nil {
				ops = append(ops, op)
			}
			names[op] = append(names[op], l.Name)
		}
		for _, op := range ops {
			s.note("%s without an operator of ONNX Runtime's own, as %s: %s", plural(len(names[op]), "weight"), strings.ReplaceAll(w.text, "%s", op), listed(names[op]))
		}
	}
	if len(counts.Plain) > 0 {
		s.note("left as plain values, as their blocks cross the rows of the tensor: %s", strings.Join(counts.Plain, ", "))
	}
}

// listed joins the first names.
func listed(names []string) string {
	text := strings.Join(names[:min(mostLeft, len(names))], ", ")
	if len(names) > mostLeft {
		text += fmt.Sprintf(" and %d more", len(names)-mostLeft)
	}
	return text
}

// became counts what quantized weights became in a form; nothing where that is plain values.
func became(l *convert.Lowered, form string) []becameRecord {
	if form == "float" {
		return nil
	}
	var list []becameRecord
	for _, op := range l.Contrib {
		list = append(list, becameRecord{op.Op, op.Count})
	}
	for _, r := range []becameRecord{{"int8", l.Integer}, {"DequantizeLinear", l.Dequantize}, {"Gather", l.Gather}, {"Cast and Mul", l.Arithmetic}, {"plain", len(l.Plain)}} {
		if r.Count > 0 {
			list = append(list, r)
		}
	}
	return list
}

func loweredText(l *convert.Lowered, form string) string {
	if form == "float" {
		return "plain values"
	}
	var parts []string
	for _, r := range became(l, form) {
		parts = append(parts, fmt.Sprintf("%d %s", r.Count, r.What))
	}
	text := strings.Join(parts, ", ")
	for _, bits := range []int{4, 8, 16} {
		n := 0
		for _, w := range l.Widened {
			if w.BitsNow == bits {
				n++
			}
		}
		if n > 0 {
			text += fmt.Sprintf("; widened %s to %d bits", plural(n, "tensor"), bits)
		}
	}
	return text
}
