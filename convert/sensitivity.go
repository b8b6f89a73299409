package convert

import (
	"fmt"
	"math"

	"bq/internal/compare"
	"bq/internal/infer"
	"bq/internal/parallel"
	"bq/onnxio"
)

// A weight's sensitivity is the drift of the model's outputs when this weight alone is coded at its reference step, its mean
// error taken back. The distortion that a weight causes grows with the square of its step, so one measurement serves all
// rates (recipe.md A1.2).

// sensitivitySamples bounds how many samples a sensitivity is measured on.
const sensitivitySamples = 64

// probe measures sensitivities of one model.
type probe struct {
	c       *converter
	model   *onnxio.Model // a copy whose tensors are exchanged one at a time
	tensors map[string]*onnxio.Tensor
	biases  map[int]*onnxio.Tensor // of corrected nodes, by index
	outputs []compare.Output
	samples []map[string]*onnxio.Array
	float   []map[string]*onnxio.Array // what the float model makes of them
}

// newProbe runs the float model on some of the samples.
func (c *converter) newProbe(samples []map[string]*onnxio.Array, corrected []*correction) (*probe, error) {
	s := &probe{c: c, tensors: map[string]*onnxio.Tensor{}, biases: map[int]*onnxio.Tensor{}}
	s.samples = evenly(samples, sensitivitySamples)
	var err error
	if s.outputs, err = compare.Outputs(c.src.Model, c.OutputKinds); err != nil {
		return nil, err
	}
	if s.model, err = onnxio.Parse(c.src.Bytes); err != nil {
		return nil, err
	}
	if err := c.embed(s.model); err != nil {
		return nil, err
	}
	list, err := sites(s.model)
	if err != nil {
		return nil, err
	}
	for _, v := range list {
		s.tensors[v.name] = v.Tensor
	}
	names := valueNames(s.model)
	for _, k := range corrected {
		if k.bias != nil {
			s.biases[k.index] = s.tensors[k.bias.name]
			continue
		}
		if k.optional {
			continue
		}
		a := &addedBias{index: k.index, name: fresh(names, k.output+"/bias"), typ: k.typ, data: k.start()}
		t := a.add(s.model, s.model.Graph.Nodes[a.index])
		t.SetRaw(rawFloats(a.typ, a.data))
		s.biases[k.index] = t
	}
	s.float, err = s.run()
	return s, err
}

// run compiles the model as it is and runs it on the samples.
func (s *probe) run() ([]map[string]*onnxio.Array, error) {
	p, err := infer.Options{Threads: 1}.Compile(s.model)
	if err != nil {
		return nil, err
	}
	results := make([]map[string]*onnxio.Array, len(s.samples))
	err = parallel.Each(s.c.ctx, s.c.Threads, len(s.samples), func(i int) (err error) {
		results[i], err = p.Run(s.samples[i], nil)
		return err
	}, func(int) {})
	return results, err
}

// exchange is a tensor whose values are to be others for a while.
type exchange struct {
	tensor *onnxio.Tensor
	raw    []byte
}

// measureBoth returns the drift that the exchanges cause together, as bits are allocated by it and as it is reported.
func (s *probe) measureBoth(list []exchange) (sensitivity, worst float64, err error) {
	for i, x := range list {
		raw, err := x.tensor.RawBytes()
		if err != nil {
			return 0, 0, err
		}
		list[i].raw = raw
		x.tensor.SetRaw(x.raw)
	}
	got, err := s.run()
	for _, x := range list {
		x.tensor.SetRaw(x.raw)
	}
	if err != nil {
		return 0, 0, err
	}
	return s.drift(got)
}

// drift returns the sum over the outputs of sqrt(KL * NMSE) of class outputs, whose NMSE is that of their centred logits, and of
// the NMSE of others (recipe.md A1.2); and of the worst output the mean KL, or the NMSE.
func (s *probe) drift(got []map[string]*onnxio.Array) (total, worst float64, err error) {
	for _, o := range s.outputs {
		var kl, noise, signal float64
		for i := range got {
			a, b := s.float[i][o.Name], got[i][o.Name]
			if a == nil || b == nil || a.Len() != b.Len() {
				return 0, 0, fmt.Errorf("comparing output %s: shapes differ", onnxio.Quote(o.Name))
			}
			x, y := compare.Numbers(a), compare.Numbers(b)
			if !o.Kind.Classes() {
				for k, v := range x {
					d := float64(v) - float64(y[k])
					noise += d * d
					signal += float64(v) * float64(v)
				}
				continue
			}
			outer, classes, inner := o.Rows(a.Shape)
			rows := rowDrift{logits: o.Kind.String() == "logits", probs: o.Kind.String() == "probs"}
			for at := range outer {
				for in := range inner {
					rows.add(x, y, at*classes*inner+in, classes, inner)
				}
			}
			kl, noise, signal = kl+rows.kl, noise+rows.noise, signal+rows.signal
		}
		nmse := noise / max(signal, math.SmallestNonzeroFloat64)
		if signal == 0 {
			nmse = 0
		}
		drift := nmse
		if o.Kind.Classes() {
			rows := 0
			for i := range got {
				outer, _, inner := o.Rows(s.float[i][o.Name].Shape)
				rows += outer * inner
			}
			drift = max(0, kl/float64(max(1, rows)))
			nmse = math.Sqrt(drift * nmse)
		}
		if drift-drift == 0 {
			worst = max(worst, drift)
		}
		if nmse-nmse == 0 {
			total += nmse
		}
	}
	return total, worst, nil
}

// rowDrift adds up the drift of rows of classes.
type rowDrift struct {
	logits, probs     bool
	kl, noise, signal float64
	a, b              []float64
}

// leastProbability stands for a probability of zero.
const leastProbability = 1e-12

// add takes the row whose first class stands at place at, classes inner apart.
func (r *rowDrift) add(x, y []float32, at, classes, inner int) {
	r.a, r.b = r.a[:0], r.b[:0]
	for k := range classes {
		r.a = append(r.a, r.logarithm(x[at+k*inner]))
		r.b = append(r.b, r.logarithm(y[at+k*inner]))
	}
	ma, mb := mean(r.a), mean(r.b)
	for k := range r.a {
		u, v := r.a[k]-ma, r.b[k]-mb
		r.signal += u * u
		r.noise += (u - v) * (u - v)
	}
	la, lb := logSum(r.a), logSum(r.b)
	for k := range r.a {
		p := r.a[k] - la
		r.kl += math.Exp(p) * (p - r.b[k] + lb)
	}
}

func (r *rowDrift) logarithm(v float32) float64 {
	if r.probs {
		return math.Log(max(leastProbability, float64(v)))
	}
	return float64(v)
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(max(1, len(x)))
}

func logSum(x []float64) float64 {
	top := math.Inf(-1)
	for _, v := range x {
		top = max(top, v)
	}
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(v - top)
	}
	return top + math.Log(sum)
}

// coded returns the exchange of a weight for what its codes stand for, and these values.
func (s *probe) coded(j *job, k *stepCoder) ([]exchange, []float32, error) {
	q, err := k.quantized()
	if err != nil {
		return nil, nil, err
	}
	got := make([]float32, j.layout.Len())
	q.decoded(j.Tensor.Type, got)
	return []exchange{{s.tensors[j.name], rawFloats(j.Tensor.Type, got)}}, got, nil
}

// bias returns the exchange of the bias that takes back a layer's mean error by row; none where there is no place for it.
func (s *probe) bias(l *layer, k *correction, by []float64) ([]exchange, error) {
	if b := s.c.recurrentBias(l.use.node); b != nil {
		shift := make([]float64, product(dims(b.Tensor.Dims)))
		l.recurrentShift(shift, by)
		return shiftExchange(s.tensors[b.name], shift)
	}
	if k == nil {
		return nil, nil
	}
	alpha := 1.0
	if opOf(l.use.node) == "Gemm" {
		alpha = float64(l.use.node.FloatAttr("alpha", 1))
	}
	k = &correction{index: k.index, factor: k.factor, delta: make([]float64, len(by))}
	for i, v := range by {
		k.delta[i] = v * alpha
	}
	return shiftExchange(s.biases[k.index], k.shift())
}

// shiftExchange returns the exchange of a bias for the same with a vector added; none where there is no bias of that length.
func shiftExchange(t *onnxio.Tensor, by []float64) ([]exchange, error) {
	if t == nil {
		return nil, nil
	}
	w := make([]float32, len(by))
	n, err := t.Elements()
	if err != nil || n != len(w) {
		return nil, err
	}
	if err := t.Float32s(w); err != nil {
		return nil, err
	}
	for i, v := range by {
		w[i] += float32(v)
	}
	return []exchange{{t, rawFloats(t.Type, w)}}, nil
}
