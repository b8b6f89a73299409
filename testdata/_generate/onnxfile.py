"""Writing small, plain ONNX files, and rounding their weights for a first look at what bits cost."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 13
IR = 8
PRODUCER = "bq testdata"
MIN_ELEMENTS = 256  # smaller tensors stay float, as bq's own rule has it


def tensors(arrays):
    """Initializers from a dict of numpy arrays, in its order."""
    return [numpy_helper.from_array(np.ascontiguousarray(a), name) for name, a in arrays.items()]


def model(name, nodes, inputs, outputs, initializers, metadata=None, opset=OPSET):
    """A checked ModelProto."""
    graph = helper.make_graph(nodes, name, inputs, outputs, initializers)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR,
                             producer_name=PRODUCER)
    if metadata:
        helper.set_model_props(made, metadata)
    onnx.checker.check_model(made, full_check=True)
    return made


def save(made, path):
    with open(path, "wb") as f:
        f.write(made.SerializeToString(deterministic=True))


def floats(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def rounded(made, bits):
    """A copy whose weights are rounded to the nearest of 2^bits-1 levels, one scale per tensor:
    scale = max|w| / (2^(bits-1)-1). The plainest scheme there is."""
    copy = onnx.ModelProto()
    copy.CopyFrom(made)
    top = 2 ** (bits - 1) - 1
    for tensor in copy.graph.initializer:
        w = numpy_helper.to_array(tensor)
        bias = tensor.name.endswith("bias")  # an LSTM's has two axes
        if bias or w.dtype != np.float32 or w.ndim < 2 or w.size < MIN_ELEMENTS:
            continue
        scale = np.abs(w).max() / top
        tensor.CopyFrom(numpy_helper.from_array((np.rint(w / scale) * scale).astype(np.float32), tensor.name))
    return copy


def depart(ref, got):
    """(mean KL in nats over the last axis, share of equal argmax) of two arrays of logits."""
    def logs(x):
        x = x.astype(np.float64) - x.max(-1, keepdims=True)
        return x - np.log(np.exp(x).sum(-1, keepdims=True))
    p, q = logs(ref), logs(got)
    return (np.exp(p) * (p - q)).sum(-1).mean(), (ref.argmax(-1) == got.argmax(-1)).mean()
