"""A second reader of .bq files, made from FORMAT.md alone: python3 reader.py FILE...

Prints a line for the graph and for each tensor of each file: the SHA-256 of the graph, of the float32 values that codes stand for,
or of kept data, and the name. It checks what it needs to decode, not every rule. Zstandard frames need Python 3.14,
the package zstandard, or the program zstd.
"""
import hashlib
import os
import struct
import subprocess
import sys

from codes import HERE, huffman, ranged, unpack, uv
from predict import text, want


def unzstd(src):
    try:
        from compression import zstd
        return zstd.decompress(src)
    except ImportError:
        pass
    try:
        import zstandard
        return zstandard.ZstdDecompressor().decompressobj().decompress(src)
    except ImportError:
        return subprocess.run(["zstd", "-dc"], input=src, stdout=subprocess.PIPE, check=True).stdout


def expand(codec, src, raw, stride):
    if codec == 3:
        with open(os.path.join(HERE, "dictionary.bin"), "rb") as f:
            return text(src, raw, 0, f.read())
    out = src if codec == 0 else unzstd(src) if codec == 1 else text(src, raw, stride if codec == 4 else 0)
    want(len(out) == raw, "decoded length")
    return out


# The container.
def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0] if abs(x) <= 3.4028235677973366e38 else float("inf") if x > 0 else float("-inf")


class Index:
    def __init__(self, b):
        self.b, self.at = b, 0

    def take(self, form):
        v = struct.unpack_from("<" + form, self.b, self.at)
        self.at += struct.calcsize("<" + form)
        return v[0]

    def uv(self):
        v, self.at = uv(self.b, self.at)
        return v

    def str(self):
        n = self.uv()
        self.at += n
        return self.b[self.at - n:self.at]

    def blob(self):
        codec, raw = self.take("B"), self.uv()
        stored = self.uv() if codec else raw
        return codec, raw, stored, self.take("I")


def groups(layout):
    o, c, i, block = layout
    per = 0 if o * c * i == 0 else 1 if block == 0 else -(-o * i // block)
    return per, [x * per + (y * i + z) // block if block else x for y in range(o) for x in range(c) for z in range(i)]


def scales_of(src, form, layout, count):
    if form == 0:
        return list(struct.unpack("<%df" % count, src))
    if form == 1:
        return list(struct.unpack("<%df" % count, b"".join(b"\0\0" + src[2 * i:2 * i + 2] for i in range(count))))
    steps = list(src[2:])
    if form == 3:
        steps = ranged(src[3:], count, 8, [layout[1], groups(layout)[0]], [1, 1, count, 0], [src[2]] * count)
    base = src[0] | src[1] << 8
    return [struct.unpack("<f", struct.pack("<I", base + d - 1 << 18))[0] if d else 0.0 for d in steps]


def forms_of(forms):
    return forms & 15, forms >> 4 & 3, forms >> 6


def lists(bits, count, zeros, levels):
    """The bytes of zero points and levels."""
    return ((count * bits + 7) // 8 if zeros else 0) + (0, 2 << bits, 4 << bits, 4)[levels]


def values(e, codes, params):
    bits, layout, n, forms = e["bits"], e["layout"], e["n"], e["forms"]
    per, group = groups(layout)
    count = layout[1] * per
    start, zeros = 0, lists(bits, count, forms >> 4 & 3, 0)
    if forms >> 4 & 3 == 2:
        zeros, start = uv(params, 0)
    levels = lists(bits, count, 0, forms >> 6)
    cut = len(params) - zeros - levels
    scales = scales_of(params[start:cut], forms & 15, layout, count)
    z = [1 << bits - 1] * count
    if forms >> 4 & 3 == 1:
        z = unpack(params[cut:cut + zeros], count, bits)
    elif zeros:
        z = ranged(params[cut:cut + zeros], count, bits, [layout[1], per], [1, 1, count, 0], z)
    tail = struct.unpack("<%d%s" % (levels // (2 if forms >> 6 == 1 else 4), "e" if forms >> 6 == 1 else "f"), params[cut + zeros:])
    if forms >> 6 == 3:
        scales, tail = [f32(s * tail[0]) for s in scales], ()
    if e["codec"] == 3:
        nearest = min(range(len(tail)), key=lambda i: abs(tail[i])) if tail else 0
        q = ranged(codes, n, bits, e["shape"], layout, [nearest] * n if tail else [z[g] for g in group])
    else:
        q = unpack(codes, n, bits) if e["codec"] == 0 else huffman(codes, n, bits)
    unit = [tail[x] for x in q] if tail else [x - z[g] for x, g in zip(q, group)]
    return b"".join(struct.pack("<f", f32(u * scales[g])) for u, g in zip(unit, group))


def entry(x):
    e = {"name": x.str(), "type": x.uv()}
    e["shape"] = [x.uv() for _ in range(x.uv())]
    e["n"] = 1
    for d in e["shape"]:
        e["n"] *= d
    state = x.take("B")
    want(state <= 2, "state")
    if state == 0:
        x.str()
        e["blob"] = x.blob()
        return e
    x.str(), x.take("f")
    e["bits"], e["layout"] = x.take("B"), [x.uv() for _ in range(4)]
    e["codec"] = x.take("B")
    if state == 1:
        e["codes"], _, e["forms"], e["params"], _ = x.uv(), x.take("I"), x.take("B"), x.uv(), x.take("I")
        return e
    e["codes"] = x.uv() if e["codec"] else (e["n"] * e["bits"] + 7) // 8
    e["forms"] = x.take("B")
    count, (scales, zeros, levels) = e["layout"][1] * groups(e["layout"])[0], forms_of(e["forms"])
    e["params"] = x.uv() if scales == 3 or zeros == 2 else (4, 2, 1)[scales] * count + (2 if scales == 2 else 0) + lists(e["bits"], count, zeros, levels)
    x.take("I")
    return e


def read(b):
    want(b[:8] == b"\x8bbq1\r\n\x1a\n" and b[-8:] == b"\n\x1a\n\r1qb\x8b", "signature")
    offset, stored, raw, _, codec, size = struct.unpack_from("<QQQIB3xQ", b, len(b) - 80)
    want(size == len(b) and hashlib.sha256(b[:-40]).digest() == b[-40:-8], "length or digest")
    x, place = Index(expand(codec, b[offset:offset + stored], raw, 0)), 8
    for _ in range(x.uv()):
        x.str(), x.str()
    graph = x.blob()
    entries = [entry(x) for _ in range(x.uv())]

    def section(n):
        nonlocal place
        place += -place % 8 + n
        return b[place - n:place]
    yield "graph", hashlib.sha256(expand(graph[0], section(graph[2]), graph[1], 0)).hexdigest()
    for e in entries:
        if "blob" in e:
            codec, raw, stored, _ = e["blob"]
            out = expand(codec, section(stored), raw, raw // e["n"] if e["n"] and raw % e["n"] == 0 else 1)
        else:
            both = section(e["codes"] + e["params"])
            out = values(e, both[:e["codes"]], both[e["codes"]:])
        yield e["name"].hex(), hashlib.sha256(out).hexdigest()


for path in sys.argv[1:]:
    with open(path, "rb") as f:
        for name, digest in read(f.read()):
            print(digest, name)
