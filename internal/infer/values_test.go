package infer

import (
	"archive/zip"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"bq/onnxio"
)

// The files of a test set hold TensorProto, SequenceProto or OptionalProto messages; which, the model's types say.
// Field numbers are those of onnx.proto and onnx-data.proto.

// kind is the case of a TypeProto: the number of its field.
type kind int

const (
	kindTensor   kind = 1
	kindSequence kind = 4
	kindOptional kind = 9
)

// field returns the contents of all occurrences of a length-delimited field of a message.
func field(b []byte, num protowire.Number) (list [][]byte) {
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return list
		}
		b = b[size:]
		size = protowire.ConsumeFieldValue(n, typ, b)
		if size < 0 {
			return list
		}
		if v, m := protowire.ConsumeBytes(b); n == num && typ == protowire.BytesType && m > 0 {
			list = append(list, v)
		}
		b = b[size:]
	}
	return list
}

// kinds returns the kinds of the values that field num of the model's graph declares, by name.
func kinds(model []byte, num protowire.Number) (list []string, of map[string]kind) {
	of = map[string]kind{}
	for _, g := range field(model, 7) {
		for _, v := range field(g, num) {
			name := string(field(v, 1)[0])
			list = append(list, name)
			of[name] = kindTensor
			for _, t := range field(v, 2) {
				for _, k := range []kind{kindSequence, kindOptional} {
					if len(field(t, protowire.Number(k))) > 0 {
						of[name] = k
					}
				}
			}
		}
	}
	return list, of
}

func inputKinds(model []byte) []kind  { return inOrder(kinds(model, 11)) }
func outputKinds(model []byte) []kind { return inOrder(kinds(model, 12)) }

func inOrder(names []string, of map[string]kind) (list []kind) {
	for _, n := range names {
		list = append(list, of[n])
	}
	return list
}

// readValues reads the values of a test set, by the kinds of the model's inputs or outputs.
func readValues(files map[string]*zip.File, dir, what string, kinds []kind) ([]*onnxio.Array, error) {
	var list []*onnxio.Array
	for i := 0; ; i++ {
		f := files[fmt.Sprintf("%s/test_data_set_0/%s_%d.pb", dir, what, i)]
		if f == nil {
			return list, nil
		}
		b, err := readZip(f)
		if err != nil {
			return nil, err
		}
		k := kindTensor
		if i < len(kinds) {
			k = kinds[i]
		}
		v, err := readValue(b, k)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
}

func readValue(b []byte, k kind) (*onnxio.Array, error) {
	switch k {
	case kindSequence: // SequenceProto: tensor_values = 3
		var list []*onnxio.Array
		for _, t := range field(b, 3) {
			v, err := readValue(t, kindTensor)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return newSequence(list), nil
	case kindOptional: // OptionalProto: tensor_value = 3, sequence_value = 5
		if t := field(b, 3); len(t) > 0 {
			return readValue(t[0], kindTensor)
		}
		if t := field(b, 5); len(t) > 0 {
			return readValue(t[0], kindSequence)
		}
		return nothing(), nil
	}
	t, err := onnxio.ParseTensor(b)
	if err != nil {
		return nil, err
	}
	return t.Array()
}
