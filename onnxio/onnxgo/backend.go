package onnxgo

import (
	"fmt"
	"strings"

	"github.com/owulveryck/onnx-go/backend"
	"gonum.org/v1/gonum/graph"

	"bq/internal/infer"
	"bq/onnxio"
)

// DefaultOpset is the version of ONNX's operator set by which Run computes a model that onnx-go's own
// UnmarshalBinary read, because it does not tell the version. Models of other versions, where they differ, and of other
// operator domains are read with Unmarshal.
const DefaultOpset = 9

// irVersion is the IR version of ONNX 1.4, which came with operator set 9.
const irVersion = 4

// Backend is bq's engine as a backend of onnx-go: it holds one model and its last inputs and results. It is not safe
// for concurrent use.
type Backend struct {
	values     []*value
	byID       map[int64]*value
	next       int64
	edges      map[[2]int64][]graph.WeightedEdge // by from and to
	pending    []graph.WeightedEdge              // of the node that is being read
	operations []operation
	header     *header // nil after onnx-go's own UnmarshalBinary

	program *infer.Program
	inputs  []*value // of program
}

var _ backend.ComputationBackend = (*Backend)(nil)

// NewBackend returns an empty backend, for one model.
func NewBackend() *Backend {
	return &Backend{byID: map[int64]*value{}, edges: map[[2]int64][]graph.WeightedEdge{}}
}

// Run computes the model's outputs from the tensors that SetInput gave, which must be dense, in row-major order, with
// the declared element type. Results are read with GetOutputTensors. The first Run compiles the model.
func (b *Backend) Run() error {
	if b.program == nil {
		if err := b.compile(); err != nil {
			return err
		}
	}
	feeds := map[string]*onnxio.Array{}
	for _, v := range b.inputs {
		if v.fed == nil {
			return fmt.Errorf("feeding input %s: no value given", onnxio.Quote(v.name))
		}
		a, err := toArray(v.fed)
		if err != nil {
			return fmt.Errorf("feeding input %s: %w", onnxio.Quote(v.name), err)
		}
		feeds[v.name] = a
	}
	results, err := b.program.Run(feeds, nil)
	if err != nil {
		return err
	}
	for _, v := range b.values {
		v.result = nil
		a := results[v.name]
		if a == nil {
			continue
		}
		if v.result, err = toTensor(a); err != nil {
			return fmt.Errorf("returning output %s: %w", onnxio.Quote(v.name), err)
		}
	}
	return nil
}

// compile builds the model for the engine. Without a header inputs carry no declared type: a tensor of onnx-go does
// not tell which dimensions were symbolic.
func (b *Backend) compile() error {
	b.inputs = b.feeds()
	var inputs, outputs []*onnxio.ValueInfo
	if b.header != nil {
		outputs = b.header.outputs
	} else {
		for _, name := range b.results() {
			outputs = append(outputs, &onnxio.ValueInfo{Name: name})
		}
	}
	for _, v := range b.inputs {
		inputs = append(inputs, b.declaration(v.name))
	}
	m, err := b.model(inputs, outputs)
	if err != nil {
		return err
	}
	b.program, err = infer.Compile(m)
	return err
}

// declaration returns the graph input of that name with the type that the header states.
func (b *Backend) declaration(name string) *onnxio.ValueInfo {
	if b.header != nil && b.header.inputNamed[name] != nil {
		return b.header.inputNamed[name]
	}
	return &onnxio.ValueInfo{Name: name}
}

// produced returns the names of all values that nodes compute.
func (b *Backend) produced() map[string]bool {
	names := map[string]bool{}
	for _, o := range b.operations {
		for _, v := range o.outputs {
			names[v.name] = true
		}
	}
	return names
}

// constants returns the values that initializers define, the last one of each name. Without a header they are told
// from declared values by the order in which onnx-go makes values: inputs, value_info, outputs, then initializers
// that are not declared; the last declared one is an output, which a node computes. A declared value with an
// initializer is set twice.
func (b *Backend) constants() map[string]*value {
	list := map[string]*value{}
	produced, declared := b.produced(), 0
	for i, v := range b.values {
		if v.decoded != nil && produced[v.name] {
			declared = i + 1
		}
	}
	for i, v := range b.values {
		is := v.sets > 1 || v.sets == 1 && i >= declared
		if b.header != nil {
			is = v.sets > 0 && b.header.initializers[v.name]
		}
		if is {
			list[v.name] = v
		}
	}
	return list
}

// feeds returns the values that must be fed, in the order of the graph's inputs: declared, neither computed nor
// defined by an initializer. Of two values of one name the later counts, to which onnx-go joins the nodes.
func (b *Backend) feeds() []*value {
	constants, produced := b.constants(), b.produced()
	place := map[string]int{}
	var list []*value
	for _, v := range b.values {
		if constants[v.name] != nil || produced[v.name] || !b.declares(v) {
			continue
		}
		if i, ok := place[v.name]; ok {
			list[i] = v
			continue
		}
		place[v.name] = len(list)
		list = append(list, v)
	}
	return list
}

// declares reports whether v is an input of the graph; without a header, whether it was declared with a type.
func (b *Backend) declares(v *value) bool {
	if b.header == nil {
		return v.decoded != nil
	}
	return b.header.inputNamed[v.name] != nil
}

// results returns the names of the values that may be the graph's outputs where no header says so: computed ones
// that were declared or that no node reads.
func (b *Backend) results() []string {
	read := map[string]bool{}
	for _, o := range b.operations {
		for _, v := range o.inputs {
			read[v.name] = true
		}
	}
	produced := b.produced()
	var names []string
	for _, v := range b.values {
		if v.name != "" && produced[v.name] && (v.decoded != nil || !read[v.name]) {
			names = append(names, v.name)
			produced[v.name] = false
		}
	}
	return names
}

// model rebuilds what onnx-go decoded as an onnxio.Model.
func (b *Backend) model(inputs, outputs []*onnxio.ValueInfo) (*onnxio.Model, error) {
	m := &onnxio.Model{IRVersion: irVersion, Opsets: []*onnxio.Opset{{Version: DefaultOpset}}}
	if b.header != nil {
		m.IRVersion, m.Opsets = b.header.irVersion, b.header.opsets
	}
	m.Graph = &onnxio.Graph{Name: "onnx-go", Inputs: inputs, Outputs: outputs}
	constants := b.constants()
	for _, v := range b.values {
		if constants[v.name] != v {
			continue
		}
		a, err := toArray(v.decoded)
		if err != nil {
			return nil, unsupported("graph.initializer "+onnxio.Quote(v.name), "onnx-go: %v", err)
		}
		m.Graph.Initializers = append(m.Graph.Initializers, onnxio.NewTensor(v.name, a))
	}
	for i := range b.operations {
		n, err := b.node(i)
		if err != nil {
			return nil, err
		}
		m.Graph.Nodes = append(m.Graph.Nodes, n)
	}
	return m, nil
}

// node rebuilds node i.
func (b *Backend) node(i int) (*onnxio.Node, error) {
	o := b.operations[i]
	n := &onnxio.Node{OpType: o.Name}
	where := fmt.Sprintf("graph.node[%d] (%s)", i, o.Name)
	if b.header != nil {
		h := b.header.nodes[i]
		n.Name, n.Domain, where = h.name, h.domain, h.where
	}
	if !b.inputless(i) {
		for _, v := range o.inputs {
			n.Inputs = append(n.Inputs, v.name)
		}
	}
	for _, v := range o.outputs {
		n.Outputs = append(n.Outputs, v.name)
	}
	var err error
	n.Attributes, err = attributes(o.Attributes, where)
	return n, err
}

// inputless reports whether node i has no inputs. onnx-go then makes up one that nothing computes, named after the
// node with "/input" behind.
func (b *Backend) inputless(i int) bool {
	if b.header != nil {
		return b.header.nodes[i].inputs == 0
	}
	in := b.operations[i].inputs
	return len(in) == 1 && len(in[0].from) == 0 && in[0].decoded == nil && strings.HasSuffix(in[0].name, "/input")
}
