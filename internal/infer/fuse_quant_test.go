package infer

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"bq/internal/kernel"
	"bq/onnxio"
)

// codesWithin is the part of codes that may differ from those of the graph in float32, by one step: the two round sums in
// different places, which counts where a value lies within some units of its last place from the border of two codes.
const codesWithin = 1e-3

// randomCodes returns codes of type t.
func randomCodes(seed uint64, t onnxio.DataType, shape ...int) *onnxio.Array {
	a, rng := onnxio.NewArray(t, shape...), rand.New(rand.NewPCG(seed, 2))
	for i := range byteData(a) {
		byteData(a)[i] = uint8(rng.IntN(256))
	}
	return a
}

func byteScalar(v uint8) *onnxio.Array {
	return &onnxio.Array{Type: onnxio.Uint8, Shape: []int{}, Data: []uint8{v}}
}
func int8Scalar(v int8) *onnxio.Array {
	return &onnxio.Array{Type: onnxio.Int8, Shape: []int{}, Data: []int8{v}}
}

// scales returns n positive scales around v.
func scales(seed uint64, v float32, n int) *onnxio.Array {
	a := noise(seed, n)
	for i, x := range a.F32() {
		a.F32()[i] = v * (1 + 0.3*float32(math.Tanh(float64(x))))
	}
	return a
}

// chainOf quantizes value in to value out in float32, with 255 codes and zero point.
func chainOf(in, out, scale, zero string) []*onnxio.Node {
	n := func(s string) string { return out + "." + s }
	return []*onnxio.Node{
		newNode("Div", in+" "+scale, n("d")), newNode("Round", n("d"), n("r")), newNode("Add", n("r")+" "+zero, n("a")),
		newNode("Clip", n("a")+" lo hi", n("c")), newNode("Sub", n("c")+" "+zero, n("s")), newNode("Mul", n("s")+" "+scale, out),
	}
}

// onCodes lists the nodes that read codes or make them, by the last operator they stand for.
func (g *graph) onCodes() []string {
	form := g.fuse(true)
	if form == nil {
		return nil
	}
	var list []string
	for _, nd := range form.nodes {
		if nd.fast != nil && nd.parts == nil {
			list = append(list, nd.OpType)
		}
	}
	return list
}

// sameCodes compares values that are codes, or were, or are made of sums.
func sameCodes(t *testing.T, got, want *onnxio.Array) {
	t.Helper()
	if got.Type != want.Type || !equalShape(got.Shape, want.Shape) {
		t.Fatalf("%v %v, want %v %v", got.Type, got.Shape, want.Type, want.Shape)
	}
	if !isByte(got) {
		off := 0
		for i := range want.F32() {
			if differs(got.F32()[i:i+1], want.F32()[i:i+1], fusedTolerance) >= 0 {
				off++
			}
		}
		if float64(off) > codesWithin*float64(want.Len()) {
			t.Errorf("%d of %d values differ, the first %d: %v, want %v", off, want.Len(), differs(got.F32(), want.F32(), fusedTolerance), got.F32()[:8], want.F32()[:8])
		}
		return
	}
	off, distinct, codes := 0, map[int64]bool{}, got.Ints()
	for i, w := range want.Ints() {
		d := codes[i] - w
		if distinct[w] = true; d > 1 || d < -1 {
			t.Fatalf("code %d is %d, want %d", i, codes[i], w)
		}
		if d != 0 {
			off++
		}
	}
	if float64(off) > codesWithin*float64(want.Len()) || len(distinct) < 20 {
		t.Errorf("%d of %d codes differ, %d different ones", off, want.Len(), len(distinct))
	}
}

func quantCases() []fusionCase {
	type arrays = map[string]*onnxio.Array
	join := func(lists ...[]*onnxio.Node) []*onnxio.Node { return slices.Concat(lists...) }
	one := func(n ...*onnxio.Node) []*onnxio.Node { return n }
	x := noise(3, 1, 8, 13, 11)
	pair := one(newNode("QuantizeLinear", "x xs xz", "xq"), newNode("DequantizeLinear", "xq xs xz", "xd"))
	deq := one(newNode("DequantizeLinear", "w ws wz", "wd", integerAttr("axis", 0)))
	out := one(newNode("QuantizeLinear", "r ys yz", "y"))
	conv := func(more ...*onnxio.Attribute) []*onnxio.Node {
		return one(newNode("Conv", "xd wd b", "c", append(more, ints("pads", 1, 1, 1, 1))...))
	}
	relu := one(newNode("Relu", "c", "r"))
	base := func(more arrays) arrays {
		c := arrays{"xs": scalar(0.02), "xz": byteScalar(121), "w": randomCodes(1, onnxio.Uint8, 16, 8, 3, 3), "ws": scales(2, 0.01, 16), "wz": randomCodes(3, onnxio.Uint8, 16),
			"b": noise(4, 16), "ys": scalar(0.05), "yz": byteScalar(0), "lo": scalar(0), "hi": scalar(255)}
		for k, v := range more {
			c[k] = v
		}
		return c
	}
	signed := arrays{"xz": int8Scalar(-7), "w": randomCodes(1, onnxio.Int8, 16, 8, 3, 3), "wz": onnxio.NewArray(onnxio.Int8, 16), "yz": int8Scalar(-100)}
	deep := arrays{"w": randomCodes(1, onnxio.Uint8, 8, 1, 3, 3), "ws": scales(2, 0.01, 8), "wz": randomCodes(3, onnxio.Uint8, 8), "b": noise(4, 8)}
	norm := one(newNode("BatchNormalization", "c s o m v", "n"), newNode("Clip", "n low high", "k"))
	stats := arrays{"s": noise(4, 16), "o": noise(5, 16), "m": noise(6, 16), "v": aboveZero(noise(7, 16)), "low": scalar(-0.5), "high": scalar(3), "xc": scalar(121), "yc": scalar(11)}
	stats["s"].F32()[3] = 0 // a channel without scale
	matrix := arrays{"w": randomCodes(1, onnxio.Uint8, 40, 24), "ws": scales(2, 0.01, 40), "wz": randomCodes(3, onnxio.Uint8, 40), "b": noise(4, 40)}
	square := arrays{"w": randomCodes(1, onnxio.Int8, 24, 24), "ws": scales(2, 0.01, 24), "wz": onnxio.NewArray(onnxio.Int8, 24), "b": noise(4, 24)}
	q := func(in, out, scale, zero string) []*onnxio.Node {
		return one(newNode("QuantizeLinear", in+" "+scale+" "+zero, out+".q"), newNode("DequantizeLinear", out+".q "+scale+" "+zero, out))
	}
	cr := join(pair, deq, conv(), relu, q("r", "d", "ys", "yz")) // codes of a convolution
	more := arrays{"rs": scalar(0.03107), "rz": byteScalar(90), "rz2": byteScalar(7), "axes": onnxio.Int64s([]int64{1}, 1), "from": onnxio.Int64s([]int64{3}, 1), "to": onnxio.Int64s([]int64{14}, 1),
		"flat": onnxio.Int64s([]int64{1, 16, -1}, 3), "pads": onnxio.Int64s([]int64{0, 0, 1, 0, 0, 0, 0, 2}, 8), "twice": onnxio.Floats([]float32{1, 1, 2, 2}, 4), "three": scalar(3), "six": scalar(6), "zero": scalar(0),
		"lo8": byteScalar(0), "hi8": byteScalar(63), "s63": scalar(0.13), "parts": onnxio.Int64s([]int64{5, 11}, 2),
		"ib": {Type: onnxio.Int32, Shape: []int{16}, Data: []int32{1, -900, 33, 4000, 5, 6, -7, 800, 9, -10, 11, 12, 1300, 14, 15, 16}}, "is": onnxio.NewArray(onnxio.Float, 16), "iz": onnxio.NewArray(onnxio.Int32, 16)}
	for o, v := range base(nil)["ws"].F32() {
		more["is"].F32()[o] = v * 0.02
	}
	pixels := arrays{"w": randomCodes(1, onnxio.Int8, 16, 8, 3, 3), "w3": randomCodes(5, onnxio.Int8, 16, 16, 3, 3), "begin": onnxio.Int64s([]int64{1, -1}, 2), "end": onnxio.Int64s([]int64{12, -12}, 2),
		"spatial": onnxio.Int64s([]int64{2, 3}, 2), "steps": onnxio.Int64s([]int64{2, -2}, 2), "around": onnxio.Int64s([]int64{0, 5, 1, 0, 0, 7, 0, 2}, 8), "wz": onnxio.NewArray(onnxio.Int8, 16)}
	for k, v := range more {
		pixels[k] = v
	}
	photo := arrays{"w": randomCodes(1, onnxio.Int8, 16, 3, 3, 3), "wz": onnxio.NewArray(onnxio.Int8, 16), "large": onnxio.Floats([]float32{1, 1, 2.5, 3}, 4), "size": onnxio.Int64s([]int64{2, 16, 23, 5}, 4), "rs": scalar(0.03107), "rz": byteScalar(90)}
	c := func(name string, consts arrays, x *onnxio.Array, nodes []*onnxio.Node, want ...string) fusionCase {
		return fusionCase{name: name, nodes: nodes, consts: base(consts), x: x, want: want}
	}
	return []fusionCase{
		c("conv relu", nil, x, join(pair, deq, conv(), relu, out), "QuantizeLinear"),
		c("conv relu of int8", signed, x, join(pair, deq, conv(), relu, out), "QuantizeLinear"),
		c("depthwise conv", deep, x, join(pair, deq, conv(integerAttr("group", 8)), relu, out), "QuantizeLinear"),
		c("depthwise conv of floats stays", deep, x, join(pair, deq, conv(integerAttr("group", 8)), one(newNode("Sigmoid", "c", "y")))),
		c("conv sigmoid", nil, x, join(pair, deq, conv(), one(newNode("Sigmoid", "c", "y"))), "Sigmoid"),
		c("conv norm clip, in float32", stats, x, join(chainOf("x", "xd", "xs", "xc"), deq, conv(), norm, chainOf("k", "y", "ys", "yc")), "Clip", "Clip", "Mul"),
		c("two convs and a sum of floats", stats, x, join(chainOf("x", "xd", "xs", "xc"), deq, conv(), relu, chainOf("r", "rd", "ys", "yc"),
			one(newNode("DequantizeLinear", "w2 ws2", "wd2", integerAttr("axis", 0)), newNode("Conv", "rd wd2", "c2"), newNode("Add", "c2 rd", "y"))), "Clip", "Relu", "Mul", "Conv"),
		c("value read as floats too", nil, x, join(pair, deq, conv(), relu, one(newNode("GlobalMaxPool", "xd", "g"), newNode("ReduceMax", "g", "h"), newNode("Add", "r h", "y"))), "Relu"),
		c("gemm", matrix, noise(3, 5, 24), join(pair, deq, one(newNode("Gemm", "xd wd b", "c", integerAttr("transB", 1)), newNode("Relu", "c", "y"))), "Relu"),
		c("matmul add", square, noise(3, 2, 5, 24), join(pair, one(newNode("DequantizeLinear", "w ws wz", "wd", integerAttr("axis", -1)), newNode("MatMul", "xd wd", "c"),
			newNode("Add", "b c", "a"), newNode("Tanh", "a", "y"))), "Tanh"),
		c("scales along the other axis stay", square, noise(3, 2, 5, 24), join(pair, deq, one(newNode("MatMul", "xd wd", "y")))),
		c("sum", stats, x, join(pair, deq, conv(), one(newNode("QuantizeLinear", "c ys yz", "cq"), newNode("DequantizeLinear", "cq ys yz", "cd"),
			newNode("QuantizeLinear", "z zs yz", "zq"), newNode("DequantizeLinear", "zq zs yz", "zd"), newNode("Add", "cd zd", "r0"), newNode("Relu", "r0", "r")), out), "QuantizeLinear", "Relu"),
		c("sum in float32 with fewer codes", arrays{"xc": scalar(121), "yc": scalar(61), "hi": scalar(150)}, x, join(chainOf("x", "xd", "xs", "xc"), deq, conv(),
			chainOf("c", "cd", "ys", "yc"), chainOf("z", "zd", "zs", "yc"), one(newNode("Add", "zd cd", "r")), chainOf("r", "y", "xs", "yc")), "Clip", "Conv", "Clip", "Add", "Mul"),
		c("a scale that is no number stays", arrays{"ws": onnxio.Floats(append(filled(15, 0.01), float32(math.NaN())), 16)}, x, join(pair, deq, conv(), relu, out)),
		c("movers", more, x, join(cr, one(newNode("MaxPool", "d", "m", ints("kernel_shape", 3, 3), ints("strides", 2, 1))), q("m", "md", "ys", "yz"), one(newNode("Transpose", "md", "t", ints("perm", 0, 1, 3, 2)),
			newNode("Reshape", "t flat", "f"), newNode("Slice", "f from to axes", "s"), newNode("QuantizeLinear", "s ys yz", "y"))), "QuantizeLinear", "QuantizeLinear", "QuantizeLinear"),
		c("movers of a value that is read as floats too", more, x, join(cr, one(newNode("Pad", "d pads", "p"), newNode("Resize", "p _ twice", "u"), newNode("ReduceMax", "u", "h"), newNode("Add", "u h", "g")),
			q("u", "ud", "ys", "yz"), one(newNode("Mul", "g ud", "y"))), "QuantizeLinear", "Resize", "QuantizeLinear"),
		c("parts", more, x, join(cr, one(newNode("Split", "d parts", "a0 a1", integerAttr("axis", 1))), q("a0", "b0", "ys", "yz"), q("a1", "b1", "rs", "rz"), one(newNode("Concat", "b1 b0", "c1", integerAttr("axis", 1)),
			newNode("QuantizeLinear", "c1 rs rz2", "y"))), "QuantizeLinear", "QuantizeLinear", "QuantizeLinear", "Concat"),
		c("table", more, x, join(cr, one(newNode("LeakyRelu", "d", "l")), q("l", "ld", "rs", "rz"), one(newNode("Sigmoid", "ld", "s")), q("s", "sd", "s2", "yz"), one(newNode("Mul", "ld sd", "m"),
			newNode("QuantizeLinear", "m rs rz2", "y"))), "QuantizeLinear", "QuantizeLinear", "QuantizeLinear"),
		c("hard swish of parts", more, x, join(cr, one(newNode("Add", "d three", "a1"), newNode("Clip", "a1 zero six", "a2"), newNode("Mul", "a2 d", "a3"), newNode("Div", "a3 six", "a4"), newNode("QuantizeLinear", "a4 rs rz", "y"))),
			"QuantizeLinear", "QuantizeLinear"),
		c("concat of other scales", more, x, join(cr, one(newNode("LeakyRelu", "d", "l")), q("l", "ld", "rs", "rz"), one(newNode("Concat", "ld d", "j", integerAttr("axis", 1)), newNode("QuantizeLinear", "j ys rz2", "y"))),
			"QuantizeLinear", "QuantizeLinear", "Concat"),
		c("product by channel", more, x, join(cr, one(newNode("GlobalAveragePool", "d", "g")), q("g", "gd", "s2", "yz"), one(newNode("Mul", "d gd", "m"), newNode("QuantizeLinear", "m rs yz", "y"))),
			"QuantizeLinear", "GlobalAveragePool", "Mul"),
		c("sum that broadcasts otherwise", more, x, join(cr, one(newNode("MaxPool", "d", "m", ints("kernel_shape", 1, 11))), q("m", "md", "ys", "yz"), one(newNode("Add", "d md", "a"), newNode("QuantizeLinear", "a ys rz2", "y"))),
			"QuantizeLinear", "QuantizeLinear", "Add"),
		c("mean", more, x, join(cr, one(newNode("AveragePool", "d", "m", ints("kernel_shape", 3, 2), ints("strides", 2, 1), ints("pads", 1, 1, 1, 0)), newNode("QuantizeLinear", "m rs rz", "y"))), "QuantizeLinear", "AveragePool"),
		c("fewer codes", more, x, join(pair, deq, conv(), relu, one(newNode("QuantizeLinear", "r s63 yz", "cq"), newNode("Clip", "cq lo8 hi8", "y"))), "Clip"),
		c("bias in codes", more, x, join(pair, deq, one(newNode("DequantizeLinear", "ib is iz", "bd", integerAttr("axis", 0)), newNode("Conv", "xd wd bd", "r", ints("pads", 1, 1, 1, 1))), out), "QuantizeLinear"),
		c("residual pixels", pixels, noise(5, 3, 8, 13, 11), join(cr, one(newNode("DequantizeLinear", "w2 ws2 wz", "wd2", integerAttr("axis", 0)), newNode("DequantizeLinear", "w3 ws wz", "wd3", integerAttr("axis", 0)),
			newNode("Conv", "d wd2", "e")), q("e", "f", "rs", "rz"), one(newNode("Conv", "f wd3 b", "g", ints("pads", 1, 1, 1, 1), ints("strides", 1, 1))),
			q("g", "h", "rs", "rz2"), one(newNode("Add", "h d", "a"), newNode("Relu", "a", "k")), q("k", "l", "ys", "yz"), one(newNode("MaxPool", "l", "m", ints("kernel_shape", 3, 2), ints("strides", 2, 1), ints("pads", 1, 1, 1, 0)),
				newNode("Concat", "m m", "n", integerAttr("axis", 1))), q("n", "o", "ys", "rz"), one(newNode("Resize", "o _ twice", "p"), newNode("Transpose", "p", "t", ints("perm", 0, 2, 3, 1)), newNode("QuantizeLinear", "t ys rz", "y"))),
			"QuantizeLinear", "QuantizeLinear", "QuantizeLinear", "Relu", "Concat", "QuantizeLinear"),
		c("shortcut of pixels", pixels, noise(5, 2, 8, 13, 11), join(cr, one(newNode("Slice", "d begin end spatial steps", "s"), newNode("Pad", "s around", "p")), q("p", "o", "ys", "yz"),
			one(newNode("AveragePool", "o", "m", ints("kernel_shape", 2, 2)), newNode("QuantizeLinear", "m rs rz", "y"))), "QuantizeLinear", "QuantizeLinear", "AveragePool"),
		c("pixels of a photo", photo, noise(5, 2, 13, 11, 3), join(one(newNode("Transpose", "x", "xt", ints("perm", 0, 3, 1, 2)), newNode("QuantizeLinear", "xt xs xz", "xq"), newNode("DequantizeLinear", "xq xs xz", "xd")),
			deq, conv(), relu, q("r", "d", "ys", "yz"), one(newNode("Resize", "d _ large", "u", text("mode", "linear"))), q("u", "v", "rs", "rz"), one(newNode("Resize", "v _ _ size", "w1", text("mode", "linear")), newNode("QuantizeLinear", "w1 rs rz", "y"))),
			"QuantizeLinear", "Resize", "Resize"),
		c("pixels of planes", photo, noise(5, 2, 3, 13, 11), join(pair, deq, conv(), relu, out), "QuantizeLinear"),
		c("pixels of one dimension", arrays{"w": randomCodes(1, onnxio.Int8, 16, 8, 5), "wz": onnxio.NewArray(onnxio.Int8, 16)}, noise(5, 2, 8, 40), join(pair, deq, one(newNode("Conv", "xd wd b", "r", ints("strides", 2), ints("pads", 2, 1))), out), "QuantizeLinear"),
		c("gemm to codes", matrix, noise(3, 5, 24), join(pair, deq, one(newNode("Gemm", "xd wd b", "r", integerAttr("transB", 1))), out), "QuantizeLinear"),
		c("matmul of whole blocks", arrays{"w": randomCodes(1, onnxio.Int8, 24, 48), "ws": scales(2, 0.01, 48), "wz": onnxio.NewArray(onnxio.Int8, 48), "b": noise(4, 48)}, noise(3, 2, 7, 24), join(pair,
			one(newNode("DequantizeLinear", "w ws wz", "wd", integerAttr("axis", 1)), newNode("MatMul", "xd wd", "c"), newNode("Add", "b c", "r")), out), "QuantizeLinear"),
		c("NaN", stats, onnxio.Floats(slices.Concat(filled(500, 0.3), []float32{float32(math.NaN())}, filled(8*13*11-501, -0.5)), 1, 8, 13, 11),
			join(chainOf("x", "xd", "xs", "xc"), deq, conv(), one(newNode("Sigmoid", "c", "y"))), "Clip", "Sigmoid"),
	}
}

// TestQuantizedFusions compares the run on codes with the one in float32, and names the nodes that work on codes.
func TestQuantizedFusions(t *testing.T) {
	for _, c := range quantCases() {
		t.Run(c.name, func(t *testing.T) {
			c.consts["s2"] = scalar(0.0173)
			c.consts["zs"], c.consts["w2"], c.consts["ws2"] = scalar(0.0371), randomCodes(9, onnxio.Int8, 16, 16, 1, 1), scales(8, 0.01, 16)
			if strings.HasPrefix(c.name, "sum") {
				c.z = noise(12, 1, 16, 13, 11)
			}
			p, feeds := c.compile(t)
			plain, err := p.Run(feeds, seen)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.graph.onCodes(); kernel.BytesPay() && !slices.Equal(got, c.want) {
				t.Errorf("nodes on codes: %q, want %q", got, c.want)
			}
			for range 2 {
				got, err := p.Run(feeds, nil)
				if err != nil {
					t.Fatal(err)
				}
				sameCodes(t, got["y"], plain["y"])
			}
			if p.graph.layout.Load() == nil && c.want != nil && kernel.BytesPay() {
				t.Error("fell back")
			}
		})
	}
}

// TestQuantizedErrors: what does not fit its weights fails in the words of the plain form.
func TestQuantizedErrors(t *testing.T) {
	for _, c := range quantCases() {
		if c.name != "conv relu" && c.name != "gemm" {
			continue
		}
		c.x = noise(1, 2, 3)
		p, feeds := c.compile(t)
		_, plain := p.Run(feeds, seen)
		_, fused := p.Run(feeds, nil)
		if plain == nil || fused == nil || plain.Error() != fused.Error() {
			t.Errorf("%s: plain %v, fused %v", c.name, plain, fused)
		}
	}
}
