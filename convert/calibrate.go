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
	means, err := c.floatMeans(float, feeds, list)
	if err != nil {
		return err
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
	m, uses, err := c.restored()
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
		k, bias := at[n]
		return bias && output == list[k].output || taps[n] != ""
	}
	steps, total := 0, len(list)+len(taps)
	err = lockstep(c.ctx, p, feeds, c.Threads, marked, func(n *onnxio.Node, _ string, values []*onnxio.Array) error {
		if k, ok := at[n]; ok {
			list[k].delta = takeBack(values, means[k], list[k].axis)
		}
		if value := taps[n]; value != "" {
			a, err := c.code(value, values)
			if err != nil {
				return err
			}
			c.result.Activations = append(c.result.Activations, a)
		}
		steps++
		c.progress("calibrating", steps, total)
		return nil
	})
	if failed := (*sampleError)(nil); errors.As(err, &failed) {
		return fmt.Errorf("running the quantized model on %s: %w", c.sampleName(c.fitted[failed.sample]), failed.err)
	}
	return err
}

// tap puts an Identity at every value of m that is to be coded, and returns which value each stands for.
func (c *converter) tap(m *onnxio.Model, uses []dataUse) (map[*onnxio.Node]string, error) {
	taps := map[*onnxio.Node]string{}
	if c.ActBits == 0 {
		return taps, nil
	}
	var values []string
	seen := map[string]bool{}
	for _, d := range uses {
		if v := d.node.Inputs[d.input]; !seen[v] {
			seen[v] = true
			values = append(values, v)
		}
	}
	err := insert(m, uses, values, func(b *graphBuilder, value string, _ onnxio.DataType) string {
		out := b.node("Identity", value+"/tap", []string{value})
		taps[b.nodes[len(b.nodes)-1]] = value
		return out
	})
	return taps, err
}

// restored returns the model as the container so far would restore it, and where activations meet its weights.
func (c *converter) restored() (*onnxio.Model, []dataUse, error) {
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
	_, uses, err := lower(m, FormFloat, func(name string) (*packing.Tensor, error) { return entries[name], nil }, len(entries))
	return m, uses, err
}

// code chooses the range of a value from all samples, and codes the value in all samples, in place of values.
func (c *converter) code(name string, values []*onnxio.Array) (Activation, error) {
	var h balance.Histogram
	for i, v := range values {
		if v.F32() == nil {
			return Activation{}, fmt.Errorf("calibrating %s: %v, want a float type", onnxio.Quote(name), v.Type)
		}
		if h.Add(v.F32()) > 0 {
			return Activation{}, fmt.Errorf("calibrating %s: NaN or infinity in %s", onnxio.Quote(name), c.sampleName(c.fitted[i]))
		}
	}
	low, high := h.Range(c.rule, c.ActBits)
	a := newActivation(name, low, high, c.ActBits)
	for i, v := range values {
		values[i] = a.round(v)
	}
	return a, nil
}

// compareOn returns how far the model as restored is from the float model on the given samples.
func (c *converter) compareOn(float *infer.Program, samples []int) ([]compare.Figures, error) {
	m, uses, err := c.restored()
	if err != nil {
		return nil, err
	}
	if err := insertActivations(m, uses, c.result.Activations); err != nil {
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
