package convert

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"bq/balance"
	"bq/internal/compare"
	"bq/internal/dataset"
	"bq/internal/infer"
	"bq/internal/kernel"
	"bq/internal/parallel"
	"bq/onnxio"
)

// CalibrateOptions say how a calibration table is made.
type CalibrateOptions struct {
	Samples     *dataset.Set // all of them are measured
	OutputKinds []compare.Override
	NoAlone     bool   // leave out the drift of each weight alone, and with it the sensitivities
	Threads     int    // at least 1; never changes the result
	MadeBy      string // program and version
	Progress    func(phase string, done, total int)
}

// Calibrate runs the float model of src on samples and returns the first part of a calibration table. Memory does not grow with the
// number of samples. A NaN or an infinity is an error that names value and sample.
func Calibrate(ctx context.Context, src *onnxio.File, o CalibrateOptions) (*Table, error) {
	c := &converter{Options: Options{Bits: balance.MaxBits, Samples: o.Samples, OutputKinds: o.OutputKinds, Threads: o.Threads, MadeBy: o.MadeBy, Progress: o.Progress}, ctx: ctx, src: src}
	if err := c.plan(); err != nil {
		return nil, err
	}
	if err := c.checkPlan(); err != nil {
		return nil, err
	}
	float, err := infer.Options{Threads: 1}.Compile(src.Model)
	if err != nil {
		return nil, err
	}
	for i := range c.Samples.Len() {
		c.fitted = append(c.fitted, i)
	}
	if len(c.fitted) == 0 {
		return nil, fmt.Errorf("calibrating: no samples")
	}
	t, err := c.firstPart(float)
	if err != nil || o.NoAlone {
		return t, err
	}
	return t, c.measureAlone(float, t)
}

// checkPlan refuses a model without a weight that could be quantized.
func (c *converter) checkPlan() error {
	kept := map[Reason]int{}
	for _, j := range c.jobs {
		if j.reason == "" {
			return nil
		}
		kept[j.reason]++
	}
	return &NothingError{Already: len(coded(c.src.Model)), Kept: kept}
}

// firstPart measures the values and the importance of the weights on the samples that fit.
func (c *converter) firstPart(float *infer.Program) (*Table, error) {
	t, err := c.newTable()
	if err != nil {
		return nil, err
	}
	m := c.newMeter()
	if err := m.run(float); err != nil {
		return nil, err
	}
	t.Values = m.values()
	importance := m.importance()
	for _, j := range c.jobs {
		if j.reason == "" {
			t.Weights = append(t.Weights, TableWeight{Name: j.name, Importance: importance[j], Alone: []TableAlone{}})
		}
	}
	return t, nil
}

// newTable returns a table that says what it is made from.
func (c *converter) newTable() (*Table, error) {
	source, err := c.digest.get(c)
	if err != nil {
		return nil, err
	}
	info := c.Samples.Info()
	return &Table{
		Schema: TableSchema, MadeBy: c.MadeBy, Model: source,
		Data: TableData{Kind: info.Kind, SHA256: info.SHA256, Samples: len(c.fitted)},
	}, nil
}

// meter measures values of the float model, sample by sample.
type meter struct {
	c      *converter
	names  []string // of the values, in the order of the graph
	axis   map[string]int
	asked  map[string]bool     // values that operators of quantized weights read
	layers map[string][]*layer // by the value that they multiply
	mine   map[*onnxio.Node]bool
	totals map[string]*reading // nil: not finite in a sample
	inputs map[*job]*energy
}

// reading is what one sample, or all so far, show of a value.
type reading struct {
	histogram    balance.Histogram
	sum, squares []float64 // by channel
	count        int       // of elements in a channel
}

// energy is the sum of the squares of what a weight multiplies, and of how many inputs.
type energy struct{ sum, count float64 }

// sighting is what a sample shows.
type sighting struct {
	values map[string]*reading
	inputs map[*job]energy
}

func (c *converter) newMeter() *meter {
	m := &meter{c: c, axis: map[string]int{}, asked: map[string]bool{}, layers: map[string][]*layer{}, mine: map[*onnxio.Node]bool{}, totals: map[string]*reading{}, inputs: map[*job]*energy{}}
	g := c.src.Model.Graph
	uses := map[*onnxio.Node]use{}
	for _, j := range c.jobs {
		for _, u := range j.uses {
			if j.reason == "" && j.Graph == g && dataInput(u) >= 0 {
				uses[u.node] = u
			}
		}
	}
	for _, n := range g.Nodes {
		m.mine[n] = true
		u, ok := uses[n]
		if !ok {
			continue
		}
		name := n.Input(dataInput(u))
		if _, seen := m.axis[name]; !seen && name != "" {
			m.axis[name], m.asked[name] = channelAxis(u), true
		}
	}
	for _, p := range c.placed() {
		if _, seen := m.axis[p.name]; !seen {
			m.axis[p.name] = 1
		}
	}
	m.names = inOrder(g, m.axis)
	for _, l := range c.layers(nil) {
		m.layers[l.value] = append(m.layers[l.value], l)
	}
	return m
}

// inOrder returns the values of the graph that are among names, in the order in which they are made.
func inOrder(g *onnxio.Graph, names map[string]int) []string {
	var list []string
	seen := map[string]bool{}
	add := func(name string) {
		if _, ok := names[name]; ok && !seen[name] {
			seen[name] = true
			list = append(list, name)
		}
	}
	for _, in := range g.Inputs {
		add(in.Name)
	}
	for _, n := range g.Nodes {
		for _, out := range n.Outputs {
			add(out)
		}
	}
	return list
}

// channelAxis returns the axis of the data input of u's node along which its channels lie.
func channelAxis(u use) int {
	switch op := opOf(u.node); {
	case op == "Conv" || op == "ConvTranspose":
		return 1
	case op == "MatMul" && u.input == 0:
		return -2
	case op == "Gemm" && u.input == 1 && u.node.IntAttr("transA", 0) != 0, op == "Gemm" && u.input == 0 && u.node.IntAttr("transB", 0) == 0:
		return 0
	}
	return -1
}

// run runs the model on the samples that fit and adds up what they show, in their order.
func (m *meter) run(p *infer.Program) error {
	c := m.c
	total := len(c.fitted)
	take := func(i int, s *sighting) error {
		c.progress("running the float model", i+1, total)
		m.add(s)
		return nil
	}
	carry := c.Samples.Carry()
	if len(carry) == 0 {
		return parallel.InOrder(c.ctx, c.Threads, total, func(i int) (*sighting, error) {
			s, err := c.Samples.Sample(c.fitted[i])
			if err != nil {
				return nil, err
			}
			seen, _, err := m.see(p, i, &s)
			return seen, err
		}, take)
	}
	place := map[int]int{}
	for k, i := range c.fitted {
		place[i] = k
	}
	var state map[string]*onnxio.Array
	for i := range c.fitted[total-1] + 1 {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		s, err := c.Samples.Sample(i)
		if err != nil {
			return err
		}
		for output, input := range carry {
			if v := state[output]; v != nil && !s.Reset {
				s.Feeds[input] = v
			}
		}
		k, fits := place[i]
		var seen *sighting
		if seen, state, err = m.see(p, k, &s); err != nil {
			return err
		}
		if fits {
			if err := take(k, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

// see runs one sample, the k-th of those that fit.
func (m *meter) see(p *infer.Program, k int, s *dataset.Sample) (*sighting, map[string]*onnxio.Array, error) {
	seen := &sighting{values: map[string]*reading{}, inputs: map[*job]energy{}}
	for _, in := range p.Inputs() {
		if v := s.Feeds[in.Name]; v != nil {
			if err := m.observe(seen, in.Name, v, k, s.Name); err != nil {
				return nil, nil, err
			}
		}
	}
	outputs, err := p.Run(s.Feeds, func(n *onnxio.Node, output string, v *onnxio.Array) (*onnxio.Array, error) {
		if !m.mine[n] {
			return nil, m.c.ctx.Err()
		}
		return nil, m.observe(seen, output, v, k, s.Name)
	})
	if failed := (*NonFiniteError)(nil); errors.As(err, &failed) {
		return nil, nil, failed
	}
	if err != nil {
		return nil, nil, fmt.Errorf("running the model on %s: %w", s.Name, err)
	}
	return seen, outputs, nil
}

// NonFiniteError says that a value is not finite in a sample.
type NonFiniteError struct {
	value  string
	what   string
	index  int
	sample string
}

// Error names value and sample.
func (e *NonFiniteError) Error() string {
	return fmt.Sprintf("calibrating %s: %s in sample %d (%s)", onnxio.Quote(e.value), e.what, e.index, e.sample)
}

// observe measures a value in the k-th sample.
func (m *meter) observe(seen *sighting, name string, v *onnxio.Array, k int, sample string) error {
	axis, wanted := m.axis[name]
	if layers := m.layers[name]; !wanted && len(layers) == 0 || len(v.F32()) == 0 {
		return nil
	}
	if _, _, finite := kernel.MinMax(v.F32()); !finite {
		if !m.asked[name] {
			seen.values[name] = nil
			return nil
		}
		what := "infinity"
		if slices.ContainsFunc(v.F32(), func(x float32) bool { return x != x }) {
			what = "NaN"
		}
		return &NonFiniteError{name, what, m.c.fitted[k], sample}
	}
	if wanted {
		seen.values[name] = newReading(v, axis)
	}
	for _, l := range m.layers[name] {
		g, err := l.geometry(v)
		if err != nil {
			return err
		}
		s := newSampler(l, len(m.c.fitted))
		row, places := make([]float32, l.inputs), g.Places()
		quota := s.quota(places)
		e := energy{count: float64(quota) * float64(l.inputs)}
		for at := range quota {
			g.Row(row, v.F32(), s.place(k, at, quota, places))
			e.sum += kernel.SumProducts(row, row)
		}
		seen.inputs[l.job] = e
	}
	return nil
}

// newReading measures a value along the axis of its channels; a value that has no such axis has no channels.
func newReading(v *onnxio.Array, axis int) *reading {
	r := &reading{}
	x := v.F32()
	r.histogram.Add(x)
	s := sumChannels(v, axis)
	if s == nil {
		return r
	}
	if axis < 0 {
		axis += len(v.Shape)
	}
	r.sum, r.count, r.squares = s.sum, s.count, make([]float64, len(s.sum))
	inner := product(v.Shape[axis+1:])
	for at, c := 0, 0; at < len(x); at += inner {
		for _, f := range x[at : at+inner] {
			r.squares[c] += float64(float64(f) * float64(f))
		}
		c = (c + 1) % len(r.squares)
	}
	return r
}

// add adds what a sample shows.
func (m *meter) add(s *sighting) {
	for _, name := range m.names {
		r, ok := s.values[name]
		t, before := m.totals[name]
		if !ok || before && t == nil {
			continue
		}
		if !before || r == nil {
			m.totals[name] = r
			continue
		}
		t.histogram.Merge(&r.histogram)
		if len(t.sum) != len(r.sum) { // a free dimension: no channels
			t.sum, t.squares, t.count = nil, nil, 0
			continue
		}
		for c := range t.sum {
			t.sum[c] += r.sum[c]
			t.squares[c] += r.squares[c]
		}
		t.count += r.count
	}
	for j, e := range s.inputs {
		t := m.inputs[j]
		if t == nil {
			t = &energy{}
			m.inputs[j] = t
		}
		t.sum, t.count = t.sum+e.sum, t.count+e.count
	}
}

// values returns what was measured of the values.
func (m *meter) values() []TableValue {
	list := []TableValue{}
	for _, name := range m.names {
		r := m.totals[name]
		if r == nil {
			continue
		}
		s := r.histogram.State()
		v := TableValue{Name: name, Count: r.histogram.Count(), Min: s.Min, Max: s.Max, Sum: s.Sum, Axis: m.axis[name], Means: []float64{}, Deviations: []float64{},
			Histogram: TableHistogram{Exponent: s.Exponent, Signed: s.Signed, First: s.First, Counts: append([]int64{}, s.Counts...)}}
		for c := range r.sum {
			mean := r.sum[c] / float64(r.count)
			v.Means = append(v.Means, mean)
			v.Deviations = append(v.Deviations, math.Sqrt(max(0, r.squares[c]/float64(r.count)-float64(mean*mean))))
		}
		list = append(list, v)
	}
	return list
}

// importance returns the mean square of what each weight multiplies.
func (m *meter) importance() map[*job]*float64 {
	list := map[*job]*float64{}
	for j, e := range m.inputs {
		if v := e.sum / e.count; v-v == 0 {
			list[j] = &v
		}
	}
	return list
}
