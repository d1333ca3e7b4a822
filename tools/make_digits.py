"""Make python/dlx/data/digits.bin from scikit-learn's copy of the UCI optical digits.

    pip install scikit-learn && python tools/make_digits.py

The file is zlib over 1797 x 64 pixel bytes (0..16), then 1797 label bytes (0..9), the images
already in the order numpy.random.default_rng(0).permutation(1797), so that loading needs no
NumPy: the first 1437 images are the training set, the last 360 the test set. The SHA-256 printed
(of the bytes before compression) stands in tests/test_data.py.
"""

from __future__ import annotations

import hashlib
import pathlib
import zlib

import numpy as np
from sklearn.datasets import load_digits

OUT = pathlib.Path(__file__).parent.parent / "python" / "dlx" / "data" / "digits.bin"


def main() -> None:
    digits = load_digits()
    order = np.random.default_rng(0).permutation(1797)
    pixels = digits.data[order].astype(np.uint8)  # (1797, 64), integers stored as float64
    labels = digits.target[order].astype(np.uint8)
    assert np.array_equal(pixels, digits.data[order]) and pixels.max() == 16
    raw = pixels.tobytes() + labels.tobytes()
    packed = zlib.compress(raw, 9)
    OUT.write_bytes(packed)
    print(f"{OUT}: {len(packed)} bytes, sha256 of the raw bytes {hashlib.sha256(raw).hexdigest()}")


if __name__ == "__main__":
    main()
