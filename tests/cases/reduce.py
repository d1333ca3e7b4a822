"""Reductions: every combination of axes, lengths around the blocks of the kernels, empty ones."""

from __future__ import annotations

from cases._case import HALF, INTEGER, Case, distinct, lattice, normal

AXES = [None, 0, 1, -1, (0, 1), (0, 2), (1, 2), (0, 1, 2), (-1, 0)]
LENGTHS = [(1,), (7,), (31,), (32,), (33,), (1031,)]
SHAPES = [
    *[((2, 3, 4), axis) for axis in AXES],
    *[(shape, None) for shape in LENGTHS],
    *[((13, 33), axis) for axis in (0, 1)],
    *[((2, 3, 1, 4, 2), axis) for axis in ((0, 3), (1, 4), -2)],
    ((), None),
    ((8, 1031), 0),
    ((8, 1031), 1),
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


VARIANCE = [entry for entry in SHAPES if entry[0] not in ((), (1,))]
CASES = [
    *reduction("sum", normal, SHAPES + EMPTY, dtypes=INTEGER + HALF + ("bool",), kink=LINEAR),
    *reduction("mean", normal, SHAPES, dtypes=HALF, kink=LINEAR),
    *reduction("max", distinct, SHAPES, terms="value", dtypes=INTEGER + HALF, kink=TIES),
    *reduction("min", distinct, SHAPES, terms="value", dtypes=INTEGER + HALF, kink=TIES),
    *reduction("max", distinct, EMPTY[1:2], kink="empty"),
    *reduction("var", normal, SHAPES, terms="value", dtypes=HALF),
    *reduction("std", normal, VARIANCE, terms="value", dtypes=HALF),
    Case("var", (normal(5, 7),), {"axis": 1, "correction": 1.0}, terms="value"),
    Case("std", (normal(5, 7),), {"correction": 1.0}, terms="value"),
    *reduction("argmax", lattice, [s for s in SHAPES if not isinstance(s[1], tuple)], grad=(),
               dtypes=INTEGER + HALF),
    *reduction("argmin", lattice, [s for s in SHAPES if not isinstance(s[1], tuple)], grad=(),
               dtypes=INTEGER + HALF),
    Case("sum", (normal(4, 6),), {"axis": 1}, flops=24, bytes=112, kink=LINEAR, name="cost"),
    Case("mean", (normal(4, 6),), {"axis": 1}, flops=28, bytes=112, kink=LINEAR, name="cost"),
    Case("max", (distinct(4, 6),), {"axis": 0}, flops=24, bytes=120, kink=TIES, name="cost"),
]  # fmt: skip
