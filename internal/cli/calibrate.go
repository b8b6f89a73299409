package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"bq/convert"
	"bq/internal/dataset"
	"bq/verify"
)

func (s *session) calibrateCommand() *urfave.Command {
	flags := []urfave.Flag{
		&urfave.BoolFlag{Name: "no-alone", Usage: "leave out the drift of each weight alone, the slow part", DisableDefaultText: true},
	}
	return s.command(urfave.Command{
		Name: "calibrate", Usage: "measure a model on samples, into a table for convert --calib", ArgsUsage: "MODEL.onnx --data PATH [-o MODEL.calib] [--no-alone]",
		Description: "bq calibrate model.onnx --data samples.npz\nbq calibrate model.onnx --data photos --image preset=imagenet\nbq convert model.onnx --calib model.calib --bpw 3",
		Flags:       append(flags, dataFlags()...),
	}, "the table, - for stdout; by default beside the model", true, s.calibrate)
}

// calibrateRecord is the JSON result of calibrate.
type calibrateRecord struct {
	Schema string             `json:"schema"`
	Input  verify.Model       `json:"input"`
	Data   *dataset.Info      `json:"data"`
	Output string             `json:"output_path"`
	Values []tableValueRecord `json:"values"`
}

// tableValueRecord is a value of a calibration table.
type tableValueRecord struct {
	Name  string  `json:"name"`
	Count int64   `json:"count"`
	Min   float32 `json:"min"`
	Max   float32 `json:"max"`
	Mean  float64 `json:"mean"`
}

func tableValues(t *convert.Table) []tableValueRecord {
	list := []tableValueRecord{}
	for _, v := range t.Values {
		list = append(list, tableValueRecord{v.Name, v.Count, v.Min, v.Max, v.Mean()})
	}
	return list
}

func (s *session) calibrate(c *urfave.Context) error {
	if err := exactly(c, "one model"); err != nil {
		return err
	}
	if !hasData(c) {
		return &usageError{text: "reading arguments: calibrate needs samples", hint: "add --data PATH"}
	}
	in, err := s.openModel(c.Args().First())
	if err != nil {
		return err
	}
	defer in.close()
	target := &target{ours: isTableFile, avoid: append(in.paths(), c.String("data"))}
	if !in.spooled {
		target.path = strings.TrimSuffix(in.name, filepath.Ext(in.name)) + ".calib"
	}
	out, err := s.outTarget(c, target)
	if err != nil {
		return err
	}
	o := convert.CalibrateOptions{NoAlone: c.Bool("no-alone"), Threads: s.threads, MadeBy: "bq " + Version}
	if o.Samples, o.OutputKinds, err = s.samples(c, in.file.Model, calibrationSamples); err != nil {
		return err
	}
	progress := s.newProgress()
	defer progress.stop()
	o.Progress = progress.update
	t, err := convert.Calibrate(s.ctx, in.file, o)
	progress.stop()
	if value := (*convert.NonFiniteError)(nil); errors.As(err, &value) {
		return err
	}
	if err != nil {
		return fmt.Errorf("calibrating %s: %w", in.name, err)
	}
	if out == nil {
		return s.toStdout(t.Write, checkTable)
	}
	if err := out.write(t.Write, checkTable); err != nil {
		return err
	}
	return s.reportCalibrate(in, out.path, t, o.Samples)
}

// reportCalibrate prints what the table holds: text, or JSON.
func (s *session) reportCalibrate(in *input, path string, t *convert.Table, set *dataset.Set) error {
	if s.json {
		data, err := set.Describe()
		if err != nil {
			return err
		}
		return s.printJSON(calibrateRecord{"bq.calibrate/1", in.record(), &data, path, tableValues(t)})
	}
	s.printf("%s  %s, %s, %s, data %.8s...\n", path, plural(len(t.Values), "value"), plural(len(t.Weights), "weight"),
		plural(t.Data.Samples, sampleNoun(t.Data.Kind)), t.Data.SHA256)
	s.printf("  next: bq convert %s --calib %s --bpw 4\n", shellQuote(in.name), shellQuote(path))
	return nil
}

// checkTable reads a table that was just written.
func checkTable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = convert.ReadTable(bufio.NewReader(f))
	return err
}

// isTableFile reports whether a regular file begins as a calibration table does.
func isTableFile(path string) bool { return startsWith(path, convert.TableHead) }

// isTable reports whether the input begins as a calibration table does.
func (s *session) isTable(name string) bool {
	path, err := s.source(name)
	return err == nil && isTableFile(path)
}

// readTable reads a table that an argument or a flag names, and returns it with the digest of its file.
func (s *session) readTable(name string) (*convert.Table, string, error) {
	f, _, err := s.openInput(name)
	if err != nil {
		return nil, "", fmt.Errorf("reading table %s: %w", shown(name), err)
	}
	defer f.Close()
	s.files = append(s.files, name)
	sum, err := fileSHA256(f)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading table %s: %w", shown(name), pathCause(err))
	}
	t, err := convert.ReadTable(bufio.NewReader(f))
	if err != nil {
		return nil, "", fmt.Errorf("reading table %s: %w", shown(name), pathCause(err))
	}
	return t, sum, nil
}
