#!/usr/bin/env python3
"""Checks that exports with coded activations run on integers in ONNX Runtime (pip install onnx onnxruntime).

  fused.py [-v] EXPORT.onnx...

Each file is loaded by ONNX Runtime, whose optimized graph is read. A line of the table counts, of the operators that have kernels on
codes, those that run on codes and those that run in float, by why: what they read is float (float), what they make is not coded (open),
nothing behind them is coded (tail), or there are codes on both sides (between). One of these last is named with what keeps it from
integers, and makes the exit status 1. With -v all that run in float are named.
"""
import collections, os, sys, tempfile
import onnx
import onnxruntime as ort

# Kernels on codes, by the operator that they stand for.
KERNELS = {'QLinearConv': 'Conv', 'ConvInteger': 'Conv', 'QGemm': 'Gemm', 'QLinearMatMul': 'MatMul', 'MatMulIntegerToFloat': 'MatMul',
           'MatMulInteger': 'MatMul', 'DynamicQuantizeMatMul': 'MatMul', 'DynamicQuantizeLSTM': 'LSTM', 'QLinearAdd': 'Add', 'QLinearMul': 'Mul',
           'QLinearConcat': 'Concat', 'QLinearAveragePool': 'AveragePool', 'QLinearGlobalAveragePool': 'GlobalAveragePool',
           'QLinearSigmoid': 'Sigmoid', 'QLinearLeakyRelu': 'LeakyRelu', 'QLinearReduceMean': 'ReduceMean', 'QLinearSoftmax': 'Softmax'}
PRODUCTS = {'Conv', 'FusedConv', 'Gemm', 'FusedGemm', 'MatMul', 'FusedMatMul'}
JOINS = {'Add', 'Mul', 'Concat'}
SINGLE = {'AveragePool', 'GlobalAveragePool', 'LeakyRelu', 'Sigmoid'}
MOVES = {'MaxPool', 'Reshape', 'Transpose', 'Flatten', 'Squeeze', 'Unsqueeze', 'Slice', 'Split', 'Gather', 'DepthToSpace', 'SpaceToDepth', 'Resize'}
# What may stand between an operator and the QuantizeLinear behind it, and be absorbed with it.
ABSORBED = {'Relu', 'Clip', 'BatchNormalization'}
REASONS = ('between', 'float', 'open', 'tail')


def optimized(path):
    """The graph that ONNX Runtime runs, before it lays images out for a processor."""
    o = ort.SessionOptions()
    o.log_severity_level = 3
    o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    with tempfile.TemporaryDirectory() as d:
        o.optimized_model_filepath = os.path.join(d, 'm.onnx')
        ort.InferenceSession(path, o, providers=['CPUExecutionProvider'])
        return onnx.load(o.optimized_model_filepath).graph


class Graph:
    def __init__(self, g):
        self.g = g
        self.maker = {v: n for n in g.node for v in n.output if v}
        self.readers = collections.defaultdict(list)
        for n in g.node:
            for v in n.input:
                self.readers[v].append(n)
        self.constant = {t.name for t in g.initializer} | {n.output[0] for n in g.node if n.op_type == 'Constant'}
        self.codes = set()  # values of small integers
        self.leads = set()  # values behind which something is coded
        for n in g.node:
            data = [v for v in n.input if v and v not in self.constant]
            if n.op_type == 'QuantizeLinear' or n.op_type in KERNELS and self.makes_codes(n) or n.op_type in MOVES | {'Clip', 'Identity'} and data and data[0] in self.codes:
                self.codes.update(n.output)
        for n in reversed(g.node):
            if n.op_type == 'QuantizeLinear' or n.op_type in KERNELS or any(v in self.leads for v in n.output):
                self.leads.update(n.input)

    @staticmethod
    def makes_codes(n):
        if n.op_type == 'QGemm':
            return len(n.input) > 8 and n.input[8] != ''
        return n.op_type.startswith('QLinear')

    def decoded(self, v):
        """Whether v is what a DequantizeLinear makes of computed codes, or what arithmetic does."""
        n = self.maker.get(v)
        return n is not None and n.op_type == 'DequantizeLinear' and n.input[0] in self.codes or self.by_arithmetic(v)

    def by_arithmetic(self, v):
        """Whether v is Mul(Sub(Cast(codes)...)...), which exports have in front of products that cannot be ones of integers; ONNX Runtime
        takes a Sub of 0 away."""
        n, want = self.maker.get(v), ['Mul', 'Sub', 'Cast']
        while n is not None and n.op_type in want:
            want = want[want.index(n.op_type) + 1:]
            if n.op_type == 'Cast':
                return n.input[0] in self.codes
            n = self.maker.get(n.input[0])
        return False

    def weight(self, v):
        """How a constant input is stored, None where v is computed."""
        n = self.maker.get(v)
        if v in self.constant:
            return 'float'
        if n is not None and n.op_type == 'DequantizeLinear' and n.input[0] in self.constant:
            return 'codes'
        return None

    def recoded(self, v):
        """The QuantizeLinear that makes codes of v, perhaps behind what is absorbed or moves elements; None where there is none."""
        for n in self.readers[v]:
            if n.op_type == 'QuantizeLinear' and n.input[0] == v:
                return n
        r = self.readers[v]
        if len(r) == 1 and r[0].op_type in ABSORBED | MOVES | {'Identity'} and r[0].input[0] == v:
            return self.recoded(r[0].output[0])
        return None

    def on_codes(self, n):
        if n.op_type in KERNELS:
            return KERNELS[n.op_type]
        return n.op_type if n.op_type in MOVES and n.input[0] in self.codes else None

    def in_float(self, n):
        """The reason of REASONS why n runs in float, and a text; None where it has no kernel on codes or runs on them."""
        op = n.op_type
        if op in PRODUCTS:
            data = [n.input[0]] if self.weight(n.input[1]) else list(n.input[:2])
        elif op in JOINS:
            data = [v for v in n.input if v not in self.constant]
            if len(data) < 2:
                return None  # a constant is added: on no codes
        elif op in SINGLE or op == 'MaxPool':
            data = [n.input[0]]
        else:
            return None
        if op == 'MaxPool' and data[0] in self.codes:
            return None
        coded = [v for v in data if self.decoded(v)]
        out = self.recoded(n.output[0])
        if op == 'Mul' and 0 < len(coded) < len(data):
            return 'open', 'no codes at ' + ', '.join(v for v in data if v not in coded)  # x * Sigmoid(x): exports look such values up
        if coded and (out is not None or op in ('MatMul', 'FusedMatMul', 'Gemm', 'FusedGemm') and self.weight(n.input[1])):
            return 'between', self.obstacle(n, data, coded, out)
        if not self.leads.intersection(n.output):
            return 'tail', 'nothing behind it is coded'
        if not coded:
            return 'float', 'what it reads is float'
        return 'open', 'what it makes is not coded'

    def obstacle(self, n, data, coded, out):
        """What keeps n, which has codes on both sides, from integers."""
        if len(coded) < len(data):
            return 'no codes at ' + ', '.join(v for v in data if v not in coded)
        if any(map(self.by_arithmetic, coded)):
            return 'the export multiplies floats: weights that are no int8 with a scale for each output, or a bias beyond int32'
        if n.op_type in PRODUCTS and self.weight(n.input[1]) == 'float':
            return 'float weights'
        if n.op_type in PRODUCTS and len(n.input) > 2 and n.input[2] and self.weight(n.input[2]) != 'codes':
            return 'float bias' if 'MatMulAddFusion' not in n.name else 'float bias, a MatMul and an Add before'
        activation = next((a.s.decode() for a in n.attribute if a.name == 'activation'), '')
        if activation not in ('', 'Relu', 'Clip'):
            return 'a %s between it and its codes, which ONNX Runtime took in as float' % activation
        if any(self.per_axis(self.maker[v]) for v in coded):
            return 'a scale for each channel in front of it'
        if out is not None and self.per_axis(out):
            return 'a scale for each channel behind it'
        between = []
        while out is not None and (m := self.maker.get(out.input[0])) is not None and m is not n:
            out, between = m, [m.op_type] + between
        if between:
            return ' and '.join(between) + ' between it and its codes'
        if out is not None and len(self.readers[n.output[0]]) > 1:
            return 'its float output has other readers: ' + ', '.join(sorted({r.op_type for r in self.readers[n.output[0]] if r.op_type != 'QuantizeLinear'}))
        return 'cause not known'

    def per_axis(self, n):
        t = next((t for t in self.g.initializer if t.name == n.input[1]), None)
        return t is not None and len(t.dims) > 0 and t.dims[0] > 1


def main(args):
    verbose = '-v' in args
    paths = [a for a in args if a != '-v']
    if not paths:
        sys.exit(__doc__)
    failed = False
    print('%-36s %8s  %s' % ('file', 'on codes', '  '.join('%7s' % r for r in REASONS)), ' kernels')
    for path in paths:
        g = Graph(optimized(path))
        on = collections.Counter(filter(None, map(g.on_codes, g.g.node)))
        off = [(n, *why) for n in g.g.node if (why := g.in_float(n))]
        count = collections.Counter(r for _, r, _ in off)
        name = os.path.basename(path).removesuffix('.onnx')
        print('%-36s %8d  %s' % (name, sum(on.values()), '  '.join('%7d' % count[r] for r in REASONS)), '',
              ' '.join('%s %d' % p for p in sorted(on.items())))
        for n, reason, text in off:
            if verbose or reason == 'between':
                print('  %-8s %s "%s": %s' % (reason, n.op_type, n.name or n.output[0], text))
        failed |= count['between'] > 0
    return failed


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
