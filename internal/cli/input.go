package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"bq/onnxio"
)

// Inputs are read more than once: sniffed, mapped, digested. One that can be read only once, stdin as "-" or anything
// that is no regular file (a pipe of the shell's <(...), a device), is copied to a temporary file first, which lives
// until the session ends.

// spooled is the copy of an input, or why there is none.
type spooled struct {
	path string
	err  error
}

// source returns the regular file that holds the input of the given name: the file of that name, or its copy.
func (s *session) source(name string) (path string, err error) {
	if name != "-" {
		info, err := os.Stat(name)
		if err != nil || info.Mode().IsRegular() || info.IsDir() {
			return name, nil // what is wrong with it is told by who opens it
		}
	}
	s.spoolMu.Lock()
	defer s.spoolMu.Unlock()
	c, ok := s.spools[name]
	if !ok {
		c.path, c.err = s.spool(name)
		if s.spools == nil {
			s.spools = map[string]spooled{}
		}
		s.spools[name] = c
	}
	return c.path, c.err
}

// spool copies an input to a temporary file.
func (s *session) spool(name string) (string, error) {
	f, err := os.CreateTemp("", "bq-*.tmp")
	if err != nil {
		return "", pathCause(err)
	}
	trackTemporary(f.Name(), true)
	copied := make(chan error, 1)
	go func() { copied <- s.copyInput(f, name) }()
	select {
	case err = <-copied:
	case <-s.ctx.Done(): // a read that hangs is left behind
		err = s.ctx.Err()
	}
	if err = cmp.Or(err, f.Close()); err != nil {
		os.Remove(f.Name())
		trackTemporary(f.Name(), false)
		return "", pathCause(err)
	}
	return f.Name(), nil
}

func (s *session) copyInput(dst io.Writer, name string) error {
	src := s.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		src = f
	}
	_, err := io.Copy(dst, src)
	return err
}

// removeSpools takes the copies of inputs away.
func (s *session) removeSpools() {
	s.spoolMu.Lock()
	defer s.spoolMu.Unlock()
	for name, c := range s.spools {
		if c.err == nil {
			os.Remove(c.path)
			trackTemporary(c.path, false)
		}
		delete(s.spools, name)
	}
}

// shown is how messages call an input.
func shown(name string) string {
	if name == "-" {
		return "stdin"
	}
	return name
}

// isContainer reports whether the input starts like a container; false for one that cannot be read.
func (s *session) isContainer(name string) bool {
	path, err := s.source(name)
	return err == nil && isContainer(path)
}

// openInput opens an input and returns its size. Its errors do not name it.
func (s *session) openInput(name string) (*os.File, int64, error) {
	path, err := s.source(name)
	if err != nil {
		return nil, 0, err
	}
	return openFile(path)
}

// openFile opens a file and returns its size. Its errors do not name it.
func openFile(path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, pathCause(err)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("is a directory")
	}
	if err != nil {
		f.Close()
		return nil, 0, pathCause(err)
	}
	return f, info.Size(), nil
}

// input is a model that was opened for reading.
type input struct {
	name    string // as given on the command line
	file    *onnxio.File
	spooled bool // file is a copy
}

// paths returns the files that an output must not overwrite.
func (in *input) paths() []string {
	if in.spooled {
		return nil
	}
	return append([]string{in.name}, in.file.ExternalPaths...)
}

// bytes returns what the model takes on disk, files of external data included.
func (in *input) bytes() int64 {
	n := int64(len(in.file.Bytes))
	for _, path := range in.file.ExternalPaths {
		if st, err := os.Stat(path); err == nil {
			n += st.Size()
		}
	}
	return n
}

func (in *input) close() { in.file.Close() }

// openModel opens an ONNX model.
func (s *session) openModel(name string) (*input, error) {
	path, err := s.source(name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", shown(name), err)
	}
	if isContainer(path) {
		return nil, fmt.Errorf("reading %s: a bq container, want an ONNX model", shown(name))
	}
	in := &input{name: name, spooled: path != name}
	open := onnxio.Open
	if in.spooled {
		open = onnxio.OpenAlone // its folder is not the model's
	}
	if in.file, err = open(path); err != nil {
		if in.spooled {
			err = errors.New(strings.Replace(err.Error(), path, shown(name), 1))
		}
		return nil, err
	}
	s.files = append(s.files, in.paths()...)
	if err := in.file.Model.Check(); err != nil {
		in.close()
		return nil, fmt.Errorf("reading %s: %w", shown(name), err)
	}
	return in, nil
}

// inputFiles returns the inputs that were opened so far.
func (s *session) inputFiles() []string { return s.files }
