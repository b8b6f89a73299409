package convert

import (
	"fmt"
	"slices"

	"bq/internal/infer"
	"bq/internal/moments"
	"bq/onnxio"
)

// layer is a quantized weight at the node of the main graph that computes with it first, seen as a matrix whose inputs can
// be observed.
type layer struct {
	*job
	use     use
	index   int    // of the node in the main graph
	value   string // what the matrix multiplies: the node's data input, or its output over time for recurrent weights R
	states  bool   // R: the value is the node's own output
	m       *matrix
	inputs  int   // of all groups
	unfit   error // why rounding errors of some group could not be fed back
	centred bool  // a bias takes the mean error back, so that only the rest counts
}

// layers lists the quantized weights of the main graph that have a matrix, in the order of their nodes.
func (c *converter) layers(corrected []*correction) []*layer {
	places := map[int]bool{}
	for _, k := range corrected {
		places[k.index] = !k.optional
	}
	at := map[*onnxio.Node][]*layer{}
	for _, j := range c.jobs {
		if l := j.layer(c.src.Model.Graph); l != nil {
			at[l.use.node] = append(at[l.use.node], l)
		}
	}
	var list []*layer
	for i, n := range c.src.Model.Graph.Nodes {
		for _, l := range at[n] {
			l.index = i
			l.centred = places[i] || c.recurrentBias(n) != nil
			list = append(list, l)
		}
	}
	return list
}

// layer returns the job's first use in the main graph as a layer, nil where there is none.
func (j *job) layer(g *onnxio.Graph) *layer {
	if j.reason != "" || j.Graph != g || j.layout.Len() >= maxMatrix {
		return nil
	}
	shape := dims(j.Tensor.Dims)
	for _, u := range j.uses {
		in := dataInput(u)
		if in < 0 || !computedInFloat32(u.typ(j.Tensor.Type)) || !slices.Contains(g.Nodes, u.node) {
			continue
		}
		m, ok := matrixOf(u, shape)
		if !ok {
			continue
		}
		l := &layer{job: j, use: u, m: m.cut(), inputs: m.groups * m.cols, value: u.node.Input(in)}
		if opOf(u.node) != "Conv" && opOf(u.node) != "ConvTranspose" && opOf(u.node) != "Gemm" && opOf(u.node) != "MatMul" && u.input == 2 {
			l.states = true
			if l.value = ""; len(u.node.Outputs) > 0 {
				l.value = u.node.Outputs[0]
			}
		}
		if l.value != "" {
			return l
		}
	}
	return nil
}

// geometry tells where the inputs of the matrix lie in an array that the layer reads.
func (l *layer) geometry(x *onnxio.Array) (moments.Geometry, error) {
	g, err := l.place(x)
	if want := l.inputs; err == nil && g.Width() != want {
		err = fmt.Errorf("%d inputs, want %d", g.Width(), want)
	}
	if err != nil {
		return nil, fmt.Errorf("observing the input %s of %s, %v: %w", onnxio.Quote(l.value), onnxio.Quote(l.name), x.Shape, err)
	}
	return g, nil
}

func (l *layer) place(x *onnxio.Array) (moments.Geometry, error) {
	n, s := l.use.node, x.Shape
	rank := len(s)
	switch op := opOf(n); {
	case op == "Conv" || op == "ConvTranspose":
		shape := l.use.shape(dims(l.Tensor.Dims))
		if rank != len(shape) {
			break
		}
		w, err := infer.Window(n, s[2:], shape[2:])
		if err != nil {
			return nil, err
		}
		if op == "Conv" {
			return &moments.Convolution{Batch: s[0], Channels: s[1], Window: w}, nil
		}
		return &moments.Transposed{Batch: s[0], Channels: s[1], Window: w}, nil
	case op == "Gemm" && rank == 2:
		// a row of A for a weight B, a column of B for a weight A
		lines := n.IntAttr("transA", 0) == 0
		if l.use.input == 0 {
			lines = n.IntAttr("transB", 0) != 0
		}
		if lines {
			return moments.Rows(x.Len(), s[1]), nil
		}
		return &moments.Vectors{K: s[0], Count: s[1], Inner: max(1, s[1]), Step: 1, Stride: s[1]}, nil
	case op == "MatMul" && rank >= 1 && l.use.input == 1:
		return moments.Rows(x.Len(), s[rank-1]), nil
	case op == "MatMul" && rank >= 2:
		k, cols := s[rank-2], s[rank-1]
		return &moments.Vectors{K: k, Count: product(s[:rank-2]) * cols, Inner: max(1, cols), Outer: k * cols, Step: 1, Stride: cols}, nil
	case l.states && rank == 4:
		return l.stateGeometry(s), nil
	case rank == 3 && !l.states:
		return moments.Rows(x.Len(), s[2]), nil
	}
	return nil, fmt.Errorf("not the input of a matrix")
}

// stateGeometry is the geometry of Y of LSTM, GRU and RNN: [step, direction, batch, hidden], or
// [batch, step, direction, hidden] where layout is 1.
func (l *layer) stateGeometry(s []int) moments.Geometry {
	reverse := []bool{l.use.node.StringAttr("direction", "forward") == "reverse"}
	if l.use.node.StringAttr("direction", "forward") == "bidirectional" {
		reverse = []bool{false, true}
	}
	if l.use.node.IntAttr("layout", 0) == 1 {
		return &moments.States{Steps: s[1], Batch: s[0], Hidden: s[3], Reverse: reverse, BatchFirst: true}
	}
	return &moments.States{Steps: s[0], Batch: s[2], Hidden: s[3], Reverse: reverse}
}
