"""small/*.onnx: models of a few nodes, each one case that a reader or converter must get right."""

import os

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import onnxfile
from onnxfile import floats, model, tensors

SEED = 22
WIDTH = 16


def weights(stream, *shape):
    """Normal weights, deviation 1/sqrt(rows), one random stream per model and tensor."""
    rng = np.random.default_rng([SEED, *stream])
    return (rng.standard_normal(shape) / np.sqrt(shape[-2])).astype(np.float32)


def dense(stream):
    return {"fc1.weight": weights([stream, 0], WIDTH, 2 * WIDTH), "fc2.weight": weights([stream, 1], 2 * WIDTH, WIDTH)}


def perceptron(x="x", y="y", first="fc1.weight", second="fc2.weight"):
    """y = relu(x @ first) @ second"""
    return [helper.make_node("MatMul", [x, first], ["fc1"], name="fc1"),
            helper.make_node("Relu", ["fc1"], ["relu1"], name="relu1"),
            helper.make_node("MatMul", ["relu1", second], [y], name="fc2")]


def ends():
    return [floats("x", ["N", WIDTH])], [floats("y", ["N", WIDTH])]


def float16():
    """All weights and the arithmetic are float16; input and output are float32."""
    arrays = {name: w.astype(np.float16) for name, w in dense(1).items()}
    return narrow("float16", TensorProto.FLOAT16, tensors(arrays))


def bfloat16():
    """As float16, with bfloat16."""
    raw = [helper.make_tensor(name, TensorProto.BFLOAT16, w.shape, w.astype(ml_dtypes.bfloat16).tobytes(), raw=True)
           for name, w in dense(2).items()]
    return narrow("bfloat16", TensorProto.BFLOAT16, raw)


def narrow(name, kind, initializers):
    # Relu takes bfloat16 only from opset 14, so it runs between two casts here.
    nodes = [helper.make_node("Cast", ["x"], ["x_cast"], name="x_cast", to=kind),
             helper.make_node("MatMul", ["x_cast", "fc1.weight"], ["fc1"], name="fc1"),
             helper.make_node("Cast", ["fc1"], ["fc1_cast"], name="fc1_cast", to=TensorProto.FLOAT),
             helper.make_node("Relu", ["fc1_cast"], ["relu1"], name="relu1"),
             helper.make_node("Cast", ["relu1"], ["relu1_cast"], name="relu1_cast", to=kind),
             helper.make_node("MatMul", ["relu1_cast", "fc2.weight"], ["fc2"], name="fc2"),
             helper.make_node("Cast", ["fc2"], ["y"], name="y_cast", to=TensorProto.FLOAT)]
    return model(name, nodes, *ends(), initializers)


def constants():
    """The weights stand in Constant nodes, none in the initializers."""
    nodes = [helper.make_node("Constant", [], [name], name=name, value=numpy_helper.from_array(w, name + ".value"))
             for name, w in dense(3).items()]
    return model("constants", nodes + perceptron(), *ends(), [])


def external():
    """The weights stand in external.bin, the second at an offset with a gap before it."""
    return model("external", perceptron(), *ends(), tensors(dense(4)))


def nothing():
    """No float weight at all."""
    nodes = [helper.make_node("Relu", ["x"], ["positive"], name="positive"),
             helper.make_node("Softmax", ["positive"], ["y"], name="y", axis=1)]
    return model("nothing", nodes, *ends(), [])


def qdq():
    """Quantized already: int8 weights with one scale per output channel, uint8 activations."""
    arrays, nodes = {}, []
    for name, w in dense(5).items():
        scale = (np.abs(w).max(0) / 127).astype(np.float32)
        arrays |= {name + ".codes": np.rint(w / scale).astype(np.int8), name + ".scale": scale,
                   name + ".zero": np.zeros(w.shape[1], np.int8)}
        nodes.append(helper.make_node("DequantizeLinear", [name + ".codes", name + ".scale", name + ".zero"],
                                      [name], name=name, axis=1))
    arrays |= {"x.scale": np.float32(1 / 32), "x.zero": np.uint8(128)}
    nodes += [helper.make_node("QuantizeLinear", ["x", "x.scale", "x.zero"], ["x_codes"], name="x_codes"),
              helper.make_node("DequantizeLinear", ["x_codes", "x.scale", "x.zero"], ["x_back"], name="x_back")]
    return model("qdq", nodes + perceptron("x_back"), *ends(), tensors(arrays))


def tied():
    """One table, read by Gather on the way in and by Gemm with transB on the way out."""
    words = 40
    arrays = {"embed.weight": weights([6, 0], words, WIDTH), "fc.weight": weights([6, 1], WIDTH, WIDTH)}
    nodes = [helper.make_node("Gather", ["embed.weight", "tokens"], ["embed"], name="embed", axis=0),
             helper.make_node("MatMul", ["embed", "fc.weight"], ["fc"], name="fc"),
             helper.make_node("Tanh", ["fc"], ["tanh"], name="tanh"),
             helper.make_node("Gemm", ["tanh", "embed.weight"], ["logits"], name="logits", transB=1)]
    return model("tied", nodes, [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["N"])],
                 [floats("logits", ["N", words])], tensors(arrays))


def nan():
    """One NaN in fc1.weight; fc2.weight is sound."""
    arrays = dense(7)
    arrays["fc1.weight"][3, 5] = np.nan
    return model("nan", perceptron(), *ends(), tensors(arrays))


def branch():
    """A weight in each branch of an If: an initializer in one, a Constant node in the other."""
    w = dense(8)
    then = helper.make_graph([helper.make_node("MatMul", ["x", "then.weight"], ["then"], name="then")], "then_branch",
                             [], [floats("then", ["N", WIDTH])],
                             tensors({"then.weight": weights([8, 2], WIDTH, WIDTH)}))
    other = numpy_helper.from_array(weights([8, 3], WIDTH, WIDTH), "else.weight.value")
    orelse = helper.make_graph([helper.make_node("Constant", [], ["else.weight"], name="else.weight", value=other),
                                helper.make_node("MatMul", ["x", "else.weight"], ["else"], name="else")],
                               "else_branch", [], [floats("else", ["N", WIDTH])])
    nodes = [helper.make_node("If", ["flag"], ["chosen"], name="chosen", then_branch=then, else_branch=orelse)]
    flag = helper.make_tensor_value_info("flag", TensorProto.BOOL, [])
    inputs, outputs = ends()
    return model("branch", nodes + perceptron("chosen"), [flag] + inputs, outputs, tensors(w))


def feed(made):
    """Inputs of three rows."""
    rng = np.random.default_rng([SEED, 99])
    values = {"x": rng.standard_normal((3, WIDTH)).astype(np.float32), "tokens": np.array([0, 7, 39]),
              "flag": np.array(True)}
    return {i.name: values[i.name] for i in made.graph.input}


def run(path, made):
    """The first output in ONNX Runtime, or None where it has no kernel for the type."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        return None
    return session.run(None, feed(made))[0]


def save_external(made, path):
    """Writes the model and external.bin beside it, each tensor at a multiple of 4,096 bytes."""
    data = b""
    for tensor in made.graph.initializer:
        data += bytes(-len(data) % 4096)
        onnx.external_data_helper.set_external_data(tensor, "external.bin", len(data), len(tensor.raw_data))
        data += tensor.raw_data
        tensor.ClearField("raw_data")
    with open(os.path.join(os.path.dirname(path), "external.bin"), "wb") as f:
        f.write(data)
    onnxfile.save(made, path)


def generate(folder):
    for case in (float16, bfloat16, constants, external, nothing, qdq, tied, nan, branch):
        made, path = case(), f"{folder}/small/{case.__name__}.onnx"
        (save_external if case is external else onnxfile.save)(made, path)
        onnx.checker.check_model(path, full_check=True)
        y = run(path, made)
        note = "no kernel in ONNX Runtime" if y is None else f"output {y.shape}, finite {np.isfinite(y).all()}"
        print(f"small: {case.__name__}.onnx, {os.path.getsize(path)} bytes, {note}")
