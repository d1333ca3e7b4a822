"""Reductions: every combination of axes, lengths around the blocks of the kernels, empty ones."""

from __future__ import annotations

import numpy as np

from cases._case import HALF, INTEGER, Case, distinct, lattice, normal, spread
from dlx.reference import twins

AXES = [None, 0, 1, -1, (0, 1), (0, 2), (1, 2), (0, 1, 2), (-1, 0)]
LENGTHS = [(1,), (7,), (31,), (32,), (33,), (1031,)]
SHAPES = [
    *[((2, 3, 4), axis) for axis in AXES],
    *[(shape, None) for shape in LENGTHS],
    *[((13, 33), axis) for axis in (0, 1)],
    *[((2, 3, 1, 4, 2), axis) for axis in ((0, 3), (1, 4), -2)],
    ((), None),
    ((8, 1031), 1),
    *[((19, n), 1) for n in (2, 3, 8, 16, 100)],
    ((8, 1031), 0),
]
EMPTY = [((0,), None), ((3, 0, 2), 0), ((3, 0, 2), (0, 2))]  # the result of the last two is empty
TIES = "between equal values"
LINEAR = "linear: the second derivative is zero everywhere"


def reduction(op, draw, shapes, **options):
    return [
        Case(
            op,
            (draw(*shape),),
            {"axis": axis} | ({"keepdims": True} if n % 3 == 2 else {}),
            **options,
        )
        for n, (shape, axis) in enumerate(shapes)
    ]


def centred_terms(dy, x, axis=None, correction=0.0, keepdims=False):
    """2 |dy| (|x| + |mean|) / (n - correction): the difference x - mean is of rounded numbers."""
    magnitude = np.abs(x) + np.mean(np.abs(x), axis=axis, keepdims=True)
    n = x.size / max(np.mean(x, axis=axis).size, 1)
    return [
        2 * dy.reshape(np.mean(x, axis=axis, keepdims=True).shape) * magnitude / (n - correction)
    ]


def root_terms(dy, x, **kwargs):
    """The same through the square root."""
    return centred_terms(dy / (2 * twins["std"](x, **kwargs)), x, **kwargs)


VARIANCE = {"terms": "value", "grad_terms": centred_terms, "dtypes": HALF}
DEVIATION = {"terms": "value", "grad_terms": root_terms, "dtypes": HALF}
CASES = [
    *reduction("sum", normal, SHAPES + EMPTY, dtypes=INTEGER + HALF + ("bool",), kink=LINEAR),
    *reduction("mean", normal, SHAPES, dtypes=HALF, kink=LINEAR),
    *reduction("max", distinct, SHAPES, terms="value", dtypes=INTEGER + HALF, kink=TIES),
    *reduction("min", distinct, SHAPES, terms="value", dtypes=INTEGER + HALF, kink=TIES),
    *reduction("max", distinct, EMPTY[1:2], kink="empty"),
    *reduction("var", normal, SHAPES, **VARIANCE),
    *reduction("std", spread, [s for s in SHAPES if s[0] not in ((), (1,))], **DEVIATION),
    Case("var", (normal(5, 7),), {"axis": 1, "correction": 1.0}, **VARIANCE),
    Case("std", (normal(5, 7),), {"correction": 1.0}, **DEVIATION),
    *reduction("argmax", lattice, [s for s in SHAPES if not isinstance(s[1], tuple)], grad=(),
               dtypes=INTEGER + HALF),
    *reduction("argmin", lattice, [s for s in SHAPES if not isinstance(s[1], tuple)], grad=(),
               dtypes=INTEGER + HALF),
    Case("sum", (normal(4, 6),), {"axis": 1}, flops=24, bytes=112, kink=LINEAR, name="cost"),
    Case("mean", (normal(4, 6),), {"axis": 1}, flops=28, bytes=112, kink=LINEAR, name="cost"),
    # Every element once, (4, 6) is 96 bytes; y has 4 elements, or 6, float32 or int64.
    Case("max", (distinct(4, 6),), {"axis": 0}, flops=24, bytes=120, kink=TIES, name="cost"),
    Case("min", (distinct(4, 6),), {"axis": 0}, flops=24, bytes=120, kink=TIES, name="cost",
         terms="value"),
    Case("var", (normal(4, 6),), {"axis": 1}, flops=104, bytes=112, name="cost", **VARIANCE),
    Case("std", (spread(4, 6),), {"axis": 1}, flops=108, bytes=144, name="cost", **DEVIATION),
    Case("argmax", (lattice(4, 6),), {"axis": 1}, flops=24, bytes=128, grad=(), name="cost"),
    Case("argmin", (lattice(4, 6),), {"axis": 0}, flops=24, bytes=144, grad=(), name="cost"),
]  # fmt: skip
