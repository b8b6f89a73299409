package infer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"bq/onnxio"
)

// cellRef is one recurrent layer in float64, written down from the formulas of the operator specification, one sample
// and one unit at a time. Arrays are laid out as ONNX says; b, p, h0 and c0 may be nil.
type cellRef struct {
	op                string
	t, n, in, h       int
	reverse           []bool
	x, w, r, b, p     []float32
	h0, c0            []float32
	lens              []int
	coupled, linear   bool
	clip              float64
	y, hLast, cLast   []float64 // [T, D, N, H], [D, N, H], [D, N, H]
	first, second, cl func(float64) float64
}

func (c *cellRef) gates() int { return map[string]int{"LSTM": 4, "GRU": 3, "RNN": 1}[c.op] }

func (c *cellRef) run() {
	dirs := len(c.reverse)
	c.y = make([]float64, c.t*dirs*c.n*c.h)
	c.hLast, c.cLast = make([]float64, dirs*c.n*c.h), make([]float64, dirs*c.n*c.h)
	for d := range dirs {
		for n := range c.n {
			h, cell := make([]float64, c.h), make([]float64, c.h)
			for j := range h {
				h[j], cell[j] = valueAt(c.h0, (d*c.n+n)*c.h+j), valueAt(c.c0, (d*c.n+n)*c.h+j)
			}
			for step := range c.lens[n] {
				t := step
				if c.reverse[d] {
					t = c.lens[n] - 1 - step
				}
				h, cell = c.step(d, t, n, h, cell)
				copy(c.y[((t*dirs+d)*c.n+n)*c.h:], h)
			}
			copy(c.hLast[(d*c.n+n)*c.h:], h)
			copy(c.cLast[(d*c.n+n)*c.h:], cell)
		}
	}
}

func valueAt(v []float32, i int) float64 {
	if v == nil {
		return 0
	}
	return float64(v[i])
}

// input is X*W' + Wb of gate g and unit j; state is H*R' + Rb.
func (c *cellRef) input(d, t, n, g, j int) float64 {
	row := d*c.gates()*c.h + g*c.h + j
	s := valueAt(c.b, 2*d*c.gates()*c.h+g*c.h+j)
	for i := range c.in {
		s += float64(c.x[(t*c.n+n)*c.in+i]) * float64(c.w[row*c.in+i])
	}
	return s
}

func (c *cellRef) state(d, g, j int, h []float64) float64 {
	row := d*c.gates()*c.h + g*c.h + j
	s := valueAt(c.b, (2*d+1)*c.gates()*c.h+g*c.h+j)
	for i, v := range h {
		s += v * float64(c.r[row*c.h+i])
	}
	return s
}

func (c *cellRef) clipped(v float64) float64 { return math.Max(-c.clip, math.Min(c.clip, v)) }

func (c *cellRef) step(d, t, n int, h, cell []float64) (newH, newCell []float64) {
	newH, newCell = make([]float64, c.h), make([]float64, c.h)
	sum := func(g, j int) float64 { return c.input(d, t, n, g, j) + c.state(d, g, j, h) }
	reset := make([]float64, c.h) // r.H
	if c.op == "GRU" {
		for j := range reset {
			reset[j] = c.first(c.clipped(sum(1, j))) * h[j]
		}
	}
	for j := range c.h {
		switch c.op {
		case "RNN":
			newH[j] = c.first(c.clipped(sum(0, j)))
		case "GRU":
			z, r := c.first(c.clipped(sum(0, j))), c.first(c.clipped(sum(1, j)))
			v := c.input(d, t, n, 2, j)
			if c.linear {
				v += r * c.state(d, 2, j, h)
			} else {
				v += c.state(d, 2, j, reset)
			}
			newH[j] = (1-z)*c.second(c.clipped(v)) + z*h[j]
		case "LSTM":
			i := c.first(c.clipped(sum(0, j) + valueAt(c.p, d*3*c.h+j)*cell[j]))
			f := c.first(c.clipped(sum(2, j) + valueAt(c.p, d*3*c.h+2*c.h+j)*cell[j]))
			if c.coupled {
				f = 1 - i
			}
			newCell[j] = f*cell[j] + i*c.second(c.clipped(sum(3, j)))
			o := c.first(c.clipped(sum(1, j) + valueAt(c.p, d*3*c.h+c.h+j)*newCell[j]))
			newH[j] = o * c.cl(newCell[j])
		}
	}
	return newH, newCell
}

// recurrentError bounds the difference between float32 and float64 after a few steps: sums of some ten products of
// values below 1, each rounded to 2^-24, in cells that damp what comes from earlier steps.
const recurrentError = 4e-6

// TestRecurrentRef compares LSTM, GRU and RNN with the plain reference in all their variants.
func TestRecurrentRef(t *testing.T) {
	relu := func(v float64) float64 { return math.Max(v, 0) }
	soft := func(v float64) float64 { return v / (1 + math.Abs(v)) }
	sig := func(v float64) float64 { return 1 / (1 + math.Exp(-v)) }
	for _, v := range []struct {
		name        string
		set         func(c *cellRef, rng *rand.Rand)
		activations bool
		ops         []string
	}{
		{name: "plain", set: func(*cellRef, *rand.Rand) {}},
		{name: "no biases", set: func(c *cellRef, _ *rand.Rand) { c.b = nil }},
		{name: "initial states", set: func(c *cellRef, rng *rand.Rand) { c.initial(rng) }},
		{name: "clip", set: func(c *cellRef, _ *rand.Rand) { c.clip = 0.25 }},
		{name: "other activations", activations: true, set: func(c *cellRef, _ *rand.Rand) { c.first, c.second, c.cl = sig, soft, relu }},
		{name: "peepholes", ops: []string{"LSTM"}, set: func(c *cellRef, rng *rand.Rand) {
			c.p = values(rng, len(c.reverse)*3*c.h)
			c.initial(rng)
		}},
		{name: "coupled", ops: []string{"LSTM"}, set: func(c *cellRef, rng *rand.Rand) {
			c.coupled = true
			c.initial(rng)
		}},
		{name: "linear before reset", ops: []string{"GRU"}, set: func(c *cellRef, rng *rand.Rand) {
			c.linear = true
			c.initial(rng)
		}},
		{name: "linear without biases", ops: []string{"GRU"}, set: func(c *cellRef, rng *rand.Rand) {
			c.linear, c.b = true, nil
			c.initial(rng)
		}},
		{name: "linear, other activations", activations: true, ops: []string{"GRU"}, set: func(c *cellRef, rng *rand.Rand) {
			c.linear, c.first, c.second = true, sig, soft
			c.initial(rng)
		}},
	} {
		ops := v.ops
		if ops == nil {
			ops = []string{"LSTM", "GRU", "RNN"}
		}
		for _, op := range ops {
			for _, reverse := range [][]bool{{false}, {true}, {false, true}} {
				for _, size := range [][4]int{{1, 1, 1, 1}, {4, 1, 3, 5}, {5, 3, 2, 19}, {0, 2, 3, 4}, {3, 2, 0, 4}} {
					t.Run(fmt.Sprint(op, " ", v.name, " ", reverse, " ", size), func(t *testing.T) {
						rng := rand.New(rand.NewPCG(3, uint64(size[3])))
						c := newCellRef(rng, op, reverse, size)
						v.set(c, rng)
						checkRecurrent(t, c, v.activations)
					})
				}
			}
		}
	}
}

func values(rng *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = 2*rng.Float32() - 1
	}
	return v
}

// newCellRef makes a layer of size T, N, I, H whose samples end at different steps.
func newCellRef(rng *rand.Rand, op string, reverse []bool, size [4]int) *cellRef {
	c := &cellRef{op: op, t: size[0], n: size[1], in: size[2], h: size[3], reverse: reverse, clip: math.Inf(1)}
	c.first, c.second, c.cl = func(v float64) float64 { return 1 / (1 + math.Exp(-v)) }, math.Tanh, math.Tanh
	if op == "RNN" {
		c.first = math.Tanh
	}
	rows := len(reverse) * c.gates() * c.h
	c.x, c.w, c.r, c.b = values(rng, c.t*c.n*c.in), values(rng, rows*c.in), values(rng, rows*c.h), values(rng, 2*rows)
	for i := range c.r {
		c.r[i] /= float32(math.Sqrt(float64(c.h)))
	}
	for n := range c.n {
		c.lens = append(c.lens, max(0, c.t-2*n))
	}
	return c
}

func (c *cellRef) initial(rng *rand.Rand) {
	c.h0 = values(rng, len(c.reverse)*c.n*c.h)
	if c.op == "LSTM" {
		c.c0 = values(rng, len(c.reverse)*c.n*c.h)
	}
}

// node returns the inputs and attributes of the layer as a node.
func (c *cellRef) node(otherActivations bool) (arrays, []*onnxio.Attribute) {
	d, rows := len(c.reverse), c.gates()*c.h
	lens := &onnxio.Array{Type: onnxio.Int32, Shape: []int{c.n}, Data: make([]int32, c.n)}
	for i, l := range c.lens {
		lens.Data.([]int32)[i] = int32(l)
	}
	optional := func(v []float32, shape ...int) *onnxio.Array {
		if v == nil {
			return nil
		}
		return floats(shape, v...)
	}
	in := arrays{floats([]int{c.t, c.n, c.in}, c.x...), floats([]int{d, rows, c.in}, c.w...), floats([]int{d, rows, c.h}, c.r...),
		optional(c.b, d, 2*rows), lens, optional(c.h0, d, c.n, c.h)}
	attrs := []*onnxio.Attribute{integerAttr("hidden_size", int64(c.h))}
	switch {
	case d == 2:
		attrs = append(attrs, text("direction", "bidirectional"))
	case c.reverse[0]:
		attrs = append(attrs, text("direction", "reverse"))
	}
	if !math.IsInf(c.clip, 1) {
		attrs = append(attrs, floatAttr("clip", float32(c.clip)))
	}
	names := []string{"Sigmoid", "Softsign"}
	switch c.op {
	case "LSTM":
		names = append(names, "Relu")
		in = append(in, optional(c.c0, d, c.n, c.h), optional(c.p, d, 3*c.h))
		if c.coupled {
			attrs = append(attrs, integerAttr("input_forget", 1))
		}
	case "RNN":
		names = names[:1]
	case "GRU":
		if c.linear {
			attrs = append(attrs, integerAttr("linear_before_reset", 1))
		}
	}
	if otherActivations {
		var all []string
		for range d {
			all = append(all, names...)
		}
		attrs = append(attrs, texts("activations", all...))
	}
	return in, attrs
}

func checkRecurrent(t *testing.T, c *cellRef, otherActivations bool) {
	c.run()
	in, attrs := c.node(otherActivations)
	outputs := 2
	if c.op == "LSTM" {
		outputs = 3
	}
	got, err := runNode(14, c.op, in, outputs, attrs...)
	if err != nil {
		t.Fatal(err)
	}
	d := len(c.reverse)
	if want := []int{c.t, d, c.n, c.h}; !equalShape(got[0].Shape, want) {
		t.Fatalf("Y has shape %v, want %v", got[0].Shape, want)
	}
	for i, want := range [][]float64{c.y, c.hLast, c.cLast}[:outputs] {
		if i > 0 && !equalShape(got[i].Shape, []int{d, c.n, c.h}) {
			t.Fatalf("output %d has shape %v, want %v", i, got[i].Shape, []int{d, c.n, c.h})
		}
		for k, v := range got[i].F32() {
			if e := math.Abs(float64(v) - want[k]); !(e <= recurrentError) {
				t.Fatalf("output %d, element %d: got %v, want %v", i, k, v, want[k])
			}
		}
	}
}

// TestRecurrentByHand: one unit and one step, worked out by hand with tanh(1) = 0.76159416 and sigmoid(1) = 0.73105858;
// saturated gates are 0 or 1. sigmoid(1) * tanh(tanh(1)) = 0.46935057.
func TestRecurrentByHand(t *testing.T) {
	const th, sg, open, shut = 0.76159416, 0.73105858, 200, -200
	one := func(v ...float32) *onnxio.Array { return floats([]int{1, len(v), 1}, v...) }
	bias := func(v ...float32) *onnxio.Array {
		return floats([]int{1, 2 * len(v)}, append(v, make([]float32, len(v))...)...)
	}
	state := func(v float32) *onnxio.Array { return floats([]int{1, 1, 1}, v) }
	x := state(1)
	for _, c := range []struct {
		name, op string
		in       arrays
		h, c     float32
	}{
		{"input alone", "RNN", arrays{x, one(1), one(0)}, th, 0},
		{"state alone", "RNN", arrays{x, one(0), one(2), nil, nil, state(.5)}, th, 0},
		{"NaN", "RNN", arrays{state(nan), one(1), one(0)}, nan, 0},
		{"Inf", "RNN", arrays{state(-inf), one(1), one(0)}, -1, 0},
		{"update gate shut", "GRU", arrays{x, one(0, 0, 1), one(0, 0, 0), bias(shut, 0, 0), nil, state(5)}, th, 0},
		{"update gate open", "GRU", arrays{x, one(0, 0, 1), one(0, 0, 0), bias(open, 0, 0), nil, state(5)}, 5, 0},
		{"reset gate shut", "GRU", arrays{x, one(0, 0, 1), one(0, 0, 9), bias(shut, shut, 0), nil, state(5)}, th, 0},
		{"NaN", "GRU", arrays{state(nan), one(0, 0, 1), one(0, 0, 0), bias(shut, 0, 0), nil, state(5)}, nan, 0},
		{"forgets", "LSTM", arrays{x, one(0, 1, 0, 1), one(0, 0, 0, 0), bias(open, 0, shut, 0), nil, state(0), state(9)}, 0.46935057, th},
		{"keeps", "LSTM", arrays{x, one(0, 1, 0, 1), one(0, 0, 0, 0), bias(shut, 0, open, 0), nil, state(0), state(1)}, sg * th, 1},
		{"NaN", "LSTM", arrays{state(nan), one(0, 0, 0, 1), one(0, 0, 0, 0), bias(open, 0, 0, 0), nil, state(0), state(1)}, nan, nan},
	} {
		t.Run(c.op+" "+c.name, func(t *testing.T) {
			outputs := 2
			if c.op == "LSTM" {
				outputs = 3
			}
			got, err := runNode(14, c.op, c.in, outputs, integerAttr("hidden_size", 1))
			if err != nil {
				t.Fatal(err)
			}
			want := arrays{floats([]int{1, 1, 1, 1}, c.h), state(c.h), state(c.c)}
			for i, v := range got {
				if err := closeTo(v, want[i]); err != nil {
					t.Errorf("output %d: %v: got %v, want %v", i, err, v.Data, want[i].Data)
				}
			}
		})
	}
}

// TestRecurrentLayout: with layout 1 the batch comes first, in inputs and outputs, and nothing else changes.
func TestRecurrentLayout(t *testing.T) {
	r := &run{threads: 1, limit: 1 << 30}
	swap := func(a *onnxio.Array, perm ...int) *onnxio.Array {
		v, err := r.transpose(a, perm)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, op := range []string{"LSTM", "GRU", "RNN"} {
		rng := rand.New(rand.NewPCG(5, 6))
		c := newCellRef(rng, op, []bool{false, true}, [4]int{4, 3, 2, 5})
		c.initial(rng)
		in, attrs := c.node(false)
		want, err := runNode(14, op, in, 2, attrs...)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range []int{0, 5, 6} {
			if i < len(in) && in[i] != nil {
				in[i] = swap(in[i], 1, 0, 2)
			}
		}
		got, err := runNode(14, op, in, 2, append(attrs, integerAttr("layout", 1))...)
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range (arrays{swap(want[0], 2, 0, 1, 3), swap(want[1], 1, 0, 2)}) {
			if err := closeTo(got[i], w); err != nil {
				t.Errorf("%s: output %d: %v", op, i, err)
			}
		}
	}
}
