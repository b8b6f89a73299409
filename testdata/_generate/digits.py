"""digits.onnx: a separable CNN with a residual block on drawn digits and letters, and its samples."""

import numpy as np
import onnxruntime
import torch
from onnx import helper, numpy_helper
from torch import nn
from torch.nn import functional as F

import glyphs
import onnxfile

SEED = 20
TRAIN = 48_000
CALIB = 256
EVAL = 1_000
EPOCHS = 10
BATCH = 128
PEAK_RATE = 6e-3
SPREAD = 0.5  # deviation of log filter gains at the start, see Net.spread

# name, in, out, kernel, stride, groups
CONVS = [
    ("conv1", 1, 32, 3, 1, 1),
    ("depth2", 32, 32, 3, 1, 32), ("point2", 32, 64, 1, 1, 1),
    ("depth3", 64, 64, 3, 2, 64), ("point3", 64, 128, 1, 1, 1),
    ("depth4", 128, 128, 3, 1, 128), ("point4", 128, 128, 1, 1, 1),
]
HIDDEN = 128


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        for name, cin, cout, kernel, stride, groups in CONVS:
            setattr(self, name, nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False))
            setattr(self, name + "_bn", nn.BatchNorm2d(cout))
        self.fc1 = nn.Linear(CONVS[-1][2], HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, len(glyphs.CLASSES))

    @torch.no_grad()
    def spread(self):
        """Gives every depthwise filter its own gain. The BatchNormalization behind it hides the gain
        from the loss, so a part of the spread outlives training, as in networks found in the wild."""
        for name, *_, groups in CONVS:
            if groups > 1:
                weight = getattr(self, name).weight
                weight *= torch.exp(SPREAD * torch.randn(weight.shape[0], 1, 1, 1))

    def block(self, name, x):
        return getattr(self, name + "_bn")(getattr(self, name)(x))

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.block("conv1", x)), 2)
        for name in ("depth2", "point2", "depth3", "point3"):
            x = F.relu(self.block(name, x))
        x = F.relu(x + self.block("point4", F.relu(self.block("depth4", x))))
        x = x.mean((2, 3))
        return self.fc2(F.relu(self.fc1(x)))


def train():
    images, labels = (torch.from_numpy(a) for a in glyphs.samples(TRAIN, [SEED, 0]))
    torch.manual_seed(SEED)
    net = Net()
    net.spread()
    steps = TRAIN // BATCH
    rule = torch.optim.AdamW(net.parameters(), weight_decay=1e-3)
    rates = torch.optim.lr_scheduler.OneCycleLR(rule, PEAK_RATE, total_steps=EPOCHS * steps)
    for epoch in range(EPOCHS):
        total = 0.0
        for rows in torch.randperm(TRAIN)[:steps * BATCH].view(steps, BATCH):
            loss = F.cross_entropy(net(images[rows]), labels[rows])
            rule.zero_grad()
            loss.backward()
            rule.step()
            rates.step()
            total += loss.item()
        print(f"digits: epoch {epoch + 1} of {EPOCHS}, loss {total / steps:.4f}", flush=True)
    return net.eval()


def initializers(net):
    """Weights by their clean names. BatchNormalization stays apart from its convolution."""
    arrays = {}
    for name, *_ in CONVS:
        norm = getattr(net, name + "_bn")
        arrays[name + ".weight"] = getattr(net, name).weight
        arrays[name + "_bn.scale"] = norm.weight
        arrays[name + "_bn.bias"] = norm.bias
        arrays[name + "_bn.mean"] = norm.running_mean
        arrays[name + "_bn.var"] = norm.running_var
    for name in ("fc1", "fc2"):
        arrays[name + ".weight"] = getattr(net, name).weight
        arrays[name + ".bias"] = getattr(net, name).bias
    return {name: a.detach().numpy().astype(np.float32) for name, a in arrays.items()}


def graph():
    """The nodes, in running order."""
    nodes = []

    def add(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def block(name, x):
        _, _, _, kernel, stride, groups = next(c for c in CONVS if c[0] == name)
        pad = kernel // 2
        x = add("Conv", [x, name + ".weight"], name, kernel_shape=[kernel, kernel], strides=[stride, stride],
                pads=[pad] * 4, dilations=[1, 1], group=groups)
        norm = [f"{name}_bn.{part}" for part in ("scale", "bias", "mean", "var")]
        return add("BatchNormalization", [x] + norm, name + "_bn", epsilon=1e-5)

    x = add("Relu", [block("conv1", "image")], "conv1_relu")
    x = add("MaxPool", [x], "pool1", kernel_shape=[2, 2], strides=[2, 2])
    for name in ("depth2", "point2", "depth3", "point3"):
        x = add("Relu", [block(name, x)], name + "_relu")
    y = add("Relu", [block("depth4", x)], "depth4_relu")
    x = add("Add", [x, block("point4", y)], "sum4")
    x = add("Relu", [x], "sum4_relu")
    x = add("GlobalAveragePool", [x], "pool4")
    x = add("Flatten", [x], "flat", axis=1)
    x = add("Gemm", [x, "fc1.weight", "fc1.bias"], "fc1", transB=1)
    x = add("Relu", [x], "fc1_relu")
    add("Gemm", [x, "fc2.weight", "fc2.bias"], "logits", transB=1)
    return nodes


def build(net):
    return onnxfile.model(
        "digits", graph(),
        [onnxfile.floats("image", ["N", 1, glyphs.SIDE, glyphs.SIDE])],
        [onnxfile.floats("logits", ["N", len(glyphs.CLASSES)])],
        onnxfile.tensors(initializers(net)), {"classes": glyphs.CLASSES})


def run(made, images):
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": images})[0]


def report(made, images, labels):
    ref = run(made, images)
    print(f"digits: float accuracy {(ref.argmax(1) == labels).mean():.4f} on {len(labels)} images")
    for bits in (8, 4, 3, 2):
        got = run(onnxfile.rounded(made, bits), images)
        kl, agree = onnxfile.depart(ref, got)
        print(f"digits: {bits} bits, one scale per tensor: accuracy {(got.argmax(1) == labels).mean():.4f}, "
              f"agreement {agree:.4f}, KL {kl:.4f} nats")
    for name, *_, groups in CONVS:
        if groups > 1:
            weight = next(t for t in made.graph.initializer if t.name == name + ".weight")
            top = np.abs(numpy_helper.to_array(weight)).max((1, 2, 3))
            print(f"digits: {name}.weight, largest value of a channel from {top.min():.3g} to {top.max():.3g}")


def generate(folder):
    for split, count, stream in (("calib", CALIB, 1), ("eval", EVAL, 2)):
        images, labels = glyphs.samples(count, [SEED, stream])
        np.savez_compressed(f"{folder}/digits.{split}.npz", image=images, labels=labels)
    net = train()
    made = build(net)
    with torch.no_grad():
        ours = net(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(run(made, images), ours, atol=1e-3, rtol=1e-4)
    onnxfile.save(made, f"{folder}/digits.onnx")
    report(made, images, labels)
