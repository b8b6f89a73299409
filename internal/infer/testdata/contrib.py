"""Writes contrib.zip: small random cases of com.microsoft and ai.onnx.ml operators with the outputs of ONNX Runtime.

    python contrib.py contrib.zip        # onnx 1.23, onnxruntime 1.32, numpy
"""

import sys

import numpy as np
from onnx import TensorProto

from cases import Archive, f, i32, rng, s, s8, u8, z

out = Archive(sys.argv[1])
case = out.case

# Quantized arithmetic.
for t, r in ((np.uint8, u8), (np.int8, s8)):
    n = np.dtype(t).name
    zero = 128 if t == np.uint8 else 3
    case(f"qlinear_add_{n}", "QLinearAdd", [r(2, 3, 4), s(0.02), z(zero, t), r(3, 4), s(0.03), z(5, t), s(0.05), z(zero, t)])
    case(f"qlinear_mul_{n}", "QLinearMul", [r(2, 3, 4), s(0.02), z(zero, t), r(1, 4), s(0.03), z(5, t), s(0.05), z(zero, t)])
    case(f"qlinear_sigmoid_{n}", "QLinearSigmoid", [r(64), s(0.05), z(zero, t), s(1 / 256), z(0 if t == np.uint8 else -128, t)], constants=(1, 2, 3, 4))
    case(f"qlinear_leaky_relu_{n}", "QLinearLeakyRelu", [r(64), s(0.05), z(zero, t), s(0.04), z(zero, t)], constants=(1, 2, 3, 4), alpha=0.1)
    case(f"qlinear_global_average_pool_{n}", "QLinearGlobalAveragePool", [r(2, 3, 5, 5), s(0.05), z(zero, t), s(0.02), z(zero, t)])
    case(f"qlinear_average_pool_{n}", "QLinearAveragePool", [r(1, 3, 6, 6), s(0.05), z(zero, t), s(0.03), z(zero, t)], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    case(f"qlinear_concat_{n}", "QLinearConcat", [s(0.05), z(zero, t), r(2, 3), s(0.05), z(zero, t), r(2, 2), s(0.08), z(4, t)], axis=1)
case("qlinear_softmax", "QLinearSoftmax", [u8(4, 10), s(0.05), z(128), s(1 / 256), z(0)], constants=(1, 2, 3, 4), axis=-1)
case("qlinear_average_pool_last", "QLinearAveragePool", [u8(1, 6, 6, 3), s(0.05), z(100), s(0.03), z(90)], kernel_shape=[2, 2], strides=[1, 2], channels_last=1)
case("qlinear_global_average_pool_last", "QLinearGlobalAveragePool", [u8(2, 5, 5, 3), s(0.05), z(100), s(0.03), z(90)], channels_last=1)
case("qlinear_conv_last", "QLinearConv", [u8(1, 6, 6, 4), s(0.02), z(120), s8(3, 4, 3, 3), s(0.01), z(0, np.int8), s(0.1), z(128), rng.integers(-500, 500, 3).astype(np.int32)], constants=(3, 4, 5, 8), pads=[1, 1, 1, 1], channels_last=1)
case("qlinear_conv_group", "QLinearConv", [u8(1, 4, 6, 6), s(0.02), z(120), s8(4, 2, 3, 3), f(4) ** 2 * 0.01 + 0.001, np.zeros(4, np.int8), s(0.05), z(128), rng.integers(-500, 500, 4).astype(np.int32)], constants=(3, 4, 5, 8), group=2)

# Quantized products.
case("qgemm_quantized", "QGemm", [u8(3, 8), s(0.02), z(120), s8(8, 5), f(5) ** 2 * 0.01 + 0.001, np.zeros(5, np.int8), rng.integers(-900, 900, 5).astype(np.int32), s(0.06), z(128)], constants=(3, 4, 5, 6))
case("qgemm_float", "QGemm", [u8(3, 8), s(0.02), z(120), u8(5, 8), s(0.01), z(130), None], transB=1, alpha=0.5)
case("dynamic_quantize_matmul", "DynamicQuantizeMatMul", [f(3, 16), s8(16, 6), s(0.01), z(2, np.int8), f(6)], constants=(1, 2, 3, 4))
case("dynamic_quantize_matmul_columns", "DynamicQuantizeMatMul", [f(2, 3, 16), u8(16, 6), f(6) ** 2 * 0.01 + 0.001, u8(6)], constants=(1, 2, 3))
case("matmul_integer_to_float", "MatMulIntegerToFloat", [u8(3, 16), s8(16, 6), s(0.02), f(6) ** 2 * 0.01 + 0.001, z(120), np.zeros(6, np.int8), f(6)], constants=(1, 3, 5, 6))
for bits in (4, 8):
    for k, block in ((64, 32), (40, 16)):
        blocks = (k + block - 1) // block
        b = u8(5, blocks, block * bits // 8)
        scales = (f(5, blocks) ** 2 + 0.01).astype(np.float32)
        case(f"matmul_nbits_{bits}_{k}", "MatMulNBits", [f(2, 3, k), b, scales], constants=(1, 2), K=k, N=5, bits=bits, block_size=block)
        case(f"matmul_nbits_{bits}_{k}_zero", "MatMulNBits", [f(3, k), b, scales, u8(5, (blocks * bits + 7) // 8)], constants=(1, 2, 3), K=k, N=5, bits=bits, block_size=block)
case("matmul_nbits_float_zero", "MatMulNBits", [f(3, 32), u8(5, 2, 8), f(5, 2) ** 2 + s(0.01), f(5, 2) + s(8), None, f(5)], constants=(1, 2, 3, 5), K=32, N=5, bits=4, block_size=16)
idx = np.array([[0, 3], [5, 1]], np.int64)
case("gather_block_quantized_uint8", "GatherBlockQuantized", [u8(6, 16), idx, f(6, 2) ** 2 + s(0.01)], constants=(0, 2), block_size=16, quantize_axis=1, gather_axis=0, bits=4)
case("gather_block_quantized_uint8_zero", "GatherBlockQuantized", [u8(6, 16), idx, f(6, 2) ** 2 + s(0.01), u8(6, 1)], constants=(0, 2, 3), block_size=16, quantize_axis=1, gather_axis=0, bits=4)
case("gather_block_quantized_uint4", "GatherBlockQuantized", [rng.integers(0, 16, (6, 32)), idx, f(6, 2) ** 2 + s(0.01), rng.integers(0, 16, (6, 2))], constants=(2,), packed={0: TensorProto.UINT4, 3: TensorProto.UINT4}, block_size=16)
case("gather_block_quantized_int4", "GatherBlockQuantized", [rng.integers(0, 16, (32, 6)), idx, f(2, 6) ** 2 + s(0.01)], constants=(2,), packed={0: TensorProto.INT4}, block_size=16, quantize_axis=0, gather_axis=1)
for direction, d in (("forward", 1), ("bidirectional", 2)):
    case(f"dynamic_quantize_lstm_{direction}", "DynamicQuantizeLSTM", [f(5, 2, 6), s8(d, 6, 16), s8(d, 4, 16), f(d, 32), None, None, None, None, np.full(d, 0.004, np.float32), np.zeros(d, np.int8), np.full(d, 0.004, np.float32), np.zeros(d, np.int8)], outputs=3, constants=(1, 2, 8, 9, 10, 11), hidden_size=4, direction=direction)

# Fused float operators.
for act, params in (("Relu", None), ("LeakyRelu", [0.2]), ("Clip", [-0.5, 0.7]), ("HardSigmoid", [0.3, 0.4]), ("Tanh", None), ("Sigmoid", None)):
    extra = {} if params is None else {"activation_params": params}
    case(f"fused_conv_{act}", "FusedConv", [f(1, 3, 6, 6), f(4, 3, 3, 3), f(4)], activation=act, pads=[1, 1, 1, 1], **extra)
case("fused_conv_sum", "FusedConv", [f(1, 3, 6, 6), f(4, 3, 3, 3), f(4), f(1, 4, 4, 4)], activation="Relu")
case("fused_gemm", "FusedGemm", [f(3, 4), f(5, 4), f(5)], transB=1, alpha=0.5, activation="LeakyRelu", activation_alpha=0.3)
case("fused_matmul", "FusedMatMul", [f(2, 4, 3), f(2, 5, 4)], transA=1, transB=1, alpha=0.25)
case("gelu", "Gelu", [f(3, 8) * 3])
case("bias_gelu", "BiasGelu", [f(3, 8) * 3, f(8)])
case("fast_gelu", "FastGelu", [f(3, 8) * 3])
case("fast_gelu_bias", "FastGelu", [f(3, 8) * 3, f(8)])
case("quick_gelu", "QuickGelu", [f(3, 8) * 3], alpha=1.5)
case("simplified_layer_normalization", "SimplifiedLayerNormalization", [f(2, 3, 8), f(8)], domain="", epsilon=1e-6)
case("skip_layer_normalization", "SkipLayerNormalization", [f(2, 3, 8), f(2, 3, 8), f(8), f(8)], epsilon=1e-5)
case("skip_layer_normalization_sum", "SkipLayerNormalization", [f(2, 3, 8), f(1, 3, 8), f(8), f(8), f(8)], outputs=4, skip_outputs=(1, 2), epsilon=1e-5)
case("skip_simplified_layer_normalization", "SkipSimplifiedLayerNormalization", [f(2, 3, 8), f(2, 3, 8), f(8), f(8)], outputs=4, skip_outputs=(1, 2), epsilon=1e-5)
ids = i32([1, 2, 3, 4], [4, 0, 0, 1])
case("embed_layer_normalization", "EmbedLayerNormalization", [ids, ids % 2, f(6, 8), f(5, 8), f(2, 8), f(8), f(8), i32([1, 1, 1, 1], [1, 1, 0, 0])], outputs=3, epsilon=1e-5)
case("embed_layer_normalization_bare", "EmbedLayerNormalization", [ids, None, f(6, 8), f(5, 8), None, f(8), f(8), None, i32([0, 1, 2, 3], [2, 3, 4, 0])], outputs=2, epsilon=1e-5)

# Attention. Two heads of four values.
case("attention", "Attention", [f(2, 3, 8), f(8, 24), f(24)], num_heads=2)
case("attention_causal", "Attention", [f(2, 3, 8), f(8, 24), f(24)], num_heads=2, unidirectional=1)
case("attention_mask_1d", "Attention", [f(2, 3, 8), f(8, 24), f(24), i32(2, 3)], num_heads=2)
case("attention_mask_2d", "Attention", [f(2, 3, 8), f(8, 24), f(24), i32([1, 0, 1], [1, 1, 0])], num_heads=2, scale=0.3)
case("attention_mask_3d", "Attention", [f(1, 3, 8), f(8, 24), f(24), i32([[1, 0, 1], [1, 1, 0], [0, 1, 1]])], num_heads=2)
case("attention_start_end", "Attention", [f(2, 3, 8), f(8, 24), f(24), i32(3, 2, 1, 0)], num_heads=2)
case("attention_past", "Attention", [f(2, 3, 8), f(8, 24), f(24), None, f(2, 2, 2, 4, 4)], outputs=2, num_heads=2, unidirectional=1)
case("attention_bias_sizes", "Attention", [f(2, 3, 8), f(8, 28), f(28), None, None, f(2, 2, 3, 3)], num_heads=2, qkv_hidden_sizes=[8, 8, 12])
q, k, v = f(2, 3, 8), f(2, 5, 8), f(2, 5, 8)
case("multi_head_attention", "MultiHeadAttention", [q, k, v], num_heads=2)
case("multi_head_attention_bias", "MultiHeadAttention", [q, k, v, f(24), i32([1, 1, 1, 0, 1], [1, 0, 1, 1, 1]), f(1, 2, 3, 5)], num_heads=2)
case("multi_head_attention_lengths", "MultiHeadAttention", [q, k, v, None, i32(4, 5)], num_heads=2, scale=0.4)
case("multi_head_attention_past", "MultiHeadAttention", [q, f(2, 3, 8), f(2, 3, 8), None, None, None, f(2, 2, 4, 4), f(2, 2, 4, 4)], outputs=3, num_heads=2, unidirectional=1)
case("multi_head_attention_cross", "MultiHeadAttention", [q, f(2, 2, 5, 4), f(2, 2, 5, 4)], num_heads=2)
cos, sin = np.cos(f(16, 2)), np.sin(f(16, 2))
wide_cos, wide_sin = np.cos(f(16, 8)), np.sin(f(16, 8))
for rot in (0, 1):
    for inter in (0, 1):
        caches = [wide_cos, wide_sin] if rot else [None, None]
        more = {"num_heads": 2, "kv_num_heads": 1, "do_rotary": rot, "rotary_interleaved": inter}
        if rot or not inter:
            case(f"group_query_attention_prompt_{rot}{inter}", "GroupQueryAttention", [f(2, 3, 32), f(2, 3, 16), f(2, 3, 16), None, None, i32(2, 2), i32(3)] + caches, outputs=3, **more)
            case(f"group_query_attention_past_{rot}{inter}", "GroupQueryAttention", [f(2, 1, 32), f(2, 1, 16), f(2, 1, 16), f(2, 1, 4, 16), f(2, 1, 4, 16), i32(4, 4), i32(5)] + caches, outputs=3, **more)
case("group_query_attention_packed", "GroupQueryAttention", [f(2, 3, 64), None, None, None, None, i32(2, 2), i32(3), wide_cos, wide_sin], outputs=3, num_heads=2, kv_num_heads=1, do_rotary=1, scale=0.3)
case("group_query_attention_window", "GroupQueryAttention", [f(1, 6, 32), f(1, 6, 16), f(1, 6, 16), None, None, i32(5), i32(6)], outputs=3, num_heads=2, kv_num_heads=1, local_window_size=3)
case("group_query_attention_softcap", "GroupQueryAttention", [f(1, 6, 32), f(1, 6, 16), f(1, 6, 16), None, None, i32(5), i32(6)], outputs=3, num_heads=2, kv_num_heads=1, softcap=2.0)
case("rotary_embedding", "RotaryEmbedding", [f(2, 3, 8), np.array([[0, 1, 2], [5, 6, 7]], np.int64), cos, sin])
case("rotary_embedding_offset", "RotaryEmbedding", [f(2, 2, 3, 4), np.array([3], np.int64), cos, sin], interleaved=1)
case("rotary_embedding_partial", "RotaryEmbedding", [f(2, 3, 12), np.array([2], np.int64), cos, sin], num_heads=2, rotary_embedding_dim=4)

# ai.onnx.ml.
x = f(6, 3)
ml = {"domain": "ai.onnx.ml"}
case("ml_scaler", "Scaler", [x], offset=[0.1, 0.2, 0.3], scale=[1.0, 2.0, 0.5], **ml)
for norm in ("MAX", "L1", "L2"):
    case(f"ml_normalizer_{norm}", "Normalizer", [np.abs(x)], norm=norm, **ml)
case("ml_imputer", "Imputer", [np.array([[1, np.nan, 2], [np.nan, 5, 6]], np.float32)], imputed_value_floats=[7.0, 8.0, 9.0], replaced_value_float=float("nan"), **ml)
case("ml_one_hot_encoder", "OneHotEncoder", [np.array([[1, 5], [3, 2]], np.int64)], cats_int64s=[1, 2, 3], **ml)
case("ml_linear_regressor", "LinearRegressor", [x], coefficients=[float(v) for v in f(6)], intercepts=[0.5, -0.5], targets=2, **ml)
for post in ("NONE", "SOFTMAX", "LOGISTIC"):
    case(f"ml_linear_classifier_{post}", "LinearClassifier", [x], outputs=2, coefficients=[float(v) for v in f(9)], intercepts=[0.1, -0.1, 0.2], classlabels_ints=[3, 5, 9], post_transform=post, multi_class=1, **ml)
case("ml_linear_classifier_strings", "LinearClassifier", [x], outputs=2, coefficients=[float(v) for v in f(6)], intercepts=[0.1, -0.1], classlabels_strings=["a", "b"], post_transform="SOFTMAX", **ml)
tree = dict(
    nodes_treeids=[0] * 5 + [1] * 3, nodes_nodeids=[0, 1, 2, 3, 4, 0, 1, 2], nodes_featureids=[0, 1, 0, 0, 0, 2, 0, 0],
    nodes_modes=["BRANCH_LEQ", "BRANCH_LT", "LEAF", "LEAF", "LEAF", "BRANCH_GT", "LEAF", "LEAF"],
    nodes_values=[0.1, -0.2, 0.0, 0.0, 0.0, 0.3, 0.0, 0.0], nodes_truenodeids=[1, 2, 0, 0, 0, 1, 0, 0],
    nodes_falsenodeids=[4, 3, 0, 0, 0, 2, 0, 0], nodes_missing_value_tracks_true=[0] * 8, nodes_hitrates=[1.0] * 8)
leaf = lambda k, ids, w: {f"{k}_treeids": [0, 0, 0, 1, 1], f"{k}_nodeids": [2, 3, 4, 1, 2], f"{k}_ids": ids, f"{k}_weights": w}
for how in ("SUM", "AVERAGE", "MIN", "MAX"):
    case(f"ml_tree_regressor_{how}", "TreeEnsembleRegressor", [x], n_targets=1, aggregate_function=how, base_values=[0.25], **leaf("target", [0] * 5, [0.1, 0.2, 0.3, -0.4, 0.5]), **tree, **ml)
for post in ("NONE", "SOFTMAX", "LOGISTIC"):
    case(f"ml_tree_classifier_{post}", "TreeEnsembleClassifier", [x], outputs=2, classlabels_int64s=[7, 8, 9], post_transform=post, **leaf("class", [0, 1, 2, 0, 1], [0.1, 0.2, 0.3, 0.4, 0.5]), **tree, **ml)
for name, post, w in (("positive", "NONE", [0.1, 0.2, 0.3, 0.4, 0.5]), ("mixed", "NONE", [0.1, -0.2, 0.3, -0.4, 0.5]), ("logistic", "LOGISTIC", [0.1, -0.2, 0.3, -0.4, 0.5])):
    case(f"ml_tree_classifier_binary_{name}", "TreeEnsembleClassifier", [x], outputs=2, classlabels_int64s=[0, 1], post_transform=post, **leaf("class", [0] * 5, w), **tree, **ml)

out.zip.close()
