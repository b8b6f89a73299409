package convert

import (
	"context"
	"math"
	"testing"

	"bq/internal/dataset"
	"bq/internal/infer"
	"bq/onnxio"
)

func intsAttr(name string, v ...int64) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrInts, Ints: v}
}

// layerTolerance: sums of at most a hundred products of normal numbers in float32 by the engine, in float64 here.
const layerTolerance = 1e-4

// A layer is right when each row of its matrix, times the input that its geometry shows for a place, is what the engine puts
// at that place of the output.
func TestLayersAreTheirNodes(t *testing.T) {
	channelPlaces := func(m *matrix, y *onnxio.Array, place, g, r int) float32 { // [n, channel, position]
		inner := product(y.Shape[2:])
		n, at := place/inner, place%inner
		return y.F32()[(n*y.Shape[1]+g*m.rows+r)*inner+at]
	}
	rowPlaces := func(m *matrix, y *onnxio.Array, place, g, r int) float32 { return y.F32()[place*m.rows+r] }
	columnPlaces := func(m *matrix, y *onnxio.Array, place, _, r int) float32 {
		cols := y.Shape[len(y.Shape)-1]
		return y.F32()[(place/cols*m.rows+r)*cols+place%cols]
	}
	for name, c := range map[string]struct {
		x, w       []int
		op         string
		attributes []*onnxio.Attribute
		input      int // of the weight
		perm       []int64
		at         func(m *matrix, y *onnxio.Array, place, g, r int) float32
	}{
		"conv":                  {[]int{2, 3, 6, 5}, []int{4, 3, 3, 2}, "Conv", []*onnxio.Attribute{intsAttr("strides", 2, 1), intsAttr("pads", 1, 0, 2, 1), intsAttr("dilations", 1, 2)}, 1, nil, channelPlaces},
		"grouped conv":          {[]int{1, 4, 5}, []int{6, 2, 3}, "Conv", []*onnxio.Attribute{intAttr("group", 2), intsAttr("pads", 1, 1)}, 1, nil, channelPlaces},
		"depthwise, same":       {[]int{1, 3, 5, 4}, []int{3, 1, 3, 3}, "Conv", []*onnxio.Attribute{intAttr("group", 3), intsAttr("strides", 2, 2), stringAttr("auto_pad", "SAME_LOWER")}, 1, nil, channelPlaces},
		"conv behind transpose": {[]int{1, 3, 4, 4}, []int{3, 3, 3, 4}, "Conv", nil, 1, []int64{3, 2, 0, 1}, channelPlaces},
		"transposed conv":       {[]int{2, 4, 3, 4}, []int{4, 3, 3, 3}, "ConvTranspose", []*onnxio.Attribute{intAttr("group", 2), intsAttr("strides", 2, 1), intsAttr("pads", 1, 0, 0, 1), intsAttr("output_padding", 1, 0)}, 1, nil, channelPlaces},
		"gemm":                  {[]int{5, 6}, []int{6, 4}, "Gemm", nil, 1, nil, rowPlaces},
		"gemm, transposed B":    {[]int{5, 6}, []int{4, 6}, "Gemm", []*onnxio.Attribute{intAttr("transB", 1)}, 1, nil, rowPlaces},
		"gemm, transposed A":    {[]int{6, 5}, []int{6, 4}, "Gemm", []*onnxio.Attribute{intAttr("transA", 1)}, 1, nil, rowPlaces},
		"gemm, weight A":        {[]int{6, 5}, []int{4, 6}, "Gemm", nil, 0, nil, columnPlaces},
		"gemm, weight A, both":  {[]int{5, 6}, []int{6, 4}, "Gemm", []*onnxio.Attribute{intAttr("transA", 1), intAttr("transB", 1)}, 0, nil, columnPlaces},
		"matmul":                {[]int{2, 3, 6}, []int{6, 4}, "MatMul", nil, 1, nil, rowPlaces},
		"matmul, transposed":    {[]int{2, 3, 6}, []int{4, 6}, "MatMul", nil, 1, []int64{1, 0}, rowPlaces},
		"matmul, weight A":      {[]int{2, 6, 3}, []int{4, 6}, "MatMul", nil, 0, nil, columnPlaces},
	} {
		x, w := onnxio.Floats(normal(3, product(c.x)), c.x...), onnxio.Floats(normal(4, product(c.w)), c.w...)
		b := newBuilder(13).input("x", wide(c.x)...).constant("w", w)
		inputs := []string{"x", "w"}
		if c.perm != nil {
			b.node("Transpose", []string{"w"}, "wt", intsAttr("perm", c.perm...))
			inputs[1] = "wt"
		}
		if c.input == 0 {
			inputs[0], inputs[1] = inputs[1], inputs[0]
		}
		f := b.node(c.op, inputs, "y", c.attributes...).output("y").file(t)
		conv := &converter{Options: Options{Bits: 4, MinElements: 1}, ctx: context.Background(), src: f}
		if err := conv.plan(); err != nil {
			t.Fatal(name, err)
		}
		layers := conv.layers(nil)
		if len(layers) != 1 {
			t.Errorf("%s: %d layers, want 1", name, len(layers))
			continue
		}
		p, err := infer.Compile(f.Model)
		if err != nil {
			t.Fatal(name, err)
		}
		out, err := p.Run(map[string]*onnxio.Array{"x": x}, nil)
		if err != nil {
			t.Fatal(name, err)
		}
		l := layers[0]
		g, err := l.geometry(x)
		if err != nil {
			t.Error(name, err)
			continue
		}
		if l.m.blocks != 1 {
			t.Fatal(name, "is cut")
		}
		dense, row, y := l.m.gather(w.F32()), make([]float32, g.Width()), out["y"]
		if g.Places()*l.m.groups*l.m.rows != y.Len() {
			t.Errorf("%s: %d places of %d rows, the output has %v", name, g.Places(), l.m.groups*l.m.rows, y.Shape)
			continue
		}
		for place := range g.Places() {
			g.Row(row, x.F32(), place)
			for i := range l.m.groups * l.m.rows {
				group, sum := i/l.m.rows, 0.0
				for k := range l.m.cols {
					sum += dense[i*l.m.cols+k] * float64(row[group*l.m.cols+k])
				}
				if want := c.at(l.m, y, place, group, i%l.m.rows); math.Abs(sum-float64(want)) > layerTolerance {
					t.Fatalf("%s: place %d, group %d, row %d: %v, the node says %v", name, place, group, i%l.m.rows, sum, want)
				}
			}
		}
	}
}

func wide(shape []int) []int64 {
	list := make([]int64, len(shape))
	for i, d := range shape {
		list[i] = int64(d)
	}
	return list
}

func stringAttr(name, v string) *onnxio.Attribute {
	return &onnxio.Attribute{Name: name, Type: onnxio.AttrString, S: []byte(v)}
}

// correlated returns n samples of k values, each a mix of a few normal variables above zero: inputs with strong correlations and
// means, as rectifiers make them.
func correlated(seed uint64, n, k int) *onnxio.Array {
	const factors = 4
	mix, z := normal(seed, k*factors), normal(seed+1, n*factors)
	noise := normal(seed+2, n*k)
	x := make([]float32, n*k)
	for i := range n {
		for j := range k {
			v := noise[i*k+j] * 0.1
			for f := range factors {
				v += mix[j*factors+f] * z[i*factors+f]
			}
			x[i*k+j] = max(0, v)
		}
	}
	return onnxio.Floats(x, n, k)
}

// outputNoise returns the noise of y of two models over signal, on the samples of set.
func outputNoise(t *testing.T, a, b *onnxio.Model, set *dataset.Set) float64 {
	t.Helper()
	pa, err := infer.Compile(a)
	if err != nil {
		t.Fatal(err)
	}
	pb, err := infer.Compile(b)
	if err != nil {
		t.Fatal(err)
	}
	noise, signal := 0.0, 0.0
	for i := range set.Len() {
		s, err := set.Sample(i)
		if err != nil {
			t.Fatal(err)
		}
		ya, err := pa.Run(s.Feeds, nil)
		if err != nil {
			t.Fatal(err)
		}
		yb, err := pb.Run(s.Feeds, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range ya["y"].F32() {
			d := float64(v - yb["y"].F32()[k])
			noise += d * d
			signal += float64(v) * float64(v)
		}
	}
	return noise / signal
}

// Two layers on correlated inputs: with data, rounding errors are fed back and the second layer makes up for the first, so that the
// output's noise is a small part of what plain rounding leaves, on samples that took no part.
func TestDataMakeRoundingBetter(t *testing.T) {
	f := newBuilder(13).input("x", 1, 64).floats("a", normal(11, 64*48), 64, 48).floats("c", normal(12, 48), 48).floats("b", normal(13, 48*32), 48, 32).
		node("Gemm", []string{"x", "a", "c"}, "h").node("Relu", []string{"h"}, "r").node("Gemm", []string{"r", "b"}, "y").output("y", 1, 32).file(t)
	fit, fresh := samplesOf(t, f.Model, correlated(21, 256, 64)), samplesOf(t, f.Model, correlated(21, 320, 64))
	noise := func(o Options) float64 {
		_, p, _ := converted(t, f, o)
		m, _, err := Restore(p, FormFloat)
		if err != nil {
			t.Fatal(err)
		}
		return outputNoise(t, f.Model, m, fresh)
	}
	for name, o := range map[string]Options{
		"three bits":        {Bits: 3, Method: Method{name: "affine"}},
		"a codebook":        {Bits: 3, Method: Method{name: "lloyd"}},
		"integers of steps": {Bits: 8, Budget: Budget{BudgetBPW, 3.5}},
	} {
		plain := noise(o)
		o.Samples, o.Threads = fit, 2
		if got := noise(o); got > plain/3 {
			t.Errorf("%s: noise %.2g with data, %.2g without, want a third at most", name, got, plain)
		}
	}
}
