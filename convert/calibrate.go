package convert

import (
	"fmt"

	"bq/balance"
	"bq/internal/compare"
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

// calibrate fits biases and activation ranges on one part of the samples, layer by layer on the quantized model, and
// measures the drift of the result on the other.
func (c *converter) calibrate() error {
	float, err := infer.Compile(c.src.Model)
	if err != nil {
		return err
	}
	fit, check, apart := split(c.Samples.Len())
	if len(fit) == 0 {
		return fmt.Errorf("calibrating: no samples")
	}
	if !apart {
		c.result.Warnings = append(c.result.Warnings, fmt.Sprintf("%d samples: too few to hold some out, the closing check sees the samples that calibrated", len(fit)))
	}
	feeds, err := compare.Feeds(c.ctx, float, c.Samples, fit)
	if err != nil {
		return err
	}
	c.result.Calibration, c.result.HeldOut = len(fit), len(check)
	list := c.corrections()
	means, err := c.floatMeans(float, feeds, list)
	if err != nil {
		return err
	}
	if err := c.fit(feeds, list, means); err != nil {
		return err
	}
	if err := c.store(list); err != nil {
		return err
	}
	return c.measure(float, check)
}

// floatMeans returns, for each correction, the float model's mean output by channel over all samples.
func (c *converter) floatMeans(p *infer.Program, feeds []map[string]*onnxio.Array, list []*correction) ([][]float64, error) {
	at := outputIndex(list)
	sums := make([][]*channelSum, len(feeds))
	err := parallel.Each(c.ctx, c.Threads, len(feeds), func(i int) error {
		sums[i] = make([]*channelSum, len(list))
		_, err := p.Run(feeds[i], func(_ *onnxio.Node, output string, v *onnxio.Array) (*onnxio.Array, error) {
			if k, ok := at[output]; ok {
				sums[i][k] = sumChannels(v, list[k].axis)
			}
			return v, nil
		})
		return err
	}, func(done int) { c.progress("running the float model", done, len(feeds)) })
	if err != nil {
		return nil, err
	}
	means := make([][]float64, len(list))
	for k := range list {
		column := make([]*channelSum, len(feeds))
		for i := range feeds {
			column[i] = sums[i][k]
		}
		means[k] = meanOf(column)
	}
	return means, nil
}

func outputIndex(list []*correction) map[string]int {
	at := map[string]int{}
	for k, v := range list {
		at[v.output] = k
	}
	return at
}

// fit runs the quantized model on all samples in lockstep. At the output of a corrected node it takes back the mean
// shift against the float model; at a value that is to be coded it chooses the range and codes the value, so that
// what comes later is fitted to what the final model will compute.
func (c *converter) fit(feeds []map[string]*onnxio.Array, list []*correction, means [][]float64) error {
	m, taps, err := c.tapped()
	if err != nil {
		return err
	}
	p, err := infer.Compile(m)
	if err != nil {
		return err
	}
	at := outputIndex(list)
	marked := func(output string) bool {
		_, bias := at[output]
		_, tap := taps[output]
		return bias || tap
	}
	steps, total := 0, len(list)+len(taps)
	return lockstep(c.ctx, p, feeds, c.Threads, marked, func(output string, values []*onnxio.Array) error {
		if k, ok := at[output]; ok {
			list[k].delta = takeBack(values, means[k], list[k].axis)
		}
		if value, ok := taps[output]; ok {
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
}

// tapped returns the quantized model with an Identity at every value that is to be coded, and which value the output
// of each Identity stands for.
func (c *converter) tapped() (*onnxio.Model, map[string]string, error) {
	m, uses, err := c.restored()
	if err != nil {
		return nil, nil, err
	}
	taps := map[string]string{}
	if c.ActBits == 0 {
		return m, taps, nil
	}
	names := valueNames(m)
	for _, d := range uses {
		value := d.node.Inputs[d.input]
		insert(m, uses, names, value, func(b *graphBuilder, _ onnxio.DataType) string {
			out := b.node("Identity", value+"/tap", []string{value})
			taps[out] = value
			return out
		})
	}
	return m, taps, nil
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
			return Activation{}, fmt.Errorf("calibrating %s: NaN or infinity in sample %d", onnxio.Quote(name), i)
		}
	}
	low, high := activationRange(&h, c.ActBits)
	a := newActivation(name, low, high, c.ActBits)
	for i, v := range values {
		values[i] = a.round(v)
	}
	return a, nil
}

// measure runs float and restored model on the held-out samples.
func (c *converter) measure(float *infer.Program, check []int) error {
	m, uses, err := c.restored()
	if err != nil {
		return err
	}
	if err := insertActivations(m, uses, c.result.Activations); err != nil {
		return err
	}
	p, err := infer.Compile(m)
	if err != nil {
		return err
	}
	outputs, err := compare.Outputs(c.src.Model, c.OutputKinds)
	if err != nil {
		return err
	}
	pair := &compare.Pair{A: float, B: p, Outputs: outputs}
	c.result.Drift, err = pair.Run(c.ctx, c.Samples, check, c.Threads, func(done, total int) { c.progress("measuring drift", done, total) })
	return err
}
