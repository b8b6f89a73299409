package onnxio

import (
	"fmt"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxDepth bounds graphs nested in attributes of nodes of graphs; real models stay below 5.
const maxDepth = 64

// parser carries depth and memory through the recursive readers. Each method of the name of a message reads one of
// onnx.proto (field numbers there) and passes over what it does not interpret, which writing takes from wire.src.
type parser struct {
	depth int
	limit int64             // bytes of memory that reading may take
	left  int64             // how many of them are left, negative once they are spent
	words map[string]string // see word
}

// newParser returns a parser for a file of size bytes.
func newParser(size int) *parser { return &parser{limit: budget(size), left: budget(size)} }

// Parse reads a serialized ModelProto. The result's tensor data are slices of b, which must stay unchanged.
// External data are not read: see Open.
func Parse(b []byte) (*Model, error) {
	if len(b) == 0 {
		return nil, formatErrorf("", "empty file, want an ONNX model")
	}
	return newParser(len(b)).file(b)
}

// file reads a whole model file.
func (p *parser) file(b []byte) (*Model, error) {
	m, err := p.model(b)
	if err != nil {
		return nil, err
	}
	if m.Graph == nil {
		return nil, formatErrorf("", "no graph in %d bytes, want an ONNX model", len(b))
	}
	if err := p.charge(m.pathBytes()); err != nil {
		return nil, err
	}
	return m, nil
}

// ParseTensor reads a serialized TensorProto, as in the input_*.pb files of ONNX test sets.
func ParseTensor(b []byte) (*Tensor, error) { return newParser(len(b)).tensor(b) }

// sub parses the message in f with parse and appends it to list; an error gets the index in front of it.
func sub[T any](p *parser, f field, kind string, list *[]*T, parse func([]byte) (*T, error)) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	if err := p.charge(int(unsafe.Sizeof(*new(T)))); err != nil {
		return err
	}
	if err := room(p, list, 1); err != nil {
		return err
	}
	v, err := parse(f.b)
	if err != nil {
		return prefix(fmt.Sprintf("%s %d%s", kind, len(*list), label(v)), err)
	}
	*list = append(*list, v)
	return nil
}

// one parses the message in f into dst, which must not be set yet: protobuf would merge the two.
func one[T any](p *parser, f field, kind string, dst **T, parse func([]byte) (*T, error)) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	if *dst != nil {
		return formatErrorf(kind, "given twice")
	}
	if err := p.charge(int(unsafe.Sizeof(*new(T)))); err != nil {
		return err
	}
	v, err := parse(f.b)
	if err != nil {
		return prefix(kind+label(v), err)
	}
	*dst = v
	return nil
}

// label returns a message's name, quoted behind a space, "" where it has none; v may be partly read.
func label(v any) string {
	name := ""
	switch v := v.(type) {
	case *Node:
		name = v.Name
	case *Attribute:
		name = v.Name
	case *Tensor:
		name = v.Name
	case *ValueInfo:
		name = v.Name
	case *Function:
		name = v.Name
	}
	if name == "" {
		return ""
	}
	return " " + Quote(name)
}
