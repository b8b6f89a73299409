"""Images of digits and capital letters, drawn with fonts that matplotlib ships.

One sample is a 28x28 grey picture: a glyph at a random size, place, angle and shear, on a ground
of its own brightness, crossed by a few strokes, with noise. Pixels take 16 levels k/15.
"""

import os

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

CLASSES = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SIDE = 28
DRAWN = 2 * SIDE  # glyphs are drawn at twice the size and averaged down
LEVELS = 15

FONTS = [
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSerif", "DejaVuSerif-Bold",
    "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic",
    "STIXGeneralBolIta",
]
SIZES = range(30, 51, 4)  # font sizes at the drawn scale


def load_fonts():
    """All fonts at all sizes, in a fixed order."""
    folder = os.path.join(matplotlib.get_data_path(), "fonts", "ttf")
    return [ImageFont.truetype(os.path.join(folder, name + ".ttf"), size)
            for name in FONTS for size in SIZES]


def place(glyph, rng):
    """The glyph turned by up to 17 degrees, sheared, stretched and moved."""
    angle = rng.uniform(-0.3, 0.3)
    shear = rng.uniform(-0.25, 0.25)
    sx, sy = rng.uniform(0.85, 1.3, 2)
    dx, dy = rng.uniform(-6, 6, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    back = turn @ np.array([[sx, shear], [0, sy]])  # from the result's pixels to the glyph's
    middle = np.array([DRAWN / 2, DRAWN / 2])
    shift = middle - back @ (middle + [dx, dy])
    return glyph.transform((DRAWN, DRAWN), Image.Transform.AFFINE,
                           (*back[0], shift[0], *back[1], shift[1]), Image.Resampling.BILINEAR)


def clutter(picture, rng):
    """Up to three thin strokes, some lighter and some darker than the ground."""
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.integers(0, 4)):
        x0, y0, x1, y1 = rng.integers(0, DRAWN, 4).tolist()
        pen.line((x0, y0, x1, y1), fill=int(rng.integers(0, 200)), width=int(rng.integers(1, 4)))


def draw(label, fonts, rng):
    """One sample: float32 [28, 28], values k/15."""
    picture = Image.new("L", (DRAWN, DRAWN))
    font = fonts[rng.integers(len(fonts))]
    ImageDraw.Draw(picture).text((DRAWN // 2, DRAWN // 2), CLASSES[label], 255, font, anchor="mm")
    picture = place(picture, rng)
    clutter(picture, rng)
    ink = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), np.float64) / 255
    ground = rng.uniform(0, 0.3)
    grey = ground + ink * rng.uniform(0.5, 1 - ground)
    grey += rng.normal(0, rng.uniform(0.02, 0.1), grey.shape)
    return (np.rint(np.clip(grey, 0, 1) * LEVELS) / LEVELS).astype(np.float32)


def samples(n, seed):
    """image float32 [n, 1, 28, 28] and labels int64 [n]; seed is a list, one random stream each."""
    rng = np.random.default_rng(seed)
    fonts = load_fonts()
    labels = rng.integers(0, len(CLASSES), n).astype(np.int64)
    return np.stack([draw(label, fonts, rng) for label in labels])[:, None], labels
