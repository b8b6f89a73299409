package cli

import (
	"errors"
	"fmt"
	"os"

	urfave "github.com/urfave/cli/v2"

	"bq/convert"
	"bq/internal/dataset"
)

// convertTables are the calibration tables of one conversion.
type convertTables struct {
	path   string         // of the table that is read
	read   *convert.Table // nil: none
	save   *target        // nil: none
	sha256 string         // of the table that was read or written
}

// convertTables reads --calib and --save-calib, and the table that --calib names, before any work is done.
func (s *session) convertTables(c *urfave.Context) (*convertTables, error) {
	t := &convertTables{path: c.String("calib")}
	if c.IsSet("calib") && t.path == "" {
		return nil, usagef("reading --calib: want a file, got an empty name")
	}
	var err error
	if t.save, err = s.sideTarget(c, "save-calib", isTableFile); err != nil {
		return nil, err
	}
	switch {
	case t.path != "" && hasData(c):
		return nil, &usageError{text: "reading arguments: --calib stands in the place of --data and --synthetic", hint: "either the table or the samples"}
	case t.path != "" && t.save != nil:
		return nil, usagef("reading arguments: --save-calib with --calib: nothing is measured that the table does not hold")
	case t.save != nil && !hasData(c):
		return nil, &usageError{text: "reading arguments: --save-calib without data: nothing is measured", hint: "add --data PATH"}
	}
	if err := distinctOutputs(c, "output", "save-calib"); err != nil {
		return nil, err
	}
	if t.path != "" {
		t.read, t.sha256, err = s.readTable(t.path)
	}
	return t, err
}

// write writes the table of a conversion whose container is written and checked.
func (t *convertTables) write(table *convert.Table) error {
	if t.save == nil {
		return nil
	}
	return t.save.write(table.Write, func(path string) error {
		if err := checkTable(path); err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		t.sha256, err = fileSHA256(f)
		return err
	})
}

// explain adds the table, and a way out, to an error that comes of it.
func (t *convertTables) explain(err error, in *input) error {
	var foreign *convert.ForeignTableError
	var damaged *convert.TableError
	switch {
	case errors.As(err, &foreign):
		return &hintError{fmt.Errorf("reading table %s: %w", t.path, foreign), fmt.Sprintf("bq calibrate %s --data PATH", in.name)}
	case errors.As(err, &damaged):
		return &hintError{fmt.Errorf("reading table %s: %w", t.path, damaged), fmt.Sprintf("bq calibrate %s --data PATH", in.name)}
	case errors.Is(err, convert.ErrTableDrift):
		return &hintError{err, "--data PATH in place of --calib, or --bpw, or the flags that the table was saved with"}
	case errors.Is(err, convert.ErrTableAlone):
		return &hintError{err, fmt.Sprintf("bq calibrate %s --data PATH, without --no-alone", in.name)}
	}
	return err
}

// kind returns the kind of the samples that a conversion goes back to, "" for none.
func (t *convertTables) kind(o *convert.Options) string {
	switch {
	case o.Samples != nil:
		return o.Samples.Info().Kind
	case t.read != nil:
		return t.read.Data.Kind
	}
	return ""
}

// tableInfo is the data record of a conversion by a table.
func tableInfo(t *convert.Table) *dataset.Info {
	return &dataset.Info{Kind: "table", SHA256: t.Data.SHA256, Samples: t.Data.Samples, Taken: t.Data.Samples, Skipped: []dataset.Skipped{}, Fed: []dataset.Fed{}}
}
