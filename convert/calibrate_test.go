package convert

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

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
		err := lockstep(context.Background(), identityChain(t), scalarFeeds(5), threads, func(o string) bool { return true },
			func(output string, values []*onnxio.Array) error {
				sum := float32(0)
				for i, v := range values {
					sum += v.F32()[0]
					values[i] = onnxio.Floats([]float32{100 + float32(i)}, 1)
				}
				seen = append(seen, fmt.Sprint(output, " ", sum))
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
	err := lockstep(context.Background(), identityChain(t), scalarFeeds(4), 2, func(string) bool { return true },
		func(string, []*onnxio.Array) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("error of a step: %v", err)
	}
	bad := scalarFeeds(4)
	bad[2]["x"] = onnxio.Floats([]float32{1, 2}, 2) // the model wants one value
	if err := lockstep(context.Background(), identityChain(t), bad, 2, func(string) bool { return true },
		func(string, []*onnxio.Array) error { return nil }); err == nil {
		t.Error("a sample that can't run gave no error")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := lockstep(ctx, identityChain(t), scalarFeeds(4), 2, func(string) bool { return false }, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestLockstepBoundsHowManyCompute(t *testing.T) {
	p := identityChain(t)
	var now, most atomic.Int64
	marked := func(string) bool {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		now.Add(-1)
		return true
	}
	if err := lockstep(context.Background(), p, scalarFeeds(20), 2, marked, func(string, []*onnxio.Array) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if most.Load() > 2 {
		t.Errorf("%d runs computed at once, want at most 2", most.Load())
	}
}

// Codes by hand: 2 bits over [-1, 2]: scale 1, zero 1, so that codes 0 to 3 stand for -1, 0, 1, 2; ties go to even.
func TestActivationByHand(t *testing.T) {
	a := newActivation("x", -1, 2, 2)
	if a.Scale != 1 || a.Zero != 1 {
		t.Fatalf("scale %v, zero %d, want 1 and 1", a.Scale, a.Zero)
	}
	x := onnxio.Floats([]float32{-5, -1, -0.5, 0.4, 0.5, 1.5, 2.4, 9}, 8)
	if got := a.round(x).F32(); !slices.Equal(got, []float32{-1, -1, 0, 0, 0, 2, 2, 2}) {
		t.Errorf("rounded to %v", got)
	}
}

// The nodes that stand for a coded activation compute what calibration fitted, for every operator set: bit by bit
// where QuantizeLinear exists, and up to ties before.
func TestActivationNodesComputeTheSame(t *testing.T) {
	x := normal(3, 1000)
	for _, opset := range []int64{7, 9, 10, 12, 13, 21} {
		for _, bits := range []int{2, 4, 8} {
			for _, typ := range []onnxio.DataType{onnxio.Float, onnxio.Float16} {
				a := newActivation("x", -1.3, 2.1, bits)
				b := newBuilder(opset).input("x", int64(len(x))).node("Conv", []string{"x", "w"}, "y")
				b.m.Graph.Inputs[0].Type.Elem = typ
				uses := []dataUse{{node: b.m.Graph.Nodes[0], input: 0, typ: typ}}
				if err := insertActivations(b.m, uses, []Activation{a}); err != nil {
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

func TestActivationsNeedAReader(t *testing.T) {
	b := newBuilder(13).input("x", 4).node("Relu", []string{"x"}, "y").output("y", 4)
	err := insertActivations(b.m, nil, []Activation{newActivation("x", 0, 1, 8)})
	if err == nil || !strings.Contains(err.Error(), "no weighted node reads") {
		t.Errorf("error %v", err)
	}
}
