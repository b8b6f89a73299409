package convert

import (
	"math"
	"testing"

	"bq/onnxio"
)

// momentTolerance is what the grid of 1/64 deviations may be off by, where the function has a kink.
const momentTolerance = 2e-5

// The expected values are those of numerical integration by numpy over 2.4 million points.
func TestMomentsOfFunctionsOfANormalVariable(t *testing.T) {
	tests := []struct {
		op              string
		attributes      []*onnxio.Attribute
		at, deviation   float64 // of the variable
		mean, afterward float64
	}{
		{"Relu", nil, 0, 1, 0.3989422804, 0.5838193701},
		{"Relu", nil, 3, 0, 3, 0},
		{"Relu", nil, -3, 0, 0, 0},
		{"Swish", nil, 0, 1, 0.2066209641, 0.5595384678},
		{"Tanh", nil, 1, 2, 0.3523444377, 0.7399483839},
		{"LeakyRelu", []*onnxio.Attribute{floatAttr("alpha", 0.1)}, 0, 1, 0.3590480524, 0.6132572838},
		{"HardSwish", nil, 0, 1, 0.1662167007, 0.5513069776},
		{"Elu", nil, 0, 1, 0.1605205723, 0.7868790017},
		{"Clip", []*onnxio.Attribute{floatAttr("min", 0), floatAttr("max", 6)}, 6, 1, 5.6010577198, 0.5838193686},
		{"Identity", nil, 2, 5, 2, 5},
		{"GlobalAveragePool", nil, 2, 5, 2, 5},
	}
	for _, tt := range tests {
		e := &expecter{
			known: map[string]*spread{"x": {mean: []float64{tt.at}, deviation: []float64{tt.deviation}}},
			find:  func(string) constant { return constant{} },
		}
		s := e.output(&onnxio.Node{OpType: tt.op, Inputs: []string{"x"}, Outputs: []string{"y"}, Attributes: tt.attributes})
		if s == nil {
			t.Errorf("%s: nothing is known", tt.op)
			continue
		}
		mean, deviation := s.moments()
		if math.Abs(mean[0]-tt.mean) > momentTolerance || math.Abs(deviation[0]-tt.afterward) > momentTolerance {
			t.Errorf("%s of N(%v, %v): got mean %v, deviation %v, want %v, %v", tt.op, tt.at, tt.deviation, mean[0], deviation[0], tt.mean, tt.afterward)
		}
	}
}

func TestExpectationsThroughAGraph(t *testing.T) {
	constants := map[string]constant{
		"scale": {[]int{2}, []float32{2, -4}}, "b": {[]int{2}, []float32{1, 3}}, "mean": {[]int{2}, []float32{9, 9}}, "var": {[]int{2}, []float32{1, 3}},
		"half": {nil, []float32{0.5}}, "each": {[]int{2, 1, 1}, []float32{10, 20}}, "all": {[]int{1, 2, 1, 1}, []float32{10, 20}},
		"zero": {[]int{1}, []float32{0}}, "last": {[]int{2}, []float32{10, 20}}, "batch": {[]int{2, 1, 1, 1}, []float32{10, 20}},
	}
	g := &onnxio.Graph{}
	add := func(op string, out string, in ...string) *onnxio.Node {
		n := &onnxio.Node{OpType: op, Inputs: in, Outputs: []string{out}}
		g.Nodes = append(g.Nodes, n)
		return n
	}
	add("BatchNormalization", "bn", "x", "scale", "b", "mean", "var").Attributes = []*onnxio.Attribute{floatAttr("epsilon", 1)}
	add("Add", "shifted", "bn", "each")
	add("Add", "shifted too", "bn", "all")
	add("Add", "by column", "bn", "last") // along the last axis, not by channel
	add("Add", "by image", "bn", "batch")
	add("Add", "of any rank", "other", "each")
	add("PRelu", "sloped", "bn", "last")
	add("Flatten", "flat", "bn")
	add("Add", "flat and shifted", "flat", "last") // [N, 2]: the last axis is that of channels
	add("Flatten", "rows of it", "bn").Attributes = []*onnxio.Attribute{intAttr("axis", 2)}
	add("Mul", "halved", "half", "bn")
	add("Div", "divided", "bn", "half")
	add("Sub", "nothing", "bn", "bn")
	add("BatchNormalization", "other", "z", "scale", "b", "mean", "var").Attributes = g.Nodes[0].Attributes
	add("Add", "sum", "bn", "other")
	add("Sub", "difference", "bn", "other")
	add("Mul", "product", "bn", "other")
	add("Div", "quotient", "bn", "other")
	add("Div", "infinite", "bn", "zero")
	add("Concat", "joined", "bn", "halved").Attributes = []*onnxio.Attribute{intAttr("axis", 1)}
	add("Concat", "rows", "bn", "bn").Attributes = []*onnxio.Attribute{intAttr("axis", 0)}
	add("MaxPool", "pooled", "bn")
	add("Relu", "unknown", "x")
	known := expectations(g, func(name string) constant { return constants[name] }, map[string]int{"x": 4})
	// deviation of bn: |scale| * sqrt(var/(var+1)) = 2*sqrt(1/2), 4*sqrt(3/4)
	d, e := math.Sqrt2, 2*math.Sqrt(3)
	for name, want := range map[string][2][]float64{
		"bn":               {{1, 3}, {d, e}},
		"shifted":          {{11, 23}, {d, e}},
		"shifted too":      {{11, 23}, {d, e}},
		"flat and shifted": {{11, 23}, {d, e}},
		"halved":           {{0.5, 1.5}, {d / 2, e / 2}},
		"divided":          {{2, 6}, {d * 2, e * 2}},
		"nothing":          {{0, 0}, {0, 0}},
		"sum":              {{2, 6}, {2, math.Sqrt(24)}},
		"difference":       {{0, 0}, {2, math.Sqrt(24)}},
		// variance of a product: m²w² + n²v² + v²w²
		"product": {{1, 9}, {math.Sqrt(2 + 2 + 4), math.Sqrt(9*12 + 9*12 + 144)}},
		"joined":  {{1, 3, 0.5, 1.5}, {d, e, d / 2, e / 2}},
	} {
		s := known[name]
		if s == nil {
			t.Errorf("%s: nothing is known", name)
			continue
		}
		mean, deviation := s.moments()
		for c := range want[0] {
			if math.Abs(mean[c]-want[0][c]) > momentTolerance || math.Abs(deviation[c]-want[1][c]) > momentTolerance {
				t.Errorf("%s: got %v, %v, want %v", name, mean, deviation, want)
				break
			}
		}
	}
	for _, name := range []string{"quotient", "infinite", "rows", "pooled", "unknown", "by column", "by image", "of any rank", "sloped", "rows of it"} {
		if s := known[name]; s != nil {
			if mean, _ := s.moments(); mean[0]-mean[0] == 0 {
				t.Errorf("%s: got %v, want nothing known", name, mean)
			}
		}
	}
}

func TestExp(t *testing.T) {
	for _, x := range []float64{0, 1, -1, 0.3, 20.5, -36.6, 700, -700, 1e4, -1e4, math.Inf(1), math.Inf(-1)} {
		if got, want := exp(x), math.Exp(x); got != want && !(math.Abs(got-want) <= 2e-15*want) {
			t.Errorf("exp(%v): got %v, want %v", x, got, want)
		}
	}
	if got := exp(math.NaN()); got == got {
		t.Errorf("exp(NaN): got %v", got)
	}
}

func TestTapsByHand(t *testing.T) {
	ints := func(name string, v ...int64) *onnxio.Attribute {
		return &onnxio.Attribute{Name: name, Type: onnxio.AttrInts, Ints: v}
	}
	tests := []struct {
		name       string
		node       *onnxio.Node
		shape      []int
		ins        int
		element    int
		in, out    int
		outs       int
		factor     float64
		impossible bool
	}{
		// [out 2, in 3, 1x2]: element 9 is out 1, in 1, tap 1
		{"conv", &onnxio.Node{OpType: "Conv"}, []int{2, 3, 1, 2}, 3, 9, 1, 1, 2, 1, false},
		// two groups of two inputs, one output each: element 3 is out 1 of group 1, its second input, channel 3
		{"grouped conv", &onnxio.Node{OpType: "Conv", Attributes: []*onnxio.Attribute{intAttr("group", 2)}}, []int{2, 2, 1, 1}, 4, 3, 3, 1, 2, 1, false},
		{"conv of other channels", &onnxio.Node{OpType: "Conv"}, []int{2, 3, 1, 2}, 4, 0, 0, 0, 0, 0, true},
		// [in 4, out/group 2, 1]: element 5 is in 2, of group 1, its out 1: channel 3; two strides of 2
		{"transposed conv", &onnxio.Node{OpType: "ConvTranspose", Attributes: []*onnxio.Attribute{intAttr("group", 2), ints("strides", 2, 2)}}, []int{4, 2, 1, 1}, 4, 5, 2, 3, 4, 0.25, false},
		// [K 4, N 3], two features a channel: element 8 is feature 2, out 2
		{"gemm", &onnxio.Node{OpType: "Gemm", Attributes: []*onnxio.Attribute{floatAttr("alpha", 0.5)}}, []int{4, 3}, 2, 8, 1, 2, 3, 0.5, false},
		// [N 3, K 4]: element 5 is out 1, feature 1
		{"gemm, transposed", &onnxio.Node{OpType: "Gemm", Attributes: []*onnxio.Attribute{intAttr("transB", 1)}}, []int{3, 4}, 4, 5, 1, 1, 3, 1, false},
		{"gemm of other features", &onnxio.Node{OpType: "Gemm"}, []int{4, 3}, 3, 0, 0, 0, 0, 0, true},
		{"matmul", &onnxio.Node{OpType: "MatMul"}, []int{4, 3}, 4, 0, 0, 0, 0, 0, true},
	}
	for _, tt := range tests {
		got, ok := tapsOf(tt.node, tt.shape, tt.ins)
		if ok == tt.impossible {
			t.Errorf("%s: got %v", tt.name, ok)
			continue
		}
		if !ok {
			continue
		}
		in, out := got.at(tt.element)
		if in != tt.in || out != tt.out || got.outs != tt.outs || got.factor != tt.factor {
			t.Errorf("%s: element %d: got in %d, out %d of %d, factor %v, want in %d, out %d of %d, factor %v",
				tt.name, tt.element, in, out, got.outs, got.factor, tt.in, tt.out, tt.outs, tt.factor)
		}
	}
}

// A layer behind BatchNormalization and Relu gets the bias that its own rounding errors ask for.
func TestForecastGoesIntoTheBias(t *testing.T) {
	const ins, outs = 8, 64
	w := normal(3, outs*ins*9)
	scale, b, mean, variance := make([]float32, ins), make([]float32, ins), make([]float32, ins), make([]float32, ins)
	for i := range ins {
		scale[i], b[i], variance[i] = 1, float32(i)/2, 1e6
	}
	f := newBuilder(13).input("x", 1, ins, 4, 4).output("y").
		floats("s", scale, ins).floats("b", b, ins).floats("m", mean, ins).floats("v", variance, ins).
		floats("w", w, outs, ins, 3, 3).
		node("BatchNormalization", []string{"x", "s", "b", "m", "v"}, "bn").
		node("Relu", []string{"bn"}, "r").
		node("Conv", []string{"r", "w"}, "y").file(t)
	r, c, _ := converted(t, f, Options{Bits: 3})
	if r.Corrected != 1 {
		t.Fatalf("corrected %d biases, want 1", r.Corrected)
	}
	added, coded := entry(t, c, "y/bias"), entry(t, c, "w")
	stored := &onnxio.Tensor{Type: onnxio.Float, Dims: []int64{outs}}
	stored.SetRaw(added.Data)
	got, err := stored.Array()
	if err != nil {
		t.Fatal(err)
	}
	q := make([]float32, len(w))
	coded.Quant.Dequantize(q)
	for o := range outs {
		want := 0.0
		for i := range ins {
			// E[max(0, x)] of N(m, 1): m*Phi(m) + phi(m)
			m := float64(b[i])
			e := m*0.5*math.Erfc(-m/math.Sqrt2) + math.Exp(-m*m/2)/math.Sqrt(2*math.Pi)
			for k := range 9 {
				at := (o*ins+i)*9 + k
				want += (float64(w[at]) - float64(q[at])) * e
			}
		}
		if math.Abs(float64(got.F32()[o])-want) > 1e-3 {
			t.Errorf("output %d: got bias %v, want %v", o, got.F32()[o], want)
		}
	}
}

// Biases of float64 take corrections too, and what is added has the weight's type.
func TestForecastOfFloat64(t *testing.T) {
	for _, biased := range []bool{false, true} {
		doubled := func(v []float32) *onnxio.Array {
			d := make([]float64, len(v))
			for i, x := range v {
				d[i] = float64(x)
			}
			return &onnxio.Array{Type: onnxio.Double, Shape: []int{len(v)}, Data: d}
		}
		w := doubled(normal(3, 64*8*9))
		w.Shape = []int{64, 8, 3, 3}
		ones := []float32{1, 1, 1, 1, 1, 1, 1, 1}
		b := newBuilder(13).input("x", 1, 8, 4, 4).output("y").
			constant("s", doubled(ones)).constant("b", doubled(ones)).constant("m", doubled(ones)).constant("v", doubled(ones)).
			constant("w", w).constant("c", doubled(normal(4, 64)))
		b.m.Graph.Inputs[0].Type.Elem = onnxio.Double
		inputs := []string{"r", "w"}
		if biased {
			inputs = append(inputs, "c")
		}
		f := b.node("BatchNormalization", []string{"x", "s", "b", "m", "v"}, "bn").
			node("Relu", []string{"bn"}, "r").
			node("Conv", inputs, "y").file(t)
		r, p, _ := converted(t, f, Options{Bits: 3})
		if r.Corrected != 1 {
			t.Errorf("biased %v: corrected %d biases, want 1", biased, r.Corrected)
		}
		m, _, err := Restore(p, FormFloat)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range m.Constants() {
			if err := k.Tensor.Check(); err != nil {
				t.Errorf("biased %v: %v", biased, err)
			}
		}
	}
}
