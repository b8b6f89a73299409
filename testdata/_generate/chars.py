"""chars.onnx: a one-layer LSTM that predicts the next character of corpus.txt, and its samples."""

import json
import os

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper
from torch import nn
from torch.nn import functional as F

import onnxfile

SEED = 21
EMBED = 32
HIDDEN = 128
STEPS = 64  # characters of a window
CALIB = 64
EVAL = 200
BLOCK = 2048  # every eighth block of the text is held out
BATCH = 64
UPDATES = 2_500
PEAK_RATE = 1e-2

# Token ids: tab, line feed, the printable ASCII characters, and one for all else. Fixed, whatever the text.
VOCABULARY = ["\t", "\n"] + [chr(c) for c in range(32, 127)] + ["\ufffd"]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(VOCABULARY), EMBED)
        self.lstm = nn.LSTM(EMBED, HIDDEN)
        self.head = nn.Linear(HIDDEN, len(VOCABULARY))

    def forward(self, tokens):  # [T, N] -> [T, N, V]
        return self.head(self.lstm(self.embed(tokens))[0])


def read():
    """The text as token ids, int64."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus.txt")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    ids = {c: i for i, c in enumerate(VOCABULARY)}
    return np.array([ids.get(c, len(ids) - 1) for c in text], np.int64)


def split(tokens):
    """Starts of all windows that lie in training blocks, and of disjoint windows in held-out ones."""
    starts = np.arange(len(tokens) - STEPS - 1)
    first, last = starts // BLOCK % 8, (starts + STEPS) // BLOCK % 8
    train = starts[(first != 7) & (last != 7)]
    held = starts[(first == 7) & (last == 7) & (starts % BLOCK % (STEPS + 1) == 0)]
    return train, held


def windows(tokens, starts):
    """[len(starts), STEPS + 1]"""
    return np.stack([tokens[s:s + STEPS + 1] for s in starts])


def samples(tokens, starts):
    """Arrays of one split. Every sample is one whole input: tokens [n, T, 1], states [n, 1, 1, H],
    and labels [n, T], the character after each."""
    rows = windows(tokens, starts)
    zeros = np.zeros((len(rows), 1, 1, HIDDEN), np.float32)
    return {"tokens": rows[:, :-1, None], "h0": zeros, "c0": zeros, "labels": rows[:, 1:]}


def train(tokens, starts):
    torch.manual_seed(SEED)
    net = Net()
    rng = np.random.default_rng([SEED, 0])
    rule = torch.optim.AdamW(net.parameters(), weight_decay=1e-3)
    rates = torch.optim.lr_scheduler.OneCycleLR(rule, PEAK_RATE, total_steps=UPDATES)
    total = 0.0
    for update in range(1, UPDATES + 1):
        rows = torch.from_numpy(windows(tokens, rng.choice(starts, BATCH))).T
        loss = F.cross_entropy(net(rows[:-1]).flatten(0, 1), rows[1:].flatten())
        rule.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        rule.step()
        rates.step()
        total += loss.item()
        if update % 250 == 0:
            print(f"chars: update {update} of {UPDATES}, loss {total / 250:.4f}", flush=True)
            total = 0.0
    return net.eval()


def gates(array):
    """PyTorch stacks the gates as i, f, g, o; ONNX as i, o, f, c."""
    i, f, g, o = np.split(array.detach().numpy(), 4)
    return np.concatenate([i, o, f, g])


def initializers(net):
    lstm = net.lstm
    return {
        "embed.weight": net.embed.weight.detach().numpy(),
        "lstm.weight": gates(lstm.weight_ih_l0)[None],
        "lstm.recurrence": gates(lstm.weight_hh_l0)[None],
        "lstm.bias": np.concatenate([gates(lstm.bias_ih_l0), gates(lstm.bias_hh_l0)])[None],
        "head.weight": net.head.weight.detach().numpy().T,
        "head.bias": net.head.bias.detach().numpy(),
        "axis1": np.array([1], np.int64),
    }


def graph():
    return [
        helper.make_node("Gather", ["embed.weight", "tokens"], ["embed"], name="embed", axis=0),
        helper.make_node("LSTM", ["embed", "lstm.weight", "lstm.recurrence", "lstm.bias", "", "h0", "c0"],
                         ["lstm", "h1", "c1"], name="lstm", hidden_size=HIDDEN),
        helper.make_node("Squeeze", ["lstm", "axis1"], ["hidden"], name="hidden"),
        helper.make_node("MatMul", ["hidden", "head.weight"], ["scores"], name="scores"),
        helper.make_node("Add", ["scores", "head.bias"], ["logits"], name="logits"),
    ]


def build(net):
    state = [1, "N", HIDDEN]
    inputs = [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["T", "N"]),
              onnxfile.floats("h0", state), onnxfile.floats("c0", state)]
    outputs = [onnxfile.floats("logits", ["T", "N", len(VOCABULARY)]),
               onnxfile.floats("h1", state), onnxfile.floats("c1", state)]
    return onnxfile.model("chars", graph(), inputs, outputs, onnxfile.tensors(initializers(net)),
                          {"vocabulary": json.dumps(VOCABULARY)})


def run(made, arrays):
    """Logits [T, n, V] of all windows at once."""
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    state = np.zeros((1, len(arrays["tokens"]), HIDDEN), np.float32)
    return session.run(["logits"], {"tokens": arrays["tokens"][:, :, 0].T, "h0": state, "c0": state})[0]


def losses(logits, arrays):
    """(perplexity, accuracy) of the next character."""
    labels = arrays["labels"].T
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    nll = -np.take_along_axis(logs, labels[..., None], -1).mean()
    return np.exp(nll), (logits.argmax(-1) == labels).mean()


def report(made, arrays):
    ref = run(made, arrays)
    perplexity, accuracy = losses(ref, arrays)
    print(f"chars: float perplexity {perplexity:.3f}, accuracy {accuracy:.4f} on {arrays['labels'].size} characters")
    for bits in (8, 4, 3, 2):
        got = run(onnxfile.rounded(made, bits), arrays)
        perplexity, accuracy = losses(got, arrays)
        kl, agree = onnxfile.depart(ref, got)
        print(f"chars: {bits} bits, one scale per tensor: perplexity {perplexity:.3f}, accuracy {accuracy:.4f}, "
              f"agreement {agree:.4f}, KL {kl:.4f} nats")


def generate(folder):
    tokens = read()
    starts, held = split(tokens)
    np.random.default_rng([SEED, 1]).shuffle(held)
    calib, judge = (samples(tokens, np.sort(s)) for s in (held[:CALIB], held[CALIB:CALIB + EVAL]))
    assert len(judge["tokens"]) == EVAL
    np.savez_compressed(f"{folder}/chars.calib.npz", **calib)
    np.savez_compressed(f"{folder}/chars.eval.npz", **judge)
    net = train(tokens, starts)
    made = build(net)
    with torch.no_grad():
        ours = net(torch.from_numpy(judge["tokens"][:, :, 0].T.copy())).numpy()
    np.testing.assert_allclose(run(made, judge), ours, atol=1e-3, rtol=1e-4)
    onnxfile.save(made, f"{folder}/chars.onnx")
    report(made, judge)
