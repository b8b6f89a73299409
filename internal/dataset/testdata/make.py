"""Makes the fixtures in this folder with numpy and Pillow: `python make.py`. Neither is needed to build or test.

numpy.npz, packed.npz: the same arrays, stored and compressed. resize.npz: a random picture and what Pillow's BILINEAR
makes of it. photo.jpg: a smooth picture with EXIF orientation 6; photo.npz: its pixels as Pillow decodes them.
"""

import numpy as np
from PIL import Image

rng = np.random.default_rng(5)
arrays = {
    "half": np.array([1.5, -2.25, 65504, 6e-8], "<f2"),
    "fortran": np.asfortranarray(np.arange(24, dtype="<f4").reshape(2, 3, 4)),
    "big": np.arange(-3, 3, dtype=">i4").reshape(3, 2),
    "flags": np.array([True, False, True]),
    "scalar": np.float64(2.5),
    "empty": np.zeros((0, 3), "<f4"),
}
np.savez("numpy.npz", **arrays)
np.savez_compressed("packed.npz", **arrays)

source = rng.integers(0, 256, (11, 17, 3), dtype=np.uint8)
sizes = [(17, 11), (8, 5), (7, 11), (17, 3), (40, 29), (1, 1), (5, 23)]  # width, height
resized = {f"to{w}x{h}": np.asarray(Image.fromarray(source).resize((w, h), Image.BILINEAR)) for w, h in sizes}
np.savez_compressed("resize.npz", source=source, **resized)

y, x = np.mgrid[0:24, 0:32]
smooth = np.stack([x * 8, y * 10, (x + y) * 4], -1).astype(np.uint8)
exif = Image.Exif()
exif[0x0112] = 6
Image.fromarray(smooth).save("photo.jpg", quality=95, subsampling=0, exif=exif)
np.savez_compressed("photo.npz", pixels=np.asarray(Image.open("photo.jpg")))
