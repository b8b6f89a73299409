"""Writes dictionary.bin, what the text coder has read before a graph: python3 dictionary.py ../dictionary.bin

It holds the names of the operators out of the schemas of the Python package onnx, and a small model as two generations of the
PyTorch exporter write it, weights left out as in a container's graph. Last comes what is met most.
The file is part of the container format: another one is another codec.
"""
import sys

import numpy
from onnx import TensorProto, defs, helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def schema_names():
    """Operators, as the field op_type of their messages."""
    names = sorted({s.name for s in defs.get_all_schemas() if s.domain == "" and not s.deprecated})
    return b"".join(b"\x22" + bytes([len(n)]) + n.encode() for n in names)


class Builder:
    """A model as an exporter writes it: name gives the names of nodes, their outputs and weights."""

    def __init__(self):
        self.nodes, self.weights, self.n = [], [], 0

    def weight(self, name, *dims):
        self.weights.append(TensorProto(dims=dims, data_type=FLOAT, name=name))
        return name

    def constant(self, name, values, dims=None):
        t = helper.make_tensor("", INT64, [len(values)] if dims is None else dims,
                               numpy.array(values, "<i8").tobytes(), raw=True)
        return self.add("Constant", [], name, value=t)

    def add(self, op, inputs, name, outputs=None, **attributes):
        out = outputs or [self.output(name, op)]
        self.nodes.append(helper.make_node(op, inputs, out, name=self.node(name, op), **attributes))
        self.n += 1
        return out[0]

    def model(self, producer, version, graph, x, y, opset, ir):
        g = helper.make_graph(self.nodes, graph, [x], [y], self.weights)
        m = helper.make_model(g, producer_name=producer, producer_version=version,
                              opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
        return m.SerializeToString()


class Torch2(Builder):
    """torch.onnx of 2.x: paths of modules."""

    def output(self, name, op):
        return f"/{name}/{op}_output_0"

    def node(self, name, op):
        return f"/{name}/{op}"


class Torch1(Builder):
    """torch.onnx of 1.x: numbers."""

    def output(self, name, op):
        return str(120 + self.n)

    def node(self, name, op):
        return f"{op}_{self.n}"


def conv(b, x, path, out, inp, k, stride, group=1, weight=None):
    inputs = [x, b.weight(weight or path.replace("/", ".") + ".weight", out, inp // group, k, k),
              b.weight((weight or path.replace("/", ".")) + ".bias", out)]
    return b.add("Conv", inputs, path, dilations=[1, 1], group=group, kernel_shape=[k, k], pads=[k // 2] * 4, strides=[stride, stride])


def network(b, prefix):
    x = conv(b, "input", prefix + "conv1", 32, 3, 3, 2)
    x = b.add("BatchNormalization", [x] + [b.weight(f"{prefix}bn1.{s}".replace("/", "."), 32) for s in
              ("weight", "bias", "running_mean", "running_var")], prefix + "bn1", epsilon=1e-5, momentum=0.9)
    x = b.add("Relu", [x], prefix + "relu")
    x = b.add("MaxPool", [x], prefix + "maxpool", ceil_mode=0, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])
    for layer in (1,):
        for block in (0, 1):
            path = f"{prefix}layer{layer}/layer{layer}.{block}"
            y = conv(b, x, path + "/conv1", 64, 64, 3, 1)
            y = b.add("Relu", [y], path + "/relu")
            y = conv(b, y, path + "/conv2", 64, 64, 3, 1, 64)
            y = b.add("Clip", [y, "", ""], path + "/act")
            y = conv(b, y, path + "/conv3", 64, 64, 1, 1)
            x = b.add("Add", [x, y], path)
            x = b.add("Relu", [x], path + "/relu_1")
    y = b.add("Sigmoid", [x], prefix + "act")
    x = b.add("Mul", [x, y], prefix + "Mul")
    x = b.add("Concat", [x, y], prefix + "Concat", axis=1)
    x = b.add("LeakyRelu", [x], prefix + "LeakyRelu", alpha=0.1)
    s = b.add("Shape", [x], prefix + "Shape")
    i = b.constant(prefix + "Constant", [0], [])
    s = b.add("Gather", [s, i], prefix + "Gather", axis=0)
    s = b.add("Unsqueeze", [s, b.constant(prefix + "Constant_1", [0])], prefix + "Unsqueeze")
    s = b.add("Concat", [s, b.constant(prefix + "Constant_2", [-1])], prefix + "Concat_1", axis=0)
    x = b.add("Resize", [x, "", b.constant(prefix + "Constant_3", [1, 1, 2, 2])], prefix + "Resize",
              coordinate_transformation_mode="asymmetric", cubic_coeff_a=-0.75, mode="nearest", nearest_mode="floor")
    x = b.add("Upsample", [x], prefix + "Upsample", mode="nearest")
    x = b.add("Transpose", [x], prefix + "Transpose", perm=[0, 2, 3, 1])
    x = b.add("Slice", [x, i, i, i, i], prefix + "Slice")
    x = b.add("ReduceMean", [x], prefix + "ReduceMean", axes=[-1], keepdims=1)
    x = b.add("Softmax", [x], prefix + "Softmax", axis=-1)
    x = b.add("MatMul", [x, b.weight(f"onnx::MatMul_{300 + b.n}", 64, 64)], prefix + "MatMul")
    for op in ("Sub", "Pow", "Sqrt", "Div", "Tanh", "Erf", "Cast", "Identity", "Squeeze", "Split", "ConstantOfShape", "Equal", "Where", "Expand", "Pad"):
        x = b.add(op, [x, i], prefix + op, **({"to": 1} if op == "Cast" else {}))
    for op in ("LSTM", "GRU"):
        x = b.add(op, [x] + [b.weight(f"onnx::{op}_{200 + j}", 1, 256, 64) for j in range(3)], prefix + op.lower(),
                  outputs=[f"/{prefix}{op}_output_{j}" for j in range(2)], hidden_size=64, direction="forward")
    x = b.add("AveragePool", [x], prefix + "pool", kernel_shape=[7, 7], strides=[1, 1])
    x = b.add("GlobalAveragePool", [x], prefix + "avgpool")
    x = b.add("Reshape", [x, s], prefix + "Reshape")
    x = b.add("Flatten", [x], prefix + "Flatten", axis=1)
    b.add("Gemm", [x, b.weight("fc.weight", 10, 64), b.weight("fc.bias", 10)], prefix + "fc", outputs=["output"], alpha=1.0, beta=1.0, transB=1)
    return b


def main():
    x = helper.make_tensor_value_info("input", FLOAT, ["batch_size", 3, 224, 224])
    y = helper.make_tensor_value_info("output", FLOAT, ["batch_size", 1000])
    parts = [
        schema_names(),
        network(Torch1(), "").model("pytorch", "1.10", "torch-jit-export", x, y, 11, 6),
        network(Torch2(), "").model("pytorch", "2.1.0", "main_graph", x, y, 17, 8),
    ]
    with open(sys.argv[1], "wb") as f:
        f.write(b"".join(parts))


main()
