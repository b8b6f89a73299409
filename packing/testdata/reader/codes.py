"""The codes sections of FORMAT.md: packed, Huffman coded, range coded. Made from that document and RFC 8878 alone."""
import os
import re
import struct

from predict import EVEN, Arith, learn, mix, want

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def unpack(src, n, bits):
    want(len(src) == (n * bits + 7) // 8, "packed length")
    mask = (1 << bits) - 1
    return [int.from_bytes(src[i * bits >> 3:(i * bits >> 3) + 3], "little") >> (i * bits & 7) & mask for i in range(n)]


def uv(b, at):
    v = shift = 0
    while True:
        v, shift, at = v | (b[at] & 127) << shift, shift + 7, at + 1
        if b[at - 1] < 128:
            return v, at


def parts(src, n, size):
    k = -(-n // size)
    lengths, at, out = [], 0, []
    for _ in range(k - 1):
        v, at = uv(src, at)
        lengths.append(v)
    for i, v in enumerate(lengths + [len(src) - at - sum(lengths)]):
        out.append((src[at:at + v], min(n, (i + 1) * -(-n // k)) - min(n, i * -(-n // k))))
        at += v
    return out


# Codes, codec 2.
def huffman_lengths(src):
    """RFC 8878, 4.2.1: the code lengths of the symbols, and what is left of src."""
    if src[0] >= 128:
        n = src[0] - 127
        w = [src[1 + i // 2] >> (4 if i % 2 == 0 else 0) & 15 for i in range(n)]
        rest = src[1 + (n + 1) // 2:]
    else:
        w, rest = fse_weights(src[1:1 + src[0]]), src[1 + src[0]:]
    total = sum(1 << x - 1 for x in w if x)
    most = total.bit_length()
    left = (1 << most) - total
    want(left & left - 1 == 0 and most <= 11, "Huffman weights")
    w.append(left.bit_length())
    return [most + 1 - x if x else 0 for x in w], most, rest


def fse_weights(src):
    """RFC 8878, 4.1: two interleaved states of one table."""
    x, at = int.from_bytes(src, "little"), 4
    log, left, counts = (x & 15) + 5, 1 << (x & 15) + 5, []
    while left > 0:
        size = (left + 1).bit_length()
        v, short = x >> at & (1 << size) - 1, (1 << size) - 2 - left
        if v & (1 << size - 1) - 1 < short:
            v, at = v & (1 << size - 1) - 1, at + size - 1
        else:
            v, at = v - short if v >= 1 << size - 1 else v, at + size
        counts.append(v - 1)
        left -= abs(v - 1)
        while v == 1:
            v, at = (1 if x >> at & 3 == 3 else 0), at + 2
            counts += [0] * (x >> at - 2 & 3)
    table, high = [None] * (1 << log), (1 << log) - 1
    for s, c in enumerate(counts):
        if c == -1:
            table[high], high = s, high - 1
    at, place, step = (at + 7) // 8, 0, (1 << log - 1) + (1 << log - 3) + 3
    for s, c in enumerate(counts):
        for _ in range(c):
            table[place] = s
            place = place + step & (1 << log) - 1
            while place > high:
                place = place + step & (1 << log) - 1
    nexts, rows = [1 if c == -1 else c for c in counts], []
    for s in table:
        bits = log + 1 - nexts[s].bit_length()
        rows.append((s, bits, (nexts[s] << bits) - (1 << log)))
        nexts[s] += 1
    x, out = int.from_bytes(src[at:], "little"), []
    at = x.bit_length() - 1  # below the mark

    def take(n):
        nonlocal at
        at -= n
        return x >> at & (1 << n) - 1 if at >= 0 else (x << -at) & (1 << n) - 1
    states = [take(log), take(log)]
    while True:
        s, bits, base = rows[states[0]]
        out.append(s)
        if at < bits:
            return out + [rows[states[1]][0]]
        states = [states[1], base + take(bits)]


def stream(src, n, lengths, most):
    """RFC 8878, 4.2.2: n symbols, the last bits first."""
    codes, code = {}, 0
    for length in range(most, 0, -1):
        for s, x in enumerate(lengths):
            if x == length:
                codes[length, code >> most - length] = s
                code += 1 << most - length
    x, out = int.from_bytes(src, "little"), []
    bits = bin(x)[3:]  # below the mark
    at = 0
    for _ in range(n):
        v = length = 0
        while (length, v) not in codes:
            v, length, at = v << 1 | int(bits[at]), length + 1, at + 1
        out.append(codes[length, v])
    want(at == len(bits), "Huffman stream")
    return out


def block(src, n):
    if src[0] < 2:
        return list(src[1:]) if src[0] == 0 else [src[1]] * n
    lengths, most, rest = huffman_lengths(src[1:])
    if src[0] == 2:
        return stream(rest, n, lengths, most)
    ends, at, out = list(struct.unpack("<3H", rest[:6])) + [len(rest)], 6, []
    for i, size in enumerate(ends):
        out += stream(rest[at:at + size], min((n + 3) // 4, n - i * ((n + 3) // 4)), lengths, most)
        at += size
    return out


def huffman(src, n, bits):
    t, low = src[0], max(0, bits - 8)
    at = len(src) - (n * low + 7) // 8
    symbols = [s for part, m in parts(src[1:at], -(-n // t), min(1 << 17, (1 << 18) // t)) for s in block(part, m)]
    if low:
        return [s << low | x for s, x in zip(symbols, unpack(src[at:], n, low))]
    return [symbols[i // t] >> i % t * bits & (1 << bits) - 1 for i in range(n)]


# Codes, codec 3.
def tables():
    with open(os.path.join(HERE, "FORMAT.md"), encoding="utf-8") as f:
        doc = f.read()
    return [list(map(int, re.search(name + r":\n\n```\n(.*?)```", doc, re.S).group(1).split())) for name in ("nonzero", "longer", "upper")]


def at(table, k):
    return table[max(0, min(95, k + 32))]


def half(x):
    return x if x < 2 else 2 * (x.bit_length() - 1) + (x >> x.bit_length() - 2 & 1)


def quarter(x):
    return x if x < 4 else 4 * (x.bit_length() - 2) + (x >> x.bit_length() - 3 & 3)


def geometry(shape, layout, n):
    o, c, i, _ = layout
    dims = [d for d in shape if d != 1]

    def behind(done):
        product = 1
        for d in dims:
            if product == done:
                return d
            product *= d
        return 1
    if c > 1 and o == 1:
        columns, kernel = i, i // behind(c)
    elif c > 1:
        columns, kernel = c * i, i
    else:
        columns, kernel = n, 1
        if behind(1) < n:
            columns = n // behind(1)
            kernel = columns // behind(behind(1))
    return min(columns, 1 << 16), min(kernel, 1 << 16)


class Chunk:
    """The model of one chunk of codes."""

    def __init__(self, src, bits, prior):
        want(src and src[0] & ~64 <= 37, "class of magnitude")
        self.base, self.coder, self.prior, self.asks = src[0] & ~64, Arith(src[1:]), prior, src[0] & 64
        self.heads, self.repeats, self.match, self.length = {}, [[EVEN, 0] for _ in range(32)], 0, 0
        f = self.reach(2 * self.base)
        self.first = 1 if bits <= 3 else max([1] + [j for j in range(1, 17) if f[j] >= 1 << 15])
        self.slots, self.mixers, self.signs, self.rest = {}, {}, {}, {}

    def reach(self, k):
        nonzero, longer, _ = self.prior
        f = [1 << 16, at(nonzero, k)]
        for j in range(2, 17):
            f.append(f[-1] * at(longer, k - 4 * (j - 2)) >> 16)
        return f + [0]

    def slot(self, key, k, seen):
        if key not in self.slots:
            k = max(-32, min(63, k))
            f, s = self.reach(k), [None] * 32
            for j in range(1, 17):
                up, every = f[j], f[j - 1] if j > self.first else 1 << 16
                if j < self.first:
                    up, every = f[j] - f[j + 1], (1 << 16) - f[j + 1]
                s[j % 16] = [(max(64, min(65472, (up << 16) // every)) if every else 64) << 6, seen]
            for e in range(1, 16):
                s[16 + e] = [at(self.prior[2], k - 4 * e) << 6, seen]
            self.slots[key] = s
        return self.slots[key]

    def mixed(self, chances, weights, start):
        w = self.mixers.setdefault(weights, [[start] * 4, 0])
        y = mix(self.coder, [(c, False) for c in chances], w[0], lambda e: e * (2048 // (16 + w[1])) >> 4)
        w[1] = min(w[1] + 1, 144)
        for c in chances:
            learn(c, y)
        return y

    def bit(self, zero, place):
        first = self.slot(("0", zero), 2 * self.base, 12)
        return self.mixed([first[place]] + [s[place] for s in self.context], place, 18000)

    def alone(self, c):
        y = self.coder.bit(max(22, min(65514, c[0] >> 6)))
        learn(c, y)
        return y

    def repeat(self, out, below, above):
        """Whether the next value is the expected one, which is then added to out."""
        if self.length and not -below <= out[self.match] <= above:
            self.length = 0
        if not self.length or not self.alone(self.repeats[min(self.length, 31)]):
            self.length = 0
            return False
        out.append(out[self.match])
        self.match, self.length = self.match + 1, self.length + 1
        return True

    def follow(self, out):
        h, x, n = len(out), 0, 0
        if h < 4:
            return
        for v in out[-4:]:
            x = (x + v + 1) * 0x2F0B4C47 & 0xFFFFFFFF
        a = self.heads.get(x >> 17, 0)
        if not self.length and a:
            while n < min(32, a) and out[a - 1 - n] == out[h - 1 - n]:
                n += 1
            if n >= 5:
                self.match, self.length = a, n
        self.heads[x >> 17] = h

    def value(self, below, above, contexts, signs):
        a, b, f = contexts
        k = 2 * self.base - 16
        self.context = [self.slot(("A", a), a // 16 + a % 16 + k, 6), self.slot(("B", b), b // 16 + b % 16 + k, 6), self.slot(("F", f), f + k, 6)]

        def ask(zero, j):
            return self.bit(zero, j % 16)

        def sign(size):
            if below < 1 << size - 1 or above < 1 << size - 1:
                return int(above < 1 << size - 1)
            keys = [(0, size)] + [(i + 1, s) for i, s in enumerate(signs)]
            return self.mixed([self.signs.setdefault(key, [EVEN, 10]) for key in keys], "sign", 14000)
        largest = max(below, above).bit_length()
        j = min(self.first, largest)
        if not ask(0, j):
            j -= 1
            while j > 0 and not ask(0, j):
                j -= 1
            if j == 0:
                return 0
            y = sign(j)
        elif j == 1:
            y = sign(1)
            while j < (below if y else above).bit_length() and ask(1 + y, j + 1):
                j += 1
        else:
            while j < largest and ask(0, j + 1):
                j += 1
            y = sign(j)
        e, u, limit = j - 1, 1, below if y else above
        for k in range(e - 1, -1, -1):
            if (2 * u + 1) << k > limit:
                b = 0
            elif k == e - 1:
                b = self.bit(1 + y, 16 + e)
            elif k >= e - 3:
                b = self.alone(self.rest.setdefault((y, e, u), [EVEN, 10]))
            else:
                b = self.coder.bit(1 << 15)
            u = 2 * u + b
        return -u if y else u


def chunk(src, bits, centres, columns, kernel, column, prior):
    m, out = Chunk(src, bits, prior), []
    b = m.base + 2
    past = row = 19 * ((2 | b & 1) << b // 2 - 1)
    cols, seen, rows = [0] * columns, [0] * columns, 3

    def r(x):
        return max(0, min(15, half(x) - 2 - m.base + 8))

    def a(i):
        return abs(out[-i]) if 0 < i <= len(out) else 0

    def s(i):
        return 0 if i > len(out) or out[-i] == 0 else 2 if out[-i] < 0 else 1

    def follow(average, v, n):
        return average + ((256 * v - average) * ((2 << 16) // (2 * n + 3)) >> 16)
    for c in centres:
        col = cols[column]
        if not seen[column]:
            col = cols[column - kernel] if column >= kernel and seen[column - kernel] else past
        near = 8 * (a(1) + a(kernel)) if kernel > 1 else 5 * (2 * a(1) + a(2))
        above = 4 * (2 * a(columns) + a(2 * columns) + a(columns - 1))
        contexts = 16 * r(row >> 4) + r(col >> 4), 16 * r(near) + r(above), max(0, min(63, quarter(row + col >> 5) - 2 * m.base + 16))
        signs = 3 * s(1) + s(columns), 9 * s(2) + 3 * s(1) + s(kernel), 9 * s(2 * columns) + 3 * s(columns) + s(kernel)
        top = (1 << bits) - 1 - c
        if not m.asks or not m.repeat(out, c, top):
            out.append(m.value(c, top, contexts, signs))
        if m.asks:
            m.follow(out)
        v = out[-1]
        row, rows = follow(row, abs(v), min(15, rows)), rows + 1
        cols[column], seen[column] = follow(cols[column], abs(v), seen[column]), min(31, seen[column] + 1)
        past += 256 * abs(v) - past >> 6
        column += 1
        if column == columns:
            column, row, rows = 0, past, 3
    want(m.coder.ended(), "chunk does not end where its code does")
    want(max(0, half(16 * sum(map(abs, out)) // len(out)) - 2) == m.base, "class of magnitude")
    return [c + v for c, v in zip(centres, out)]


def ranged(src, n, bits, shape, layout, centres, prior=[]):
    if not prior:
        prior += tables()
    columns, kernel = geometry(shape, layout, n)
    out = []
    for part, m in parts(src, n, 1 << 17):
        out += chunk(part, bits, centres[len(out):len(out) + m], columns, kernel, len(out) % columns, prior)
    return out
