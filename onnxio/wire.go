package onnxio

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// wire is what a message remembers of the bytes it was read from.
type wire struct {
	src  []byte // the whole encoding as read, nil for a message made by this program
	rest []byte // fields that this package does not interpret, tags included, in order
}

// field is one field of a message on the wire.
type field struct {
	num protowire.Number
	typ protowire.Type
	u   uint64 // value of a varint, fixed32 or fixed64 field
	b   []byte // value of a length-delimited field, a slice of the message
	raw []byte // the whole field with its tag
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
	case protowire.Fixed32Type:
		var v uint32
		v, m = protowire.ConsumeFixed32(b[n:])
		fd.u = uint64(v)
	case protowire.Fixed64Type:
		fd.u, m = protowire.ConsumeFixed64(b[n:])
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

func (f field) str(dst *string) error {
	*dst = string(f.b)
	return f.want(protowire.BytesType)
}

func (f field) bytes(dst *[]byte) error {
	*dst = f.b
	return f.want(protowire.BytesType)
}

func (f field) int(dst *int64) error {
	*dst = int64(f.u)
	return f.want(protowire.VarintType)
}

func (f field) addStr(dst *[]string) error {
	*dst = append(*dst, string(f.b))
	return f.want(protowire.BytesType)
}

func (f field) addBytes(dst *[][]byte) error {
	*dst = append(*dst, f.b)
	return f.want(protowire.BytesType)
}

// addInts appends the values of a repeated varint field, packed or not.
func addInts[T int32 | int64 | uint64](f field, dst *[]T) error {
	if f.typ == protowire.VarintType {
		*dst = append(*dst, T(f.u))
		return nil
	}
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	for b := f.b; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return formatErrorf("", "field %d: %v", f.num, protowire.ParseError(n))
		}
		*dst = append(*dst, T(v))
		b = b[n:]
	}
	return nil
}

// addFixed appends the little-endian bytes of a repeated fixed32 or fixed64 field, packed or not. A single packed
// chunk stays a slice of the file.
func (f field) addFixed(dst *[]byte, typ protowire.Type, size int) error {
	chunk := f.b
	if f.typ == typ {
		chunk = f.raw[len(f.raw)-size:]
	} else if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	if len(chunk)%size != 0 {
		return formatErrorf("", "field %d: %d bytes of packed values of %d bytes", f.num, len(chunk), size)
	}
	if *dst == nil {
		*dst = chunk
	} else {
		*dst = append(*dst, chunk...)
	}
	return nil
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
