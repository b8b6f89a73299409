package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"

	urfave "github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// target is a file to be written: complete or not at all.
type target struct {
	path  string
	force bool
	ours  func(path string) bool // whether an existing file was written by bq
	avoid []string               // inputs that must not be overwritten
	reads func() []string        // those that are known only once they were read
}

// outTarget completes a target, whose path is the default, by -o and --force, and checks it. nil means stdout, which
// then takes the place of the text.
func (s *session) outTarget(c *urfave.Context, t *target) (*target, error) {
	if path := c.String("output"); path != "" {
		t.path = path
	}
	switch {
	case t.path == "-" && s.json:
		return nil, usagef("reading arguments: -o - and --json both want stdout")
	case t.path == "-":
		s.quiet = true
		return nil, nil
	case t.path == "":
		return nil, &usageError{text: "reading arguments: a model from stdin or a pipe needs a name for the result", hint: "-o FILE, or -o - for stdout"}
	}
	t.force, t.reads = c.Bool("force"), s.inputFiles
	return t, t.check()
}

// check refuses a target before any work is done for it.
func (t *target) check() error {
	info, err := os.Stat(t.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		dir := filepath.Dir(t.path)
		if d, err := os.Stat(dir); err != nil || !d.IsDir() {
			return fmt.Errorf("writing %s: no folder %s", t.path, dir)
		}
		return nil
	case err != nil:
		return fmt.Errorf("writing %s: %w", t.path, pathCause(err))
	case info.IsDir():
		return fmt.Errorf("writing %s: is a directory", t.path)
	case !info.Mode().IsRegular():
		return &hintError{fmt.Errorf("writing %s: is no regular file", t.path), "-o - writes to stdout"}
	}
	if err := t.distinct(t.avoid); err != nil {
		return err
	}
	if !t.force && !t.ours(t.path) {
		return &hintError{fmt.Errorf("writing %s: exists and was not written by bq", t.path), "another name, or --force"}
	}
	return nil
}

// pathCause strips the operation and path that a PathError repeats.
func pathCause(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// distinct refuses a target that is one of the inputs, links followed.
func (t *target) distinct(inputs []string) error {
	info, err := os.Stat(t.path)
	if err != nil {
		return nil // there is no such file yet
	}
	for _, in := range inputs {
		if other, err := os.Stat(in); err == nil && os.SameFile(info, other) {
			return &hintError{fmt.Errorf("writing %s: is the input %s too", t.path, in), "another name behind -o"}
		}
	}
	return nil
}

// temporaries are the files that are removed when the process is stopped in the middle.
var temporaries struct {
	sync.Mutex
	paths map[string]bool
}

func trackTemporary(path string, alive bool) {
	temporaries.Lock()
	defer temporaries.Unlock()
	if temporaries.paths == nil {
		temporaries.paths = map[string]bool{}
	}
	if alive {
		temporaries.paths[path] = true
	} else {
		delete(temporaries.paths, path)
	}
}

func removeTemporaries() {
	temporaries.Lock()
	defer temporaries.Unlock()
	for path := range temporaries.paths {
		os.Remove(path)
	}
}

// write makes the target: fill writes a temporary file beside it, verify reads that again, and only then it takes
// the target's name. After an error nothing is left of it.
func (t *target) write(fill func(w io.Writer) error, verify func(path string) error) (err error) {
	f, err := createBeside(t.path)
	if err != nil {
		return fmt.Errorf("writing %s: %w", t.path, pathCause(err))
	}
	tmp := f.Name()
	trackTemporary(tmp, true)
	done := false
	defer func() {
		if !done { // an error, or a panic
			f.Close()
			os.Remove(tmp)
		}
		trackTemporary(tmp, false)
	}()
	if err := fill(f); err != nil {
		return err
	}
	if info, err := os.Stat(t.path); err == nil {
		f.Chmod(info.Mode().Perm()) // where the file system can't, the process's own mask is as good
	}
	if err := cmp.Or(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", t.path, pathCause(err))
	}
	if err := verify(tmp); err != nil {
		return fmt.Errorf("checking %s after writing it: %w", t.path, err)
	}
	if t.reads != nil {
		if err := t.distinct(t.reads()); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, t.path); err != nil {
		return fmt.Errorf("writing %s: %w", t.path, err)
	}
	done = true
	return syncFolder(filepath.Dir(t.path))
}

// createBeside creates a temporary file in the folder of path, with the permissions of a new file.
func createBeside(path string) (*os.File, error) {
	dir, base := filepath.Split(path)
	for {
		name := filepath.Join(dir, fmt.Sprintf(".%s.%08x.tmp", base, rand.Uint32()))
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, os.ErrExist) {
			return f, err
		}
	}
}

// syncFolder makes a rename durable where the system can sync folders.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	d.Sync() // not every file system can; the rename itself was done
	return nil
}

// stdoutTarget collects what goes to stdout under -o -, so that nothing is printed unless all is well.
func (s *session) toStdout(fill func(w io.Writer) error, verify func(path string) error) error {
	if isTerminal(s.stdout) {
		return usagef("writing to stdout: binary output does not go to a terminal")
	}
	f, err := os.CreateTemp("", "bq-*.tmp")
	if err != nil {
		return fmt.Errorf("writing to stdout: %w", err)
	}
	trackTemporary(f.Name(), true)
	defer func() {
		f.Close()
		os.Remove(f.Name())
		trackTemporary(f.Name(), false)
	}()
	if err := fill(f); err != nil {
		return err
	}
	if err := verify(f.Name()); err != nil {
		return fmt.Errorf("checking the output: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("writing to stdout: %w", err)
	}
	if _, err := io.Copy(s.stdout, f); err != nil {
		return fmt.Errorf("writing to stdout: %w", err)
	}
	return nil
}

func isTerminal(w any) bool {
	if r, ok := w.(*resultWriter); ok {
		w = r.w
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
