package convert

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"bq/onnxio"
)

// placesOf lists the placements of m, whose weights are all coded, each as name, name=like or name:channels.
func placesOf(t *testing.T, m *onnxio.Model, byRow bool) string {
	t.Helper()
	list, err := sites(m)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range placements(m, list, func(s *site) bool { return strings.HasPrefix(s.name, "w") }, byRow, nil) {
		name := p.name
		if p.like != "" {
			name += "=" + p.like
		}
		if p.channels {
			name += ":channels"
		}
		if p.most > 0 {
			name += fmt.Sprintf("<=%v", p.most)
		}
		if !p.codes {
			name += ":narrow"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// image starts a model of x, [1,4,8,8], with the weights w1, w2 (4 to 4 channels, 1x1), wd (depthwise 3x3) and wf (256 to 3).
func image() *builder {
	b := newBuilder(13).input("x", 1, 4, 8, 8)
	for _, name := range []string{"w1", "w2", "w3"} {
		b.floats(name, normal(1, 16), 4, 4, 1, 1)
	}
	for _, name := range []string{"s", "b", "m", "v"} {
		b.floats(name, []float32{1, 2, 3, 4}, 4)
	}
	b.floats("half", []float32{0.5})
	b.floats("wd", normal(2, 36), 4, 1, 3, 3)
	return b.floats("wf", normal(3, 256*3), 256, 3)
}

var deep = []*onnxio.Attribute{intAttr("group", 4), {Name: "pads", Type: onnxio.AttrInts, Ints: []int64{1, 1, 1, 1}}}

// TestPlacements: what is coded by the rules of recipe.md B2, in the order of the graph.
func TestPlacements(t *testing.T) {
	conv := func(b *builder, x, w, y string) *builder { return b.node("Conv", []string{x, w}, y) }
	window := []*onnxio.Attribute{{Name: "kernel_shape", Type: onnxio.AttrInts, Ints: []int64{2, 2}}, {Name: "strides", Type: onnxio.AttrInts, Ints: []int64{2, 2}}}
	for name, c := range map[string]struct {
		build func() *builder
		want  string
	}{
		"a Conv absorbs norm and Relu, the last one is of the tail": {func() *builder {
			b := conv(image(), "x", "w1", "c").node("BatchNormalization", []string{"c", "s", "b", "m", "v"}, "n").node("Relu", []string{"n"}, "r")
			return conv(b, "r", "w2", "y").output("y", 1, 4, 8, 8)
		}, "x r"},
		"a bound of Clip": {func() *builder {
			b := conv(image().floats("zero", []float32{0}).floats("six", []float32{6}), "x", "w1", "c").node("Clip", []string{"c", "zero", "six"}, "r")
			return conv(b, "r", "w2", "y").output("y", 1, 4, 8, 8)
		}, "x r<=6"},
		"both sides of a sum, and the sum": {func() *builder {
			b := conv(image(), "x", "w1", "c").node("Relu", []string{"c"}, "r")
			b = conv(b, "r", "w2", "d").node("Add", []string{"d", "r"}, "a").node("Relu", []string{"a"}, "e")
			return conv(b, "e", "w3", "y").output("y", 1, 4, 8, 8)
		}, "x r d e"},
		"movers share": {func() *builder {
			b := conv(image(), "x", "w1", "c").node("MaxPool", []string{"c"}, "p", window...)
			return conv(b, "p", "w2", "y").output("y", 1, 4, 4, 4)
		}, "x c p=c"},
		"a join of the tail stays float, its Convs too": {func() *builder {
			b := conv(conv(image(), "x", "w1", "c"), "x", "w2", "d")
			return b.node("Concat", []string{"c", "d"}, "y", intAttr("axis", 1)).output("y", 1, 8, 8, 8)
		}, "x"},
		"the last Conv is coded where it is averaged": {func() *builder {
			return conv(image(), "x", "w1", "c").node("GlobalAveragePool", []string{"c"}, "y").output("y", 1, 4, 1, 1)
		}, "x c"},
		"Dropout and Identity are seen through": {func() *builder {
			b := conv(image(), "x", "w1", "c").node("Dropout", []string{"c"}, "o").node("Identity", []string{"o"}, "i")
			return conv(b, "i", "w2", "y").output("y", 1, 4, 8, 8)
		}, "x c"},
		"x times its sigmoid is one function, which reads floats": {func() *builder {
			b := conv(image(), "x", "w1", "c").node("Sigmoid", []string{"c"}, "s1").node("Mul", []string{"c", "s1"}, "m1")
			return conv(b, "m1", "w2", "y").output("y", 1, 4, 8, 8)
		}, "x m1"},
		"what goes into a depthwise Conv may have steps by channel": {func() *builder {
			b := conv(image(), "x", "w1", "c").node("Relu", []string{"c"}, "r").node("Conv", []string{"r", "wd"}, "d", deep...)
			return conv(b, "d", "w2", "y").output("y", 1, 4, 8, 8)
		}, "x r:channels d"},
		"but not where another reads it too": {func() *builder {
			b := conv(image(), "x", "w1", "c").node("Conv", []string{"c", "wd"}, "d", deep...).node("Add", []string{"d", "c"}, "a")
			return conv(b, "a", "w2", "y").output("y", 1, 4, 8, 8)
		}, "x c d a"},
		"a product with gates": {func() *builder {
			b := conv(image(), "x", "w1", "c").node("GlobalAveragePool", []string{"c"}, "g")
			b = conv(b, "g", "w2", "h").node("HardSigmoid", []string{"h"}, "k").node("Mul", []string{"c", "k"}, "m1")
			return conv(b, "m1", "w3", "y").output("y", 1, 4, 8, 8)
		}, "x c g k m1"},
		"Gemm behind Flatten": {func() *builder {
			return conv(image(), "x", "w1", "c").node("Relu", []string{"c"}, "r").node("Flatten", []string{"r"}, "f").node("Gemm", []string{"f", "wf"}, "y").output("y", 1, 3)
		}, "x r f=r"},
		"recurrent operators read floats": {func() *builder {
			return newBuilder(13).input("x", 2, 1, 4).floats("w", normal(1, 128), 1, 32, 4).floats("wr", normal(1, 256), 1, 32, 8).
				node("LSTM", []string{"x", "w", "wr"}, "y", intAttr("hidden_size", 8)).output("y", 2, 1, 1, 8)
		}, ""},
		"a constant is no activation": {func() *builder {
			return newBuilder(13).floats("k", normal(1, 16), 4, 4).floats("w", normal(1, 16), 4, 4).node("MatMul", []string{"k", "w"}, "y").output("y", 4, 4)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := placesOf(t, c.build().m, false); got != c.want {
				t.Errorf("coded %q, want %q", got, c.want)
			}
		})
	}
}

// A Conv whose weight is kept, and values of half floats, take no part.
func TestPlacementsOfOthers(t *testing.T) {
	b := image().floats("kept", normal(4, 16), 4, 4, 1, 1).node("Conv", []string{"x", "kept"}, "c").node("Conv", []string{"c", "w1"}, "y").output("y", 1, 4, 8, 8)
	if got := placesOf(t, b.m, false); got != "c" {
		t.Errorf("coded %q, want the input of the quantized weight alone", got)
	}
	b = newBuilder(13).constant("w", onnxio.NewArray(onnxio.Float16, 4, 4)).node("MatMul", []string{"h", "w"}, "y")
	b.m.Graph.Inputs = []*onnxio.ValueInfo{{Name: "h", Type: &onnxio.TensorType{Elem: onnxio.Float16, HasShape: true, Shape: []onnxio.Dim{{Value: 2, Known: true}, {Value: 4, Known: true}}}}}
	b.output("y", 2, 4)
	if got := placesOf(t, b.m, false); got != "h:narrow" {
		t.Errorf("coded %q, want h on its way into the product", got)
	}
	if !slices.ContainsFunc(b.m.Graph.Nodes, func(n *onnxio.Node) bool { return n.OpType == "MatMul" }) {
		t.Error("the model was changed")
	}
}
