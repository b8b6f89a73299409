package convert

import (
	"slices"

	"bq/internal/infer"
	"bq/internal/parallel"
	"bq/onnxio"
)

// twins runs the float model and the model as quantized so far side by side on the same samples. The weights of both are
// inputs of one program, so that a weight can be put in the place of another between two nodes of a run: all runs meet at
// the values that layers read, the weights of those layers are decided there, and the runs go on.
type twins struct {
	c       *converter
	program *infer.Program
	samples []map[string]*onnxio.Array
	weights map[string]*onnxio.Array // float, by input name
	coded   map[string]*onnxio.Array // the same where they are not decided, else as they will be decoded
	mine    map[*onnxio.Node]bool    // the nodes of the main graph
}

// newTwins builds the program in which the given weights, of the main graph, are inputs.
func (c *converter) newTwins(samples []map[string]*onnxio.Array, weights []*job) (*twins, error) {
	t := &twins{c: c, samples: samples, weights: map[string]*onnxio.Array{}, coded: map[string]*onnxio.Array{}, mine: map[*onnxio.Node]bool{}}
	m, err := onnxio.Parse(c.src.Bytes)
	if err != nil {
		return nil, err
	}
	if err := c.embed(m); err != nil {
		return nil, err
	}
	for _, n := range m.Graph.Nodes {
		t.mine[n] = true
	}
	for _, j := range weights {
		a, err := j.Tensor.Array()
		if err != nil {
			return nil, err
		}
		t.weights[j.Name] = a
		declare(m.Graph, j.Name, a)
	}
	t.reset()
	t.program, err = infer.Options{Threads: 1}.Compile(m)
	return t, err
}

// declare makes the constant of that name an input of the graph.
func declare(g *onnxio.Graph, name string, a *onnxio.Array) {
	g.Initializers = slices.DeleteFunc(g.Initializers, func(t *onnxio.Tensor) bool { return t.Name == name })
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *onnxio.Node) bool {
		return opOf(n) == "Constant" && len(n.Outputs) == 1 && n.Outputs[0] == name
	})
	g.Inputs = slices.DeleteFunc(g.Inputs, func(v *onnxio.ValueInfo) bool { return v.Name == name })
	g.Inputs = append(g.Inputs, constantInput(name, a.Type, a.Shape))
}

// fed returns the feeds of a sample with one of the two sets of weights.
func (t *twins) fed(sample map[string]*onnxio.Array, weights map[string]*onnxio.Array) map[string]*onnxio.Array {
	feeds := make(map[string]*onnxio.Array, len(sample)+len(weights))
	for name, v := range sample {
		feeds[name] = v
	}
	for name, v := range weights {
		feeds[name] = v
	}
	return feeds
}

// decide puts what a weight is decoded to in the place of its float values, in the nodes of the quantized stream that have not
// run yet.
func (t *twins) decide(j *job) { j.q.decoded(j.Tensor.Type, t.coded[j.Name].F32()) }

// reset gives the quantized stream weights of its own, equal to the float ones.
func (t *twins) reset() {
	for name, a := range t.weights {
		b := onnxio.NewArray(a.Type, a.Shape...)
		copy(b.F32(), a.F32())
		t.coded[name] = b
	}
}

// meetFunc sees a value of the float stream and of the quantized one, for all samples, and may replace elements of coded.
type meetFunc func(value string, float, coded []*onnxio.Array) error

// run runs both streams over all samples. meet is called at each of the values, in the order in which the graph makes them; values
// that are inputs of the graph come first.
func (t *twins) run(values map[string]bool, meet meetFunc) error {
	n := len(t.samples)
	for _, in := range t.program.Inputs() {
		if !values[in.Name] || t.weights[in.Name] != nil {
			continue
		}
		fed := make([]*onnxio.Array, n)
		for i, s := range t.samples {
			fed[i] = s[in.Name]
		}
		if err := meet(in.Name, fed, slices.Clone(fed)); err != nil {
			return err
		}
	}
	feeds := make([]map[string]*onnxio.Array, 0, 2*n)
	for _, s := range t.samples {
		feeds = append(feeds, t.fed(s, t.weights))
	}
	for _, s := range t.samples {
		feeds = append(feeds, t.fed(s, t.coded))
	}
	marked := func(v *onnxio.Node, output string) bool { return values[output] && t.mine[v] }
	return lockstep(t.c.ctx, t.program, feeds, t.c.Threads, marked, func(_ *onnxio.Node, output string, v []*onnxio.Array) error {
		return meet(output, v[:n:n], v[n:])
	})
}

// floatRun runs the float stream alone, sample by sample, and shows the values asked for, in the order of the samples.
func (t *twins) floatRun(values map[string]bool, progress func(done int), see func(sample int, seen map[string]*onnxio.Array) error) error {
	return parallel.InOrder(t.c.ctx, t.c.Threads, len(t.samples), func(i int) (map[string]*onnxio.Array, error) {
		seen := map[string]*onnxio.Array{}
		for name, v := range t.samples[i] {
			if values[name] {
				seen[name] = v
			}
		}
		_, err := t.program.Run(t.fed(t.samples[i], t.weights), func(n *onnxio.Node, output string, v *onnxio.Array) (*onnxio.Array, error) {
			if values[output] && t.mine[n] {
				seen[output] = copyArray(v)
			}
			return nil, t.c.ctx.Err()
		})
		return seen, err
	}, func(i int, seen map[string]*onnxio.Array) error {
		progress(i + 1)
		return see(i, seen)
	})
}

// copyArray returns an array of its own with the values of v.
func copyArray(v *onnxio.Array) *onnxio.Array {
	w := onnxio.NewArray(v.Type, v.Shape...)
	copy(w.F32(), v.F32())
	return w
}
