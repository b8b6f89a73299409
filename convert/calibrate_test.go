package convert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"bq/internal/dataset"
	"bq/internal/infer"
	"bq/onnxio"
)

func TestSplit(t *testing.T) {
	fit, check, apart := split(16)
	if !apart || len(fit) != 12 || !slices.Equal(check, []int{3, 7, 11, 15}) || slices.Contains(fit, 3) {
		t.Errorf("16 samples: fit %v, check %v, %v", fit, check, apart)
	}
	fit, check, apart = split(15)
	if apart || len(fit) != 15 || len(check) != 15 {
		t.Errorf("15 samples: fit %v, check %v, %v", fit, check, apart)
	}
	if fit, check, _ := split(0); len(fit)+len(check) != 0 {
		t.Errorf("no samples: %v, %v", fit, check)
	}
}

// x [2 samples of 1x2x2], channels on axis 1: means over samples and positions by hand.
func TestMeansAndShiftsByHand(t *testing.T) {
	a := onnxio.Floats([]float32{1, 3, 10, 20}, 1, 2, 2)
	b := onnxio.Floats([]float32{5, 7, 30, 40}, 1, 2, 2)
	mean := meanOf([]*channelSum{sumChannels(a, 1), sumChannels(b, -2)})
	if !slices.Equal(mean, []float64{4, 25}) {
		t.Fatalf("means %v, want [4 25]", mean)
	}
	values := []*onnxio.Array{a, b}
	shift := takeBack(values, []float64{5, 20}, 1)
	if !slices.Equal(shift, []float64{1, -5}) {
		t.Errorf("shift %v, want [1 -5]", shift)
	}
	if got := values[1].F32(); !slices.Equal(got, []float32{6, 8, 25, 35}) {
		t.Errorf("shifted to %v", got)
	}
	if !slices.Equal(b.F32(), []float32{5, 7, 30, 40}) {
		t.Error("the value itself was changed")
	}
	for name, c := range map[string]struct {
		v    *onnxio.Array
		axis int
	}{
		"axis outside": {a, 3},
		"no floats":    {onnxio.Int64s([]int64{1}, 1), 0},
		"rank 0":       {onnxio.Floats([]float32{1}), 0},
	} {
		if s := sumChannels(c.v, c.axis); s != nil {
			t.Errorf("%s: %v", name, s)
		}
	}
	if m := meanOf([]*channelSum{sumChannels(a, 1), sumChannels(a, 0)}); m != nil {
		t.Errorf("samples of different channels have the mean %v", m)
	}
	if m := meanOf([]*channelSum{sumChannels(onnxio.Floats(nil, 0, 2), 1)}); m != nil {
		t.Errorf("no elements have the mean %v", m)
	}
	nan := []*onnxio.Array{onnxio.Floats([]float32{float32(math.NaN())}, 1, 1)}
	if s := takeBack(nan, []float64{0}, 1); s != nil {
		t.Errorf("a NaN mean was taken back by %v", s)
	}
}

// identityChain gives out x+1 behind two nodes that can be marked.
func identityChain(t *testing.T) *infer.Program {
	t.Helper()
	p, err := infer.Compile(newBuilder(13).input("x", 1).floats("one", []float32{1}, 1).
		node("Identity", []string{"x"}, "a").node("Add", []string{"a", "one"}, "b").output("b", 1).m)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func scalarFeeds(n int) []map[string]*onnxio.Array {
	var feeds []map[string]*onnxio.Array
	for i := range n {
		feeds = append(feeds, map[string]*onnxio.Array{"x": onnxio.Floats([]float32{float32(i)}, 1)})
	}
	return feeds
}

func TestLockstepSeesAllSamplesAndReplacesThem(t *testing.T) {
	for _, threads := range []int{1, 3} {
		var seen []string
		err := lockstep(context.Background(), identityChain(t), scalarFeeds(5), threads, func(*onnxio.Node, string) bool { return true },
			func(n *onnxio.Node, _ string, values []*onnxio.Array) error {
				sum := float32(0)
				for i, v := range values {
					sum += v.F32()[0]
					values[i] = onnxio.Floats([]float32{100 + float32(i)}, 1)
				}
				seen = append(seen, fmt.Sprint(n.Name, " ", sum))
				return nil
			})
		// a: 0+1+2+3+4; b: what replaced a, plus one each
		if want := []string{"a 10", "b 515"}; err != nil || !slices.Equal(seen, want) {
			t.Errorf("%d threads: %v, %v, want %v", threads, seen, err, want)
		}
	}
}

func TestLockstepEndsOnErrors(t *testing.T) {
	stop := errors.New("stop")
	err := lockstep(context.Background(), identityChain(t), scalarFeeds(4), 2, func(*onnxio.Node, string) bool { return true },
		func(*onnxio.Node, string, []*onnxio.Array) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("error of a step: %v", err)
	}
	bad := scalarFeeds(4)
	bad[2]["x"] = onnxio.Floats([]float32{1, 2}, 2) // the model wants one value
	err = lockstep(context.Background(), identityChain(t), bad, 2, func(*onnxio.Node, string) bool { return true },
		func(*onnxio.Node, string, []*onnxio.Array) error { return nil })
	if failed := (*sampleError)(nil); !errors.As(err, &failed) || failed.sample != 2 {
		t.Errorf("a sample that can't run: %v", err)
	}
	// one run fails at its second node, while the others wait there
	calls := 0
	err = lockstep(context.Background(), identityChain(t), scalarFeeds(4), 2, func(*onnxio.Node, string) bool { return true },
		func(_ *onnxio.Node, _ string, values []*onnxio.Array) error {
			if calls++; calls == 1 {
				values[1] = onnxio.Floats([]float32{1, 2}, 2) // not the shape that the engine wants back
			}
			return nil
		})
	if failed := (*sampleError)(nil); !errors.As(err, &failed) || failed.sample != 1 {
		t.Errorf("a run that ends in the middle: %v", err)
	}
	middle, cancelMiddle := context.WithCancel(context.Background())
	err = lockstep(middle, identityChain(t), scalarFeeds(4), 2, func(n *onnxio.Node, _ string) bool { return n.Name == "a" },
		func(*onnxio.Node, string, []*onnxio.Array) error { cancelMiddle(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled in the middle: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := lockstep(ctx, identityChain(t), scalarFeeds(4), 2, func(*onnxio.Node, string) bool { return false }, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A model is mapped: where its file shrinks during a run, that is an error of the conversion and not the end of the program.
func TestLockstepMakesErrorsOfFaults(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped: windows cuts off no file that is mapped; other errors of lockstep are tested without")
	}
	path := filepath.Join(t.TempDir(), "m.onnx")
	b := newBuilder(13).floats("w", make([]float32, 1<<16), 1<<16).m.Bytes()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := onnxio.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := byte(0)
	err = lockstep(context.Background(), identityChain(t), scalarFeeds(4), 2, func(*onnxio.Node, string) bool { return true },
		func(*onnxio.Node, string, []*onnxio.Array) error {
			if err := os.Truncate(path, 0); err != nil {
				return err
			}
			for _, v := range f.Bytes {
				sum += v
			}
			return nil
		})
	var fault interface{ Addr() uintptr }
	if !errors.As(err, &fault) {
		t.Errorf("a file that was cut off (%d): %v", sum, err)
	}
}

func TestLockstepBoundsHowManyCompute(t *testing.T) {
	p := identityChain(t)
	var now, most atomic.Int64
	marked := func(*onnxio.Node, string) bool {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		now.Add(-1)
		return true
	}
	if err := lockstep(context.Background(), p, scalarFeeds(20), 2, marked, func(*onnxio.Node, string, []*onnxio.Array) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if most.Load() > 2 {
		t.Errorf("%d runs computed at once, want at most 2", most.Load())
	}
}

// Codes by hand: 2 bits over [-1, 2]: scale 1, zero 1, so that codes 0 to 3 stand for -1, 0, 1, 2; ties go to even.
func TestActivationByHand(t *testing.T) {
	a := newActivation(placed{name: "x"}, span{low: -1, high: 2}, 2)
	if a.Scale != 1 || a.Zero != 1 {
		t.Fatalf("scale %v, zero %d, want 1 and 1", a.Scale, a.Zero)
	}
	x := onnxio.Floats([]float32{-5, -1, -0.5, 0.4, 0.5, 1.5, 2.4, 9}, 8)
	if got := a.round(x).F32(); !slices.Equal(got, []float32{-1, -1, 0, 0, 0, 2, 2, 2}) {
		t.Errorf("rounded to %v", got)
	}
}

// The nodes that stand for a coded activation compute what calibration fitted, for every operator set: bit by bit
// where Round exists, and but for ties before, of which random numbers have none.
func TestActivationNodesComputeTheSame(t *testing.T) {
	x := normal(3, 1000)
	for _, opset := range []int64{7, 10, 11, 13, 21} {
		for _, bits := range []int{2, 4, 8} {
			for _, typ := range []onnxio.DataType{onnxio.Float, onnxio.Float16} {
				a := newActivation(placed{name: "x"}, span{low: -1.3, high: 2.1}, bits)
				b := newBuilder(opset).input("x", int64(len(x))).node("Conv", []string{"x", "w"}, "y")
				b.m.Graph.Inputs[0].Type.Elem = typ
				uses := []dataUse{{node: b.m.Graph.Nodes[0], input: 0, typ: typ}}
				if err := insertActivations(b.m, uses, []Activation{a}, nil); err != nil {
					t.Fatal(err)
				}
				last := b.m.Graph.Nodes[len(b.m.Graph.Nodes)-1]
				coded := last.Inputs[0]
				if last.OpType != "Conv" || coded == "x" {
					t.Fatalf("opset %d: the node reads %s", opset, coded)
				}
				last.OpType, last.Inputs = "Identity", []string{coded}
				b.output("y")
				p, err := infer.Compile(b.m)
				if err != nil {
					t.Fatal(err)
				}
				in := &onnxio.Array{Type: typ, Shape: []int{len(x)}, Data: slices.Clone(x)}
				roundTo(typ, in.F32())
				out, err := p.Run(map[string]*onnxio.Array{"x": in}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if want := a.round(in).F32(); !slices.Equal(out["y"].F32(), want) {
					t.Errorf("opset %d, %d bits, %v: nodes and calibration differ", opset, bits, typ)
				}
			}
		}
	}
}

// The float mean of every channel must come back at the output of the corrected node, whatever form its bias has: the
// quantized model is run by another path than the one that fitted it.
func TestBiasCorrectionBringsTheMeansBack(t *testing.T) {
	alpha := func(a, b float32) []*onnxio.Attribute {
		return []*onnxio.Attribute{floatAttr("alpha", a), floatAttr("beta", b)}
	}
	x := normal(9, 8*16)
	image := normal(5, 8*8*6*6)
	for i := range x {
		x[i]++
	}
	for i := range image {
		image[i]++
	}
	rows, images := onnxio.Floats(x, 8, 16), onnxio.Floats(image, 8, 8, 6, 6)
	dense := func() *builder {
		return newBuilder(13).input("x", 1, 16).floats("w", normal(1, 512), 16, 32).output("y", 1, 32)
	}
	conv := func() *builder {
		return newBuilder(13).input("x", 1, 8, 6, 6).floats("w", normal(1, 16*8*9), 16, 8, 3, 3).floats("c", normal(2, 16), 16).output("y", 1, 16, 4, 4)
	}
	variance := normal(6, 16)
	for i := range variance {
		variance[i] = variance[i]*variance[i] + 0.1
	}
	cases := []struct {
		name  string
		b     *builder
		x     *onnxio.Array
		axis  int
		count int
	}{
		{"gemm", dense().floats("c", normal(2, 32), 32).node("Gemm", []string{"x", "w", "c"}, "y", alpha(0.5, 3)...), rows, -1, 1},
		{"gemm without bias", dense().node("Gemm", []string{"x", "w"}, "y", alpha(0.5, 3)...), rows, -1, 1},
		{"gemm, bias of two axes", dense().floats("c", normal(2, 32), 1, 32).node("Gemm", []string{"x", "w", "c"}, "y"), rows, -1, 1},
		{"gemm, one bias for all", dense().floats("c", normal(2, 1), 1).node("Gemm", []string{"x", "w", "c"}, "y"), rows, -1, 1},
		{"matmul and add", dense().floats("c", normal(2, 32), 32).node("MatMul", []string{"x", "w"}, "q").node("Add", []string{"c", "q"}, "y"), rows, -1, 1},
		{"convolution", conv().node("Conv", []string{"x", "w", "c"}, "y"), images, 1, 1},
		{"convolution without bias", conv().node("Conv", []string{"x", "w"}, "y"), images, 1, 1},
		{"convolution and normalization", conv().floats("b", normal(3, 16), 16).floats("m", normal(4, 16), 16).floats("v", variance, 16).
			node("Conv", []string{"x", "w"}, "z").node("BatchNormalization", []string{"z", "c", "b", "m", "v"}, "y", floatAttr("epsilon", 0.01)), images, 1, 1},
		{"two convolutions of one bias", conv().floats("w2", normal(8, 16*8*9), 16, 8, 3, 3).node("Conv", []string{"x", "w", "c"}, "p").
			node("Conv", []string{"x", "w2", "c"}, "q").node("Add", []string{"p", "q"}, "y"), images, 1, 2},
		{"transposed convolution of two groups", newBuilder(13).input("x", 1, 8, 6, 6).floats("w", normal(1, 8*6*9), 8, 6, 3, 3).floats("c", normal(2, 12), 12).
			node("ConvTranspose", []string{"x", "w", "c"}, "y", intAttr("group", 2)).output("y", 1, 12, 8, 8), images, 1, 1},
	}
	// sums of some hundred float32 products: 1e-5 of the largest mean is far above rounding, far below the shift
	const rounding = 1e-5
	for _, c := range cases {
		f := c.b.file(t)
		set := samplesOf(t, f.Model, c.x)
		r, p, _ := converted(t, f, Options{Bits: 2, Samples: set, Threads: 2})
		if r.Corrected != c.count || r.Uncorrected != 0 {
			t.Errorf("%s: corrected %d, left %d", c.name, r.Corrected, r.Uncorrected)
		}
		m, _, err := Restore(p, FormFloat)
		if err != nil {
			t.Fatal(err)
		}
		want, got := meansOf(t, f.Model, set, c.axis), meansOf(t, m, set, c.axis)
		_, plain, _ := converted(t, f, Options{Bits: 2, Threads: 2})
		uncorrected, _, err := Restore(plain, FormFloat)
		if err != nil {
			t.Fatal(err)
		}
		before := gap(want, meansOf(t, uncorrected, set, c.axis))
		if after := gap(want, got); after > rounding || before < 100*rounding {
			t.Errorf("%s: the means are off by %.2g, by %.2g without correction", c.name, after, before)
		}
	}
}

// samplesOf opens an array of samples for a model's input x.
func samplesOf(t *testing.T, m *onnxio.Model, x *onnxio.Array) *dataset.Set {
	t.Helper()
	var b bytes.Buffer
	if err := dataset.WriteNPZ(&b, []dataset.Named{{Name: m.Graph.Inputs[0].Name, Array: x}}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.npz")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Open(dataset.Inputs(m.Graph), dataset.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// meansOf runs m on all samples and returns the mean of y by channel.
func meansOf(t *testing.T, m *onnxio.Model, set *dataset.Set, axis int) []float64 {
	t.Helper()
	p, err := infer.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	var sums []*channelSum
	for i := range set.Len() {
		s, err := set.Sample(i)
		if err != nil {
			t.Fatal(err)
		}
		out, err := p.Run(s.Feeds, nil)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, sumChannels(out["y"], axis))
	}
	return meanOf(sums)
}

// gap returns the largest difference relative to the largest value.
func gap(want, got []float64) float64 {
	off, largest := 0.0, 0.0
	for i := range want {
		off, largest = max(off, math.Abs(want[i]-got[i])), max(largest, math.Abs(want[i]))
	}
	return off / largest
}

func TestNodesWithoutPlaceAreCounted(t *testing.T) {
	f := newBuilder(13).input("x", 1, 16).floats("w", normal(1, 512), 16, 32).floats("u", normal(2, 1024), 32, 32).
		node("MatMul", []string{"x", "w"}, "a").node("Gemm", []string{"u", "t"}, "b").
		node("Transpose", []string{"a"}, "t").node("Identity", []string{"b"}, "y").output("y", 32, 1).file(t)
	r, _, _ := converted(t, f, Options{Samples: samplesOf(t, f.Model, onnxio.Floats(normal(3, 64), 4, 16))})
	if r.Corrected != 0 || r.Uncorrected != 2 { // a MatMul without Add, a Gemm whose weight is its first input
		t.Errorf("corrected %d, left %d, want 0 and 2", r.Corrected, r.Uncorrected)
	}
}

func TestOneValueForTwoWeightsIsCodedOnce(t *testing.T) {
	f := newBuilder(13).input("x", 1, 16).floats("w", normal(1, 512), 16, 32).floats("v", normal(2, 512), 16, 32).
		node("MatMul", []string{"x", "w"}, "a").node("MatMul", []string{"x", "v"}, "b").node("Add", []string{"a", "b"}, "y").output("y", 1, 32).file(t)
	r, p, _ := converted(t, f, Options{Bits: 8, ActBits: 8, Samples: samplesOf(t, f.Model, onnxio.Floats(normal(3, 64), 4, 16))})
	if len(r.Activations) != 1 || r.Activations[0].Name != "x" {
		t.Errorf("activations %+v, want x alone", r.Activations)
	}
	for _, form := range []Form{FormFloat, FormQDQ} {
		m, _, err := Restore(p, form)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := infer.Compile(m); err != nil {
			t.Error(err)
		}
	}
}

func TestErrorsNameTheSample(t *testing.T) {
	x := make([]float32, 16*20)
	for i := range x {
		x[i] = 1
	}
	x[16*6] = -1 // its logarithm is NaN
	f := newBuilder(13).input("x", 1, 16).floats("w", normal(1, 512), 16, 32).
		node("Log", []string{"x"}, "l").node("MatMul", []string{"l", "w"}, "y").output("y", 1, 32).file(t)
	_, err := Convert(context.Background(), f, &bytes.Buffer{}, Options{Bits: 8, ActBits: 8, Samples: samplesOf(t, f.Model, onnxio.Floats(x, 20, 16))})
	if err == nil || !strings.Contains(err.Error(), `calibrating "l": NaN or infinity in x.npz[6]`) {
		t.Errorf("error %v", err)
	}
	// without coded activations it is the corrected output that shows it
	g := newBuilder(13).input("x", 1, 16).floats("w", normal(1, 512), 16, 32).
		node("Log", []string{"x"}, "l").node("Gemm", []string{"l", "w"}, "y").output("y", 1, 32).file(t)
	_, err = Convert(context.Background(), g, &bytes.Buffer{}, Options{Bits: 8, Samples: samplesOf(t, g.Model, onnxio.Floats(x, 20, 16))})
	if err == nil || !strings.Contains(err.Error(), `calibrating "y": NaN or infinity in x.npz[6]`) {
		t.Errorf("error %v", err)
	}
}

// A value that is zero in all samples has no range; it stays zero.
func TestActivationWithoutRange(t *testing.T) {
	a := newActivation(placed{name: "x"}, span{low: 0, high: 0}, 8)
	if got := a.round(onnxio.Floats([]float32{0, 0}, 2)).F32(); !(a.Scale > 0) || got[0] != 0 || got[1] != 0 {
		t.Errorf("scale %v, zero becomes %v", a.Scale, got)
	}
}

func TestActivationsNeedAReader(t *testing.T) {
	b := newBuilder(13).input("x", 4).node("Relu", []string{"x"}, "y").output("y", 4)
	err := insertActivations(b.m, nil, []Activation{newActivation(placed{name: "x"}, span{low: 0, high: 1}, 8)}, nil)
	if err == nil || !strings.Contains(err.Error(), "no weighted node reads") {
		t.Errorf("error %v", err)
	}
}
