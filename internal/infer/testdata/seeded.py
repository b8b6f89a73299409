"""Writes seeded.zip: operators that draw random numbers by a seed, with the outputs of ONNX Runtime on Linux.

    python seeded.py seeded.zip          # onnx 1.23, onnxruntime 1.32, numpy
"""

import sys

import numpy as np
from onnx import TensorProto

from cases import Archive, f

out = Archive(sys.argv[1])


def case(name, op, inputs, opset=13, **more):
    out.case(name, op, inputs, opset=opset, ir=7, domain="", **more)


for seed in (0.0, 1.0, 5.7, 2147483647.0, 4e9):
    case(f"uniform_{seed:.0f}", "RandomUniform", [], seed=seed, shape=[33])
    case(f"normal_{seed:.0f}", "RandomNormal", [], seed=seed, shape=[33])
for kind in ("FLOAT", "DOUBLE"):
    t = getattr(TensorProto, kind)
    case(f"uniform_{kind}", "RandomUniform", [], seed=3.0, shape=[3, 5], low=-2.0, high=0.5, dtype=t)
    case(f"normal_{kind}", "RandomNormal", [], seed=3.0, shape=[3, 5], mean=-2.0, scale=0.5, dtype=t)
    case(f"uniform_like_{kind}", "RandomUniformLike", [f(2, 7)], seed=9.0, low=-1.0, high=3.0, dtype=t)
    case(f"normal_like_{kind}", "RandomNormalLike", [f(2, 7)], seed=9.0, mean=1.0, scale=3.0, dtype=t)
case("uniform_like", "RandomUniformLike", [f(2, 7).astype(np.float64)], seed=9.0)
case("normal_like", "RandomNormalLike", [f(2, 7).astype(np.float64)], seed=9.0)
case("empty", "RandomUniform", [], seed=3.0, shape=[0, 4])
weights = np.log(np.array([[0.2, 0.3, 0.5], [0.9, 0.05, 0.05]], np.float32))
case("multinomial", "Multinomial", [weights], seed=5.0, sample_size=40)
case("multinomial_int64", "Multinomial", [weights], seed=5.0, sample_size=7, dtype=TensorProto.INT64)
case("bernoulli", "Bernoulli", [np.linspace(0, 1, 24).astype(np.float32)], opset=15, seed=5.0)
case("bernoulli_double", "Bernoulli", [np.linspace(0, 1, 24)], opset=15, seed=5.0)
case("bernoulli_bool", "Bernoulli", [np.linspace(0, 1, 24).astype(np.float32)], opset=15, seed=5.0, dtype=TensorProto.BOOL)
for ratio in (0.0, 0.3, 0.75):
    case(f"dropout_{ratio}", "Dropout", [f(4, 8), np.float32(ratio), np.array(True)], outputs=2, seed=5)
case("dropout_default", "Dropout", [f(4, 8), None, np.array(True)], outputs=2, seed=6)

out.zip.close()
