package infer

import (
	"strings"
	"testing"

	"bq/onnxio"
)

// TestLegacy works the operators of this group by hand on the rows that ONNX Runtime's cases leave out.
func TestLegacy(t *testing.T) {
	odd := floats([]int{3}, nan, inf, -inf)
	for _, c := range []struct {
		name, op string
		opset    int64
		in       arrays
		attrs    []*onnxio.Attribute
		want     *onnxio.Array
	}{
		{"NaN and Inf", "Scale", 7, arrays{odd}, []*onnxio.Attribute{floatAttr("scale", 2)}, odd},
		{"NaN and Inf", "Affine", 7, arrays{odd}, []*onnxio.Attribute{floatAttr("alpha", 2), floatAttr("beta", 1)}, odd},
		{"NaN and Inf", "ScaledTanh", 7, arrays{odd}, []*onnxio.Attribute{floatAttr("alpha", 2)}, floats([]int{3}, nan, 2, -2)},
		{"NaN and Inf", "ParametricSoftplus", 7, arrays{odd}, nil, floats([]int{3}, nan, inf, 0)},
		{"NaN and Inf", "ThresholdedRelu", 7, arrays{odd}, nil, floats([]int{3}, 0, inf, 0)},
		{"empty", "Scale", 7, arrays{floats([]int{0, 2})}, nil, floats([]int{0, 2})},
		{"empty", "ParametricSoftplus", 7, arrays{floats([]int{0})}, nil, floats([]int{0})},
		{"one element", "ScaledTanh", 7, arrays{floats(nil, 0)}, nil, floats(nil, 0)},
		{"to nothing", "DynamicSlice", 7, arrays{odd, longs([]int{1}, 2), longs([]int{1}, 1)}, nil, floats([]int{0})},
		{"to nothing", "Crop", 7, arrays{floats([]int{1, 1, 1, 1}, 3)}, []*onnxio.Attribute{ints("border", 1, 0, 0, 0)}, floats([]int{1, 1, 1, 0})},
		{"empty rows", "TopK", 7, arrays{floats([]int{0, 2})}, []*onnxio.Attribute{integerAttr("k", 1)}, floats([]int{0, 1})},
		{"NaN first", "TopK", 7, arrays{odd}, []*onnxio.Attribute{integerAttr("k", 2), integerAttr("axis", 0)}, floats([]int{2}, nan, inf)},
		{"constant rows", "MeanVarianceNormalization", 8, arrays{floats([]int{1, 1, 1, 2}, 3, 3)}, nil, floats([]int{1, 1, 1, 2}, 0, 0)},
		{"constant rows", "BatchNormalization", 9, arrays{floats([]int{2, 1}, 3, 3), floats([]int{1}, 2), floats([]int{1}, 5), floats([]int{1}, 3), floats([]int{1}, 0)}, nil, floats([]int{2, 1}, 5, 5)},
		// Two groups of one channel each: normalized values are -1 and 1, then times 2 plus 1 and times 3 plus 0.
		{"per group", "GroupNormalization", 18, arrays{floats([]int{1, 2, 2}, 1, 3, 5, 9), floats([]int{2}, 2, 3), floats([]int{2}, 1, 0)},
			[]*onnxio.Attribute{integerAttr("num_groups", 2), floatAttr("epsilon", 0)}, floats([]int{1, 2, 2}, -1, 3, -3, 3)},
		// One group of both channels with one scale: mean 0, deviation 2.
		{"one scale", "GroupNormalization", 18, arrays{floats([]int{1, 2, 2}, -2, 2, 2, -2), floats([]int{1}, 10), floats([]int{1}, 1)},
			[]*onnxio.Attribute{integerAttr("num_groups", 1), floatAttr("epsilon", 0)}, floats([]int{1, 2, 2}, -9, 11, 11, -9)},
	} {
		outputs := 1
		if c.op == "TopK" {
			outputs = 2
		}
		got, err := runNode(c.opset, c.op, c.in, outputs, c.attrs...)
		if err == nil {
			err = closeTo(got[0], c.want)
		}
		if err != nil {
			t.Errorf("%s, %s: %v", c.op, c.name, err)
		}
	}
	word := &onnxio.Array{Type: onnxio.String, Shape: []int{1}, Data: []string{"x"}}
	for op, want := range map[string]string{"Scale": "string", "ScaledTanh": "string", "ParametricSoftplus": "string"} {
		if _, err := runNode(7, op, arrays{word}, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s of strings: %v", op, err)
		}
	}
}

// TestBatchStatistics works the training mode by hand: mean 2 and variance 1 of the batch, moved by a momentum of 0.75.
func TestBatchStatistics(t *testing.T) {
	in := arrays{floats([]int{2, 1}, 1, 3), floats([]int{1}, 1), floats([]int{1}, 0), floats([]int{1}, 10), floats([]int{1}, 5)}
	attrs := []*onnxio.Attribute{floatAttr("momentum", 0.75), floatAttr("epsilon", 0)}
	want := arrays{floats([]int{2, 1}, -1, 1), floats([]int{1}, 8), floats([]int{1}, 4), floats([]int{1}, 2), floats([]int{1}, 1)}
	for opset, outputs := range map[int64]int{9: 5, 15: 3} {
		a := attrs
		if opset >= 14 {
			a = append(a, integerAttr("training_mode", 1))
		}
		got, err := runNode(opset, "BatchNormalization", in, outputs, a...)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			if err := closeTo(v, want[i]); err != nil {
				t.Errorf("opset %d, output %d: %v", opset, i, err)
			}
		}
	}
	if _, err := runNode(15, "BatchNormalization", in, 3, attrs...); err == nil || !strings.Contains(err.Error(), "3 outputs") {
		t.Errorf("statistics without training mode: %v", err)
	}
}

// TestZipMap: the numbers of the maps, as many as labels.
func TestZipMap(t *testing.T) {
	m := small(newNode("ZipMap", "c0", "y", ints("classlabels_int64s", 7, 8)), floats([]int{2, 2}, 0.25, 0.75, nan, inf))
	m.Graph.Nodes[0].Domain = "ai.onnx.ml"
	m.Opsets = append(m.Opsets, &onnxio.Opset{Domain: "ai.onnx.ml", Version: 1})
	p, err := Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Run(nil, nil)
	if err == nil {
		err = closeTo(out["y"], floats([]int{2, 2}, 0.25, 0.75, nan, inf))
	}
	if err != nil {
		t.Error(err)
	}
	m.Graph.Nodes[0].Attributes = []*onnxio.Attribute{texts("classlabels_strings", "a", "b", "c")}
	if p, err = Compile(m); err == nil {
		_, err = p.Run(nil, nil)
	}
	if err == nil || !strings.Contains(err.Error(), "for 3 labels") {
		t.Errorf("two numbers for three labels: %v", err)
	}
}
