"""Predicted bits, as FORMAT.md has them: arithmetic code, chances, mixing, mixed sections."""
import bisect

M, M32, EVEN = 0x2F0B4C47, (1 << 32) - 1, 1 << 21
E = [1 << 30]
for _ in range(2047):
    E.append(E[-1] * 4278222805 >> 32)
LOW = [(e << 16) // ((1 << 30) + e) for e in E]
SQUASH = LOW[:0:-1] + [LOW[0]] + [65536 - low for low in LOW[1:]]  # of d at d + 2047
STRETCH = [bisect.bisect_left(SQUASH, 16 * u + 8) - 2047 for u in range(2048)]
STRETCH += [-d for d in reversed(STRETCH)]

class Arith:
    """Reads bits from src, p / 2^16 being the probability of 1."""
    def __init__(self, src):
        self.low, self.high, self.rest = 0, M32, iter(src)
        self.code = sum(next(self.rest, 0) << shift for shift in (24, 16, 8, 0))

    def bit(self, p):
        mid = self.low + ((self.high - self.low) * p >> 16)
        y = int(self.code <= mid)
        self.low, self.high = (self.low, mid) if y else (mid + 1, self.high)
        while (self.low ^ self.high) >> 24 == 0:
            self.low, self.high = self.low << 8 & M32, self.high << 8 & M32 | 255
            self.code = self.code << 8 & M32 | next(self.rest, 0)
        return y

def learn(chance, y, most=1023):
    chance[0] += ((y << 22) - chance[0]) * ((2 << 16) // (2 * chance[1] + 3)) >> 16
    chance[1] = min(chance[1] + 1, most)

def mix(bit, logits, weights, factor, shift=0):
    """Reads a bit that logits predict, and moves their weights."""
    p = sum(t * w for t, w in zip(logits, weights)) >> 16
    p = SQUASH[max(-2047, min(2047, p)) + 2047]
    y = bit(p)
    e = ((y << 16) - p) * factor >> shift
    for i, t in enumerate(logits):
        weights[i] = (weights[i] + (t * e + 32768 >> 16) + (1 << 31) & M32) - (1 << 31)
    return y

class Match:
    """Expects out[at], what stood behind the last place that looks like the end of out."""
    def __init__(self, least, bits):
        self.least, self.bits, self.heads, self.length, self.at = least, bits, {}, 0, 0

    def follow(self, out, recent):
        if self.length:
            self.length = self.length + 1 if out[self.at] == out[-1] else 0
            self.at += 1
        x = same = 0
        for v in recent:
            x = (x + v + 1) * M & M32
        a, h = self.heads.get(x >> 32 - self.bits, 0), len(out)
        self.heads[x >> 32 - self.bits] = h
        while not self.length and same < min(32, a) and out[a - 1 - same] == out[h - 1 - same]:
            same += 1
        if same >= self.least:
            self.at, self.length = a, same

class Text:
    """The model of a mixed section of n bytes, of text where stride is 0."""
    def __init__(self, n, stride):
        self.z, self.stride, self.out = min(20, max(12, n.bit_length() + 3)), stride, bytearray()
        self.chances, self.weights, self.word, self.field = {}, {}, 0, 0
        self.match = Match(4, self.z - 4)

    def contexts(self):
        s, x = self.stride, 0
        b = self.out[:-2 * s - 4:-1].ljust(2 * s + 3, b"\0")  # b(i) is b[i - 1]
        if s:
            hashes = (0, b[0], b[s - 1], b[s - 1] << 8 | b[0], b[s - 1] << 8 | b[2 * s - 1])
            return [((8 * v + i) * 16 + len(self.out) % s + 1) * M for i, v in enumerate(hashes)]
        hashes = [0, (self.word + 3 * self.field + 99) * M]
        for i in (1, 2, 3):
            x = (x + b[i - 1] + 1) * M & M32
            x ^= x >> 15
            hashes.append(x + (i << 28))
        return hashes

    def byte(self, bit):
        c, hashes, match = 1, self.contexts(), self.match
        for i in range(7, -1, -1):
            places = [(h + c * 0x9E3779B1) * 0x85EBCA6B & M32 for h in hashes]
            chances = [self.chances.setdefault(p >> 32 - self.z, [EVEN, 0]) for p in places]
            logits = [STRETCH[c0 >> 10] for c0, _ in chances] + [0]
            if match.length and (self.out[match.at] | 256) >> i + 1 != c:
                match.length = 0
            if match.length:
                expected = self.out[match.at] >> i & 1
                found = self.chances.setdefault(("match", min(match.length, 31)), [EVEN, 0])
                logits[5] = STRETCH[found[0] >> 10] * (1 if expected else -1)
            key = c + (512 if match.length >= 16 else 256 if match.length else 0)
            y = mix(bit, logits, self.weights.setdefault(key, [16000] * 6), 5)
            for chance in chances:
                learn(chance, y, 10)
            if match.length:
                learn(found, int(y == expected))
            c = 2 * c | y
        b = c & 255
        self.out.append(b)
        if 97 <= b | 32 <= 122 or b > 127:
            self.word = (self.word + b) * M & M32
            self.word ^= self.word >> 13
        elif not 48 <= b <= 57:
            self.field, self.word = self.word + b, 0
        if not self.stride:
            self.match.follow(self.out, self.out[:-6:-1].ljust(5, b"\0"))

def text(src, n, stride=0, dictionary=b""):
    """Decodes a mixed section of n bytes; what is learned of a dictionary before stays."""
    model, coder = Text(n + len(dictionary), stride), Arith(src)
    known = iter([b >> i & 1 for b in dictionary for i in range(7, -1, -1)])
    for i in range(len(dictionary) + n):
        model.byte((lambda p: next(known)) if i < len(dictionary) else coder.bit)
    return bytes(model.out[len(dictionary):])
