package onnxio

import (
	"bytes"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"bq/internal/onnxpb"
)

// Every field that the schema has, in every message, and one that it has not.
func TestEveryFieldSurvives(t *testing.T) {
	for variant := range 30 {
		p := &onnxpb.ModelProto{}
		fill(p.ProtoReflect(), variant, 0)
		for _, tensor := range p.Graph.Initializer {
			tensor.DataLocation = onnxpb.TensorProto_DataLocation(variant % 2).Enum()
		}
		b, err := proto.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Bytes(); !bytes.Equal(got, b) {
			t.Errorf("variant %d: not written back byte for byte", variant)
		}
		if err := agree(b); err != nil {
			t.Errorf("variant %d: %v", variant, err)
		}
	}
}

// filledDepth is how deep messages are filled: deep enough for a shape in a type in a node in a graph in a node.
const filledDepth = 9

// fill sets every field of m to values that depend on its number, and adds an unknown field. Of a oneof the variant
// decides which member is set, and what element type a tensor gets.
func fill(m protoreflect.Message, variant, depth int) {
	list := m.Descriptor().Fields()
	for i := range list.Len() {
		fd := list.Get(i)
		one := fd.ContainingOneof()
		if one != nil && one.Fields().Get(variant%one.Fields().Len()) != fd || depth == filledDepth && fd.Message() != nil {
			continue
		}
		switch {
		case fd.IsList() && fd.Message() != nil:
			fill(m.Mutable(fd).List().AppendMutable().Message(), variant, depth+1)
		case fd.IsList():
			for k := range 1 + variant%3 {
				m.Mutable(fd).List().Append(sample(fd, variant+k))
			}
		case fd.Message() != nil:
			fill(m.Mutable(fd).Message(), variant, depth+1)
		default:
			m.Set(fd, sample(fd, variant))
		}
	}
	m.SetUnknown(protoreflect.RawFields("\xa2\x3f\x03new")) // field 1012, three bytes
}

// sample makes a value for a scalar field.
func sample(fd protoreflect.FieldDescriptor, variant int) protoreflect.Value {
	n := int64(fd.Number())<<(2*variant) + int64(variant)
	switch fd.Kind() {
	case protoreflect.EnumKind:
		values := fd.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(1 + variant%(values.Len()-1)).Number()) // 0 is "not said"
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(variant) - 1)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(-n)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(n))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(n) + 0.25)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(n) + 0.125)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(bytes.Repeat([]byte{byte(n)}, variant))
	}
	return protoreflect.ValueOfString(fmt.Sprintf("%s %d", fd.Name(), variant))
}
