package infer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"bq/onnxio"
)

// ones is an input of smallConvNet: with weights of all ones, the mean over 3x3 sums is 100/16.
func ones(n int) *onnxio.Array { return onnxio.Floats(filled(16*n, 1), n, 1, 4, 4) }

func TestRun(t *testing.T) {
	p, err := Compile(smallConvNet())
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Run(map[string]*onnxio.Array{"x": ones(2)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Of the 16 positions 4 are corners (sum 4), 8 edges (sum 6) and 4 inside (sum 9).
	want := float32(4*4+8*6+4*9) / 16
	if got := out["y"].F32(); !slices.Equal(got, []float32{want, want, want, want}) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFeedErrors(t *testing.T) {
	m := modelOf(13, newNode("Add", "x y", "z"))
	m.Graph.Inputs = []*onnxio.ValueInfo{input("x", onnxio.Float, -1, 1, 28), input("y", onnxio.Float, -1, 1, 28)}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "z"}}
	p, err := Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	good := onnxio.Floats(make([]float32, 28), 1, 1, 28)
	for _, c := range []struct {
		feeds map[string]*onnxio.Array
		want  string
	}{
		{map[string]*onnxio.Array{"x": onnxio.Floats(make([]float32, 28), 1, 28), "y": good}, `feeding input "x": shape [1 28], want [N 1 28]`},
		{map[string]*onnxio.Array{"x": onnxio.Floats(make([]float32, 29), 1, 1, 29), "y": good}, `feeding input "x": shape [1 1 29], want [N 1 28]`},
		{map[string]*onnxio.Array{"x": good, "y": onnxio.Floats(make([]float32, 56), 2, 1, 28)}, `feeding input "y": shape [2 1 28], want [N 1 28] with N = 1`},
		{map[string]*onnxio.Array{"x": good, "y": onnxio.Int64s(make([]int64, 28), 1, 1, 28)}, `feeding input "y": type int64, want float32`},
		{map[string]*onnxio.Array{"x": good}, `feeding input "y": no value given`},
		{map[string]*onnxio.Array{"x": good, "y": good, "b": good, "a": good}, `feeding input "a": the model has no such input to feed`},
		{map[string]*onnxio.Array{"x": good, "y": onnxio.Floats(nil, 1, 1, 28)}, `feeding input "y": shape [1 1 28] does not fit 0 elements`},
		{map[string]*onnxio.Array{"x": good, "y": onnxio.Floats(nil, -1, 1, 28)}, `feeding input "y": shape [-1 1 28] does not fit 0 elements`},
	} {
		if _, err := p.Run(c.feeds, nil); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestVisitorSeesAndReplaces(t *testing.T) {
	p, err := Compile(smallConvNet())
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	out, err := p.Run(map[string]*onnxio.Array{"x": ones(1)}, func(n *onnxio.Node, output string, v *onnxio.Array) (*onnxio.Array, error) {
		seen = append(seen, n.OpType+" "+output)
		if output == "p" {
			return onnxio.Floats([]float32{3}, 1, 1, 1, 1), nil
		}
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"Conv c", "Relu r", "GlobalAveragePool p", "Flatten f", "Gemm y"}; !slices.Equal(seen, want) {
		t.Errorf("saw %v, want %v", seen, want)
	}
	if got := out["y"].F32(); !slices.Equal(got, []float32{3, 3}) {
		t.Errorf("after replacing: %v", got)
	}
	_, err = p.Run(map[string]*onnxio.Array{"x": ones(1)}, func(_ *onnxio.Node, _ string, v *onnxio.Array) (*onnxio.Array, error) {
		return onnxio.Floats([]float32{3}, 1), nil
	})
	if err == nil || !strings.Contains(err.Error(), `running node 0 (Conv): replacing "c": float32 [1]`) {
		t.Errorf("a replacement of another shape: %v", err)
	}
	stop := errors.New("stop")
	if _, err = p.Run(map[string]*onnxio.Array{"x": ones(1)}, func(*onnxio.Node, string, *onnxio.Array) (*onnxio.Array, error) { return nil, stop }); !errors.Is(err, stop) {
		t.Errorf("the visitor's error is lost: %v", err)
	}
}

func TestConstantsAreFolded(t *testing.T) {
	c := newNode("Constant", "", "c")
	c.Attributes = []*onnxio.Attribute{floatList("value_floats", 1, 2)}
	m := modelOf(13, c, newNode("Neg", "c", "d"), newNode("Add", "x d", "y"))
	m.Graph.Inputs = []*onnxio.ValueInfo{{Name: "x"}}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "y"}, {Name: "d"}}
	p, err := Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.graph.nodes) != 1 {
		t.Errorf("%d nodes left, want only Add", len(p.graph.nodes))
	}
	out, err := p.Run(map[string]*onnxio.Array{"x": onnxio.Floats([]float32{10, 10}, 2)}, nil)
	if err != nil || !slices.Equal(out["y"].F32(), []float32{9, 8}) || !slices.Equal(out["d"].F32(), []float32{-1, -2}) {
		t.Errorf("got %v, %v", out, err)
	}
}

// TestMemoryIsFreedAfterLastUse runs a chain of ten nodes within the bytes of three values, and not within one.
func TestMemoryIsFreedAfterLastUse(t *testing.T) {
	var nodes []*onnxio.Node
	for i := range 10 {
		nodes = append(nodes, newNode("Neg", fmt.Sprint("v", i), fmt.Sprint("v", i+1)))
	}
	m := modelOf(13, nodes...)
	m.Graph.Inputs = []*onnxio.ValueInfo{{Name: "v0"}}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "v10"}}
	feeds := map[string]*onnxio.Array{"v0": onnxio.Floats(make([]float32, 100), 100)}
	for limit, want := range map[int64]string{3 * 400: "", 400: "a value of shape [100] needs 400 bytes beside 400 in use, limit 400"} {
		p, err := Options{MaxBytes: limit}.Compile(m)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Run(feeds, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("limit %d: %v, want %q", limit, err, want)
		}
	}
}

// branch returns a graph without inputs that computes its output from a value of the graph around it.
func branch(op, captured string) *onnxio.Graph {
	return &onnxio.Graph{Nodes: []*onnxio.Node{newNode(op, captured, "r")}, Outputs: []*onnxio.ValueInfo{{Name: "r"}}}
}

func TestIfSeesOuterValues(t *testing.T) {
	m := modelOf(13,
		newNode("Abs", "x", "a"),
		newNode("If", "cond", "y", graphAttr("then_branch", branch("Neg", "a")), graphAttr("else_branch", branch("Identity", "x"))))
	m.Graph.Inputs = []*onnxio.ValueInfo{{Name: "x"}, {Name: "cond"}}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "y"}}
	p, err := Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	for cond, want := range map[bool]float32{true: -5, false: -5.5} {
		x := float32(-5)
		if !cond {
			x = -5.5
		}
		out, err := p.Run(map[string]*onnxio.Array{"x": onnxio.Floats([]float32{x}, 1), "cond": truths(cond)}, nil)
		if err != nil || out["y"].F32()[0] != want {
			t.Errorf("cond %v: %v, %v", cond, out["y"], err)
		}
	}
}

// TestLoop doubles a value three times and stacks the steps.
func TestLoop(t *testing.T) {
	body := &onnxio.Graph{
		Nodes:   []*onnxio.Node{newNode("Add", "v v", "w"), newNode("Identity", "c", "go"), newNode("Identity", "w", "s")},
		Inputs:  []*onnxio.ValueInfo{{Name: "i"}, {Name: "c"}, {Name: "v"}},
		Outputs: []*onnxio.ValueInfo{{Name: "go"}, {Name: "w"}, {Name: "s"}},
	}
	m := modelOf(13, newNode("Loop", "m _ x", "last steps", graphAttr("body", body)))
	m.Graph.Inputs = []*onnxio.ValueInfo{{Name: "m"}, {Name: "x"}}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "last"}, {Name: "steps"}}
	p, err := Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	feeds := map[string]*onnxio.Array{"m": onnxio.Int64s([]int64{3}), "x": onnxio.Floats([]float32{1}, 1)}
	out, err := p.Run(feeds, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(out["last"].F32(), []float32{8}) || !slices.Equal(out["steps"].F32(), []float32{2, 4, 8}) || !equalShape(out["steps"].Shape, []int{3, 1}) {
		t.Errorf("last %v, steps %v %v", out["last"].Data, out["steps"].Shape, out["steps"].Data)
	}
}

func TestSubgraphDepthIsLimited(t *testing.T) {
	g := branch("Identity", "x")
	for range maxSubgraphDepth + 1 {
		g = &onnxio.Graph{Nodes: []*onnxio.Node{newNode("If", "c", "r", graphAttr("then_branch", g), graphAttr("else_branch", branch("Identity", "x")))}, Outputs: []*onnxio.ValueInfo{{Name: "r"}}}
	}
	m := modelOf(13, newNode("If", "c", "y", graphAttr("then_branch", g), graphAttr("else_branch", branch("Identity", "x"))))
	m.Graph.Inputs = []*onnxio.ValueInfo{{Name: "x"}, {Name: "c"}}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "y"}}
	if _, err := Compile(m); err == nil || !strings.Contains(err.Error(), "nested more than 16 deep") {
		t.Errorf("got %v", err)
	}
}

// TestThreadsGiveTheSameBits runs real models with one to four threads, and concurrently.
func TestThreadsGiveTheSameBits(t *testing.T) {
	for _, name := range []string{"mlperf-tiny-kws-dscnn", "mlperf-tiny-resnet8-cifar10", "mnist-burn", "charrnn-shakespeare-lstm"} {
		p := loadModel(t, name, 1)
		inputs, err := readSet(openZip(t, "zoo/golden.zip"), name, "input")
		if err != nil {
			t.Fatal(err)
		}
		feeds, err := feedsOf(p, inputs)
		if err != nil {
			t.Fatal(err)
		}
		first, err := p.Run(feeds, nil)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for threads := 2; threads <= 4; threads++ {
			q := loadModel(t, name, threads)
			wg.Go(func() {
				again, err := q.Run(feeds, nil)
				if err != nil {
					t.Error(err)
					return
				}
				for out, v := range first {
					if !slices.Equal(v.F32(), again[out].F32()) {
						t.Errorf("%s: %d threads give other bits in %s", name, threads, out)
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestInputsAreNotWritten(t *testing.T) {
	for _, op := range []string{"Relu", "Neg", "Softmax", "Identity", "Sigmoid", "Flatten"} {
		x := floats([]int{1, 4}, -1, 2, -3, 4)
		if _, err := runNode(13, op, arrays{x}, 1); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(x.F32(), []float32{-1, 2, -3, 4}) {
			t.Errorf("%s writes to its input: %v", op, x.F32())
		}
	}
}

func ExampleCompile() {
	m := modelOf(13, newNode("Relu", "x", "y"))
	m.Graph.Inputs = []*onnxio.ValueInfo{input("x", onnxio.Float, -1)}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "y"}}
	p, err := Compile(m)
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := p.Run(map[string]*onnxio.Array{"x": onnxio.Floats([]float32{-1, 2}, 2)}, nil)
	fmt.Println(out["y"].F32(), err)
	// Output: [0 2] <nil>
}
