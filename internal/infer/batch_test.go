package infer

import (
	"testing"

	"bq/onnxio"
)

// batchModel is a convolution of x [N, 4, 9, 7] with further nodes from c [N, 8, 9, 7] to y.
func batchModel(opset int64, tail ...*onnxio.Node) *onnxio.Model {
	m := modelOf(opset, append([]*onnxio.Node{newNode("Conv", "x w", "c", ints("pads", 1, 1, 1, 1))}, tail...)...)
	m.Graph.Inputs = []*onnxio.ValueInfo{input("x", onnxio.Float, -1, 4, 9, 7)}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "y"}}
	for _, c := range []struct {
		name string
		v    *onnxio.Array
	}{
		{"w", noise(1, 8, 4, 3, 3)}, {"g", noise(2, 8, 3)}, {"b", noise(3, 3)}, {"s", noise(4, 8)}, {"v", aboveZero(noise(5, 8))},
		{"row", noise(6, 1, 8, 1, 1)}, {"rows", noise(7, 4, 8, 1, 1)}, {"flat", longs([]int{2}, -1, 504)}, {"pairs", longs([]int{2}, -1, 252)},
		{"keep", longs([]int{3}, 0, 8, -1)}, {"all", longs([]int{2}, 4, 504)}, {"big", noise(8, 504, 100)},
	} {
		m.Graph.Initializers = append(m.Graph.Initializers, onnxio.NewTensor(c.name, c.v))
	}
	return m
}

// TestSeparable: which graphs run sample by sample; all give what a plain run of the whole batch gives.
func TestSeparable(t *testing.T) {
	softmax := func(axis int64) *onnxio.Node { return newNode("Softmax", "c", "y", integerAttr("axis", axis)) }
	for _, c := range []struct {
		name string
		tail []*onnxio.Node
		want bool
	}{
		{"relu, pool, flatten, gemm, softmax", []*onnxio.Node{newNode("Relu", "c", "r"), newNode("GlobalAveragePool", "r", "p"), newNode("Flatten", "p", "f"),
			newNode("Gemm", "f g b", "e"), newNode("Softmax", "e", "y")}, true},
		{"norm and constants", []*onnxio.Node{newNode("BatchNormalization", "c s s s v", "n"), newNode("Add", "row n", "a"), newNode("Mul", "a c", "y")}, true},
		{"concat of channels", []*onnxio.Node{newNode("Abs", "c", "a"), newNode("Concat", "a c", "y", integerAttr("axis", 1))}, true},
		{"dropout of inference", []*onnxio.Node{newNode("Dropout", "c", "y")}, true},
		{"reshape that keeps", []*onnxio.Node{newNode("Reshape", "c keep", "r"), newNode("Transpose", "r", "y", ints("perm", 0, 2, 1))}, true},
		{"reshape that works out", []*onnxio.Node{newNode("Reshape", "c flat", "y")}, true},
		{"softmax over channels", []*onnxio.Node{softmax(1)}, true},
		{"reshape that cuts samples", []*onnxio.Node{newNode("Reshape", "c pairs", "y")}, true}, // results tell, and the whole runs
		{"reshape to a fixed batch", []*onnxio.Node{newNode("Reshape", "c all", "y")}, false},
		{"softmax over samples", []*onnxio.Node{softmax(0)}, false},
		{"softmax over samples from the end", []*onnxio.Node{softmax(-4)}, false},
		{"concat of samples", []*onnxio.Node{newNode("Concat", "c c", "y", integerAttr("axis", 0))}, false},
		{"transpose of samples", []*onnxio.Node{newNode("Transpose", "c", "y", ints("perm", 1, 0, 2, 3))}, false},
		{"constant for each sample", []*onnxio.Node{newNode("Add", "c rows", "y")}, false},
		{"shape", []*onnxio.Node{newNode("Shape", "c", "y")}, false},
		{"sum over samples", []*onnxio.Node{newNode("ReduceSum", "c", "y")}, false},
		{"training", []*onnxio.Node{newNode("BatchNormalization", "c s s s v", "y", integerAttr("training_mode", 1))}, false},
		{"mostly products", []*onnxio.Node{newNode("Flatten", "c", "f"), newNode("MatMul", "f big", "y")}, false},
		{"two ranks", []*onnxio.Node{newNode("GlobalAveragePool", "c", "p"), newNode("Flatten", "p", "f"), newNode("Flatten", "f", "h"),
			newNode("Reshape", "c keep", "k"), newNode("Transpose", "k", "q", ints("perm", 0, 2, 1)), newNode("Add", "q h", "y")}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Options{Threads: 2}.Compile(batchModel(15, c.tail...))
			if err != nil {
				t.Fatal(err)
			}
			if p.separable != c.want {
				t.Errorf("separable %v, want %v", p.separable, c.want)
			}
			for _, n := range []int{1, 4, 8} {
				feeds := map[string]*onnxio.Array{"x": noise(9, n, 4, 9, 7)}
				want, plainErr := p.Run(feeds, seen)
				got, err := p.Run(feeds, nil)
				if (err == nil) != (plainErr == nil) {
					t.Fatalf("batch %d: %v, plain %v", n, err, plainErr)
				}
				if err != nil {
					continue
				}
				if diff, err := relativeDifference(got["y"], want["y"]); err != nil || diff > fusedTolerance {
					t.Errorf("batch %d: relative difference %.3g, %v", n, diff, err)
				}
			}
		})
	}
}

// TestBatchIsItsSamples: a result in a batch is bit for bit that of the sample alone, for every number of threads.
func TestBatchIsItsSamples(t *testing.T) {
	m := batchModel(15, newNode("Relu", "c", "r"), newNode("GlobalAveragePool", "r", "p"), newNode("Flatten", "p", "f"), newNode("Gemm", "f g b", "y"))
	x := noise(10, 7, 4, 9, 7)
	for _, threads := range []int{1, 2, 3} {
		p, err := Options{Threads: threads}.Compile(m)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := p.Run(map[string]*onnxio.Array{"x": x}, nil)
		if err != nil || !equalShape(whole["y"].Shape, []int{7, 3}) {
			t.Fatalf("%v, %v", describe(whole["y"]), err)
		}
		for i := range 7 {
			one, err := p.Run(map[string]*onnxio.Array{"x": sampleOf(x, i)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if k := differs(whole["y"].F32()[3*i:3*i+3], one["y"].F32(), 0); k >= 0 {
				t.Errorf("%d threads: sample %d differs at %d", threads, i, k)
			}
		}
	}
}
