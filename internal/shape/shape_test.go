package shape

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"bq/internal/infer"
	"bq/onnxio"
)

// TestTable: the table is alphabetical, names nothing twice and has a rule for everything that internal/infer runs.
func TestTable(t *testing.T) {
	last := ""
	for _, r := range ruleTable() {
		if name := r.domain + "::" + r.name; name <= last {
			t.Errorf("%s after %s", name, last)
		} else {
			last = name
		}
	}
	for _, op := range infer.Ops() {
		if rules[operatorKey{op.Domain, op.Name}] == nil {
			t.Errorf("no rule for %s of %s", op.Name, op.Domain)
		}
	}
}

func textOf(r *Result, name string) string {
	if v := r.Lookup(name); v != nil {
		return v.String()
	}
	return "nothing"
}

// TestFollowing: elements flow through the operators that compute shapes.
func TestFollowing(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes []*onnxio.Node
		want  string
	}{
		{"cast and scale", []*onnxio.Node{newNode("Shape", "x", "s"), newNode("Cast", "s", "f", integer("to", 1)), newNode("Mul", "f two", "g"),
			newNode("Floor", "g", "h"), newNode("Cast", "h", "w", integer("to", 7)), newNode("ConstantOfShape", "w", "y")}, "float32[2*N,8,6]"},
		{"halve", []*onnxio.Node{newNode("Shape", "x", "s"), newNode("Div", "s int2", "h"), newNode("ConstantOfShape", "h", "y")}, "float32[floor(N/2),2,1]"},
		{"subtract", []*onnxio.Node{newNode("Shape", "x", "s"), newNode("Sub", "s int2", "h"), newNode("Max", "h int2", "w"), newNode("ConstantOfShape", "w", "y")}, "float32[max(N-2,2),2,2]"},
		{"choose", []*onnxio.Node{newNode("Shape", "x", "s"), newNode("Equal", "s s", "e"), newNode("Where", "e s int2", "w"), newNode("ConstantOfShape", "w", "y")}, "float32[N,4,3]"},
		{"total", []*onnxio.Node{newNode("Shape", "x", "s"), newNode("ReduceProd", "s", "p", integer("keepdims", 1)), newNode("ConstantOfShape", "p", "y")}, "float32[12*N]"},
		{"range", []*onnxio.Node{newNode("Shape", "x", "s"), newNode("Gather", "s zero", "n"), newNode("Range", "zero n one", "y")}, "int64[N]"},
		{"mask", []*onnxio.Node{newNode("Size", "x", "n"), newNode("Unsqueeze", "n zero1", "w"), newNode("Reshape", "x w", "y")}, "float32[12*N]"},
		{"pads", []*onnxio.Node{newNode("Reshape", "eight rows", "m"), newNode("Slice", "m minus least zero1 minus", "r"), newNode("Transpose", "r", "t"),
			newNode("Reshape", "t minus", "p"), newNode("Pad", "z p", "y")}, "float32[5,4]"}, // [[0,3],[2,2]], rows reversed, transposed: 2,0,2,3
	} {
		m := modelOf(13, c.nodes...)
		addInput(m, "x", "float32[N,4,3]")
		addInput(m, "z", "float32[1,1]")
		for name, text := range map[string]string{"two": "float32=2", "int2": "int64=2", "zero": "int64=0", "one": "int64=1", "zero1": "int64{0}",
			"eight": "int64{0,3,2,2}", "rows": "int64{-1,2}", "minus": "int64{-1}", "least": "int64{-9223372036854775807}"} {
			addInput(m, name, text)
		}
		r, err := Infer(m, nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if got := textOf(r, "y"); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestControlFlow(t *testing.T) {
	r, err := Infer(loopModel(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// The carried s grows in every step: 3 rows at the start, then unknown. M and the condition are constant: 5 steps.
	for name, want := range map[string]string{"y": "float32[2,N]", "z": "float32[?,N]", "rows": "float32[5,2,N]"} {
		if got := textOf(r, name); got != want {
			t.Errorf("loop: %s: got %s, want %s", name, got, want)
		}
	}
	if r, err = Infer(branchModel(), nil); err != nil || textOf(r, "y") != "float32[?,4]" { // [4,4] and [N,4]
		t.Errorf("branches: %v, %v", textOf(r, "y"), err)
	}
	wide := branchModel()
	wide.Graph.Inputs[1].Type.Shape[1].Value = 5 // then Add is impossible, and so is MatMul
	if r, err = Infer(wide, nil); err != nil || len(r.Warnings) != 2 {
		t.Errorf("impossible branches: %v, %v", r, err)
	}
	tall := branchModel()
	tall.Graph.Inputs[2].Type.Shape[0].Value, tall.Graph.Inputs[2].Type.Shape[1].Value = 4, 7 // only MatMul fits
	if r, err = Infer(tall, nil); err != nil || textOf(r, "y") != "float32[N,7]" || len(r.Warnings) != 1 {
		t.Errorf("one branch: %v, %v", textOf(r, "y"), err)
	}
	if r, err = Infer(functionModel(), nil); err != nil || textOf(r, "y") != "float32[4,N]" || textOf(r, "z") != "float32[4,2*N]" {
		t.Errorf("function: %v, %v, %v", textOf(r, "y"), textOf(r, "z"), err)
	}
	if r, err = Infer(reshapeModel(), nil); err != nil || textOf(r, "y") != "float32[batch,3136]" {
		t.Errorf("reshape: %v, %v", textOf(r, "y"), err)
	}
}

// TestPaths: values of subgraphs are named as onnxio names their constants, those of functions by the call.
func TestPaths(t *testing.T) {
	m := branchModel()
	m.Graph.Nodes[0].Attributes[0].G.Initializers = []*onnxio.Tensor{onnxio.NewTensor("k", onnxio.Floats([]float32{1}))}
	r, err := Infer(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	for _, c := range m.Constants() {
		if c.Name == "k" {
			want = c.Path
		}
	}
	var list []string
	for _, v := range r.Values {
		list = append(list, v.Path+" "+v.Name)
	}
	wanted := []string{" c", " x", " w", " y", want + " k", want + " a", `If "pick" else_branch b`}
	if strings.Join(list, "|") != strings.Join(wanted, "|") {
		t.Errorf("got %q, want %q", list, wanted)
	}
	if r, err = Infer(functionModel(), nil); err != nil || r.Values[4].Path != `call "0" of own::pair` {
		t.Errorf("got %q, %v", r.Values[4].Path, err)
	}
}

// TestDeclared: what is declared fills gaps and is a warning where it contradicts.
func TestDeclared(t *testing.T) {
	m := modelOf(13, newNode("NonZero", "x", "a"), newNode("Relu", "x", "b"))
	addInput(m, "x", "float32[2,3]")
	declare := func(name, text string) *onnxio.ValueInfo {
		d := modelOf(13)
		addInput(d, name, text)
		return d.Graph.Inputs[0]
	}
	m.Graph.ValueInfo = []*onnxio.ValueInfo{declare("b", "float32[2,4]")}
	m.Graph.Outputs = []*onnxio.ValueInfo{declare("a", "int64[2,found]"), {Name: "b"}}
	m.Graph.Outputs = m.Graph.Outputs[:1]
	r, err := Infer(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if textOf(r, "a") != "int64[2,found]" || textOf(r, "b") != "float32[2,3]" {
		t.Errorf("got %s and %s", textOf(r, "a"), textOf(r, "b"))
	}
	if len(r.Warnings) != 1 || r.Warnings[0].String() != `value "b": is float32[2,3], declared as float32[2,4]` {
		t.Errorf("warnings %v", r.Warnings)
	}
}

func TestBinding(t *testing.T) {
	m := reshapeModel()
	r, err := Infer(m, map[string]int{"batch": 5})
	if err != nil || textOf(r, "y") != "float32[5,3136]" {
		t.Errorf("by dimension: %s, %v", textOf(r, "y"), err)
	}
	if r, err = (Options{Inputs: map[string][]int{"x": {0, 64, 7, 7}}}).Infer(m); err != nil || textOf(r, "y") != "float32[0,0]" { // nothing is left for -1
		t.Errorf("by input: %s, %v", textOf(r, "y"), err)
	}
	for name, o := range map[string]Options{
		"negative": {Dims: map[string]int{"batch": -1}}, "rank": {Inputs: map[string][]int{"x": {1}}},
		"fixed": {Inputs: map[string][]int{"x": {1, 64, 7, 8}}}, "no such input": {Inputs: map[string][]int{"q": {1}}},
		"conflict": {Dims: map[string]int{"batch": 2}, Inputs: map[string][]int{"x": {1, 64, 7, 7}}},
		"huge":     {Inputs: map[string][]int{"x": {1 << 40, 1 << 40}}},
	} {
		if _, err := o.Infer(m); err == nil || !strings.HasPrefix(err.Error(), "binding ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMalformed: every fault of a graph is a FormatError that says where.
func TestMalformed(t *testing.T) {
	for _, c := range []struct {
		name, want string
		m          *onnxio.Model
	}{
		{"no graph", "model: has no graph", &onnxio.Model{}},
		{"missing", `node 0 (Relu): input "q" is neither`, modelOf(13, newNode("Relu", "q", "y"))},
		{"cycle", `node 0 (Relu): input "b" is neither`, modelOf(13, newNode("Relu", "b", "a"), newNode("Relu", "a", "b"))},
		{"twice", `output "a" is defined twice`, modelOf(13, newNode("Constant", "", "a", integer("value_int", 1)), newNode("Constant", "", "a", integer("value_int", 1)))},
		{"output", `graph output "y": no node computes it`, withOutputs(modelOf(13), "y")},
		{"branch", `attribute "then_branch": no graph`, modelOf(13, newNode("Constant", "", "c", integer("value_int", 1)), newNode("If", "c", "y"))},
	} {
		_, err := Infer(c.m, nil)
		var format *onnxio.FormatError
		if !errors.As(err, &format) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	unsorted := withOutputs(modelOf(13, newNode("Relu", "a", "y"), newNode("Relu", "x", "a")), "y")
	addInput(unsorted, "x", "float32[N]")
	if r, err := Infer(unsorted, nil); err != nil || textOf(r, "y") != "float32[N]" || r.Values[1].Name != "y" {
		t.Errorf("unsorted: %v", err)
	}
}

// TestBounds: recursion, expansion and growth end, whatever a model asks for.
func TestBounds(t *testing.T) {
	twice := modelOf(13, newNode("f", "x", "y"))
	twice.Functions = []*onnxio.Function{{Name: "f", Inputs: []string{"a"}, Outputs: []string{"c"}, Opsets: []*onnxio.Opset{{Version: 13}},
		Nodes: []*onnxio.Node{newNode("f", "a", "b"), newNode("f", "b", "c")}}}
	addInput(twice, "x", "float32[N]")
	if r, err := Infer(twice, nil); err != nil || len(r.Warnings) == 0 {
		t.Errorf("recursive function: %v", err)
	}
	var nodes []*onnxio.Node
	for i := range 40 {
		nodes = append(nodes, newNode("Gather", fmt.Sprintf("x%d x%d", i, i), fmt.Sprintf("x%d", i+1)))
	}
	grows := modelOf(13, nodes...)
	addInput(grows, "x0", "int64[2,2]")
	if _, err := Infer(grows, nil); err == nil || !strings.Contains(err.Error(), "dimensions, at most 64") {
		t.Errorf("doubling ranks: %v", err)
	}
	nodes = nil
	for i := range 200 {
		nodes = append(nodes, newNode("Concat", fmt.Sprintf("x%d x%d", i, i), fmt.Sprintf("x%d", i+1), integer("axis", 0)))
	}
	doubles := modelOf(13, nodes...)
	addInput(doubles, "x0", "float32[N]")
	if r, err := Infer(doubles, nil); err != nil || textOf(r, "x200") != "float32[?]" {
		t.Errorf("doubling sizes: %v", err)
	}
	inner := newNode("Loop", "m c x", "x2", subgraph("body", "i c x", "c x", newNode("Relu", "x", "unused")))
	for range 12 {
		inner = newNode("Loop", "m c x", "x2", subgraph("body", "i c x", "c x2", inner))
	}
	nest := modelOf(13, inner)
	addInput(nest, "m", "int64=3")
	addInput(nest, "c", "bool=1")
	addInput(nest, "x", "float32[N]")
	if _, err := Infer(nest, nil); err != nil {
		t.Errorf("nested loops: %v", err)
	}
}
