package dataset

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"strings"

	"bq/onnxio"
)

// rows is one array in a file, read some rows (indices of its first axis) at a time.
type rows struct {
	*npyHeader
	path   string      // to open
	show   string      // for messages: path inside the data
	member string      // of a .npz file, with .npy; "" in a .npy file
	offset int64       // of the elements in the file; -1: not in one piece there
	seen   os.FileInfo // of the file when its header was read
	cache  *cache
}

// openNPY reads the header of a .npy file.
func openNPY(path, show string, c *cache) (*rows, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	h, err := readNPYHeader(f, st.Size())
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", show, err)
	}
	r := &rows{npyHeader: h, path: path, show: show, offset: int64(h.data), seen: st, cache: c}
	return r, r.settle()
}

// openNPZ reads the headers of all arrays of a .npz file, in the file's order, under their names in it. Stored
// members are compared with their checksum, compressed ones when they are unpacked.
func openNPZ(path, show string, c *cache) (map[string]*rows, []string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	list, names, err := archiveRows(f, st.Size())
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", show, err)
	}
	for _, r := range list {
		r.path, r.show, r.seen, r.cache = path, show, st, c
		if err := r.settle(); err != nil {
			return nil, nil, err
		}
	}
	return list, names, nil
}

// archiveRows reads the array headers of the zip archive in f.
func archiveRows(f io.ReaderAt, size int64) (map[string]*rows, []string, error) {
	z, err := zip.NewReader(f, size)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the zip directory: %w", err)
	}
	list, names := map[string]*rows{}, []string{}
	for _, m := range z.File {
		name, ok := strings.CutSuffix(m.Name, ".npy")
		if !ok || list[name] != nil {
			return nil, nil, fmt.Errorf("member %q: want a new name that ends in .npy", m.Name)
		}
		r, err := memberRows(m, size)
		if err != nil {
			return nil, nil, fmt.Errorf("member %q: %w", m.Name, err)
		}
		list[name], names = r, append(names, name)
	}
	return list, names, nil
}

// maxDeflate is more than the most that deflate can pack into a byte (zlib's technical details: 1032).
const maxDeflate = 1040

func memberRows(m *zip.File, archive int64) (*rows, error) {
	if m.CompressedSize64 > uint64(archive) || m.UncompressedSize64 > maxDeflate*(m.CompressedSize64+1) {
		return nil, fmt.Errorf("%d bytes, packed %d, in a file of %d", m.UncompressedSize64, m.CompressedSize64, archive)
	}
	in, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	h, err := readNPYHeader(in, int64(m.UncompressedSize64))
	if err != nil {
		return nil, err
	}
	r := &rows{npyHeader: h, member: m.Name, offset: -1}
	if m.Method != zip.Store {
		return r, nil
	}
	start, err := m.DataOffset()
	if err != nil {
		return nil, err
	}
	if start+int64(h.data)+h.bytes() > archive {
		return nil, fmt.Errorf("its data end behind the file")
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return nil, err
	}
	r.offset = start + int64(h.data)
	return r, nil
}

// settle decides how elements are read: a Fortran array of two or more axes is turned around in memory.
func (r *rows) settle() error {
	if r.fortran && len(r.shape) > 1 {
		r.offset = -1
	}
	if r.offset < 0 && r.bytes() > maxUnpacked {
		return fmt.Errorf("reading %s: %d bytes cannot be unpacked in memory, at most %d: save it uncompressed (numpy.savez) and in C order",
			r.label(), r.bytes(), maxUnpacked)
	}
	return nil
}

// label names the array in messages.
func (r *rows) label() string {
	if r.member == "" {
		return r.show
	}
	return fmt.Sprintf("%s array %s", r.show, onnxio.Quote(strings.TrimSuffix(r.member, ".npy")))
}

// slice returns the bytes of rows i to i+n-1, in C order; the caller must not change them. An array without axes is
// one row.
func (r *rows) slice(i, n int) ([]byte, error) {
	stride := r.bytes()
	if len(r.shape) > 0 && r.shape[0] > 0 {
		stride /= int64(r.shape[0])
	}
	from, size := int64(i)*stride, int64(n)*stride
	if r.offset >= 0 {
		return r.readAt(r.offset+from, size)
	}
	all, err := r.cache.get(r.path+"\x00"+r.member, r.bytes(), r.unpack)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", r.label(), err)
	}
	return all[from : from+size], nil
}

// open opens the array's file again; one that was written to meanwhile is an error.
func (r *rows) open() (*os.File, error) {
	f, err := os.Open(r.path)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && (st.Size() != r.seen.Size() || !st.ModTime().Equal(r.seen.ModTime())) {
		err = fmt.Errorf("reading %s: the file was changed meanwhile", r.show)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (r *rows) readAt(off, size int64) ([]byte, error) {
	f, err := r.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := make([]byte, size)
	if _, err := f.ReadAt(buf, off); err != nil {
		return nil, fmt.Errorf("reading %s: %w", r.label(), err)
	}
	return buf, nil
}

// unpack returns all elements in C order.
func (r *rows) unpack() ([]byte, error) {
	f, err := r.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var in io.ReadCloser = f
	if r.member != "" {
		if in, err = openMember(f, r.member); err != nil {
			return nil, err
		}
		defer in.Close()
	}
	if _, err := io.CopyN(io.Discard, in, int64(r.data)); err != nil {
		return nil, err
	}
	buf := make([]byte, r.bytes())
	if _, err := io.ReadFull(in, buf); err != nil {
		return nil, err
	}
	if r.member != "" { // the checksum is compared at the end
		if _, err := io.Copy(io.Discard, io.LimitReader(in, maxUnpacked)); err != nil {
			return nil, err
		}
	}
	if r.fortran {
		return turn(buf, r.shape, r.size), nil
	}
	return buf, nil
}

func openMember(f *os.File, name string) (io.ReadCloser, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	z, err := zip.NewReader(f, st.Size())
	if err != nil {
		return nil, err
	}
	for _, m := range z.File {
		if m.Name == name {
			return m.Open()
		}
	}
	return nil, fmt.Errorf("the file changed: no member %q", name)
}

// turn copies elements of size bytes from Fortran order (the first index changes fastest) to C order (the last).
func turn(src []byte, shape []int, size int) []byte {
	dst := make([]byte, 0, len(src))
	strides := make([]int, len(shape)) // in src, in bytes
	step := size
	for d, n := range shape {
		strides[d] = step
		step *= n
	}
	index, at := make([]int, len(shape)), 0
	for range len(src) / size {
		dst = append(dst, src[at:at+size]...)
		for d := len(shape) - 1; d >= 0; d-- {
			index[d]++
			at += strides[d]
			if index[d] < shape[d] {
				break
			}
			at -= strides[d] * index[d]
			index[d] = 0
		}
	}
	return dst
}
