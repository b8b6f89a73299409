package infer

import (
	"math/rand/v2"
	"slices"
	"testing"

	"bq/internal/kernel"
	"bq/onnxio"
)

// levelsOf returns weights of int8 that are any of some levels.
func levelsOf(seed uint64, levels []int8, shape ...int) *onnxio.Array {
	a, rng := onnxio.NewArray(onnxio.Int8, shape...), rand.New(rand.NewPCG(seed, 3))
	for i := range a.Data.([]int8) {
		a.Data.([]int8)[i] = levels[rng.IntN(len(levels))]
	}
	return a
}

// TestFewBits: convolutions and products of few bits run on bit planes where those pay, and give what the graph does.
func TestFewBits(t *testing.T) {
	for _, c := range []struct {
		name    string
		levels  []int8
		bits    int
		actBits int
		most    uint8
	}{
		{"two bits by two", []int8{-2, -1, 0, 1}, 2, 2, 3},
		{"odd levels", []int8{-3, -1, 1, 3}, 2, 2, 3},
		{"three levels by one bit", []int8{-1, 0, 1}, 2, 1, 1},
		{"one bit by one", []int8{-1, 1}, 1, 1, 1},
		{"one bit by two", []int8{0, 1}, 1, 2, 2},
		{"levels of no step", []int8{-2, -1, 1, 4, 5}, 8, 2, 3},
		{"too many codes", []int8{-1, 1}, 1, 8, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := func(in, out string) []*onnxio.Node {
				return []*onnxio.Node{newNode("QuantizeLinear", in+" xs xz", out+".q"), newNode("Clip", out+".q low high", out+".c"), newNode("DequantizeLinear", out+".c xs xz", out)}
			}
			nodes := slices.Concat(q("x", "d"), []*onnxio.Node{newNode("DequantizeLinear", "w ws wz", "wd"), newNode("Conv", "d wd b", "c", ints("pads", 1, 1, 1, 1)), newNode("Relu", "c", "r")}, q("r", "e"),
				[]*onnxio.Node{newNode("MaxPool", "e", "m", ints("kernel_shape", 2, 2)), newNode("DequantizeLinear", "v ws wz", "vd"), newNode("Conv", "m vd", "f"), newNode("Flatten", "f", "g")}, q("g", "h"),
				[]*onnxio.Node{newNode("DequantizeLinear", "u ws wz", "ud"), newNode("MatMul", "h ud", "y")})
			f := fusionCase{nodes: nodes, x: noise(3, 2, 20, 9, 8), consts: map[string]*onnxio.Array{"xs": scalar(0.7), "xz": byteScalar(1), "low": byteScalar(0), "high": byteScalar(c.most),
				"w": levelsOf(1, c.levels, 18, 20, 3, 3), "ws": scalar(0.11), "wz": int8Scalar(0), "b": noise(4, 18), "v": levelsOf(2, c.levels, 12, 18, 1, 1), "u": levelsOf(5, c.levels, 12*8*7, 24)}}
			p, feeds := f.compile(t)
			plain, err := p.Run(feeds, seen)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Run(feeds, nil)
			if err != nil {
				t.Fatal(err)
			}
			if i := differs(got["y"].F32(), plain["y"].F32(), fusedTolerance); i >= 0 {
				t.Errorf("element %d is %v, want %v", i, got["y"].F32()[i], plain["y"].F32()[i])
			}
			onPlanes := 0
			if form := p.graph.fuse(true); form != nil {
				for _, nd := range form.nodes {
					switch f := nd.state.(type) {
					case *quantConv:
						onPlanes += btoi(f.bits != nil)
					case *quantProduct:
						onPlanes += btoi(f.bits != nil)
					}
				}
			}
			if want := 3 * btoi(kernel.BitsPay(c.bits, c.actBits)); onPlanes != want {
				t.Errorf("%d operators on bit planes, want %d", onPlanes, want)
			}
		})
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestTableOfMatrix: a matrix of 16 values runs from codes of four bits.
func TestTableOfMatrix(t *testing.T) {
	var levels []int8
	for v := int8(-8); v < 8; v++ {
		levels = append(levels, v)
	}
	for _, values := range []int{16, 12} {
		f := fusionCase{nodes: []*onnxio.Node{newNode("QuantizeLinear", "x xs xz", "q"), newNode("DequantizeLinear", "q xs xz", "d"), newNode("DequantizeLinear", "w ws wz", "wd", integerAttr("axis", 1)),
			newNode("Gemm", "d wd b", "y")}, x: noise(3, 5, 200), consts: map[string]*onnxio.Array{"xs": scalar(0.02), "xz": byteScalar(120), "w": levelsOf(1, levels[:values], 200, 170), "ws": scales(2, 0.01, 170),
			"wz": onnxio.NewArray(onnxio.Int8, 170), "b": noise(4, 170)}}
		p, feeds := f.compile(t)
		plain, err := p.Run(feeds, seen)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Run(feeds, nil)
		if err != nil {
			t.Fatal(err)
		}
		sameCodes(t, got["y"], plain["y"])
		if !kernel.BytesPay() {
			continue
		}
		for _, nd := range p.graph.fuse(true).nodes {
			if z, ok := nd.state.(*quantProduct); ok && z.table == nil {
				t.Errorf("%d values: no table", values)
			}
		}
	}
}

// BenchmarkFewBits runs chains of four layers of one kind, in float32 and with weights and activations of so many bits.
func BenchmarkFewBits(b *testing.B) {
	for _, layer := range []struct {
		name     string
		x, w     []int
		channels int
	}{
		{"conv3x3/channels=64", []int{1, 64, 56, 56}, []int{64, 64, 3, 3}, 64},
		{"conv3x3/channels=128", []int{1, 128, 28, 28}, []int{128, 128, 3, 3}, 128},
		{"matmul/512x512x512", []int{512, 512}, []int{512, 512}, 512},
	} {
		for _, bits := range []struct {
			name string
			w, a int
		}{{"float", 0, 0}, {"w8a8", 8, 8}, {"w4a8", 4, 8}, {"w2a2", 2, 2}, {"w2a1", 2, 1}, {"w1a1", 1, 1}} {
			b.Run(layer.name+"/"+bits.name, func(b *testing.B) {
				c := fewBitsChain(layer.x, layer.w, bits.w, bits.a)
				p, feeds := c.compile(b)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := p.Run(feeds, nil); err != nil {
						b.Fatal(err)
					}
				}
				size := layer.x[0]
				if len(layer.x) > 2 {
					size = product(layer.x[2:]) * 9
				}
				b.ReportMetric(8*float64(size)*float64(layer.channels)*float64(layer.channels)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GOP/s")
			})
		}
	}
}

// fewBitsChain is four layers with a Relu behind each, quantized between them where bits are not 0.
func fewBitsChain(x, w []int, bits, actBits int) fusionCase {
	c := fusionCase{x: noise(3, x...), consts: map[string]*onnxio.Array{"s": scalar(0.1), "z": byteScalar(0), "ws": scalar(0.01), "wz": int8Scalar(0), "low": byteScalar(0), "high": byteScalar(uint8(1<<actBits - 1))}}
	op, more := "MatMul", []*onnxio.Attribute(nil)
	if len(w) > 2 {
		op, more = "Conv", append(more, ints("pads", 1, 1, 1, 1))
	}
	if bits == 0 {
		c.consts["w"] = noise(1, w...)
		for i, in := range []string{"x", "r0", "r1", "r2"} {
			n := string(rune('0' + i))
			c.nodes = append(c.nodes, newNode(op, in+" w", "c"+n, more...), newNode("Relu", "c"+n, "r"+n))
		}
		c.nodes[7].Outputs[0] = "y"
		return c
	}
	var levels []int8
	for v := range 1 << bits {
		levels = append(levels, int8(v-1<<(bits-1)))
	}
	c.consts["w"] = levelsOf(1, levels, w...)
	c.nodes = append(c.nodes, newNode("DequantizeLinear", "w ws wz", "wd"))
	for i, in := range []string{"x", "r0", "r1", "r2"} {
		n := string(rune('0' + i))
		c.nodes = append(c.nodes, newNode("QuantizeLinear", in+" s z", "q"+n), newNode("Clip", "q"+n+" low high", "k"+n), newNode("DequantizeLinear", "k"+n+" s z", "d"+n),
			newNode(op, "d"+n+" wd", "c"+n, more...), newNode("Relu", "c"+n, "r"+n))
	}
	c.nodes[len(c.nodes)-1].Outputs[0] = "y"
	return c
}
