package onnxio

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"unsafe"
)

// File is an open model file. Tensor data of its Model are slices of memory maps that Close takes away.
type File struct {
	Model         *Model
	Bytes         []byte   // the file itself, read only
	ExternalPaths []string // files of external data, in the order of their names
	maps          []*mapping
}

// Open maps the model at path, parses it and maps the external data files it names, which must lie in the model's
// folder or below it. A file of external data that is missing or too short is reported by the tensors in it, when
// they are read; the rest of the model can be used.
func Open(path string) (*File, error) {
	f, err := OpenAlone(path)
	if err != nil {
		return nil, err
	}
	if err := f.attach(filepath.Dir(path)); err != nil {
		f.Close()
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return f, nil
}

// OpenAlone is Open without external data: tensors that want them say so when they are read. It is for a model whose
// folder means nothing, such as a copy of what came through a pipe.
func OpenAlone(path string) (*File, error) {
	f := &File{}
	in, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, pathCause(err))
	}
	defer in.Close()
	m, err := mapFile(in)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, pathCause(err))
	}
	f.maps = append(f.maps, m)
	f.Bytes = m.data
	if f.Model, err = Parse(f.Bytes); err != nil {
		f.Close()
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return f, nil
}

// pathCause strips the operation and path that a PathError repeats.
func pathCause(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// hashStep is how many bytes of a file are hashed before their pages are let go of.
const hashStep = 4 << 20

// SHA256 returns the digest of the model file; external data have no part in it.
func (f *File) SHA256() (sum [sha256.Size]byte) {
	h := sha256.New()
	for rest := f.Bytes; len(rest) > 0; {
		step := rest[:min(hashStep, len(rest))]
		h.Write(step)
		f.Release(step)
		rest = rest[len(step):]
	}
	h.Sum(sum[:0])
	return sum
}

// Close unmaps the file and its external data. Nothing of Model may be used afterwards.
func (f *File) Close() error {
	var errs []error
	for _, m := range f.maps {
		errs = append(errs, m.close())
	}
	f.maps = nil
	return errors.Join(errs...)
}

// Release tells the system that the pages behind b are not needed at the moment, where b is a slice of the mapped file
// or of mapped external data; they are read again when touched. It keeps memory bounded while a large model is read
// once from end to end. Other memory is left alone.
func (f *File) Release(b []byte) {
	for _, m := range f.maps {
		if m.unmap != nil && within(b, m.data) {
			release(b)
			return
		}
	}
}

// within reports whether b is a slice of whole.
func within(b, whole []byte) bool {
	if len(b) == 0 || len(whole) == 0 {
		return false
	}
	at, start := uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&whole[0]))
	return at >= start && at+uintptr(len(b)) <= start+uintptr(len(whole))
}

// maxExternalFiles bounds the files of external data of one model. Exporters write one, or one per tensor; Linux maps
// 65,530 regions per process.
const maxExternalFiles = 1 << 14

// attach fills Raw of every external tensor of the model with its window of the file it names.
func (f *File) attach(dir string) error {
	b := &besides{dir: dir, files: map[string]*mapping{}, failed: map[string]error{}}
	f.Model.EachTensor(func(t *Tensor) {
		if t.IsExternal {
			t.Raw, t.externalErr = b.data(t)
		}
	})
	for _, loc := range slices.Sorted(maps.Keys(b.files)) {
		f.maps = append(f.maps, b.files[loc])
		f.ExternalPaths = append(f.ExternalPaths, filepath.Join(dir, filepath.FromSlash(loc)))
	}
	if b.root != nil {
		return b.root.Close()
	}
	return nil
}

// besides are the files of external data beside a model, by location.
type besides struct {
	dir    string
	root   *os.Root
	files  map[string]*mapping
	failed map[string]error
}

// data returns a tensor's window of the file that it names.
func (b *besides) data(t *Tensor) ([]byte, error) {
	loc, off, n, err := t.externalRange()
	if err != nil {
		return nil, err
	}
	loc = path.Clean(loc) // one file is mapped once, however it is spelled
	if b.files[loc] == nil && b.failed[loc] == nil {
		if m, err := b.open(loc); err != nil {
			b.failed[loc] = err
		} else {
			b.files[loc] = m
		}
	}
	if err := b.failed[loc]; err != nil {
		return nil, err
	}
	return window(b.files[loc].data, off, n)
}

func (b *besides) open(loc string) (m *mapping, err error) {
	if len(b.files) == maxExternalFiles {
		return nil, unsupportedErrorf("", "more than %d files of external data", maxExternalFiles)
	}
	if b.root == nil {
		if b.root, err = os.OpenRoot(b.dir); err != nil {
			return nil, pathCause(err)
		}
	}
	return mapExternal(b.root, loc)
}

// mapExternal maps a regular file below root; opening a pipe would wait for who writes it.
func mapExternal(root *os.Root, loc string) (*mapping, error) {
	name := filepath.FromSlash(loc)
	info, err := root.Stat(name)
	if err != nil {
		return nil, pathCause(err)
	}
	if !info.Mode().IsRegular() && !info.IsDir() {
		return nil, errors.New("is no regular file")
	}
	in, err := root.Open(name)
	if err != nil {
		return nil, pathCause(err)
	}
	defer in.Close()
	return mapFile(in)
}

// externalRange returns where a tensor's data stand, from the keys location, offset and length of external_data
// (onnx.proto, TensorProto.external_data). Without a length the data are as long as the shape says.
func (t *Tensor) externalRange() (loc string, off, n int64, err error) {
	given := false
	for _, kv := range t.External {
		switch kv.Key {
		case "location":
			loc = kv.Value
		case "offset":
			off, err = strconv.ParseInt(kv.Value, 10, 64)
		case "length":
			n, err = strconv.ParseInt(kv.Value, 10, 64)
			given = true
		}
		if err != nil {
			return loc, 0, 0, formatErrorf("", "%s %s is not a number", kv.Key, Quote(kv.Value))
		}
	}
	if loc == "" {
		return loc, 0, 0, formatErrorf("", "no location")
	}
	if !given {
		count, err := t.Elements()
		if err != nil {
			return loc, 0, 0, err
		}
		n = (int64(count)*int64(t.Type.Bits()) + 7) / 8
	}
	return loc, off, n, nil
}

func window(data []byte, off, n int64) ([]byte, error) {
	size := int64(len(data))
	if off < 0 || n < 0 || off > size || n > size-off {
		return nil, formatErrorf("", "%d bytes at %d reach beyond the file's %d", n, off, size)
	}
	return data[off : off+n : off+n], nil
}

// mapping is a file's content in memory: mapped where the system can, else read.
type mapping struct {
	data  []byte
	unmap func() error
}

func (m *mapping) close() error {
	if m.unmap == nil {
		return nil
	}
	return m.unmap()
}

// mapFile maps a regular file; pipes and devices are read to their end.
func mapFile(in *os.File) (*mapping, error) {
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errors.New("is a directory")
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		data, err := io.ReadAll(in)
		return &mapping{data: data}, err
	}
	if info.Size() != int64(int(info.Size())) {
		return nil, errors.New("too large for this machine's address space")
	}
	return mapRegular(in, int(info.Size()))
}
