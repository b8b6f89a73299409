"""corpus.txt: a snapshot of this project's own licence, prose and sources, for the character model.

Run it only to take a new snapshot; that changes chars.onnx and everything measured on it.
"""

import os
import subprocess

LIMIT = 400_000  # bytes
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
ROOMS = ("packing/", "balance/", "onnxio/", "internal/drift/", "internal/kernel/", "internal/infer/")


def order(name):
    """Prose first, then the rooms, plain sources before tests."""
    room = next((i for i, r in enumerate(ROOMS) if name.startswith(r)), len(ROOMS))
    return not name.endswith((".md", "LICENSE")), name.endswith("_test.go"), room, name


def names():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, text=True, capture_output=True, check=True)
    return sorted((n for n in tracked.stdout.split() if n.endswith((".go", ".md", "LICENSE"))
                   and not n.startswith("testdata/")), key=order)


def snapshot():
    text = ""
    for name in names():
        with open(os.path.join(ROOT, name), encoding="utf-8") as f:
            more = f.read()
        if len((text + more).encode()) > LIMIT:
            break
        text += more
    with open(os.path.join(HERE, "corpus.txt"), "w", encoding="utf-8") as f:
        f.write(text)


if __name__ == "__main__":
    snapshot()
