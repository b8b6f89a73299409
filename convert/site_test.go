package convert

import (
	"errors"
	"slices"
	"testing"

	"bq/balance"
	"bq/onnxio"
)

func TestGlob(t *testing.T) {
	cases := []struct {
		pattern, name string
		want          bool
	}{
		{"conv1.weight", "conv1.weight", true},
		{"conv1.weight", "conv1.weights", false},
		{"*", "", true},
		{"*", "a/b", true},
		{"a*c", "abc", true},
		{"a*c", "abcd", false},
		{"a*b*c", "a/xb/b/c", true},
		{"?", "", false},
		{"?b", "ab", true},
		{"[a]", "a", false},
		{"[a]", "[a]", true},
		{"", "", true},
		{"", "a", false},
		{"**", "abc", true},
		{"a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	}
	for _, c := range cases {
		if got := glob(c.pattern, c.name); got != c.want {
			t.Errorf("glob(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

func TestNearestNames(t *testing.T) {
	var list []*site
	for _, n := range []string{"encoder.bias", "linear.weight", "conv1.weight", "fc.weight"} {
		list = append(list, &site{name: n})
	}
	err := requireMatch(list, "--keep", "*/linear/*")
	var no *NoMatchError
	if !errors.As(err, &no) || no.Nearest[0] != "linear.weight" || len(no.Nearest) != 3 {
		t.Errorf("error %v, nearest %v", err, no)
	}
	if want := `matching --keep "*/linear/*": no such tensor`; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if err := requireMatch(list, "--keep", "*weight"); err != nil {
		t.Errorf("a pattern that fits: %v", err)
	}
}

// Layouts by hand from the operators' definitions: which elements of a weight make one output channel.
func TestWeightLayouts(t *testing.T) {
	in := func(shape ...int) []int { return shape }
	cases := []struct {
		name  string
		op    string
		input int
		shape []int
		attrs []*onnxio.Attribute
		want  balance.Layout
		ok    bool
	}{
		{"conv", "Conv", 1, in(8, 3, 5, 5), nil, balance.Layout{Outer: 1, Channels: 8, Inner: 75}, true},
		{"conv 1-d", "Conv", 1, in(8, 3, 5), nil, balance.Layout{Outer: 1, Channels: 8, Inner: 15}, true},
		{"conv of rank 2", "Conv", 1, in(8, 3), nil, balance.Layout{}, false},
		{"conv data", "Conv", 0, in(1, 3, 5, 5), nil, balance.Layout{}, false},
		{"transposed conv", "ConvTranspose", 1, in(3, 8, 2, 2), nil, balance.Layout{Outer: 3, Channels: 8, Inner: 4}, true},
		{"gemm", "Gemm", 1, in(20, 10), nil, balance.Layout{Outer: 20, Channels: 10, Inner: 1}, true},
		{"gemm transB", "Gemm", 1, in(10, 20), []*onnxio.Attribute{intAttr("transB", 1)}, balance.Layout{Outer: 1, Channels: 10, Inner: 20}, true},
		{"gemm A", "Gemm", 0, in(10, 20), nil, balance.Layout{Outer: 1, Channels: 10, Inner: 20}, true},
		{"gemm transA", "Gemm", 0, in(10, 20), []*onnxio.Attribute{intAttr("transA", 1)}, balance.Layout{Outer: 10, Channels: 20, Inner: 1}, true},
		{"matmul", "MatMul", 1, in(20, 10), nil, balance.Layout{Outer: 20, Channels: 10, Inner: 1}, true},
		{"matmul batch", "MatMul", 1, in(2, 20, 10), nil, balance.Layout{Outer: 40, Channels: 10, Inner: 1}, true},
		{"matmul A", "MatMul", 0, in(2, 20, 10), nil, balance.Layout{Outer: 2, Channels: 20, Inner: 10}, true},
		{"lstm W", "LSTM", 1, in(2, 40, 7), nil, balance.Layout{Outer: 1, Channels: 80, Inner: 7}, true},
		{"gru R", "GRU", 2, in(1, 30, 10), nil, balance.Layout{Outer: 1, Channels: 30, Inner: 10}, true},
		{"table", "Gather", 0, in(50, 8), nil, balance.Layout{Outer: 1, Channels: 50, Inner: 8}, true},
		{"table by columns", "Gather", 0, in(50, 8), []*onnxio.Attribute{intAttr("axis", 1)}, balance.Layout{}, false},
		{"add", "Add", 1, in(50, 8), nil, balance.Layout{}, false},
	}
	for _, c := range cases {
		u := use{node: &onnxio.Node{OpType: c.op, Attributes: c.attrs}, input: c.input}
		got, ok := useLayout(u, c.shape)
		if got != c.want || ok != c.ok {
			t.Errorf("%s: %+v, %v, want %+v, %v", c.name, got, ok, c.want, c.ok)
		}
	}
	foreign := use{node: &onnxio.Node{OpType: "Conv", Domain: "com.example"}, input: 1}
	if _, ok := useLayout(foreign, in(8, 3, 5, 5)); ok {
		t.Error("an operator of another domain was taken for Conv")
	}
}

// A weight [6, 4] behind Transpose and Reshape: MatMul sees [4, 6], whose channels are the 6 rows as stored.
func TestUsesAreFollowedThroughMovers(t *testing.T) {
	m := newBuilder(13).input("x", 1, 4).floats("w", normal(1, 24), 3, 2, 4).floats("v", normal(2, 24), 6, 4).
		constant("shape", onnxio.Int64s([]int64{-1, 4}, 2)).
		node("Reshape", []string{"w", "shape"}, "w2").
		node("Transpose", []string{"w2"}, "wt").
		node("MatMul", []string{"x", "wt"}, "y").
		node("Identity", []string{"v"}, "v2").
		node("Gemm", []string{"x", "v2"}, "z", intAttr("transB", 1)).
		node("Shape", []string{"v2"}, "s").output("y").output("z").m
	list, err := sites(m)
	if err != nil {
		t.Fatal(err)
	}
	w, v := list[0], list[1]
	if w.op() != "MatMul" || len(w.uses[0].moves) != 2 {
		t.Fatalf("w is read by %s behind %d moves", w.op(), len(w.uses[0].moves))
	}
	if got, ok := w.weightLayout([]int{3, 2, 4}); !ok || got != (balance.Layout{Outer: 1, Channels: 6, Inner: 4}) {
		t.Errorf("layout of w %+v, %v", got, ok)
	}
	if _, ok := v.weightLayout([]int{6, 4}); ok || len(v.uses) != 2 {
		t.Errorf("v is read by Shape too, which has no rule: %d uses", len(v.uses))
	}
}

func TestReshaped(t *testing.T) {
	cases := []struct {
		shape     []int
		want      []int64
		allowZero bool
		after     []int
		ok        bool
	}{
		{[]int{2, 3, 4}, []int64{6, 4}, false, []int{6, 4}, true},
		{[]int{2, 3, 4}, []int64{0, -1}, false, []int{2, 12}, true},
		{[]int{2, 3, 4}, []int64{-1}, false, []int{24}, true},
		{[]int{2, 3, 4}, []int64{5, -1}, false, nil, false},
		{[]int{2, 3, 4}, []int64{-1, -1}, false, nil, false},
		{[]int{2, 3, 4}, []int64{0, 12}, true, nil, false},
		{[]int{2, 3, 4}, nil, false, nil, false},
		{[]int{2, 3, 4}, []int64{1 << 62, 4}, false, nil, false},
	}
	for _, c := range cases {
		got, ok := reshaped(c.shape, c.want, c.allowZero)
		if ok != c.ok || ok && !slices.Equal(got, c.after) {
			t.Errorf("%v to %v: %v, %v, want %v, %v", c.shape, c.want, got, ok, c.after, c.ok)
		}
	}
}

// A name in a subgraph means its own definition where it has one, else that of the graph around it.
func TestSubgraphNames(t *testing.T) {
	inner := &onnxio.Graph{
		Initializers: []*onnxio.Tensor{onnxio.NewTensor("w", onnxio.Floats(normal(1, 4), 2, 2))},
		Nodes: []*onnxio.Node{
			{OpType: "MatMul", Inputs: []string{"x", "w"}, Outputs: []string{"a"}},
			{OpType: "MatMul", Inputs: []string{"a", "u"}, Outputs: []string{"b"}},
		},
		Outputs: []*onnxio.ValueInfo{{Name: "b"}},
	}
	b := newBuilder(13).input("x", 2, 2).floats("w", normal(2, 4), 2, 2).floats("u", normal(3, 4), 2, 2).
		node("If", []string{"c"}, "y", &onnxio.Attribute{Name: "then_branch", Type: onnxio.AttrGraph, G: inner}).output("y")
	b.m.Graph.Nodes[0].Name = "gate"
	list, err := sites(b.m)
	if err != nil {
		t.Fatal(err)
	}
	uses := map[string]int{}
	for _, s := range list {
		uses[s.name] = len(s.uses)
	}
	want := map[string]int{"w": 0, "u": 1, `If "gate" then_branch / w`: 1}
	for name, n := range want {
		if got, ok := uses[name]; !ok || got != n {
			t.Errorf("%s has %d uses, want %d (all: %v)", name, got, n, uses)
		}
	}
}

// A constant behind a mover is read here and, by a name from outside, in a branch: both uses count.
func TestUsesInBranchesAreFollowed(t *testing.T) {
	branch := &onnxio.Graph{Nodes: []*onnxio.Node{{OpType: "Exp", Inputs: []string{"v"}, Outputs: []string{"e"}}}, Outputs: []*onnxio.ValueInfo{{Name: "e"}}}
	b := newBuilder(13).input("x", 1, 16).floats("w", normal(1, 512), 16, 32).
		node("Identity", []string{"w"}, "v").node("MatMul", []string{"x", "v"}, "y").
		node("If", []string{"c"}, "z", &onnxio.Attribute{Name: "then_branch", Type: onnxio.AttrGraph, G: branch}).output("y")
	list, err := sites(b.m)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := list[0].weightLayout([]int{16, 32}); ok || len(list[0].uses) != 2 {
		t.Errorf("%d uses, a weight: %v; Exp in the branch has no rule", len(list[0].uses), ok)
	}
}

func TestNamesOfSubgraphsAreUnique(t *testing.T) {
	branch := func() *onnxio.Attribute {
		return &onnxio.Attribute{Name: "then_branch", Type: onnxio.AttrGraph, G: &onnxio.Graph{Initializers: []*onnxio.Tensor{onnxio.NewTensor("c", onnxio.Floats([]float32{1}, 1))}}}
	}
	b := newBuilder(13).node("If", []string{"x"}, "y", branch()).node("If", []string{"x"}, "z", branch())
	b.m.Graph.Nodes[0].Name, b.m.Graph.Nodes[1].Name = "same", "same"
	constant := func() *onnxio.Node {
		return &onnxio.Node{OpType: "Constant", Outputs: []string{"k"}, Attributes: []*onnxio.Attribute{{Name: "value", Type: onnxio.AttrTensor, T: onnxio.NewTensor("", onnxio.Floats([]float32{1}))}}}
	}
	b.m.Functions = []*onnxio.Function{{Name: "f", Domain: "a", Nodes: []*onnxio.Node{constant()}}, {Name: "f", Domain: "b", Nodes: []*onnxio.Node{constant()}}}
	list, err := sites(b.m)
	if err != nil || len(list) != 4 {
		t.Errorf("%d sites, %v", len(list), err)
	}
}

func TestDuplicateNamesAreRefused(t *testing.T) {
	m := newBuilder(13).floats("w", normal(1, 4), 4).floats("w", normal(1, 4), 4).m
	var fe *onnxio.FormatError
	if _, err := sites(m); !errors.As(err, &fe) {
		t.Errorf("two tensors of one name: %v", err)
	}
}
