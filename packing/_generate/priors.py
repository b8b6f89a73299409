"""Prints priors.go, the probabilities that the contexts of the range coder start with:

    python3 priors.py >../priors.go

The model behind them: a value is a weight over its step, rounded; the weight is normal, with a scale that its neighbours
tell up to a factor, whose logarithm is normal with the deviation SPREAD. Index k of a table stands for neighbours of the mean
magnitude 2^((k - BASE - 12)/4).
"""
import math

SPREAD = 0.7
BASE = 32  # index of k = 0
SIZE = 96
LEAST = 64  # nothing starts surer than this of 65536

MIX = [(d / 4 * SPREAD, math.exp(-d * d / 32)) for d in range(-12, 13)]
TOTAL = sum(w for _, w in MIX)


def beyond(scale, x):
    """The probability that a value is x or more, x > 0."""
    return sum(w * math.erfc((x - 0.5) / (scale * math.exp(t)) / math.sqrt(2)) / 2 for t, w in MIX) / TOTAL


def mean(scale):
    """The mean magnitude of the values."""
    if scale > 40:
        return sum(w * scale * math.exp(t) * math.sqrt(2 / math.pi) for t, w in MIX) / TOTAL
    return sum(2 * beyond(scale, n) for n in range(1, int(12 * scale * math.exp(3 * SPREAD)) + 3))


def scale_of(magnitude):
    low, high = 1e-3, 1e6
    for _ in range(50):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if mean(middle) < magnitude else (low, middle)
    return middle


def not_zero(k):
    return 2 * beyond(scale_of(2 ** ((k - 12) / 4)), 1)


# The two below depend on k and the exponent e only by k - 4e; e is one at which the rounding no longer matters.
def scale_at(k, e):
    return 2 ** ((k - 12) / 4 + e) * math.sqrt(math.pi / 2)


def longer(k, e=2):
    """Of the values that reach 2^e, the part that reaches 2^(e+1)."""
    return beyond(scale_at(k, e), 2 << e) / max(beyond(scale_at(k, e), 1 << e), 1e-300)


def upper(k, e=3):
    """Of the values from 2^e up to 2^(e+1), the part in the upper half."""
    a, b, c = (beyond(scale_at(k, e), x) for x in (1 << e, 3 << e >> 1, 2 << e))
    return (b - c) / max(a - c, 1e-300)


def table(name, comment, chance):
    print(f"\n// {comment}\nvar {name} = [priorSize]uint16{{")
    row = [max(LEAST, min(65536 - LEAST, round(65536 * chance(k - BASE)))) for k in range(SIZE)]
    for i in range(0, SIZE, 12):
        print("\t" + ", ".join(map(str, row[i:i + 12])) + ",")
    print("}")


print("package packing\n\n// Made by _generate/priors.py, which tells what they are. Do not edit.")
print(f"\nconst (\n\tpriorBase = {BASE} // index of k = 0\n\tpriorSize = {SIZE}\n)")
table("priorNonzero", "That a value is not zero, by k.", not_zero)
table("priorLonger", "That a value that reaches 2^e reaches 2^(e+1), by k - 4e.", longer)
table("priorUpper", "That a value from 2^e up to 2^(e+1) is in the upper half, by k - 4e.", upper)
