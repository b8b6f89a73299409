package dataset

import (
	"archive/zip"
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"unicode/utf8"

	"bq/onnxio"
)

// Named is an array with the name it has in a .npz file.
type Named struct {
	Name  string
	Array *onnxio.Array
}

// npyAlign is the multiple that numpy pads headers to, and that WriteNPZ aligns members to, so that elements can be
// used in place from a mapped file.
const npyAlign = 64

// WriteNPY writes a as a .npy file of format version 1.0, little-endian, C order. Float16 and BFloat16 are written as
// float32, the sub-byte integers as the 8-bit integers they are widened to. Strings are an error.
func WriteNPY(w io.Writer, a *onnxio.Array) error {
	head, err := npyHeaderBytes(a)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 1<<16)
	if _, err := out.Write(head); err != nil {
		return err
	}
	if err := writeElements(out, a.Data); err != nil {
		return err
	}
	return out.Flush()
}

// npyHeaderBytes returns everything in front of the elements.
func npyHeaderBytes(a *onnxio.Array) ([]byte, error) {
	descr := npyDescr(a.Data)
	if descr == "" {
		return nil, fmt.Errorf("writing an array of type %v: not supported by .npy", a.Type)
	}
	sizes := make([]string, len(a.Shape))
	for i, n := range a.Shape {
		sizes[i] = fmt.Sprint(n)
	}
	shape := strings.Join(sizes, ", ")
	if len(sizes) == 1 {
		shape += ","
	}
	dict := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape)
	const fixed = len(npyMagic) + 4
	pad := npyAlign - (fixed+len(dict)+1)%npyAlign
	dict += strings.Repeat(" ", pad%npyAlign) + "\n"
	if len(dict) > 1<<16-1 {
		return nil, fmt.Errorf("writing an array of rank %d: its header is too long", len(a.Shape))
	}
	head := append([]byte(npyMagic), 1, 0)
	head = binary.LittleEndian.AppendUint16(head, uint16(len(dict)))
	return append(head, dict...), nil
}

// npyDescr returns numpy's type string of a slice, "" where there is none.
func npyDescr(data any) string {
	switch data.(type) {
	case []float32:
		return "<f4"
	case []float64:
		return "<f8"
	case []int8:
		return "|i1"
	case []int16:
		return "<i2"
	case []int32:
		return "<i4"
	case []int64:
		return "<i8"
	case []uint8:
		return "|u1"
	case []uint16:
		return "<u2"
	case []uint32:
		return "<u4"
	case []uint64:
		return "<u8"
	case []bool:
		return "|b1"
	}
	return ""
}

// writeElements writes a slice little-endian, a block at a time.
func writeElements(w io.Writer, data any) error {
	switch s := data.(type) {
	case []float32:
		return writeBlocks(w, s)
	case []float64:
		return writeBlocks(w, s)
	case []int8:
		return writeBlocks(w, s)
	case []int16:
		return writeBlocks(w, s)
	case []int32:
		return writeBlocks(w, s)
	case []int64:
		return writeBlocks(w, s)
	case []uint8:
		return writeBlocks(w, s)
	case []uint16:
		return writeBlocks(w, s)
	case []uint32:
		return writeBlocks(w, s)
	case []uint64:
		return writeBlocks(w, s)
	case []bool:
		return writeBlocks(w, s)
	}
	return nil
}

func writeBlocks[T any](w io.Writer, s []T) error {
	const block = 1 << 12
	for len(s) > 0 {
		n := min(block, len(s))
		if err := binary.Write(w, binary.LittleEndian, s[:n]); err != nil {
			return err
		}
		s = s[n:]
	}
	return nil
}

// WriteNPZ writes the arrays as a .npz file: stored members in the order given, their elements aligned to 64 bytes
// and no clock in the headers, so that equal arrays give equal bytes. Names must differ.
func WriteNPZ(w io.Writer, arrays []Named) error {
	z := zip.NewWriter(w)
	var at int64 // where the next local header starts
	seen := map[string]bool{}
	for _, a := range arrays {
		if seen[a.Name] {
			return fmt.Errorf("writing array %s: the name stands twice", onnxio.Quote(a.Name))
		}
		seen[a.Name] = true
		n, err := writeMember(z, a, at)
		if err != nil {
			return fmt.Errorf("writing array %s: %w", onnxio.Quote(a.Name), err)
		}
		at += n
	}
	return z.Close()
}

// counter counts bytes and computes their CRC-32, which stands in front of a member's data.
type counter struct {
	n   uint64
	crc uint32
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += uint64(len(p))
	c.crc = crc32.Update(c.crc, crc32.IEEETable, p)
	return len(p), nil
}

// writeMember writes one member whose local header starts at offset at, and returns the bytes it takes.
func writeMember(z *zip.Writer, a Named, at int64) (int64, error) {
	var c counter
	if err := WriteNPY(&c, a.Array); err != nil {
		return 0, err
	}
	const local, newYear1980 = 30, 1<<5 | 1 // size of a local header (APPNOTE 4.3.7); the first date it can hold
	name := a.Name + ".npy"
	h := &zip.FileHeader{Name: name, Method: zip.Store, CRC32: c.crc, CompressedSize64: c.n, UncompressedSize64: c.n,
		Extra: alignExtra(at + local + int64(len(name)))}
	//lint:ignore SA1019 CreateRaw writes this field as it is; Modified is for CreateHeader
	h.ModifiedDate = newYear1980
	if utf8.ValidString(name) {
		h.Flags = 1 << 11 // the name is UTF-8
	}
	out, err := z.CreateRaw(h)
	if err != nil {
		return 0, err
	}
	return local + int64(len(name)+len(h.Extra)) + int64(c.n), WriteNPY(out, a.Array)
}

// alignExtra returns an extra field that ends at a multiple of npyAlign when it starts at offset at: identifier 0xd935
// (alignment), size, the alignment, and zeros.
func alignExtra(at int64) []byte {
	const least = 6
	n := least + int((npyAlign-(at+least)%npyAlign)%npyAlign)
	extra := make([]byte, n)
	binary.LittleEndian.PutUint16(extra, 0xd935)
	binary.LittleEndian.PutUint16(extra[2:], uint16(n-4))
	binary.LittleEndian.PutUint16(extra[4:], npyAlign)
	return extra
}
