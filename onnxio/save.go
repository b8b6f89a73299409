package onnxio

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// SaveOptions says how Save writes a model. The zero value writes one new file.
type SaveOptions struct {
	External bool                          // move large tensors to a file beside the model, even where it is below MaxFileSize
	Replace  bool                          // replace files of these names; otherwise they are an error
	Track    func(path string, alive bool) // is told of every temporary file, so that a process can remove them when it is stopped
	Commit   func() error                  // is asked once both files are written and read again, before they get their names
	limit    int64                         // in place of MaxFileSize, where it is not 0
}

// Saved says what Save wrote.
type Saved struct {
	Path     string // the model
	Size     int64  // its bytes
	DataPath string // the file of external data, "" where there is none
	DataSize int64  // its bytes
}

// dataSuffix behind the model's name makes the name of its external data.
const dataSuffix = ".data"

// Save writes m to path, and its large tensors to path + ".data" where opt asks for it or m would be larger than
// MaxFileSize (see MoveData); without that external data of m are taken into the file. Both files are written under
// temporary names beside path, read again and compared; then the data get their name, then the model. After an error
// no new file is left and files that were there before are as they were. m refers to the new files afterwards, also
// after an error.
func (m *Model) Save(path string, opt SaveOptions) (*Saved, error) {
	saved, err := m.save(path, opt)
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", path, err)
	}
	return saved, nil
}

func (m *Model) save(path string, opt SaveOptions) (*Saved, error) {
	dir, name := filepath.Split(path)
	if !plainName(name) {
		return nil, errors.New("want the name of a file")
	}
	data, err := m.arrange(name, opt.External, cmp.Or(opt.limit, MaxFileSize))
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(cmp.Or(dir, "."))
	if err != nil {
		return nil, pathCause(err)
	}
	defer root.Close()
	s := &saver{root: root, dir: dir, opt: opt}
	defer s.discard()
	saved := &Saved{Path: path, Size: m.Size()}
	if data != nil {
		saved.DataPath, saved.DataSize = dir+data.Location, data.Size
		if err := s.write(data.Location, data); err != nil {
			return nil, err
		}
	}
	if err := s.write(name, m); err != nil {
		return nil, err
	}
	return saved, s.commit()
}

// arrange decides what stands in a second file, nil for nothing.
func (m *Model) arrange(name string, external bool, limit int64) (*ExternalData, error) {
	if !external {
		if err := m.MoveIn(); err != nil {
			return nil, err
		}
		if m.Size() <= limit {
			return nil, nil
		}
	}
	data, err := m.MoveData(name + dataSuffix)
	if err != nil {
		return nil, err
	}
	if size := m.Size(); size > limit {
		return nil, unsupportedErrorf("", "%d bytes without the tensors that can stand in another file, more than the %d of a protobuf message", size, limit)
	}
	if data.Size == 0 {
		return nil, nil
	}
	return data, nil
}

// saver writes files that appear together or not at all.
type saver struct {
	root  *os.Root
	dir   string
	opt   SaveOptions
	files []*savedFile
}

// savedFile is a file on its way to its name.
type savedFile struct {
	name, tmp string
	old       string // the name under which a file that was there waits, "" for none
	done      bool
}

// write writes a new file under a temporary name and reads it again.
func (s *saver) write(name string, content io.WriterTo) error {
	mode, err := s.check(name)
	if err != nil {
		return err
	}
	f, tmp, err := s.create(name)
	if err != nil {
		return pathCause(err)
	}
	s.files = append(s.files, &savedFile{name: name, tmp: tmp})
	if mode != 0 {
		f.Chmod(mode) // where the file system can't, the process's own mask is as good
	}
	w := bufio.NewWriterSize(f, 1<<20)
	_, err = content.WriteTo(w)
	if err = cmp.Or(err, w.Flush(), f.Sync()); err != nil {
		f.Close()
		return pathCause(err)
	}
	return cmp.Or(s.compare(f, content), f.Close())
}

// check refuses a name that is taken, and returns the permissions of the file that will be replaced, 0 for none.
func (s *saver) check(name string) (fs.FileMode, error) {
	info, err := s.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, pathCause(err)
	case !s.opt.Replace:
		return 0, fmt.Errorf("%s exists", Quote(name))
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("%s is no regular file", Quote(name))
	}
	return info.Mode().Perm(), nil
}

// create creates a temporary file beside name.
func (s *saver) create(name string) (*os.File, string, error) {
	for {
		tmp := s.temporary(name)
		f, err := s.root.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			s.track(tmp, true)
		}
		return f, tmp, err
	}
}

func (s *saver) temporary(name string) string {
	return fmt.Sprintf(".%s.%08x.tmp", name, rand.Uint32())
}

func (s *saver) track(tmp string, alive bool) {
	if s.opt.Track != nil {
		s.opt.Track(filepath.Join(s.dir, tmp), alive)
	}
}

// compare reads what was written.
func (s *saver) compare(f *os.File, content io.WriterTo) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return pathCause(err)
	}
	r := bufio.NewReaderSize(f, 1<<20)
	if _, err := content.WriteTo(&comparer{r: r}); err != nil {
		return err
	}
	if _, err := r.ReadByte(); err != io.EOF {
		return errors.New("reading it again: more bytes than were written")
	}
	return nil
}

// comparer is a writer that wants to be written what r reads.
type comparer struct {
	r   io.Reader
	buf [1 << 15]byte
}

func (c *comparer) Write(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		got, err := io.ReadFull(c.r, c.buf[:min(len(b)-n, len(c.buf))])
		if !bytes.Equal(c.buf[:got], b[n:n+got]) || err != nil {
			return n, cmp.Or(err, errors.New("reading it again: other bytes than were written"))
		}
		n += got
	}
	return n, nil
}

// commit gives all files their names, in the order they were written in.
func (s *saver) commit() error {
	if s.opt.Commit != nil {
		if err := s.opt.Commit(); err != nil {
			return err
		}
	}
	for _, f := range s.files {
		if err := s.keepOld(f); err != nil {
			return pathCause(err)
		}
		if err := s.root.Rename(f.tmp, f.name); err != nil {
			return pathCause(err)
		}
		f.done = true
	}
	for _, f := range s.files {
		if f.old != "" {
			s.root.Remove(f.old) // the new files stand: what stays behind is an orphan, no fault of theirs
		}
		s.track(f.tmp, false)
	}
	s.files = nil
	if d, err := s.root.Open("."); err == nil {
		d.Sync() // not every file system can; the names themselves were given
		d.Close()
	}
	return nil
}

// keepOld gives a file that has f's name a second one, so that it can be put back. The last file needs none: its
// rename is the last step that can fail, and replaces.
func (s *saver) keepOld(f *savedFile) error {
	if f == s.files[len(s.files)-1] {
		return nil
	}
	if _, err := s.root.Lstat(f.name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	old := s.temporary(f.name)
	if s.root.Link(f.name, old) != nil { // no links on this file system
		if err := s.root.Rename(f.name, old); err != nil {
			return err
		}
	}
	f.old = old
	return nil
}

// discard removes what an error left and puts back what was there.
func (s *saver) discard() {
	for _, f := range s.files {
		if f.done {
			s.root.Remove(f.name)
		} else {
			s.root.Remove(f.tmp)
		}
		if f.old != "" {
			s.putBack(f)
		}
		s.track(f.tmp, false)
	}
}

// putBack gives a file that was there its name again. Renaming one of two links to a file would do nothing.
func (s *saver) putBack(f *savedFile) {
	if _, err := s.root.Lstat(f.name); err == nil {
		s.root.Remove(f.old)
	} else {
		s.root.Rename(f.old, f.name)
	}
}
