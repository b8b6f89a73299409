package infer

import (
	"fmt"
	"math"
	"slices"

	"bq/internal/kernel"
	"bq/onnxio"
)

// forest is an ensemble of decision trees: every tree leads a row of features to a leaf, whose weights go to targets.
type forest struct {
	nodes     []treeNode
	roots     []int
	targets   int
	base      []float64 // by target, nil for zeros
	aggregate string    // SUM, AVERAGE, MIN, MAX
	post      string
}

// treeNode is a leaf, or a comparison that leads to one of two nodes.
type treeNode struct {
	mode    string
	feature int
	value   float64
	members []float64 // of BRANCH_MEMBER
	missing bool      // NaN goes to yes
	yes, no int
	weights []leafWeight
}

type leafWeight struct {
	target int
	weight float64
}

var branchModes = []string{"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER"}

// next returns the node that follows for feature value v.
func (n *treeNode) next(v float64) int {
	var yes bool
	switch n.mode {
	case "BRANCH_LEQ":
		yes = v <= n.value
	case "BRANCH_LT":
		yes = v < n.value
	case "BRANCH_GTE":
		yes = v >= n.value
	case "BRANCH_GT":
		yes = v > n.value
	case "BRANCH_EQ":
		yes = v == n.value
	case "BRANCH_NEQ":
		yes = v != n.value
	case "BRANCH_MEMBER":
		yes = slices.Contains(n.members, v)
	}
	if yes || n.missing && v != v {
		return n.yes
	}
	return n.no
}

// scores returns [N, targets] of X [N, C] before post_transform.
func (t *forest) scores(r *run, x *onnxio.Array) (*onnxio.Array, error) {
	n, c, err := rowsOf(x)
	if err != nil {
		return nil, err
	}
	if x.Type == onnxio.String {
		return nil, typeError(x)
	}
	d, err := r.cast(x, onnxio.Double)
	if err != nil {
		return nil, err
	}
	out, err := r.new(onnxio.Double, n, t.targets)
	if err != nil {
		return nil, err
	}
	for i := range t.nodes {
		if f := t.nodes[i].feature; t.nodes[i].mode != "LEAF" && f >= c {
			return nil, fmt.Errorf("feature %d of %d", f, c)
		}
	}
	dst := out.Data.([]float64)
	kernel.Parallel(r.threads, n, func(i int) {
		t.row(dst[i*t.targets:(i+1)*t.targets], d.Data.([]float64)[i*c:(i+1)*c])
	})
	return out, nil
}

// row adds up what the trees give for one row of features. A walk longer than there are nodes is a cycle and ends.
func (t *forest) row(dst, x []float64) {
	seen := make([]bool, t.targets)
	for _, at := range t.roots {
		for range t.nodes {
			if t.nodes[at].mode == "LEAF" {
				break
			}
			at = t.nodes[at].next(x[t.nodes[at].feature])
		}
		for _, w := range t.nodes[at].weights {
			switch v := &dst[w.target]; {
			case t.aggregate == "MIN" && seen[w.target]:
				*v = min(*v, w.weight)
			case t.aggregate == "MAX" && seen[w.target]:
				*v = max(*v, w.weight)
			default:
				*v += w.weight
			}
			seen[w.target] = true
		}
	}
	for i := range dst {
		if t.aggregate == "AVERAGE" {
			dst[i] /= float64(max(1, len(t.roots)))
		}
		if t.base != nil {
			dst[i] += t.base[i]
		}
	}
}

// reals returns an attribute of float values: the list name, or the tensor name_as_tensor of version 3.
func (b *binding) reals(name string) []float64 {
	if b.has(name + "_as_tensor") {
		return realsOf(b.tensor(name + "_as_tensor"))
	}
	b.ignore(name + "_as_tensor")
	list := make([]float64, 0, len(b.floats(name)))
	for _, v := range b.floats(name) {
		list = append(list, float64(v))
	}
	return list
}

// realsOf returns the elements of a float array, nil for another.
func realsOf(v *onnxio.Array) []float64 {
	if v == nil || !v.Type.IsFloat() {
		return nil
	}
	w, err := (&run{limit: DefaultMaxBytes}).cast(v, onnxio.Double)
	if err != nil {
		return nil
	}
	return w.Data.([]float64)
}

// bindForest reads the nodes of TreeEnsembleClassifier and TreeEnsembleRegressor, whose leaves' weights come in the
// attributes that begin with leaf ("class" or "target").
func (b *binding) bindForest(leaf string, targets int) *forest {
	t := &forest{targets: targets, aggregate: "SUM"}
	b.ignore("nodes_hitrates", "nodes_hitrates_as_tensor")
	t.post = b.str("post_transform", "NONE", "NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
	if t.post == "PROBIT" {
		b.refuse("post_transform PROBIT")
	}
	ids, trees, modes := b.ints("nodes_nodeids"), b.ints("nodes_treeids"), b.strs("nodes_modes")
	yes, no, features := b.ints("nodes_truenodeids"), b.ints("nodes_falsenodeids"), b.ints("nodes_featureids")
	missing, values := b.ints("nodes_missing_value_tracks_true"), b.reals("nodes_values")
	n := len(ids)
	for _, l := range []int{len(trees), len(modes), len(yes), len(no), len(features), len(values)} {
		if l != n {
			b.malformed("%d nodes with %d values of an attribute", n, l)
			return t
		}
	}
	place := map[[2]int]int{}
	for i := range ids {
		place[[2]int{trees[i], ids[i]}] = i
	}
	child := make([]bool, n)
	for i, mode := range modes {
		node := treeNode{mode: mode, feature: features[i], value: values[i], missing: len(missing) == n && missing[i] != 0}
		if mode != "LEAF" {
			var ok, ok2 bool
			node.yes, ok = place[[2]int{trees[i], yes[i]}]
			node.no, ok2 = place[[2]int{trees[i], no[i]}]
			if !ok || !ok2 || features[i] < 0 || !slices.Contains(branchModes[:6], mode) {
				b.malformed("node %d of tree %d: %s of feature %d to %d and %d", ids[i], trees[i], mode, features[i], yes[i], no[i])
				return t
			}
			child[node.yes], child[node.no] = true, true
		}
		t.nodes = append(t.nodes, node)
	}
	for i := range child {
		if !child[i] {
			t.roots = append(t.roots, i)
		}
	}
	b.leaves(t, leaf, place)
	if base := b.reals("base_values"); len(base) == targets {
		t.base = base
	} else if len(base) > 0 {
		b.refuse("%d base_values for %d targets", len(base), targets)
	}
	return t
}

// leaves reads the weights of the leaves.
func (b *binding) leaves(t *forest, leaf string, place map[[2]int]int) {
	ids, nodes, trees := b.ints(leaf+"_ids"), b.ints(leaf+"_nodeids"), b.ints(leaf+"_treeids")
	weights := b.reals(leaf + "_weights")
	if len(nodes) != len(ids) || len(trees) != len(ids) || len(weights) != len(ids) {
		b.malformed("%d leaves, %d nodes, %d trees, %d weights", len(ids), len(nodes), len(trees), len(weights))
		return
	}
	for i, id := range ids {
		at, ok := place[[2]int{trees[i], nodes[i]}]
		if !ok || id < 0 || id >= t.targets {
			b.malformed("weight of target %d at node %d of tree %d", id, nodes[i], trees[i])
			return
		}
		t.nodes[at].weights = append(t.nodes[at].weights, leafWeight{id, weights[i]})
	}
}

// maxTargets bounds the targets of an ensemble.
const maxTargets = 1 << 20

// bindTreeEnsembleRegressor: the aggregate of the leaves' weights by target.
func bindTreeEnsembleRegressor(b *binding) runFunc {
	n := int(b.int("n_targets", 1))
	if n < 1 || n > maxTargets {
		b.malformed("attribute \"n_targets\" is %d", n)
		return nil
	}
	t := b.bindForest("target", n)
	t.aggregate = b.str("aggregate_function", "SUM", "SUM", "AVERAGE", "MIN", "MAX")
	return t.regress
}

func (t *forest) regress(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
	s, err := t.scores(r, in[0])
	if err != nil {
		return nil, err
	}
	out, err := r.cast(s, onnxio.Float)
	if err != nil {
		return nil, err
	}
	postTransform(out.F32(), t.targets, t.post)
	if in[0].Type == onnxio.Double {
		return one(r.cast(out, onnxio.Double))
	}
	return []*onnxio.Array{out}, nil
}

// bindTreeEnsembleClassifier: the label of the largest score of each row, and the scores. Where two labels share the
// weights of one class, the score is that of the second label: a probability where all weights are positive.
func bindTreeEnsembleClassifier(b *binding) runFunc {
	labels := b.classLabels("classlabels_strings", "classlabels_int64s")
	if labels == nil {
		return nil
	}
	t := b.bindForest("class", labels.Len())
	ids, positive := b.ints("class_ids"), true
	for _, w := range b.reals("class_weights") {
		positive = positive && w >= 0
	}
	shared := labels.Len() == 2 && len(ids) > 0 && !slices.ContainsFunc(ids, func(v int) bool { return v != ids[0] })
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		s, err := t.scores(r, in[0])
		if err != nil {
			return nil, err
		}
		d := s.Data.([]float64)
		if !shared {
			if s, err = r.cast(s, onnxio.Float); err != nil {
				return nil, err
			}
			return r.classified(s, labels, t.post, false)
		}
		index, z := make([]int, s.Shape[0]), make([]float32, 2*s.Shape[0])
		for i := range index {
			index[i], z[2*i], z[2*i+1] = t.pair(d[2*i+ids[0]], positive)
		}
		y, err := r.take(labels, []int{len(index)}, index)
		return []*onnxio.Array{y, onnxio.Floats(z, len(index), 2)}, err
	}
}

// pair returns the label and both scores for the one score v of two labels.
func (t *forest) pair(v float64, positive bool) (label int, first, second float32) {
	threshold := 0.0
	switch {
	case t.post == "LOGISTIC":
		first, second = float32(sigmoid(-v)), float32(sigmoid(v))
	case positive:
		threshold, first, second = 0.5, float32(1-v), float32(v)
	default:
		first, second = float32(-v), float32(v)
	}
	if float64(float32(v)) > threshold { // sums of float32 weights are meant to round to float32
		label = 1
	}
	return label, first, second
}

// bindTreeEnsemble: the ensemble of version 5, whose nodes and leaves are numbered apart.
func bindTreeEnsemble(b *binding) runFunc {
	t := &forest{targets: int(b.int("n_targets", 1))}
	aggregate, post := b.int("aggregate_function", 1), b.int("post_transform", 0)
	b.ignore("nodes_hitrates")
	if aggregate < 0 || aggregate > 3 || post < 0 || post > 3 || t.targets < 1 || t.targets > maxTargets {
		b.refuse("aggregate_function %d, post_transform %d, n_targets %d", aggregate, post, t.targets)
		return nil
	}
	t.aggregate = []string{"AVERAGE", "SUM", "MIN", "MAX"}[aggregate]
	t.post = []string{"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"}[post]
	t.roots = b.ints("tree_roots")
	features, yes, no := b.ints("nodes_featureids"), b.ints("nodes_truenodeids"), b.ints("nodes_falsenodeids")
	yesLeaf, noLeaf, missing := b.ints("nodes_trueleafs"), b.ints("nodes_falseleafs"), b.ints("nodes_missing_value_tracks_true")
	modes, splits := b.tensor("nodes_modes"), realsOf(b.tensor("nodes_splits"))
	members, targets, weights := realsOf(b.tensor("membership_values")), b.ints("leaf_targetids"), realsOf(b.tensor("leaf_weights"))
	n := len(features)
	if modes == nil || modes.Len() != n || len(splits) != n || len(yes) != n || len(no) != n || len(yesLeaf) != n ||
		len(noLeaf) != n || len(targets) != len(weights) || n == 0 {
		b.malformed("%d nodes and %d leaves with attributes of other lengths", n, len(targets))
		return nil
	}
	sets := memberSets(members)
	for i, mode := range modes.Ints() {
		node := treeNode{feature: features[i], value: splits[i], missing: len(missing) == n && missing[i] != 0}
		node.yes, node.no = yes[i]+n*yesLeaf[i], no[i]+n*noLeaf[i] // leaves are kept behind the nodes
		last := n + len(targets)
		if mode < 0 || int(mode) >= len(branchModes) || node.feature < 0 || node.yes < 0 || node.no < 0 ||
			node.yes >= last || node.no >= last {
			b.malformed("node %d: mode %d of feature %d to %d and %d", i, mode, node.feature, yes[i], no[i])
			return nil
		}
		if node.mode = branchModes[mode]; node.mode == "BRANCH_MEMBER" {
			if len(sets) == 0 {
				b.malformed("node %d: no membership_values", i)
				return nil
			}
			node.members, sets = sets[0], sets[1:]
		}
		t.nodes = append(t.nodes, node)
	}
	for i, target := range targets {
		if target < 0 || target >= t.targets {
			b.malformed("leaf %d: target %d of %d", i, target, t.targets)
			return nil
		}
		t.nodes = append(t.nodes, treeNode{mode: "LEAF", weights: []leafWeight{{target, weights[i]}}})
	}
	for _, root := range t.roots {
		if root < 0 || root >= n {
			b.malformed("tree_roots %v of %d nodes", t.roots, n)
			return nil
		}
	}
	return t.regress
}

// memberSets cuts a list at its NaNs.
func memberSets(list []float64) (sets [][]float64) {
	var set []float64
	for _, v := range list {
		if math.IsNaN(v) {
			sets, set = append(sets, set), nil
			continue
		}
		set = append(set, v)
	}
	if set != nil {
		sets = append(sets, set)
	}
	return sets
}
