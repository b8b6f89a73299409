package verify

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"

	"bq/internal/compare"
	"bq/internal/dataset"
	"bq/internal/infer"
	"bq/internal/parallel"
	"bq/onnxio"
)

// Where in a graph the error arises: at every value that both models have under one name, the signal over the noise
//
//	SQNR = 10 log10(sum a^2 / sum (a-b)^2), in dB, over all elements and samples
//
// twice: accumulated, as B runs, and injected, where B's node is fed with A's values, so that the noise is its own.

// NodeDrift is the drift at one output of a node.
type NodeDrift struct {
	Output      string   // the value's name
	Node, Op    string   // the node of A that gives it
	Inputs      []string // names of the node's inputs
	Signal      float64  // sum of squares of A's values
	Accumulated float64  // sum of squares of B's differences
	Injected    float64  // the same, B's node fed with A's values
	Outside     float64  // share of A's values that Ranges clips; 0 without a range
	elements    int
	clipped     int
}

// SQNR returns signal over noise in dB: +Inf without noise, NaN where only the signal is zero or a value is not finite.
func SQNR(signal, noise float64) float64 {
	switch {
	case noise == 0:
		return math.Inf(1)
	case signal == 0:
		return math.NaN()
	}
	return 10 * math.Log10(signal/noise)
}

// Range is an interval of values.
type Range struct{ Low, High float32 }

// NodeOptions say how Nodes runs.
type NodeOptions struct {
	Samples  []int            // of the set; nil: all
	Ranges   map[string]Range // of values by name, whose share outside is counted
	Threads  int
	Progress func(done, total int)
}

// Nodes runs both models on samples of set and returns the drift of every float value that both compute under one
// name and in one shape, in the order in which A computes them. A value inside a subgraph is summed over all runs of
// it. Values whose order differs between the models are kept until the other comes to them, at most maxHeld bytes of
// them; those beyond are left out. Where the data carry state, both models are fed with A's.
func Nodes(ctx context.Context, a, b Side, set *dataset.Set, o NodeOptions) ([]NodeDrift, error) {
	samples := o.Samples
	if samples == nil {
		samples = compare.All(set)
	}
	inB := computed(b.Graph)
	fed, err := feeds(ctx, a.Program, set, samples)
	if err != nil {
		return nil, err
	}
	shared := computed(a.Graph)
	maps.DeleteFunc(shared, func(name string, _ bool) bool { return !inB[name] })
	total := &nodeSums{at: map[string]int{}}
	err = parallel.InOrder(ctx, o.Threads, len(samples), func(k int) (*nodeSums, error) {
		f, err := fed(k)
		if err != nil {
			return nil, err
		}
		w := &walk{a: a.Program, b: b.Program, shared: shared, ranges: o.Ranges, sums: &nodeSums{at: map[string]int{}}}
		for _, inject := range []bool{false, true} {
			if err := w.run(ctx, f.Feeds, inject); err != nil {
				return nil, fmt.Errorf("comparing nodes on %s: %w", f.Name, err)
			}
		}
		return w.sums, nil
	}, func(k int, s *nodeSums) error {
		total.add(s)
		if o.Progress != nil {
			o.Progress(k+1, len(samples))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range total.list {
		if d := &total.list[i]; d.elements > 0 {
			d.Outside = float64(d.clipped) / float64(d.elements)
		}
	}
	return total.list, nil
}

// Spread returns n of count indices, evenly over them; all where n is 0 or not less.
func Spread(count, n int) []int {
	if n <= 0 || n > count {
		n = count
	}
	list := make([]int, n)
	for i := range list {
		list[i] = i * count / n
	}
	return list
}

// feeds returns what the reference is fed with on the k-th of samples: read when it is asked for, unless the data carry
// state, which takes the samples in order.
func feeds(ctx context.Context, p *infer.Program, set *dataset.Set, samples []int) (func(k int) (compare.Fed, error), error) {
	if len(set.Carry()) == 0 {
		return func(k int) (compare.Fed, error) {
			s, err := set.Sample(samples[k])
			return compare.Fed{Name: s.Name, Feeds: s.Feeds}, err
		}, nil
	}
	list, err := compare.Samples(ctx, p, set, samples)
	return func(k int) (compare.Fed, error) { return list[k], nil }, err
}

// computed returns the names of all values that nodes of m compute, in subgraphs and local functions too.
func computed(m *onnxio.Model) map[string]bool {
	names := map[string]bool{}
	add := func(nodes []*onnxio.Node) {
		for _, n := range nodes {
			for _, out := range n.Outputs {
				names[out] = true
			}
		}
	}
	m.EachGraph(func(g *onnxio.Graph, _ string) { add(g.Nodes) })
	for _, f := range m.Functions {
		add(f.Nodes)
	}
	return names
}

// nodeSums are the sums of some samples, in the order in which values came first.
type nodeSums struct {
	list []NodeDrift
	at   map[string]int // place in list by value name
}

// of returns the sums of a value.
func (s *nodeSums) of(n *onnxio.Node, output string) *NodeDrift {
	i, ok := s.at[output]
	if !ok {
		i = len(s.list)
		s.at[output] = i
		s.list = append(s.list, NodeDrift{Output: output, Node: n.Name, Op: n.OpType, Inputs: n.Inputs})
	}
	return &s.list[i]
}

// add adds the sums of other samples.
func (s *nodeSums) add(t *nodeSums) {
	for _, d := range t.list {
		to := s.of(&onnxio.Node{Name: d.Node, OpType: d.Op, Inputs: d.Inputs}, d.Output)
		to.Signal, to.Accumulated, to.Injected = to.Signal+d.Signal, to.Accumulated+d.Accumulated, to.Injected+d.Injected
		to.elements, to.clipped = to.elements+d.elements, to.clipped+d.clipped
	}
}

// maxHeld bounds the bytes of A's values that wait for B, in one run.
const maxHeld = 256 << 20

// walk runs both models on one sample, B one value after the other beside A.
type walk struct {
	a, b   *infer.Program
	shared map[string]bool
	ranges map[string]Range
	sums   *nodeSums
}

// visit is a value as A computes it: it lasts until the next one is asked for.
type visit struct {
	node   *onnxio.Node
	output string
	value  *onnxio.Array
}

// errStopped ends a run whose values nobody wants any more.
var errStopped = errors.New("stopped")

// visits runs A and yields its values one by one; an error of the run comes last.
func (w *walk) visits(ctx context.Context, feeds map[string]*onnxio.Array) iter.Seq2[visit, error] {
	return func(yield func(visit, error) bool) {
		_, err := w.a.Run(feeds, func(n *onnxio.Node, output string, v *onnxio.Array) (*onnxio.Array, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if w.shared[output] && v.F32() != nil && !yield(visit{n, output, v}, nil) {
				return nil, errStopped
			}
			return nil, nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(visit{}, fmt.Errorf("running the reference: %w", err))
		}
	}
}

// run runs both models side by side. inject feeds every node of B with A's values.
func (w *walk) run(ctx context.Context, feeds map[string]*onnxio.Array, inject bool) error {
	next, stop := iter.Pull2(w.visits(ctx, feeds))
	defer stop()
	held := &held{values: map[string][]visit{}}
	_, err := w.b.Run(feeds, func(n *onnxio.Node, output string, v *onnxio.Array) (*onnxio.Array, error) {
		if v.F32() == nil || !w.shared[output] {
			return nil, nil
		}
		ref, ok, err := held.find(next, output)
		if err != nil || !ok || ref.value.Type != v.Type || !slices.Equal(ref.value.Shape, v.Shape) {
			return nil, err
		}
		w.measure(ref, v.F32(), inject)
		if !inject {
			return nil, nil
		}
		return copied(ref.value), nil
	})
	if err != nil {
		return fmt.Errorf("running the model: %w", err)
	}
	return nil
}

// held keeps values of A that B has not come to.
type held struct {
	values map[string][]visit // by name, the earliest first
	bytes  int
	ended  bool
}

// find returns A's next value of the given name, from those held or by running A on to it. Values on the way are held.
// There is none where A does not compute it or it was too much to hold.
func (h *held) find(next func() (visit, error, bool), output string) (visit, bool, error) {
	if list := h.values[output]; len(list) > 0 {
		h.values[output] = list[1:]
		h.bytes -= 4 * list[0].value.Len()
		return list[0], true, nil
	}
	for !h.ended && h.bytes <= maxHeld {
		v, err, ok := next()
		if err != nil || !ok {
			h.ended = true
			return visit{}, false, err
		}
		if v.output == output {
			return v, true, nil
		}
		h.bytes += 4 * v.value.Len()
		h.values[v.output] = append(h.values[v.output], visit{v.node, v.output, copied(v.value)})
	}
	return visit{}, false, nil
}

func copied(a *onnxio.Array) *onnxio.Array {
	return &onnxio.Array{Type: a.Type, Shape: slices.Clone(a.Shape), Data: slices.Clone(a.F32())}
}

// measure adds one value of both models.
func (w *walk) measure(ref visit, got []float32, inject bool) {
	d := w.sums.of(ref.node, ref.output)
	want := ref.value.F32()
	noise := 0.0
	for i, r := range want {
		e := float64(r) - float64(got[i])
		noise += e * e
	}
	if inject {
		d.Injected += noise
		return
	}
	d.Accumulated += noise
	for _, r := range want {
		d.Signal += float64(r) * float64(r)
	}
	if in, ok := w.ranges[ref.output]; ok {
		d.elements += len(want)
		for _, r := range want {
			if r < in.Low || r > in.High {
				d.clipped++
			}
		}
	}
}

// Drift returns the drift of B's outputs on the given samples of set, nil for all: what Run reports, without limits and without
// checking recorded outputs.
func Drift(ctx context.Context, a, b Side, set *dataset.Set, kinds []compare.Override, samples []int, threads int) ([]compare.Figures, error) {
	outputs, err := compare.Outputs(a.Graph, kinds)
	if err != nil {
		return nil, err
	}
	pair := &compare.Pair{A: a.Program, B: b.Program, Outputs: outputs}
	return pair.Run(ctx, set, samples, threads, nil)
}
