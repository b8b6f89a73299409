package convert

import (
	"math"

	"bq/onnxio"
)

// taps says which input channel each element of a linear node's weight multiplies, and which output it adds to.
type taps struct {
	ins, outs int
	factor    float64                   // of the elements on their way to the mean of an output
	at        func(e int) (in, out int) // of element e, in the weight's order
}

// tapsOf returns the taps of weight input 1 of n, of the given shape, as the node reads it; false for other nodes. ins
// is the number of channels that are known of the data input, each of which may stand for several features of a matrix
// product, as behind Flatten.
func tapsOf(n *onnxio.Node, shape []int, ins int) (taps, bool) {
	group := max(1, int(n.IntAttr("group", 1)))
	switch op := opOf(n); {
	case op == "Conv" && len(shape) > 2 && shape[1]*group == ins && shape[0]%group == 0:
		inner, per, outs := product(shape[2:]), shape[1], shape[0]/group
		return taps{ins, shape[0], 1, func(e int) (int, int) {
			out := e / (inner * per)
			return out/outs*per + e/inner%per, out
		}}, true
	case op == "ConvTranspose" && len(shape) > 2 && shape[0] == ins && ins%group == 0:
		inner, per, factor := product(shape[2:]), shape[1], 1.0
		for _, s := range n.IntsAttr("strides") {
			factor /= float64(max(1, s)) // each output meets one in so many taps
		}
		return taps{ins, per * group, factor, func(e int) (int, int) {
			in := e / (inner * per)
			return in, in/(ins/group)*per + e/inner%per
		}}, true
	case op == "Gemm" && len(shape) == 2 && n.IntAttr("transA", 0) == 0:
		features, outs := shape[0], shape[1]
		transposed := n.IntAttr("transB", 0) != 0
		if transposed {
			features, outs = outs, features
		}
		if ins == 0 || features%ins != 0 {
			return taps{}, false
		}
		per := features / ins
		return taps{ins, outs, float64(n.FloatAttr("alpha", 1)), func(e int) (int, int) {
			if transposed {
				return e % features / per, e / features
			}
			return e / outs / per, e % outs
		}}, true
	}
	return taps{}, false
}

// forecast is a correction whose size follows from what is known of a node's input before any data are seen.
type forecast struct {
	*correction
	taps
	mean, deviation []float64 // of the input, by channel
}

// A forecast mean is taken to be right to within a quarter: meanDoubt is the square of that. leastImportance is what an
// element counts for at least, in parts of the mean importance of its tensor: an input that should be zero may not be.
const (
	meanDoubt       = 1.0 / 16
	leastImportance = 1.0 / 1024
)

// importance returns how much the squared error of each element of j adds to the noise of the outputs: the variance of
// the input that it multiplies, and the part of the squared mean that bias correction may fail to take back. nil where
// they are not known.
func (j *job) importance() []float32 {
	if len(j.forecasts) == 0 || j.recoded {
		return nil
	}
	sums := make([]float32, j.layout.Len())
	total := 0.0
	for e := range sums {
		sum := 0.0
		for _, f := range j.forecasts {
			in, _ := f.at(e)
			sum += float64(f.deviation[in]*f.deviation[in]) + float64(meanDoubt*f.mean[in]*f.mean[in])
		}
		sums[e] = float32(sum)
		total += sum
	}
	if total = total / float64(len(sums)); total-total != 0 || total > math.MaxFloat32/2 {
		return nil
	}
	for e := range sums {
		sums[e] += float32(total * leastImportance)
	}
	return sums
}

// measure sets the correction from the errors of a weight: got is what stands for w.
func (f *forecast) measure(w, got []float32) {
	delta := make([]float64, f.outs)
	for e := range w {
		in, out := f.at(e)
		delta[out] += float64(float64(w[e]-got[e]) * f.mean[in])
	}
	for c := range delta {
		delta[c] *= f.taps.factor
		if delta[c]-delta[c] != 0 {
			return
		}
	}
	f.delta = delta
}

// forecasts attaches to each weight the corrections that need no data, and reserves their places.
func (c *converter) forecasts() []*correction {
	list, without := c.corrections()
	c.result.Uncorrected = without
	f := c.placer()
	known := expectations(c.src.Model.Graph, f.constant, f.ranks(c.src.Model.Graph))
	var found []*correction
	for _, k := range list {
		n := c.src.Model.Graph.Nodes[k.index]
		if k.optional {
			c.result.Uncorrected++
			continue
		}
		s, w := known[n.Inputs[0]], f.weights[n]
		if s == nil || !rowMajor(w.use) {
			continue
		}
		t, ok := tapsOf(n, w.use.shape(dims(w.Tensor.Dims)), len(s.mean))
		if !ok {
			continue
		}
		mean, deviation := s.moments()
		k.meets = k.index
		w.forecasts = append(w.forecasts, &forecast{k, t, mean, deviation})
		found = append(found, k)
	}
	return found
}

// constant returns the constant of that name in the main graph, without values where there is none.
func (f *placer) constant(name string) constant {
	w := f.vector(name)
	if w == nil {
		return constant{}
	}
	return constant{dims(f.constants[name].Tensor.Dims), w}
}

// ranks returns the ranks of the outputs of convolutions and of Gemm, which those of their weights tell.
func (f *placer) ranks(g *onnxio.Graph) map[string]int {
	ranks := map[string]int{}
	for _, n := range g.Nodes {
		switch op := opOf(n); op {
		case "Conv", "ConvTranspose", "Gemm":
			j := f.constants[n.Input(1)]
			switch {
			case len(n.Outputs) == 0:
			case op == "Gemm":
				ranks[n.Outputs[0]] = 2
			case j != nil:
				ranks[n.Outputs[0]] = len(j.Tensor.Dims)
			}
		}
	}
	return ranks
}

// rowMajor reports whether u reads the elements in their stored order.
func rowMajor(u use) bool {
	for _, mv := range u.moves {
		if mv.perm != nil {
			return false
		}
	}
	return true
}
