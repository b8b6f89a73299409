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
	index    int             // of the node in the main graph
	meets    int             // index of the node at whose output means are compared: the node itself, or a BatchNormalization behind it
	output   string          // the first output of that node
	axis     int             // of the channels in the output; negative: from the end
	bias     *job            // the constant that takes the correction; nil: a bias vector of the node's own
	optional bool            // that vector needs an Add of its own, and is made only where it pays
	added    *addedBias      // that vector, once it is reserved
	base     []float32       // what a vector of its own starts from; nil: zeros
	channels int             // of the output
	typ      onnxio.DataType // of the weight
	factor   []float64       // by which a shift of the node's output is multiplied on its way into the bias; one for all, or one per channel
	scale    *job            // of the BatchNormalization, where it is the node's alone
	delta    []float64       // float mean less quantized mean, by channel, at the output of meets; of a forecast, at the node's own
}

// addedBias is a bias vector that bias correction gives a node of its own.
type addedBias struct {
	index int    // of the node in the main graph
	name  string // of the new initializer
	typ   onnxio.DataType
	data  []float32
}

func (a *addedBias) tensor() *packing.Tensor {
	return &packing.Tensor{Name: a.name, Type: int32(a.typ), Shape: []int64{int64(len(a.data))}, Note: string(Bias), Data: rawFloats(a.typ, a.data)}
}

// biasInput is the input where Conv, ConvTranspose and Gemm take a bias.
const biasInput = 2

// corrections lists the nodes of the main graph that have a quantized weight and a place to put a correction: the
// bias input of Conv, ConvTranspose and Gemm, the B of a BatchNormalization behind a Conv, the vector that is added
// behind a MatMul, or one that could be. without counts those that have none: LSTM, GRU, RNN. Under
// Options.KeepBiases there are neither.
func (c *converter) corrections() (list []*correction, without int) {
	if c.KeepBiases {
		return nil, 0
	}
	f := c.placer()
	for i, n := range c.src.Model.Graph.Nodes {
		if _, ok := f.weights[n]; !ok || len(n.Outputs) == 0 {
			continue
		}
		k := f.place(n)
		if k == nil {
			without++
			continue
		}
		k.index, k.meets, k.channels, k.typ = i, i, f.channels(n), f.weights[n].use.typ(f.weights[n].Tensor.Type)
		if k.scale != nil {
			k.meets = slices.Index(c.src.Model.Graph.Nodes, f.readers[n.Outputs[0]][0])
		}
		k.output = c.src.Model.Graph.Nodes[k.meets].Outputs[0]
		list = append(list, k)
	}
	return list, without
}

// weightUse is a quantized weight and the use that makes it one.
type weightUse struct {
	*job
	use use
}

// placer finds places for corrections in the main graph.
type placer struct {
	readers   map[string][]*onnxio.Node
	weights   map[*onnxio.Node]weightUse
	constants map[string]*job
	opset     int64
}

// opsetBroadcast is the operator set from which Add broadcasts by the rule of all operators (ONNX, Changelog.md).
const opsetBroadcast = 7

func (c *converter) placer() *placer {
	f := &placer{readers: readersOf(c.src.Model), weights: map[*onnxio.Node]weightUse{}, constants: map[string]*job{}, opset: c.src.Model.Opset(onnxio.DefaultDomain)}
	for _, j := range c.jobs {
		if j.Graph != c.src.Model.Graph {
			continue
		}
		f.constants[j.Name] = j
		for _, u := range j.uses {
			if j.reason == "" && dataInput(u) >= 0 {
				f.weights[u.node] = weightUse{j, u}
			}
		}
	}
	return f
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
func (f *placer) place(n *onnxio.Node) *correction {
	channels := f.channels(n)
	if channels == 0 {
		return nil
	}
	var next *onnxio.Node
	if r := f.readers[n.Outputs[0]]; len(r) == 1 {
		next = r[0]
	}
	switch opOf(n) {
	case "Conv", "ConvTranspose":
		if next != nil && opOf(next) == "BatchNormalization" && next.Inputs[0] == n.Outputs[0] {
			if k := f.foldIntoNorm(next, channels); k != nil {
				return k
			}
		}
		return f.intoBias(&correction{axis: 1}, n, channels)
	case "Gemm":
		beta := float64(n.FloatAttr("beta", 1))
		if beta == 0 {
			return nil
		}
		return f.intoBias(&correction{axis: -1, factor: []float64{1 / beta}}, n, channels)
	case "MatMul":
		if next != nil && opOf(next) == "Add" && len(next.Inputs) == 2 {
			other := next.Inputs[0]
			if other == n.Outputs[0] {
				other = next.Inputs[1]
			}
			if b := f.ownVector(other, channels); b != nil {
				return &correction{axis: -1, bias: b}
			}
		}
		if f.opset >= opsetBroadcast {
			return &correction{axis: -1, optional: true}
		}
	}
	return nil
}

// intoBias lets the bias input of n take the correction k: the constant that stands there where it is n's alone, else
// a vector of n's own that starts from it; nil where a value stands there that is computed.
func (f *placer) intoBias(k *correction, n *onnxio.Node, channels int) *correction {
	name := n.Input(biasInput)
	if name == "" {
		return k
	}
	if k.bias = f.ownVector(name, channels); k.bias != nil {
		return k
	}
	w := f.vector(name)
	switch {
	case len(w) == channels && vectorLike(dims(f.constants[name].Tensor.Dims)):
		k.base = w
	case len(w) == 1:
		k.base = make([]float32, channels)
		for i := range k.base {
			k.base[i] = w[0]
		}
	default:
		return nil
	}
	return k
}

// channels returns how many outputs the weight of n makes, 0 where its weight is not the second input.
func (f *placer) channels(n *onnxio.Node) int {
	w := f.weights[n]
	if w.use.input != 1 {
		return 0
	}
	shape := w.use.shape(dims(w.Tensor.Dims))
	switch l, ok := useLayout(w.use, shape); {
	case !ok:
		return 0
	case opOf(n) == "ConvTranspose":
		return shape[1] * int(n.IntAttr("group", 1))
	default:
		return l.Channels
	}
}

// ownVector returns the kept constant of that name in the main graph where it is a vector of n values along its last
// axis that one node reads.
func (f *placer) ownVector(name string, n int) *job {
	j := f.constants[name]
	if j == nil || j.reason == "" || j.listForm() || len(j.uses) != 1 || len(j.uses[0].moves) > 0 || j.output {
		return nil
	}
	shape := dims(j.Tensor.Dims)
	if len(shape) == 0 || product(shape) != n || shape[len(shape)-1] != n {
		return nil
	}
	return j
}

// defaultNormEpsilon is BatchNormalization's default for its attribute epsilon.
const defaultNormEpsilon = 1e-5

// foldIntoNorm lets B of a BatchNormalization take the correction of its input: y = scale*(x-mean)/sqrt(var+eps) + B,
// so that a shift of x is one of scale/sqrt(var+eps) in B. nil where B is not the node's alone, or a factor is not
// finite.
func (f *placer) foldIntoNorm(n *onnxio.Node, channels int) *correction {
	if len(n.Inputs) < 5 || n.IntAttr("training_mode", 0) != 0 {
		return nil
	}
	b, scale, variance := f.ownVector(n.Inputs[2], channels), f.vector(n.Inputs[1]), f.vector(n.Inputs[4])
	if b == nil || len(scale) != channels || len(variance) != channels {
		return nil
	}
	eps := float64(n.FloatAttr("epsilon", defaultNormEpsilon))
	k := &correction{axis: 1, bias: b, factor: make([]float64, channels), scale: f.ownVector(n.Inputs[1], channels)}
	for i := range scale {
		k.factor[i] = float64(scale[i]) / math.Sqrt(float64(variance[i])+eps)
		if k.factor[i]-k.factor[i] != 0 {
			return nil
		}
	}
	return k
}

// vector returns the values of the main graph's constant of that name, nil where there is none, or a quantized one.
func (f *placer) vector(name string) []float32 {
	j := f.constants[name]
	if j == nil || j.reason == "" {
		return nil
	}
	w := make([]float32, product(dims(j.Tensor.Dims)))
	if j.Tensor.Float32s(w) != nil {
		return nil
	}
	return w
}

// store puts the fitted corrections into the biases they go to.
func (c *converter) store(list []*correction) error {
	for _, k := range list {
		if k.delta == nil {
			continue
		}
		shift := k.delta
		if k.meets == k.index {
			shift = k.shift()
		}
		c.result.Corrected++
		if k.bias == nil {
			k.added.shift(shift)
			continue
		}
		if err := k.bias.shift(shift); err != nil {
			return err
		}
	}
	return nil
}

// shift returns what the bias is to be shifted by.
func (k *correction) shift() []float64 {
	shift := make([]float64, len(k.delta))
	for i, d := range k.delta {
		shift[i] = d
		if len(k.factor) > 0 {
			shift[i] *= k.factor[i%len(k.factor)]
		}
	}
	return shift
}

// shift adds a vector to the values of a kept bias.
func (j *job) shift(by []float64) error {
	a, err := j.Tensor.Array()
	if err != nil {
		return err
	}
	if a.Len() != len(by) || !a.Type.IsFloat() {
		return fmt.Errorf("correcting %s: %d values of %v, want %d of a float type", onnxio.Quote(j.name), a.Len(), a.Type, len(by))
	}
	switch w := a.Data.(type) {
	case []float64:
		for i, d := range by {
			w[i] += d
		}
	case []float32:
		for i, d := range by {
			w[i] = onnxio.Round(a.Type, float32(float64(w[i])+d))
		}
	}
	j.data = onnxio.NewTensor("", a).Raw
	return nil
}

// reserve makes bias vectors for the nodes of list that have none to correct. Bias and weight have one element type
// (Operators.md, Conv, Gemm).
func (c *converter) reserve(list []*correction) {
	names := valueNames(c.src.Model)
	for _, k := range list {
		if k.bias != nil {
			continue
		}
		k.added = &addedBias{index: k.index, name: fresh(names, k.output+"/bias"), typ: k.typ, data: k.start()}
		c.added = append(c.added, k.added)
	}
}

// shift adds a vector to the values.
func (a *addedBias) shift(by []float64) {
	for i, d := range by {
		a.data[i] = onnxio.Round(a.typ, float32(float64(a.data[i])+d))
	}
}

// addBiases gives the nodes of a fresh copy of the source model the bias vectors that bias correction made for them.
func (c *converter) addBiases(m *onnxio.Model) {
	nodes := slices.Clone(m.Graph.Nodes)
	for _, a := range c.added {
		a.add(m, nodes[a.index])
	}
}

// add gives the node n of m, a fresh copy of the source model, the bias vector, without values, and returns its tensor. A MatMul,
// which has no input for it, gets an Add, which makes the value that the MatMul made.
func (a *addedBias) add(m *onnxio.Model, n *onnxio.Node) *onnxio.Tensor {
	if opOf(n) == "MatMul" {
		b := &graphBuilder{names: valueNames(m), model: m, graph: m.Graph}
		out := n.Outputs[0]
		n.Outputs[0] = fresh(b.names, out+"/product")
		b.add("Add", out, []string{n.Outputs[0], a.name})
		m.Graph.Nodes = slices.Insert(m.Graph.Nodes, slices.Index(m.Graph.Nodes, n)+1, b.nodes...)
	} else {
		for len(n.Inputs) <= biasInput {
			n.Inputs = append(n.Inputs, "")
		}
		n.Inputs[biasInput] = a.name
	}
	t := &onnxio.Tensor{Name: a.name, Type: a.typ, Dims: []int64{int64(len(a.data))}}
	m.Graph.Initializers = append(m.Graph.Initializers, t)
	if m.IRVersion < firstIRWithoutInputs {
		m.Graph.Inputs = append(m.Graph.Inputs, constantInput(a.name, a.typ, []int{len(a.data)}))
	}
	return t
}

// start returns what a bias vector of the node's own starts from.
func (k *correction) start() []float32 {
	if k.base != nil {
		return slices.Clone(k.base)
	}
	return make([]float32, k.channels)
}
