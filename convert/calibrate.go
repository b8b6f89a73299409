package convert

import (
	"errors"
	"fmt"
	"slices"

	"bq/balance"
	"bq/internal/compare"
	"bq/internal/dataset"
	"bq/internal/infer"
	"bq/internal/parallel"
	"bq/onnxio"
	"bq/packing"
)

// heldOutEvery: every so many-th sample is kept out of calibration for the closing check, where there are at least
// heldOutFrom samples (cli.md, "convert").
const (
	heldOutEvery = 4
	heldOutFrom  = 16
)

// split divides the samples into those that fit and those that check; with few samples both are all of them.
func split(n int) (fit, check []int, apart bool) {
	apart = n >= heldOutFrom
	for i := range n {
		held := apart && i%heldOutEvery == heldOutEvery-1
		if !held {
			fit = append(fit, i)
		}
		if held || !apart {
			check = append(check, i)
		}
	}
	return fit, check, apart
}

// feed compiles the float model and gathers what the samples that fit feed it with.
func (c *converter) feed() (float *infer.Program, feeds []map[string]*onnxio.Array, err error) {
	if float, err = (infer.Options{Threads: 1}).Compile(c.src.Model); err != nil {
		return nil, nil, err
	}
	fit, check, apart := split(c.Samples.Len())
	if len(fit) == 0 {
		return nil, nil, fmt.Errorf("calibrating: no samples")
	}
	if !apart {
		c.warn("%s: too few to hold some out, the closing check sees the samples that calibrated", countOf(len(fit), "sample"))
	}
	if fit, err = c.affordable(float, fit); err != nil {
		return nil, nil, err
	}
	if c.rehearsal != nil {
		if fit, err = c.rehearsal.shorten(c, float, fit); err != nil {
			return nil, nil, err
		}
	}
	c.fitted, c.checked, c.rule = fit, check, usualRule(c.ActBits)
	c.result.Calibration, c.result.HeldOut, c.result.Checked = len(fit), len(check), check
	if feeds, err = compare.Feeds(c.ctx, float, c.Samples, fit); err != nil {
		return nil, nil, err
	}
	for i, f := range feeds {
		if err := dataset.CheckNaN(c.sampleName(fit[i]), f); err != nil {
			return nil, nil, err
		}
	}
	return float, feeds, nil
}

// calibrate fits biases and activation ranges on one part of the samples, layer by layer on the quantized model, and
// measures the drift of the result on the other.
func (c *converter) calibrate(float *infer.Program, feeds []map[string]*onnxio.Array) (err error) {
	if err := c.chooseRule(float, feeds); err != nil {
		return err
	}
	if err := c.correct(float, feeds); err != nil {
		return err
	}
	if err := c.spare(float, feeds); err != nil {
		return err
	}
	c.result.Drift, err = c.compareOn(float, c.checked)
	return err
}

// correct fits biases and activation ranges, layer by layer on the quantized model.
func (c *converter) correct(float *infer.Program, feeds []map[string]*onnxio.Array) error {
	list, without := c.corrections()
	c.result.Uncorrected = without
	list = slices.DeleteFunc(list, func(k *correction) bool {
		if k.optional && !c.paying[k.index] {
			c.result.Uncorrected++
			return true
		}
		return false
	})
	means := c.means
	if len(means) != len(list) || means == nil {
		var err error
		if means, err = c.floatMeans(float, feeds, list); err != nil {
			return err
		}
	}
	if c.choosing {
		c.means = means
	}
	if err := c.fit(feeds, list, means); err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(k *correction) bool { return k.delta == nil })
	c.reserve(list)
	return c.store(list)
}

// uncorrect takes back what correct did, so that it can be done again for other codes.
func (c *converter) uncorrect() {
	c.added, c.result.Activations, c.result.Corrected, c.result.Uncorrected = nil, nil, 0, 0
	for _, j := range c.jobs {
		if !j.coupled {
			j.data = nil
		}
	}
}

// uncouple takes back what belongs to the codes of layers: biases and scales that the codes of another pass asked for.
func (c *converter) uncouple() {
	for _, j := range c.jobs {
		if j.coupled {
			j.data, j.coupled = nil, false
		}
	}
}

// countOf writes a number of things.
func countOf(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (c *converter) warn(format string, args ...any) {
	c.result.Warnings = append(c.result.Warnings, fmt.Sprintf(format, args...))
}

// lockstepBytes bounds the memory of the values that all calibration samples hold at once. liveValues is how many
// values of the size of the largest one a run is taken to hold: a node's inputs and output, and a value that is still
// to be added.
const (
	lockstepBytes = 1 << 30
	liveValues    = 4
)

// affordable returns as many of the samples, evenly spread, as lockstep can hold within lockstepBytes, by what one run
// of the float model shows; at least one.
func (c *converter) affordable(p *infer.Program, fit []int) ([]int, error) {
	feeds, err := compare.Feeds(c.ctx, p, c.Samples, fit[:1])
	if err != nil {
		return nil, err
	}
	largest, fed := 0, 0
	for _, v := range feeds[0] {
		fed += arrayBytes(v)
		largest = max(largest, arrayBytes(v))
	}
	_, err = p.Run(feeds[0], func(_ *onnxio.Node, _ string, v *onnxio.Array) (*onnxio.Array, error) {
		largest = max(largest, arrayBytes(v))
		return nil, nil
	})
	if err != nil {
		return nil, fmt.Errorf("running the model on %s: %w", c.sampleName(fit[0]), err)
	}
	n := max(1, lockstepBytes/max(1, fed+liveValues*largest))
	if n >= len(fit) {
		return fit, nil
	}
	c.warn("calibrating on %d of %d samples: more would take over %d MiB at once", n, len(fit), lockstepBytes>>20)
	return evenly(fit, n), nil
}

// evenly returns n elements of list, evenly spread; all where there are no more.
func evenly[T any](list []T, n int) []T {
	if n >= len(list) {
		return list
	}
	some := make([]T, n)
	for i := range some {
		some[i] = list[i*len(list)/n]
	}
	return some
}

// arrayBytes returns the bytes that the elements of an array take in memory, 16-bit floats widened.
func arrayBytes(a *onnxio.Array) int { return a.Len() * max(a.Type.Bits(), 32) / 8 }

// sampleName names a sample of the data for messages.
func (c *converter) sampleName(i int) string {
	s, err := c.Samples.Sample(i)
	if err != nil {
		return fmt.Sprintf("sample %d", i)
	}
	return s.Name
}

// floatMeans returns, for each correction, the float model's mean output by channel over all samples.
func (c *converter) floatMeans(p *infer.Program, feeds []map[string]*onnxio.Array, list []*correction) ([][]float64, error) {
	at := map[*onnxio.Node]int{}
	for k, v := range list {
		at[c.src.Model.Graph.Nodes[v.meets]] = k
	}
	sums := make([][]*channelSum, len(feeds))
	err := parallel.Each(c.ctx, c.Threads, len(feeds), func(i int) error {
		sums[i] = make([]*channelSum, len(list))
		_, err := p.Run(feeds[i], func(n *onnxio.Node, output string, v *onnxio.Array) (*onnxio.Array, error) {
			if k, ok := at[n]; ok && output == list[k].output {
				sums[i][k] = sumChannels(v, list[k].axis)
			}
			return nil, nil
		})
		if err != nil {
			return fmt.Errorf("running the model on %s: %w", c.sampleName(c.fitted[i]), err)
		}
		return nil
	}, func(done int) { c.progress("running the float model", done, len(feeds)) })
	if err != nil {
		return nil, err
	}
	means := make([][]float64, len(list))
	for k := range list {
		column := make([]*channelSum, len(feeds))
		for i := range feeds {
			column[i] = sums[i][k]
			if !column[i].finite() {
				return nil, fmt.Errorf("calibrating %s: NaN or infinity in %s", onnxio.Quote(list[k].output), c.sampleName(c.fitted[i]))
			}
		}
		means[k] = meanOf(column)
	}
	return means, nil
}

// fit runs the quantized model on all samples in lockstep. At the output of a corrected node it takes back the mean
// shift against the float model; at a value that is to be coded it chooses the range and codes the value, so that
// what comes later is fitted to what the final model will compute.
func (c *converter) fit(feeds []map[string]*onnxio.Array, list []*correction, means [][]float64) error {
	m, uses, err := c.restored(nil)
	if err != nil {
		return err
	}
	at := map[*onnxio.Node]int{}
	for k, v := range list {
		at[m.Graph.Nodes[v.meets]] = k // FormFloat adds no nodes
	}
	taps, err := c.tap(m, uses)
	if err != nil || len(at)+len(taps) == 0 {
		return err
	}
	p, err := infer.Options{Threads: 1}.Compile(m)
	if err != nil {
		return err
	}
	marked := func(n *onnxio.Node, output string) bool {
		_, bias := at[n]
		_, tap := taps[n]
		return bias && output == n.Outputs[0] || tap
	}
	steps, total := 0, len(list)+len(taps)
	coded := map[string]Activation{}
	err = lockstep(c.ctx, p, feeds, c.Threads, marked, func(n *onnxio.Node, _ string, values []*onnxio.Array) error {
		if k, ok := at[n]; ok {
			list[k].delta = takeBack(values, means[k], list[k].axis)
		}
		if value, ok := taps[n]; ok {
			if err := c.code(value, coded, values); err != nil {
				return err
			}
		}
		steps++
		c.progress("calibrating", steps, total)
		return nil
	})
	if failed := (*sampleError)(nil); errors.As(err, &failed) {
		return fmt.Errorf("running the quantized model on %s: %w", c.sampleName(c.fitted[failed.sample]), failed.err)
	}
	for _, p := range c.placed() {
		if a, ok := coded[p.name]; ok {
			c.result.Activations = append(c.result.Activations, a)
		}
	}
	return err
}

// placed lists the values of the model that are coded, in the order in which they are made.
func (c *converter) placed() []placed { return c.placedWith(c.byRow) }

func (c *converter) placedWith(byRow bool) []placed {
	list, coded := make([]*site, len(c.jobs)), map[*site]bool{}
	for i, j := range c.jobs {
		list[i], coded[j.site] = j.site, j.reason == ""
	}
	return placements(c.src.Model, list, func(s *site) bool { return coded[s] }, byRow, c.spared)
}

// tap puts an Identity at every value of m that is to be coded, and returns which value each stands for.
func (c *converter) tap(m *onnxio.Model, uses []dataUse) (map[*onnxio.Node]placed, error) {
	taps := map[*onnxio.Node]placed{}
	if c.ActBits == 0 {
		return taps, nil
	}
	err := insert(m, uses, c.placed(), func(b *graphBuilder, p placed, value string) string {
		out := b.node("Identity", p.name+"/tap", []string{value})
		taps[b.nodes[len(b.nodes)-1]] = p
		return out
	})
	return taps, err
}

// restored returns the model as the container so far would restore it with these activations, and where they meet its weights.
func (c *converter) restored(list []Activation) (*onnxio.Model, []dataUse, error) {
	graph, err := c.graphBytes()
	if err != nil {
		return nil, nil, err
	}
	m, err := onnxio.Parse(graph)
	if err != nil {
		return nil, nil, err
	}
	entries := map[string]*packing.Tensor{}
	for _, j := range c.jobs {
		t, err := j.tensor()
		if err != nil {
			return nil, nil, err
		}
		if t != nil {
			entries[t.Name] = t
		}
	}
	for _, a := range c.added {
		entries[a.name] = a.tensor()
	}
	_, uses, err := lower(m, runForm(list), list, func(name string) (*packing.Tensor, error) { return entries[name], nil }, len(entries))
	return m, uses, err
}

// code chooses the range of a value from all samples, and codes the value in all samples, in place of values; it adds to coded, which
// holds the values before it.
func (c *converter) code(p placed, coded map[string]Activation, values []*onnxio.Array) error {
	a, ok := coded[p.like]
	if a.Name = p.name; p.byRow {
		a = byRow(p, c.ActBits)
		for i, v := range values {
			if !finite(v.F32()) {
				return fmt.Errorf("calibrating %s: NaN or infinity in %s", onnxio.Quote(p.name), c.sampleName(c.fitted[i]))
			}
		}
	} else if !ok {
		r, err := c.span(p, values)
		if err != nil && p.asked {
			return err
		} else if err != nil {
			return nil
		}
		a = newActivation(p, r, c.ActBits)
	}
	coded[p.name] = a
	for i, v := range values {
		values[i] = a.round(v)
	}
	return nil
}

// span chooses the range of a value, and of each of its channels where that is free.
func (c *converter) span(p placed, values []*onnxio.Array) (span, error) {
	r := span{}
	if p.channels {
		r.shifts, r.rank = shiftsOf(values)
	}
	var h balance.Histogram
	for i, v := range values {
		x := v.F32()
		if x == nil {
			return r, fmt.Errorf("calibrating %s: %v, want a float type", onnxio.Quote(p.name), v.Type)
		}
		if r.shifts != nil {
			x = scaledUp(v, r.shifts)
		}
		if h.Add(x) > 0 {
			return r, fmt.Errorf("calibrating %s: NaN or infinity in %s", onnxio.Quote(p.name), c.sampleName(c.fitted[i]))
		}
	}
	r.low, r.high = h.Range(c.rule, c.ActBits)
	if wider := headroom(len(values)); wider > 1 {
		r.low, r.high = r.low*wider, r.high*wider
		if p.most > 0 {
			r.high = min(r.high, p.most)
		}
	}
	return r, nil
}

// shiftsOf returns, for each channel along axis 1, by how many bits its largest magnitude is at least below that of the value; nil where
// there are no channels, or they are alike.
func shiftsOf(values []*onnxio.Array) ([]int8, int) {
	shape := values[0].Shape
	if len(shape) < 2 || shape[1] < 2 {
		return nil, 0
	}
	most, whole := make([]float32, shape[1]), float32(0)
	for _, v := range values {
		x := v.F32()
		if len(v.Shape) != len(shape) || v.Shape[1] != shape[1] || x == nil {
			return nil, 0
		}
		inner := max(1, product(v.Shape[2:]))
		for at := 0; at < len(x); at += inner {
			c := at / inner % len(most)
			for _, f := range x[at : at+inner] {
				most[c] = max(most[c], f, -f)
			}
			whole = max(whole, most[c])
		}
	}
	shifts, any := make([]int8, len(most)), false
	for c, m := range most {
		for m > 0 && m*2 <= whole && shifts[c] < MaxShift {
			m *= 2
			shifts[c]++
		}
		any = any || shifts[c] > 0
	}
	if !any || whole-whole != 0 || whole < leastShifted {
		return nil, 0
	}
	return shifts, len(shape)
}

// leastShifted bounds the values whose channels have steps of their own from below: steps that are 2^MaxShift finer stay normal numbers.
const leastShifted = 1e-20

// scaledUp returns the values of v, each multiplied by two to the power of its channel's shift.
func scaledUp(v *onnxio.Array, shifts []int8) []float32 {
	x, y := v.F32(), make([]float32, v.Len())
	inner := max(1, product(v.Shape[2:]))
	for i, f := range x {
		y[i] = f * float32(int(1)<<shifts[i/inner%len(shifts)])
	}
	return y
}

// compareOn returns how far the model as restored is from the float model on the given samples.
func (c *converter) compareOn(float *infer.Program, samples []int) ([]compare.Figures, error) {
	m, _, err := c.restored(c.result.Activations)
	if err != nil {
		return nil, err
	}
	p, err := infer.Options{Threads: 1}.Compile(m)
	if err != nil {
		return nil, err
	}
	outputs, err := compare.Outputs(c.src.Model, c.OutputKinds)
	if err != nil {
		return nil, err
	}
	pair := &compare.Pair{A: float, B: p, Outputs: outputs, Reference: func(s *dataset.Sample, _ map[string]*onnxio.Array) error {
		return dataset.CheckNaN(s.Name, s.Feeds)
	}}
	return pair.Run(c.ctx, c.Samples, samples, c.Threads, func(done, total int) { c.progress("measuring drift", done, total) })
}
