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
	rescaled  map[string]*rescaling    // by the output of the layer's node
	biases    map[*job][]float64       // what the biases of recurrent layers take back
	warned    map[string]bool          // layers of which was said that they were rounded without feedback
	table     *Table                   // in place of the streams
}

// newRefit prepares the streams on the fitted samples.
func (c *converter) newRefit(feeds []map[string]*onnxio.Array) (*refit, error) {
	corrected, _ := c.corrections()
	r := &refit{c: c, corrected: corrected, states: map[*layer]*moments.Sums{}, trigger: map[string][]*layer{}, at: map[string]*correction{}, warned: map[string]bool{}}
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
		if b := c.recurrentBias(l.use.node); b != nil && !seen[b] {
			list, seen[b] = append(list, b), true
		}
	}
	for _, k := range r.corrected {
		r.at[k.output] = k
	}
	r.rescaled = r.rescalings()
	for _, l := range r.layers {
		for _, s := range r.rescaled {
			if b := s.norm(); s.layer == l && b != nil && !seen[b] {
				list, seen[b] = append(list, b), true
			}
		}
	}
	var err error
	r.twins, err = c.newTwins(feeds, list)
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

// passing is one pass of both streams.
type passing struct {
	*refit
	coderFor   coderFunc
	compensate bool
	decided    map[*layer]bool
	scaled     int // layers so far whose outputs were multiplied
}

// pass runs both streams once and codes every weight by what coderFor gives. compensate lets layers make up for what earlier
// ones have changed.
func (r *refit) pass(coderFor coderFunc, compensate bool) error {
	if r.table != nil {
		return r.passByTable(coderFor)
	}
	r.c.kept = r.c.newRecording(compensate)
	if err := r.observeStates(); err != nil {
		return err
	}
	r.twins.reset()
	r.biases, r.c.paying = map[*job][]float64{}, map[int]bool{}
	r.c.uncouple()
	p := &passing{refit: r, coderFor: coderFor, compensate: compensate, decided: map[*layer]bool{}}
	if err := p.codeOthers(); err != nil {
		return err
	}
	err := r.twins.run(r.meetings(), p.meet)
	if failed := (*sampleError)(nil); errors.As(err, &failed) {
		return fmt.Errorf("running the model on %s: %w", r.c.sampleName(r.c.fitted[failed.sample%len(r.c.fitted)]), failed.err)
	}
	if err != nil {
		return err
	}
	for _, l := range r.layers { // whose input is a constant, or comes from a loop
		if err := p.decide(l, nil, nil); err != nil {
			return err
		}
	}
	r.c.result.Layers, r.c.result.Rescaled, r.c.result.Chained = len(p.decided), p.scaled, compensate
	r.warnUnfit()
	return r.shiftRecurrent()
}

// meetings returns the values at which the runs of a pass meet: the inputs of layers, and the outputs whose mean is corrected.
func (r *refit) meetings() map[string]bool {
	values := map[string]bool{}
	for _, l := range r.layers {
		values[l.use.node.Input(dataInput(l.use))] = true
	}
	for value := range r.at {
		values[value] = true
	}
	for value := range r.rescaled {
		values[value] = true
	}
	return values
}

// codeOthers codes the weights that are no layers, before any run.
func (p *passing) codeOthers() error {
	layered := map[*job]bool{}
	for _, l := range p.layers {
		layered[l.job] = true
	}
	for _, j := range p.c.jobs {
		if j.reason != "" || layered[j] {
			continue
		}
		w, err := j.values()
		if err != nil {
			return err
		}
		k := p.coderFor(j)
		plainly(k, w)
		if err := j.settle(k, w); err != nil {
			return err
		}
		p.c.kept.codes(j, nil, k, nil, false)
		if p.twins.coded[j.Name] != nil && j.Graph == p.c.src.Model.Graph {
			p.twins.decide(j)
		}
	}
	return nil
}

// meet corrects the mean of a value, and decides the layers that read it.
func (p *passing) meet(value string, float, coded []*onnxio.Array) error {
	if s := p.rescaled[value]; s != nil {
		if err := p.rescale(s, float, coded); err != nil {
			return err
		}
	}
	if k := p.at[value]; k != nil && (!k.optional || p.pays(k, float, coded)) {
		sums := make([]*channelSum, len(float))
		for i, v := range float {
			sums[i] = sumChannels(v, k.axis)
		}
		takeBack(coded, meanOf(sums), k.axis)
	}
	for _, l := range p.trigger[value] {
		if err := p.decide(l, float, coded); err != nil {
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

// decide codes one layer, once, on the inputs of both streams, nil where they were not seen.
func (p *passing) decide(l *layer, float, coded []*onnxio.Array) error {
	if p.decided[l] || l.reason != "" {
		return nil
	}
	p.decided[l] = true
	p.c.progress("quantizing layers", len(p.decided), len(p.layers))
	w, err := l.values()
	if err != nil {
		return err
	}
	sums := p.states[l]
	twin := !l.states && float != nil
	if twin {
		sums = moments.New(l.m.groups, l.m.cols, true)
		if err := newSampler(l, len(coded)).observe(sums, coded, float, 0, p.c.Threads); err != nil {
			return err
		}
	}
	seen := sums != nil && sums.Len() > 0
	k := p.coderFor(l.job)
	if !seen {
		plainly(k, w)
	} else if err := l.recode(w, sums, k, p.compensate && twin, p.c.Threads); err != nil {
		return fmt.Errorf("quantizing %s: %w", onnxio.Quote(l.name), err)
	}
	if err := l.settle(k, w); err != nil {
		return err
	}
	p.c.kept.codes(l.job, l, k, sums, p.compensate && twin)
	p.twins.decide(l.job)
	if !seen {
		return nil
	}
	if b, by := p.takeBack(l, w, sums, twin); b != nil {
		values := p.twins.coded[b.Name].F32()
		for i, v := range by {
			values[i] += float32(v)
		}
	}
	return nil
}

// takeBack adds to the shift of a recurrent layer's bias what takes back the mean error of its codes, and returns the bias and what was
// added; nil for other layers, and where the bias cannot be changed. twin says that the codes met other inputs than the weight w.
func (r *refit) takeBack(l *layer, w []float32, sums *moments.Sums, twin bool) (*job, []float64) {
	b := r.c.recurrentBias(l.use.node)
	if b == nil {
		return nil, nil
	}
	got := buffers.borrow(len(w))
	defer buffers.put(got)
	l.q.decoded(l.Tensor.Type, *got)
	by := make([]float64, product(dims(b.Tensor.Dims)))
	l.recurrentShift(by, l.meanError(w, *got, sums, twin))
	if r.biases[b] == nil {
		r.biases[b] = make([]float64, len(by))
	}
	for i, v := range by {
		r.biases[b][i] += v
	}
	return b, by
}

// shiftRecurrent puts the shifts of the recurrent layers' biases in place.
func (r *refit) shiftRecurrent() error {
	for b, by := range r.biases {
		b.coupled = true
		if err := b.shift(by); err != nil {
			return err
		}
	}
	return nil
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
					sum += float64(float64(w[e])*x[j]) - float64(float64(got[e])*z[j])
				}
			}
			out[g/l.m.blocks*l.m.rows+r] += sum
		}
	}
	return out
}
