//go:build unix

package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	urfave "github.com/urfave/cli/v2"
)

// A target whose writing is interrupted leaves neither itself nor a temporary file, and changes nothing.
func TestInterruptedWriteLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.bq")
	if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	var errs bytes.Buffer
	s := &session{ctx: ctx, stderr: &errs}
	err := (&target{path: path}).write(func(w io.Writer) error {
		w.Write([]byte("half"))
		cancel(signalError{syscall.SIGTERM})
		return context.Canceled
	}, func(string) error { return nil })
	if status := s.finish(err); status != 143 {
		t.Errorf("status %d after SIGTERM, want 143", status)
	}
	if b, _ := os.ReadFile(path); string(b) != "before" {
		t.Errorf("the target holds %q", b)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("%d files in the folder, want 1", len(list))
	}
}

func TestTargetsKeepTheirPermissions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.bq")
	other := path + ".other"
	if err := os.WriteFile(other, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	usual, err := os.Stat(other)
	if err != nil {
		t.Fatal(err)
	}
	write := func() os.FileMode {
		err := (&target{path: path}).write(func(w io.Writer) error { return nil }, func(string) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	if got := write(); got != usual.Mode().Perm() {
		t.Errorf("a new file has mode %o, others %o", got, usual.Mode().Perm())
	}
	os.Chmod(path, 0o600)
	if got := write(); got != 0o600 {
		t.Errorf("a replaced file has mode %o, want 600", got)
	}
}

// Checks that fail after writing remove the file too.
func TestUnverifiedWriteLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	err := (&target{path: filepath.Join(dir, "m.bq")}).write(func(io.Writer) error { return nil }, func(string) error { return io.ErrUnexpectedEOF })
	if list, _ := os.ReadDir(dir); err == nil || len(list) != 0 {
		t.Errorf("%v, %d files in the folder", err, len(list))
	}
}

// A signal ends the wait for an input that does not come.
func TestInterruptedInputLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	silent, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancelCause(context.Background())
	s := &session{ctx: ctx, stdin: silent, stderr: io.Discard}
	cancel(signalError{syscall.SIGINT})
	_, err := s.openModel("-")
	if status := s.finish(err); status != 130 {
		t.Errorf("status %d after SIGINT, error %v, want 130", status, err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 0 {
		t.Errorf("%d files in the folder of temporary files", len(list))
	}
}

// A result that cannot be written is an error, whatever the verdict was.
func TestUnwritableResultIsAnError(t *testing.T) {
	dir := t.TempDir()
	s := &session{ctx: context.Background()}
	err := s.resultInto(&target{path: filepath.Join(dir, "r.json")}, nil, func(*urfave.Context) error {
		os.Remove(dir)
		return statusOnly(statusDrift)
	})
	if status, text, _ := explain(err); status != statusError || text == "" {
		t.Errorf("status %d, %q, want an error", status, text)
	}
}
