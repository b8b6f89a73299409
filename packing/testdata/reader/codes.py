"""The codes of tensors, as FORMAT.md has them: packed, Huffman coded, range coded."""
import functools
import io
import os
import re
import subprocess

from predict import EVEN, STRETCH, Arith, Match, learn, mix

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

def unzstd(frame):
    return subprocess.run(["zstd", "-dc"], input=frame, stdout=subprocess.PIPE, check=True).stdout

def uv(r):
    v = shift = 0
    while (b := r.read(1)[0]) >= 128:
        v, shift = v | (b & 127) << shift, shift + 7
    return v | b << shift

def parts(src, n, size):
    """The parts of a coded section of n items, each with how many it holds."""
    r, count = io.BytesIO(src), -(-n // size)
    lengths, each = [uv(r) for _ in range(count - 1)] + [-1], -(-n // count)
    return [(r.read(length), min(each, n - i * each)) for i, length in enumerate(lengths)]

def unpack(src, n, bits):
    at = range(0, n * bits, bits)
    words = [int.from_bytes(src[i >> 3:(i >> 3) + 3], "little") >> (i & 7) for i in at]
    return [word & (1 << bits) - 1 for word in words]

def huffman(src, n, bits):
    """Blocks hold what literals of Zstandard's blocks do: a frame of such makes symbols of them."""
    together, low = src[0], max(0, bits - 8)
    end, frame = len(src) - (n * low + 7) // 8, bytes.fromhex("28b52ffd0038")
    for part, m in parts(src[1:end], -(-n // together), min(1 << 17, (1 << 18) // together)):
        if part[0] < 2:  # as they are, or one that repeats
            frame += (m << 3 | part[0] << 1).to_bytes(3, "little") + part[1:]
            continue
        size, shift, kind = (3, 14, 2) if part[0] == 2 else (5, 22, 14)
        literals = (kind | m << 4 | len(part) - 1 << shift).to_bytes(size, "little") + part[1:]
        frame += (len(literals) + 1 << 3 | 4).to_bytes(3, "little") + literals + b"\0"
    symbols = unzstd(frame + b"\1\0\0")
    if low:
        return [s << low | x for s, x in zip(symbols, unpack(src[end:], n, low))]
    return [symbols[i // together] >> i % together * bits & (1 << bits) - 1 for i in range(n)]

with open(os.path.join(HERE, "FORMAT.md"), encoding="utf-8") as doc:
    TABLES = re.findall(r"\n(nonzero|longer|upper):\n\n```\n(.*?)```", doc.read(), re.S)
TABLES = {name: [int(x) for x in numbers.split()] for name, numbers in TABLES}

def at(name, k):
    return TABLES[name][max(0, min(95, k + 32))]

@functools.cache
def start(k, place, first=0):
    """The chance of a place of a slot of class k, of 2^16: of f(j) alone where first is 0."""
    if place > 16:
        return at("upper", k - 4 * (place - 16))
    f = [1 << 16, at("nonzero", k)]
    for j in range(2, 17):
        f.append(f[-1] * at("longer", k - 4 * (j - 2)) >> 16)
    f, j = f + [0], place or 16
    up, every = f[j], f[j - 1] if j > first > 0 else 1 << 16
    if j < first:
        up, every = f[j] - f[j + 1], (1 << 16) - f[j + 1]
    return max(64, min(65472, (up << 16) // max(1, every)))

def floating(x, bits):
    """half(x) where one bit is kept behind the highest, quarter(x) where two are."""
    drop = x.bit_length() - 1 - bits
    return x if drop < 0 else (drop + 1 << bits) + (x >> drop & (1 << bits) - 1)

def geometry(shape, layout, n):
    """The columns of the matrix that a tensor is taken for, and those of a kernel."""
    outer, channels, inner, _ = layout
    behind, product, columns, kernel = {}, 1, channels * inner, inner
    for d in shape:
        if d != 1:
            behind[product], product = d, product * d
    if channels > 1 and outer == 1:
        columns, kernel = inner, inner // behind.get(channels, 1)
    elif channels == 1:
        first = behind.get(1, n)
        columns = n // first if first < n else n
        kernel = columns // behind.get(first, 1) if first < n else 1
    return min(columns, 1 << 16), min(kernel, 1 << 16)

class Chunk:
    """The model of a chunk, which remembers nothing of others."""
    def __init__(self, src, bits):
        self.base, self.asks, self.coder = src[0] & 63, src[0] & 64, Arith(src[1:])
        self.chances, self.mixers, self.match, self.first = {}, {}, Match(5, 15), 1
        while bits > 3 and self.first < 16 and start(2 * self.base, self.first + 1) >= 1 << 15:
            self.first += 1

    def alone(self, key, n):
        chance = self.chances.setdefault(key, [EVEN, n])
        y = self.coder.bit(max(22, min(65514, chance[0] >> 6)))
        learn(chance, y)
        return y

    def mixed(self, chances, mixer, weight):
        weights = self.mixers.setdefault(mixer, [[weight] * 4, 0])
        logits, pace = [STRETCH[chance[0] >> 10] for chance in chances], 2048 // (16 + weights[1])
        y = mix(self.coder.bit, logits, weights[0], pace, 4)
        weights[1] = min(weights[1] + 1, 144)
        for chance in chances:
            learn(chance, y)
        return y

    def bit(self, slot, place):
        chances = []
        for name, x, k, n in [("0", slot, 0, 12)] + self.contexts:
            p = start(max(-32, min(63, k + 2 * self.base)), place, self.first)
            chances.append(self.chances.setdefault((name, x, place), [p << 6, n]))
        return self.mixed(chances, place, 18000)

    def sign(self, size, limits, signs):
        if min(limits) < 1 << size - 1:
            return int(limits[0] < limits[1])
        keys = [("size", size)] + list(enumerate(signs))
        return self.mixed([self.chances.setdefault(k, [EVEN, 10]) for k in keys], "sign", 14000)

    def value(self, limits, signs):
        """A value, where limits are the largest magnitudes above and below 0."""
        top = max(limits).bit_length()
        size, slot, y = min(self.first, top), 0, None
        if not self.bit(0, size % 16):
            size -= 1
            while size and not self.bit(0, size % 16):
                size -= 1
            if size == 0:
                return 0
        else:
            if size == 1:
                y = self.sign(1, limits, signs)
                slot, top = 1 + y, limits[y].bit_length()
            while size < top and self.bit(slot, (size + 1) % 16):
                size += 1
        if y is None:
            y = self.sign(size, limits, signs)
        u = 1
        for k in range(size - 2, -1, -1):
            if (2 * u + 1) << k > limits[y]:
                b = 0
            elif k == size - 2:
                b = self.bit(1 + y, 15 + size)
            else:
                b = self.alone((y, size, u), 10) if k >= size - 4 else self.coder.bit(1 << 15)
            u = 2 * u + b
        return -u if y else u

    def decode(self, centres, bits, columns, kernel, column):
        base, match, out, cols, rows = self.base, self.match, [], {}, 0
        past = row = 19 * (2 + base % 2 << (base + 2) // 2 - 1)
        v, s = [0] * (2 * columns + 2), [0] * (2 * columns + 2)  # magnitudes and signs

        def bucket(x):
            return max(0, min(15, floating(x, 1) + 6 - base))

        def follow(average, n):
            return average + ((256 * v[-1] - average) * ((2 << 16) // (2 * n + 3)) >> 16)
        for c in centres:
            stored, seen = cols.get(column, (0, 0))
            col = stored if seen else cols.get(column - kernel, (past, 0))[0]
            a, b = bucket(row >> 4), bucket(col >> 4)
            near = 8 * (v[-1] + v[-kernel]) if kernel > 1 else 5 * (2 * v[-1] + v[-2])
            d = bucket(near)
            before = v[1 - columns] if columns > 1 else 0
            e = bucket(4 * (2 * v[-columns] + v[-2 * columns] + before))
            f = max(0, min(63, floating(row + col >> 5, 2) - 2 * base + 16))
            self.contexts = [("A", 16 * a + b, a + b - 16, 6), ("B", 16 * d + e, d + e - 16, 6)]
            self.contexts += [("F", f, f - 16, 6)]
            limits = (1 << bits) - 1 - c, c
            if match.length and not -c <= out[match.at] <= limits[0]:
                match.length = 0
            if match.length and self.alone(("repeat", min(match.length, 31)), 0):
                out.append(out[match.at])
            else:
                match.length = 0
                signs = 3 * s[-1] + s[-columns], 9 * s[-2] + 3 * s[-1] + s[-kernel]
                signs += (9 * s[-2 * columns] + 3 * s[-columns] + s[-kernel],)
                out.append(self.value(limits, signs))
            if self.asks and len(out) >= 4:
                match.follow(out, out[-4:])
            v.append(abs(out[-1]))
            s.append(2 if out[-1] < 0 else int(out[-1] > 0))
            row, rows = follow(row, min(15, 3 + rows)), rows + 1
            cols[column] = follow(stored, seen), min(31, seen + 1)
            past += 256 * v[-1] - past >> 6
            column += 1
            if column == columns:
                column, row, rows = 0, past, 0
        return [c + x for c, x in zip(centres, out)]

def ranged(src, n, bits, shape, layout, centres):
    out = []
    columns, kernel = geometry(shape, layout, n)
    for part, m in parts(src, n, 1 << 17):
        of = centres[len(out):len(out) + m]
        out += Chunk(part, bits).decode(of, bits, columns, kernel, len(out) % columns)
    return out
