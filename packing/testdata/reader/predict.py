"""The predictors of FORMAT.md: arithmetic code, chances, mixing, and mixed sections. Made from that document alone."""
import bisect

M32 = (1 << 32) - 1


class Bad(Exception):
    """The file is not as FORMAT.md says."""


def want(ok, what):
    if not ok:
        raise Bad(what)


# Numbers of the predictors.
E = [1 << 30]
for _ in range(2047):
    E.append(E[-1] * 4278222805 >> 32)
LOW = [(e << 16) // ((1 << 30) + e) for e in E]
SQUASH = [LOW[2047]] + [LOW[-d] if d <= 0 else 65536 - LOW[d] for d in range(-2047, 2048)]  # at d + 2048
STRETCH = [bisect.bisect_left(SQUASH, 16 * u + 8, 1) - 2048 for u in range(2048)]
STRETCH += [-d for d in reversed(STRETCH)]
PACE = [(2 << 16) // (2 * n + 3) for n in range(1024)]
EVEN = 1 << 21


def wrap(w):
    return (w + (1 << 31) & M32) - (1 << 31)


class Arith:
    """Reads bits from src; with src None it "writes" zero bits nowhere: code is told the bits."""

    def __init__(self, src):
        self.low, self.high, self.src, self.pos, self.code = 0, M32, src, 0, 0
        for _ in range(4):
            self.next()

    def next(self):
        self.code = self.code << 8 & M32 | (self.src[self.pos] if self.pos < len(self.src) else 0)
        self.pos += 1

    def bit(self, p):
        mid = self.low + ((self.high - self.low) * p >> 16)
        y = int(self.code <= mid)
        if y:
            self.high = mid
        else:
            self.low = mid + 1
        while (self.low ^ self.high) >> 24 == 0:
            self.low, self.high = self.low << 8 & M32, self.high << 8 & M32 | 255
            self.next()
        return y

    def ended(self):
        for t in range(5):
            step = 1 << 32 - 8 * t
            v = (self.low + step - 1) // step * step
            if v <= self.high:
                return self.code == v and len(self.src) == self.pos - 4 + t


def learn(c, y, most=1023):
    c[0] += ((y << 22) - c[0]) * PACE[c[1]] >> 16
    c[1] = min(c[1] + 1, most)


def mix(coder, chances, weights, speed, y=None):
    """Codes a bit (given, where y is) by (chance, whether its logit is negated) and moves the weights."""
    t = [0 if c is None else -STRETCH[c[0] >> 10] if neg else STRETCH[c[0] >> 10] for c, neg in chances]
    p = SQUASH[max(-2047, min(2047, sum(a * b for a, b in zip(t, weights)) >> 16)) + 2048]
    if y is None:
        y = coder.bit(p)
    e = speed((y << 16) - p)
    for i, a in enumerate(t):
        weights[i] = wrap(weights[i] + (a * e + 32768 >> 16))
    return y


class Text:
    """Mixed sections."""
    M = 0x2F0B4C47

    def __init__(self, n, stride):
        self.z, self.stride = min(20, max(12, n.bit_length() + 3)), stride
        self.table, self.found, self.weights, self.heads = {}, [[EVEN, 0] for _ in range(32)], {}, {}
        self.out, self.word, self.field, self.match, self.length, self.coder = bytearray(), 0, 0, 0, 0, None
        self.contexts()

    def back(self, i):
        return self.out[-i] if i <= len(self.out) else 0

    def contexts(self):
        M, s, b = self.M, self.stride, self.back
        if s:
            v = (0, b(1), b(s), b(s) << 8 | b(1), b(s) << 8 | b(2 * s))
            self.c = [((x << 3 | i) * 16 + len(self.out) % s + 1) * M & M32 for i, x in enumerate(v)]
            return
        self.c, x = [0], 0
        for i in (1, 2, 3):
            x = (x + b(i) + 1) * M & M32
            x ^= x >> 15
            self.c.append(x + (i << 28) & M32)
        self.c.append((self.word + 3 * self.field + 99) * M & M32)

    def byte(self, given=None):
        c = 1
        for i in range(7, -1, -1):
            expected = None
            if self.length:
                e = self.out[self.match] | 256
                if e >> i + 1 == c:
                    expected = e >> i & 1
                else:
                    self.length = 0
            chances = [self.table.setdefault((h + c * 0x9E3779B1) * 0x85EBCA6B % (1 << 32) >> 32 - self.z, [EVEN, 0]) for h in self.c]
            found = None if expected is None else self.found[min(self.length, 31)]
            key = c + (0 if found is None else 512 if self.length >= 16 else 256)
            y = mix(self.coder, [(x, False) for x in chances] + [(found, expected == 0)], self.weights.setdefault(key, [16000] * 6),
                    lambda e: e * 5, None if given is None else given >> i & 1)
            for x in chances:
                learn(x, y, 10)
            if found:
                learn(found, int(y == expected))
            c = c << 1 | y
        self.add(c & 255)

    def add(self, b):
        if self.length:
            self.length = self.length + 1 if self.out[self.match] == b else 0
            self.match += 1
        self.out.append(b)
        if not self.stride:
            if 97 <= b | 32 <= 122 or b > 127:
                self.word = (self.word + b) * self.M & M32
                self.word ^= self.word >> 13
            elif not 48 <= b <= 57:
                self.field, self.word = self.word + b & M32, 0
            x = 0
            for i in range(1, 6):
                x = (x + self.back(i) + 1) * self.M & M32
            p, h = x >> 36 - self.z, len(self.out)
            a = self.heads.get(p, 0)
            if not self.length and a:
                n = 0
                while n < min(32, a) and self.out[a - 1 - n] == self.out[h - 1 - n]:
                    n += 1
                if n >= 4:
                    self.match, self.length = a, n
            self.heads[p] = h
        self.contexts()


def text(src, n, stride=0, dictionary=b""):
    m = Text(n + len(dictionary), stride)
    for b in dictionary:
        m.byte(b)
    m.coder = Arith(src)
    for _ in range(n):
        m.byte()
    want(m.coder.ended(), "mixed section does not end where its code does")
    return bytes(m.out[len(dictionary):])
