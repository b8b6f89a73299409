package convert

import (
	"errors"
	"fmt"

	"bq/internal/moments"
	"bq/onnxio"
)

// refit decides the codes of weights on data: layer by layer, in the order of the graph, on inputs that carry the errors of the
// layers before (recipe.md A1.3).
type refit struct {
	c         *converter
	twins     *twins
	weights   []*job // of the main graph, that the quantized stream sees
	layers    []*layer
	corrected []*correction
	states    map[*layer]*moments.Sums // of recurrent layers' states, from the float model
	trigger   map[string][]*layer      // the value whose coming decides a layer
	at        map[string]*correction   // by output
	biases    map[*job][]float64       // what the biases of recurrent layers take back
	warned    map[string]bool          // layers of which was said that they were rounded without feedback
	table     *Table                   // in place of the streams
}

// newRefit prepares the streams on the fitted samples.
func (c *converter) newRefit(feeds []map[string]*onnxio.Array) (*refit, error) {
	r := &refit{c: c, corrected: c.corrections(), states: map[*layer]*moments.Sums{}, trigger: map[string][]*layer{}, at: map[string]*correction{}, warned: map[string]bool{}}
	c.result.Uncorrected = 0 // the closing pass counts them again
	r.layers = c.layers(r.corrected)
	seen := map[*job]bool{}
	for _, j := range c.jobs {
		if j.reason == "" && j.Graph == c.src.Model.Graph && computedInFloat32(j.Tensor.Type) && !j.listForm() {
			r.weights, seen[j] = append(r.weights, j), true
		}
	}
	list := r.weights
	for _, l := range r.layers {
		in := l.use.node.Input(dataInput(l.use))
		r.trigger[in] = append(r.trigger[in], l)
		if b := recurrentBias(c, l.use.node); b != nil && !seen[b] {
			list, seen[b] = append(list, b), true
		}
	}
	for _, k := range r.corrected {
		r.at[k.output] = k
	}
	var err error
	r.twins, err = c.newTwins(feeds, list, r.layers)
	return r, err
}

// hessianBytes bounds the moments that are gathered in one run of the float model.
const hessianBytes = 1 << 29

// survey runs the float model, as often as the memory for moments asks, and shows the moments of each layer's inputs.
func (r *refit) survey(layers []*layer, see func(l *layer, sums *moments.Sums) error) error {
	for len(layers) > 0 {
		n, bytes := 0, int64(0)
		for n < len(layers) {
			size := moments.Bytes(layers[n].m.groups, layers[n].m.cols, false)
			if n > 0 && bytes+size > hessianBytes {
				break
			}
			n, bytes = n+1, bytes+size
		}
		sums, err := r.observe(layers[:n])
		if err != nil {
			return err
		}
		for i, l := range layers[:n] {
			if err := see(l, sums[i]); err != nil {
				return err
			}
			sums[i] = nil
		}
		layers = layers[n:]
	}
	return nil
}

// observe returns the moments of the layers' inputs in the float model.
func (r *refit) observe(layers []*layer) ([]*moments.Sums, error) {
	values := map[string]bool{}
	sums := make([]*moments.Sums, len(layers))
	samplers := make([]*sampler, len(layers))
	for i, l := range layers {
		values[l.value] = true
		sums[i] = moments.New(l.m.groups, l.m.cols, false)
		samplers[i] = newSampler(l, len(r.twins.samples))
	}
	progress := func(done int) { r.c.progress("observing layers", done, len(r.twins.samples)) }
	err := r.twins.floatRun(values, progress, func(sample int, seen map[string]*onnxio.Array) error {
		for i, l := range layers {
			v := seen[l.value]
			if v == nil {
				continue
			}
			if err := samplers[i].observe(sums[i], []*onnxio.Array{v}, nil, sample, r.c.Threads); err != nil {
				return err
			}
		}
		return nil
	})
	return sums, err
}

// observeStates keeps the moments of recurrent states.
func (r *refit) observeStates() error {
	var list []*layer
	for _, l := range r.layers {
		if l.states && r.states[l] == nil {
			list = append(list, l)
		}
	}
	return r.survey(list, func(l *layer, sums *moments.Sums) error {
		r.states[l] = sums
		return nil
	})
}

// pass runs both streams once and codes every weight by what coderFor gives. compensate lets layers make up for what earlier
// ones have changed.
func (r *refit) pass(coderFor func(j *job) (coder, func() (*quantized, error)), compensate bool) error {
	if r.table != nil {
		return r.passByTable(coderFor)
	}
	r.c.kept = r.c.newRecording(compensate)
	if err := r.observeStates(); err != nil {
		return err
	}
	r.twins.reset()
	r.biases = map[*job][]float64{}
	layered := map[*job]bool{}
	values := map[string]bool{}
	for _, l := range r.layers {
		layered[l.job] = true
		values[l.use.node.Input(dataInput(l.use))] = true
	}
	for _, k := range r.corrected {
		values[k.output] = true
	}
	for _, j := range r.c.jobs {
		if j.reason != "" || layered[j] {
			continue
		}
		k, done := coderFor(j)
		w, err := j.values()
		if err != nil {
			return err
		}
		k.begin(0, 0)
		for e, v := range w {
			k.code(e, float64(v), 1)
		}
		q, err := done()
		if err != nil {
			return err
		}
		j.settle(q, w)
		r.c.kept.codes(j, nil, k, nil, false)
		if r.twins.coded[j.Name] != nil && j.Graph == r.c.src.Model.Graph {
			r.twins.decide(j)
		}
	}
	decided := map[*layer]bool{}
	decide := func(l *layer, float, coded []*onnxio.Array) error {
		if decided[l] || l.reason != "" {
			return nil
		}
		decided[l] = true
		r.c.progress("quantizing layers", len(decided), len(r.layers))
		return r.decide(l, float, coded, coderFor, compensate)
	}
	err := r.twins.run(values, func(value string, float, coded []*onnxio.Array) error {
		if k := r.at[value]; k != nil {
			sums := make([]*channelSum, len(float))
			for i, v := range float {
				sums[i] = sumChannels(v, k.axis)
			}
			takeBack(coded, meanOf(sums), k.axis)
		}
		for _, l := range r.trigger[value] {
			if err := decide(l, float, coded); err != nil {
				return err
			}
		}
		return nil
	})
	if failed := (*sampleError)(nil); errors.As(err, &failed) {
		return fmt.Errorf("running the model on %s: %w", r.c.sampleName(r.c.fitted[failed.sample%len(r.c.fitted)]), failed.err)
	}
	if err != nil {
		return err
	}
	for _, l := range r.layers { // whose input is a constant, or comes from a loop
		if err := decide(l, nil, nil); err != nil {
			return err
		}
	}
	r.c.result.Layers, r.c.result.Chained = len(decided), compensate
	r.warnUnfit()
	for b, by := range r.biases {
		b.recurrent = true
		if err := b.shift(by); err != nil {
			return err
		}
	}
	return nil
}

// warnUnfit names the layers whose inputs say nothing that rounding could go by, each once.
func (r *refit) warnUnfit() {
	for _, l := range r.layers {
		if l.unfit != nil && !r.warned[l.Name] {
			r.warned[l.Name] = true
			r.c.warn("rounding %s without feedback: %v", onnxio.Quote(l.name), l.unfit)
		}
	}
}

// decide codes one layer on the inputs of both streams, nil where they were not seen.
func (r *refit) decide(l *layer, float, coded []*onnxio.Array, coderFor func(j *job) (coder, func() (*quantized, error)), compensate bool) error {
	w, err := l.values()
	if err != nil {
		return err
	}
	sums := r.states[l]
	twin := !l.states && float != nil
	if twin {
		sums = moments.New(l.m.groups, l.m.cols, true)
		if err := newSampler(l, len(coded)).observe(sums, coded, float, 0, r.c.Threads); err != nil {
			return err
		}
	}
	k, done := coderFor(l.job)
	if sums == nil || sums.Len() == 0 {
		k.begin(0, 0)
		for e, v := range w {
			k.code(e, float64(v), 1)
		}
	} else if err := l.recode(w, sums, k, compensate && twin, r.c.Threads); err != nil {
		return fmt.Errorf("quantizing %s: %w", onnxio.Quote(l.name), err)
	}
	q, err := done()
	if err != nil {
		return err
	}
	l.settle(q, w)
	r.c.kept.codes(l.job, l, k, sums, compensate && twin)
	r.twins.decide(l.job)
	if sums != nil && sums.Len() > 0 {
		r.correctRecurrent(l, w, sums, twin)
	}
	return nil
}

// correctRecurrent lets the bias of a recurrent layer take back the layer's mean error.
func (r *refit) correctRecurrent(l *layer, w []float32, sums *moments.Sums, twin bool) {
	b := recurrentBias(r.c, l.use.node)
	if b == nil {
		return
	}
	if r.biases[b] == nil {
		r.biases[b] = make([]float64, product(dims(b.Tensor.Dims)))
	}
	fresh := make([]float64, len(r.biases[b]))
	l.recurrentShift(fresh, l.meanError(w, r.twins.coded[l.Name].F32(), sums, twin))
	values := r.twins.coded[b.Name].F32()
	for i, v := range fresh {
		r.biases[b][i] += v
		values[i] += float32(v)
	}
}

// meanError returns what the rows of the layer give on average with the weight w less what they give with got, group by group;
// twin says that w met other inputs than got.
func (l *layer) meanError(w, got []float32, sums *moments.Sums, twin bool) []float64 {
	out := make([]float64, l.m.groups/l.m.blocks*l.m.rows)
	for g := range l.m.groups {
		z := sums.Mean(g)
		x := z
		if twin {
			x = sums.TwinMean(g)
		}
		for r := range l.m.rows {
			sum := 0.0
			for j := range l.m.cols {
				if e := l.m.stored[(g*l.m.rows+r)*l.m.cols+j]; e >= 0 {
					sum += float64(w[e])*x[j] - float64(got[e])*z[j]
				}
			}
			out[g/l.m.blocks*l.m.rows+r] += sum
		}
	}
	return out
}
