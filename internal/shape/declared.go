package shape

import (
	"google.golang.org/protobuf/encoding/protowire"

	"bq/onnxio"
)

// Field numbers of onnx.proto that lead to a TypeProto and through it.
const (
	modelGraph    = 7
	graphNode     = 1
	graphInput    = 11
	nodeAttribute = 5
	attributeType = 14
	valueType     = 2
	typeTensor    = 1
	typeSequence  = 4
	typeMap       = 5
	typeSparse    = 8
	typeOptional  = 9
	tensorElem    = 1
	tensorShape   = 2
	shapeDim      = 1
	dimValue      = 1
	dimParam      = 2
	mapKey        = 1
	mapValue      = 2
	sequenceElem  = 1
	sparseInGraph = 15
	sparseValues  = 1
	sparseDims    = 3
)

// noName is what some exporters write for every dimension that they don't know: it is no symbol.
const noName = "?"

// declared returns what the model says of a value.
func (x *inference) declared(v *onnxio.ValueInfo) Info {
	if v.Type == nil {
		return x.typeOfValue(v)
	}
	i := Info{Kind: Tensor, Type: v.Type.Elem, Ranked: v.Type.HasShape && len(v.Type.Shape) <= maxRank}
	for k := 0; i.Ranked && k < len(v.Type.Shape); k++ {
		d := v.Type.Shape[k]
		i.Shape = append(i.Shape, x.declaredDim(d.Value, d.Known, d.Param))
	}
	return i
}

func (x *inference) declaredDim(n int64, known bool, param string) Dim {
	if known && n >= 0 && n <= maxSize {
		return Size(n)
	}
	if !known && param != "" && param != noName {
		if n, ok := x.bound[param]; ok {
			return Size(int64(n))
		}
		if x.loops > 0 { // not the same number in every step
			return x.size()
		}
		return Symbol(param)
	}
	return x.size()
}

// typeOfValue reads the type of a value that is no dense tensor, which onnxio keeps as bytes: a model of nothing but this
// value is encoded to get at them.
func (x *inference) typeOfValue(v *onnxio.ValueInfo) Info {
	m := &onnxio.Model{Graph: &onnxio.Graph{Inputs: []*onnxio.ValueInfo{v}}}
	return x.typeProto(first(first(first(m.Bytes(), modelGraph), graphInput), valueType), 0)
}

// typeOfAttribute reads the TypeProto of an attribute.
func (x *inference) typeOfAttribute(a *onnxio.Attribute) Info {
	n := &onnxio.Node{Attributes: []*onnxio.Attribute{a}}
	m := &onnxio.Model{Graph: &onnxio.Graph{Nodes: []*onnxio.Node{n}}}
	return x.typeProto(first(first(first(first(m.Bytes(), modelGraph), graphNode), nodeAttribute), attributeType), 0)
}

// sparse returns the sparse initializers of a graph, by the names of their values.
func (x *inference) sparse(g *onnxio.Graph) map[string]Info {
	bare := *g
	bare.Nodes, bare.Initializers, bare.Inputs, bare.Outputs, bare.ValueInfo = nil, nil, nil, nil, nil
	m := &onnxio.Model{Graph: &bare}
	list := map[string]Info{}
	eachField(first(m.Bytes(), modelGraph), func(num protowire.Number, b []byte, _ uint64) {
		if num != sparseInGraph {
			return
		}
		t, err := onnxio.ParseTensor(first(b, sparseValues))
		if err != nil {
			return
		}
		i := Info{Kind: Tensor, Type: t.Type, Ranked: true}
		eachInt(b, sparseDims, func(n int64) {
			if len(i.Shape) <= maxRank {
				i.Shape = append(i.Shape, x.declaredDim(n, true, ""))
			}
		})
		if len(i.Shape) > maxRank {
			i.Ranked, i.Shape = false, nil
		}
		list[t.Name] = i
	})
	return list
}

func (x *inference) typeProto(b []byte, depth int) (i Info) {
	if depth > maxNesting {
		return Info{}
	}
	eachField(b, func(num protowire.Number, b []byte, _ uint64) {
		switch num {
		case typeTensor, typeSparse:
			if i = x.tensorProto(b); num == typeSparse {
				i.Kind = SparseTensor
			}
		case typeSequence, typeOptional:
			e := x.typeProto(first(b, sequenceElem), depth+1)
			i = Info{Kind: Sequence, Elem: &e}
			if num == typeOptional {
				i.Kind = Optional
			}
		case typeMap:
			e := x.typeProto(first(b, mapValue), depth+1)
			i = Info{Kind: Map, Elem: &e}
			eachInt(b, mapKey, func(n int64) { i.Type = onnxio.DataType(n) })
		}
	})
	return i
}

func (x *inference) tensorProto(b []byte) Info {
	i := Info{Kind: Tensor}
	eachInt(b, tensorElem, func(n int64) { i.Type = onnxio.DataType(n) })
	eachField(b, func(num protowire.Number, b []byte, _ uint64) {
		if num != tensorShape {
			return
		}
		i.Ranked = true
		eachField(b, func(num protowire.Number, b []byte, _ uint64) {
			if num != shapeDim || len(i.Shape) > maxRank {
				return
			}
			n, known := int64(0), false
			eachInt(b, dimValue, func(v int64) { n, known = v, true })
			i.Shape = append(i.Shape, x.declaredDim(n, known, string(first(b, dimParam))))
		})
	})
	if len(i.Shape) > maxRank {
		i.Ranked, i.Shape = false, nil
	}
	return i
}

// first returns the contents of the first length-delimited field of that number, nil where there is none.
func first(b []byte, want protowire.Number) (found []byte) {
	eachField(b, func(num protowire.Number, b []byte, _ uint64) {
		if num == want && found == nil && b != nil {
			found = b
		}
	})
	return found
}

// eachInt calls f with the values of a varint field, packed or not.
func eachInt(b []byte, want protowire.Number, f func(int64)) {
	eachField(b, func(num protowire.Number, b []byte, u uint64) {
		switch {
		case num != want:
		case b == nil:
			f(int64(u))
		default:
			for len(b) > 0 {
				v, n := protowire.ConsumeVarint(b)
				if n < 0 {
					return
				}
				f(int64(v))
				b = b[n:]
			}
		}
	})
}

// eachField calls f with every varint and length-delimited field of a message, up to the first byte that is malformed.
func eachField(b []byte, f func(num protowire.Number, b []byte, u uint64)) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		b = b[n:]
		size := protowire.ConsumeFieldValue(num, typ, b)
		if size < 0 {
			return
		}
		switch typ {
		case protowire.BytesType:
			v, _ := protowire.ConsumeBytes(b)
			f(num, v[:len(v):len(v)], 0)
		case protowire.VarintType:
			v, _ := protowire.ConsumeVarint(b)
			f(num, nil, v)
		}
		b = b[size:]
	}
}
