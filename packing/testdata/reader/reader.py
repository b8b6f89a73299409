"""A second reader of .bq files, made from FORMAT.md alone: python3 reader.py FILE...

It prints the SHA-256 of the graph, of the data of kept tensors and of the float32 values that
codes stand for, each with its name. Frames and Huffman codes need the program zstd.
"""
import hashlib
import io
import math
import os
import struct
import sys
from ctypes import c_float

from codes import HERE, huffman, ranged, unpack, unzstd, uv
from predict import text

def number(r, size):
    return int.from_bytes(r.read(size), "little")

def blob(r):
    codec, raw = number(r, 1), uv(r)
    return {"codec": codec, "raw": raw, "stored": uv(r) if codec else raw, "sum": number(r, 4)}

def entry(r):
    e = {"name": r.read(uv(r)).hex(), "type": uv(r), "shape": [uv(r) for _ in range(uv(r))]}
    e["n"], state, e["label"] = math.prod(e["shape"]), number(r, 1), r.read(uv(r))
    if state == 0:
        return e | blob(r)
    e["p"], bits = number(r, 4), number(r, 1)
    e["layout"] = outer, channels, inner, block = [uv(r) for _ in range(4)]
    e["bits"], e["codec"] = bits, number(r, 1)
    e["per"] = 0 if e["n"] == 0 else -(-outer * inner // block) if block else 1
    e["groups"] = groups = channels * e["per"]
    e["codes"] = uv(r) if state == 1 or e["codec"] else (e["n"] * bits + 7) // 8
    number(r, 4 if state == 1 else 0)
    forms = number(r, 1)
    e["forms"] = scales, zeros, levels = forms & 15, forms >> 4 & 3, forms >> 6
    e["zeros"] = (groups * bits + 7) // 8 if zeros else 0
    e["levels"] = (0, 2 << bits, 4 << bits, 4)[levels]
    length = (4 * groups, 2 * groups, 2 + groups, 0)[scales] + e["zeros"] + e["levels"]
    e["params"] = uv(r) if state == 1 or scales == 3 or zeros == 2 else length
    number(r, 4)
    return e

def coded_list(src, e, bits, centre):
    n = e["groups"]
    return ranged(src, n, bits, [e["layout"][1], e["per"]], [1, 1, n, 0], [centre] * n)

def scales_of(src, form, e):
    if form == 0:
        return struct.unpack("<%df" % e["groups"], src)
    if form == 1:
        words = [x << 16 for x in struct.unpack("<%dH" % e["groups"], src)]
    else:
        steps = src[2:] if form == 2 else coded_list(src[3:], e, 8, src[2])
        base = src[0] | src[1] << 8
        words = [base + d - 1 << 18 if d else 0 for d in steps]
    return struct.unpack("<%df" % len(words), struct.pack("<%dI" % len(words), *words))

def values(e, codes, params):
    """The bytes of the float32 values that the codes of a tensor stand for."""
    bits, n, (outer, channels, inner, block) = e["bits"], e["n"], e["layout"]
    r, z, (form, zeros, levels) = io.BytesIO(params), [1 << e["bits"] - 1] * e["groups"], e["forms"]
    e["zeros"] = uv(r) if zeros == 2 else e["zeros"]
    scales = scales_of(r.read(len(params) - r.tell() - e["zeros"] - e["levels"]), form, e)
    if zeros:
        stored = r.read(e["zeros"])
        z = unpack(stored, len(z), bits) if zeros == 1 else coded_list(stored, e, bits, z[0])
    size, kind = (2, "e") if levels == 1 else (4, "f")
    level = struct.unpack("<%d%s" % (e["levels"] // size, kind), r.read())
    if levels == 3:
        scales, level = [c_float(s * level[0]).value for s in scales], ()
    group = [c * e["per"] + ((o * inner + i) // block if block else 0)
             for o in range(outer) for c in range(channels) for i in range(inner)]
    nearest = min(range(len(level)), key=lambda q: abs(level[q]), default=0)
    centres = [nearest if level else z[g] for g in group]
    if e["codec"] == 3:
        codes = ranged(codes, n, bits, e["shape"], e["layout"], centres)
    else:
        codes = (huffman if e["codec"] else unpack)(codes, n, bits)
    units = [level[q] if level else q - c for q, c in zip(codes, centres)]
    return struct.pack("<%df" % n, *[c_float(u * scales[g]).value for u, g in zip(units, group)])

def expand(codec, src, raw, n=0):
    if codec < 2:
        return unzstd(src) if codec else src
    if codec == 3:
        with open(os.path.join(HERE, "dictionary.bin"), "rb") as f:
            return text(src, raw, 0, f.read())
    return text(src, raw, (raw // n if raw % n == 0 else 1) if codec == 4 else 0)

def read(b):
    at, stored, raw, _, codec, size = struct.unpack_from("<QQQIB3xQ", b, len(b) - 80)
    if (size, hashlib.sha256(b[:-40]).digest(), b[:8]) != (len(b), b[-40:-8], b[:-9:-1]):
        raise ValueError("signature, length or digest")
    r, place = io.BytesIO(expand(codec, b[at:at + stored], raw)), 8
    for _ in range(2 * uv(r)):
        r.read(uv(r))
    for e in [blob(r) | {"name": "graph"}] + [entry(r) for _ in range(uv(r))]:
        place += -place % 8
        if "raw" in e:
            end = place + e["stored"]
            out = expand(e["codec"], b[place:end], e["raw"], e.get("n", 0))
        else:
            middle, end = place + e["codes"], place + e["codes"] + e["params"]
            out = values(e, b[place:middle], b[middle:end])
        place = end
        print(hashlib.sha256(out).hexdigest(), e["name"])

for path in sys.argv[1:]:
    with open(path, "rb") as f:
        read(f.read())
