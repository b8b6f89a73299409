package dataset

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"

	"bq/onnxio"
)

// npyMagic starts every .npy file (numpy.lib.format, "Format Version 1.0"). Two bytes of version follow, then the
// header's length (2 bytes little-endian in version 1, 4 in versions 2 and 3) and the header, a Python dict literal.
const npyMagic = "\x93NUMPY"

// Limits of what a header may ask for.
const (
	maxNPYHeader = 1 << 16 // bytes of the dict; numpy itself writes under 10,000
	maxRank      = 64      // dimensions; numpy's own limit since 2.0
)

// npyHeader says what the elements of a .npy file are.
type npyHeader struct {
	kind    byte // 'f', 'i', 'u', 'b' as in numpy's type strings
	size    int  // bytes per element
	big     bool // big-endian
	fortran bool // the first index changes fastest
	shape   []int
	count   int // elements
	data    int // offset of the first element
}

// dtype returns the element type's name as numpy prints it.
func (h *npyHeader) dtype() string {
	if h.kind == 'b' {
		return "bool"
	}
	return map[byte]string{'f': "float", 'i': "int", 'u': "uint"}[h.kind] + strconv.Itoa(8*h.size)
}

// bytes returns the size of all elements; it cannot overflow: a shape has at most 2^40 elements.
func (h *npyHeader) bytes() int64 { return int64(h.count) * int64(h.size) }

// readNPYHeader reads the header of a .npy file of size bytes and checks that its elements fit into what is left.
func readNPYHeader(r io.Reader, size int64) (*npyHeader, error) {
	dict, at, err := npyDict(r)
	if err != nil {
		return nil, err
	}
	h := &npyHeader{data: at}
	if err := h.parse(dict); err != nil {
		return nil, fmt.Errorf("reading the npy header: %w", err)
	}
	if left := size - int64(at); h.bytes() > left {
		return nil, fmt.Errorf("reading %s %v: want %d bytes, %d are left in the file", h.dtype(), h.shape, h.bytes(), left)
	}
	return h, nil
}

// npyDict returns the header's dict and the offset behind it.
func npyDict(r io.Reader) (dict string, end int, err error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:10]); err != nil || string(head[:6]) != npyMagic {
		return "", 0, fmt.Errorf("reading the npy header: want the signature \\x93NUMPY, got %q", head[:6])
	}
	n, end := int(binary.LittleEndian.Uint16(head[8:])), 10
	switch head[6] {
	case 1:
	case 2, 3:
		if _, err := io.ReadFull(r, head[10:]); err != nil {
			return "", 0, fmt.Errorf("reading the npy header: file ends in it")
		}
		long := binary.LittleEndian.Uint32(head[8:])
		n, end = int(min(long, maxNPYHeader+1)), 12
	default:
		return "", 0, fmt.Errorf("reading the npy header: version %d, want 1 to 3", head[6])
	}
	if n > maxNPYHeader {
		return "", 0, fmt.Errorf("reading the npy header: longer than %d bytes", maxNPYHeader)
	}
	buf := make([]byte, n)
	if _, err := io.ReadFull(r, buf); err != nil {
		return "", 0, fmt.Errorf("reading the npy header: file ends in it")
	}
	return string(buf), end + n, nil
}

// parse reads {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }: the three keys in any order, each once.
func (h *npyHeader) parse(dict string) error {
	d := literal{strings.TrimRight(dict, " \n\x00")}
	if !d.skip("{") {
		return fmt.Errorf("want a dict, got %.40q", dict)
	}
	seen := map[string]bool{}
	for !d.skip("}") {
		key, ok := d.str()
		if !ok || seen[key] || !d.skip(":") {
			return fmt.Errorf("want a new key and a colon before %.40q", d.rest)
		}
		seen[key] = true
		if err := h.field(key, &d); err != nil {
			return err
		}
		if !d.skip(",") && !strings.HasPrefix(d.rest, "}") {
			return fmt.Errorf("want a comma before %.40q", d.rest)
		}
	}
	if !seen["descr"] || !seen["fortran_order"] || !seen["shape"] || d.rest != "" {
		return fmt.Errorf("want exactly the keys descr, fortran_order and shape in %.80q", dict)
	}
	return nil
}

func (h *npyHeader) field(key string, d *literal) error {
	switch key {
	case "descr":
		s, ok := d.str()
		if !ok {
			return fmt.Errorf("structured element types are not supported: %.80q", d.rest)
		}
		return h.descr(s)
	case "fortran_order":
		h.fortran = d.skip("True")
		if !h.fortran && !d.skip("False") {
			return fmt.Errorf("fortran_order: want True or False before %.40q", d.rest)
		}
		return nil
	case "shape":
		return h.readShape(d)
	}
	return fmt.Errorf("unknown key %q", key)
}

// descr reads a type string: byte order, kind, bytes per element.
func (h *npyHeader) descr(s string) error {
	switch {
	case strings.HasPrefix(s, "|O"):
		return fmt.Errorf("element type %q: pickled Python objects are not read", s)
	case len(s) != 3:
		return fmt.Errorf("element type %q is not supported", s)
	}
	h.kind, h.size, h.big = s[1], int(s[2]-'0'), s[0] == '>'
	switch s[1:] {
	case "f2", "f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8":
		if s[0] == '<' || s[0] == '>' {
			return nil
		}
	case "i1", "u1", "b1":
		if strings.IndexByte("|<>=", s[0]) >= 0 {
			return nil
		}
	}
	return fmt.Errorf("element type %q is not supported", s)
}

// readShape reads (), (3,) or (3, 4).
func (h *npyHeader) readShape(d *literal) error {
	if !d.skip("(") {
		return fmt.Errorf("shape: want a tuple before %.40q", d.rest)
	}
	h.shape = []int{}
	for !d.skip(")") {
		n, ok := d.number()
		if !ok || len(h.shape) == maxRank || !d.skip(",") && !strings.HasPrefix(d.rest, ")") {
			return fmt.Errorf("shape: want at most %d sizes before %.40q", maxRank, d.rest)
		}
		h.shape = append(h.shape, n)
	}
	var ok bool
	if h.count, ok = onnxio.CheckedLen(h.shape); !ok {
		return fmt.Errorf("shape: %v has too many elements", h.shape)
	}
	return nil
}

// literal is what is left of a Python literal; no token is preceded by blanks.
type literal struct{ rest string }

// skip takes token away, and the blanks behind it, where it comes next.
func (d *literal) skip(token string) bool {
	d.rest = strings.TrimLeft(d.rest, " ")
	rest, ok := strings.CutPrefix(d.rest, token)
	if ok {
		d.rest = strings.TrimLeft(rest, " ")
	}
	return ok
}

// str takes a string in single or double quotes without escapes.
func (d *literal) str() (string, bool) {
	for _, quote := range []string{"'", `"`} {
		if rest, ok := strings.CutPrefix(d.rest, quote); ok {
			s, rest, ok := strings.Cut(rest, quote)
			if !ok || strings.Contains(s, `\`) {
				return "", false
			}
			d.rest = strings.TrimLeft(rest, " ")
			return s, true
		}
	}
	return "", false
}

// number takes a size; Python 2 wrote long ones with an L behind.
func (d *literal) number() (int, bool) {
	end := 0
	for end < len(d.rest) && d.rest[end] >= '0' && d.rest[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(d.rest[:end])
	d.rest = strings.TrimLeft(strings.TrimPrefix(d.rest[end:], "L"), " ")
	return n, err == nil
}
