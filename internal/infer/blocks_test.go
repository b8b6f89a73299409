package infer

import (
	"strings"
	"testing"

	"bq/internal/kernel"
	"bq/onnxio"
)

// blockCases are graphs whose images lie in blocks of channels for a while, with how many convolutions do.
func blockCases() []fusionCase {
	type arrays = map[string]*onnxio.Array
	first := newNode("Conv", "x w b", "c", ints("pads", 1, 1, 1, 1))
	ws := arrays{"w": noise(1, 40, 4, 3, 3), "b": noise(2, 40), "u": noise(3, 16, 40, 1, 1), "d": noise(4, 40, 1, 3, 3), "r": noise(5, 40, 40, 1, 1),
		"s": noise(6, 40), "o": noise(7, 40), "m": noise(8, 40), "v": aboveZero(noise(9, 40)), "k": noise(10, 40, 1, 1), "odd": noise(11, 7, 40, 1, 1),
		"pads": onnxio.Int64s([]int64{0, 0, 1, 0, 0, 0, 2, 1}, 8), "scales": onnxio.Floats([]float32{1, 1, 2, 2}, 4),
		"sizes": onnxio.Int64s([]int64{2, 40, 5, 14}, 4), "wide": noise(12, 32, 40, 1, 1), "lo": scalar(0), "hi": scalar(1),
		"t": noise(13, 40, 16, 2, 2), "q": noise(14, 16, 24, 3, 4), "k1": noise(15, 24), "w80": noise(16, 80, 4, 3, 3), "r80": noise(17, 80, 80, 1, 1),
		"single": noise(18, 1, 40, 1, 1), "u16": noise(19, 16, 16, 1, 1)}
	x := noise(20, 2, 4, 9, 7)
	chain := func(nodes ...*onnxio.Node) []*onnxio.Node { return append([]*onnxio.Node{first}, nodes...) }
	cases := []fusionCase{
		{name: "convolution alone", nodes: []*onnxio.Node{newNode("Conv", "x w b", "y", ints("strides", 2, 2), ints("dilations", 2, 1))}},
		{name: "two convolutions", nodes: chain(newNode("Relu", "c", "e"), newNode("Conv", "e u", "y"))},
		{name: "depthwise", nodes: chain(newNode("Conv", "c d", "y", integerAttr("group", 40), ints("strides", 2, 1), ints("pads", 0, 1, 1, 0)))},
		{name: "residual", nodes: chain(newNode("Conv", "c r", "e"), newNode("Add", "c e", "f"), newNode("Relu", "f", "y"))},
		{name: "residual of its own source", nodes: []*onnxio.Node{newNode("Conv", "x w80", "c"), newNode("Relu", "c", "e"), newNode("Conv", "e r80", "f"),
			newNode("Add", "f e", "g"), newNode("Conv", "g r80", "y")}},
		{name: "convolution of ONNX Runtime with a sum and an activation", z: noise(21, 2, 16, 9, 7), nodes: chain(
			ofMicrosoft(newNode("FusedConv", "c u _ z", "e", text("activation", "Relu"))), newNode("Conv", "e u16", "y"))},
		{name: "sum with one channel", nodes: chain(newNode("Conv", "c single", "e"), newNode("Conv", "c u", "f"), newNode("Add", "f e", "g"),
			newNode("Conv", "g u16", "y"))},
		{name: "sum with a fed value", z: noise(21, 2, 40, 9, 7), nodes: chain(newNode("Add", "c z", "y"))},
		{name: "sum that broadcasts falls back", z: noise(21, 1, 1, 9, 7), nodes: chain(newNode("Add", "c z", "y"))},
		{name: "value that a declined group and a convolution read falls back", z: noise(21, 1, 1, 9, 7), nodes: chain(newNode("Conv", "c single", "e"),
			newNode("Conv", "c u", "f"), newNode("Add", "f e", "g"), newNode("Conv", "c u", "h"), newNode("Add", "h z", "i"), newNode("Mul", "g i", "y"))},
		{name: "squeeze and excite", nodes: chain(newNode("GlobalAveragePool", "c", "g"), newNode("Conv", "g r", "h"), newNode("HardSigmoid", "h", "i"),
			newNode("Mul", "c i", "y"))},
		{name: "silu", nodes: chain(newNode("Sigmoid", "c", "g"), newNode("Mul", "c g", "e"), newNode("Conv", "e u", "y"))},
		{name: "pools", nodes: chain(newNode("MaxPool", "c", "e", ints("kernel_shape", 3, 2), ints("strides", 2, 2), ints("pads", 1, 0, 1, 1)),
			newNode("AveragePool", "e", "f", ints("kernel_shape", 2, 2), ints("pads", 1, 1, 0, 0)),
			newNode("AveragePool", "f", "y", ints("kernel_shape", 2, 2), ints("pads", 1, 1, 0, 0), integerAttr("count_include_pad", 1)))},
		{name: "per channel", nodes: chain(newNode("MaxPool", "c", "e", ints("kernel_shape", 2, 2)), newNode("BatchNormalization", "e s o m v", "f"),
			newNode("Mul", "k f", "g"), newNode("Clip", "g lo hi", "y"))},
		{name: "concat", nodes: chain(newNode("Conv", "c wide", "e"), newNode("Concat", "e c", "f", integerAttr("axis", 1)), newNode("Relu", "f", "y"))},
		{name: "concat of parts of blocks", nodes: chain(newNode("Conv", "c wide", "e"), newNode("Concat", "c e", "f", integerAttr("axis", 1)), newNode("Relu", "f", "y"))},
		{name: "pad", nodes: chain(newNode("Pad", "c pads", "e"), newNode("Conv", "e d", "y", integerAttr("group", 40)))},
		{name: "resize", nodes: chain(newNode("Resize", "c _ scales", "e", text("mode", "linear")), newNode("Resize", "e _ _ sizes", "y"))},
		{name: "value in blocks is a result", more: []string{"c", "e"}, nodes: chain(newNode("Relu", "c", "e"), newNode("Conv", "e odd", "y"))},
		{name: "value in blocks meets others", nodes: chain(newNode("Transpose", "c", "e", ints("perm", 0, 1, 3, 2)), newNode("Conv", "e u", "y"))},
		{name: "transposed", nodes: chain(newNode("ConvTranspose", "c t", "e", ints("strides", 2, 2)), newNode("Relu", "e", "f"),
			newNode("ConvTranspose", "f q k1", "y", ints("strides", 2, 1), ints("pads", 1, 1, 1, 1), ints("output_padding", 1, 0)))},
		{name: "one dimension", x: noise(22, 2, 4, 31), nodes: []*onnxio.Node{newNode("Conv", "x w1", "c", ints("strides", 3)), newNode("Tanh", "c", "e"),
			newNode("MaxPool", "e", "y", ints("kernel_shape", 2))}, consts: arrays{"w1": noise(1, 24, 4, 5)}},
	}
	for i := range cases {
		c := &cases[i]
		if c.consts == nil {
			c.x, c.consts = x, ws
		}
	}
	return cases
}

// ofMicrosoft puts a node into the domain of ONNX Runtime's own operators.
func ofMicrosoft(n *onnxio.Node) *onnxio.Node {
	n.Domain = "com.microsoft"
	return n
}

// TestBlocks compares runs in blocks with plain ones, on all instruction sets that have blocks, the second time on memory
// of the first, and by the batch. Whatever falls back does so once.
func TestBlocks(t *testing.T) {
	if !kernel.BlocksPay() {
		t.Skip("no vector kernels for images in blocks")
	}
	for _, c := range blockCases() {
		t.Run(c.name, func(t *testing.T) {
			p, feeds := c.compile(t)
			plain, err := p.Run(feeds, seen)
			if err != nil {
				t.Fatal(err)
			}
			p.graph.fused()
			if p.graph.layout.Load() == nil {
				t.Error("nothing lies in blocks")
			}
			for range 2 {
				got, err := p.Run(feeds, nil)
				if err != nil {
					t.Fatal(err)
				}
				for name, w := range plain {
					if i := differs(got[name].F32(), w.F32(), blockTolerance); i >= 0 || !equalShape(got[name].Shape, w.Shape) {
						t.Errorf("output %s %v, want shape %v: element %d differs", name, got[name].Shape, w.Shape, i)
					}
				}
			}
			if fell := p.graph.layout.Load() == nil; fell != strings.HasSuffix(c.name, "falls back") {
				t.Errorf("fell back: %v", fell)
			}
		})
	}
}

// blockTolerance is fusedTolerance for chains of convolutions of 40 channels, whose sums are larger than their results.
const blockTolerance = 1e-4

// TestBlockErrors: shapes that do not fit fail with the words of the plain form.
func TestBlockErrors(t *testing.T) {
	c := fusionCase{nodes: []*onnxio.Node{newNode("Conv", "x w", "c"), newNode("Relu", "c", "y")}, consts: map[string]*onnxio.Array{"w": noise(1, 16, 20, 3, 3)}}
	same := func() {
		t.Helper()
		p, feeds := c.compile(t)
		_, plain := p.Run(feeds, seen)
		_, fused := p.Run(feeds, nil)
		if plain == nil || fused == nil || plain.Error() != fused.Error() {
			t.Errorf("%v %v: plain %v, in blocks %v", c.x.Type, c.x.Shape, plain, fused)
		}
	}
	for _, x := range []*onnxio.Array{noise(1, 2, 19, 5, 5), noise(1, 2, 20, 2, 5), noise(1, 20, 5), scalar(1), onnxio.NewArray(onnxio.Double, 1, 20, 5, 5)} {
		c.x = x
		same()
	}
	c.nodes = []*onnxio.Node{newNode("Conv", "x w", "c"), newNode("Conv", "c v", "y")}
	c.x = noise(1, 2, 20, 5, 5)
	for _, in := range []int{10, 15, 17, 100} { // as many blocks as 16 channels have, and more
		c.consts["v"] = noise(2, 16, in, 1, 1)
		same()
	}
}

// TestHalfBlocks: in float16 every node rounds, in blocks too; what would not is done as the graph has it, and nothing
// sends the graph back.
func TestHalfBlocks(t *testing.T) {
	half := func(seed uint64, shape ...int) *onnxio.Array {
		a := onnxio.NewArray(onnxio.Float16, shape...)
		copy(a.F32(), noise(seed, shape...).F32())
		kernel.RoundHalf(a.F32())
		return a
	}
	first := newNode("Conv", "x w b", "c", ints("pads", 1, 1, 1, 1))
	consts := map[string]*onnxio.Array{"w": half(1, 32, 4, 3, 3), "b": half(2, 32), "u": half(3, 16, 32, 1, 1), "d": half(4, 32, 1, 3, 3), "k": half(5, 32, 1, 1)}
	for _, c := range []fusionCase{
		{name: "relu", nodes: []*onnxio.Node{first, newNode("Relu", "c", "e"), newNode("Conv", "e u", "y")}},
		{name: "depthwise, pool and concat", nodes: []*onnxio.Node{first, newNode("Conv", "c d", "e", integerAttr("group", 32), ints("pads", 1, 1, 1, 1)),
			newNode("Concat", "e c", "f", integerAttr("axis", 1)), newNode("MaxPool", "f", "y", ints("kernel_shape", 2, 2))}},
		{name: "mean", nodes: []*onnxio.Node{first, newNode("AveragePool", "c", "y", ints("kernel_shape", 2, 2))}},
		{name: "sum behind", z: half(6, 2, 32, 9, 7), nodes: []*onnxio.Node{first, newNode("Add", "c z", "e"), newNode("Relu", "e", "y")}},
		{name: "sum before", z: half(6, 2, 32, 9, 7), nodes: []*onnxio.Node{first, newNode("Add", "z c", "e"), newNode("Relu", "e", "y")}},
		{name: "factors", nodes: []*onnxio.Node{first, newNode("Mul", "k c", "y")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.x, c.consts = half(7, 2, 4, 9, 7), consts
			p, feeds := c.compile(t)
			plain, err := p.Run(feeds, seen)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Run(feeds, nil)
			if err != nil {
				t.Fatal(err)
			}
			if i := differs(got["y"].F32(), plain["y"].F32(), halfTolerance); i >= 0 || got["y"].Type != onnxio.Float16 || !equalShape(got["y"].Shape, plain["y"].Shape) {
				t.Errorf("%v %v, want %v: element %d differs", got["y"].Type, got["y"].Shape, plain["y"].Shape, i)
			}
			if kernel.BlocksPay() && p.graph.layout.Load() == nil {
				t.Error("nothing lies in blocks")
			}
		})
	}
}

// halfTolerance is a few steps of float16: a sum in another order may round to a neighbour, which the next layer spreads.
const halfTolerance = 4e-3

// TestBlocksOfOuterGraphStay: a body that falls back takes no other graph with it.
func TestBlocksOfOuterGraphStay(t *testing.T) {
	if !kernel.BlocksPay() {
		t.Skip("no vector kernels for images in blocks")
	}
	body := &onnxio.Graph{Name: "body", Outputs: []*onnxio.ValueInfo{{Name: "r"}}, Nodes: []*onnxio.Node{newNode("Conv", "c u", "e"), newNode("Add", "e z", "r")}}
	other := &onnxio.Graph{Name: "other", Outputs: []*onnxio.ValueInfo{{Name: "s"}}, Nodes: []*onnxio.Node{newNode("Conv", "c u", "s")}}
	c := fusionCase{x: noise(1, 1, 4, 9, 7), z: noise(2, 1, 1, 7, 5), consts: map[string]*onnxio.Array{"w": noise(3, 32, 4, 3, 3), "u": noise(4, 16, 32, 1, 1),
		"yes": {Type: onnxio.Bool, Shape: []int{}, Data: []bool{true}}}, nodes: []*onnxio.Node{newNode("Conv", "x w", "c"),
		newNode("If", "yes", "y", graphAttr("then_branch", body), graphAttr("else_branch", other))}}
	p, feeds := c.compile(t)
	plain, err := p.Run(feeds, seen)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := p.Run(feeds, nil)
		if err != nil {
			t.Fatal(err)
		}
		if i := differs(got["y"].F32(), plain["y"].F32(), blockTolerance); i >= 0 {
			t.Errorf("element %d differs", i)
		}
	}
	if p.graph.layout.Load() == nil {
		t.Error("the outer graph fell back")
	}
	if inner := p.graph.nodes[len(p.graph.nodes)-1].subs[0]; inner.layout.Load() != nil {
		t.Error("the body did not fall back")
	}
}
