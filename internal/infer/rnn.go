package infer

import (
	"fmt"
	"math"

	"bq/internal/kernel"
	"bq/onnxio"
)

// recurrent holds what LSTM, GRU and RNN have in common (ONNX operators LSTM, GRU, RNN).
type recurrent struct {
	gates       int
	hidden      int
	reverse     []bool // by direction
	activations [][]func(float64) float64
	clip        float64 // bound on the inputs of activations, +Inf for none
	batchFirst  bool
	coupled     bool    // LSTM input_forget: the forget gate is 1 - the input gate
	linear      bool    // GRU linear_before_reset
	input       *rights // W'
	state       *rights // R'
	usual       bool    // the default activations and no clip: the cells of package kernel
}

func bindRecurrent(b *binding, gates int, defaults ...string) *recurrent {
	c := &recurrent{gates: gates, hidden: int(b.int("hidden_size", 0)), clip: math.Inf(1)}
	switch b.str("direction", "forward", "forward", "reverse", "bidirectional") {
	case "forward":
		c.reverse = []bool{false}
	case "reverse":
		c.reverse = []bool{true}
	default:
		c.reverse = []bool{false, true}
	}
	if b.has("clip") {
		c.clip = float64(b.float("clip", 0))
	}
	c.batchFirst = b.int("layout", 0) == 1
	c.input, c.state = bindRights(b, 1), bindRights(b, 2)
	c.activations = bindActivations(b, len(c.reverse), defaults)
	c.usual = !b.has("clip")
	for i, name := range b.strs("activations") {
		c.usual = c.usual && name == defaults[i%len(defaults)]
	}
	return c
}

// sequence is one run of a recurrent operator.
type sequence struct {
	*recurrent
	t, n, in, h    int
	x, w, r, b     []float32
	lens           []int
	h0, c0, p      []float32
	y, hOut, cOut  []float32
	threads        int
	yShape, hShape []int
}

// open checks the inputs X [T, N, I], W [D, G*H, I], R [D, G*H, H], B [D, 2*G*H], sequence_lens [N], initial_h and
// initial_c [D, N, H], P [D, 3*H].
func (c *recurrent) open(r *run, in []*onnxio.Array) (*sequence, error) {
	x := in[0]
	if len(x.Shape) != 3 || len(in[1].Shape) != 3 || len(in[2].Shape) != 3 {
		return nil, fmt.Errorf("shapes %v, %v, %v, want three dimensions each", x.Shape, in[1].Shape, in[2].Shape)
	}
	s := &sequence{recurrent: c, h: c.hidden, threads: r.threads}
	if s.h == 0 {
		s.h = in[2].Shape[2]
	}
	var err error
	if c.batchFirst {
		if x, err = r.transpose(x, []int{1, 0, 2}); err != nil {
			return nil, err
		}
	}
	s.t, s.n, s.in = x.Shape[0], x.Shape[1], x.Shape[2]
	d, g := len(c.reverse), c.gates
	if s.h < 1 || s.h > maxValueElements/(2*g) {
		return nil, fmt.Errorf("hidden size %d", s.h)
	}
	states := []int{d, s.n, s.h}
	if c.batchFirst {
		states = []int{s.n, d, s.h}
	}
	for i, o := range []struct {
		dst   *[]float32
		shape []int
	}{
		{&s.x, x.Shape}, {&s.w, []int{d, g * s.h, s.in}}, {&s.r, []int{d, g * s.h, s.h}}, {&s.b, []int{d, 2 * g * s.h}},
		{nil, []int{s.n}}, {&s.h0, states}, {&s.c0, states}, {&s.p, []int{d, 3 * s.h}},
	} {
		if i >= len(in) || in[i] == nil {
			continue
		}
		a := in[i]
		if i == 0 {
			a = x
		}
		if !equalShape(a.Shape, o.shape) {
			return nil, fmt.Errorf("input %d: shape %v, want %v", i, a.Shape, o.shape)
		}
		if o.dst == nil {
			s.lens = intsOf(a)
			continue
		}
		if i >= 5 && i <= 6 && c.batchFirst {
			if a, err = r.transpose(a, []int{1, 0, 2}); err != nil {
				return nil, err
			}
		}
		if *o.dst, err = r.float32s(a); err != nil {
			return nil, err
		}
	}
	return s, s.prepare(r)
}

// prepare fills in the defaults and allocates states and results.
func (s *sequence) prepare(r *run) error {
	d := len(s.reverse)
	if s.lens == nil {
		for range s.n {
			s.lens = append(s.lens, s.t)
		}
	}
	for _, l := range s.lens {
		if l < 0 || l > s.t {
			return fmt.Errorf("sequence of length %d, at most %d", l, s.t)
		}
	}
	if int64(d)*int64(s.t)*int64(s.n)*int64(s.gates*s.h)*4 > r.limit-r.live {
		return fmt.Errorf("gates of %d steps, %d samples and size %d exceed the limit of %d bytes", s.t, s.n, s.h, r.limit)
	}
	y, err := r.new(onnxio.Float, s.t, d, s.n, s.h)
	if err != nil {
		return err
	}
	s.y, s.yShape, s.hShape = y.F32(), y.Shape, []int{d, s.n, s.h}
	s.hOut, s.cOut = make([]float32, d*s.n*s.h), make([]float32, d*s.n*s.h)
	copy(s.hOut, s.h0)
	copy(s.cOut, s.c0)
	return nil
}

// row is the gate inputs and the state of one sample at one step.
type row struct {
	gates []float32 // X*W' + Wb + Rb (GRU's candidate with linear_before_reset: without Rb), [G*H]
	rec   []float32 // H*R', [G*H]
	h, c  []float32 // the state, [H], to be replaced
}

// shortSequence is the number of multiply-adds of a direction below which another thread is not worth waking.
const shortSequence = 1 << 16

// each computes the gate products of every step of every direction and calls cell for each sample that is still
// running; the product of X and W' is taken for all steps at once. Directions know nothing of each other: where there are
// threads, each has its own.
func (s *sequence) each(cell func(d int, v row)) {
	directions := len(s.reverse)
	w := s.input.of(s.w, directions, s.gates*s.h, s.in)
	multiply := s.recurrence(max(1, s.threads/directions))
	threads := min(s.threads, directions)
	if s.t*s.n*s.gates*s.h*(s.in+s.h) < shortSequence {
		threads = 1
	}
	kernel.Parallel(threads, directions, func(d int) { s.direction(d, w[d], multiply, cell) })
}

// direction is each for one direction; w is packed for products with X.
func (s *sequence) direction(d int, w *kernel.Packed, multiply func(d int, dst, h []float32), cell func(d int, v row)) {
	gh := s.gates * s.h
	gates, rec := make([]float32, s.t*s.n*gh), make([]float32, s.n*gh)
	s.addBias(gates, d)
	if s.in > 0 {
		kernel.ProductPacked(gates, gh, s.t*s.n, kernel.RowMajor(s.x, s.in), w, kernel.Epilogue{Add: true}, s.threads)
	}
	h := s.hOut[d*s.n*s.h : (d+1)*s.n*s.h]
	for step := range s.t {
		multiply(d, rec, h)
		for n, length := range s.lens {
			if step >= length {
				continue
			}
			t := step
			if s.reverse[d] {
				t = length - 1 - step
			}
			v := row{gates: gates[(t*s.n+n)*gh:][:gh], rec: rec[n*gh:][:gh], h: h[n*s.h:][:s.h]}
			v.c = s.cOut[(d*s.n+n)*s.h:][:s.h]
			cell(d, v)
			copy(s.y[((t*len(s.reverse)+d)*s.n+n)*s.h:][:s.h], v.h)
		}
	}
}

// addBias sets the gates of every step to Wb + Rb; where GRU multiplies the candidate's recurrent part by the reset
// gate before adding, Rb of the candidate is left to the cell.
func (s *sequence) addBias(gates []float32, d int) {
	gh := s.gates * s.h
	if s.b == nil {
		clear(gates)
		return
	}
	wb, rb := s.b[2*d*gh:][:gh], s.b[(2*d+1)*gh:][:gh]
	each := gates[:min(gh, len(gates))]
	copy(each, wb)
	if s.linear {
		rb = rb[:2*s.h]
	}
	for j, v := range rb[:min(len(rb), len(each))] {
		each[j] += v
	}
	for i := gh; i < len(gates); i += gh {
		copy(gates[i:], each)
	}
}

// recBias returns the recurrent bias of the last gate, nil where there is none.
func (s *sequence) recBias(d int) []float32 {
	if s.b == nil {
		return nil
	}
	gh := s.gates * s.h
	return s.b[(2*d+2)*gh-s.h:][:s.h]
}

// act applies an activation to a clipped value.
func (s *sequence) act(f func(float64) float64, v float64) float64 {
	return f(min(max(v, -s.clip), s.clip))
}

// results returns the outputs Y, Y_h and, for LSTM, Y_c in the type of X.
func (s *sequence) results(r *run, x *onnxio.Array, withCell bool) ([]*onnxio.Array, error) {
	outs := []*onnxio.Array{onnxio.Floats(s.y, s.yShape...), onnxio.Floats(s.hOut, s.hShape...)}
	if withCell {
		outs = append(outs, onnxio.Floats(s.cOut, s.hShape...))
	}
	for i, v := range outs {
		var err error
		if s.batchFirst {
			perm := []int{1, 0, 2}
			if i == 0 {
				perm = []int{2, 0, 1, 3}
			}
			if v, err = r.transpose(v, perm); err != nil {
				return nil, err
			}
		}
		if outs[i], err = r.cast(v, x.Type); err != nil {
			return nil, err
		}
	}
	return outs, nil
}

// bindLSTM, gates i, o, f, c, activations f, g, h:
//
//	i = f(X*Wi' + H*Ri' + Pi.C + Wbi + Rbi)    o = f(X*Wo' + H*Ro' + Po.C_new + Wbo + Rbo)
//	f = f(X*Wf' + H*Rf' + Pf.C + Wbf + Rbf)    c = g(X*Wc' + H*Rc' + Wbc + Rbc)
//	C_new = f.C + i.c                          H_new = o.h(C_new)
func bindLSTM(b *binding) runFunc {
	c := bindRecurrent(b, 4, "Sigmoid", "Tanh", "Tanh")
	c.coupled = b.bool("input_forget", false)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		s, err := c.open(r, in)
		if err != nil {
			return nil, err
		}
		s.each(s.lstmCell)
		return s.results(r, in[0], true)
	}
}

func (s *sequence) lstmCell(d int, v row) {
	if s.usual && s.p == nil && !s.coupled {
		kernel.LSTMCell(v.h, v.c, v.gates, v.rec)
		return
	}
	h := s.h
	f, g, out := s.activations[d][0], s.activations[d][1], s.activations[d][2]
	var pi, po, pf []float32
	if s.p != nil {
		p := s.p[d*3*h:]
		pi, po, pf = p[:h], p[h:2*h], p[2*h:3*h]
	}
	peep := func(p []float32, j int, c float64) float64 {
		if p == nil {
			return 0
		}
		return float64(p[j]) * c
	}
	for j := range h {
		in := func(gate int) float64 { return float64(v.gates[gate*h+j]) + float64(v.rec[gate*h+j]) }
		c := float64(v.c[j])
		i := s.act(f, in(0)+peep(pi, j, c))
		forget := 1 - i
		if !s.coupled {
			forget = s.act(f, in(2)+peep(pf, j, c))
		}
		c = forget*c + i*s.act(g, in(3))
		o := s.act(f, in(1)+peep(po, j, c))
		v.c[j] = float32(c)
		v.h[j] = float32(o * out(c))
	}
}

// bindGRU, gates z, r, h, activations f, g:
//
//	z = f(X*Wz' + H*Rz' + Wbz + Rbz)    r = f(X*Wr' + H*Rr' + Wbr + Rbr)
//	h = g(X*Wh' + (r.H)*Rh' + Rbh + Wbh), or g(X*Wh' + r.(H*Rh' + Rbh) + Wbh) with linear_before_reset
//	H_new = (1 - z).h + z.H
func bindGRU(b *binding) runFunc {
	c := bindRecurrent(b, 3, "Sigmoid", "Tanh")
	c.linear = b.bool("linear_before_reset", false)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		s, err := c.open(r, in)
		if err != nil {
			return nil, err
		}
		s.each(s.gruCell)
		return s.results(r, in[0], false)
	}
}

// gruRow is gruCell with the usual activations.
func (s *sequence) gruRow(d int, v row) {
	h := s.h
	kernel.GRUGates(v.gates, v.rec[:2*h], h)
	reset, rec := v.gates[h:2*h], v.rec[2*h:]
	if s.linear {
		if bias := s.recBias(d); bias != nil {
			kernel.Add(rec, rec, bias, 1, 1)
		}
		kernel.Mul(rec, rec, reset, 1, 1)
	} else { // the candidate's recurrent part is of r.H
		kernel.Mul(reset, reset, v.h, 1, 1)
		rh := kernel.RowMajor(s.r[(d*3+2)*h*h:(d*3+3)*h*h], h)
		kernel.Product(rec, h, 1, h, h, kernel.RowMajor(reset, h), rh.T(), kernel.Epilogue{}, 1)
	}
	kernel.GRUCell(v.h, v.gates, rec)
}

func (s *sequence) gruCell(d int, v row) {
	if s.usual {
		s.gruRow(d, v)
		return
	}
	h := s.h
	f, g, bias := s.activations[d][0], s.activations[d][1], s.recBias(d)
	if !s.linear { // the candidate's recurrent part is of r.H
		reset := make([]float32, h)
		for j := range h {
			reset[j] = float32(s.act(f, float64(v.gates[h+j])+float64(v.rec[h+j]))) * v.h[j]
		}
		rh := kernel.RowMajor(s.r[(d*3+2)*h*h:(d*3+3)*h*h], h)
		clear(v.rec[2*h:])
		kernel.Gemm(v.rec[2*h:], h, 1, h, h, kernel.RowMajor(reset, h), rh.T(), 1)
	}
	for j := range h {
		z := s.act(f, float64(v.gates[j])+float64(v.rec[j]))
		rec := float64(v.rec[2*h+j])
		if s.linear {
			if bias != nil {
				rec += float64(bias[j])
			}
			rec *= s.act(f, float64(v.gates[h+j])+float64(v.rec[h+j]))
		}
		cand := s.act(g, float64(v.gates[2*h+j])+rec)
		v.h[j] = float32((1-z)*cand + z*float64(v.h[j]))
	}
}

// bindRNN, activation f: H_new = f(X*W' + H*R' + Wb + Rb).
func bindRNN(b *binding) runFunc {
	c := bindRecurrent(b, 1, "Tanh")
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		s, err := c.open(r, in)
		if err != nil {
			return nil, err
		}
		s.each(func(d int, v row) {
			if s.usual {
				kernel.RNNCell(v.h, v.gates, v.rec)
				return
			}
			for j := range v.h {
				v.h[j] = float32(s.act(s.activations[d][0], float64(v.gates[j])+float64(v.rec[j])))
			}
		})
		return s.results(r, in[0], false)
	}
}
