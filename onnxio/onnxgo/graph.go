package onnxgo

import (
	"fmt"

	"github.com/owulveryck/onnx-go"
	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/iterator"
	"gorgonia.org/tensor"
)

// firstID is the ID of the first value. IDs start this high because onnx-go's SetInput(i) asks for the vertex with
// ID i where it means input i: see Node.
const firstID = 1 << 32

// value is a vertex: a named value of the model. It carries the tensor that onnx-go decoded (of an initializer, or
// a zero tensor that says the declared type), the one that a user fed, or the result of the last run.
type value struct {
	id       int64
	name     string
	backend  *Backend
	from, to []graph.Node // ends of the edges from and to this value, each once
	decoded  tensor.Tensor
	sets     int // tensors that the decoder set: 2 for a declared value with an initializer
	fed      tensor.Tensor
	result   tensor.Tensor
}

// ID returns the value's ID in the graph.
func (v *value) ID() int64 { return v.id }

// SetName names the value.
func (v *value) SetName(name string) { v.name = name }

// GetName returns the value's name.
func (v *value) GetName() string { return v.name }

// SetTensor stores what the decoder read, before the first node is applied, else an input for Run.
func (v *value) SetTensor(t tensor.Tensor) error {
	if len(v.backend.operations) > 0 {
		v.fed = t
		return nil
	}
	v.decoded = t
	v.sets++
	return nil
}

// GetTensor returns the result of the last run, else what was fed, else what was decoded.
func (v *value) GetTensor() tensor.Tensor {
	for _, t := range []tensor.Tensor{v.result, v.fed, v.decoded} {
		if t != nil {
			return t
		}
	}
	return nil
}

// edge leads from an output of a node to its input at place weight.
type edge struct {
	from, to graph.Node
	weight   float64
}

func (e edge) From() graph.Node         { return e.from }
func (e edge) To() graph.Node           { return e.to }
func (e edge) Weight() float64          { return e.weight }
func (e edge) ReversedEdge() graph.Edge { return edge{from: e.to, to: e.from, weight: e.weight} }

// operation is one node of the model.
type operation struct {
	onnx.Operation
	inputs, outputs []*value
}

// Node returns the value with this ID, nil where there is none. An ID below the number of inputs that have no
// initializer stands for the input at that place, as onnx-go's SetInput wants it.
func (b *Backend) Node(id int64) graph.Node {
	if v := b.byID[id]; v != nil {
		return v
	}
	if id < 0 || id >= firstID {
		return nil
	}
	if feeds := b.feeds(); id < int64(len(feeds)) {
		return feeds[id]
	}
	return nil
}

// Nodes returns all values in the order they were added.
func (b *Backend) Nodes() graph.Nodes {
	list := make([]graph.Node, len(b.values))
	for i, v := range b.values {
		list[i] = v
	}
	return iterator.NewOrderedNodes(list)
}

// From returns the inputs of the node that computes the value with this ID, each once.
func (b *Backend) From(id int64) graph.Nodes {
	if v := b.byID[id]; v != nil {
		return iterator.NewOrderedNodes(v.from)
	}
	return graph.Empty
}

// To returns the values that are computed from the value with this ID, each once.
func (b *Backend) To(id int64) graph.Nodes {
	if v := b.byID[id]; v != nil {
		return iterator.NewOrderedNodes(v.to)
	}
	return graph.Empty
}

// HasEdgeFromTo reports whether the value u is computed from the value v.
func (b *Backend) HasEdgeFromTo(u, v int64) bool { return len(b.edges[[2]int64{u, v}]) > 0 }

// HasEdgeBetween reports whether one of the two values is computed from the other.
func (b *Backend) HasEdgeBetween(x, y int64) bool {
	return b.HasEdgeFromTo(x, y) || b.HasEdgeFromTo(y, x)
}

// Edge returns the first edge from u to v, nil where there is none.
func (b *Backend) Edge(u, v int64) graph.Edge {
	if list := b.edges[[2]int64{u, v}]; len(list) > 0 {
		return list[0]
	}
	return nil
}

// NewNode returns a new value, which AddNode adds to the graph.
func (b *Backend) NewNode() graph.Node {
	v := &value{id: firstID + b.next, backend: b}
	b.next++
	return v
}

// AddNode adds a value that NewNode made. It panics on any other node and on one that was added before.
func (b *Backend) AddNode(n graph.Node) {
	v, ok := n.(*value)
	if !ok || v.backend != b || b.byID[v.id] != nil {
		panic(fmt.Sprintf("onnxgo: adding node %d, which NewNode did not make or which was added before", n.ID()))
	}
	b.values = append(b.values, v)
	b.byID[v.id] = v
}

// NewWeightedEdge returns an edge from an output to the input at place weight.
func (b *Backend) NewWeightedEdge(from, to graph.Node, weight float64) graph.WeightedEdge {
	return edge{from: from, to: to, weight: weight}
}

// SetWeightedEdge adds an edge between two values, beside those that join them already. It belongs to the node that
// ApplyOperation closes next. Values that are not in the graph are added.
func (b *Backend) SetWeightedEdge(e graph.WeightedEdge) {
	for _, n := range []graph.Node{e.From(), e.To()} {
		if b.byID[n.ID()] == nil {
			b.AddNode(n)
		}
	}
	from, to := b.byID[e.From().ID()], b.byID[e.To().ID()]
	key := [2]int64{from.id, to.id}
	if len(b.edges[key]) == 0 {
		from.from, to.to = append(from.from, to), append(to.to, from)
	}
	b.edges[key] = append(b.edges[key], e)
	b.pending = append(b.pending, e)
}

// ApplyOperation closes a node with these outputs. Its inputs are read from the edges that were set since the node
// before it: the same ones from each output, in the order of their weights.
func (b *Backend) ApplyOperation(op onnx.Operation, outputs ...graph.Node) error {
	o := operation{Operation: op}
	if len(outputs) == 0 || len(b.pending)%len(outputs) != 0 {
		return fmt.Errorf("applying %s: %d edges for %d outputs", op.Name, len(b.pending), len(outputs))
	}
	for i, e := range b.pending {
		place := i % (len(b.pending) / len(outputs))
		if e.Weight() != float64(place) {
			return fmt.Errorf("applying %s: edge %d has weight %v, want %d", op.Name, i, e.Weight(), place)
		}
		if i == place {
			o.inputs = append(o.inputs, b.byID[e.To().ID()])
		}
	}
	for _, n := range outputs {
		v := b.byID[n.ID()]
		if v == nil {
			return fmt.Errorf("applying %s: output %d is not in the graph", op.Name, n.ID())
		}
		o.outputs = append(o.outputs, v)
	}
	b.pending, b.program = nil, nil
	b.operations = append(b.operations, o)
	return nil
}
