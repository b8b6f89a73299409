package infer

import (
	"slices"
	"sync/atomic"

	"bq/internal/kernel"
	"bq/onnxio"
)

// A model whose first dimension is a batch of samples that do not see each other may run sample by sample: the values of
// one sample stay in the processor's caches, memory is that of one sample, and threads take samples of their own instead
// of meeting after every node. Whether a Program does depends on the model alone, never on the number of threads, so that
// results are the same for every number. A sample's result in a batch is then, bit for bit, that of the sample alone.

// separable reports whether g computes every sample of a batch by itself and mostly by convolutions, whose weights are
// read anew for every sample in any case: products of matrices gain from many rows at once.
func separable(g *graph, inputs []*onnxio.ValueInfo) bool {
	s := &separation{g: g, rank: make([]int, len(g.names))}
	for i, in := range inputs {
		if in.Type == nil || !in.Type.HasShape || len(in.Type.Shape) == 0 || in.Type.Shape[0].Known {
			return false
		}
		s.rank[g.inputs[i]] = len(in.Type.Shape)
	}
	var convolutions, products int64
	for _, nd := range g.nodes {
		if !nd.standard || !nd.pure && nd.OpType != "Dropout" || !s.node(nd) {
			return false
		}
		switch nd.OpType {
		case "Conv", "ConvTranspose":
			convolutions += arrayBytes(g.consts[nd.in[1]])
		case "Gemm", "MatMul":
			products += arrayBytes(g.consts[nd.in[1]])
		}
	}
	for _, slot := range g.outputs {
		if s.rank[slot] == 0 {
			return false
		}
	}
	return len(inputs) > 0 && convolutions > products
}

// separation knows the rank of every value whose first dimension is the batch; 0 for other values.
type separation struct {
	g    *graph
	rank []int
}

// node reports whether a node keeps samples apart, and notes the rank of its output.
func (s *separation) node(nd *node) bool {
	rank := s.result(nd)
	if rank == 0 {
		return false
	}
	for i, slot := range nd.out {
		if slot >= 0 && i > 0 {
			return false
		}
		if slot >= 0 {
			s.rank[slot] = rank
		}
	}
	return true
}

// result returns the rank of the output of a node that keeps samples apart, 0 for other nodes.
func (s *separation) result(nd *node) int {
	switch nd.OpType {
	case "Add", "Sub", "Mul", "Div", "PRelu":
		return s.broadcast(nd)
	case "Concat":
		return s.concat(nd)
	}
	rank := s.first(nd)
	if rank == 0 {
		return 0
	}
	keeps := inPlace[nd.OpType]
	switch nd.OpType {
	case "Identity":
		keeps = true
	case "Dropout": // of inference
		keeps = len(nd.Inputs) == 1
	case "BatchNormalization":
		keeps = rank > 1 && nd.intOr("training_mode", 0) == 0
	case "Conv", "ConvTranspose", "InstanceNormalization", "AveragePool", "MaxPool", "LRN",
		"GlobalAveragePool", "GlobalMaxPool":
		keeps = rank > 1
	case "Gemm":
		z := nd.state.(*gemm)
		keeps = rank == 2 && !z.ta && (nd.in[2] < 0 || s.fits(s.g.consts[nd.in[2]], 2))
	case "MatMul":
		keeps = rank > 1 && len(s.g.consts[nd.in[1]].Shape) == 2
	case "Flatten":
		if nd.intOr("axis", 1) == 1 {
			return 2
		}
	case "Softmax", "LogSoftmax":
		a := nd.Attr("axis")
		keeps = rank > 1 && (a == nil || a.I != 0 && a.I != -int64(rank) && a.I > -2)
	case "Transpose":
		a := nd.Attr("perm")
		keeps = a != nil && len(a.Ints) == rank && a.Ints[0] == 0
	case "Reshape":
		return s.reshape(nd)
	}
	if !keeps {
		return 0
	}
	return rank
}

// first returns the rank of a node's first input where that is batched and its other inputs are constants.
func (s *separation) first(nd *node) int {
	for i, slot := range nd.in {
		if slot >= 0 && i > 0 && s.g.consts[slot] == nil {
			return 0
		}
	}
	if len(nd.in) == 0 || nd.in[0] < 0 {
		return 0
	}
	return s.rank[nd.in[0]]
}

// fits reports whether a constant is the same for every sample of a value of this rank that it is broadcast with.
func (s *separation) fits(c *onnxio.Array, rank int) bool {
	return c != nil && (len(c.Shape) < rank || len(c.Shape) == rank && c.Shape[0] == 1)
}

func (s *separation) broadcast(nd *node) int {
	rank := max(s.rank[nd.in[0]], s.rank[nd.in[1]])
	for _, slot := range nd.in {
		if s.rank[slot] != rank && !s.fits(s.g.consts[slot], rank) {
			return 0
		}
	}
	return rank
}

func (s *separation) concat(nd *node) int {
	rank := 0
	for _, slot := range nd.in {
		if slot < 0 || s.rank[slot] == 0 || rank > 0 && s.rank[slot] != rank {
			return 0
		}
		rank = s.rank[slot]
	}
	if axis := nd.intOr("axis", 0); axis == 0 || axis == -int64(rank) {
		return 0
	}
	return rank
}

// reshape accepts shapes that keep the first dimension or work it out. What is worked out may turn out to be no batch:
// every other node hands the first dimension on, so that the results tell.
func (s *separation) reshape(nd *node) int {
	c := s.g.consts[nd.in[1]]
	if c == nil || c.Type != onnxio.Int64 || c.Len() == 0 || nd.Attr("allowzero") != nil {
		return 0
	}
	if d := c.Ints(); d[0] == -1 && !slices.Contains(d[1:], 0) || d[0] == 0 {
		return len(d)
	}
	return 0
}

// intOr returns an integer attribute of a node, def where it has none.
func (nd *node) intOr(name string, def int64) int64 {
	if a := nd.Attr(name); a != nil {
		return a.I
	}
	return def
}

// batchOf returns the number of samples of args that a separable program runs one by one, 0 where it does not.
func (p *Program) batchOf(args []*onnxio.Array) int {
	if !p.separable {
		return 0
	}
	n := 0
	for i, a := range args {
		if !isTensor(a) || a.Type == onnxio.String || len(a.Shape) == 0 || i > 0 && a.Shape[0] != n {
			return 0
		}
		n = a.Shape[0]
	}
	if n < 2 {
		return 0
	}
	return n
}

// runSamples runs every sample by itself; nil where that fails or its results are no samples, which is for a run of the
// whole to sort out.
func (p *Program) runSamples(args []*onnxio.Array, n int) []*onnxio.Array {
	results := make([][]*onnxio.Array, n)
	across, within := p.opt.Threads, 1
	if n < 2*across {
		across, within = 1, p.opt.Threads
	}
	var failed atomic.Bool
	kernel.Parallel(across, n, func(i int) {
		if failed.Load() {
			return
		}
		sample := make([]*onnxio.Array, len(args))
		for k, a := range args {
			sample[k] = sampleOf(a, i)
		}
		r := &run{threads: within, limit: p.opt.MaxBytes / int64(across)}
		var err error
		if results[i], err = p.runGraph(r, sample); err != nil {
			failed.Store(true)
		}
	})
	if failed.Load() {
		return nil
	}
	return joinSamples(results, p.opt.MaxBytes)
}

// sampleOf returns sample i of a batch, sharing its elements.
func sampleOf(a *onnxio.Array, i int) *onnxio.Array {
	shape := append([]int{1}, a.Shape[1:]...)
	size := product(shape)
	v := &onnxio.Array{Type: a.Type, Shape: shape}
	switch d := a.Data.(type) {
	case []float32:
		v.Data = d[i*size : (i+1)*size : (i+1)*size]
	default:
		v = onnxio.NewArray(a.Type, shape...)
		copyRange(v, 0, a, i*size, size)
	}
	return v
}

// joinSamples lays the results of samples behind each other; nil where they are no samples of one shape, or too many
// bytes.
func joinSamples(results [][]*onnxio.Array, limit int64) []*onnxio.Array {
	first := results[0]
	joined := make([]*onnxio.Array, len(first))
	for k, w := range first {
		if !isTensor(w) || len(w.Shape) == 0 || w.Shape[0] != 1 || arrayBytes(w) > limit/int64(len(results)) {
			return nil
		}
		joined[k] = onnxio.NewArray(w.Type, append([]int{len(results)}, w.Shape[1:]...)...)
		for i, r := range results {
			if v := r[k]; v.Type != w.Type || !equalShape(v.Shape, w.Shape) {
				return nil
			}
			copyRange(joined[k], i*w.Len(), r[k], 0, w.Len())
		}
	}
	return joined
}
