package compare

import (
	"fmt"
	"slices"
	"strings"

	"bq/internal/drift"
	"bq/onnxio"
)

// Output says what one output of a graph is.
type Output struct {
	Name string
	Kind drift.Kind
	Axis int // of the classes; from the end where negative; meaningless for Values
}

// Override tells what an output is, in place of what its graph says.
type Override struct {
	Name    string
	Kind    drift.Kind
	Axis    int
	HasAxis bool
}

// Outputs derives from the graph what each output is. Seen through operators that only move values, an output is
//
//	probs     from Softmax
//	logprobs  from LogSoftmax
//	logits    from Gemm, MatMul, or MatMul and Add, with two or more classes
//	values    from anything else
//
// An override naming no output is an error.
func Outputs(m *onnxio.Model, overrides []Override) ([]Output, error) {
	g := tracer{producers: map[string]*onnxio.Node{}, opset: m.Opset(onnxio.DefaultDomain)}
	for _, n := range m.Graph.Nodes {
		for _, out := range n.Outputs {
			g.producers[out] = n
		}
	}
	var list []Output
	var names []string
	for _, v := range m.Graph.Outputs {
		list = append(list, g.output(v))
		names = append(names, v.Name)
	}
	for _, o := range overrides {
		i := slices.Index(names, o.Name)
		if i < 0 {
			return nil, &NoOutputError{Asked: o.Name, Outputs: names}
		}
		list[i].Kind = o.Kind
		if o.HasAxis {
			list[i].Axis = o.Axis
		} else if o.Kind.Classes() && !list[i].Kind.Classes() {
			list[i].Axis = -1
		}
	}
	return list, nil
}

// NoOutputError says that an output was named that the model does not have.
type NoOutputError struct {
	Asked   string
	Outputs []string
}

// Error says it in one line, without the program's prefix.
func (e *NoOutputError) Error() string {
	return fmt.Sprintf("output %s: no such output", onnxio.Quote(e.Asked))
}

// Hint lists the outputs there are.
func (e *NoOutputError) Hint() string { return "outputs: " + strings.Join(e.Outputs, ", ") }

type tracer struct {
	producers map[string]*onnxio.Node
	opset     int64
}

// movers are operators that leave the class scores of a row together, in their order.
var movers = []string{"Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}

// opsetSoftmaxAxis is the operator set from which Softmax works along one axis; before it, it flattened all axes from
// the given one on (ONNX, Changelog.md).
const opsetSoftmaxAxis = 13

func (g *tracer) output(v *onnxio.ValueInfo) Output {
	out := Output{Name: v.Name, Axis: -1}
	n := g.producers[v.Name]
	direct := true
	for n != nil && slices.Contains(movers, n.OpType) && len(n.Inputs) > 0 {
		n = g.producers[n.Inputs[0]]
		direct = false
	}
	switch {
	case n == nil:
	case n.OpType == "Softmax" || n.OpType == "LogSoftmax":
		out.Kind = drift.Probs
		if n.OpType == "LogSoftmax" {
			out.Kind = drift.LogProbs
		}
		if direct {
			out.Axis = g.softmaxAxis(n)
		}
	case n.OpType == "Gemm" || n.OpType == "MatMul" || n.OpType == "Add" && g.addsToMatMul(n):
		if classes(v) != 1 {
			out.Kind = drift.Logits
		}
	}
	return out
}

func (g *tracer) softmaxAxis(n *onnxio.Node) int {
	if g.opset >= opsetSoftmaxAxis {
		return int(n.IntAttr("axis", -1))
	}
	return int(n.IntAttr("axis", 1))
}

func (g *tracer) addsToMatMul(n *onnxio.Node) bool {
	return slices.ContainsFunc(n.Inputs, func(in string) bool {
		p := g.producers[in]
		return p != nil && (p.OpType == "MatMul" || p.OpType == "Gemm")
	})
}

// classes returns the size of the last axis, 0 where the graph does not say it.
func classes(v *onnxio.ValueInfo) int64 {
	if v.Type == nil || len(v.Type.Shape) == 0 || !v.Type.Shape[len(v.Type.Shape)-1].Known {
		return 0
	}
	return v.Type.Shape[len(v.Type.Shape)-1].Value
}

// Rows returns how an output of the given shape is seen as [outer, classes, inner]. Trailing axes of size one behind
// the class axis do no harm. A class axis outside the shape counts the whole as one row.
func (o Output) Rows(shape []int) (outer, classes, inner int) {
	axis := o.Axis
	if axis < 0 {
		axis += len(shape)
	}
	if !o.Kind.Classes() || axis < 0 || axis >= len(shape) {
		return 1, product(shape), 1
	}
	return product(shape[:axis]), shape[axis], product(shape[axis+1:])
}

func product(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}
