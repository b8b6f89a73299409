package infer

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"bq/onnxio"
)

// fusedTolerance is the largest difference of a fused run from a plain one, relative to the output's largest value:
// folding a scale into weights and summing in another order moves float32 results by some units of their last place.
// Models that are sensitive to that have their own tolerance.
const fusedTolerance = 1e-5

// seen is a visitor that looks at nothing: runs with it are plain.
func seen(*onnxio.Node, string, *onnxio.Array) (*onnxio.Array, error) { return nil, nil }

// goldenModel compiles a model of the zoo and reads its golden inputs.
func goldenModel(t testing.TB, name string, threads int) (*Program, map[string]*onnxio.Array) {
	t.Helper()
	files := openZip(t, "zoo/golden.zip")
	p := loadModel(t, name, threads)
	inputs, err := readSet(files, name, "input")
	if err != nil {
		t.Fatal(err)
	}
	feeds, err := feedsOf(p, inputs)
	if err != nil {
		t.Fatal(err)
	}
	return p, feeds
}

// goldenNames returns the models of the zoo with golden sets, in order.
func goldenNames(t testing.TB) []string {
	names := map[string]bool{}
	for name := range openZip(t, "zoo/golden.zip") {
		names[strings.SplitN(name, "/", 2)[0]] = true
	}
	var sorted []string
	for name := range names {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	return sorted
}

func TestFusedAgreesWithPlain(t *testing.T) {
	for _, name := range goldenNames(t) {
		if heavy[name] && (testing.Short() || raceEnabled) {
			continue
		}
		p, feeds := goldenModel(t, name, 2)
		plain, err := p.Run(feeds, seen)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second run finds the memory of the first
			fused, err := p.Run(feeds, nil)
			if err != nil {
				t.Fatal(err)
			}
			for out, want := range plain {
				diff, err := relativeDifference(fused[out], want)
				if err != nil || diff > max(fusedTolerance, sensitive[name]) {
					t.Errorf("%s: output %q: relative difference %.3g, %v", name, out, diff, err)
				}
			}
		}
		t.Logf("%s: %d nodes, %d with fused ones", name, len(p.graph.nodes), len(p.graph.fused().nodes))
	}
}

// TestConcurrentRuns runs one Program in several goroutines: results are those of a run alone, bit for bit, and stay so
// while other runs use the memory of the Program.
func TestConcurrentRuns(t *testing.T) {
	for _, name := range []string{"mlperf-tiny-kws-dscnn", "silero-vad-v4", "nnsplit-en", "cifar10-resnet20-bn"} {
		p, feeds := goldenModel(t, name, 1)
		want, err := p.Run(feeds, nil)
		if err != nil {
			t.Fatal(err)
		}
		want = cloned(want)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				var held []map[string]*onnxio.Array
				for range 3 {
					got, err := p.Run(feeds, nil)
					if err != nil {
						t.Error(err)
						return
					}
					held = append(held, got)
				}
				for _, got := range held {
					for out, w := range want {
						if diff, err := relativeDifference(got[out], w); diff != 0 || err != nil {
							t.Errorf("%s: output %q of a concurrent run differs by %g, %v", name, out, diff, err)
						}
					}
				}
			})
		}
		wg.Wait()
	}
}

func cloned(m map[string]*onnxio.Array) map[string]*onnxio.Array {
	out := map[string]*onnxio.Array{}
	for name, v := range m {
		out[name] = copyOf(v)
	}
	return out
}

// groups lists the groups of the fused form of g by the operators they stand for, in order.
func (g *graph) groups() []string {
	var list []string
	for _, nd := range g.fused().nodes {
		var ops []string
		for _, p := range nd.parts {
			ops = append(ops, p.OpType)
		}
		if ops != nil {
			list = append(list, strings.Join(ops, " "))
		}
	}
	return list
}

// noise returns an array of numbers around 0 that depend on the seed and the shape alone.
func noise(seed uint64, shape ...int) *onnxio.Array {
	a, r := onnxio.NewArray(onnxio.Float, shape...), rand.New(rand.NewPCG(seed, 1))
	for i := range a.F32() {
		a.F32()[i] = float32(r.NormFloat64())
	}
	return a
}

func aboveZero(a *onnxio.Array) *onnxio.Array {
	for i, v := range a.F32() {
		a.F32()[i] = 0.5 + float32(math.Abs(float64(v)))
	}
	return a
}

func scalar(v float32) *onnxio.Array { return onnxio.Floats([]float32{v}) }

// fusionCase is a graph from x, and z where it has one, to y with constants, and the groups that its fused form has.
type fusionCase struct {
	name   string
	nodes  []*onnxio.Node
	consts map[string]*onnxio.Array
	x, z   *onnxio.Array
	more   []string // further outputs of the graph
	want   []string
}

func (c *fusionCase) compile(t testing.TB) (*Program, map[string]*onnxio.Array) {
	t.Helper()
	m := modelOf(17, c.nodes...)
	m.Opsets = append(m.Opsets, &onnxio.Opset{Domain: "com.microsoft", Version: 1})
	feeds := map[string]*onnxio.Array{"x": c.x}
	m.Graph.Inputs = []*onnxio.ValueInfo{{Name: "x"}}
	if c.z != nil {
		m.Graph.Inputs, feeds["z"] = append(m.Graph.Inputs, &onnxio.ValueInfo{Name: "z"}), c.z
	}
	for _, name := range append([]string{"y"}, c.more...) {
		m.Graph.Outputs = append(m.Graph.Outputs, &onnxio.ValueInfo{Name: name})
	}
	var names []string
	for name := range c.consts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		m.Graph.Initializers = append(m.Graph.Initializers, onnxio.NewTensor(name, c.consts[name]))
	}
	p, err := Options{Threads: 2}.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	return p, feeds
}

func fusionCases() []fusionCase {
	type arrays = map[string]*onnxio.Array
	conv := newNode("Conv", "x w b", "c", ints("pads", 1, 1, 1, 1))
	w, b, x := noise(1, 8, 4, 3, 3), noise(2, 8), noise(3, 2, 4, 9, 7)
	norm := newNode("BatchNormalization", "c s o m v", "n", floatAttr("epsilon", 1e-3))
	stats := arrays{"w": w, "b": b, "s": noise(4, 8), "o": noise(5, 8), "m": noise(6, 8), "v": aboveZero(noise(7, 8))}
	bad := noise(3, 2, 4, 9, 7)
	bad.F32()[5], bad.F32()[100], bad.F32()[200] = float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))
	layer := func(more ...*onnxio.Node) []*onnxio.Node {
		return append([]*onnxio.Node{newNode("ReduceMean", "x", "mu", ints("axes", -1)), newNode("Sub", "x mu", "d"),
			newNode("Pow", "d two", "q"), newNode("ReduceMean", "q", "var", ints("axes", -1)),
			newNode("Add", "var eps", "ve"), newNode("Sqrt", "ve", "sd")}, more...)
	}
	rows := arrays{"two": scalar(2), "eps": scalar(1e-5), "g": noise(8, 24), "o": noise(9, 24), "one": scalar(1)}
	hard := arrays{"three": scalar(3), "lo": scalar(0), "hi": scalar(6), "six": scalar(6)}
	erf := arrays{"r": scalar(math.Sqrt2), "one": scalar(1), "half": scalar(0.5), "i": scalar(math.Sqrt2 / 2)}
	return []fusionCase{
		{"conv relu", []*onnxio.Node{conv, newNode("Relu", "c", "y")}, arrays{"w": w, "b": b}, x, nil, nil, []string{"Conv Relu"}},
		{"conv relu, NaN and Inf", []*onnxio.Node{conv, newNode("Relu", "c", "y")}, arrays{"w": w, "b": b}, bad, nil, nil, []string{"Conv Relu"}},
		{"conv clip", []*onnxio.Node{conv, newNode("Clip", "c lo hi", "y")}, arrays{"w": w, "b": b, "lo": scalar(-0.25), "hi": scalar(1)}, x, nil, nil,
			[]string{"Conv Clip"}},
		{"conv norm leaky", []*onnxio.Node{conv, norm, newNode("LeakyRelu", "n", "y")}, stats, x, nil, nil, []string{"Conv BatchNormalization LeakyRelu"}},
		{"conv mul add sigmoid", []*onnxio.Node{conv, newNode("Mul", "c k", "p"), newNode("Add", "h p", "a"), newNode("Sigmoid", "a", "y")},
			arrays{"w": w, "b": b, "k": noise(8, 8, 1, 1), "h": noise(9, 1, 8, 1, 1)}, x, nil, nil, []string{"Conv Mul Add Sigmoid"}},
		{"conv norm sum relu", []*onnxio.Node{conv, norm, newNode("Add", "z n", "a"), newNode("Relu", "a", "y")}, stats, x, noise(10, 2, 8, 9, 7), nil,
			[]string{"Conv BatchNormalization Add Relu"}},
		{"sum that broadcasts declines", []*onnxio.Node{conv, newNode("Add", "c z", "a"), newNode("Relu", "a", "y")}, arrays{"w": w, "b": b}, x,
			noise(10, 1, 1, 9, 7), nil, []string{"Conv Add Relu"}},
		{"value between is a result", []*onnxio.Node{conv, newNode("Relu", "c", "y")}, arrays{"w": w, "b": b}, x, nil, []string{"c"}, nil},
		{"value between is used twice", []*onnxio.Node{conv, newNode("Relu", "c", "r"), newNode("Add", "r c", "y")}, arrays{"w": w, "b": b}, x, nil, nil, nil},
		{"transposed conv norm relu", []*onnxio.Node{newNode("ConvTranspose", "x w", "c", ints("strides", 2, 2), integerAttr("group", 2)), norm,
			newNode("Relu", "n", "y")}, arrays{"w": noise(1, 4, 4, 3, 3), "s": stats["s"], "o": stats["o"], "m": stats["m"], "v": stats["v"]}, x, nil, nil,
			[]string{"ConvTranspose BatchNormalization Relu"}},
		{"depthwise conv norm", []*onnxio.Node{newNode("Conv", "x w", "c", integerAttr("group", 4)), newNode("BatchNormalization", "c s o m v", "y")},
			arrays{"w": noise(1, 4, 1, 3, 3), "s": noise(2, 4), "o": noise(3, 4), "m": noise(4, 4), "v": aboveZero(noise(5, 4))}, x, nil, nil,
			[]string{"Conv BatchNormalization"}},
		{"matmul add relu", []*onnxio.Node{newNode("MatMul", "x w", "c"), newNode("Add", "b c", "a"), newNode("Relu", "a", "y")},
			arrays{"w": noise(1, 24, 40), "b": noise(2, 40)}, noise(3, 2, 7, 24), nil, nil, []string{"MatMul Add Relu"}},
		{"matmul of a vector", []*onnxio.Node{newNode("MatMul", "x w", "c"), newNode("Add", "c b", "y")},
			arrays{"w": noise(1, 24, 40), "b": noise(2, 1, 40)}, noise(3, 24), nil, nil, []string{"MatMul Add"}},
		{"gemm tanh", []*onnxio.Node{newNode("Gemm", "x w b", "c", integerAttr("transB", 1), integerAttr("transA", 1), floatAttr("beta", 0.5)), newNode("Tanh", "c", "y")},
			arrays{"w": noise(1, 40, 24), "b": noise(2, 40)}, noise(3, 24, 11), nil, nil, []string{"Gemm Tanh"}},
		{"gemm of a column bias", []*onnxio.Node{newNode("Gemm", "x w b", "y")}, arrays{"w": noise(1, 24, 40), "b": noise(2, 11, 1)}, noise(3, 11, 24), nil, nil, nil},
		{"gemm alpha", []*onnxio.Node{newNode("Gemm", "x w", "y", floatAttr("alpha", 2))}, arrays{"w": noise(1, 24, 40)}, noise(3, 11, 24), nil, nil, nil},
		{"silu", []*onnxio.Node{newNode("Abs", "x", "a"), newNode("Sigmoid", "a", "s"), newNode("Mul", "a s", "y")}, nil, x, nil, nil, []string{"Sigmoid Mul"}},
		{"hard gate", []*onnxio.Node{newNode("HardSigmoid", "x", "s"), newNode("Mul", "s x", "y")}, nil, x, nil, nil, []string{"HardSigmoid Mul"}},
		{"gate of another value", []*onnxio.Node{newNode("Sigmoid", "x", "s"), newNode("Mul", "s z", "y")}, nil, x, noise(1, 2, 4, 9, 7), nil, nil},
		{"hard swish", []*onnxio.Node{newNode("Add", "x three", "a"), newNode("Clip", "a lo hi", "c"), newNode("Mul", "x c", "m"), newNode("Div", "m six", "y")},
			hard, x, nil, nil, []string{"Add Clip Mul Div"}},
		{"sum relu", []*onnxio.Node{newNode("Add", "x z", "a"), newNode("Relu", "a", "y")}, nil, x, noise(1, 2, 4, 9, 7), nil, []string{"Add Relu"}},
		{"layer norm", layer(newNode("Div", "d sd", "n"), newNode("Mul", "n g", "k"), newNode("Add", "k o", "y")), rows, noise(3, 5, 24), nil, nil,
			[]string{"ReduceMean Sub Pow ReduceMean Add Sqrt Div Mul Add"}},
		{"layer norm of equal numbers", layer(newNode("Div", "d sd", "n"), newNode("Add", "n o", "y")), rows, onnxio.Floats(filled(48, 3), 2, 24), nil, nil,
			[]string{"ReduceMean Sub Pow ReduceMean Add Sqrt Div Add"}},
		{"layer norm whose parts are results", layer(newNode("Div", "d sd", "y")), rows, noise(3, 5, 24), nil, []string{"sd"}, nil},
		{"rms norm", []*onnxio.Node{newNode("Mul", "x x", "q"), newNode("ReduceMean", "q", "v", ints("axes", 1)), newNode("Add", "v eps", "e"), newNode("Sqrt", "e", "s"),
			newNode("Div", "one s", "r"), newNode("Mul", "x r", "n"), newNode("Mul", "g n", "y")}, rows, noise(3, 5, 24), nil, nil,
			[]string{"Mul ReduceMean Add Sqrt Div Mul Mul"}},
		{"rms norm over another axis declines", []*onnxio.Node{newNode("Mul", "x x", "q"), newNode("ReduceMean", "q", "v", ints("axes", 1)), newNode("Add", "v eps", "e"),
			newNode("Sqrt", "e", "s"), newNode("Div", "x s", "y")}, rows, noise(3, 5, 24, 3), nil, nil, []string{"Mul ReduceMean Add Sqrt Div"}},
		{"gelu", []*onnxio.Node{newNode("Div", "x r", "d"), newNode("Erf", "d", "e"), newNode("Add", "e one", "a"), newNode("Mul", "x a", "m"), newNode("Mul", "m half", "y")},
			erf, x, nil, nil, []string{"Div Erf Add Mul Mul"}},
		{"gelu, half first", []*onnxio.Node{newNode("Mul", "x half", "h"), newNode("Mul", "x i", "d"), newNode("Erf", "d", "e"), newNode("Add", "one e", "a"),
			newNode("Mul", "h a", "y")}, erf, x, nil, nil, []string{"Mul Mul Erf Add Mul"}},
		{"erf of another scale", []*onnxio.Node{newNode("Div", "x one", "d"), newNode("Erf", "d", "e"), newNode("Add", "e one", "a"), newNode("Mul", "x a", "m"),
			newNode("Mul", "m half", "y")}, erf, x, nil, nil, nil},
	}
}

// differs returns the first element that is further from the wanted one than tolerance says, relative to 1 and to the
// wanted one; -1 for none. NaN is NaN's equal.
func differs(got, want []float32, tolerance float64) int {
	for i, w := range want {
		d := math.Abs(float64(got[i]) - float64(w))
		same := got[i] == w || got[i] != got[i] && w != w
		if !same && !(d <= tolerance*(1+math.Abs(float64(w)))) {
			return i
		}
	}
	return -1
}

// TestFusions compares both forms of small graphs and which groups the fused one has. The values that a visitor sees are
// those of all nodes, in order.
func TestFusions(t *testing.T) {
	for _, c := range fusionCases() {
		t.Run(c.name, func(t *testing.T) {
			p, feeds := c.compile(t)
			var shown []string
			plain, err := p.Run(feeds, func(n *onnxio.Node, output string, _ *onnxio.Array) (*onnxio.Array, error) {
				shown = append(shown, n.OpType+" "+output)
				return nil, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, n := range c.nodes {
				want = append(want, n.OpType+" "+n.Outputs[0])
			}
			if !slices.Equal(shown, want) {
				t.Errorf("the visitor saw %v, want %v", shown, want)
			}
			if got := p.graph.groups(); !slices.Equal(got, c.want) {
				t.Errorf("groups %q, want %q", got, c.want)
			}
			kept := copyOf(c.x)
			for range 2 {
				fused, err := p.Run(feeds, nil)
				if err != nil {
					t.Fatal(err)
				}
				for name, w := range plain {
					if i := differs(fused[name].F32(), w.F32(), fusedTolerance); i >= 0 || !equalShape(fused[name].Shape, w.Shape) {
						t.Errorf("output %s %v: element %d differs", name, fused[name].Shape, i)
					}
				}
			}
			if i := differs(c.x.F32(), kept.F32(), 0); i >= 0 {
				t.Errorf("element %d of the input was written to", i)
			}
		})
	}
}

// TestFusedErrors: what fails does so in both forms with the same words.
func TestFusedErrors(t *testing.T) {
	c := fusionCase{nodes: []*onnxio.Node{newNode("MatMul", "x w", "c"), newNode("Relu", "c", "y")}, consts: map[string]*onnxio.Array{"w": noise(1, 24, 40)}}
	for _, x := range []*onnxio.Array{noise(1, 3, 23), scalar(1), onnxio.NewArray(onnxio.Double, 3, 24), onnxio.NewArray(onnxio.Int64, 3, 24)} {
		c.x = x
		p, feeds := c.compile(t)
		_, plain := p.Run(feeds, seen)
		_, fused := p.Run(feeds, nil)
		if plain == nil || fused == nil || plain.Error() != fused.Error() {
			t.Errorf("%v %v: plain %v, fused %v", x.Type, x.Shape, plain, fused)
		}
	}
}
