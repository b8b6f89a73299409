package convert

import (
	"bytes"
	"math"
	"testing"

	"bq/internal/infer"
	"bq/onnxio"
)

// Coded values that are a third of the float ones, less 1, ask for a factor beyond the bound; at two thirds for 1.5; the error
// that is left is none. Without variance nothing is asked.
func TestGainIsOfLeastSquares(t *testing.T) {
	x := []float32{-3, 0, 6, 9, 12, 30}
	for _, c := range []struct{ times, plus, want float64 }{{2.0 / 3, -1, 1.5}, {1, 5, 1}, {1.0 / 3, 0, mostGain}, {4, 0, 0.5}, {-1, 0, 0.5}, {0, 7, 1}} {
		y := make([]float32, len(x))
		for i, v := range x {
			y[i] = float32(float64(v)*c.times + c.plus)
		}
		var s twinSums
		s.add(x[:2], y[:2])
		s.add(x[2:], y[2:])
		// products of numbers below 100 in float64, made from float32
		if got := s.gain(); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("%v x + %v: gain %v, want %v", c.times, c.plus, got, c.want)
		}
		if c.want == 1.5 && math.Abs(s.error(1.5)) > 1e-3 {
			t.Errorf("the error left is %v, want 0", s.error(1.5))
		}
	}
	// by hand: x = 0 1 2, y = 1 1 4: means 1 and 2, cov 3, var 6, so a = 1/2 and x's 2 less 3*3/6
	var s twinSums
	s.add([]float32{0, 1, 2}, []float32{1, 1, 4})
	if s.gain() != 0.5 || s.error(0.5) != 0.5 || s.error(1) != 2 {
		t.Errorf("gain %v, errors %v and %v, want 1/2, 1/2 and 2", s.gain(), s.error(0.5), s.error(1))
	}
}

// Sums of values that do not match, or are not finite, are none.
func TestTwinSumsOfUnlikeValuesAreNone(t *testing.T) {
	two := onnxio.Floats([]float32{1, 2}, 1, 2)
	for _, c := range [][2]*onnxio.Array{
		{two, onnxio.Floats([]float32{1}, 1, 1)},
		{two, onnxio.Floats([]float32{1, float32(math.Inf(1))}, 1, 2)},
		{onnxio.Floats([]float32{1, 2}, 2), onnxio.Floats([]float32{1, 2}, 2)},
	} {
		if got := twinSumsOf(c[:1], c[1:], 1); got != nil {
			t.Errorf("sums %v of %v and %v", got, c[0], c[1])
		}
	}
	if got := twinSumsOf([]*onnxio.Array{two, two}, []*onnxio.Array{two, two}, -1); len(got) != 2 || got[1].n != 2 || got[1].xy != 8 {
		t.Errorf("sums %v, want two channels of two values", got)
	}
}

// Behind a BatchNormalization and a matrix the coded outputs of two bits have the size of the float ones: none could be multiplied by anything
// that brings it nearer.
func TestOutputsKeepTheirSize(t *testing.T) {
	const samples = 160 // as many as need no pilot
	image := normal(5, samples*8*6*6)
	rows, images := onnxio.Floats(normal(9, samples*32), samples, 32), onnxio.Floats(image, samples, 8, 6, 6)
	variance := normal(6, 16)
	for i := range variance {
		variance[i] = variance[i]*variance[i] + 0.1
	}
	matrix := func() *builder {
		return newBuilder(13).input("x", 1, 32).floats("w", normal(1, 32*64), 32, 64).floats("c", normal(2, 64), 64).output("y", 1, 64)
	}
	conv := func() *builder {
		return newBuilder(13).input("x", 1, 8, 6, 6).floats("w", normal(1, 16*8*9), 16, 8, 3, 3).floats("c", normal(2, 16), 16).output("y", 1, 16, 4, 4)
	}
	// half a step of a scale of 5 bits of fraction where scales are the weight's, float32 rounding where they are a normalization's
	const grid, exact = 1.0 / 64, 1e-4
	for _, c := range []struct {
		name      string
		b         *builder
		x         *onnxio.Array
		axis      int
		tolerance float64
		budget    Budget
	}{
		{"normalized", conv().floats("b", normal(3, 16), 16).floats("m", normal(4, 16), 16).floats("v", variance, 16).
			node("Conv", []string{"x", "w"}, "z").node("BatchNormalization", []string{"z", "c", "b", "m", "v"}, "y"), images, 1, exact, Budget{}},
		{"normalized with bias", conv().floats("s", normal(7, 16), 16).floats("b", normal(3, 16), 16).floats("m", normal(4, 16), 16).floats("v", variance, 16).
			node("Conv", []string{"x", "w", "c"}, "z").node("BatchNormalization", []string{"z", "s", "b", "m", "v"}, "y"), images, 1, exact, Budget{}},
		{"matrix", matrix().node("Gemm", []string{"x", "w", "c"}, "y"), rows, -1, grid, Budget{}},
		{"matrix and sum", matrix().node("MatMul", []string{"x", "w"}, "q").node("Add", []string{"q", "c"}, "y"), rows, -1, grid, Budget{}},
		{"matrix alone, under a budget", matrix().node("MatMul", []string{"x", "w"}, "y"), rows, -1, 1, Budget{BudgetBPW, 3}},
	} {
		f := c.b.file(t)
		r, p, _ := converted(t, f, Options{Bits: 2, Budget: c.budget, Samples: samplesOf(t, f.Model, c.x), Threads: 2})
		if r.Rescaled != 1 {
			t.Errorf("%s: %d layers rescaled, want 1", c.name, r.Rescaled)
		}
		m, _, err := Restore(p, FormFloat)
		if err != nil {
			t.Fatal(err)
		}
		sums := twinSumsOf(outputsOf(t, f.Model, c.x), outputsOf(t, m, c.x), c.axis)
		for k := range sums {
			if got := sums[k].gain(); math.Abs(got-1) > c.tolerance {
				t.Errorf("%s: output %d asks for a factor of %v", c.name, k, got)
			}
		}
	}
}

// outputsOf returns y of the samples that a conversion fits to, one by one.
func outputsOf(t *testing.T, m *onnxio.Model, x *onnxio.Array) []*onnxio.Array {
	t.Helper()
	p, err := infer.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	fit, _, _ := split(x.Shape[0])
	var list []*onnxio.Array
	each := x.Len() / x.Shape[0]
	for _, i := range fit {
		shape := append([]int{1}, x.Shape[1:]...)
		out, err := p.Run(map[string]*onnxio.Array{"x": onnxio.Floats(x.F32()[i*each:(i+1)*each], shape...)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, out["y"])
	}
	return list
}

// A MatMul gets a bias, behind an Add of its own, where its mean error is most of its error; not where it is not.
func TestMatMulGetsABiasThatPays(t *testing.T) {
	const samples, k, n = 128, 64, 16
	file := func() *onnxio.File {
		return newBuilder(13).input("x", 1, k).floats("w", normal(1, k*n), k, n).node("MatMul", []string{"x", "w"}, "y").output("y", 1, n).file(t)
	}
	for _, c := range []struct {
		mean, deviation float32
		corrected       int
	}{{1, 1.0 / 64, 1}, {0, 1, 0}} {
		x := normal(2, samples*k)
		for i := range x {
			x[i] = c.mean + c.deviation*x[i]
		}
		rows := onnxio.Floats(x, samples, k)
		f := file()
		r, p, _ := converted(t, f, Options{Bits: 3, Samples: samplesOf(t, f.Model, rows), Threads: 2})
		if r.Corrected != c.corrected || r.Corrected+r.Uncorrected != 1 {
			t.Errorf("mean %v: corrected %d, left %d", c.mean, r.Corrected, r.Uncorrected)
		}
		m, _, err := Restore(p, FormFloat)
		if err != nil {
			t.Fatal(err)
		}
		if last := m.Graph.Nodes[len(m.Graph.Nodes)-1]; c.corrected == 1 && (last.OpType != "Add" || last.Outputs[0] != "y" || m.Graph.Outputs[0].Name != "y") {
			t.Errorf("the last node is %s, which makes %s", last.OpType, last.Outputs[0])
		}
		sums := twinSumsOf(outputsOf(t, f.Model, rows), outputsOf(t, m, rows), -1)
		for i, s := range sums {
			// means of 96 float32 sums of about 64 products of size 1
			if off := math.Abs(s.x-s.y) / s.n; c.corrected == 1 && off > 1e-4 {
				t.Errorf("output %d is off by %.2g on average", i, off)
			}
		}
	}
}

// A pilot codes the same weight several times: the scales by channel that rescaling gives codes of one step are taken back with the layout
// that they belong to.
func TestAPilotTakesScalesByChannelBack(t *testing.T) {
	const samples, lines, k, n = 90, 8, 128, 16
	w := normal(1, k*n)
	for i := range w {
		w[i] /= float32(1 + i%4) // columns of unlike size, of which one step for all makes unlike errors
	}
	f := newBuilder(13).input("x", 1, lines, k).floats("w", w, k, n).node("MatMul", []string{"x", "w"}, "y").output("y", 1, lines, n).file(t)
	set := samplesOf(t, f.Model, onnxio.Floats(normal(2, samples*lines*k), samples, lines, k))
	r, p, want := converted(t, f, Options{Bits: 3, Method: Method{name: "entropy"}, Samples: set, Record: true, Threads: 2})
	x, err := p.Tensor(0)
	if err != nil {
		t.Fatal(err)
	}
	if r.Rescaled != 1 || len(x.Quant.Scales) != n {
		t.Errorf("%d layers rescaled, %d scales, want 1 and one by channel", r.Rescaled, len(x.Quant.Scales))
	}
	if _, _, got := converted(t, f, Options{Bits: 3, Method: Method{name: "entropy"}, Table: r.Table}); !bytes.Equal(got, want) {
		t.Error("the table gives other bytes")
	}
}
