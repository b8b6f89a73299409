package onnxio

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"bq/internal/onnxpb"
)

// A decoder that protoc-gen-go made from ONNX's schema, which shares nothing with this package, must find the same in
// every model.
func TestIndependentDecoderAgrees(t *testing.T) {
	for _, path := range zooModels(t) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := agree(b); err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
	}
}

func TestIndependentDecoderAgreesOnCases(t *testing.T) {
	eachCase(t, func(name string, b []byte) {
		if err := agree(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
}

// conformanceModels is how many model files ONNX 1.22 has among its cases: 1,765 of nodes, 140 others, 9 light models.
const conformanceModels = 1914

// eachCase calls f with every model file of ONNX's own cases, or skips where they are absent.
func eachCase(t *testing.T, f func(name string, b []byte)) {
	t.Helper()
	archives, _ := filepath.Glob("../../shared/conformance/*.zip")
	if len(archives) == 0 {
		t.Skip("../shared/conformance is absent: ONNX's own cases are not tested")
	}
	models := 0
	for _, path := range archives {
		z, err := zip.OpenReader(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range z.File {
			if !strings.HasSuffix(entry.Name, ".onnx") {
				continue
			}
			models++
			f(entry.Name, readEntry(t, entry))
		}
		z.Close()
	}
	if models != conformanceModels {
		t.Errorf("../shared/conformance holds %d models, want %d", models, conformanceModels)
	}
}

func readEntry(t *testing.T, entry *zip.File) []byte {
	t.Helper()
	r, err := entry.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// agree decodes b both ways and compares what both interpret; then it encodes every message anew from its fields,
// nothing copied but what is not interpreted, and the independent decoder must see the same model in that, in all its
// fields and unknown ones.
func agree(b []byte) error {
	var p onnxpb.ModelProto
	if err := proto.Unmarshal(b, &p); err != nil {
		return err
	}
	m, err := Parse(b)
	if err != nil {
		return err
	}
	c := &comparison{}
	c.equal("ir_version", m.IRVersion, p.GetIrVersion())
	c.equal("producer", m.ProducerName+m.ProducerVersion, p.GetProducerName()+p.GetProducerVersion())
	c.equal("domain", m.Domain, p.GetDomain())
	c.equal("version", m.ModelVersion, p.GetModelVersion())
	c.equal("doc", m.Doc, p.GetDocString())
	c.opsets("opset_import", m.Opsets, p.OpsetImport)
	c.entries("metadata", m.Metadata, p.MetadataProps)
	c.graph("graph", m.Graph, p.Graph)
	if c.count("functions", len(m.Functions), len(p.Functions)) {
		for i, f := range m.Functions {
			c.function(fmt.Sprintf("function %d", i), f, p.Functions[i])
		}
	}
	if c.err != nil {
		return c.err
	}
	var again onnxpb.ModelProto
	if err := proto.Unmarshal(anew(m), &again); err != nil {
		return fmt.Errorf("encoded anew: %w", err)
	}
	dropDefaults(p.ProtoReflect())
	dropDefaults(again.ProtoReflect())
	if !proto.Equal(&p, &again) {
		return errors.New("encoded anew, the independent decoder sees another model")
	}
	return nil
}

// anew encodes every message of m from its fields.
func anew(m message) []byte {
	e := &encoder{plain: true}
	m.encode(e)
	return bytes.Join(e.finish(), nil)
}

// dropDefaults clears singular fields that hold their default, which say the same as absent ones.
func dropDefaults(m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsList() && fd.Message() != nil:
			for i := range v.List().Len() {
				dropDefaults(v.List().Get(i).Message())
			}
		case fd.IsList():
		case fd.Message() != nil:
			dropDefaults(v.Message())
		case v.Equal(fd.Default()) && fd.ContainingOneof() == nil:
			m.Clear(fd)
		}
		return true
	})
}

// comparison keeps the first difference.
type comparison struct{ err error }

func (c *comparison) equal(where string, a, b any) {
	if c.err == nil && a != b {
		c.err = fmt.Errorf("%s: %v, the independent decoder has %v", where, a, b)
	}
}

func (c *comparison) count(where string, a, b int) bool {
	c.equal(where, a, b)
	return c.err == nil
}

func (c *comparison) list(where string, a, b []string) {
	if !slices.Equal(a, b) {
		c.equal(where, fmt.Sprint(a), fmt.Sprint(b))
	}
}

func (c *comparison) opsets(where string, a []*Opset, b []*onnxpb.OperatorSetIdProto) {
	for i := range min(len(a), len(b)) {
		c.equal(where, a[i].Domain, b[i].GetDomain())
		c.equal(where, a[i].Version, b[i].GetVersion())
	}
	c.count(where, len(a), len(b))
}

func (c *comparison) entries(where string, a []*StringEntry, b []*onnxpb.StringStringEntryProto) {
	for i := range min(len(a), len(b)) {
		c.equal(where, a[i].Key+"="+a[i].Value, b[i].GetKey()+"="+b[i].GetValue())
	}
	c.count(where, len(a), len(b))
}

func (c *comparison) graph(where string, a *Graph, b *onnxpb.GraphProto) {
	c.equal(where+" name", a.Name+a.Doc, b.GetName()+b.GetDocString())
	c.nodes(where, a.Nodes, b.Node)
	if c.count(where+" initializers", len(a.Initializers), len(b.Initializer)) {
		for i, t := range a.Initializers {
			c.tensor(fmt.Sprintf("%s initializer %d", where, i), t, b.Initializer[i])
		}
	}
	c.values(where+" inputs", a.Inputs, b.Input)
	c.values(where+" outputs", a.Outputs, b.Output)
	c.values(where+" value_info", a.ValueInfo, b.ValueInfo)
}

func (c *comparison) nodes(where string, a []*Node, b []*onnxpb.NodeProto) {
	if !c.count(where+" nodes", len(a), len(b)) {
		return
	}
	for i, n := range a {
		p, at := b[i], fmt.Sprintf("%s node %d", where, i)
		c.list(at, []string{n.Name, n.OpType, n.Domain, n.Overload, n.Doc}, []string{p.GetName(), p.GetOpType(), p.GetDomain(), p.GetOverload(), p.GetDocString()})
		c.list(at+" inputs", n.Inputs, p.Input)
		c.list(at+" outputs", n.Outputs, p.Output)
		c.attributes(at, n.Attributes, p.Attribute)
		c.entries(at+" metadata", n.Metadata, p.MetadataProps)
	}
}

func (c *comparison) attributes(where string, a []*Attribute, b []*onnxpb.AttributeProto) {
	if !c.count(where+" attributes", len(a), len(b)) {
		return
	}
	for i, x := range a {
		p, at := b[i], fmt.Sprintf("%s attribute %d", where, i)
		c.list(at, []string{x.Name, x.RefName, x.Doc, string(x.S)}, []string{p.GetName(), p.GetRefAttrName(), p.GetDocString(), string(p.GetS())})
		if p.GetType() != 0 {
			c.equal(at+" type", int32(x.Type), int32(p.GetType()))
		}
		c.equal(at+" f", math.Float32bits(x.F), math.Float32bits(p.GetF()))
		c.equal(at+" i", x.I, p.GetI())
		c.equal(at+" ints", fmt.Sprint(x.Ints), fmt.Sprint(p.Ints))
		c.equal(at+" floats", fmt.Sprint(x.Floats), fmt.Sprint(p.Floats))
		c.equal(at+" strings", fmt.Sprintf("%q", x.Strings), fmt.Sprintf("%q", p.Strings))
		c.nested(at, x, p)
	}
}

// nested compares the tensors and graphs of an attribute.
func (c *comparison) nested(at string, a *Attribute, b *onnxpb.AttributeProto) {
	c.equal(at+" has tensor", a.T != nil, b.T != nil)
	c.equal(at+" has graph", a.G != nil, b.G != nil)
	c.count(at+" tensors", len(a.Tensors), len(b.Tensors))
	c.count(at+" graphs", len(a.Graphs), len(b.Graphs))
	if c.err != nil {
		return
	}
	if a.T != nil {
		c.tensor(at, a.T, b.T)
	}
	if a.G != nil {
		c.graph(at, a.G, b.G)
	}
	for i, t := range a.Tensors {
		c.tensor(fmt.Sprintf("%s tensor %d", at, i), t, b.Tensors[i])
	}
	for i, g := range a.Graphs {
		c.graph(fmt.Sprintf("%s graph %d", at, i), g, b.Graphs[i])
	}
}

func (c *comparison) tensor(where string, a *Tensor, b *onnxpb.TensorProto) {
	c.equal(where, a.Name+a.Doc, b.GetName()+b.GetDocString())
	c.equal(where+" type", int32(a.Type), b.GetDataType())
	c.equal(where+" dims", fmt.Sprint(a.Dims), fmt.Sprint(b.Dims))
	c.equal(where+" external", a.IsExternal, b.GetDataLocation() == onnxpb.TensorProto_EXTERNAL)
	c.entries(where+" external data", a.External, b.ExternalData)
	if !a.IsExternal {
		c.equal(where+" raw", bytes.Equal(a.Raw, b.RawData), true)
	}
	floats := make([]float32, len(a.FloatData)/4)
	getFloat32s(floats, a.FloatData)
	c.equal(where+" float_data", equalBits(floats, b.FloatData), true)
	var doubles []byte
	for _, v := range b.DoubleData {
		doubles = binary.LittleEndian.AppendUint64(doubles, math.Float64bits(v))
	}
	c.equal(where+" double_data", bytes.Equal(a.DoubleData, doubles), true)
	c.equal(where+" int32_data", equalVarints(a.Int32Data, b.Int32Data), true)
	c.equal(where+" int64_data", equalVarints(a.Int64Data, b.Int64Data), true)
	c.equal(where+" uint64_data", equalVarints(a.Uint64Data, b.Uint64Data), true)
	c.equal(where+" string_data", fmt.Sprintf("%q", a.StringData), fmt.Sprintf("%q", b.StringData))
}

// equalVarints compares varints, cut to the type, with values.
func equalVarints[T int32 | int64 | uint64](a []byte, b []T) bool {
	same := countVarints(a) == len(b)
	eachVarint(a, func(i int, v uint64) { same = same && T(v) == b[i] })
	return same
}

func equalBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

func (c *comparison) values(where string, a []*ValueInfo, b []*onnxpb.ValueInfoProto) {
	if !c.count(where, len(a), len(b)) {
		return
	}
	for i, v := range a {
		p, at := b[i], fmt.Sprintf("%s %d", where, i)
		c.equal(at, v.Name+v.Doc, p.GetName()+p.GetDocString())
		t := p.GetType().GetTensorType()
		c.equal(at+" is a tensor", v.Type != nil, t != nil)
		if c.err != nil || t == nil {
			continue
		}
		c.equal(at+" type", int32(v.Type.Elem), t.GetElemType())
		c.equal(at+" has shape", v.Type.HasShape, t.Shape != nil)
		if c.count(at+" rank", len(v.Type.Shape), len(t.GetShape().GetDim())) {
			for k, d := range v.Type.Shape {
				pd := t.Shape.Dim[k]
				c.equal(at+" dimension", d.Value, pd.GetDimValue())
				c.equal(at+" symbol", d.Param, pd.GetDimParam())
			}
		}
	}
}

func (c *comparison) function(where string, a *Function, b *onnxpb.FunctionProto) {
	c.list(where, []string{a.Name, a.Domain, a.Overload, a.Doc}, []string{b.GetName(), b.GetDomain(), b.GetOverload(), b.GetDocString()})
	c.list(where+" inputs", a.Inputs, b.Input)
	c.list(where+" outputs", a.Outputs, b.Output)
	c.list(where+" attributes", a.Attributes, b.Attribute)
	c.attributes(where, a.Defaults, b.AttributeProto)
	c.opsets(where, a.Opsets, b.OpsetImport)
	c.nodes(where, a.Nodes, b.Node)
	c.values(where, a.ValueInfo, b.ValueInfo)
	c.entries(where+" metadata", a.Metadata, b.MetadataProps)
}
