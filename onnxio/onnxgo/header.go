package onnxgo

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"bq/onnxio"
)

// header holds what onnx-go does not tell of a model and the engine needs, read with field numbers of onnx.proto.
type header struct {
	irVersion    int64
	opsets       []*onnxio.Opset
	inputs       []*onnxio.ValueInfo // all inputs of the graph, those with an initializer too
	outputs      []*onnxio.ValueInfo
	inputNamed   map[string]*onnxio.ValueInfo
	initializers map[string]bool
	nodes        []nodeHeader

	graphs   int // GraphProto fields of the model, one wanted
	declared int // elements of all declared values: onnx-go allocates a zero tensor for each
}

// nodeHeader is what onnx-go does not tell of a node.
type nodeHeader struct {
	name, domain string
	inputs       int
	where        string // for messages: graph.node[3] "conv1" (Conv)
}

// maxDeclared bounds the elements of all values whose shape the file declares, because onnx-go allocates them while
// it decodes: 2^27 elements are 512 MB of float32, 2 GB of complex128.
const maxDeclared = 1 << 27

// readHeader reads the header of a ModelProto and refuses, by name, what onnx-go cannot or must not decode.
func readHeader(b []byte) (*header, error) {
	h := &header{initializers: map[string]bool{}}
	err := each(b, func(f field) error {
		switch f.num {
		case 1:
			h.irVersion = int64(f.u)
		case 7:
			h.graphs++
			return h.graph(f.b)
		case 8:
			return h.opset(f.b)
		case 25:
			return unsupported("model", "holds functions, which onnx-go does not read")
		}
		return nil
	})
	if err == nil && h.graphs != 1 {
		err = malformed("model", "holds %d graphs, want 1", h.graphs)
	}
	if err != nil {
		return nil, err
	}
	h.inputNamed = byName(h.inputs)
	return h, nil
}

func byName(values []*onnxio.ValueInfo) map[string]*onnxio.ValueInfo {
	m := map[string]*onnxio.ValueInfo{}
	for _, v := range values {
		m[v.Name] = v
	}
	return m
}

func (h *header) opset(b []byte) error {
	o := &onnxio.Opset{}
	h.opsets = append(h.opsets, o)
	return each(b, func(f field) error {
		switch f.num {
		case 1:
			o.Domain = string(f.b)
		case 2:
			o.Version = int64(f.u)
		}
		return nil
	})
}

// graph reads a GraphProto.
func (h *header) graph(b []byte) error {
	return each(b, func(f field) error {
		switch f.num {
		case 1:
			return h.node(f.b)
		case 5:
			t, err := readTensor(f.b, "graph.initializer")
			h.initializers[t.name] = true
			return err
		case 11:
			return h.value(f.b, "graph.input", &h.inputs)
		case 12:
			return h.value(f.b, "graph.output", &h.outputs)
		case 13:
			return h.value(f.b, "graph.value_info", new([]*onnxio.ValueInfo))
		case 15:
			return unsupported("graph", "holds sparse initializers, which onnx-go does not read")
		}
		return nil
	})
}

// node reads a NodeProto: first what it is called, then its attributes, whose errors name it.
func (h *header) node(b []byte) error {
	var n nodeHeader
	var op string
	var attributes [][]byte
	err := each(b, func(f field) error {
		switch f.num {
		case 1:
			n.inputs++
		case 3:
			n.name = string(f.b)
		case 4:
			op = string(f.b)
		case 5:
			attributes = append(attributes, f.b)
		case 7:
			n.domain = string(f.b)
		}
		return nil
	})
	n.where = fmt.Sprintf("graph.node[%d] %s (%s)", len(h.nodes), onnxio.Quote(n.name), op)
	h.nodes = append(h.nodes, n)
	for i := 0; err == nil && i < len(attributes); i++ {
		err = checkAttribute(attributes[i], n.where)
	}
	return err
}

// unreadFields are the fields of AttributeProto that hold what onnx-go does not decode. Graphs are refused before
// onnx-go sees them for one more reason: it decodes them recursively, to any depth.
var unreadFields = map[protowire.Number]string{6: "a subgraph", 11: "subgraphs", 10: "a list of tensors",
	22: "a sparse tensor", 23: "sparse tensors", 14: "a type", 15: "types", 21: "a reference to a function's attribute"}

// checkAttribute refuses an AttributeProto that onnx-go cannot decode.
func checkAttribute(b []byte, where string) error {
	var name, unread string
	var kind onnxio.AttributeType
	var tensor []byte
	err := each(b, func(f field) error {
		switch {
		case f.num == 1:
			name = string(f.b)
		case f.num == 5:
			if tensor != nil {
				return malformed(where, "an attribute holds two tensors")
			}
			tensor = f.b
		case f.num == 20:
			kind = onnxio.AttributeType(f.u)
		case unreadFields[f.num] != "":
			unread = unreadFields[f.num]
		}
		return nil
	})
	where += ": attribute " + onnxio.Quote(name)
	switch {
	case err != nil:
		return err
	case unread != "":
		return unsupported(where, "holds %s, which onnx-go does not read", unread)
	case kind == onnxio.AttrUndefined:
		return unsupported(where, "states no type, without which onnx-go drops its value")
	case kind == onnxio.AttrTensor:
		_, err = readTensor(tensor, where+": tensor")
	}
	return err
}

// tensorHeader is what decides whether onnx-go can decode a TensorProto.
type tensorHeader struct {
	name              string
	elem              onnxio.DataType
	shape             []int
	external, segment bool
	raw, typed        int // bytes of raw_data and of the typed fields
	hasRaw            bool
}

// readTensor reads a TensorProto's header and refuses what onnx-go cannot decode, or would decode wrongly (bool,
// empty raw_data) or only after allocating what the dimensions say.
func readTensor(b []byte, where string) (t tensorHeader, err error) {
	err = each(b, func(f field) error {
		switch f.num {
		case 1:
			return appendInts(&t.shape, f)
		case 2:
			t.elem = onnxio.DataType(f.u)
		case 3:
			t.segment = true
		case 4, 5, 7, 10:
			t.typed += f.size
		case 8:
			t.name = string(f.b)
		case 9:
			t.raw, t.hasRaw = len(f.b), true
		case 14:
			t.external = f.u == 1
		}
		return nil
	})
	if err == nil {
		err = t.check(where + " " + onnxio.Quote(t.name))
	}
	return t, err
}

func (t *tensorHeader) check(where string) error {
	n, ok := onnxio.CheckedLen(t.shape)
	switch {
	case !ok:
		return malformed(where, "dimensions %v", t.shape)
	case t.elem != onnxio.Float && t.elem != onnxio.Double && t.elem != onnxio.Int32 && t.elem != onnxio.Int64:
		return unsupported(where, "holds %v, onnx-go reads float32, float64, int32 and int64", t.elem)
	case t.external:
		return unsupported(where, "holds external data, which onnx-go does not read")
	case t.segment:
		return unsupported(where, "holds a segment, which onnx-go does not read")
	case n == 0:
		return unsupported(where, "is empty (%v), which onnx-go does not read", t.shape)
	case t.hasRaw && t.raw != n*t.elem.Bits()/8:
		return malformed(where, "raw_data holds %d bytes, dimensions %v want %d", t.raw, t.shape, n*t.elem.Bits()/8)
	case !t.hasRaw && t.typed < n:
		return malformed(where, "holds %d bytes, dimensions %v want %d elements", t.typed, t.shape, n)
	}
	return nil
}

// value reads a ValueInfoProto and appends it to list.
func (h *header) value(b []byte, where string, list *[]*onnxio.ValueInfo) error {
	v := &onnxio.ValueInfo{}
	*list = append(*list, v)
	var kind []byte
	err := each(b, func(f field) error {
		switch f.num {
		case 1:
			v.Name = string(f.b)
		case 2:
			return once(&kind, f.b, where)
		}
		return nil
	})
	if err != nil || kind == nil {
		return err
	}
	where += " " + onnxio.Quote(v.Name)
	v.Type, err = readType(kind, where)
	if err != nil {
		return err
	}
	return h.bound(v.Type, where)
}

// readType reads a TypeProto, which must be that of a tensor.
func readType(b []byte, where string) (*onnxio.TensorType, error) {
	var tensor, shape []byte
	err := each(b, func(f field) error {
		if f.num == 1 {
			return once(&tensor, f.b, where)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if tensor == nil {
		return nil, unsupported(where, "is no tensor, onnx-go reads tensors only")
	}
	t := &onnxio.TensorType{}
	err = each(tensor, func(f field) error {
		switch f.num {
		case 1:
			t.Elem = onnxio.DataType(f.u)
		case 2:
			return once(&shape, f.b, where)
		}
		return nil
	})
	if err != nil || shape == nil {
		return t, err
	}
	t.HasShape = true
	return t, each(shape, func(f field) error {
		if f.num == 1 {
			return appendDim(t, f.b)
		}
		return nil
	})
}

// appendDim reads a TensorShapeProto.Dimension: value and name exclude each other, the last one counts.
func appendDim(t *onnxio.TensorType, b []byte) error {
	var d onnxio.Dim
	err := each(b, func(f field) error {
		switch f.num {
		case 1:
			d = onnxio.Dim{Known: true, Value: int64(f.u)}
		case 2:
			d = onnxio.Dim{Param: string(f.b)}
		}
		return nil
	})
	t.Shape = append(t.Shape, d)
	return err
}

// bound checks that onnx-go knows the element type of a declared value and that its fixed dimensions, of which
// onnx-go makes a tensor, stay within maxDeclared.
func (h *header) bound(t *onnxio.TensorType, where string) error {
	if t.Elem < onnxio.Float || t.Elem > onnxio.Complex128 || t.Elem == onnxio.Float16 {
		return unsupported(where, "has element type %v, which onnx-go does not know", t.Elem)
	}
	var fixed []int
	for _, d := range t.Shape {
		if d.Known {
			fixed = append(fixed, int(d.Value))
		}
	}
	n, ok := onnxio.CheckedLen(fixed)
	if !ok {
		return malformed(where, "dimensions %v", fixed)
	}
	if n > maxDeclared-h.declared {
		return unsupported(where, "brings the declared values to more than %d elements, for which onnx-go would allocate memory", maxDeclared)
	}
	h.declared += n
	return nil
}
