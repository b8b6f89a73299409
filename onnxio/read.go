package onnxio

import (
	"cmp"
	"errors"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

func (p *parser) model(b []byte) (*Model, error) {
	m := &Model{wire: wire{src: b}}
	c := count(b)
	if err := cmp.Or(room(p, &m.Opsets, c[8]), room(p, &m.Metadata, c[14]), room(p, &m.Functions, c[25])); err != nil {
		return m, err
	}
	return m, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.int(&m.IRVersion)
		case 2:
			return p.str(f, &m.ProducerName)
		case 3:
			return p.str(f, &m.ProducerVersion)
		case 4:
			return p.str(f, &m.Domain)
		case 5:
			return f.int(&m.ModelVersion)
		case 6:
			return p.str(f, &m.Doc)
		case 7:
			return one(p, f, "graph", &m.Graph, p.graph)
		case 8:
			return sub(p, f, "opset_import", &m.Opsets, p.opset)
		case 14:
			return sub(p, f, "metadata_props", &m.Metadata, p.entry)
		case 25:
			return sub(p, f, "function", &m.Functions, p.function)
		}
		return nil
	})
}

func (p *parser) opset(b []byte) (*Opset, error) {
	o := &Opset{wire: wire{src: b}}
	return o, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return p.str(f, &o.Domain)
		case 2:
			return f.int(&o.Version)
		}
		return nil
	})
}

func (p *parser) entry(b []byte) (*StringEntry, error) {
	s := &StringEntry{wire: wire{src: b}}
	return s, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return p.str(f, &s.Key)
		case 2:
			return p.str(f, &s.Value)
		}
		return nil
	})
}

func (p *parser) graph(b []byte) (*Graph, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, formatErrorf("", "graphs nested deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	g := &Graph{wire: wire{src: b}}
	c := count(b)
	if err := cmp.Or(room(p, &g.Nodes, c[1]), room(p, &g.Initializers, c[5]), room(p, &g.Inputs, c[11]), room(p, &g.Outputs, c[12]), room(p, &g.ValueInfo, c[13])); err != nil {
		return g, err
	}
	return g, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return sub(p, f, "node", &g.Nodes, p.node)
		case 2:
			return p.str(f, &g.Name)
		case 5:
			return sub(p, f, "initializer", &g.Initializers, p.tensor)
		case 10:
			return p.str(f, &g.Doc)
		case 11:
			return sub(p, f, "input", &g.Inputs, p.valueInfo)
		case 12:
			return sub(p, f, "output", &g.Outputs, p.valueInfo)
		case 13:
			return sub(p, f, "value_info", &g.ValueInfo, p.valueInfo)
		}
		return nil
	})
}

func (p *parser) node(b []byte) (*Node, error) {
	n := &Node{wire: wire{src: b}}
	c := count(b)
	if err := cmp.Or(room(p, &n.Inputs, c[1]), room(p, &n.Outputs, c[2]), room(p, &n.Attributes, c[5]), room(p, &n.Metadata, c[9])); err != nil {
		return n, err
	}
	return n, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return p.addStr(f, &n.Inputs)
		case 2:
			return p.addStr(f, &n.Outputs)
		case 3:
			return p.str(f, &n.Name)
		case 4:
			return p.word(f, &n.OpType)
		case 5:
			return sub(p, f, "attribute", &n.Attributes, p.attribute)
		case 6:
			return p.str(f, &n.Doc)
		case 7:
			return p.word(f, &n.Domain)
		case 8:
			return p.str(f, &n.Overload)
		case 9:
			return sub(p, f, "metadata_props", &n.Metadata, p.entry)
		}
		return nil
	})
}

func (p *parser) attribute(b []byte) (*Attribute, error) {
	a := &Attribute{wire: wire{src: b}}
	c := count(b)
	if err := cmp.Or(room(p, &a.Floats, c[7]), room(p, &a.Ints, c[8]), room(p, &a.Strings, c[9]), room(p, &a.Tensors, c[10]), room(p, &a.Graphs, c[11])); err != nil {
		return a, err
	}
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return p.word(f, &a.Name)
		case 2:
			a.F = math.Float32frombits(uint32(f.u))
			return f.want(protowire.Fixed32Type)
		case 3:
			return f.int(&a.I)
		case 4:
			return f.bytes(&a.S)
		case 5:
			return one(p, f, "tensor", &a.T, p.tensor)
		case 6:
			return one(p, f, "graph", &a.G, p.graph)
		case 7:
			return p.addFloats(f, &a.Floats)
		case 8:
			return p.addInts(f, &a.Ints)
		case 9:
			return p.addBytes(f, &a.Strings)
		case 10:
			return sub(p, f, "tensor", &a.Tensors, p.tensor)
		case 11:
			return sub(p, f, "graph", &a.Graphs, p.graph)
		case 13:
			return p.str(f, &a.Doc)
		case 20:
			a.Type = AttributeType(f.u)
			return f.want(protowire.VarintType)
		case 21:
			return p.str(f, &a.RefName)
		}
		return nil
	})
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

// locationExternal is TensorProto.DataLocation EXTERNAL.
const locationExternal = 1

// externalCost is what opening external data takes for each tensor: its place in the file, or an error.
const externalCost = 256

var errNotOpened = errors.New("data stand in another file, which was not opened")

func (p *parser) tensor(b []byte) (*Tensor, error) {
	t := &Tensor{wire: wire{src: b}}
	c := count(b)
	if err := cmp.Or(room(p, &t.Dims, c[1]), room(p, &t.StringData, c[6]), room(p, &t.External, c[13])); err != nil {
		return t, err
	}
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return p.addInts(f, &t.Dims)
		case 2:
			t.Type = DataType(f.u)
			return f.want(protowire.VarintType)
		case 4:
			return p.addFixed(b, f, &t.FloatData, protowire.Fixed32Type, 4)
		case 5:
			return p.addVarints(b, f, &t.Int32Data)
		case 6:
			return p.addBytes(f, &t.StringData)
		case 7:
			return p.addVarints(b, f, &t.Int64Data)
		case 8:
			return p.str(f, &t.Name)
		case 9:
			t.HasRaw = true
			return f.bytes(&t.Raw)
		case 10:
			return p.addFixed(b, f, &t.DoubleData, protowire.Fixed64Type, 8)
		case 11:
			return p.addVarints(b, f, &t.Uint64Data)
		case 12:
			return p.str(f, &t.Doc)
		case 13:
			return sub(p, f, "external_data", &t.External, p.entry)
		case 14:
			t.location, t.IsExternal = f.u, f.u == locationExternal
			return cmp.Or(f.want(protowire.VarintType), p.charge(externalCost))
		}
		return nil
	})
	if t.IsExternal {
		t.externalErr = errNotOpened
	}
	return t, err
}

func (p *parser) valueInfo(b []byte) (*ValueInfo, error) {
	v := &ValueInfo{wire: wire{src: b}}
	return v, eachField(b, func(f field) error {
		switch {
		case f.num == 1:
			return p.str(f, &v.Name)
		case f.num == 2 && isTensorType(f.b):
			return one(p, f, "type", &v.Type, p.tensorType)
		case f.num == 3:
			return p.str(f, &v.Doc)
		}
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
			return nil
		}
		if err := f.want(protowire.BytesType); err != nil {
			return err
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
	c := count(f.b)
	if err := room(p, &t.Shape, c[1]); err != nil {
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
				return p.str(f, &d.Param)
			}
			return nil
		})
		t.Shape = append(t.Shape, d)
		return err
	})
}

func (p *parser) function(b []byte) (*Function, error) {
	fn := &Function{wire: wire{src: b}}
	c := count(b)
	if err := cmp.Or(room(p, &fn.Inputs, c[4]), room(p, &fn.Outputs, c[5]), room(p, &fn.Attributes, c[6]), room(p, &fn.Nodes, c[7]), room(p, &fn.Opsets, c[9]), room(p, &fn.Defaults, c[11]), room(p, &fn.ValueInfo, c[12]), room(p, &fn.Metadata, c[14])); err != nil {
		return fn, err
	}
	return fn, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return p.str(f, &fn.Name)
		case 4:
			return p.addStr(f, &fn.Inputs)
		case 5:
			return p.addStr(f, &fn.Outputs)
		case 6:
			return p.addStr(f, &fn.Attributes)
		case 7:
			return sub(p, f, "node", &fn.Nodes, p.node)
		case 8:
			return p.str(f, &fn.Doc)
		case 9:
			return sub(p, f, "opset_import", &fn.Opsets, p.opset)
		case 10:
			return p.str(f, &fn.Domain)
		case 11:
			return sub(p, f, "attribute", &fn.Defaults, p.attribute)
		case 12:
			return sub(p, f, "value_info", &fn.ValueInfo, p.valueInfo)
		case 13:
			return p.str(f, &fn.Overload)
		case 14:
			return sub(p, f, "metadata_props", &fn.Metadata, p.entry)
		}
		return nil
	})
}
