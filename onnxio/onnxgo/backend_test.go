package onnxgo

import (
	"reflect"
	"strings"
	"testing"

	"github.com/owulveryck/onnx-go"
	"gonum.org/v1/gonum/graph"
	"gorgonia.org/tensor"

	"bq/onnxio"
)

// open reads a model into a backend: by onnx-go's own way, or by Unmarshal.
func open(t *testing.T, m *onnxio.Model, plain bool) (*Backend, *onnx.Model) {
	t.Helper()
	b := NewBackend()
	var om *onnx.Model
	var err error
	if plain {
		om = onnx.NewModel(b)
		err = om.UnmarshalBinary(m.Bytes())
	} else {
		om, err = b.Unmarshal(m.Bytes())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b, om
}

func dense(data []float32, shape ...int) tensor.Tensor {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))
}

func TestBackendRun(t *testing.T) {
	shadowed := modelOf("w x", []int64{1, 2}, "y", node("Sub", "x w", "y")) // w comes first and has an initializer
	shadowed.Graph.Initializers = []*onnxio.Tensor{constant("w", []float32{1, 2}, 1, 2)}
	made := modelOf("x", []int64{1, 2}, "y", node("Constant", "", "k",
		&onnxio.Attribute{Name: "value", Type: onnxio.AttrTensor, T: constant("", []float32{10}, 1)}), node("Mul", "k x", "a"), node("Sub", "a x", "y"))
	for name, m := range map[string]*onnxio.Model{
		"twice": modelOf("x", []int64{1, 2}, "y", node("Mul", "x x", "y")), "shadowed": shadowed, "made": made} {
		want := map[string][2][]float32{"twice": {{9, 25}, {1, 4}}, "shadowed": {{2, 3}, {0, -4}}, "made": {{27, 45}, {9, -18}}}[name]
		for _, plain := range []bool{true, false} {
			b, om := open(t, m, plain)
			for i, x := range [][]float32{{3, 5}, {1, -2}} {
				if err := om.SetInput(0, dense(x, 1, 2)); err != nil {
					t.Fatal(err)
				}
				if err := b.Run(); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				out, err := om.GetOutputTensors()
				if err != nil || len(out) != 1 || out[0] == nil {
					t.Fatal(out, err)
				}
				if !reflect.DeepEqual(out[0].Data(), want[i]) || !out[0].Shape().Eq(tensor.Shape{1, 2}) {
					t.Errorf("%s, plain %v: got %v, want %v", name, plain, out[0].Data(), want[i])
				}
			}
		}
	}
}

func TestBackendErrors(t *testing.T) {
	for _, plain := range []bool{true, false} {
		b, om := open(t, cnn(), plain)
		if err := b.Run(); err == nil || !strings.Contains(err.Error(), `feeding input "x"`) {
			t.Errorf("no input: %v", err)
		}
		x := dense(make([]float32, 9), 3, 3)
		if err := x.T(); err != nil {
			t.Fatal(err)
		}
		if err := om.SetInput(0, x); err != nil {
			t.Fatal(err)
		}
		if err := b.Run(); err == nil || !strings.Contains(err.Error(), "row-major") {
			t.Errorf("transposed input: %v", err)
		}
		if err := om.SetInput(0, dense(make([]float32, 9), 3, 3)); err != nil {
			t.Fatal(err)
		}
		if err := b.Run(); err == nil {
			t.Error("an input of rank 2 was accepted")
		}
		if err := om.SetInput(1, x); err == nil {
			t.Error("the model has one input")
		}
	}
	b, _ := open(t, cnn(), false)
	if _, err := b.Unmarshal(cnn().Bytes()); err == nil {
		t.Error("a backend took a second model")
	}
}

func TestGraph(t *testing.T) {
	b, om := open(t, modelOf("x", []int64{2}, "y", node("Mul", "x x", "y")), false)
	x, y := om.Input[0], om.Output[0]
	if n := b.Nodes().Len(); n != 2 {
		t.Errorf("%d values, want 2", n)
	}
	if !b.HasEdgeFromTo(y, x) || b.HasEdgeFromTo(x, y) || !b.HasEdgeBetween(x, y) || b.HasEdgeBetween(x, x) {
		t.Error("edges must lead from output to input")
	}
	if e := b.Edge(y, x); e == nil || e.From().ID() != y || e.To().ID() != x || e.ReversedEdge().From().ID() != x {
		t.Error("edge from y to x", e)
	}
	if b.Edge(x, y) != nil {
		t.Error("an edge from x to y")
	}
	if ids := graph.NodesOf(b.From(y)); len(ids) != 1 || ids[0].ID() != x {
		t.Error("from y", ids)
	}
	if ids := graph.NodesOf(b.To(x)); len(ids) != 1 || ids[0].ID() != y {
		t.Error("to x", ids)
	}
	if b.Node(-1) != nil || b.Node(1) != nil || b.Node(0).ID() != x {
		t.Error("ID 0 stands for the only input")
	}
	if b.From(-5).Len() != 0 || b.To(-5).Len() != 0 {
		t.Error("edges of a value that is not there")
	}
}

func TestTensorForms(t *testing.T) {
	for _, e := range elements {
		for _, shape := range [][]int{{}, {1}, {2, 3}, {1, 1}} {
			a := onnxio.NewArray(e.array, shape...)
			v, err := toTensor(a)
			if err != nil {
				t.Fatal(e.array, shape, err)
			}
			got, err := toArray(v)
			if err != nil || !reflect.DeepEqual(got, a) {
				t.Errorf("%v %v: got %+v, %v", e.array, shape, got, err)
			}
		}
		if _, err := toTensor(onnxio.NewArray(e.array, 0)); err == nil {
			t.Errorf("%v: an empty tensor", e.array)
		}
	}
	if _, err := toTensor(onnxio.NewArray(onnxio.Float16, 1)); err == nil {
		t.Error("a tensor of float16")
	}
}
