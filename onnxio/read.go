package onnxio

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxDepth bounds graphs nested in attributes of nodes of graphs; real models stay below 5.
const maxDepth = 64

// parser carries the nesting depth through the recursive readers. Each parseX reads one message of onnx.proto
// (field numbers there) and keeps what it does not interpret in rest.
type parser struct{ depth int }

// Parse reads a serialized ModelProto. The result's tensor data are slices of b, which must stay unchanged.
// External data are not read: see Open.
func Parse(b []byte) (*Model, error) {
	if len(b) == 0 {
		return nil, formatErrorf("", "empty file, want an ONNX model")
	}
	m, err := (&parser{}).model(b)
	if err != nil {
		return nil, err
	}
	if m.Graph == nil {
		return nil, formatErrorf("", "no graph in %d bytes, want an ONNX model", len(b))
	}
	return m, nil
}

// ParseTensor reads a serialized TensorProto, as in the input_*.pb files of ONNX test sets.
func ParseTensor(b []byte) (*Tensor, error) { return (&parser{}).tensor(b) }

// sub parses the message in f with parse and appends it to list; an error gets the index in front of it.
func sub[T any](f field, kind string, list *[]*T, parse func([]byte) (*T, error)) error {
	if err := f.want(protowire.BytesType); err != nil {
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
func one[T any](f field, kind string, dst **T, parse func([]byte) (*T, error)) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	if *dst != nil {
		return formatErrorf(kind, "given twice")
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

func (p *parser) model(b []byte) (*Model, error) {
	m := &Model{wire: wire{src: b}}
	return m, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.int(&m.IRVersion)
		case 2:
			return f.str(&m.ProducerName)
		case 3:
			return f.str(&m.ProducerVersion)
		case 4:
			return f.str(&m.Domain)
		case 5:
			return f.int(&m.ModelVersion)
		case 6:
			return f.str(&m.Doc)
		case 7:
			return one(f, "graph", &m.Graph, p.graph)
		case 8:
			return sub(f, "opset_import", &m.Opsets, p.opset)
		case 14:
			return sub(f, "metadata_props", &m.Metadata, p.entry)
		case 25:
			return sub(f, "function", &m.Functions, p.function)
		}
		m.rest = append(m.rest, f.raw...)
		return nil
	})
}

func (p *parser) opset(b []byte) (*Opset, error) {
	o := &Opset{wire: wire{src: b}}
	return o, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&o.Domain)
		case 2:
			return f.int(&o.Version)
		}
		o.rest = append(o.rest, f.raw...)
		return nil
	})
}

func (p *parser) entry(b []byte) (*StringEntry, error) {
	s := &StringEntry{wire: wire{src: b}}
	return s, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&s.Key)
		case 2:
			return f.str(&s.Value)
		}
		s.rest = append(s.rest, f.raw...)
		return nil
	})
}

func (p *parser) graph(b []byte) (*Graph, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, formatErrorf("", "graphs nested deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	g := &Graph{wire: wire{src: b}}
	return g, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return sub(f, "node", &g.Nodes, p.node)
		case 2:
			return f.str(&g.Name)
		case 5:
			return sub(f, "initializer", &g.Initializers, p.tensor)
		case 10:
			return f.str(&g.Doc)
		case 11:
			return sub(f, "input", &g.Inputs, p.valueInfo)
		case 12:
			return sub(f, "output", &g.Outputs, p.valueInfo)
		case 13:
			return sub(f, "value_info", &g.ValueInfo, p.valueInfo)
		}
		g.rest = append(g.rest, f.raw...)
		return nil
	})
}

func (p *parser) node(b []byte) (*Node, error) {
	n := &Node{wire: wire{src: b}}
	return n, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.addStr(&n.Inputs)
		case 2:
			return f.addStr(&n.Outputs)
		case 3:
			return f.str(&n.Name)
		case 4:
			return f.str(&n.OpType)
		case 5:
			return sub(f, "attribute", &n.Attributes, p.attribute)
		case 6:
			return f.str(&n.Doc)
		case 7:
			return f.str(&n.Domain)
		case 8:
			return f.str(&n.Overload)
		case 9:
			return sub(f, "metadata_props", &n.Metadata, p.entry)
		}
		n.rest = append(n.rest, f.raw...)
		return nil
	})
}

func (p *parser) attribute(b []byte) (*Attribute, error) {
	a := &Attribute{wire: wire{src: b}}
	var floats []byte
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&a.Name)
		case 2:
			a.F = math.Float32frombits(uint32(f.u))
			return f.want(protowire.Fixed32Type)
		case 3:
			return f.int(&a.I)
		case 4:
			return f.bytes(&a.S)
		case 5:
			return one(f, "tensor", &a.T, p.tensor)
		case 6:
			return one(f, "graph", &a.G, p.graph)
		case 7:
			return f.addFixed(&floats, protowire.Fixed32Type, 4)
		case 8:
			return addInts(f, &a.Ints)
		case 9:
			return f.addBytes(&a.Strings)
		case 10:
			return sub(f, "tensor", &a.Tensors, p.tensor)
		case 11:
			return sub(f, "graph", &a.Graphs, p.graph)
		case 13:
			return f.str(&a.Doc)
		case 20:
			a.Type = AttributeType(f.u)
			return f.want(protowire.VarintType)
		case 21:
			return f.str(&a.RefName)
		}
		a.rest = append(a.rest, f.raw...)
		return nil
	})
	if len(floats) > 0 {
		a.Floats = make([]float32, len(floats)/4)
		getFloat32s(a.Floats, floats)
	}
	if a.Type == AttrUndefined {
		a.Type = a.guessType()
	}
	return a, err
}

// guessType returns the type of an attribute from before IR version 2, which had no type field: the type of the
// field that is set.
func (a *Attribute) guessType() AttributeType {
	switch {
	case a.T != nil:
		return AttrTensor
	case a.G != nil:
		return AttrGraph
	case a.S != nil:
		return AttrString
	case a.Floats != nil:
		return AttrFloats
	case a.Ints != nil:
		return AttrInts
	case a.Strings != nil:
		return AttrStrings
	case a.Tensors != nil:
		return AttrTensors
	case a.Graphs != nil:
		return AttrGraphs
	case a.F != 0:
		return AttrFloat
	case a.I != 0:
		return AttrInt
	}
	return AttrUndefined
}

func (p *parser) tensor(b []byte) (*Tensor, error) {
	t := &Tensor{wire: wire{src: b}}
	location := int64(0)
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return addInts(f, &t.Dims)
		case 2:
			t.Type = DataType(f.u)
			return f.want(protowire.VarintType)
		case 4:
			return f.addFixed(&t.FloatData, protowire.Fixed32Type, 4)
		case 5:
			return addInts(f, &t.Int32Data)
		case 6:
			return f.addBytes(&t.StringData)
		case 7:
			return addInts(f, &t.Int64Data)
		case 8:
			return f.str(&t.Name)
		case 9:
			t.HasRaw = true
			return f.bytes(&t.Raw)
		case 10:
			return f.addFixed(&t.DoubleData, protowire.Fixed64Type, 8)
		case 11:
			return addInts(f, &t.Uint64Data)
		case 12:
			return f.str(&t.Doc)
		case 13:
			return sub(f, "external_data", &t.External, p.entry)
		case 14:
			return f.int(&location)
		}
		t.rest = append(t.rest, f.raw...)
		return nil
	})
	if location == 1 {
		t.IsExternal = true
		t.externalErr = formatErrorf(t.where(), "data stand in another file, which was not opened")
	}
	return t, err
}

func (p *parser) valueInfo(b []byte) (*ValueInfo, error) {
	v := &ValueInfo{wire: wire{src: b}}
	return v, eachField(b, func(f field) error {
		switch {
		case f.num == 1:
			return f.str(&v.Name)
		case f.num == 2 && isTensorType(f.b):
			return one(f, "type", &v.Type, p.tensorType)
		case f.num == 3:
			return f.str(&v.Doc)
		}
		v.rest = append(v.rest, f.raw...)
		return nil
	})
}

// isTensorType reports whether the TypeProto b is a dense tensor's; sequences, maps, optionals and sparse
// tensors are kept as bytes.
func isTensorType(b []byte) bool {
	tensor := false
	err := eachField(b, func(f field) error {
		tensor = tensor || f.num == 1 && f.typ == protowire.BytesType
		return nil
	})
	return tensor && err == nil
}

func (p *parser) tensorType(b []byte) (*TensorType, error) {
	t := &TensorType{wire: wire{src: b}}
	return t, eachField(b, func(f field) error {
		if f.num != 1 {
			t.rest = append(t.rest, f.raw...)
			return nil
		}
		return eachField(f.b, func(f field) error {
			switch f.num {
			case 1:
				t.Elem = DataType(f.u)
				return f.want(protowire.VarintType)
			case 2:
				t.HasShape = true
				return p.shape(f, t)
			}
			return nil
		})
	})
}

func (p *parser) shape(f field, t *TensorType) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	return eachField(f.b, func(f field) error {
		if f.num != 1 {
			return nil
		}
		if err := f.want(protowire.BytesType); err != nil {
			return err
		}
		d := Dim{wire: wire{src: f.b}}
		err := eachField(f.b, func(f field) error {
			switch f.num {
			case 1:
				d.Known = true
				return f.int(&d.Value)
			case 2:
				return f.str(&d.Param)
			}
			d.rest = append(d.rest, f.raw...)
			return nil
		})
		t.Shape = append(t.Shape, d)
		return err
	})
}

func (p *parser) function(b []byte) (*Function, error) {
	fn := &Function{wire: wire{src: b}}
	return fn, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&fn.Name)
		case 4:
			return f.addStr(&fn.Inputs)
		case 5:
			return f.addStr(&fn.Outputs)
		case 6:
			return f.addStr(&fn.Attributes)
		case 7:
			return sub(f, "node", &fn.Nodes, p.node)
		case 8:
			return f.str(&fn.Doc)
		case 9:
			return sub(f, "opset_import", &fn.Opsets, p.opset)
		case 10:
			return f.str(&fn.Domain)
		case 11:
			return sub(f, "attribute", &fn.Defaults, p.attribute)
		case 12:
			return sub(f, "value_info", &fn.ValueInfo, p.valueInfo)
		case 13:
			return f.str(&fn.Overload)
		case 14:
			return sub(f, "metadata_props", &fn.Metadata, p.entry)
		}
		fn.rest = append(fn.rest, f.raw...)
		return nil
	})
}
