package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"bq/internal/dataset"
	"bq/verify"
)

// verifyFiles are the files of verify beside its result: the baseline that it reads or writes, and reports.
type verifyFiles struct {
	*session
	path      string           // of the baseline, "" for none
	base      *verify.Baseline // nil where there is none, and where it is to be written
	tolerance float64
	update    *target // of the baseline
	junit     *target
	report    *target
	html      *htmlReport // what report shows
	annotate  bool
}

// verifyFiles reads the flags of files, and the baseline, before any work is done.
func (s *session) verifyFiles(c *urfave.Context) (*verifyFiles, error) {
	w := &verifyFiles{session: s, path: c.String("baseline")}
	var err error
	if w.annotate, err = github(c); err != nil {
		return nil, err
	}
	if w.tolerance, err = fraction("--tolerance", c.String("tolerance")); err != nil {
		return nil, err
	}
	for _, f := range []string{"update-baseline", "tolerance"} {
		if c.IsSet(f) && w.path == "" {
			return nil, &usageError{text: fmt.Sprintf("reading arguments: --%s without a baseline", f), hint: "add --baseline FILE"}
		}
	}
	if w.junit, err = s.sideTarget(c, "junit", isJUnit); err != nil {
		return nil, err
	}
	if w.report, err = s.sideTarget(c, "report", isPage); err != nil {
		return nil, err
	}
	switch {
	case w.path == "":
		return w, distinctOutputs(c, "output", "junit", "report")
	case c.Bool("update-baseline"):
		if w.update, err = s.sideTarget(c, "baseline", isResult); err != nil {
			return nil, err
		}
	default:
		w.base, err = readBaseline(w.path)
		s.files = append(s.files, w.path)
	}
	if err == nil {
		err = distinctOutputs(c, "output", "junit", "report", "baseline")
	}
	return w, err
}

// sideTarget checks a file that a flag names, to be written beside the result; nil where the flag is not given.
func (s *session) sideTarget(c *urfave.Context, flag string, ours func(path string) bool) (*target, error) {
	path := c.String(flag)
	switch path {
	case "":
		if c.IsSet(flag) {
			return nil, usagef("reading --%s: want a file, got an empty name", flag)
		}
		return nil, nil
	case "-":
		return nil, usagef("reading --%s: want a file, stdout holds the result", flag)
	}
	t := &target{path: path, force: c.Bool("force"), ours: ours, avoid: append(c.Args().Slice(), c.String("data")), reads: s.inputFiles}
	return t, t.check()
}

// samePath reports whether two names are of one file, which need not exist.
func samePath(a, b string) bool {
	return placeOf(a) == placeOf(b)
}

// placeOf names the place that a file of that name is written to, links among its folders followed.
func placeOf(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	dir, name := filepath.Split(path)
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return filepath.Join(dir, name)
}

// distinctOutputs refuses two flags that name one file.
func distinctOutputs(c *urfave.Context, flags ...string) error {
	seen := map[string]string{}
	for _, f := range flags {
		path := c.String(f)
		if path == "" || path == "-" {
			continue
		}
		place := placeOf(path)
		if other := seen[place]; other != "" {
			return usagef("reading arguments: --%s and --%s name the same file %s", other, f, path)
		}
		seen[place] = f
	}
	return nil
}

func readBaseline(path string) (*verify.Baseline, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &hintError{fmt.Errorf("reading baseline %s: no such file", path), "--update-baseline writes it"}
	}
	if err != nil {
		return nil, fmt.Errorf("reading baseline %s: %w", path, pathCause(err))
	}
	defer f.Close()
	base, err := verify.ReadBaseline(f)
	if err != nil {
		return nil, fmt.Errorf("reading baseline %s: %w", path, pathCause(err))
	}
	return base, nil
}

// checkBaseline refuses a baseline of another model or other data before the models run.
func (w *verifyFiles) checkBaseline(a verify.Model, set *dataset.Set) error {
	if w.base == nil {
		return nil
	}
	return w.foreign(w.base.Check(a, set.Info()))
}

// foreign adds the file and the way out to what is wrong with a baseline.
func (w *verifyFiles) foreign(err error) error {
	var f *verify.ForeignError
	if !errors.As(err, &f) {
		return err
	}
	return &hintError{fmt.Errorf("reading baseline %s: %w", w.path, err), "--update-baseline"}
}

// compare judges the report by the baseline.
func (w *verifyFiles) compare(r *verify.Report) error {
	if w.base == nil {
		return nil
	}
	return w.foreign(r.Compare(w.base, w.path, w.tolerance))
}

// write writes the baseline, unless a limit fails, and the reports. All is made before the first file is written.
func (w *verifyFiles) write(r *verify.Report) error {
	baseline := w.update
	if baseline != nil && r.Verdict == verify.Fail {
		w.warn("baseline %s is not written: a limit fails", w.path)
		baseline = nil
	}
	files := []madeFile{
		{target: baseline, make: func() ([]byte, error) { return encodeJSON(r.ForBaseline()) }},
		{target: w.junit, make: func() ([]byte, error) { return junitXML(r) }},
		{target: w.report, make: w.html.bytes},
	}
	files = slices.DeleteFunc(files, func(f madeFile) bool { return f.target == nil })
	for i := range files {
		var err error
		if files[i].content, err = files[i].make(); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := f.target.writeBytes(f.content); err != nil {
			return err
		}
	}
	if baseline != nil {
		w.note("baseline %s written", w.path)
	}
	if w.annotate {
		w.session.annotate(r)
	}
	return nil
}

// madeFile is a file to be written, and how its content is made.
type madeFile struct {
	target  *target // nil: it was not asked for
	make    func() ([]byte, error)
	content []byte
}

// writeBytes writes the target and reads it again.
func (t *target) writeBytes(b []byte) error {
	return t.write(func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}, func(path string) error {
		got, err := os.ReadFile(path)
		if err == nil && !bytes.Equal(got, b) {
			err = errors.New("the file differs from what was written")
		}
		return err
	})
}
