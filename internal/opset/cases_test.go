package opset

import (
	"math"
	"strings"

	"bq/onnxio"
)

var inf = float32(math.Inf(1))

// handCase is a small model of an old operator set with inputs, and the outputs worked by hand.
type handCase struct {
	name  string
	model *onnxio.Model
	in    []*onnxio.Array
	want  []*onnxio.Array
	ops   string // of the main graph's nodes in operator set 21; "" for any
}

func floats(shape []int, v ...float32) *onnxio.Array { return onnxio.Floats(v, shape...) }

func longs(v ...int64) *onnxio.Array { return onnxio.Int64s(v, len(v)) }

// counted returns 0, 1, 2, ... in this shape.
func counted(shape ...int) *onnxio.Array {
	a := onnxio.NewArray(onnxio.Float, shape...)
	for i := range a.F32() {
		a.F32()[i] = float32(i)
	}
	return a
}

// one makes a case of one node with output y, whose inputs x, x1, ... are fed, and those named c0, c1, ... constants.
func one(name string, opset int64, n *onnxio.Node, in, constants, want []*onnxio.Array, ops string) handCase {
	m := modelOf(opset, n)
	fed := 0
	for _, input := range n.Inputs {
		if strings.HasPrefix(input, "x") {
			m.Graph.Inputs = append(m.Graph.Inputs, declare(input, in[fed].Type, in[fed].Shape...))
			fed++
		}
	}
	for i, a := range constants {
		m.Graph.Initializers = append(m.Graph.Initializers, onnxio.NewTensor("c"+string(rune('0'+i)), a))
	}
	for _, out := range n.Outputs {
		if out != "" {
			m.Graph.Outputs = append(m.Graph.Outputs, &onnxio.ValueInfo{Name: out})
		}
	}
	return handCase{name, m, in, want, ops}
}

type arrays = []*onnxio.Array

func handCases() []handCase {
	x6 := floats([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	image := floats([]int{1, 1, 2, 2}, 1, 2, 3, 4)
	// exp(v)/sum over 4 equal values, and over 2 of value ln 3 and 0.
	even := floats([]int{1, 2, 2}, 7, 7, 7, 7)
	return []handCase{
		// B stands for dimensions 0 and 1 of A [2, 3, 1]: each element is added to the one element behind it.
		one("middle axis", 6, newNode("Add", "x c0", "y", integer("broadcast", 1), integer("axis", 0)),
			arrays{floats([]int{2, 2, 2}, 0, 0, 0, 0, 0, 0, 0, 0)}, arrays{floats([]int{2, 2}, 1, 2, 3, 4)},
			arrays{floats([]int{2, 2, 2}, 1, 1, 2, 2, 3, 3, 4, 4)}, "Unsqueeze Add"),
		one("first axis", 1, newNode("Mul", "x c0", "y", integer("broadcast", 1), integer("axis", 0), integers("consumed_inputs", 0, 0)),
			arrays{x6}, arrays{floats([]int{2}, 1, 10)}, arrays{floats([]int{2, 3}, 1, 2, 3, 40, 50, 60)}, "Unsqueeze Mul"),
		one("last axes", 6, newNode("Sub", "x c0", "y", integer("broadcast", 1)),
			arrays{x6}, arrays{floats([]int{3}, 1, 1, 2)}, arrays{floats([]int{2, 3}, 0, 1, 1, 3, 4, 4)}, "Sub"),
		one("one element", 6, newNode("Div", "x c0", "y", integer("broadcast", 1), integer("axis", 0)),
			arrays{x6}, arrays{floats([]int{1}, 2)}, arrays{floats([]int{2, 3}, .5, 1, 1.5, 2, 2.5, 3)}, "Div"),
		one("no broadcast", 6, newNode("Pow", "x c0", "y"), arrays{floats([]int{2}, 3, 4)}, arrays{floats([]int{2}, 2, 1)},
			arrays{floats([]int{2}, 9, 4)}, "Pow"),
		one("slope per channel", 6, newNode("PRelu", "x c0", "y"), arrays{floats([]int{1, 2, 1, 2}, -1, 1, -1, 1)},
			arrays{floats([]int{2}, .5, .25)}, arrays{floats([]int{1, 2, 1, 2}, -.5, 1, -.25, 1)}, "Unsqueeze PRelu"),
		one("one slope", 1, newNode("PRelu", "x c0", "y", integers("consumed_inputs", 0)), arrays{floats([]int{1, 2, 1, 1}, -1, -2)},
			arrays{floats([]int{1}, .5)}, arrays{floats([]int{1, 2, 1, 1}, -.5, -1)}, "PRelu"),
		one("broadcast C", 6, newNode("Gemm", "x c0 c1", "y", integer("broadcast", 1)), arrays{floats([]int{2, 1}, 1, 2)},
			arrays{floats([]int{1, 2}, 3, 4), floats([]int{2}, 10, 20)}, arrays{floats([]int{2, 2}, 13, 24, 16, 28)}, "Gemm"),
		one("repeats along an axis", 1, newNode("Tile", "x c0 c1", "y"), arrays{floats([]int{1, 2}, 1, 2)},
			arrays{floats([]int{1}, 2), floats([]int{1}, 1)}, arrays{floats([]int{1, 4}, 1, 2, 1, 2)}, "Tile"),
		one("axis 1", 1, newNode("Concat", "x x1", "y"), arrays{floats([]int{2, 1}, 1, 2), floats([]int{2, 1}, 3, 4)}, nil,
			arrays{floats([]int{2, 2}, 1, 3, 2, 4)}, "Concat"),
		// gamma * (alpha * (exp(x) - 1)) at minus infinity and at 1: -1.0507 * 1.6732 and 1.0507.
		one("defaults of five digits", 1, newNode("Selu", "x", "y"), arrays{floats([]int{2}, -1000, 1)}, nil,
			arrays{floats([]int{2}, -1.7580312, 1.0507)}, "Selu"),
		one("type by name", 1, newNode("Cast", "x", "y", text("to", "INT64")), arrays{floats([]int{2}, 1.5, -2)}, nil, arrays{longs(1, -2)}, "Cast"),
		one("shape as attribute", 1, newNode("Reshape", "x", "y", integers("shape", 0, -1, 1)), arrays{x6}, nil,
			arrays{floats([]int{2, 3, 1}, 1, 2, 3, 4, 5, 6)}, "Reshape"),
		one("p as float", 1, newNode("GlobalLpPool", "x", "y", floating("p", 1)), arrays{image}, nil, arrays{floats([]int{1, 1, 1, 1}, 10)}, "GlobalLpPool"),
		one("p of a window", 1, newNode("LpPool", "x", "y", floating("p", 1), integers("kernel_shape", 2, 2)), arrays{image}, nil, arrays{floats([]int{1, 1, 1, 1}, 10)}, "LpPool"),
		one("paddings", 1, newNode("Pad", "x", "y", integers("paddings", 1, 0), floating("value", 9)), arrays{floats([]int{2}, 1, 2)}, nil,
			arrays{floats([]int{3}, 9, 1, 2)}, "Pad"),
		one("lengths as input", 1, newNode("Split", "x c0", "y z", integer("axis", 0)), arrays{floats([]int{3}, 1, 2, 3)}, arrays{floats([]int{2}, 1, 2)},
			arrays{floats([]int{1}, 1), floats([]int{2}, 2, 3)}, "Split"),
		one("test mode", 6, newNode("BatchNormalization", "x c0 c1 c2 c3", "y", integer("is_test", 1), floating("epsilon", 0)), arrays{floats([]int{1, 1, 2}, 3, 5)},
			arrays{floats([]int{1}, 2), floats([]int{1}, 1), floats([]int{1}, 3), floats([]int{1}, 4)}, arrays{floats([]int{1, 1, 2}, 1, 3)}, "BatchNormalization"),
		// Each of the two features has statistics of its own: (3-3)/2 and (5-1)/1, times 2 and 1.
		one("statistics per feature", 8, newNode("BatchNormalization", "x c0 c1 c2 c3", "y", integer("spatial", 0), floating("epsilon", 0)), arrays{floats([]int{1, 1, 2}, 3, 5)},
			arrays{floats([]int{1, 2}, 2, 1), floats([]int{1, 2}, 0, 1), floats([]int{1, 2}, 3, 1), floats([]int{1, 2}, 4, 1)}, arrays{floats([]int{1, 1, 2}, 0, 5)},
			"Flatten Reshape Reshape Reshape Reshape Shape BatchNormalization Reshape"),
		one("mask unused", 6, newNode("Dropout", "x", "y", integer("is_test", 1), floating("ratio", .25)), arrays{x6}, nil, arrays{x6}, "Dropout"),
		one("scales of images", 1, newNode("Upsample", "x", "y", floating("height_scale", 1), floating("width_scale", 2)), arrays{image}, nil,
			arrays{floats([]int{1, 1, 2, 4}, 1, 1, 2, 2, 3, 3, 4, 4)}, "Resize"),
		// Places 0, 0.5, 1, 1.5 of 1, 2: the last lies beyond the edge.
		one("bilinear", 1, newNode("Upsample", "x", "y", floating("height_scale", 1), floating("width_scale", 2), text("mode", "bilinear")), arrays{image}, nil,
			arrays{floats([]int{1, 1, 2, 4}, 1, 1.5, 2, 2, 3, 3.5, 4, 4)}, "Resize"),
		// Places 0 and 1/0.6 = 1.67: the place above, as in ONNX's case of version 10 (resize_downsample_nearest).
		one("shrinking", 10, newNode("Resize", "x c0", "y"), arrays{floats([]int{1, 1, 2, 4}, 1, 2, 3, 4, 5, 6, 7, 8)}, arrays{floats([]int{4}, 1, 1, .6, .6)},
			arrays{floats([]int{1, 1, 1, 2}, 1, 3)}, "Resize"),
		// Places floor(0.5/1.5) = 0, floor(1.5/1.5) = 1, floor(2.5/1.5) = 1.
		one("half pixels from the place below", 11, newNode("Resize", "x _ c0", "y", text("coordinate_transformation_mode", "tf_half_pixel_for_nn"), text("nearest_mode", "floor")),
			arrays{floats([]int{2}, 1, 2)}, arrays{floats([]int{1}, 1.5)}, arrays{floats([]int{3}, 1, 2, 2)}, "Resize"),
		one("sizes beside empty scales", 11, newNode("Resize", "x c0 c1 c2", "y", text("coordinate_transformation_mode", "asymmetric")),
			arrays{floats([]int{1}, 5)}, arrays{floats([]int{0}), floats([]int{0}), longs(2)}, arrays{floats([]int{2}, 5, 5)}, "Resize"),
		one("first axes", 9, newNode("Slice", "x", "y", integers("starts", 1), integers("ends", 9)), arrays{x6}, nil, arrays{floats([]int{1, 3}, 4, 5, 6)}, "Slice"),
		one("named axes", 1, newNode("Slice", "x", "y", integers("starts", 0, -2), integers("ends", 1, -1), integers("axes", 0, 1)), arrays{x6}, nil, arrays{floats([]int{1, 1}, 2)}, "Slice"),
		one("k as attribute", 1, newNode("TopK", "x", "y z", integer("k", 2), integer("axis", 1)), arrays{x6}, nil,
			arrays{floats([]int{2, 2}, 3, 2, 6, 5), {Type: onnxio.Int64, Shape: []int{2, 2}, Data: []int64{2, 1, 2, 1}}}, "TopK"),
		one("value", 2, newNode("Pad", "x", "y", integers("pads", 0, 1), floating("value", 9)), arrays{floats([]int{1}, 1)}, nil, arrays{floats([]int{2}, 1, 9)}, "Pad"),
		one("value of doubles", 2, newNode("Pad", "x", "y", integers("pads", 0, 1), floating("value", 9)),
			arrays{{Type: onnxio.Double, Shape: []int{1}, Data: []float64{1}}}, nil, arrays{{Type: onnxio.Double, Shape: []int{2}, Data: []float64{1, 9}}}, "Pad"),
		one("edge", 2, newNode("Pad", "x", "y", integers("pads", 1, 1), text("mode", "edge"), floating("value", 9)), arrays{floats([]int{1}, 1)}, nil, arrays{floats([]int{3}, 1, 1, 1)}, "Pad"),
		one("bounds", 6, newNode("Clip", "x", "y", floating("min", 2), floating("max", 5)), arrays{x6}, nil, arrays{floats([]int{2, 3}, 2, 2, 3, 4, 5, 5)}, "Clip"),
		one("one bound", 6, newNode("Clip", "x", "y", floating("min", 2)), arrays{floats([]int{2}, 1, inf)}, nil, arrays{floats([]int{2}, 2, 3.4028235e38)}, "Clip"),
		one("bounds of halves", 6, newNode("Clip", "x", "y", floating("max", 1)), arrays{{Type: onnxio.Float16, Shape: []int{2}, Data: []float32{0.5, 2}}}, nil,
			arrays{{Type: onnxio.Float16, Shape: []int{2}, Data: []float32{0.5, 1}}}, "Clip"),
		one("all dimensions from 1 on", 12, newNode("Softmax", "x", "y"), arrays{even}, nil, arrays{floats([]int{1, 2, 2}, .25, .25, .25, .25)}, "Flatten Shape Softmax Reshape"),
		one("first largest of all", 11, newNode("Hardmax", "x", "y", integer("axis", -2)), arrays{even}, nil, arrays{floats([]int{1, 2, 2}, 1, 0, 0, 0)}, "Flatten Shape Hardmax Reshape"),
		one("channels of one pixel", 12, newNode("Softmax", "x", "y"), arrays{floats([]int{1, 2, 1, 1}, 1.0986123, 0)}, nil, arrays{floats([]int{1, 2, 1, 1}, .75, .25)}, "Softmax"),
		one("last axis", 12, newNode("LogSoftmax", "x", "y"), arrays{floats([]int{1, 2}, 1.0986123, 0)}, nil, arrays{floats([]int{1, 2}, -0.28768207, -1.3862944)}, "LogSoftmax"),
		one("nothing to soften", 12, newNode("Softmax", "x", "y"), arrays{floats([]int{2, 3, 0})}, nil, arrays{floats([]int{2, 3, 0})}, ""),
		one("axes", 12, newNode("Squeeze", "x", "y", integers("axes", 0, -1)), arrays{floats([]int{1, 1, 1}, 3)}, nil, arrays{floats([]int{1}, 3)}, "Squeeze"),
		one("no axes", 12, newNode("Squeeze", "x", "y"), arrays{floats([]int{1, 1, 1}, 3)}, nil, arrays{floats([]int{}, 3)}, "Squeeze"),
		one("new axes", 11, newNode("Unsqueeze", "x", "y", integers("axes", 0, 2)), arrays{floats([]int{1}, 3)}, nil, arrays{floats([]int{1, 1, 1}, 3)}, "Unsqueeze"),
		one("summed axes", 11, newNode("ReduceSum", "x", "y", integers("axes", 1), integer("keepdims", 0)), arrays{x6}, nil, arrays{floats([]int{2}, 6, 15)}, "ReduceSum"),
		one("all summed", 11, newNode("ReduceSum", "x", "y"), arrays{x6}, nil, arrays{floats([]int{1, 1}, 21)}, "ReduceSum"),
		one("reduced axes", 17, newNode("ReduceMax", "x", "y", integers("axes", 0)), arrays{x6}, nil, arrays{floats([]int{1, 3}, 4, 5, 6)}, "ReduceMax"),
		one("all reduced", 13, newNode("ReduceMin", "x", "y", integers("axes")), arrays{x6}, nil, arrays{floats([]int{1, 1}, 1)}, "ReduceMin"),
		one("lengths", 12, newNode("Split", "x", "y z", integers("split", 1, 2), integer("axis", 1)), arrays{x6}, nil,
			arrays{floats([]int{2, 1}, 1, 4), floats([]int{2, 2}, 2, 3, 5, 6)}, "Split"),
		one("equal parts", 13, newNode("Split", "x", "y z"), arrays{x6}, nil, arrays{floats([]int{1, 3}, 1, 2, 3), floats([]int{1, 3}, 4, 5, 6)}, "Split"),
		one("scattered", 9, newNode("Scatter", "x c0 c1", "y", integer("axis", 0)), arrays{floats([]int{2}, 1, 2)}, arrays{longs(1), floats([]int{1}, 9)}, arrays{floats([]int{2}, 1, 9)}, "ScatterElements"),
		// Groups of two channels: normalized values -1 and 1, times 2 and 3, plus 10 and 20.
		one("scale per group", 18, newNode("GroupNormalization", "x c0 c1", "y", integer("num_groups", 2), floating("epsilon", 0)), arrays{floats([]int{1, 4, 1}, 1, 3, 5, 9)},
			arrays{floats([]int{2}, 2, 3), floats([]int{2}, 10, 20)}, arrays{floats([]int{1, 4, 1}, 8, 12, 17, 23)}, ""),
		one("mean per image", 8, newNode("MeanVarianceNormalization", "x", "y", integer("across_channels", 1), integer("normalize_variance", 0)), arrays{floats([]int{1, 2, 1, 1}, 1, 3)}, nil,
			arrays{floats([]int{1, 2, 1, 1}, -1, 1)}, "ReduceMean Sub"),
		one("variance per channel", 8, newNode("MeanVarianceNormalization", "x", "y"), arrays{floats([]int{1, 1, 1, 2}, 1, 5)}, nil,
			arrays{floats([]int{1, 1, 1, 2}, -1, 1)}, "MeanVarianceNormalization"),
		one("affine", 7, newNode("Affine", "x", "y", floating("alpha", 2), floating("beta", 1)), arrays{x6}, nil, arrays{floats([]int{2, 3}, 3, 5, 7, 9, 11, 13)}, "Mul Add"),
		one("bias per channel", 1, newNode("ImageScaler", "x", "y", floating("scale", 2), floatsAttr("bias", 1, 2)), arrays{floats([]int{1, 2, 1, 1}, 3, 4)}, nil,
			arrays{floats([]int{1, 2, 1, 1}, 7, 10)}, "Mul Add"),
		one("border", 7, newNode("Crop", "x", "y", integers("border", 1, 0, 0, 1)), arrays{image}, nil, arrays{floats([]int{1, 1, 1, 1}, 2)}, "Slice"),
		one("part", 11, newNode("Crop", "x", "y", integers("border", 0, 1, 0, 0), integers("scale", 1, 2)), arrays{image}, nil, arrays{floats([]int{1, 1, 1, 2}, 3, 4)}, "Slice"),
		one("scale", 8, newNode("Scale", "x", "y", floating("scale", 3)), arrays{x6}, nil, arrays{floats([]int{2, 3}, 3, 6, 9, 12, 15, 18)}, "Mul"),
		one("scaled tanh", 8, newNode("ScaledTanh", "x", "y", floating("alpha", 2)), arrays{floats([]int{2}, 0, 100)}, nil, arrays{floats([]int{2}, 0, 2)}, "Mul Tanh Mul"),
		one("scaled softplus", 8, newNode("ParametricSoftplus", "x", "y", floating("alpha", 2)), arrays{floats([]int{2}, -1000, 100)}, nil, arrays{floats([]int{2}, 0, 200)}, "Mul Softplus Mul"),
		one("slice by inputs", 7, newNode("DynamicSlice", "x c0 c1 c2", "y"), arrays{x6}, arrays{longs(1), longs(2), longs(1)}, arrays{floats([]int{2, 1}, 2, 5)}, "Slice"),
		one("threshold", 7, newNode("ThresholdedRelu", "x", "y"), arrays{floats([]int{2}, 1, 2)}, nil, arrays{floats([]int{2}, 0, 2)}, "ThresholdedRelu"),
		one("default axis", 17, newNode("DFT", "x", "y"), arrays{floats([]int{1, 2, 1, 1}, 1, 3)}, nil, arrays{floats([]int{1, 2, 1, 2}, 4, 0, -2, 0)}, "DFT"),
		one("sampled between", 16, newNode("GridSample", "x c0", "y", text("mode", "bilinear"), integer("align_corners", 1)), arrays{image}, arrays{floats([]int{1, 1, 1, 2}, 0, -1)}, arrays{floats([]int{1, 1, 1, 1}, 1.5)}, "GridSample"),
	}
}
