"""Data sets in the wheel: real data to train on before anything is downloaded."""

from __future__ import annotations

import os

import dlx

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = ["digits"]

IMAGES, TEST, SIDE, LEVELS = 1797, 360, 8, 16


def digits(*, device=None) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """((x, y), (xt, yt)): 1437 training and 360 test images of handwritten digits.

    x: (N, 1, 8, 8) float32 in [0, 1], grey levels k/16; y: (N,) int64 labels 0..9. The test set is
    the last 360 of numpy.random.default_rng(0).permutation(1797).

    Source: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository, https://doi.org/10.24432/C50P49, CC BY 4.0.
    """
    import zlib

    with open(os.path.join(os.path.dirname(__file__), "digits.bin"), "rb") as file:
        raw = memoryview(zlib.decompress(file.read()))
    pixels = raw[: IMAGES * SIDE * SIDE].cast("B", (IMAGES, 1, SIDE, SIDE))
    x = dlx.astype(dlx.asarray(pixels, device=device), dlx.float32) / LEVELS  # exact: k/16
    y = dlx.astype(dlx.asarray(raw[-IMAGES:], device=device), dlx.int64)
    train = IMAGES - TEST
    return (x[:train], y[:train]), (x[train:], y[train:])
