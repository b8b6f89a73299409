package onnxio

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// zooModels lists the real model files beside the project, or skips where they are absent.
func zooModels(t testing.TB) []string {
	t.Helper()
	if _, err := os.Stat("../../shared/zoo"); err != nil {
		t.Skip("../shared/zoo is absent: real models are not tested")
	}
	var all []string
	for _, dir := range []string{"models", "negative"} {
		list, _ := filepath.Glob("../../shared/zoo/" + dir + "/*.onnx")
		all = append(all, list...)
	}
	if len(all) == 0 {
		t.Fatal("../shared/zoo holds no model")
	}
	return all
}

func TestUnchangedModelIsWrittenByteForByte(t *testing.T) {
	for _, path := range zooModels(t) {
		f, err := Open(path)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if got := f.Model.Bytes(); !bytes.Equal(got, f.Bytes) {
			t.Errorf("%s: rewritten as %d bytes, was %d", path, len(got), len(f.Bytes))
		}
		if got := f.Model.Size(); got != int64(len(f.Bytes)) {
			t.Errorf("%s: Size() = %d, want %d", path, got, len(f.Bytes))
		}
		f.Close()
	}
}

func TestConformanceModelsAreWrittenByteForByte(t *testing.T) {
	eachCase(t, func(name string, b []byte) {
		m, err := Parse(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !bytes.Equal(m.Bytes(), b) {
			t.Errorf("%s: not written back byte for byte", name)
		}
	})
}

// tiny is a model by hand: Y = Relu(X + B), with an unknown field 99 in the node and explicit zero version.
func tiny() *Model {
	return &Model{
		IRVersion: 8,
		Opsets:    []*Opset{{Version: 13}},
		Graph: &Graph{
			Name: "g",
			Nodes: []*Node{
				{Name: "add", OpType: "Add", Inputs: []string{"X", "B"}, Outputs: []string{"S"}},
				{Name: "relu", OpType: "Relu", Inputs: []string{"S"}, Outputs: []string{"Y"}},
			},
			Initializers: []*Tensor{NewTensor("B", Floats([]float32{1, 2}, 2))},
			Inputs:       []*ValueInfo{{Name: "X", Type: &TensorType{Elem: Float, HasShape: true, Shape: []Dim{{Param: "N"}, {Value: 2, Known: true}}}}},
			Outputs:      []*ValueInfo{{Name: "Y", Type: &TensorType{Elem: Float}}},
		},
	}
}

func TestChangingOneTensorChangesNothingElse(t *testing.T) {
	b := tiny().Bytes()
	m, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	relu := m.Graph.Nodes[1]
	relu.src = append(slices.Clone(relu.src), "\x9a\x06\x02hi"...) // field 99, bytes "hi"
	b = m.Bytes()
	if !bytes.Contains(b, []byte("\x9a\x06\x02hi")) {
		t.Fatal("the unknown field was not written")
	}
	if m, err = Parse(b); err != nil {
		t.Fatal(err)
	}
	m.Graph.Initializers[0].SetRaw(encodeRaw(Floats([]float32{3, 4}, 2)))
	got := m.Bytes()
	want := bytes.Replace(b, encodeRaw(Floats([]float32{1, 2}, 2)), encodeRaw(Floats([]float32{3, 4}, 2)), 1)
	if !bytes.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestTinyModelReadsBack(t *testing.T) {
	m, err := Parse(tiny().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Opset(""); got != 13 {
		t.Errorf("opset %d, want 13", got)
	}
	in := m.Graph.FeedInputs()[0]
	if in.Name != "X" || in.Type.Shape[0].Param != "N" || in.Type.Shape[0].Known || in.Type.Shape[1].Value != 2 {
		t.Errorf("input read back as %+v", in)
	}
	if m.Graph.Outputs[0].Type.HasShape {
		t.Error("output without a shape got one")
	}
	if got := m.Constants(); len(got) != 1 || got[0].Name != "B" || got[0].Node != nil {
		t.Errorf("constants %+v, want B alone", got)
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	whole := tiny().Bytes()
	badNode := bytes.Replace(whole, []byte("\x1a\x03add"), []byte("\x18\x03add"), 1) // name as a varint
	cases := []struct {
		name string
		b    []byte
		want string
	}{
		{"empty", nil, "empty file, want an ONNX model"},
		{"no graph", whole[:2], "no graph in 2 bytes"},
		{"truncated", whole[:len(whole)-1], "byte "},
		{"not protobuf", []byte("\x89PNG\r\n\x1a\n0000"), "wire type"},
		{"wrong wire type", badNode, `graph: node 0`},
	}
	for _, c := range cases {
		_, err := Parse(c.b)
		var fe *FormatError
		if !errors.As(err, &fe) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want a FormatError with %q", c.name, err, c.want)
		}
	}
}

func TestNestingIsLimited(t *testing.T) {
	g := &Graph{Name: "innermost"}
	for range maxDepth + 1 {
		g = &Graph{Nodes: []*Node{{OpType: "If", Outputs: []string{"y"}, Attributes: []*Attribute{{Name: "then_branch", Type: AttrGraph, G: g}}}}}
	}
	_, err := Parse((&Model{IRVersion: 8, Graph: g}).Bytes())
	if err == nil || !strings.Contains(err.Error(), "nested deeper than 64") {
		t.Errorf("error %v, want one about nesting", err)
	}
}

// Of a field that is given twice the last counts, also where the message is encoded anew.
func TestLastLocationCounts(t *testing.T) {
	for b, external := range map[string]bool{"\x70\x01\x70\x05": false, "\x70\x05\x70\x01": true, "\x70\x05\x70\x00": false} {
		x, err := ParseTensor([]byte(b))
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseTensor(anew(x))
		if err != nil || x.IsExternal != external || again.IsExternal != external || again.location != x.location {
			t.Errorf("%x: location %d, then %d: %v", b, x.location, again.location, err)
		}
	}
}
