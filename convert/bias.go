package convert

import (
	"fmt"
	"math"
	"slices"

	"bq/onnxio"
	"bq/packing"
)

// correction is the mean shift that quantization causes at the output of one linear node, and where it is taken
// back: bias correction (Nagel et al., "Data-Free Quantization", ICCV 2019, section 4.2).
type correction struct {
	index  int    // of the node in the main graph
	output string // the node's first output
	axis   int    // of the channels in the output; negative: from the end
	bias   *job   // the constant that takes the correction; nil: a new bias input
	factor []float64
	delta  []float64 // float mean less quantized mean, by channel
}

// addedBias is a bias that bias correction gives a node which had none.
type addedBias struct {
	index int    // of the node in the main graph
	name  string // of the new initializer
	typ   onnxio.DataType
	data  []float32
}

func (a addedBias) tensor() *packing.Tensor {
	raw := onnxio.NewTensor("", &onnxio.Array{Type: a.typ, Shape: []int{len(a.data)}, Data: a.data}).Raw
	return &packing.Tensor{Name: a.name, Type: int32(a.typ), Shape: []int64{int64(len(a.data))}, Note: string(Bias), Data: raw}
}

// biasInput is the input where Conv, ConvTranspose and Gemm take a bias.
const biasInput = 2

// corrections lists the nodes of the main graph that have a quantized weight and a place to put a correction: the
// bias input of Conv, ConvTranspose and Gemm, the B of a BatchNormalization behind a Conv without bias, the vector
// that is added behind a MatMul. LSTM, GRU, RNN and Gather have none.
func (c *converter) corrections() []*correction {
	readers := readersOf(c.src.Model)
	weighted := map[*onnxio.Node]bool{}
	for _, j := range c.jobs {
		if j.q != nil && j.Graph == c.src.Model.Graph {
			for _, u := range j.uses {
				weighted[u.node] = weighted[u.node] || dataInput(u) >= 0
			}
		}
	}
	var list []*correction
	for i, n := range c.src.Model.Graph.Nodes {
		if weighted[n] && len(n.Outputs) > 0 {
			if k := c.place(n, readers); k != nil {
				k.index, k.output = i, n.Outputs[0]
				list = append(list, k)
			}
		}
	}
	return list
}

// readersOf maps each value of the main graph to the nodes that read it; nil stands for a graph output or a reader
// in a subgraph.
func readersOf(m *onnxio.Model) map[string][]*onnxio.Node {
	readers := map[string][]*onnxio.Node{}
	m.EachGraph(func(g *onnxio.Graph, _ string) {
		for _, n := range g.Nodes {
			for _, in := range n.Inputs {
				if g != m.Graph {
					n = nil
				}
				readers[in] = append(readers[in], n)
			}
		}
		for _, out := range g.Outputs {
			readers[out.Name] = append(readers[out.Name], nil)
		}
	})
	return readers
}

// place finds where the correction of n goes, nil where nothing can take it.
func (c *converter) place(n *onnxio.Node, readers map[string][]*onnxio.Node) *correction {
	channels := c.channels(n)
	var next *onnxio.Node
	if r := readers[n.Outputs[0]]; len(r) == 1 {
		next = r[0]
	}
	switch n.OpType {
	case "Conv", "ConvTranspose":
		if n.Input(biasInput) != "" {
			return withBias(&correction{axis: 1}, c.ownVector(n.Input(biasInput), channels))
		}
		if next != nil && next.OpType == "BatchNormalization" && next.Inputs[0] == n.Outputs[0] {
			if k := c.foldIntoNorm(next, channels); k != nil {
				return k
			}
		}
		return &correction{axis: 1}
	case "Gemm":
		beta := float64(n.FloatAttr("beta", 1))
		k := &correction{axis: -1, factor: []float64{1 / beta}}
		switch {
		case beta == 0:
			return nil
		case n.Input(biasInput) == "":
			return k
		}
		return withBias(k, c.ownVector(n.Input(biasInput), channels))
	case "MatMul":
		if next != nil && next.OpType == "Add" && len(next.Inputs) == 2 {
			other := next.Inputs[0]
			if other == n.Outputs[0] {
				other = next.Inputs[1]
			}
			return withBias(&correction{axis: -1}, c.ownVector(other, channels))
		}
	}
	return nil
}

// channels returns how many outputs the weight of n makes, 0 where n has no weight at its second input.
func (c *converter) channels(n *onnxio.Node) int {
	for _, j := range c.jobs {
		for _, u := range j.uses {
			if u.node != n || u.input != 1 || j.Graph != c.src.Model.Graph {
				continue
			}
			l, ok := useLayout(u, u.shape(dims(j.Tensor.Dims)))
			switch {
			case !ok:
				return 0
			case n.OpType == "ConvTranspose":
				return l.Channels * int(n.IntAttr("group", 1))
			}
			return l.Channels
		}
	}
	return 0
}

func withBias(k *correction, bias *job) *correction {
	if bias == nil {
		return nil
	}
	k.bias = bias
	return k
}

// ownVector returns the kept constant of that name in the main graph where it is a vector of n values along its last
// axis that one node reads.
func (c *converter) ownVector(name string, n int) *job {
	i := slices.IndexFunc(c.jobs, func(j *job) bool {
		return j.Name == name && j.Graph == c.src.Model.Graph && j.q == nil && !j.listForm() && len(j.uses) == 1 && !j.output
	})
	if i < 0 || n == 0 {
		return nil
	}
	shape := dims(c.jobs[i].Tensor.Dims)
	if len(shape) == 0 || product(shape) != n || shape[len(shape)-1] != n {
		return nil
	}
	return c.jobs[i]
}

// defaultNormEpsilon is BatchNormalization's default for its attribute epsilon.
const defaultNormEpsilon = 1e-5

// foldIntoNorm lets B of a BatchNormalization take the correction of its input: y = scale*(x-mean)/sqrt(var+eps) + B,
// so that a shift of x is one of scale/sqrt(var+eps) in B.
func (c *converter) foldIntoNorm(n *onnxio.Node, channels int) *correction {
	if len(n.Inputs) < 5 || n.IntAttr("training_mode", 0) != 0 {
		return nil
	}
	b, scale, variance := c.ownVector(n.Inputs[2], channels), c.constantVector(n.Inputs[1]), c.constantVector(n.Inputs[4])
	if b == nil || len(scale) != channels || len(variance) != channels {
		return nil
	}
	eps := float64(n.FloatAttr("epsilon", defaultNormEpsilon))
	k := &correction{axis: 1, bias: b, factor: make([]float64, len(scale))}
	for i := range scale {
		k.factor[i] = float64(scale[i]) / math.Sqrt(float64(variance[i])+eps)
	}
	return k
}

// constantVector returns the values of the main graph's constant of that name, nil where there is none.
func (c *converter) constantVector(name string) []float32 {
	for _, j := range c.jobs {
		if j.Name == name && j.Graph == c.src.Model.Graph {
			w := make([]float32, product(dims(j.Tensor.Dims)))
			if j.Tensor.Float32s(w) != nil {
				return nil
			}
			return w
		}
	}
	return nil
}

// store puts the fitted corrections into the biases they go to.
func (c *converter) store(list []*correction) error {
	names := valueNames(c.src.Model)
	for _, k := range list {
		if k.delta == nil {
			continue
		}
		shift := make([]float64, len(k.delta))
		for i, d := range k.delta {
			shift[i] = d
			if len(k.factor) > 0 {
				shift[i] *= k.factor[i%len(k.factor)]
			}
		}
		if k.bias == nil {
			c.addBias(k, shift, names)
			continue
		}
		if err := k.bias.shift(shift); err != nil {
			return err
		}
		c.result.Corrected++
	}
	return nil
}

// shift adds a vector to the values of a kept bias.
func (j *job) shift(by []float64) error {
	a, err := j.Tensor.Array()
	if err != nil {
		return err
	}
	w := a.F32()
	if len(w) != len(by) {
		return fmt.Errorf("correcting %s: %d values of %v, want %d of a float type", onnxio.Quote(j.name), a.Len(), a.Type, len(by))
	}
	for i, d := range by {
		w[i] = onnxio.Round(a.Type, float32(float64(w[i])+d))
	}
	j.data = onnxio.NewTensor("", a).Raw
	return nil
}

func (c *converter) addBias(k *correction, shift []float64, names map[string]bool) {
	n := c.src.Model.Graph.Nodes[k.index]
	typ := onnxio.Float
	for _, j := range c.jobs {
		if slices.ContainsFunc(j.uses, func(u use) bool { return u.node == n && u.input == 1 }) {
			typ = j.Tensor.Type
		}
	}
	a := addedBias{index: k.index, name: fresh(names, k.output+"/bias"), typ: typ}
	for _, d := range shift {
		a.data = append(a.data, onnxio.Round(typ, float32(d)))
	}
	c.added = append(c.added, a)
	c.result.Corrected++
}

// addBiases gives the nodes of a fresh copy of the source model the bias inputs that bias correction added.
func (c *converter) addBiases(m *onnxio.Model) error {
	for _, a := range c.added {
		n := m.Graph.Nodes[a.index]
		for len(n.Inputs) <= biasInput {
			n.Inputs = append(n.Inputs, "")
		}
		n.Inputs[biasInput] = a.name
		t := &onnxio.Tensor{Name: a.name, Type: a.typ, Dims: []int64{int64(len(a.data))}}
		m.Graph.Initializers = append(m.Graph.Initializers, t)
		if m.IRVersion < firstIRWithoutInputs {
			m.Graph.Inputs = append(m.Graph.Inputs, &onnxio.ValueInfo{Name: a.name, Type: &onnxio.TensorType{
				Elem: a.typ, HasShape: true, Shape: []onnxio.Dim{{Value: int64(len(a.data)), Known: true}},
			}})
		}
	}
	return nil
}
