package opset

import (
	"fmt"

	"bq/onnxio"
)

// scan9: Scan went through a batch, entry by entry; now there is none. A scan over the entries of the batch, whose body
// is the scan over the steps of one entry, gives the same. Entries of different length (input sequence_lens) have no
// equal.
func scan9(e *edit) error {
	if len(e.node.Inputs) < 2 || e.node.Inputs[0] != "" {
		return e.refuse("input sequence_lens")
	}
	scans, err := e.int("num_scan_inputs", 0)
	if err != nil {
		return err
	}
	directions, given, err := e.ints("directions")
	if err != nil {
		return err
	}
	steps := e.node.Attr("body")
	given = given && len(directions) > 0
	inputs := e.node.Inputs[1:]
	if steps == nil || steps.G == nil || scans < 1 || scans > int64(len(inputs)) || given && int64(len(directions)) != scans {
		return e.malformed("no body, or %d scan inputs of %d inputs", scans, len(inputs))
	}
	inner := &onnxio.Node{Name: e.named("steps"), OpType: "Scan", Attributes: []*onnxio.Attribute{integer("num_scan_inputs", scans), steps}}
	if given {
		inner.Attributes = append(inner.Attributes, integers("scan_input_directions", directions...))
	}
	g := &onnxio.Graph{Name: inner.Name}
	for i := range inputs {
		name := e.named(fmt.Sprintf("in%d", i))
		inner.Inputs = append(inner.Inputs, name)
		g.Inputs = append(g.Inputs, &onnxio.ValueInfo{Name: name})
	}
	for i := range e.node.Outputs {
		name := e.named(fmt.Sprintf("out%d", i))
		inner.Outputs = append(inner.Outputs, name)
		g.Outputs = append(g.Outputs, &onnxio.ValueInfo{Name: name})
	}
	g.Nodes = []*onnxio.Node{inner}
	added := &body{graph: g, outer: e.body, holder: e.old, index: e.index, version: e.version, nodes: g.Nodes}
	e.bodies = append(e.bodies, added)
	e.become("Scan", inputs, integer("num_scan_inputs", int64(len(inputs))), &onnxio.Attribute{Name: "body", Type: onnxio.AttrGraph, G: g})
	return nil
}
