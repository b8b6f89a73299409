package onnxgo

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"bq/internal/infer"
	"bq/onnxio"
)

// run decodes a model by Decode, runs it on x and returns its first output.
func run(t *testing.T, m *onnxio.Model, feeds map[string]*onnxio.Array) *onnxio.Array {
	t.Helper()
	d, err := Decode(m.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	p, err := infer.Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	outs, err := p.Run(feeds, nil)
	if err != nil {
		t.Fatal(err)
	}
	return outs[m.Graph.Outputs[0].Name]
}

func TestOperands(t *testing.T) {
	x, y := onnxio.Floats([]float32{1, -2, 3}, 3), onnxio.Floats([]float32{5, 7, -1}, 3)
	for _, c := range []struct {
		name  string
		nodes []*onnxio.Node
		want  []float32
	}{
		{"one value twice", []*onnxio.Node{node("Mul", "x x", "z")}, []float32{1, 4, 9}},
		{"order", []*onnxio.Node{node("Sub", "y x", "z")}, []float32{4, 9, -4}},
		{"three times", []*onnxio.Node{node("Sum", "x y x x", "z")}, []float32{8, 1, 8}},
		{"twice in a row", []*onnxio.Node{node("Sub", "x y", "a"), node("Mul", "a a", "z")}, []float32{16, 81, 16}},
		{"the same node twice", []*onnxio.Node{node("Mul", "x x", "a"), node("Mul", "x x", "b"), node("Add", "a b", "z")}, []float32{2, 8, 18}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := modelOf("x y", []int64{3}, "z", c.nodes...)
			got := run(t, m, map[string]*onnxio.Array{"x": x, "y": y})
			if !reflect.DeepEqual(got.F32(), c.want) {
				t.Errorf("got %v, want %v", got.F32(), c.want)
			}
		})
	}
}

// By hand, on the image 1..9: channel 0 sums a value and its lower right neighbour plus 0.5
// (6.5, 8.5, 12.5, 14.5, mean 10.5), channel 1 is 4 minus the value, rectified (3, 2, 0, 0, mean 1.25).
func TestCNN(t *testing.T) {
	x := onnxio.Floats([]float32{1, 2, 3, 4, 5, 6, 7, 8, 9}, 1, 1, 3, 3)
	got := run(t, cnn(), map[string]*onnxio.Array{"x": x})
	if want := []float32{10.5, 1.25}; !reflect.DeepEqual(got.F32(), want) || !reflect.DeepEqual(got.Shape, []int{1, 2}) {
		t.Errorf("got %v %v, want %v", got.Shape, got.F32(), want)
	}
}

// TestKept checks that all the engine needs comes out as it went in.
func TestKept(t *testing.T) {
	scalar := onnxio.NewTensor("s", &onnxio.Array{Type: onnxio.Int64, Shape: []int{}, Data: []int64{-3}})
	attrs := []*onnxio.Attribute{
		{Name: "a", Type: onnxio.AttrFloat, F: float32(math.Inf(-1))},
		{Name: "b", Type: onnxio.AttrInt, I: math.MinInt64},
		{Name: "c", Type: onnxio.AttrString, S: []byte("text\xff")},
		{Name: "d", Type: onnxio.AttrFloats, Floats: []float32{1.5, -2}},
		{Name: "e", Type: onnxio.AttrInts, Ints: []int64{7, -7}},
		{Name: "f", Type: onnxio.AttrStrings, Strings: [][]byte{[]byte("p"), {}}},
		{Name: "g", Type: onnxio.AttrTensor, T: constant("", []float32{1, 2, 3, 4}, 2, 2)},
		{Name: "h", Type: onnxio.AttrTensor, T: onnxio.NewTensor("", &onnxio.Array{Type: onnxio.Double, Shape: []int{1}, Data: []float64{0.1}})},
		{Name: "i", Type: onnxio.AttrTensor, T: onnxio.NewTensor("", &onnxio.Array{Type: onnxio.Int32, Shape: []int{2}, Data: []int32{-1, 1}})},
		{Name: "j", Type: onnxio.AttrInts},
	}
	n := node("Anything", "x _ w x", "_ p", attrs...)
	n.Name, n.Domain = "first", "some.domain"
	m := modelOf("w x y", []int64{-1, 4}, "z p", n, node("Constant", "", "k"), node("Constant", "", "l"), node("Add", "y k", "z"))
	m.Opsets = append(m.Opsets, &onnxio.Opset{Domain: "some.domain", Version: 3})
	m.Graph.Initializers = []*onnxio.Tensor{constant("w", []float32{float32(math.Inf(1)), 0}, 2, 1), constant("one", []float32{5}, 1), scalar}
	m.Graph.ValueInfo = []*onnxio.ValueInfo{declare("k", onnxio.Float), declare("x", onnxio.Float, 4), declare("spare", onnxio.Bool, 2)}

	got, err := Decode(m.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want, err := onnxio.Parse(m.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want.Graph.Name, want.Graph.ValueInfo = "onnx-go", nil
	want.Graph.Inputs = want.Graph.FeedInputs()
	normalize(got)
	normalize(want)
	if g, w := dump(got), dump(want); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

// dump writes what a model says, wire bytes left out.
func dump(m *onnxio.Model) string {
	var s strings.Builder
	fmt.Fprintln(&s, m.IRVersion, m.Graph.Name)
	for _, o := range m.Opsets {
		fmt.Fprintf(&s, "opset %q %d\n", o.Domain, o.Version)
	}
	for kind, list := range [][]*onnxio.ValueInfo{m.Graph.Inputs, m.Graph.Outputs, m.Graph.ValueInfo} {
		for _, v := range list {
			fmt.Fprintf(&s, "value %d %q", kind, v.Name)
			if v.Type != nil {
				fmt.Fprint(&s, " ", v.Type.Elem, v.Type.HasShape)
				for _, d := range v.Type.Shape {
					fmt.Fprintf(&s, " %d/%v/%q", d.Value, d.Known, d.Param)
				}
			}
			fmt.Fprintln(&s)
		}
	}
	for _, t := range m.Graph.Initializers {
		fmt.Fprintf(&s, "tensor %q %s\n", t.Name, content(t))
	}
	for _, n := range m.Graph.Nodes {
		fmt.Fprintf(&s, "node %q %q %q %q %q\n", n.Name, n.Domain, n.OpType, n.Inputs, n.Outputs)
		for _, a := range n.Attributes {
			fmt.Fprintf(&s, "  %q %d %v %d %q %v %v %q", a.Name, a.Type, a.F, a.I, a.S, a.Floats, a.Ints, a.Strings)
			if a.T != nil {
				fmt.Fprint(&s, " ", content(a.T))
			}
			fmt.Fprintln(&s)
		}
	}
	return s.String()
}

// content writes type, dimensions and the SHA-256 of the elements of a tensor.
func content(t *onnxio.Tensor) string {
	raw, err := t.RawBytes()
	return fmt.Sprintf("%v %v %x %v", t.Type, t.Dims, sha256.Sum256(raw), err)
}

func TestUnsupported(t *testing.T) {
	relu := func(attrs ...*onnxio.Attribute) *onnxio.Model {
		return modelOf("x", []int64{2}, "y", node("Relu", "x", "y", attrs...))
	}
	with := func(ts ...*onnxio.Tensor) *onnxio.Model {
		m := relu()
		m.Graph.Initializers = ts
		return m
	}
	typed := func(dt onnxio.DataType) *onnxio.Model {
		return with(onnxio.NewTensor("w", onnxio.NewArray(dt, 2)))
	}
	external := constant("w", []float32{1, 2}, 2)
	external.IsExternal, external.External = true, []*onnxio.StringEntry{{Key: "location", Value: "w.bin"}}
	input := func(elem onnxio.DataType, dims ...int64) *onnxio.Model {
		m := relu()
		m.Graph.Inputs[0] = declare("x", elem, dims...)
		return m
	}
	functions := relu()
	functions.Functions = []*onnxio.Function{{Name: "f"}}
	for _, c := range []struct {
		name  string
		model *onnxio.Model
		want  string // words of the message
	}{
		{"int8", typed(onnxio.Int8), `graph.initializer "w": holds int8`},
		{"uint8", typed(onnxio.Uint8), `graph.initializer "w": holds uint8`},
		{"float16", typed(onnxio.Float16), `graph.initializer "w": holds float16`},
		{"bfloat16", typed(onnxio.BFloat16), `graph.initializer "w": holds bfloat16`},
		{"bool", typed(onnxio.Bool), `graph.initializer "w": holds bool`},
		{"string", typed(onnxio.String), `graph.initializer "w": holds string`},
		{"empty", with(constant("w", nil, 2, 0)), `graph.initializer "w": is empty ([2 0])`},
		{"external", with(external), `graph.initializer "w": holds external data`},
		{"subgraph", relu(&onnxio.Attribute{Name: "body", Type: onnxio.AttrGraph, G: &onnxio.Graph{}}), `graph.node[0] "" (Relu): attribute "body": holds a subgraph`},
		{"tensor attribute", relu(&onnxio.Attribute{Name: "t", Type: onnxio.AttrTensor, T: onnxio.NewTensor("q", onnxio.NewArray(onnxio.Int8, 1))}),
			`graph.node[0] "" (Relu): attribute "t": tensor "q": holds int8`},
		{"functions", functions, `model: holds functions`},
		{"float16 input", input(onnxio.Float16, 2), `graph.input "x": has element type float16`},
		{"undefined input", input(onnxio.Undefined, 2), `graph.input "x": has element type undefined`},
		{"huge input", input(onnxio.Float, 1<<20, 1<<19), `graph.input "x": brings the declared values`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Decode(c.model.Bytes())
			var e *onnxio.UnsupportedError
			if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), c.want) || !strings.Contains(err.Error(), "onnx-go") {
				t.Errorf("got %v (%T), want %s", err, err, c.want)
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	short := constant("w", []float32{1, 2}, 2)
	short.Dims = []int64{3}
	many := constant("w", []float32{1, 2}, 1)
	many.Dims = []int64{1}
	negative := constant("w", []float32{1}, 1)
	negative.Dims = []int64{-1}
	vast := constant("w", nil, 0)
	vast.Dims = []int64{1 << 39}
	typed := &onnxio.Tensor{Name: "w", Type: onnxio.Float, Dims: []int64{1}, FloatData: make([]byte, 20)}
	for name, w := range map[string]*onnxio.Tensor{"short": short, "many": many, "negative": negative, "vast": vast, "typed": typed} {
		m := modelOf("x", []int64{2}, "y", node("Add", "x w", "y"))
		m.Graph.Initializers = []*onnxio.Tensor{w}
		_, err := Decode(m.Bytes())
		var f *onnxio.FormatError
		var u *onnxio.UnsupportedError
		if !errors.As(err, &f) && !(name == "typed" && errors.As(err, &u)) || !strings.Contains(err.Error(), `"w"`) {
			t.Errorf("%s: %v (%T)", name, err, err)
		}
	}
	twice := append(cnn().Bytes(), cnn().Bytes()...)
	nodeless := cnn()
	nodeless.Graph.Nodes = nil
	outputless := modelOf("x", []int64{2}, "y", node("Relu", "x", "y"), node("Relu", "x", ""))
	for name, b := range map[string][]byte{"nothing": nil, "text": []byte("no model"), "cut": cnn().Bytes()[:100],
		"two graphs": twice, "no nodes": nodeless.Bytes(), "node without outputs": outputless.Bytes()} {
		_, err := Decode(b)
		var f *onnxio.FormatError
		if !errors.As(err, &f) {
			t.Errorf("%s: %v (%T), want a FormatError", name, err, err)
		}
	}
}

// flips is the number of corrupted models tried: enough for each of a small model's bits several times.
const flips = 20000

func TestCorrupt(t *testing.T) {
	m := cnn()
	m.Graph.Nodes = append(m.Graph.Nodes, node("Constant", "", "k", &onnxio.Attribute{Name: "value", Type: onnxio.AttrTensor, T: constant("", []float32{1}, 1)}))
	good := m.Bytes()
	r := rand.New(rand.NewPCG(1, 2))
	decoded := 0
	for i := range flips {
		b := append([]byte{}, good...)
		for range 1 + i%3 {
			bit := r.IntN(8 * len(b))
			b[bit/8] ^= 1 << (bit % 8)
		}
		if i%5 == 0 {
			b = b[:r.IntN(len(b))]
		}
		_, err := Decode(b)
		var f *onnxio.FormatError
		var u *onnxio.UnsupportedError
		switch {
		case err == nil:
			decoded++
		case !errors.As(err, &f) && !errors.As(err, &u):
			t.Fatalf("model %x: %v (%T)", b, err, err)
		}
	}
	if decoded == 0 || decoded == flips {
		t.Errorf("%d of %d corrupt models decoded: the test tries nothing", decoded, flips)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(cnn().Bytes())
	f.Add(modelOf("x", []int64{2}, "y", node("Mul", "x x", "y")).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err == nil && m.Graph == nil {
			t.Error("neither model nor error")
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	m := modelOf("x", []int64{1, 1024}, "y", node("MatMul", "x w", "y"))
	m.Graph.Initializers = []*onnxio.Tensor{constant("w", make([]float32, 1<<20), 1024, 1024)}
	data := m.Bytes()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}
