"""Writes every file of testdata/ anew: python generate.py [FOLDER] [digits] [chars] [small]"""

import os
import sys

import torch

PARTS = ("digits", "chars", "small")


def main(arguments):
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    here = os.path.dirname(os.path.abspath(__file__))
    folders = [a for a in arguments if a not in PARTS]
    folder = folders[0] if folders else os.path.dirname(here)
    os.makedirs(os.path.join(folder, "small"), exist_ok=True)
    for part in PARTS:
        if part in arguments or not set(arguments) & set(PARTS):
            __import__(part).generate(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
