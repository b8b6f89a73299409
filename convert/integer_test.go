package convert

import (
	"math"
	"slices"
	"testing"

	"bq/onnxio"
)

// integerModel is x -> Conv w1 + bias -> BatchNormalization, whose second gain is negative and whose third channel is 64 times as small ->
// Relu -> depthwise Conv -> Conv w2, of operator set 9 and IR version 3.
func integerModel() *onnxio.Model {
	b := newBuilder(9).input("x", 1, 16, 8, 8).floats("w1", normal(1, 256), 16, 16, 1, 1).floats("w2", normal(2, 256), 16, 16, 1, 1).floats("wd", normal(3, 144), 16, 1, 3, 3)
	for name, v := range map[string][]float32{"bias": {.5, -1, 2, 0}, "s": {1, -2, 1. / 64, 1}, "b": {.1, .2, .01, 0}, "m": {0, .5, 0, -.5}, "v": {1, 4, 1, .25}} {
		b.floats(name, slices.Repeat(v, 4), 16)
	}
	b.node("Conv", []string{"x", "w1", "bias"}, "c").node("BatchNormalization", []string{"c", "s", "b", "m", "v"}, "n").node("Relu", []string{"n"}, "r")
	b.node("Conv", []string{"r", "wd"}, "d", intAttr("group", 16), deep[1]).node("Conv", []string{"d", "w2"}, "e").node("GlobalAveragePool", []string{"e"}, "y").output("y", 1, 16, 1, 1)
	b.m.IRVersion = 3
	for _, t := range b.m.Graph.Initializers {
		b.m.Graph.Inputs = append(b.m.Graph.Inputs, constantInput(t.Name, t.Type, dims(t.Dims)))
	}
	return b.m
}

func integerSamples(t *testing.T, m *onnxio.Model) Options {
	m = &onnxio.Model{IRVersion: m.IRVersion, Opsets: m.Opsets, Graph: &onnxio.Graph{Inputs: m.Graph.FeedInputs()}}
	return Options{Bits: 8, ActBits: 8, MinElements: 1, Samples: samplesOf(t, m, onnxio.Floats(normal(10, 16*1024), 16, 16, 8, 8))}
}

// ops counts the operators of m.
func ops(m *onnxio.Model) map[string]int {
	list := map[string]int{}
	for _, n := range m.Graph.Nodes {
		list[n.OpType]++
	}
	return list
}

// TestIntegerForm: weights, norm, biases and steps by channel become integers and scales that give the results of the plain form.
func TestIntegerForm(t *testing.T) {
	for name, set := range map[string]func(o *Options){
		"8 bits":              func(*Options) {},
		"codebooks":           func(o *Options) { o.Bits, o.Method = 4, Method{name: "lloyd"} },
		"4 bits, activations": func(o *Options) { o.Bits, o.ActBits = 4, 4 },
		"one scale":           func(o *Options) { o.Group = Group{PerTensor: true} },
		"integers":            func(o *Options) { o.Bits, o.Method = 6, Method{name: "entropy"} },
	} {
		t.Run(name, func(t *testing.T) {
			m := integerModel()
			o := integerSamples(t, m)
			set(&o)
			_, p, _ := converted(t, (&builder{m}).file(t), o)
			about, err := ReadAbout(p)
			if err != nil {
				t.Fatal(err)
			}
			shifted := slices.IndexFunc(about.Activations, func(a Activation) bool { return a.Name == "r" && len(a.Shifts) == 16 })
			if shifted < 0 || about.Activations[shifted].Shifts[2] < 3 {
				t.Fatalf("activations %+v: want finer steps for the third channel of r", about.Activations)
			}
			whole, counts, err := Restore(p, FormQDQ)
			if err != nil {
				t.Fatal(err)
			}
			got := ops(whole)
			if got["BatchNormalization"]+got["Mul"]+got["Gather"]+got["Cast"] > 0 || counts.Integer != 3 || got["QuantizeLinear"] != 4 || got["Clip"] != 4*min(1, 8-o.ActBits) {
				t.Errorf("operators %v, %d int8 weights", got, counts.Integer)
			}
			if v := whole.Opset(onnxio.DefaultDomain); v != opsetIntegers || len(whole.Graph.Inputs) != 1 {
				t.Errorf("operator set %d, %d inputs", v, len(whole.Graph.Inputs))
			}
			for _, name := range []string{"bias", "s", "b", "m", "v", "w1"} {
				if whole.Graph.Initializer(name) != nil {
					t.Errorf("%s is still there", name)
				}
			}
			plain, _, err := Restore(p, FormFloat)
			if err != nil {
				t.Fatal(err)
			}
			x := onnxio.Floats(normal(99, 1024), 1, 16, 8, 8)
			every := func(*onnxio.Node, string, *onnxio.Array) (*onnxio.Array, error) { return nil, nil }
			step := about.Activations[shifted+1].Scale
			if moved := stepsApart(t, seen(t, plain, x, "d"), seen(t, whole, x, "d"), step); float64(moved) > formsMoved*1024 {
				t.Errorf("%d of 1024 codes of d differ between the forms", moved)
			}
			visited, codes := outputOf(t, whole, x, every), outputOf(t, whole, x, nil)
			if d, bound := farFrom(visited, codes), farFrom(outputOf(t, m, x, every), visited); d > bound/2 {
				t.Errorf("run on codes, results are %.3g apart, quantizing moved them by %.3g", d, bound)
			}
		})
	}
}

// formsMoved is the part of the codes that may differ by a step between forms: values at the border of two. With 4 bits sums are multiples of
// few numbers, of which many lie on a border, where the plain form of operator set 9 rounds up and QuantizeLinear to even.
const formsMoved = 0.05

// stepsApart returns how many of the values differ, none by more than a step.
func stepsApart(t *testing.T, a, b []float32, step float32) int {
	t.Helper()
	moved := 0
	for i := range a {
		switch d := math.Abs(float64(a[i])-float64(b[i])) / float64(step); {
		case d > 1.001:
			t.Fatalf("value %d is %v and %v, %.2f steps apart", i, a[i], b[i], d)
		case d > 0.001:
			moved++
		}
	}
	return moved
}

// seen returns the value of that name, or what stands for it, in a run of m on x.
func seen(t *testing.T, m *onnxio.Model, x *onnxio.Array, name string) []float32 {
	t.Helper()
	var got []float32
	outputOf(t, m, x, func(_ *onnxio.Node, output string, v *onnxio.Array) (*onnxio.Array, error) {
		if output == name {
			got = slices.Clone(v.F32())
		}
		return nil, nil
	})
	return got
}

// TestFoldedNorm: int8 times scale, and int32 times scale, are weights and biases behind a BatchNormalization, by its definition.
func TestFoldedNorm(t *testing.T) {
	m := integerModel()
	o := integerSamples(t, m)
	o.KeepBiases = true
	_, p, _ := converted(t, (&builder{m}).file(t), o)
	plain, _, err := Restore(p, FormFloat)
	if err != nil {
		t.Fatal(err)
	}
	whole, _, err := Restore(p, FormQDQ)
	if err != nil {
		t.Fatal(err)
	}
	floats := func(m *onnxio.Model, name string) []float32 {
		a, err := m.Graph.Initializer(name).Array()
		if err != nil {
			t.Fatal(err)
		}
		return a.F32()
	}
	ints := func(name string) []int64 {
		a, err := whole.Graph.Initializer(name).Array()
		if err != nil {
			t.Fatal(err)
		}
		return a.Ints()
	}
	w, codes, scales := floats(plain, "w1"), ints("w1/codes"), floats(whole, "w1/scales")
	bias, biasScales := ints("w1/bias/codes"), floats(whole, "w1/bias/scales")
	s, b, mean, v, first := floats(plain, "s"), floats(plain, "b"), floats(plain, "m"), floats(plain, "v"), floats(plain, "bias")
	about, err := ReadAbout(p)
	if err != nil {
		t.Fatal(err)
	}
	shifts := about.Activations[1].Shifts
	for o := range 16 {
		gain := float64(s[o]) / math.Sqrt(float64(v[o])+1e-5) * float64(int(1)<<shifts[o])
		for i := range 16 {
			want, got := float64(w[16*o+i])*gain, float64(codes[16*o+i])*float64(scales[o])
			if math.Abs(got-want) > 1e-6*math.Abs(gain) {
				t.Errorf("weight %d of output %d is %v, want %v", i, o, got, want)
			}
		}
		want := (float64(first[o])-float64(mean[o]))*gain + float64(b[o])*float64(int(1)<<shifts[o])
		if got := float64(bias[o]) * float64(biasScales[o]); math.Abs(got-want) > float64(biasScales[o]) {
			t.Errorf("bias %d is %v, want %v", o, got, want)
		}
	}
}

// TestFloatProducts: weights with a scale for each block are multiplied as floats, which no DequantizeLinear in front of them shows where
// their results become codes.
func TestFloatProducts(t *testing.T) {
	b := newBuilder(13).input("x", 2, 64).floats("w1", normal(1, 64*32), 64, 32).floats("w2", normal(2, 32*8), 32, 8)
	b.node("Gemm", []string{"x", "w1"}, "h").node("Gemm", []string{"h", "w2"}, "y").output("y", 2, 8)
	_, p, _ := converted(t, b.file(t), Options{Bits: 4, ActBits: 8, MinElements: 1, Group: Group{Block: 16}, Samples: samplesOf(t, b.m, onnxio.Floats(normal(10, 8*64), 8, 64))})
	m, counts, err := Restore(p, FormQDQ)
	if err != nil {
		t.Fatal(err)
	}
	if counts.Integer != 0 {
		t.Errorf("%d int8 weights, want none", counts.Integer)
	}
	makers := map[string]string{}
	for _, n := range m.Graph.Nodes {
		for _, out := range n.Outputs {
			makers[out] = n.OpType
		}
	}
	for _, n := range m.Graph.Nodes {
		want := map[string]string{"h/float": "Mul", "y": "DequantizeLinear"}[n.Outputs[0]] // y stays float
		if n.OpType == "Gemm" && makers[n.Inputs[0]] != want {
			t.Errorf("%s makes what %s reads, want %s", makers[n.Inputs[0]], n.Outputs[0], want)
		}
	}
}

// TestCarriedFloats: no DequantizeLinear reaches a Conv of kept weights between codes by way of what ONNX Runtime takes it through, and none
// is spared where its results stay float.
func TestCarriedFloats(t *testing.T) {
	pads := onnxio.Int64s([]int64{0, 0, 1, 1, 0, 0, 1, 1}, 8)
	for name, c := range map[string]struct {
		in, out string // operators in front of and behind the kept Conv
		want    int    // values that are decoded by Cast, Sub and Mul
	}{
		"none":       {"", "", 1},
		"Pad":        {"Pad", "", 1},
		"in front":   {"Transpose", "", 1},
		"behind":     {"", "Transpose", 1},
		"both":       {"Transpose", "Transpose", 1},
		"constant":   {"", "Mul", 1},
		"stays so":   {"", "Softmax", 0},
		"not theirs": {"Softmax", "", 0},
	} {
		b := image().constant("pads", pads).floats("kept", normal(4, 16), 4, 4, 1, 1).node("Conv", []string{"x", "w1"}, "c").node("Relu", []string{"c"}, "r")
		move := func(op, from, to string) string {
			switch op {
			case "":
				return from
			case "Pad":
				b.node(op, []string{from, "pads"}, to)
			case "Mul":
				b.node(op, []string{from, "half"}, to)
			case "Transpose":
				b.node(op, []string{from}, to, &onnxio.Attribute{Name: "perm", Type: onnxio.AttrInts, Ints: []int64{0, 1, 3, 2}})
			default:
				b.node(op, []string{from}, to)
			}
			return to
		}
		from := move(c.in, "r", "p")
		b.node("Conv", []string{from, "kept"}, "k").node("Relu", []string{"k"}, "l")
		b.node("Conv", []string{move(c.out, "l", "q"), "w2"}, "e").node("GlobalAveragePool", []string{"e"}, "g").node("Flatten", []string{"g"}, "f")
		b.floats("wy", normal(5, 4*512), 4, 512).node("Gemm", []string{"f", "wy"}, "y").output("y", 1, 512)
		o := Options{Bits: 8, ActBits: 8, MinElements: 1, Keep: []string{"kept"}, Samples: samplesOf(t, b.m, onnxio.Floats(normal(10, 16*256), 16, 4, 8, 8))}
		_, p, _ := converted(t, b.file(t), o)
		m, _, err := Restore(p, FormQDQ)
		if err != nil {
			t.Fatal(err)
		}
		if got := ops(m)["Cast"]; got != c.want {
			t.Errorf("%s: %d values decoded by Cast, want %d", name, got, c.want)
		}
	}
}

// TestBounds: scales and steps of biases that float32 does not hold make no products of codes.
func TestBounds(t *testing.T) {
	product := func() *intProduct {
		return &intProduct{outs: 2, codes: []int8{1, 2, 3, -128}, scales: []float32{1e30, 1e-30}, bias: []float64{0, 0}}
	}
	for _, c := range []struct {
		gain []float64
		want bool
	}{{[]float64{2, -0.5}, true}, {[]float64{-2, 0.5}, true}, {[]float64{1e9, 1}, false}, {[]float64{1e8, 1}, true}} {
		if p := product(); p.scale(c.gain) != c.want || !c.want && (p.scales[0] != 1e30 || p.codes[0] != 1) {
			t.Errorf("gain %v: taken in %v, scales %v, codes %v", c.gain, !c.want, p.scales, p.codes)
		}
	}
	if p := product(); !p.fits([]float32{1e-7}) || p.scales[1] != 1e-30 {
		t.Errorf("steps of 1e-37 are normal numbers, the scale became %v", p.scales[1])
	}
	if p := product(); !p.fits([]float32{1e-9}) || !(p.scales[1]*1e-9 >= leastStep) || p.codes[3] != -5 { // -128e-30 in steps of 2^-125 / 1e-9 = 2.35e-29
		t.Errorf("steps of 1e-39 became %v * 1e-9, codes %v", p.scales[1], p.codes)
	}
}

// TestLevelUnit: levels that are whole multiples of a power of two, up to 127.
func TestLevelUnit(t *testing.T) {
	for _, c := range []struct {
		levels []float32
		want   float32
	}{
		{[]float32{-1.5, -.5, .5, 1.5}, 1. / 64},
		{[]float32{-1, 1}, 1. / 64},
		{[]float32{127, -127, 3}, 1},
		{[]float32{128, 2}, 2},
		{[]float32{128, 1}, 0},
		{[]float32{.3, 1}, 0},
		{[]float32{0, 0}, 0},
		{[]float32{float32(math.Inf(1)), 1}, 0},
	} {
		if got := levelUnit(c.levels); got != c.want {
			t.Errorf("unit of %v is %v, want %v", c.levels, got, c.want)
		}
	}
	snapped := []float32{-.98, .013, .5, 1}
	if snap(snapped); !slices.Equal(snapped, []float32{-63. / 64, 1. / 64, .5, 1}) || levelUnit(snapped) != 1./64 {
		t.Errorf("snapped to %v", snapped)
	}
}

// A damaged list of activations is refused.
func TestActivationsAreChecked(t *testing.T) {
	good := Activation{Name: "x", Bits: 8, Scale: 1, Zero: 3, Shifts: []int8{0, 2}, Rank: 4, Everywhere: true}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(a *Activation){
		"bits":           func(a *Activation) { a.Bits = 9 },
		"scale":          func(a *Activation) { a.Scale = 0 },
		"infinite scale": func(a *Activation) { a.Scale = float32(math.Inf(1)) },
		"zero point":     func(a *Activation) { a.Bits, a.Zero = 2, 4 },
		"shift":          func(a *Activation) { a.Shifts[0] = 16 },
		"negative shift": func(a *Activation) { a.Shifts[1] = -1 },
		"rank":           func(a *Activation) { a.Rank = 1 },
		"alone":          func(a *Activation) { a.Everywhere = false },
	} {
		a := good
		a.Shifts = slices.Clone(good.Shifts)
		change(&a)
		if a.check() == nil {
			t.Errorf("%s: no error of %+v", name, a)
		}
	}
}

// TestLargeBias: an output whose weights are nothing beside its bias gets steps in which the bias can be written.
func TestLargeBias(t *testing.T) {
	for name, c := range map[string]struct {
		scales []float32
		bias   float64
		codes  []int8 // of the first output
		ok     bool
	}{
		"large bias":   {[]float32{1e-9, 1}, 8, []int8{3, -2}, true}, // 8 / 1e-9 is over 2^30, the scale becomes 8/2^28 = 3e-8, the codes 100/30 and -50/30
		"one scale":    {[]float32{2e-9}, 8, []int8{7, -3}, true},    // 200/29.8 and -100/29.8
		"plain":        {[]float32{1, 1}, 8, []int8{100, -50}, true}, //
		"tiny weights": {[]float32{1e-42, 1}, 0, []int8{0, 0}, true}, // no normal float32
		"infinite":     {[]float32{1, 1}, 1e300, []int8{100, -50}, false},
	} {
		p := &intProduct{outs: 2, codes: []int8{100, -50, 1, 2}, scales: slices.Clone(c.scales), bias: []float64{c.bias, 1}}
		if ok := p.fits([]float32{1}); ok != c.ok || !slices.Equal(p.codes[:2], c.codes) {
			t.Errorf("%s: %v, codes %v with scales %v, want %v", name, ok, p.codes, p.scales, c.codes)
		}
		for o, b := range p.bias {
			if step := float64(p.scales[min(o, len(p.scales)-1)]); c.ok && (step < leastStep || math.Abs(b)/step >= maxBiasCode) {
				t.Errorf("%s: bias %v in steps of %v", name, b, step)
			}
		}
	}
	wide := &intProduct{outs: 1, codes: make([]int8, maxCoarse+1), scales: []float32{1e-9}, bias: []float64{8}}
	if wide.fits([]float32{1}) {
		t.Error("codes of a long sum were made coarser")
	}
}

// A negative gain turns the signs of codes; -128, which has no opposite in int8, becomes 127.
func TestGainsOfCodes(t *testing.T) {
	p := &intProduct{outs: 3, codes: []int8{-128, 5, -128, 5, 7, -7}, scales: []float32{2}}
	p.scale([]float64{-0.5, 3, 0})
	if !slices.Equal(p.codes, []int8{127, -5, -128, 5, 0, 0}) || !slices.Equal(p.scales, []float32{1, 6, 1}) {
		t.Errorf("codes %v, scales %v", p.codes, p.scales)
	}
}
