package infer

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"bq/onnxio"
)

const (
	smallBudget = 1 << 20 // bytes of intermediate values in TestBudget
	slack       = 64 << 20
)

// small returns a model of one node with the initializers c0, c1, ... and the output y.
func small(n *onnxio.Node, values ...*onnxio.Array) *onnxio.Model {
	m := modelOf(17, n)
	for i, v := range values {
		m.Graph.Initializers = append(m.Graph.Initializers, onnxio.NewTensor(fmt.Sprint("c", i), v))
	}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "y"}}
	return m
}

// TestBudget runs models of some hundred bytes that ask for far more memory than the budget: every one ends with an
// error that names the node, and allocates little.
func TestBudget(t *testing.T) {
	one, word := floats([]int{1}, 1), &onnxio.Array{Type: onnxio.String, Shape: []int{}, Data: []string{strings.Repeat("x", 64)}}
	square := longs([]int{2}, 1<<15, 1<<15)
	for name, m := range map[string]*onnxio.Model{
		"ConstantOfShape":  small(newNode("ConstantOfShape", "c0", "y"), square),
		"Expand":           small(newNode("Expand", "c0 c1", "y"), one, square),
		"Tile":             small(newNode("Tile", "c0 c1", "y"), one, longs([]int{1}, 1<<30)),
		"Range":            small(newNode("Range", "c0 c1 c2", "y"), longs(nil, 0), longs(nil, 1<<30), longs(nil, 1)),
		"Pad":              small(newNode("Pad", "c0 c1", "y"), one, longs([]int{2}, 1<<29, 1<<29)),
		"Resize":           small(newNode("Resize", "c0 _ c1", "y"), floats([]int{1, 1}, 1), floats([]int{2}, 1<<15, 1<<15)),
		"Resize sizes":     small(newNode("Resize", "c0 _ _ c1", "y", text("mode", "linear")), floats([]int{1, 1}, 1), square),
		"OneHot":           small(newNode("OneHot", "c0 c1 c2", "y"), longs([]int{4}, 0, 1, 2, 3), longs(nil, 1<<28), floats([]int{2}, 0, 1)),
		"RandomNormal":     small(newNode("RandomNormal", "", "y", ints("shape", 1<<15, 1<<15))),
		"RandomUniform":    small(newNode("RandomUniform", "", "y", ints("shape", 1<<30))),
		"Multinomial":      small(newNode("Multinomial", "c0", "y", integerAttr("sample_size", 1<<30)), floats([]int{1, 1}, 1)),
		"HannWindow":       small(newNode("HannWindow", "c0", "y"), longs(nil, 1<<30)),
		"ConvTranspose":    small(newNode("ConvTranspose", "c0 c1", "y", ints("strides", 1<<30)), floats([]int{1, 1, 2}, 1, 2), floats([]int{1, 1, 1}, 1)),
		"Conv":             small(newNode("Conv", "c0 c1", "y", ints("pads", 1<<29, 1<<29)), floats([]int{1, 1, 1}, 1), floats([]int{1, 1, 1}, 1)),
		"MaxUnpool":        small(newNode("MaxUnpool", "c0 c1 c2", "y", ints("kernel_shape", 1)), floats([]int{1, 1, 1}, 1), longs([]int{1, 1, 1}, 0), longs([]int{3}, 1, 1, 1<<30)),
		"CenterCropPad":    small(newNode("CenterCropPad", "c0 c1", "y"), one, longs([]int{1}, 1<<30)),
		"Upsample":         small(newNode("Upsample", "c0 c1", "y"), floats([]int{1, 1}, 1), floats([]int{2}, 1<<15, 1<<15)),
		"Loop":             loopModel("Identity"),
		"Loop of nothing":  loopModel("Shape"),
		"Loop of strings":  doublingModel(word),
		"StringConcat":     small(newNode("StringConcat", "c0 c1", "y"), word, &onnxio.Array{Type: onnxio.String, Shape: []int{1 << 15}, Data: make([]string, 1<<15)}),
		"Loop of a list":   listModel(),
		"SplitToSequence":  small(newNode("SplitToSequence", "c0", "y"), onnxio.NewArray(onnxio.Int8, 1<<14)),
		"MelWeightMatrix":  small(newNode("MelWeightMatrix", "c0 c1 c2 c3 c4", "y"), longs(nil, 1<<15), longs(nil, 1<<15), longs(nil, 16000), floats(nil, 0), floats(nil, 8000)),
		"broadcasting Add": small(newNode("Add", "c0 c1", "y"), onnxio.NewArray(onnxio.Float, 1<<11, 1), onnxio.NewArray(onnxio.Float, 1<<11)),
		"MatMul":           small(newNode("MatMul", "c0 c1", "y"), onnxio.NewArray(onnxio.Float, 1<<11, 1), onnxio.NewArray(onnxio.Float, 1, 1<<11)),
		"Einsum":           small(newNode("Einsum", "c0 c0 c0", "y", text("equation", "a,b,c->abc")), onnxio.NewArray(onnxio.Float, 1<<10)),
		"EyeLike":          small(newNode("EyeLike", "c0", "y", integerAttr("dtype", int64(onnxio.Double))), onnxio.NewArray(onnxio.Int8, 1<<9, 1<<9)),
	} {
		t.Run(name, func(t *testing.T) { checkBudget(t, name, m) })
	}
}

func checkBudget(t *testing.T, name string, m *onnxio.Model) {
	op := strings.Fields(name)
	if name == "broadcasting Add" {
		op = []string{"Add"}
	}
	if version := map[string]int64{"Upsample": 9, "StringConcat": 20}[op[0]]; version > 0 {
		m.Opsets[0].Version = version
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p, err := Options{Threads: 1, MaxBytes: smallBudget}.Compile(m)
	if err == nil {
		_, err = p.Run(nil, nil)
	}
	runtime.ReadMemStats(&after)
	if err == nil || errors.Is(err, errPanic) || !strings.Contains(err.Error(), "node ") || !strings.Contains(err.Error(), "("+op[0]+")") {
		t.Errorf("error %v, want one that names the node", err)
	}
	if n := after.Sys - before.Sys; n > slack {
		t.Errorf("took %d MB from the system", n>>20)
	}
}

// loopModel runs 2^40 steps that each keep what op makes of a number.
func loopModel(op string) *onnxio.Model {
	body := &onnxio.Graph{
		Inputs:  []*onnxio.ValueInfo{{Name: "i"}, {Name: "c"}},
		Nodes:   []*onnxio.Node{newNode("Identity", "c", "d"), newNode(op, "i", "v")},
		Outputs: []*onnxio.ValueInfo{{Name: "d"}, {Name: "v"}},
	}
	return small(newNode("Loop", "c0", "y", graphAttr("body", body)), longs(nil, 1<<40))
}

// doublingModel joins a string with itself in 2^40 steps.
func doublingModel(word *onnxio.Array) *onnxio.Model {
	body := &onnxio.Graph{
		Inputs:  []*onnxio.ValueInfo{{Name: "i"}, {Name: "c"}, {Name: "s"}},
		Nodes:   []*onnxio.Node{newNode("Identity", "c", "d"), newNode("StringConcat", "s s", "t")},
		Outputs: []*onnxio.ValueInfo{{Name: "d"}, {Name: "t"}},
	}
	m := small(newNode("Loop", "c0 _ c1", "y", graphAttr("body", body)), longs(nil, 1<<40), word)
	m.Opsets[0].Version = 20
	return m
}

// listModel inserts an empty tensor into a sequence in 2^40 steps.
func listModel() *onnxio.Model {
	body := &onnxio.Graph{
		Inputs:  []*onnxio.ValueInfo{{Name: "i"}, {Name: "c"}, {Name: "s"}},
		Nodes:   []*onnxio.Node{newNode("Identity", "c", "d"), newNode("SequenceInsert", "s c1", "t")},
		Outputs: []*onnxio.ValueInfo{{Name: "d"}, {Name: "t"}},
	}
	m := small(newNode("Loop", "c0 _ e", "y", graphAttr("body", body)), longs(nil, 1<<40), onnxio.NewArray(onnxio.Float, 0))
	m.Graph.Nodes = append([]*onnxio.Node{newNode("SequenceEmpty", "", "e")}, m.Graph.Nodes...)
	return m
}

// TestSteps lets a loop of loops that do nothing run into the bound on steps, a little before it.
func TestSteps(t *testing.T) {
	inner := &onnxio.Graph{
		Inputs:  []*onnxio.ValueInfo{{Name: "j"}, {Name: "e"}},
		Outputs: []*onnxio.ValueInfo{{Name: "e"}},
		Nodes:   []*onnxio.Node{newNode("Identity", "j", "unused")},
	}
	outer := &onnxio.Graph{
		Inputs:  []*onnxio.ValueInfo{{Name: "i"}, {Name: "c"}, {Name: "v"}},
		Outputs: []*onnxio.ValueInfo{{Name: "c"}, {Name: "v"}},
		Nodes:   []*onnxio.Node{newNode("Loop", "c0", "", graphAttr("body", inner))},
	}
	outer.Nodes[0].Outputs = nil
	m := small(newNode("Loop", "c0 _ c0", "y", graphAttr("body", outer)), longs(nil, 1<<40))
	if _, err := Compile(m); err == nil || !strings.Contains(err.Error(), "no outputs") {
		t.Errorf("a loop without outputs: %v", err)
	}
	outer.Nodes = nil
	p, err := Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{threads: 1, limit: smallBudget, steps: maxSteps - 1000}
	if _, err = r.graph(p.graph, nil, nil); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("running node 0 (Loop): more than %d steps", maxSteps)) {
		t.Errorf("error %v, want the bound on steps", err)
	}
}
