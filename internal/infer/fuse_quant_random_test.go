package infer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"bq/internal/kernel"
	"bq/onnxio"
)

// quantizedChain builds graphs of operators between codes and codes at random.
type quantizedChain struct {
	*rand.Rand
	c      fusionCase
	values []chainValue // that have codes and are dequantized
	count  int
}

// chainValue is a value and its shape.
type chainValue struct {
	name  string
	shape []int
}

func (q *quantizedChain) name() string {
	q.count++
	return fmt.Sprintf("v%d", q.count)
}

func (q *quantizedChain) add(op, in string, attrs ...*onnxio.Attribute) string {
	out := q.name()
	q.c.nodes = append(q.c.nodes, newNode(op, in+" ", out, attrs...))
	last := q.c.nodes[len(q.c.nodes)-1]
	for n := len(last.Inputs); n > 0 && last.Inputs[n-1] == ""; n-- {
		last.Inputs = last.Inputs[:n-1]
	}
	return out
}

func (q *quantizedChain) constant(v *onnxio.Array) string {
	name := q.name()
	q.c.consts[name] = v
	return name
}

// quantize adds QuantizeLinear, a Clip now and then, and DequantizeLinear.
func (q *quantizedChain) quantize(x string, shape []int, scale, zero string) {
	codes := q.add("QuantizeLinear", x+" "+scale+" "+zero)
	if q.IntN(6) == 0 {
		codes = q.add("Clip", codes+" "+q.constant(byteScalar(0))+" "+q.constant(byteScalar(uint8(127+q.IntN(100)))))
	}
	q.values = append(q.values, chainValue{q.add("DequantizeLinear", codes+" "+scale+" "+zero), shape})
}

// fresh returns a scale and a zero point for values of about some size.
func (q *quantizedChain) fresh(size float64) (scale, zero string) {
	return q.constant(scalar(float32(size / 60 * (1 + 0.3*q.Float64())))), q.constant(byteScalar(uint8(q.IntN(140))))
}

// step adds an operator to the last value, or to one before it.
func (q *quantizedChain) step() {
	v := q.values[len(q.values)-1]
	if q.IntN(5) == 0 {
		v = q.values[q.IntN(len(q.values))]
	}
	n, c, h, w := v.shape[0], v.shape[1], v.shape[2], v.shape[3]
	scale, zero := q.fresh(1)
	same := func(out string, shape []int) { // moved codes keep their scale
		for _, nd := range q.c.nodes {
			if nd.Outputs[0] == v.name {
				q.quantize(out, shape, nd.Inputs[1], nd.Inputs[2])
			}
		}
	}
	switch op := q.IntN(12); op {
	case 0, 1, 2, 3:
		q.convolve(v, op == 3)
	case 4:
		op := []string{"LeakyRelu", "Sigmoid", "Relu", "HardSigmoid", "Tanh"}[q.IntN(5)]
		q.quantize(q.add(op, v.name), v.shape, scale, zero)
	case 5:
		q.quantize(q.add("Mul", v.name+" "+q.add("Sigmoid", v.name)), v.shape, scale, zero)
	case 6:
		if h > 2 && w > 2 {
			k, s := 2+q.IntN(2), 1+q.IntN(2)
			out := q.add("MaxPool", v.name, ints("kernel_shape", int64(k), 2), ints("strides", int64(s), 1), ints("pads", 1, 0, 0, 1))
			same(out, []int{n, c, (h+1-k)/s + 1, w})
		}
	case 7:
		for _, u := range q.values {
			if u.name != v.name && equalShape(u.shape, v.shape) {
				out := q.add([]string{"Add", "Mul"}[q.IntN(2)], v.name+" "+u.name)
				if q.IntN(2) == 0 {
					out = q.add("Relu", out)
				}
				q.quantize(out, v.shape, scale, zero)
				return
			}
		}
	case 8:
		for _, u := range q.values {
			if u.shape[2] == h && u.shape[3] == w && c+u.shape[1] < 90 {
				q.quantize(q.add("Concat", v.name+" "+u.name, integerAttr("axis", 1)), []int{n, c + u.shape[1], h, w}, scale, zero)
				return
			}
		}
	case 9:
		mean := q.add("GlobalAveragePool", v.name)
		q.quantize(mean, []int{n, c, 1, 1}, scale, zero)
		if q.IntN(2) == 0 {
			s, z := q.fresh(1)
			q.quantize(q.add("Mul", v.name+" "+q.values[len(q.values)-1].name), v.shape, s, z)
		}
	case 10:
		if h*w < 200 {
			mode := []string{"nearest", "linear"}[q.IntN(2)]
			out := q.add("Resize", v.name+" _ "+q.constant(onnxio.Floats([]float32{1, 1, 2, 1.5}, 4)), text("mode", mode))
			same(out, []int{n, c, 2 * h, int(math.Floor(1.5 * float64(w)))})
		}
	case 11:
		q.moved(v, same)
	}
}

// convolve adds a convolution, with what follows it.
func (q *quantizedChain) convolve(v chainValue, deep bool) {
	c, outputs, group, per := v.shape[1], 1+q.IntN(70), 1, v.shape[1]
	if deep {
		outputs, group, per = c, c, 1
	}
	k, stride, dilation := []int{1, 3, 2, 5}[q.IntN(4)], 1+q.IntN(2), 1+q.IntN(2)
	before, behind := q.IntN(3), q.IntN(3)
	size := func(n int) int { return (n+before+behind-(k-1)*dilation-1)/stride + 1 }
	if h, w := v.shape[2]+before+behind-(k-1)*dilation, v.shape[3]+before+behind-(k-1)*dilation; h < 1 || w < 1 {
		return
	}
	levels := 256
	if q.IntN(4) == 0 {
		levels = 12
	}
	weights := onnxio.NewArray(onnxio.Int8, outputs, per, k, k)
	for i := range weights.Data.([]int8) {
		weights.Data.([]int8)[i] = int8(q.IntN(levels) - levels/2)
	}
	sum := math.Sqrt(float64(per*k*k)) * float64(levels) / 4
	w := q.add("DequantizeLinear", q.constant(weights)+" "+q.constant(scales(q.Uint64(), float32(1/sum), outputs))+" "+q.constant(onnxio.NewArray(onnxio.Int8, outputs)), integerAttr("axis", 0))
	in := v.name + " " + w
	if q.IntN(2) == 0 {
		in += " " + q.constant(noise(q.Uint64(), outputs))
	}
	out := q.add("Conv", in, integerAttr("group", int64(group)), sizes("strides", stride, stride), sizes("dilations", dilation, dilation), sizes("pads", before, before, behind, behind))
	if q.IntN(2) == 0 {
		out = q.add("Relu", out)
	}
	scale, zero := q.fresh(1.5)
	q.quantize(out, []int{v.shape[0], outputs, size(v.shape[2]), size(v.shape[3])}, scale, zero)
}

// sizes is ints of int.
func sizes(name string, list ...int) *onnxio.Attribute {
	a := ints(name)
	for _, v := range list {
		a.Ints = append(a.Ints, int64(v))
	}
	return a
}

// moved adds an operator that moves elements.
func (q *quantizedChain) moved(v chainValue, same func(out string, shape []int)) {
	n, c, h, w := v.shape[0], v.shape[1], v.shape[2], v.shape[3]
	list := func(v ...int64) string { return q.constant(onnxio.Int64s(v, len(v))) }
	switch q.IntN(4) {
	case 0:
		if h > 2 {
			same(q.add("Slice", v.name+" "+list(1)+" "+list(int64(h))+" "+list(2)+" "+list(2)), []int{n, c, h / 2, w})
		}
	case 1:
		same(q.add("Pad", v.name+" "+list(0, 2, 1, 0, 0, 3, 0, 2)), []int{n, c + 5, h + 1, w + 2})
	case 2:
		same(q.add("Transpose", v.name, ints("perm", 0, 1, 3, 2)), []int{n, c, w, h})
	case 3:
		if c > 1 {
			same(q.add("Slice", v.name+" "+list(1)+" "+list(int64(c))+" "+list(1)), []int{n, c - 1, h, w})
		}
	}
}

// TestRandomQuantizedGraphs compares runs on codes with those of the graph. Codes that differ by one spread through what
// follows, so that only most values have to be equal, and all must be near.
func TestRandomQuantizedGraphs(t *testing.T) {
	const graphs, steps = 300, 8
	for seed := range uint64(graphs) {
		q := &quantizedChain{Rand: rand.New(rand.NewPCG(seed, 99)), c: fusionCase{consts: map[string]*onnxio.Array{}}}
		shape := []int{1 + q.IntN(2), []int{1, 3, 8, 20}[q.IntN(4)], 5 + q.IntN(9), 5 + q.IntN(9)}
		q.c.x = noise(seed, shape...)
		scale, zero := q.fresh(1.5)
		q.quantize("x", shape, scale, zero)
		for range steps {
			q.step()
		}
		q.c.nodes = append(q.c.nodes, newNode("Identity", q.values[len(q.values)-1].name, "y"))
		p, feeds := q.c.compile(t)
		plain, err := p.Run(feeds, seen)
		if err != nil {
			t.Fatalf("graph %d: %v", seed, err)
		}
		p.graph.fused()
		blocked := p.graph.layout.Load() != nil
		var first []float32
		for threads := range 2 {
			p.opt.Threads = 1 + threads
			got, err := p.Run(feeds, nil)
			if err != nil {
				t.Fatalf("graph %d: %v", seed, err)
			}
			w, g := plain["y"].F32(), got["y"].F32()
			off, far, most := 0, 0, float32(0)
			for _, v := range w {
				most = max(most, v, -v)
			}
			for i := range w {
				if d := g[i] - w[i]; d != 0 {
					off++
					if d > most/8 || d < -most/8 {
						far++
					}
				}
			}
			if first == nil {
				first = g
			} else if !slices.Equal(g, first) {
				t.Errorf("graph %d: other values by two threads", seed)
			}
			if len(w) != len(g) || off > len(w)/20+2 || far > len(w)/500 {
				t.Errorf("graph %d, %d nodes: %d of %d values differ, %d by much", seed, len(q.c.nodes), off, len(w), far)
			}
		}
		if blocked && p.graph.layout.Load() == nil && kernel.BytesPay() {
			t.Errorf("graph %d fell back", seed)
		}
	}
}
