package convert

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"bq/onnxio"
	"bq/packing"
)

// sumsApart bounds how far outputs may be apart, relative to their length, whose float32 products are summed in another order: a few
// hundred sums, each rounded by at most 2^-24.
const sumsApart = 1e-5

// runtimeForms restores p as plain values and with ONNX Runtime's own operators.
func runtimeForms(t *testing.T, p *packing.File) (plain, own *onnxio.Model, counts *Lowered) {
	t.Helper()
	plain, _, err := Restore(p, FormFloat)
	if err != nil {
		t.Fatal(err)
	}
	if own, counts, err = Restore(p, FormORT); err != nil {
		t.Fatal(err)
	}
	return plain, own, counts
}

// left lists what got no operator, each as name:why.
func left(counts *Lowered) string {
	text := ""
	for _, l := range counts.Left {
		text += l.Name + ":" + string(l.Why) + " "
	}
	return text
}

// TestRuntimeOperators: weights become ONNX Runtime's own operators, and results stay.
func TestRuntimeOperators(t *testing.T) {
	ints := func(name string, list ...int64) *onnxio.Attribute {
		return &onnxio.Attribute{Name: name, Type: onnxio.AttrInts, Ints: list}
	}
	affine := Method{name: "affine"}
	matrix := func(k int64) *builder { return newBuilder(13).input("x", 3, k).output("y") }
	gemm := func() *builder { return matrix(40).floats("bias", normal(2, 24), 1, 24) }
	for _, c := range []struct {
		name  string
		b     *builder
		o     Options
		want  map[string]int
		left  string
		bits  int64 // attribute of the first such operator
		block int64
		zeros bool // zero points of their own
	}{
		{"channels, padded to 4 blocks of 16", matrix(56).floats("w", normal(1, 56*24), 56, 24).node("MatMul", []string{"x", "w"}, "y"),
			Options{Bits: 4, Method: affine}, map[string]int{"MatMulNBits": 1}, "", 4, 64, true},
		{"1 bit takes the room of 4", matrix(64).floats("w", normal(1, 64*24), 64, 24).node("MatMul", []string{"x", "w"}, "y"),
			Options{Bits: 1, Method: affine}, map[string]int{"MatMulNBits": 1}, "", 4, 64, false},
		{"blocks of 32, the last short", matrix(72).floats("w", normal(1, 72*24), 72, 24).node("MatMul", []string{"x", "w"}, "y"),
			Options{Bits: 4, Method: affine, Group: Group{Block: 32}}, map[string]int{"MatMulNBits": 1}, "", 4, 32, true},
		{"blocks of 48", matrix(96).floats("w", normal(1, 96*24), 96, 24).node("MatMul", []string{"x", "w"}, "y"),
			Options{Bits: 4, Method: affine, Group: Group{Block: 48}}, map[string]int{"MatMulNBits": 1}, "", 4, 16, true},
		{"one scale", matrix(128).floats("w", normal(1, 128*24), 128, 24).node("MatMul", []string{"x", "w"}, "y"),
			Options{Bits: 4, Method: affine, Group: Group{PerTensor: true}}, map[string]int{"MatMulNBits": 1}, "", 4, 128, true},
		{"Gemm, a bias of two axes", gemm().floats("w", normal(1, 40*24), 24, 40).node("Gemm", []string{"x", "w", "bias"}, "y", intAttr("transB", 1)),
			Options{Bits: 4, Method: affine}, map[string]int{"MatMulNBits": 1}, "", 4, 64, true},
		{"behind Transpose and Reshape", matrix(40).floats("w", normal(1, 40*24), 24, 2, 20).constant("shape", onnxio.Int64s([]int64{24, 40}, 2)).
			node("Reshape", []string{"w", "shape"}, "r").node("Transpose", []string{"r"}, "wt", ints("perm", 1, 0)).node("MatMul", []string{"x", "wt"}, "y"),
			Options{Bits: 4, Method: affine}, map[string]int{"MatMulNBits": 1}, "", 4, 64, true},
		{"a scaled Gemm", gemm().floats("w", normal(1, 40*24), 40, 24).node("Gemm", []string{"x", "w", "bias"}, "y", floatAttr("alpha", 2)),
			Options{Bits: 4, Method: affine}, map[string]int{"Gemm": 1, "Cast": 1, "Mul": 1}, "w:form ", 0, 0, false},
		{"8 bits", matrix(40).floats("w", normal(1, 40*24), 40, 24).node("MatMul", []string{"x", "w"}, "y"),
			Options{Bits: 8, Method: affine}, map[string]int{"MatMul": 1, "Cast": 1, "Sub": 1, "Mul": 1}, "w:slow ", 0, 0, false},
		{"a codebook", matrix(40).floats("w", normal(1, 40*24), 40, 24).node("MatMul", []string{"x", "w"}, "y"),
			Options{Bits: 4, Method: Method{name: "lloyd"}}, map[string]int{"MatMul": 1, "Cast": 1, "Gather": 1, "Mul": 1}, "w:levels ", 0, 0, false},
		{"few inputs", matrix(12).floats("w", normal(1, 12*40), 12, 40).node("MatMul", []string{"x", "w"}, "y"),
			Options{Bits: 4, Method: affine}, map[string]int{"MatMul": 1, "Cast": 1, "Mul": 1}, "w:small ", 0, 0, false},
		{"weights on the left", matrix(40).floats("w", normal(1, 24*3), 24, 3).node("MatMul", []string{"w", "x"}, "y"),
			Options{Bits: 4, Method: affine}, map[string]int{"MatMul": 1, "Cast": 1, "Mul": 1}, "w:op ", 0, 0, false},
		{"two products of one weight", matrix(40).floats("w", normal(1, 40*40), 40, 40).node("MatMul", []string{"x", "w"}, "z").node("MatMul", []string{"z", "w"}, "y"),
			Options{Bits: 4, Method: affine}, map[string]int{"MatMulNBits": 2}, "", 4, 64, true},
	} {
		c.o.MinElements = 1
		c.b.m.Doc = string(make([]byte, 1<<12)) // so that the container of so small a weight is not the larger file
		t.Run(c.name, func(t *testing.T) {
			_, p, _ := converted(t, c.b.file(t), c.o)
			plain, own, counts := runtimeForms(t, p)
			got := ops(own)
			if !maps.Equal(got, c.want) || left(counts) != c.left {
				t.Errorf("operators %v, left %q", got, left(counts))
			}
			x := onnxio.Floats(normal(9, int(3*c.b.m.Graph.Inputs[0].Type.Shape[1].Value)), 3, int(c.b.m.Graph.Inputs[0].Type.Shape[1].Value))
			if d := farFrom(outputOf(t, plain, x, nil), outputOf(t, own, x, nil)); d > sumsApart {
				t.Errorf("the forms are %.3g apart", d)
			}
			if c.bits == 0 {
				return
			}
			for _, n := range own.Graph.Nodes {
				if n.Domain != domainRuntime || n.IntAttr("bits", 0) != c.bits || n.IntAttr("block_size", 0) != c.block || (n.Input(3) != "") != c.zeros || n.Attr("accuracy_level") != nil {
					t.Errorf("%s %s of %v bits in blocks of %v, inputs %v", n.Domain, n.OpType, n.IntAttr("bits", 0), n.IntAttr("block_size", 0), n.Inputs)
				}
			}
			if v := own.Opset(domainRuntime); v != versionRuntime || own.Opset(onnxio.DefaultDomain) != 13 {
				t.Errorf("operator sets %v", own.Opsets)
			}
			readers := readersOf(own)
			for _, v := range own.Graph.Initializers {
				if len(readers[v.Name]) == 0 {
					t.Errorf("nothing reads %s", v.Name)
				}
			}
		})
	}
}

// TestRuntimeTables: a Gather decodes what it reads, the same bits as from plain values.
func TestRuntimeTables(t *testing.T) {
	for _, c := range []struct {
		bits, cols int
		group      Group
		want       int64 // bits of a code
		block      int64
		left       string
	}{
		{1, 48, Group{}, 2, 64, ""},
		{3, 48, Group{}, 4, 64, ""},
		{8, 300, Group{}, 8, 512, ""},
		{4, 48, Group{Block: 16}, 4, 16, ""},
		{4, 40, Group{Block: 16}, 4, 16, ""},
		{4, 45, Group{}, 8, 64, ""}, // rows of whole bytes
		{4, 40, Group{PerTensor: true}, 4, 64, ""},
	} {
		t.Run(fmt.Sprint(c.bits, c.cols, c.group), func(t *testing.T) {
			b := newBuilder(13).floats("w", normal(1, 30*c.cols), 30, c.cols).output("y")
			b.m.Graph.Inputs = []*onnxio.ValueInfo{constantInput("x", onnxio.Int64, []int{2, 2})}
			b.m.Doc = string(make([]byte, 1<<12))
			b.node("Gather", []string{"w", "x"}, "y")
			_, p, _ := converted(t, b.file(t), Options{Bits: c.bits, Method: Method{name: "affine"}, Group: c.group, MinElements: 1})
			plain, own, counts := runtimeForms(t, p)
			n := own.Graph.Nodes[0]
			if len(own.Graph.Nodes) != 1 || n.OpType != "GatherBlockQuantized" || n.IntAttr("bits", 0) != c.want || n.IntAttr("block_size", 0) != c.block || left(counts) != c.left {
				t.Errorf("%s of %d bits in blocks of %d; left %q", n.OpType, n.IntAttr("bits", 0), n.IntAttr("block_size", 0), left(counts))
			}
			x := onnxio.Int64s([]int64{3, 0, -1, 29}, 2, 2)
			if a, b := outputOf(t, plain, x, nil), outputOf(t, own, x, nil); !slices.Equal(a, b) {
				t.Errorf("the forms are %.3g apart", farFrom(a, b))
			}
		})
	}
}

// TestPackedRows: bytes by hand. Two rows of five codes in blocks of 16 that are padded to one; codes 1..5 of group 0 with zero point 3, and
// 15..11 of group 1 with zero point 9.
func TestPackedRows(t *testing.T) {
	w, ok := wholeCodes(&packing.Quant{Bits: 4, Layout: packing.Layout{Outer: 1, Channels: 2, Inner: 5}, Scales: []float32{0.5, 2}, Zeros: []uint8{3, 9},
		Codes: []uint8{1, 2, 3, 4, 5, 15, 14, 13, 12, 11}})
	if !ok || !slices.Equal(w.values, []int16{-2, -1, 0, 1, 2, 6, 5, 4, 3, 2}) {
		t.Fatalf("values %v", w.values)
	}
	r := w.rowsOf(2, 5, []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	if bits, middle := r.field(2, 4, 8); bits != 4 || !middle || r.limit != 0 || r.block(4) != 16 {
		t.Fatalf("%d bits, middle %v, limit %d, blocks of %d", bits, middle, r.limit, r.block(4))
	}
	p := r.pack(4, 16, false, true)
	if want := []uint8{0x21, 0x43, 0x35, 0x33, 0x33, 0x33, 0x33, 0x33, 0xef, 0xcd, 0x9b, 0x99, 0x99, 0x99, 0x99, 0x99}; !slices.Equal(p.codes, want) {
		t.Errorf("codes %x, want %x", p.codes, want)
	}
	if !slices.Equal(p.zeros, []uint8{3, 9}) || !slices.Equal(p.scales, []float32{0.5, 2}) {
		t.Errorf("zero points %v, scales %v", p.zeros, p.scales)
	}
	p = r.pack(4, 16, true, true) // values + 8
	if want := []uint8{0x76, 0x98, 0x8a}; !slices.Equal(p.codes[:3], want) || p.zeros != nil {
		t.Errorf("codes %x, zero points %v", p.codes[:3], p.zeros)
	}
	codes, scales, ok := r.transposed()
	if !ok || !slices.Equal(codes, []int8{-2, 6, -1, 5, 0, 4, 1, 3, 2, 2}) || !slices.Equal(scales, []float32{0.5, 2}) {
		t.Errorf("transposed %v, scales %v", codes, scales)
	}
	// columns of one row, whose group changes at 2 and at 4
	w, _ = wholeCodes(&packing.Quant{Bits: 2, Layout: packing.Layout{Outer: 1, Channels: 1, Inner: 6, Block: 2}, Scales: []float32{1, 2, 3}, Codes: []uint8{0, 1, 2, 3, 0, 1}})
	if r := w.rowsOf(1, 6, []int32{0, 1, 2, 3, 4, 5}); r.limit != 2 || r.block(4) != 0 {
		t.Errorf("limit %d, blocks of %d", r.limit, r.block(4))
	}
	for _, c := range []struct {
		levels []float32
		want   float32
	}{{[]float32{-1, 0.3}, 0}, {[]float32{-1.5, -0.5, 0.5, 1.5}, 0.5}, {[]float32{-1.1, 1.1}, 1.1}, {[]float32{-1.1, 0, 1.1, 1.1}, 1.1}, {[]float32{-1.1, 2.2}, 0},
		{[]float32{0, 0}, 0}, {[]float32{12, -20}, 4}, {[]float32{float32(math.Inf(1)), 1}, 0}} {
		if got := wholeUnit(c.levels); got != c.want {
			t.Errorf("levels %v are multiples of %v, want %v", c.levels, got, c.want)
		}
	}
	w, ok = wholeCodes(&packing.Quant{Bits: 1, Layout: packing.Layout{Outer: 1, Channels: 1, Inner: 2}, Scales: []float32{2}, Levels: []float32{-1, 0.5}, Codes: []uint8{0, 1}})
	if !ok || !slices.Equal(w.values, []int16{-2, 1}) || w.scales[0] != 1 { // steps of 1/2
		t.Errorf("values %v, scales %v", w.values, w.scales)
	}
}

// recurrentModel is x [4,2,20] -> LSTM of two directions, 16 hidden -> MatMul.
func recurrentModel(layout bool) *builder {
	b := newBuilder(14).input("x", 4, 2, 20).output("y", 4, 2, 2, 8).floats("w", normal(1, 2*64*20), 2, 64, 20).floats("r", normal(2, 2*64*16), 2, 64, 16).
		floats("bias", normal(3, 2*128), 2, 128).floats("p", normal(4, 16*8), 16, 8)
	attributes := []*onnxio.Attribute{intAttr("hidden_size", 16), {Name: "direction", Type: onnxio.AttrString, S: []byte("bidirectional")}}
	if layout {
		attributes = append(attributes, intAttr("layout", 1))
	}
	return b.node("LSTM", []string{"x", "w", "r", "bias"}, "h", attributes...).node("MatMul", []string{"h", "p"}, "y")
}

// TestRuntimeLSTM: with coded activations W and R become int8 columns, whose values this engine multiplies by float states, so that results
// are those of the plain form; without, the operator would round what is float, and stays.
func TestRuntimeLSTM(t *testing.T) {
	x := onnxio.Floats(normal(10, 12*160), 12, 4, 2, 20)
	for name, c := range map[string]struct {
		layout bool
		set    func(*Options)
		lstm   string
		left   string
	}{
		"8 bits":        {false, func(*Options) {}, "DynamicQuantizeLSTM", ""},
		"4 bits":        {false, func(o *Options) { o.Bits = 4 }, "DynamicQuantizeLSTM", ""},
		"one scale":     {false, func(o *Options) { o.Group = Group{PerTensor: true} }, "DynamicQuantizeLSTM", ""},
		"blocks":        {false, func(o *Options) { o.Group = Group{Block: 16} }, "LSTM", "w:levels r:pair "},
		"R kept":        {false, func(o *Options) { o.Keep = []string{"r"} }, "LSTM", "w:pair "},
		"batches first": {true, func(*Options) {}, "LSTM", "w:form r:form "},
		"floats":        {false, func(o *Options) { o.ActBits, o.Samples = 0, nil }, "LSTM", "w:rounds r:rounds p:slow "},
	} {
		t.Run(name, func(t *testing.T) {
			b := recurrentModel(c.layout)
			o := Options{Bits: 8, ActBits: 8, MinElements: 1, Samples: samplesOf(t, b.m, x)}
			o.Method = Method{name: "affine"}
			c.set(&o)
			_, p, _ := converted(t, b.file(t), o)
			plain, own, counts := runtimeForms(t, p)
			if got := ops(own); got[c.lstm] != 1 || left(counts) != c.left {
				t.Errorf("operators %v, left %q", got, left(counts))
			}
			one := onnxio.Floats(normal(11, 160), 4, 2, 20)
			a, z := seen(t, plain, one, "h"), seen(t, own, one, "h")
			if d := farFrom(a, z); d > sumsApart || math.IsNaN(d) {
				t.Errorf("the forms are %.3g apart", d)
			}
		})
	}
}

// TestRuntimeIntegerProduct: a MatMul of coded values is ONNX Runtime's own operator, which has the codes themselves, and gives what the form for
// DequantizeLinear gives; what decodes for it alone is gone.
func TestRuntimeIntegerProduct(t *testing.T) {
	b := newBuilder(13).input("x", 4, 32).output("y", 4, 8).floats("w", normal(1, 32*8), 32, 8).floats("bias", normal(2, 8), 8)
	b.floats("g", normal(3, 32*32), 32, 32).floats("h", normal(4, 32*32), 32, 32) // with most products by Gemm, MatMul has one range for all rows
	b.node("Gemm", []string{"x", "g"}, "u").node("Gemm", []string{"u", "h"}, "v").node("MatMul", []string{"v", "w"}, "z").node("Add", []string{"z", "bias"}, "y")
	o := Options{Bits: 8, ActBits: 8, MinElements: 1, Samples: samplesOf(t, b.m, onnxio.Floats(normal(10, 8*128), 8, 4, 32))}
	_, p, _ := converted(t, b.file(t), o)
	_, own, counts := runtimeForms(t, p)
	qdq, _, err := Restore(p, FormQDQ)
	if err != nil {
		t.Fatal(err)
	}
	if got := ops(own); got["MatMulIntegerToFloat"] != 1 || got["MatMul"] != 0 || got["Gemm"] != 2 || counts.Integer != 2 || own.Opset(domainRuntime) != versionRuntime {
		t.Errorf("operators %v, %+v", got, counts)
	}
	readers := readersOf(own)
	for _, v := range own.Graph.Initializers {
		if len(readers[v.Name]) == 0 {
			t.Errorf("nothing reads %s", v.Name)
		}
	}
	x := onnxio.Floats(normal(11, 128), 4, 32)
	if d := farFrom(outputOf(t, qdq, x, nil), outputOf(t, own, x, nil)); d > sumsApart {
		t.Errorf("the forms are %.3g apart", d)
	}
}

// TestRuntimeRounding: a product in a subgraph, where activations stay float, takes int8 and rounds its activations as they come, in a model
// whose activations are quantized; scales of blocks go to MatMulNBits, which rounds block by block.
func TestRuntimeRounding(t *testing.T) {
	build := func() *builder {
		b := newBuilder(13).input("x", 4, 32).output("y", 4, 8).floats("w1", normal(1, 32*32), 32, 32)
		b.constant("yes", &onnxio.Array{Type: onnxio.Bool, Shape: []int{}, Data: []bool{true}})
		branch := &onnxio.Graph{Name: "branch", Initializers: []*onnxio.Tensor{onnxio.NewTensor("w2", onnxio.Floats(normal(2, 32*8), 32, 8))},
			Nodes:   []*onnxio.Node{{OpType: "MatMul", Inputs: []string{"h", "w2"}, Outputs: []string{"z"}}},
			Outputs: []*onnxio.ValueInfo{valueInfo("z", []int64{4, 8})}}
		other := &onnxio.Graph{Name: "other", Initializers: []*onnxio.Tensor{onnxio.NewTensor("o", onnxio.Floats(normal(3, 32), 4, 8))},
			Nodes:   []*onnxio.Node{{OpType: "Identity", Inputs: []string{"o"}, Outputs: []string{"z2"}}},
			Outputs: []*onnxio.ValueInfo{valueInfo("z2", []int64{4, 8})}}
		b.node("MatMul", []string{"x", "w1"}, "h")
		return b.node("If", []string{"yes"}, "y", &onnxio.Attribute{Name: "then_branch", Type: onnxio.AttrGraph, G: branch},
			&onnxio.Attribute{Name: "else_branch", Type: onnxio.AttrGraph, G: other})
	}
	for _, c := range []struct {
		group Group
		bits  int
		want  string
		level int64
	}{{Group{}, 8, "DynamicQuantizeMatMul", 0}, {Group{}, 4, "DynamicQuantizeMatMul", 0}, {Group{Block: 16}, 8, "MatMulNBits", roundingLevel}, {Group{Block: 16}, 4, "MatMulNBits", 0}} {
		b := build()
		o := Options{Bits: c.bits, ActBits: 8, MinElements: 1, Group: c.group, Method: Method{name: "affine"}, Samples: samplesOf(t, b.m, onnxio.Floats(normal(10, 16*128), 16, 4, 32))}
		_, p, _ := converted(t, b.file(t), o)
		plain, own, counts := runtimeForms(t, p)
		var got *onnxio.Node
		own.EachGraph(func(g *onnxio.Graph, _ string) {
			if g.Name == "branch" {
				got = g.Nodes[0]
			}
		})
		if got.OpType != c.want || got.IntAttr("accuracy_level", 0) != c.level || len(counts.Contrib) == 0 {
			t.Errorf("%+v: %s, level %d, %+v", c, got.OpType, got.IntAttr("accuracy_level", 0), counts)
		}
		x := onnxio.Floats(normal(11, 128), 4, 32)
		a, z := outputOf(t, plain, x, nil), outputOf(t, own, x, nil)
		// a step is a 255th of a range of about six deviations of h: errors of 6/255/sqrt(12), which is 0.7 % of h, and of y as well
		if d := farFrom(a, z); d > 2*0.007 || c.want == "MatMulNBits" && d > sumsApart {
			t.Errorf("%+v: the forms are %.3g apart", c, d)
		}
		if c.want != "DynamicQuantizeMatMul" {
			continue
		}
		h, w := seen(t, own, x, "h"), branchWeights(t, plain)
		if d := farFrom(roundedProductRef(h, w, 32, 8), z); d > sumsApart {
			t.Errorf("%+v: %.3g from a product of rounded activations", c, d)
		}
	}
}

// branchWeights returns w2 of a plain model.
func branchWeights(t *testing.T, m *onnxio.Model) []float32 {
	t.Helper()
	var w []float32
	m.EachGraph(func(g *onnxio.Graph, _ string) {
		if v := g.Initializer("w2"); v != nil {
			a, err := v.Array()
			if err != nil {
				t.Fatal(err)
			}
			w = a.F32()
		}
	})
	return w
}

// roundedProductRef rounds x as DynamicQuantizeLinear does (ONNX operator), and multiplies it by w [k, n].
func roundedProductRef(x, w []float32, k, n int) []float32 {
	low, high := min(0, slices.Min(x)), max(0, slices.Max(x))
	scale := (high - low) / 255
	zero := float32(math.RoundToEven(float64(min(max(-low/scale, 0), 255))))
	y := make([]float32, len(x)/k*n)
	for i, v := range x {
		code := min(max(float32(math.RoundToEven(float64(v/scale)))+zero, 0), 255)
		for j := range n {
			y[i/k*n+j] += float32((code-zero)*scale) * w[i%k*n+j]
		}
	}
	return y
}
