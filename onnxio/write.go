package onnxio

import (
	"bytes"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// WriteTo writes the model as a serialized ModelProto. Messages whose fields still say what the bytes they were
// read from say are written as they were read; an unchanged model therefore comes out byte for byte.
func (m *Model) WriteTo(w io.Writer) (int64, error) {
	e := &encoder{}
	e.root(m)
	var n int64
	for _, part := range e.finish() {
		k, err := w.Write(part)
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Bytes returns what WriteTo writes.
func (m *Model) Bytes() []byte {
	e := &encoder{}
	e.root(m)
	return bytes.Join(e.finish(), nil)
}

// Bytes returns the tensor as a serialized TensorProto, which ParseTensor reads.
func (t *Tensor) Bytes() []byte {
	e := &encoder{}
	e.root(t)
	return bytes.Join(e.finish(), nil)
}

// Size returns how many bytes WriteTo writes.
func (m *Model) Size() int64 {
	e := &encoder{}
	e.root(m)
	return e.size
}

// message is a message of onnx.proto that can be written.
type message interface {
	source() []byte        // the bytes it was read from, nil where it was made by this program
	reread([]byte) message // parses such bytes again, nil where they don't parse
	encode(e *encoder)     // writes its fields in the order of their numbers, then the uninterpreted ones
}

func (w *wire) source() []byte { return w.src }

// root writes a message that is not inside another.
func (e *encoder) root(m message) {
	if !e.plain && unchanged(m) {
		e.raw(m.source())
		return
	}
	m.encode(e)
}

// msg writes m as field num: as it was read where it is unchanged, else anew.
func (e *encoder) msg(num protowire.Number, m message) {
	sub := &encoder{plain: e.plain}
	sub.root(m)
	e.sub(num, sub)
}

func (e *encoder) sub(num protowire.Number, sub *encoder) {
	e.tag(num, protowire.BytesType)
	e.varint(uint64(sub.size))
	for _, part := range sub.finish() {
		e.raw(part)
	}
}

func msgs[M message](e *encoder, num protowire.Number, list []M) {
	for _, m := range list {
		e.msg(num, m)
	}
}

// unchanged reports whether m's fields say what the bytes it was read from say. Both are encoded plainly and
// compared; data that are still the same slice of the file compare by address.
func unchanged(m message) bool {
	src := m.source()
	if src == nil {
		return false
	}
	was := m.reread(src)
	if was == nil {
		return false
	}
	a, b := &encoder{plain: true}, &encoder{plain: true}
	was.encode(a)
	m.encode(b)
	return a.size == b.size && equalParts(a.finish(), b.finish())
}

// equalParts compares two lists of parts, which are cut at the same places where their contents are equal.
func equalParts(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

// rereader returns a parser for bytes that were read before.
func rereader() *parser { return &parser{left: unlimited} }

// again turns the result of a parse function into a message, nil on an error.
func again[M message](m M, err error) message {
	if err != nil {
		return nil
	}
	return m
}

func (m *Model) reread(b []byte) message       { return again(rereader().model(b)) }
func (o *Opset) reread(b []byte) message       { return again(rereader().opset(b)) }
func (s *StringEntry) reread(b []byte) message { return again(rereader().entry(b)) }
func (g *Graph) reread(b []byte) message       { return again(rereader().graph(b)) }
func (n *Node) reread(b []byte) message        { return again(rereader().node(b)) }
func (a *Attribute) reread(b []byte) message   { return again(rereader().attribute(b)) }
func (t *Tensor) reread(b []byte) message      { return again(rereader().tensor(b)) }
func (v *ValueInfo) reread(b []byte) message   { return again(rereader().valueInfo(b)) }
func (t *TensorType) reread(b []byte) message  { return again(rereader().tensorType(b)) }
func (f *Function) reread(b []byte) message    { return again(rereader().function(b)) }

// The fields of each message that this package interprets; all others are written as they were read. The names are
// those of the types here.
var (
	modelFields     = fields(1, 2, 3, 4, 5, 6, 7, 8, 14, 25)
	pairFields      = fields(1, 2) // of Opset and StringEntry, and of a tensor type and a dimension
	graphFields     = fields(1, 2, 5, 10, 11, 12, 13)
	nodeFields      = fields(1, 2, 3, 4, 5, 6, 7, 8, 9)
	attributeFields = fields(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 20, 21)
	tensorFields    = fields(1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)
	valueInfoFields = fields(1, 2, 3)
	soleField       = fields(1) // of a TypeProto and a TensorShapeProto
	functionFields  = fields(1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)
)

func (m *Model) encode(e *encoder) {
	e.int(1, m.IRVersion)
	e.optStr(2, m.ProducerName)
	e.optStr(3, m.ProducerVersion)
	e.optStr(4, m.Domain)
	e.optInt(5, m.ModelVersion)
	e.optStr(6, m.Doc)
	if m.Graph != nil {
		e.msg(7, m.Graph)
	}
	msgs(e, 8, m.Opsets)
	msgs(e, 14, m.Metadata)
	msgs(e, 25, m.Functions)
	e.unknown(m.src, modelFields)
}

func (o *Opset) encode(e *encoder) {
	e.optStr(1, o.Domain)
	e.int(2, o.Version)
	e.unknown(o.src, pairFields)
}

func (s *StringEntry) encode(e *encoder) {
	e.optStr(1, s.Key)
	e.optStr(2, s.Value)
	e.unknown(s.src, pairFields)
}

func (g *Graph) encode(e *encoder) {
	msgs(e, 1, g.Nodes)
	e.optStr(2, g.Name)
	msgs(e, 5, g.Initializers)
	e.optStr(10, g.Doc)
	msgs(e, 11, g.Inputs)
	msgs(e, 12, g.Outputs)
	msgs(e, 13, g.ValueInfo)
	e.unknown(g.src, graphFields)
}

func (n *Node) encode(e *encoder) {
	e.strs(1, n.Inputs)
	e.strs(2, n.Outputs)
	e.optStr(3, n.Name)
	e.optStr(4, n.OpType)
	msgs(e, 5, n.Attributes)
	e.optStr(6, n.Doc)
	e.optStr(7, n.Domain)
	e.optStr(8, n.Overload)
	msgs(e, 9, n.Metadata)
	e.unknown(n.src, nodeFields)
}

// encode writes the value of the attribute's type even where it is zero: some readers ask for its presence.
func (a *Attribute) encode(e *encoder) {
	e.optStr(1, a.Name)
	if a.Type == AttrFloat || a.F != 0 {
		e.tag(2, protowire.Fixed32Type)
		e.raw(protowire.AppendFixed32(nil, math.Float32bits(a.F)))
	}
	if a.Type == AttrInt || a.I != 0 {
		e.int(3, a.I)
	}
	if a.Type == AttrString || len(a.S) > 0 {
		e.bytes(4, a.S)
	}
	if a.T != nil {
		e.msg(5, a.T)
	}
	if a.G != nil {
		e.msg(6, a.G)
	}
	for _, v := range a.Floats {
		e.tag(7, protowire.Fixed32Type)
		e.raw(protowire.AppendFixed32(nil, math.Float32bits(v)))
	}
	for _, v := range a.Ints {
		e.int(8, v)
	}
	for _, s := range a.Strings {
		e.bytes(9, s)
	}
	msgs(e, 10, a.Tensors)
	msgs(e, 11, a.Graphs)
	e.optStr(13, a.Doc)
	e.optInt(20, int64(a.Type))
	e.optStr(21, a.RefName)
	e.unknown(a.src, attributeFields)
}

func (t *Tensor) encode(e *encoder) {
	e.packed(1, t.Dims)
	e.int(2, int64(t.Type))
	e.optBytes(4, t.FloatData)
	e.optBytes(5, t.Int32Data)
	for _, s := range t.StringData {
		e.bytes(6, s)
	}
	e.optBytes(7, t.Int64Data)
	e.optStr(8, t.Name)
	if t.HasRaw {
		e.bytes(9, t.Raw)
	}
	e.optBytes(10, t.DoubleData)
	e.optBytes(11, t.Uint64Data)
	e.optStr(12, t.Doc)
	msgs(e, 13, t.External)
	switch {
	case t.IsExternal:
		e.int(14, locationExternal)
	case t.location > locationExternal: // one of the future
		e.int(14, int64(t.location))
	}
	e.unknown(t.src, tensorFields)
}

// encode keeps a type that is no tensor's among the uninterpreted fields, unless there is a tensor's now.
func (v *ValueInfo) encode(e *encoder) {
	e.optStr(1, v.Name)
	if v.Type != nil {
		e.msg(2, v.Type)
	}
	e.optStr(3, v.Doc)
	e.others(v.src, func(f field) bool {
		return !valueInfoFields.has(f.num) || f.num == 2 && v.Type == nil && !isTensorType(f.b)
	})
}

// encode writes a TypeProto with the TypeProto.Tensor and the TensorShapeProto in it.
func (t *TensorType) encode(e *encoder) {
	tensor, shape := &encoder{plain: e.plain}, &encoder{plain: e.plain}
	for i := range t.Shape {
		dim := &encoder{plain: e.plain}
		t.Shape[i].encode(dim)
		shape.sub(1, dim)
	}
	inside(t.src, 1, func(b []byte) {
		inside(b, 2, func(b []byte) { shape.unknown(b, soleField) })
	})
	tensor.int(1, int64(t.Elem))
	if t.HasShape {
		tensor.sub(2, shape)
	}
	inside(t.src, 1, func(b []byte) { tensor.unknown(b, pairFields) })
	e.sub(1, tensor)
	e.unknown(t.src, soleField)
}

// inside calls f with the content of every field num of msg.
func inside(msg []byte, num protowire.Number, f func(b []byte)) {
	eachField(msg, func(fd field) error { // well formed: it was read before
		if fd.num == num && fd.typ == protowire.BytesType {
			f(fd.b)
		}
		return nil
	})
}

func (d *Dim) encode(e *encoder) {
	if d.Known {
		e.int(1, d.Value)
	}
	e.optStr(2, d.Param)
	e.unknown(d.src, pairFields)
}

func (f *Function) encode(e *encoder) {
	e.optStr(1, f.Name)
	e.strs(4, f.Inputs)
	e.strs(5, f.Outputs)
	e.strs(6, f.Attributes)
	msgs(e, 7, f.Nodes)
	e.optStr(8, f.Doc)
	msgs(e, 9, f.Opsets)
	e.optStr(10, f.Domain)
	msgs(e, 11, f.Defaults)
	msgs(e, 12, f.ValueInfo)
	e.optStr(13, f.Overload)
	msgs(e, 14, f.Metadata)
	e.unknown(f.src, functionFields)
}
