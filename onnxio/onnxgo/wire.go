package onnxgo

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"bq/onnxio"
)

// field is one field of a protobuf message (https://protobuf.dev/programming-guides/encoding).
type field struct {
	num  protowire.Number
	typ  protowire.Type
	u    uint64 // value of a varint
	b    []byte // value of a length-delimited field, never nil there
	size int    // bytes of the value
}

// each calls f for every field of msg in order.
func each(msg []byte, f func(field) error) error {
	for rest := msg; len(rest) > 0; {
		fd, n := nextField(rest)
		if n < 0 {
			return malformed("model", "byte %d of a message of %d: %v", len(msg)-len(rest), len(msg), protowire.ParseError(n))
		}
		if err := f(fd); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// nextField reads the field at the start of b and its length, negative where it is malformed.
func nextField(b []byte) (fd field, n int) {
	num, typ, tag := protowire.ConsumeTag(b)
	if tag < 0 {
		return fd, tag
	}
	size := protowire.ConsumeFieldValue(num, typ, b[tag:])
	if size < 0 {
		return fd, size
	}
	fd = field{num: num, typ: typ, size: size}
	switch typ {
	case protowire.VarintType:
		fd.u, _ = protowire.ConsumeVarint(b[tag:])
	case protowire.BytesType:
		v, _ := protowire.ConsumeBytes(b[tag:])
		fd.b, fd.size = v[:len(v):len(v)], len(v)
	}
	return fd, tag + size
}

// appendInts appends the integers of a repeated field, packed or not.
func appendInts(list *[]int, f field) error {
	if f.typ == protowire.VarintType {
		*list = append(*list, int(f.u))
		return nil
	}
	for b := f.b; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return malformed("model", "a list of integers: %v", protowire.ParseError(n))
		}
		*list = append(*list, int(v))
		b = b[n:]
	}
	return nil
}

// once sets dst to b and fails where dst is set: readers differ in what a message field given twice means.
func once(dst *[]byte, b []byte, where string) error {
	if *dst != nil {
		return malformed(where, "states its type twice")
	}
	*dst = b
	if b == nil {
		*dst = []byte{}
	}
	return nil
}

func malformed(where, format string, args ...any) error {
	return &onnxio.FormatError{Where: where, Text: fmt.Sprintf(format, args...)}
}

func unsupported(where, format string, args ...any) error {
	return &onnxio.UnsupportedError{Where: where, Text: fmt.Sprintf(format, args...)}
}
