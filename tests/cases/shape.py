"""Movement of elements without arithmetic."""

from __future__ import annotations

import dlx
from cases._case import ANY, Case, normal
from dlx.reference import twins

LINEAR = "linear: the second derivative is zero everywhere"
MOVES = [
    ("reshape", (2, 3, 4), {"shape": (6, 4)}),
    ("reshape", (2, 3, 4), {"shape": (-1,)}),
    ("reshape", (2, 3, 4), {"shape": (4, -1, 3)}),
    ("reshape", (), {"shape": (1, 1)}),
    ("reshape", (1,), {"shape": ()}),
    ("reshape", (0, 3), {"shape": (3, 0)}),
    ("reshape", (13, 7), {"shape": (7, 13)}),
    ("permute_dims", (2, 3, 4), {"axes": (2, 0, 1)}),
    ("permute_dims", (13, 31), {"axes": (1, 0)}),
    ("permute_dims", (2, 3, 1, 4, 2), {"axes": (4, 1, 3, 0, 2)}),
    ("permute_dims", (2, 3, 4), {"axes": (0, -1, 1)}),
    ("permute_dims", (), {"axes": ()}),
    ("permute_dims", (0, 3), {"axes": (1, 0)}),
    ("squeeze", (1, 3, 1), {"axis": 0}),
    ("squeeze", (1, 3, 1), {"axis": (0, -1)}),
    ("squeeze", (1,), {"axis": 0}),
    ("expand_dims", (2, 3), {"axis": 0}),
    ("expand_dims", (2, 3), {"axis": -1}),
    ("expand_dims", (2, 3), {"axis": 1}),
    ("expand_dims", (), {"axis": 0}),
    ("broadcast_to", (3,), {"shape": (2, 3)}),
    ("broadcast_to", (3, 1), {"shape": (2, 3, 4)}),
    ("broadcast_to", (), {"shape": (2, 2)}),
    ("broadcast_to", (1, 3), {"shape": (0, 3)}),
    ("broadcast_to", (2, 3), {"shape": (2, 3)}),
]
JOINED = [
    ("concat", ((2, 3), (4, 3)), {"axis": 0}),
    ("concat", ((2, 3), (2, 1), (2, 0)), {"axis": 1}),
    ("concat", ((2, 3, 4), (2, 3, 1)), {"axis": -1}),
    ("concat", ((7,),), {"axis": 0}),
    ("concat", ((0, 3), (0, 3)), {"axis": 0}),
    ("concat", ((64, 33), (17, 33)), {"axis": 0}),
    ("stack", ((2, 3), (2, 3)), {"axis": 0}),
    ("stack", ((2, 3), (2, 3), (2, 3)), {"axis": -1}),
    ("stack", ((2, 3), (2, 3)), {"axis": 1}),
    ("stack", ((), ()), {"axis": 0}),
    ("stack", ((0, 3),), {"axis": 1}),
]


def joined(op):
    """The op takes one list of arrays."""

    def call(*arrays, axis):
        return getattr(dlx, op)(arrays, axis=axis)

    def twin(*arrays, axis):
        return twins[op](arrays, axis=axis)

    return {"call": call, "twin": twin}


CASES = [
    *[Case(op, (normal(*shape),), attrs, kink=LINEAR, dtypes=ANY) for op, shape, attrs in MOVES],
    *[
        Case(op, tuple(normal(*s) for s in shapes), attrs, kink=LINEAR, dtypes=ANY, **joined(op))
        for op, shapes, attrs in JOINED
    ],
    Case("stack", (normal(2, 3), normal(2, 3)), {"axis": 1}, kink=LINEAR, flops=0, bytes=96,
         name="cost", **joined("stack")),
    # Views move nothing.
    *[
        Case(op, (normal(1, 3),), attrs, kink=LINEAR, flops=0, bytes=0, name="cost")
        for op, attrs in [
            ("reshape", {"shape": (3, 1)}),
            ("permute_dims", {"axes": (1, 0)}),
            ("squeeze", {"axis": 0}),
            ("expand_dims", {"axis": 1}),
            ("broadcast_to", {"shape": (2, 3)}),
        ]
    ],
    # Every element is read once and written once.
    Case("concat", (normal(2, 3), normal(4, 3)), {"axis": 0}, kink=LINEAR, flops=0, bytes=144,
         name="cost", **joined("concat")),
]  # fmt: skip
