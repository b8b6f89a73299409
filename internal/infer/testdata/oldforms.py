"""Writes oldforms.zip: the forms that operators had in opsets 7 to 12 (IR 3 up to opset 8), and operators that ONNX has
since taken away, with the outputs of ONNX Runtime.

    python oldforms.py oldforms.zip      # onnx 1.23, onnxruntime 1.32, numpy

The name of a case is the operator, the opset and, where there are several, the form.
"""

import sys

import numpy as np
from onnx import TensorProto, helper

from cases import Archive, f, rng, u8

out = Archive(sys.argv[1])


def old(opset, op, inputs, form="", domain="", **more):
    name = f"{op}_{opset}" + ("_" + form if form else "")
    out.case(name, op, inputs, opset=opset, ir=3 if opset < 9 else 6, domain=domain, **more)


def i64(*values):
    return np.array(values, np.int64)


def text(*values):
    return np.array(values, object)


image = f(1, 2, 4, 6)

# Lists that were attributes and became inputs.
for opset in (7, 10, 11, 12):
    old(opset, "Squeeze", [f(1, 3, 1, 2)], axes=[0, 2])
    old(opset, "Squeeze", [f(1, 3, 1, 2)], "all")
    old(opset, "Unsqueeze", [f(3, 2)], axes=[0, 3])
    old(opset, "Split", [f(6, 2)], "sizes", outputs=3, split=[1, 2, 3])
    old(opset, "Split", [f(2, 6)], "equal", outputs=2, axis=1)
    for reduce in ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSumExp"):
        old(opset, "Reduce" + reduce, [f(2, 3, 4)], axes=[1], keepdims=0)
    old(opset, "ReduceLogSum", [f(2, 3, 4) ** 2], axes=[0, 2])
    old(opset, "ReduceSum", [f(2, 3, 4)], "all")
for opset in (11, 12):
    old(opset, "Squeeze", [f(1, 3, 1, 2)], "negative", axes=[-2])
    old(opset, "Unsqueeze", [f(3, 2)], "negative", axes=[-1])
    old(opset, "ReduceMean", [f(2, 3, 4)], "negative", axes=[-1])
for opset in (7, 9):
    old(opset, "Slice", [f(5, 6, 7)], starts=[1, -4], ends=[4, 1000], axes=[0, 2])
    old(opset, "Slice", [f(5, 6)], "no_axes", starts=[0, 1], ends=[-1, 3])
    old(opset, "TopK", [f(3, 6)], outputs=2, k=2, axis=1)
    old(opset, "TopK", [f(6, 3)], "axis", outputs=2, k=4, axis=0)
old(10, "Slice", [f(5, 6), i64(4, 1), i64(0, 6), i64(0, 1), i64(-1, 2)], "steps")
old(11, "Slice", [f(5, 6), i64(1), i64(-1), i64(-1)], "negative")
old(10, "TopK", [f(3, 6), i64(3)], outputs=2, axis=-1)
old(11, "TopK", [f(3, 6), i64(3)], outputs=2, largest=0, sorted=1)
for opset in (7, 10):
    old(opset, "Clip", [f(3, 4)], min=-0.5, max=0.75)
    old(opset, "Clip", [f(3, 4)], "open", max=0.25)
    for mode in ("constant", "reflect", "edge"):
        old(opset, "Pad", [f(3, 4)], mode, pads=[1, 2, 0, 1], mode=mode, value=1.5)
    old(opset, "Pad", [f(3, 4)], "crop", pads=[-1, 0, 0, -1])
for opset in (11, 12):
    old(opset, "Clip", [f(3, 4), np.float32(-0.5), np.float32(0.75)])
    old(opset, "Clip", [f(3, 4), None, np.float32(0.25)], "open")
    old(opset, "Pad", [f(3, 4), i64(1, 2, 0, 1), np.float32(1.5)], mode="constant")
    old(opset, "Pad", [f(3, 4), i64(1, 2, 0, 1)], "reflect", mode="reflect")
old(12, "Clip", [rng.integers(-9, 9, (3, 4)).astype(np.int64), np.int64(-3), np.int64(4)], "int64")

# Dropout: the mask had the type of the input before it was bool; the ratio became an input.
for opset in (7, 10):
    old(opset, "Dropout", [f(2, 3)], ratio=0.4)
    old(opset, "Dropout", [f(2, 3)], "mask", outputs=2, ratio=0.4)
old(12, "Dropout", [f(2, 3), np.float32(0.4), np.array(False)], "mask", outputs=2, constants=(1, 2))

# Softmax and its kin flattened the input to a matrix at axis.
for opset in (7, 11, 12):
    for op in ("Softmax", "LogSoftmax", "Hardmax"):
        old(opset, op, [f(2, 3, 4)])
        old(opset, op, [f(2, 3, 4)], "axis", axis=2)
        old(opset, op, [f(2, 3, 4)], "first", axis=0)

# Upsample and the versions of Resize.
for mode in ("nearest", "linear"):
    old(7, "Upsample", [image], mode, mode=mode, scales=[1.0, 1.0, 2.0, 1.5])
    old(9, "Upsample", [image, np.array([1, 1, 1.5, 3], np.float32)], mode, mode=mode, constants=(1,))
    old(9, "Upsample", [image, np.array([1, 1, 2, 2], np.float32)], mode + "_fed", mode=mode)
    old(10, "Resize", [image, np.array([1, 1, 0.5, 2.5], np.float32)], mode, mode=mode)
roi = np.array([0, 0, 0.2, 0.1, 1, 1, 0.8, 0.9], np.float32)
empty = np.zeros(0, np.float32)
for opset in (11, 13, 18, 19):
    scales = empty if opset == 11 else None  # beside sizes
    for mode in ("nearest", "linear", "cubic"):
        for coords in ("half_pixel", "pytorch_half_pixel", "asymmetric"):
            old(opset, "Resize", [image, empty, np.array([1, 1, 0.6, 1.7], np.float32)], f"{mode}_{coords}", mode=mode, coordinate_transformation_mode=coords)
        # Sizes without remainder: ONNX's own cases of align_corners take the size before it is rounded, ONNX Runtime after.
        old(opset, "Resize", [image, empty, np.array([1, 1, 0.5, 1.5], np.float32)], f"{mode}_align_corners", mode=mode, coordinate_transformation_mode="align_corners")
    for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        old(opset, "Resize", [image, empty, scales, i64(1, 2, 7, 3)], rounding, mode="nearest", nearest_mode=rounding)
    old(opset, "Resize", [image, roi, scales, i64(1, 2, 3, 5)], "crop", mode="linear", coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=9.0)
old(11, "Resize", [image, empty, np.array([1, 1, 2, 2], np.float32)], "tf_half_pixel", mode="nearest", coordinate_transformation_mode="tf_half_pixel_for_nn")
for opset in (18, 19):
    old(opset, "Resize", [image, None, None, i64(3, 3)], "axes", mode="linear", axes=[2, 3])
    old(opset, "Resize", [image, None, None, i64(8, 8)], "not_larger", mode="linear", axes=[2, 3], keep_aspect_ratio_policy="not_larger")
    old(opset, "Resize", [image, None, np.array([0.5, 0.5], np.float32)], "antialias", mode="linear", axes=[2, 3], antialias=1)
old(19, "Resize", [image, None, np.array([1, 1, 1.3, 0.7], np.float32)], "symmetric", mode="linear", coordinate_transformation_mode="half_pixel_symmetric")

# Cast to every type of the time, other elements.
for opset in (7, 9):
    for kind in ("INT32", "INT64", "UINT8", "DOUBLE", "BOOL", "FLOAT16"):
        old(opset, "Cast", [np.array([-0.0, 0.5, 1.5, 200.25], np.float32)], kind.lower(), to=getattr(TensorProto, kind))
old(9, "Cast", [text("1.5", "-2")], "from_string", to=TensorProto.FLOAT)

# Broadcasting arithmetic of opset 7, comparisons, selections.
for op in ("Add", "Sub", "Mul", "Div"):
    old(7, op, [f(2, 3, 4), f(3, 1)])
old(7, "Pow", [f(2, 3) ** 2, f(3)])
for op in ("Greater", "Less"):
    old(7, op, [f(2, 3), f(3)])
    old(9, op, [rng.integers(0, 5, (2, 3)).astype(np.int32), rng.integers(0, 5, 3).astype(np.int32)])
old(7, "Equal", [i64(1, 2, 3), i64(1, 0, 3)])
for op in ("Max", "Min", "Sum", "Mean"):
    old(7, op, [f(2, 3), f(2, 3), f(2, 3)])
    old(8, op, [f(2, 3), f(3)])
for op in ("ArgMax", "ArgMin"):
    old(7, op, [f(3, 4)], axis=1, keepdims=0)
    old(11, op, [f(3, 4)], axis=-1)
    old(12, op, [np.array([[1, 2, 2], [3, 3, 1]], np.float32)], axis=1, select_last_index=1)
old(9, "OneHot", [i64(0, 2, 5), i64(3), np.array([0.5, 2], np.float32)], constants=(1,))
old(11, "OneHot", [i64(0, -1, 5), i64(3), np.array([0.5, 2], np.float32)], axis=0)
old(9, "Scatter", [f(4, 3), np.array([[0, 2, 1]], np.int64), f(1, 3)])
old(11, "GatherND", [f(2, 3, 4), np.array([[0, 1], [1, 2]], np.int64)])
old(7, "Gather", [f(4, 3), np.array([[3, 0]], np.int64)], axis=0)
old(7, "Concat", [f(2, 3), f(2, 1)], axis=1)
old(7, "Flatten", [f(2, 3, 4)], axis=2)
old(9, "Flatten", [u8(2, 3, 4)], axis=0)
old(7, "Reshape", [f(2, 3, 4), i64(0, -1)], constants=(1,))
old(7, "Transpose", [f(2, 3, 4)])
old(7, "Tile", [f(2, 3), i64(2, 1)])
old(8, "Expand", [f(2, 1), i64(2, 2, 3)])
old(7, "DepthToSpace", [f(1, 8, 2, 3)], blocksize=2)
old(11, "DepthToSpace", [f(1, 8, 2, 3)], "crd", blocksize=2, mode="CRD")
old(7, "Identity", [f(2)])
old(9, "NonZero", [np.array([[0, 1], [2, 0]], np.float32)])
old(10, "Mod", [rng.integers(-9, 9, 8).astype(np.int32), np.full(8, 4, np.int32)])
old(10, "Mod", [f(8) * 9, np.full(8, 4, np.float32)], "fmod", fmod=1)
old(11, "CumSum", [f(2, 3), np.int64(1)], exclusive=1, reverse=1)
old(12, "LessOrEqual", [f(2, 3), f(3)])
old(11, "Round", [np.array([-2.5, -0.5, 0.5, 1.5, 2.4], np.float32)])
old(9, "MatMul", [f(2, 3, 4), f(4, 2)])
for opset in (7, 9, 11):
    old(opset, "Gemm", [f(3, 4), f(5, 4), f(5)], transB=1, alpha=0.5, beta=2.0)
old(11, "Gemm", [f(3, 4), f(4, 5)], "no_bias")
box = np.array([[[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, 2, 1, 3]]], np.float32)
for opset in (10, 11):
    old(opset, "NonMaxSuppression", [box, np.array([[[0.9, 0.8, 0.7]]], np.float32), i64(3), np.array([0.5], np.float32), np.array([0.0], np.float32)])

# Normalization, pooling, convolution.
stats = [f(2), f(2), f(2), f(2) ** 2 + np.float32(0.1)]
old(7, "BatchNormalization", [image] + stats, spatial=1, momentum=0.8)
old(9, "BatchNormalization", [image] + stats, epsilon=1e-3)
for opset in (7, 9):
    old(opset, "BatchNormalization", [image] + stats, "training", outputs=5, momentum=0.8)
old(8, "MeanVarianceNormalization", [image], across_channels=0, normalize_variance=1)
old(8, "MeanVarianceNormalization", [image], "across", across_channels=1, normalize_variance=1)
old(8, "MeanVarianceNormalization", [image], "mean", across_channels=0, normalize_variance=0)
old(9, "MeanVarianceNormalization", [image], axes=[0, 2, 3])
old(7, "InstanceNormalization", [image, f(2), f(2)], epsilon=1e-3)
old(7, "LRN", [image], size=3, alpha=1e-2)
old(7, "LpNormalization", [f(3, 4)], axis=1, p=1)
old(9, "LayerNormalization", [f(2, 3, 8), f(8), f(8)], axis=-1)
old(9, "SimplifiedLayerNormalization", [f(2, 3, 8), f(8)], axis=-1)
for opset in (7, 10, 11):
    old(opset, "AveragePool", [image], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])
    old(opset, "AveragePool", [image], "include", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    old(opset, "AveragePool", [image], "same", kernel_shape=[2, 2], auto_pad="SAME_LOWER", strides=[2, 2])
    old(opset, "MaxPool", [image], kernel_shape=[3, 2], auto_pad="SAME_UPPER", strides=[2, 2])
old(8, "MaxPool", [image], "indices", outputs=2, kernel_shape=[2, 2], strides=[2, 2], storage_order=1)
old(10, "MaxPool", [image], "ceil", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, dilations=[1, 1])
old(7, "GlobalAveragePool", [image])
old(7, "LpPool", [image], kernel_shape=[2, 2], p=2)
old(7, "Conv", [image, f(4, 1, 3, 3), f(4)], group=2, auto_pad="SAME_UPPER", strides=[2, 2])
old(7, "ConvTranspose", [image, f(2, 3, 3, 3)], strides=[2, 2], output_padding=[1, 1], pads=[1, 1, 1, 1])
old(10, "ConvTranspose", [image, f(2, 3, 3, 3)], "shape", strides=[2, 2], output_shape=[8, 12])
old(7, "PRelu", [image, f(2, 1, 1)])
for op in ("Elu", "Selu", "LeakyRelu", "HardSigmoid", "Softplus", "Softsign", "Sigmoid", "Tanh", "Relu"):
    old(7, op, [f(2, 3)])

# Recurrent operators.
for op, gates, outputs in (("LSTM", 4, 3), ("GRU", 3, 2), ("RNN", 1, 2)):
    old(7, op, [f(4, 2, 3), f(1, gates * 5, 3), f(1, gates * 5, 5), f(1, 2 * gates * 5)], outputs=outputs, hidden_size=5)
    old(7, op, [f(4, 2, 3), f(2, gates * 5, 3), f(2, gates * 5, 5)], "both", outputs=outputs, hidden_size=5, direction="bidirectional")
old(7, "GRU", [f(4, 2, 3), f(1, 15, 3), f(1, 15, 5), f(1, 30)], "linear", outputs=2, hidden_size=5, linear_before_reset=1)

# Quantization of opset 10: one scale for the whole tensor.
old(10, "QuantizeLinear", [f(3, 4), np.float32(0.02), np.uint8(120)])
old(10, "DequantizeLinear", [u8(3, 4), np.float32(0.02), np.uint8(120)])
old(11, "DynamicQuantizeLinear", [f(3, 4)], outputs=3)

# Operators of the first releases, which ONNX has taken away.
x = f(3, 4) * 2
old(7, "Affine", [x], alpha=1.5, beta=-0.25)
old(7, "ParametricSoftplus", [x], alpha=0.5, beta=2.0)
old(7, "ScaledTanh", [x], alpha=1.7, beta=0.6)
old(7, "ThresholdedRelu", [x], alpha=0.6)
old(10, "ThresholdedRelu", [x], alpha=0.6)
old(7, "Scale", [x], scale=0.3)
old(7, "ImageScaler", [image], scale=2.0, bias=[0.5, -1.0])
old(7, "Crop", [image], border=[1, 0, 2, 1])
old(7, "Crop", [image], "scale", border=[1, 1, 0, 0], scale=[2, 3])
old(7, "DynamicSlice", [f(5, 6), i64(1, 2), i64(4, 100), i64(0, 1)], "axes")
old(7, "DynamicSlice", [f(5, 6), i64(1, -3), i64(-1, -1)])

# ai.onnx.ml.
ml = {"domain": "ai.onnx.ml", "ml": 1}
old(9, "LabelEncoder", [text("b", "zz", "a")], "strings", classes_strings=["a", "b", "c"], default_int64=-7, **ml)
old(9, "LabelEncoder", [i64(2, 0, 5, -1)], "ints", classes_strings=["a", "b", "c"], default_string="?", **ml)


# Whole graphs: Scan of opset 8 has a batch and lengths, Loop and If of opset 7 are as they are now.
def info(name, kind=TensorProto.FLOAT, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def model(opset, nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3 if opset < 9 else 6)


def graphs():
    body = helper.make_graph(
        [helper.make_node("Add", ["state", "in"], ["sum"]), helper.make_node("Identity", ["sum"], ["copy"])], "body",
        [info("state", shape=[2]), info("in", shape=[2])], [info("sum", shape=[2]), info("copy", shape=[2])])
    for name, lengths in (("Scan_8", ""), ("Scan_8_lengths", "lengths")):
        scan = helper.make_node("Scan", [lengths, "init", "x"], ["last", "all"], body=body, num_scan_inputs=1, directions=[0])
        inputs = [info("init", shape=[2, 2]), info("x", shape=[2, 3, 2])]
        feeds = {"init": f(2, 2), "x": f(2, 3, 2)}
        if lengths:
            inputs.append(info("lengths", TensorProto.INT64, [2]))
            feeds["lengths"] = i64(3, 2)
        out.add(name, model(8, [scan], inputs, [info("last", shape=[2, 2]), info("all", shape=[2, 3, 2])]), feeds)
    for opset in (9, 11):
        scan = helper.make_node("Scan", ["init", "x"], ["last", "all"], body=body, num_scan_inputs=1, scan_input_directions=[1])
        out.add(f"Scan_{opset}", model(opset, [scan], [info("init", shape=[2]), info("x", shape=[3, 2])], [info("last", shape=[2]), info("all", shape=[3, 2])]),
                {"init": f(2), "x": f(3, 2)})
    for opset in (7, 11):
        loop = helper.make_graph(
            [helper.make_node("Add", ["v", "x"], ["w"]), helper.make_node("Identity", ["w"], ["scan"]), helper.make_node("Identity", ["c"], ["d"])], "body",
            [info("i", TensorProto.INT64, []), info("c", TensorProto.BOOL, []), info("v", shape=[2])],
            [info("d", TensorProto.BOOL, []), info("w", shape=[2]), info("scan", shape=[2])])
        out.add(f"Loop_{opset}", model(opset, [helper.make_node("Loop", ["n", "", "x"], ["y", "all"], body=loop)],
                                       [info("x", shape=[2]), info("n", TensorProto.INT64, [])], [info("y", shape=[2]), info("all", shape=[3, 2])]),
                {"x": f(2), "n": np.array(3, np.int64)})
        branch = lambda op: helper.make_graph([helper.make_node(op, ["x"], ["r"])], op, [], [info("r", shape=[2])])
        out.add(f"If_{opset}", model(opset, [helper.make_node("If", ["c"], ["y"], then_branch=branch("Neg"), else_branch=branch("Abs"))],
                                     [info("x", shape=[2]), info("c", TensorProto.BOOL, [])], [info("y", shape=[2])]),
                {"x": f(2), "c": np.array(True)})


graphs()
out.zip.close()
