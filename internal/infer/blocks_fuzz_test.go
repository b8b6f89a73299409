package infer

import (
	"fmt"
	"math"
	"testing"

	"bq/onnxio"
)

// sketch draws a graph around convolutions from a script.
type sketch struct {
	*script
	nodes  []*onnxio.Node
	consts map[string]*onnxio.Array
	shapes map[string][]int
	names  []string
}

// constant adds a constant of noise.
func (s *sketch) constant(size float32, shape ...int) string {
	name := fmt.Sprintf("k%d", len(s.consts))
	a := noise(uint64(len(s.consts)+1), shape...)
	for i := range a.F32() {
		a.F32()[i] *= size
	}
	s.consts[name] = a
	return name
}

// node adds a node, whose result has the given shape.
func (s *sketch) node(op, inputs string, shape []int, attrs ...*onnxio.Attribute) {
	name := fmt.Sprintf("v%d", len(s.names))
	s.nodes = append(s.nodes, newNode(op, inputs, name, attrs...))
	s.names, s.shapes[name] = append(s.names, name), shape
}

// any returns one of the values so far, more often a late one.
func (s *sketch) any() (name string, shape []int) {
	name = s.names[len(s.names)-1-s.next(min(4, len(s.names)))]
	return name, s.shapes[name]
}

// place returns a window over one dimension, and how many places it takes, 0 where it has none.
func (s *sketch) place(in int) (kernel, stride, dilation, begin, end, out int) {
	kernel, stride, dilation = 1+s.next(4), 1+s.next(5)/3, 1+s.next(5)/4
	begin, end = s.next(3), s.next(3)
	if kernel == 1 && s.next(2) == 0 {
		begin, end = 0, 0
	}
	if room := in + begin + end - (kernel-1)*dilation - 1; room >= 0 {
		out = room/stride + 1
	}
	return kernel, stride, dilation, begin, end, out
}

// window returns the attributes of a window, and the shape of the result over x with so many channels; nil where there is none.
func (s *sketch) window(x []int, channels int) (attrs []*onnxio.Attribute, size, out []int) {
	var list [5][]int64
	out = []int{x[0], channels}
	var ends []int64
	for _, d := range x[2:] {
		k, stride, dilation, begin, end, n := s.place(d)
		if n == 0 {
			return nil, nil, nil
		}
		list[0], list[1], list[2] = append(list[0], int64(k)), append(list[1], int64(stride)), append(list[2], int64(dilation))
		list[3], ends = append(list[3], int64(begin)), append(ends, int64(end))
		size, out = append(size, k), append(out, n)
	}
	attrs = []*onnxio.Attribute{ints("kernel_shape", list[0]...), ints("strides", list[1]...), ints("dilations", list[2]...), ints("pads", append(list[3], ends...)...)}
	return attrs, size, out
}

// channelCounts are on both sides of the borders of blocks and of groups of blocks.
var channelCounts = []int{1, 12, 15, 16, 17, 30, 32, 48, 64, 80, 100}

func (s *sketch) step() {
	x, shape := s.any()
	c := shape[1]
	switch s.next(14) {
	case 0, 1, 2:
		group, inputs, outputs := 1, c, channelCounts[s.next(len(channelCounts))]
		if s.next(3) == 0 {
			group, inputs, outputs = c, 1, c
		}
		if s.next(3) == 0 {
			outputs = max(c, group)
		}
		attrs, size, out := s.window(shape, outputs)
		if out == nil {
			return
		}
		w := s.constant(float32(1/math.Sqrt(float64(inputs*product(size)))), append([]int{outputs, inputs}, size...)...)
		if s.next(2) == 0 {
			w += " " + s.constant(1, outputs)
		}
		s.node("Conv", x+" "+w, out, append(attrs, integerAttr("group", int64(group)))...)
	case 3:
		w := s.constant(float32(1/math.Sqrt(float64(c))), c, c, 1, 1)
		s.node("Conv", x+" "+w, shape)
		s.node("Add", fmt.Sprintf("%s %s", s.names[len(s.names)-1], x), shape)
	case 4:
		ops := []string{"Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid", "Elu", "Neg"}
		s.node(ops[s.next(len(ops))], x, shape)
	case 5, 6:
		y, other := s.any()
		to := make([]int, 4)
		for i := range to {
			if to[i] = max(shape[i], other[i]); shape[i] != other[i] && shape[i] != 1 && other[i] != 1 {
				return
			}
		}
		s.node([]string{"Add", "Mul"}[s.next(2)], x+" "+y, to)
	case 7:
		k := s.constant(1, [][]int{{1}, {c, 1, 1}, {1, c, 1, 1}, {shape[3]}, {1, 1, shape[2], 1}}[s.next(5)]...)
		s.node([]string{"Add", "Mul"}[s.next(2)], []string{x + " " + k, k + " " + x}[s.next(2)], shape)
	case 8:
		op := []string{"MaxPool", "AveragePool"}[s.next(2)]
		attrs, size, out := s.window(shape, c)
		if out == nil {
			return
		}
		for i, p := range attrs[3].Ints {
			if int(p) >= size[i%2] {
				return
			}
		}
		if op == "AveragePool" {
			for i, d := range attrs[2].Ints {
				if d != 1 || size[i] == 1 {
					return
				}
			}
			attrs[2] = integerAttr("count_include_pad", int64(s.next(2)))
		}
		s.node(op, x, out, attrs...)
	case 9:
		y, other := s.any()
		if other[0] != shape[0] || !equalShape(other[2:], shape[2:]) || c+other[1] > 200 {
			return
		}
		s.node("Concat", x+" "+y, []int{shape[0], c + other[1], shape[2], shape[3]}, integerAttr("axis", 1))
	case 10:
		s.node("GlobalAveragePool", x, []int{shape[0], c, 1, 1})
	case 11:
		if product(shape) > 1<<14 {
			return
		}
		s.consts["double"] = onnxio.Floats([]float32{1, 1, 2, 1}, 4)
		s.node("Resize", x+" _ double", []int{shape[0], c, 2 * shape[2], shape[3]}, text("mode", []string{"nearest", "linear"}[s.next(2)]))
	case 12:
		pads := fmt.Sprintf("k%d", len(s.consts))
		t, l, b, r := s.next(3), s.next(2), s.next(2), s.next(3)
		s.consts[pads] = onnxio.Int64s([]int64{0, 0, int64(t), int64(l), 0, 0, int64(b), int64(r)}, 8)
		s.node("Pad", x+" "+pads, []int{shape[0], c, shape[2] + t + b, shape[3] + l + r})
	case 13: // a sum that broadcasts one channel over a block
		to := []int{shape[0], 16, shape[2], shape[3]}
		s.node("Conv", x+" "+s.constant(0.1, 1, c, 1, 1), []int{shape[0], 1, shape[2], shape[3]})
		s.node("Conv", x+" "+s.constant(0.1, 16, c, 1, 1), to)
		s.node("Add", fmt.Sprintf("%s %s", s.names[len(s.names)-2], s.names[len(s.names)-1]), to)
	}
}

// FuzzBlocks compares runs of random graphs around convolutions, fused and in blocks, with plain ones, twice. The seeds are many:
// a graph that is wrong takes several nodes.
func FuzzBlocks(f *testing.F) {
	for i := range 400 {
		var b []byte
		for _, v := range noise(uint64(i+1), 200).F32() {
			b = append(b, byte(math.Float32bits(v)>>8))
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := script(b)
		x := noise(77, 1+in.next(2), channelCounts[in.next(5)], 1+in.next(12), 1+in.next(20))
		s := &sketch{script: &in, consts: map[string]*onnxio.Array{}, shapes: map[string][]int{"x": x.Shape}, names: []string{"x"}}
		for range 12 {
			s.step()
		}
		if len(s.nodes) == 0 {
			return
		}
		c := fusionCase{x: x, nodes: s.nodes, consts: s.consts}
		last := s.nodes[len(s.nodes)-1]
		last.Outputs[0] = "y"
		if s.next(2) == 0 && len(s.names) > 2 {
			c.more = []string{s.names[1]}
		}
		p, feeds := c.compile(t)
		want, err := p.Run(feeds, seen)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			got, err := p.Run(feeds, nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, w := range want {
				if i := s.far(got[name].F32(), w.F32()); i >= 0 || !equalShape(got[name].Shape, w.Shape) {
					for _, nd := range s.nodes {
						t.Log(nd.OpType, nd.Inputs, nd.Outputs, s.shapes[nd.Outputs[0]], nd.Attributes)
					}
					t.Fatalf("output %s %v, want shape %v: element %d differs", name, got[name].Shape, w.Shape, i)
				}
			}
		}
	})
}

// far returns the first element that differs by more than the tolerance, -1 where none does or values are out of bounds.
func (s *sketch) far(got, want []float32) int {
	largest := 1.0
	for _, v := range want {
		largest = max(largest, math.Abs(float64(v)))
	}
	for i, v := range want {
		if d := math.Abs(float64(v) - float64(got[i])); !(d <= graphTolerance*largest) && largest < 1e6 {
			return i
		}
	}
	return -1
}

// graphTolerance is a part of the largest result: a dozen layers, each with sums in another order.
const graphTolerance = 1e-3
