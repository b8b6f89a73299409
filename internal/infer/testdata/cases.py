"""Writes archives of small random cases with the outputs of ONNX Runtime, for contrib.py and oldforms.py.

Each case is a folder as in ONNX's own operator cases: model.onnx and test_data_set_0/{input,output}_N.pb.
"""

import zipfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

rng = np.random.default_rng(7)


class Archive:
    def __init__(self, path):
        self.zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)

    def put(self, name, data):
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        self.zip.writestr(info, data)

    def case(self, name, op, inputs, outputs=1, domain="com.microsoft", opset=21, ml=3, ir=10, constants=(), skip_outputs=(), packed=None, **attrs):
        """One node; inputs are arrays or None. constants are places of inputs that become initializers."""
        names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
        wanted = ["" if i in skip_outputs else f"y{i}" for i in range(outputs)]
        node = helper.make_node(op, names, wanted, domain=domain, **attrs)
        if op == "QLinearSoftmax":
            node.attribute.append(helper.make_attribute("opset", 13))
        feeds, init, values = {}, [], []
        for i, (n, x) in enumerate(zip(names, inputs)):
            if x is None:
                continue
            x = np.asarray(x)
            if packed and i in packed:  # 4-bit values of one byte each become a packed initializer
                flat = np.asarray(x).reshape(-1).astype(np.uint8) & 15
                raw = (flat[0::2] | flat[1::2] << 4).astype(np.uint8).tobytes()
                init.append(helper.make_tensor(n, packed[i], x.shape, raw, raw=True))
                continue
            info = helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
            if i in constants:
                init.append(numpy_helper.from_array(x, n))
                if ir < 4:  # where every initializer is an input too
                    values.append(info)
            else:
                values.append(info)
                feeds[n] = x
        outs = [onnx.ValueInfoProto(name=n) for n in wanted if n]
        graph = helper.make_graph([node], name, values, outs, init)
        imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("ai.onnx.ml", ml)]
        self.add(name, helper.make_model(graph, opset_imports=imports, ir_version=ir), feeds)

    def add(self, name, model, feeds):
        """A whole model with its inputs, by name and in the order of the graph."""
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        results = session.run(None, feeds)
        self.put(f"{name}/model.onnx", model.SerializeToString())
        for i, (n, x) in enumerate(feeds.items()):
            self.put(f"{name}/test_data_set_0/input_{i}.pb", numpy_helper.from_array(x, n).SerializeToString())
        for i, x in enumerate(results):
            self.put(f"{name}/test_data_set_0/output_{i}.pb", numpy_helper.from_array(np.asarray(x)).SerializeToString())


def f(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def u8(*shape):
    return rng.integers(0, 256, shape).astype(np.uint8)


def s8(*shape):
    return rng.integers(-128, 128, shape).astype(np.int8)


def i32(*values):
    return np.array(values, np.int32)


def s(v):
    return np.array(v, np.float32)


def z(v, t=np.uint8):
    return np.array(v, t)
