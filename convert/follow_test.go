package convert

import (
	"math"
	"slices"
	"testing"

	"bq/internal/infer"
	"bq/onnxio"
)

// hidden is a model whose weights stand wherever they can: behind Cast, Squeeze and Unsqueeze, as argument of a local
// function, and in a function's body, at two depths.
func hidden() *builder {
	b := newBuilder(13).input("x", 2, 16).
		constant("half", &onnxio.Array{Type: onnxio.Float16, Shape: []int{16, 32}, Data: halves(1, 512)}).
		constant("double", &onnxio.Array{Type: onnxio.Double, Shape: []int{1, 16, 32}, Data: doubles(2, 512)}).
		floats("flat", normal(3, 512), 512).
		floats("given", normal(4, 512), 16, 32).
		constant("axes", onnxio.Int64s([]int64{0}, 1)).
		constant("shape", onnxio.Int64s([]int64{16, 32}, 2)).
		node("Cast", []string{"half"}, "half32", intAttr("to", int64(onnxio.Float))).
		node("MatMul", []string{"x", "half32"}, "a").
		node("Cast", []string{"double"}, "double32", intAttr("to", int64(onnxio.Float))).
		node("Squeeze", []string{"double32", "axes"}, "squeezed").
		node("MatMul", []string{"x", "squeezed"}, "b").
		node("Unsqueeze", []string{"flat", "axes"}, "row").
		node("Reshape", []string{"row", "shape"}, "square").
		node("MatMul", []string{"x", "square"}, "c").
		node("Layer", []string{"x", "given"}, "d").
		node("Sum", []string{"a", "b", "c", "d"}, "y").output("y", 2, 32)
	b.m.Graph.Nodes[8].Domain = "local"
	weight := onnxio.NewTensor("", onnxio.Floats(normal(5, 512), 16, 32))
	op := func(op string, inputs []string, output string, attributes ...*onnxio.Attribute) *onnxio.Node {
		return &onnxio.Node{OpType: op, Inputs: inputs, Outputs: []string{output}, Attributes: attributes}
	}
	inner := op("Inner", []string{"v", "w"}, "p")
	inner.Domain = "local"
	b.m.Functions = []*onnxio.Function{
		{
			Name: "Layer", Domain: "local", Inputs: []string{"v", "w"}, Outputs: []string{"o"},
			Opsets: []*onnxio.Opset{{Version: 13}, {Domain: "local", Version: 1}},
			Nodes: []*onnxio.Node{
				op("Constant", nil, "own", &onnxio.Attribute{Name: "value", Type: onnxio.AttrTensor, T: weight}),
				op("MatMul", []string{"v", "own"}, "q"),
				inner,
				op("Add", []string{"p", "q"}, "o"),
			},
		},
		{
			Name: "Inner", Domain: "local", Inputs: []string{"v", "w"}, Outputs: []string{"o"}, Opsets: []*onnxio.Opset{{Version: 13}},
			Nodes: []*onnxio.Node{op("MatMul", []string{"v", "w"}, "o")},
		},
	}
	b.m.Opsets = append(b.m.Opsets, &onnxio.Opset{Domain: "local", Version: 1})
	return b
}

func doubles(seed uint64, n int) []float64 {
	d := make([]float64, n)
	for i, v := range normal(seed, n) {
		d[i] = float64(v)
	}
	return d
}

func halves(seed uint64, n int) []float32 {
	w := normal(seed, n)
	for i, v := range w {
		w[i] = onnxio.Round(onnxio.Float16, v)
	}
	return w
}

// hiddenTolerance: 8 bits keep a matrix product of 16 terms to within a hundredth of its largest value.
const hiddenTolerance = 0.01

func TestWeightsAreFoundWhereverTheyAre(t *testing.T) {
	f := hidden().file(t)
	r, p, _ := converted(t, f, Options{Bits: 8})
	for name, via := range map[string]string{
		"half": "Cast", "double": "Cast, Squeeze", "flat": "Unsqueeze, Reshape", "given": "Layer, Inner",
		`function "local::Layer" / own`: "",
	} {
		if c := find(t, r.Tensors, name); !c.Quantized() || c.Via != via || c.Op != "MatMul" {
			t.Errorf("%s: kept for %q, read by %s via %q, want MatMul via %q", name, c.Reason, c.Op, c.Via, via)
		}
	}
	want := product2(t, f.Model)
	var forms [][]float32
	for _, form := range []Form{FormFloat, FormQDQ} {
		m, _, err := Restore(p, form)
		if err != nil {
			t.Fatal(err)
		}
		again, err := onnxio.Parse(m.Bytes()) // as an exported file is read
		if err != nil {
			t.Fatal(err)
		}
		forms = append(forms, product2(t, again))
	}
	if !slices.Equal(forms[0], forms[1]) {
		t.Error("the two forms compute different values")
	}
	largest, worst := 0.0, 0.0
	for i, v := range want {
		largest = max(largest, math.Abs(float64(v)))
		worst = max(worst, math.Abs(float64(v-forms[0][i])))
	}
	if worst == 0 || worst > hiddenTolerance*largest {
		t.Errorf("quantized outputs are off by %v of %v", worst, largest)
	}
}

// product2 runs the model on a fixed input.
func product2(t *testing.T, m *onnxio.Model) []float32 {
	t.Helper()
	p, err := infer.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Run(map[string]*onnxio.Array{"x": onnxio.Floats(normal(9, 32), 2, 16)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out["y"].F32()
}

// An attribute that each call of a function gives cannot tell the channel axis.
func TestReferencesOfFunctionsKeepWeights(t *testing.T) {
	b := hidden()
	b.m.Functions[1].Nodes[0] = &onnxio.Node{OpType: "Gemm", Inputs: []string{"v", "w"}, Outputs: []string{"o"},
		Attributes: []*onnxio.Attribute{{Name: "transB", Type: onnxio.AttrInt, RefName: "transB"}}}
	b.m.Functions[1].Attributes = []string{"transB"}
	b.m.Functions[0].Nodes[2].Attributes = []*onnxio.Attribute{intAttr("transB", 0)}
	list, err := ListTensors(b.m)
	if err != nil {
		t.Fatal(err)
	}
	if c := find(t, list, "given"); c.Reason != Op {
		t.Errorf("given: reason %q, want op", c.Reason)
	}
}

// Functions that call each other twice have more uses than can be followed: 2^14 at the bottom.
func TestUsesAreBounded(t *testing.T) {
	b := newBuilder(13).input("x", 2, 16).floats("w", normal(1, 512), 16, 32).node("F0", []string{"x", "w"}, "y").output("y", 2, 32)
	b.m.Graph.Nodes[0].Domain = "local"
	for i := range 15 {
		call := func(out string) *onnxio.Node {
			return &onnxio.Node{OpType: "F" + string(rune('0'+i+1)), Domain: "local", Inputs: []string{"v", "w"}, Outputs: []string{out}}
		}
		f := &onnxio.Function{Name: "F" + string(rune('0'+i)), Domain: "local", Inputs: []string{"v", "w"}, Outputs: []string{"o"},
			Nodes: []*onnxio.Node{call("p"), call("q"), {OpType: "Add", Inputs: []string{"p", "q"}, Outputs: []string{"o"}}}}
		b.m.Functions = append(b.m.Functions, f)
	}
	list, err := sites(b.m)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(list[0].uses); got != 1 {
		t.Errorf("%d uses, want the call itself", got)
	}
}

func TestSqueezedAndUnsqueezed(t *testing.T) {
	tests := []struct {
		shape  []int
		axes   []int64
		after  []int
		ok     bool
		insert bool
	}{
		{[]int{1, 3, 1, 4}, []int64{0, -2}, []int{3, 4}, true, false},
		{[]int{1, 3, 1, 4}, nil, []int{3, 4}, true, false},
		{[]int{1, 3}, []int64{1}, nil, false, false},
		{[]int{1, 3}, []int64{2}, nil, false, false},
		{[]int{1}, []int64{-3}, nil, false, false},
		{[]int{3, 4}, []int64{0, -1}, []int{1, 3, 4, 1}, true, true},
		{[]int{}, []int64{0}, []int{1}, true, true},
		{[]int{3}, []int64{0, 0}, nil, false, true},
		{[]int{3}, []int64{2}, nil, false, true},
		{[]int{3}, nil, []int{3}, false, true},
	}
	for _, tt := range tests {
		got, ok := squeezed(tt.shape, tt.axes)
		if tt.insert {
			got, ok = unsqueezed(tt.shape, tt.axes)
		}
		if ok != tt.ok || ok && !slices.Equal(got, tt.after) {
			t.Errorf("%v with axes %v: got %v, %v, want %v, %v", tt.shape, tt.axes, got, ok, tt.after, tt.ok)
		}
	}
}

// Codes that a model dequantizes already are listed, and left alone.
func TestCodedWeightsAreListed(t *testing.T) {
	b := newBuilder(13).input("x", 2, 16).
		floats("w", normal(1, 512), 16, 32).
		constant("codes", &onnxio.Array{Type: onnxio.Int8, Shape: []int{32, 4}, Data: make([]int8, 128)}).
		constant("unused", &onnxio.Array{Type: onnxio.Int8, Shape: []int{32, 4}, Data: make([]int8, 128)}).
		floats("scale", []float32{1}).
		node("DequantizeLinear", []string{"codes", "scale"}, "v").
		node("MatMul", []string{"x", "w"}, "h").
		node("MatMul", []string{"h", "v"}, "y").output("y", 2, 4)
	r, p, _ := converted(t, b.file(t), Options{Bits: 4})
	c := find(t, r.Tensors, "codes")
	if c.Reason != Coded || c.Bytes != 128 || c.Op != "DequantizeLinear" || len(r.Tensors) != 3 {
		t.Errorf("codes: %+v of %d tensors", c, len(r.Tensors))
	}
	contents, err := ReadContents(p)
	if err != nil {
		t.Fatal(err)
	}
	if c := find(t, contents.Tensors, "codes"); c.Reason != Coded {
		t.Errorf("codes in the container: %+v", c)
	}
}
