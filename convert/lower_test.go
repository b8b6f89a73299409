package convert

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"bq/internal/dataset"
	"bq/internal/infer"
	"bq/onnxio"
	"bq/packing"
)

// weighted is a model whose single weight reaches an output through Identity, so that its restored values can be read.
func weighted(opset, ir int64, op string, typ onnxio.DataType, shape []int, attributes ...*onnxio.Attribute) *builder {
	n := product(shape)
	w := normal(uint64(n), n)
	for i := range w { // rows of different size, one of them dead, and a zero point that is not in the middle
		row := i * shape[0] / n
		w[i] = onnxio.Round(typ, (w[i]+0.5)*float32(row%5)*0.25)
	}
	b := newBuilder(opset).constant("w", &onnxio.Array{Type: typ, Shape: shape, Data: w})
	b.m.IRVersion = ir
	b.m.Doc = strings.Repeat("documentation ", 200) // so that the container of so small a weight is not the larger file
	inputs := map[string][]string{
		"Conv": {"x", "w"}, "Gemm": {"x", "w"}, "MatMul": {"x", "w"}, "LSTM": {"x", "w", "r"}, "ConvTranspose": {"x", "w"},
	}[op]
	return b.node(op, inputs, "y", attributes...)
}

// Every form of every layout and operator set must restore the very values that packing decodes.
func TestFormsRestoreTheSameBits(t *testing.T) {
	cases := []struct {
		op     string
		shape  []int
		group  Group
		attrs  []*onnxio.Attribute
		method string
	}{
		{"Conv", []int{20, 4, 3, 3}, Group{}, nil, "affine"},
		{"Conv", []int{20, 4, 3, 3}, Group{}, nil, "lloyd"},
		{"Conv", []int{20, 4, 3, 3}, Group{PerTensor: true}, nil, "affine"},
		{"Conv", []int{20, 4, 3, 3}, Group{Block: 18}, nil, "affine"},
		{"Conv", []int{20, 4, 3, 3}, Group{Block: 16}, nil, "lloyd"}, // 36 elements per channel: the last block is short
		{"ConvTranspose", []int{20, 6, 2, 2}, Group{}, nil, "affine"},
		{"ConvTranspose", []int{20, 6, 2, 2}, Group{Block: 16}, nil, "affine"}, // blocks cross rows
		{"Gemm", []int{32, 20}, Group{}, nil, "affine"},
		{"Gemm", []int{32, 20}, Group{Block: 16}, nil, "lloyd"},
		{"Gemm", []int{20, 32}, Group{Block: 16}, []*onnxio.Attribute{intAttr("transB", 1)}, "affine"},
		{"MatMul", []int{32, 20}, Group{Block: 16}, nil, "affine"},
		{"LSTM", []int{2, 40, 16}, Group{}, nil, "affine"},
		{"LSTM", []int{1, 40, 17}, Group{}, nil, "lloyd"},
		{"MatMul", []int{20, 32}, Group{PerTensor: true}, nil, "paper"},
	}
	for _, opset := range []int64{8, 10, 13, 21} {
		for _, bits := range []int{1, 2, 5, 8} {
			for _, typ := range []onnxio.DataType{onnxio.Float, onnxio.Float16} {
				for _, c := range cases {
					name := fmt.Sprintf("%s %v %+v %s, opset %d, %d bits, %v", c.op, c.shape, c.group, c.method, opset, bits, typ)
					ir := int64(8)
					if opset == 8 {
						ir = 3
					}
					m, err := ParseMethod(c.method)
					if err != nil {
						t.Fatal(err)
					}
					f := weighted(opset, ir, c.op, typ, c.shape, c.attrs...).file(t)
					_, p, _ := converted(t, f, Options{Bits: bits, Group: c.group, Method: m})
					want := decoded(t, p)
					for _, form := range []Form{FormFloat, FormQDQ} {
						restored, _, err := Restore(p, form)
						if err != nil {
							t.Fatalf("%s: %v", name, err)
						}
						if got := evaluated(t, restored); !slices.Equal(got, want) {
							t.Errorf("%s: form %d differs", name, form)
						}
					}
				}
			}
		}
	}
}

// decoded returns the values of the weight as packing decodes them, rounded to the tensor's type.
func decoded(t *testing.T, p *packing.File) []uint32 {
	t.Helper()
	i, _ := p.Lookup("w")
	w, err := p.Tensor(i)
	if err != nil || w.Quant == nil {
		t.Fatalf("weight: %+v, %v", w, err)
	}
	return bitsOfAll(values(w))
}

func bitsOfAll(v []float32) []uint32 {
	b := make([]uint32, len(v))
	for i, x := range v {
		b[i] = math.Float32bits(x)
		if x == 0 {
			b[i] = 0 // (0-0)*-s may be a negative zero in one form
		}
	}
	return b
}

// evaluated runs the restored graph, cut off after the weight, through the engine.
func evaluated(t *testing.T, m *onnxio.Model) []uint32 {
	t.Helper()
	g := m.Graph
	g.Nodes = append(slices.Clone(g.Nodes[:len(g.Nodes)-1]), &onnxio.Node{OpType: "Identity", Inputs: []string{"w"}, Outputs: []string{"out"}})
	g.Inputs, g.Outputs = nil, []*onnxio.ValueInfo{{Name: "out"}}
	p, err := infer.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Run(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return bitsOfAll(out["out"].F32())
}

func TestViewOf(t *testing.T) {
	cases := []struct {
		name   string
		l      packing.Layout
		shape  []int
		codes  []int
		scales []int
		axis   int
		ok     bool
	}{
		{"one scale", packing.Layout{Outer: 1, Channels: 1, Inner: 24}, []int{2, 3, 4}, []int{2, 3, 4}, []int{1, 1, 1}, -1, true},
		{"first axis", packing.Layout{Outer: 1, Channels: 2, Inner: 12}, []int{2, 3, 4}, []int{2, 3, 4}, []int{2, 1, 1}, 0, true},
		{"middle axis", packing.Layout{Outer: 2, Channels: 3, Inner: 4}, []int{2, 3, 4}, []int{2, 3, 4}, []int{1, 3, 1}, 1, true},
		{"last axis", packing.Layout{Outer: 6, Channels: 4, Inner: 1}, []int{2, 3, 4}, []int{2, 3, 4}, []int{1, 1, 4}, 2, true},
		{"two axes", packing.Layout{Outer: 1, Channels: 6, Inner: 4}, []int{2, 3, 4}, []int{2, 3, 4}, []int{2, 3, 1}, -2, true},
		{"axis behind ones", packing.Layout{Outer: 1, Channels: 3, Inner: 4}, []int{1, 3, 4}, []int{1, 3, 4}, []int{1, 3, 1}, 1, true},
		{"blocks of rows", packing.Layout{Outer: 1, Channels: 2, Inner: 12, Block: 4}, []int{2, 12}, []int{2, 3, 4}, []int{2, 3, 1}, -2, true},
		{"blocks of columns", packing.Layout{Outer: 12, Channels: 2, Inner: 1, Block: 4}, []int{12, 2}, []int{3, 4, 2}, []int{3, 1, 2}, -2, true},
		{"short last block", packing.Layout{Outer: 1, Channels: 2, Inner: 12, Block: 5}, []int{2, 12}, nil, nil, 0, false},
		{"blocks across", packing.Layout{Outer: 3, Channels: 2, Inner: 4, Block: 4}, []int{3, 2, 4}, nil, nil, 0, false},
		{"no axis", packing.Layout{Outer: 1, Channels: 5, Inner: 4}, []int{2, 10}, nil, nil, 0, false},
		{"empty", packing.Layout{Outer: 1, Channels: 0, Inner: 4}, []int{0, 4}, nil, nil, 0, false},
	}
	for _, c := range cases {
		v, ok := viewOf(c.l, c.shape)
		if ok != c.ok || ok && (!slices.Equal(v.codes, c.codes) || !slices.Equal(v.scales, c.scales) || v.axis != c.axis) {
			t.Errorf("%s: %+v, %v", c.name, v, ok)
		}
	}
	v, _ := viewOf(packing.Layout{Outer: 4, Channels: 2, Inner: 1, Block: 2}, []int{4, 2})
	if got := v.order([]float32{10, 11, 20, 21}); !slices.Equal(got, []float32{10, 20, 11, 21}) {
		t.Errorf("scales by channel and block in the order of columns: %v", got)
	}
}

func TestDequantizeLinearNeedsItsOperatorSet(t *testing.T) {
	for _, c := range []struct {
		axis  int
		opset int64
		bits  int
		want  bool
	}{{-1, 9, 8, false}, {-1, 10, 8, true}, {1, 12, 8, false}, {1, 13, 8, true}, {-2, 21, 8, false},
		{1, 20, 9, false}, {-1, 20, 16, false}, {1, 21, 9, true}, {-1, 21, 16, true}, {-2, 21, 9, false}} {
		if _, ok := (view{axis: c.axis}).dequantizeAxis(c.opset, c.bits); ok != c.want {
			t.Errorf("axis %d, opset %d, %d bits: %v", c.axis, c.opset, c.bits, ok)
		}
	}
}

func TestFreshNames(t *testing.T) {
	names := map[string]bool{"w/codes": true, "w/codes.2": true}
	if got := fresh(names, "w/codes"); got != "w/codes.3" {
		t.Errorf("got %s", got)
	}
	if got := fresh(names, "v"); got != "v" || !names["v"] {
		t.Errorf("got %s", got)
	}
}

func TestContainerAndGraphMustAgree(t *testing.T) {
	f := weighted(13, 8, "MatMul", onnxio.Float, []int{32, 20}).file(t)
	_, p, _ := converted(t, f, Options{})
	graph, err := p.Graph()
	if err != nil {
		t.Fatal(err)
	}
	get := func(change func(*packing.Tensor)) stored {
		return func(name string) (*packing.Tensor, error) {
			i, _ := p.Lookup(name)
			w, err := p.Tensor(i)
			change(w)
			return w, err
		}
	}
	for name, c := range map[string]struct {
		get  stored
		want int
	}{
		"other shape":  {get(func(w *packing.Tensor) { w.Shape = []int64{20, 32} }), 1},
		"other type":   {get(func(w *packing.Tensor) { w.Type = int32(onnxio.Float16) }), 1},
		"missing":      {func(string) (*packing.Tensor, error) { return nil, nil }, 1},
		"one too many": {get(func(*packing.Tensor) {}), 2},
	} {
		m, err := onnxio.Parse(graph)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := lower(m, FormFloat, nil, c.get, c.want); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// widened returns the weight of a container with codes of more than 8 bits in the place of its own.
func widened(t *testing.T, p *packing.File, bits int) *packing.Tensor {
	t.Helper()
	w := entry(t, p, "w")
	q := w.Quant
	q.Bits, q.Wide, q.Codes, q.Zeros, q.Levels = bits, make([]uint16, len(q.Codes)), nil, nil, nil
	for i := range q.Wide {
		q.Wide[i] = uint16(i*i*31+i*7) & (1<<bits - 1)
	}
	q.Wide[0], q.Wide[1] = 0, 1<<bits-1
	return w
}

// Wide codes stand behind DequantizeLinear of int16 where the operator set has it, else behind Cast and Mul.
func TestWideCodesInEveryForm(t *testing.T) {
	for _, opset := range []int64{8, 10, 13, 21} {
		for _, bits := range []int{9, 12, 16} {
			for _, c := range []struct {
				op    string
				shape []int
				group Group
				plain bool // blocks cross rows
				axis  bool // scales are those of an axis, or there is one
			}{
				{"Conv", []int{20, 4, 3, 3}, Group{}, false, true},
				{"MatMul", []int{32, 20}, Group{}, false, true},
				{"MatMul", []int{32, 20}, Group{PerTensor: true}, false, true},
				{"Conv", []int{20, 4, 3, 3}, Group{Block: 18}, false, false},
				{"ConvTranspose", []int{20, 6, 2, 2}, Group{Block: 16}, true, false},
			} {
				name := fmt.Sprintf("%s %v %+v, opset %d, %d bits", c.op, c.shape, c.group, opset, bits)
				ir := int64(8)
				if opset == 8 {
					ir = 3
				}
				f := weighted(opset, ir, c.op, onnxio.Float, c.shape).file(t)
				_, p, _ := converted(t, f, Options{Bits: 8, Group: c.group})
				graph, err := p.Graph()
				if err != nil {
					t.Fatal(err)
				}
				w := widened(t, p, bits)
				want := bitsOfAll(values(w))
				for _, form := range []Form{FormFloat, FormQDQ} {
					m, err := onnxio.Parse(graph)
					if err != nil {
						t.Fatal(err)
					}
					counts, _, err := lower(m, form, nil, func(string) (*packing.Tensor, error) { return w, nil }, 1)
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					if got := evaluated(t, m); !slices.Equal(got, want) {
						t.Errorf("%s: form %d differs", name, form)
					}
					coded := form == FormQDQ && !c.plain
					linear := coded && c.axis && opset >= 21
					if (counts.Dequantize == 1) != linear || (counts.Arithmetic == 1) != (coded && !linear) || (len(counts.Widened) == 1) != (coded && bits < 16) {
						t.Errorf("%s: form %d: %+v", name, form, counts)
					}
				}
			}
		}
	}
}

// With coded activations both forms give the same but for codes that are one step off, as sums are rounded in other places: by less
// than quantizing itself moves the results.
func TestFormsOfCodedActivationsAgree(t *testing.T) {
	f, err := onnxio.Open("../testdata/digits.onnx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	open := func(name string, samples int) *dataset.Set {
		set, err := dataset.Open(dataset.Inputs(f.Model.Graph), dataset.Options{Path: "../testdata/" + name, Samples: samples})
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	_, p, _ := converted(t, f, Options{Bits: 4, ActBits: 8, Samples: open("digits.calib.npz", 64), Threads: 2})
	models := []*onnxio.Model{f.Model}
	for _, form := range []Form{FormFloat, FormQDQ} {
		m, _, err := Restore(p, form)
		if err != nil {
			t.Fatal(err)
		}
		models = append(models, m)
	}
	var programs []*infer.Program
	for _, m := range models {
		program, err := infer.Compile(m)
		if err != nil {
			t.Fatal(err)
		}
		programs = append(programs, program)
	}
	set := open("digits.eval.npz", 200)
	plain := func(*onnxio.Node, string, *onnxio.Array) (*onnxio.Array, error) { return nil, nil }
	var quantizing, forms float64
	for i := range set.Len() {
		s, err := set.Sample(i)
		if err != nil {
			t.Fatal(err)
		}
		var logits [3][]float32
		for k, program := range programs {
			out, err := program.Run(s.Feeds, plain)
			if err != nil {
				t.Fatal(err)
			}
			logits[k] = out["logits"].F32()
		}
		quantizing += farFrom(logits[0], logits[1])
		forms += farFrom(logits[1], logits[2])
	}
	if t.Logf("quantizing moves the results by %.3g, the form by %.3g", quantizing, forms); forms == 0 || forms > codesNoise*quantizing/2 {
		t.Errorf("the forms are %.3g apart, quantizing moved the results by %.3g", forms, quantizing)
	}
}
