// Package onnxgo joins bq with github.com/owulveryck/onnx-go v0.5.0, in both directions.
//
// Decode reads a model with onnx-go's decoder instead of package onnxio's: operators, topology, attributes and
// initializers come from code that the converter does not share, which makes it an independent second reader.
// Backend is bq's engine (package infer) as a backend for users of onnx-go:
//
//	backend := onnxgo.NewBackend()
//	model := onnx.NewModel(backend)
//	err := model.UnmarshalBinary(b) // then SetInput, backend.Run, GetOutputTensors
//
// onnx-go hands a model over as a graph whose vertices are values: an edge leads from each output of a node to
// each of its inputs, weighted with the place of the input, and ApplyOperation closes the node. Several edges may
// join one pair (Mul(x, x)), so the graph here is a multigraph.
//
// onnx-go decodes tensors of float32, float64, int32 and int64 only, no empty ones, no external data, and no
// attribute that holds a graph. It does not tell versions of operator sets, the IR version, domains and names of
// nodes, nor symbolic dimensions: these few facts are read here from the file (type header).
package onnxgo

import (
	"errors"
	"fmt"

	"github.com/owulveryck/onnx-go"

	"bq/onnxio"
)

// Decode returns the model in b as onnx-go decodes it, for bq's engine. Inputs (those that no initializer gives) and
// outputs keep names and order, nodes keep their order; attributes are sorted by name; tensors hold raw_data. Operator
// sets, IR version, names and domains of nodes and the types of inputs and outputs come from the file by a few lines
// of this package, as onnx-go does not tell them. Documentation, metadata, value_info and training information are
// left out.
//
// What onnx-go cannot read is an *onnxio.UnsupportedError that names tensor or node and onnx-go; a malformed model,
// a panic of the decoder included, is an *onnxio.FormatError. b is not kept.
func Decode(b []byte) (*onnxio.Model, error) {
	backend := NewBackend()
	m, err := backend.Unmarshal(b)
	if err != nil {
		return nil, err
	}
	inputs, err := backend.named(m.Input, backend.header.inputNamed)
	if err != nil {
		return nil, err
	}
	outputs, err := backend.named(m.Output, byName(backend.header.outputs))
	if err != nil {
		return nil, err
	}
	return backend.model(inputs, outputs)
}

// Unmarshal reads the model in b into the backend, which must be new, and returns onnx-go's model of it. Beside
// onnx-go's own UnmarshalBinary it reads the operator sets and domains that onnx-go does not tell, checks all sizes
// before onnx-go allocates memory by them, and turns panics of the decoder into errors, as Decode says.
func (b *Backend) Unmarshal(data []byte) (*onnx.Model, error) {
	if b.next > 0 {
		return nil, errors.New("reading by onnx-go: the backend holds a model already")
	}
	h, err := readHeader(data)
	if err != nil {
		return nil, err
	}
	b.header = h
	m := onnx.NewModel(b)
	if err := recoverPanic(func() error { return m.UnmarshalBinary(data) }); err != nil {
		return nil, b.place(err)
	}
	if len(b.operations) != len(h.nodes) {
		return nil, &onnxio.FormatError{Where: "graph", Text: fmt.Sprintf("onnx-go read %d nodes, the file holds %d", len(b.operations), len(h.nodes))}
	}
	return m, nil
}

// recoverPanic returns the error of f, or its panic as an error.
func recoverPanic(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}

// place says where onnx-go stopped with err: at the node whose edges or operation were next, or before the nodes.
func (b *Backend) place(err error) error {
	where := "graph"
	if i := len(b.operations); len(b.pending) > 0 && i < len(b.header.nodes) {
		where = b.header.nodes[i].where
	}
	var missing *onnx.ErrNotImplemented
	if errors.As(err, &missing) {
		text := fmt.Sprintf("attribute %s: onnx-go: %s", onnxio.Quote(missing.AttributeName), missing.Message)
		return &onnxio.UnsupportedError{Where: where, Text: text}
	}
	return &onnxio.FormatError{Where: where, Text: "onnx-go: " + err.Error()}
}

// named returns the declared values, in the order of ids, that the values with these IDs are named after.
func (b *Backend) named(ids []int64, declared map[string]*onnxio.ValueInfo) ([]*onnxio.ValueInfo, error) {
	var list []*onnxio.ValueInfo
	for _, id := range ids {
		v := b.byID[id]
		if v == nil || declared[v.name] == nil {
			return nil, &onnxio.FormatError{Where: "graph", Text: fmt.Sprintf("onnx-go names value %d as input or output, which the graph does not declare", id)}
		}
		list = append(list, declared[v.name])
	}
	return list, nil
}
