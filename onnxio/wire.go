package onnxio

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// wire is what a message remembers of the bytes it was read from: the whole encoding, nil for a message made by this
// program. Fields that this package does not interpret are written again from there.
type wire struct{ src []byte }

// field is one field of a message on the wire.
type field struct {
	num  protowire.Number
	typ  protowire.Type
	u    uint64 // value of a varint, fixed32 or fixed64 field
	ulen int    // bytes that u takes, without the tag
	b    []byte // value of a length-delimited field, a slice of the message
	raw  []byte // the whole field with its tag
}

// eachField calls f for every field of msg in order and stops at the first error.
func eachField(msg []byte, f func(field) error) error {
	for pos := 0; pos < len(msg); {
		fd, n, err := nextField(msg[pos:])
		if err != nil {
			return formatErrorf("", "byte %d of %d: %v", pos, len(msg), err)
		}
		if err := f(fd); err != nil {
			return err
		}
		pos += n
	}
	return nil
}

func nextField(b []byte) (fd field, n int, err error) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		return fd, 0, protowire.ParseError(n)
	}
	fd.num, fd.typ = num, typ
	m := 0
	switch typ {
	case protowire.VarintType:
		fd.u, m = protowire.ConsumeVarint(b[n:])
		fd.ulen = m
	case protowire.Fixed32Type:
		var v uint32
		v, m = protowire.ConsumeFixed32(b[n:])
		fd.u, fd.ulen = uint64(v), m
	case protowire.Fixed64Type:
		fd.u, m = protowire.ConsumeFixed64(b[n:])
		fd.ulen = m
	case protowire.BytesType:
		fd.b, m = protowire.ConsumeBytes(b[n:])
		fd.b = fd.b[:len(fd.b):len(fd.b)]
	default:
		m = protowire.ConsumeFieldValue(num, typ, b[n:])
	}
	if m < 0 {
		return fd, 0, protowire.ParseError(m)
	}
	fd.raw = b[: n+m : n+m]
	return fd, n + m, nil
}

// want checks the wire type of a field that this package interprets.
func (f field) want(typ protowire.Type) error {
	if f.typ != typ {
		return formatErrorf("", "field %d has wire type %d, want %d", f.num, f.typ, typ)
	}
	return nil
}

func (f field) bytes(dst *[]byte) error {
	*dst = f.b
	return f.want(protowire.BytesType)
}

func (f field) int(dst *int64) error {
	*dst = int64(f.u)
	return f.want(protowire.VarintType)
}

// fixed returns the values of a repeated fixed32 or fixed64 field, packed or not, as little-endian bytes.
func (f field) fixed(typ protowire.Type, size int) ([]byte, error) {
	if f.typ == typ {
		return f.raw[len(f.raw)-size:], nil
	}
	if err := f.want(protowire.BytesType); err != nil {
		return nil, err
	}
	if len(f.b)%size != 0 {
		return nil, formatErrorf("", "field %d: %d bytes of packed values of %d bytes", f.num, len(f.b), size)
	}
	return f.b, nil
}

// wantVarints checks that a field is a list of whole varints.
func (f field) wantVarints() error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	for b := f.b; len(b) > 0; {
		_, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return formatErrorf("", "field %d: %v", f.num, protowire.ParseError(n))
		}
		b = b[n:]
	}
	return nil
}

// countVarints returns how many varints b holds: every one ends with a byte below 128.
func countVarints(b []byte) int {
	n := 0
	for _, c := range b {
		if c < 0x80 {
			n++
		}
	}
	return n
}

// eachVarint calls f with the place and value of every varint of b, which wantVarints has seen.
func eachVarint(b []byte, f func(i int, v uint64)) {
	for i := 0; len(b) > 0; i++ {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return
		}
		f(i, v)
		b = b[n:]
	}
}

// prefix puts where in front of the place that a FormatError or UnsupportedError names.
func prefix(where string, err error) error {
	switch e := err.(type) {
	case *FormatError:
		return &FormatError{Where: joinPlace(where, e.Where), Text: e.Text}
	case *UnsupportedError:
		return &UnsupportedError{Where: joinPlace(where, e.Where), Text: e.Text}
	}
	return err
}

func joinPlace(outer, inner string) string {
	if inner == "" {
		return outer
	}
	return outer + ": " + inner
}
