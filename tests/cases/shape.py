"""Movement of elements without arithmetic, and running sums."""

from __future__ import annotations

import dlx
from cases._case import ANY, HALF, Case, normal
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
# Copies: blocks of 64 x 64 or, along a short axis, longer ones.
COPIED = [
    ((13, 31), (1, 0)),
    ((65, 67), (1, 0)),
    ((5, 66, 3), (2, 1, 0)),
    ((2, 3, 7, 11), (0, 2, 3, 1)),
    ((2, 7, 11, 3), (0, 3, 1, 2)),
    ((2, 9, 5, 4), (3, 0, 2, 1)),
    ((2, 32, 3, 7), (0, 2, 3, 1)),  # whole lines of y
    ((3, 18, 23), (2, 0, 1)),
    ((2100, 2), (1, 0)),
    ((2, 2100), (1, 0)),
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

PADDED = [
    ((7,), {"pad_width": ((2, 1),)}),
    ((4, 5), {"pad_width": ((0, 0), (3, 0)), "value": 3}),
    ((4, 5), {"pad_width": ((1, 2), (0, 0)), "value": 1}),
    ((2, 3, 4, 5), {"pad_width": ((0, 0), (0, 0), (1, 2), (3, 1))}),
    ((2, 3, 1, 4, 2), {"pad_width": ((1, 0), (0, 0), (2, 2), (0, 1), (0, 0))}),
    ((0, 3), {"pad_width": ((1, 1), (0, 2)), "value": 1}),
    ((1, 1), {"pad_width": ((0, 0), (0, 0))}),
    ((33, 64), {"pad_width": ((1, 1), (1, 1))}),
    ((6, 8), {"pad_width": ((-1, 2), (-3, -2))}),
    ((7,), {"pad_width": ((6, 6),), "mode": "reflect"}),
    ((2, 5, 4), {"pad_width": ((0, 0), (1, 3), (2, 0)), "mode": "reflect"}),
    ((2, 5, 4), {"pad_width": ((0, 1), (7, 3), (2, 0)), "mode": "replicate"}),
    ((2, 5, 4), {"pad_width": ((0, 0), (5, 3), (0, 4)), "mode": "circular"}),
    ((1, 1), {"pad_width": ((0, 0), (2, 3)), "mode": "replicate"}),
]
ARRANGED = [
    ("flip", (7,), {}),
    ("flip", (2, 3, 4), {}),
    ("flip", (4, 5), {"axis": 0}),
    ("flip", (2, 3, 1, 4, 2), {"axis": (1, -2)}),
    ("flip", (), {}),
    ("flip", (0, 3), {"axis": 1}),
    ("roll", (7,), {"shift": 3}),
    ("roll", (7,), {"shift": -9, "axis": 0}),
    ("roll", (4, 5), {"shift": 7}),
    ("roll", (4, 5), {"shift": (1, -2), "axis": (0, 1)}),
    ("roll", (4, 5), {"shift": (1, 1), "axis": (0, 0)}),
    ("roll", (4, 5), {"shift": 5, "axis": 1}),
    ("roll", (0, 3), {"shift": 2, "axis": 0}),
    ("roll", (65, 33), {"shift": 11, "axis": 1}),
    ("tile", (3,), {"repetitions": (2,)}),
    ("tile", (2, 3), {"repetitions": (3, 1, 2)}),
    ("tile", (2, 3, 2), {"repetitions": (2, 2)}),
    ("tile", (), {"repetitions": (2,)}),
    ("tile", (2, 3), {"repetitions": (0, 2)}),
    ("tile", (16, 65), {"repetitions": (2, 1)}),
    ("tril", (4, 5), {}),
    ("tril", (2, 5, 3), {"k": 1}),
    ("tril", (0, 3), {}),
    ("tril", (3, 3), {"k": -7}),
    ("tril", (33, 65), {"k": 2}),
    ("triu", (4, 5), {}),
    ("triu", (2, 5, 3), {"k": -1}),
    ("triu", (1, 1), {"k": 9}),
    ("triu", (33, 65), {"k": -2}),
]
SUMMED = [
    ((1,), {}),
    ((7,), {}),
    ((7,), {"axis": 0, "reverse": True}),
    ((5, 7), {"axis": 1}),
    ((5, 7), {"axis": 0, "reverse": True}),
    ((2, 13, 3), {"axis": -2}),
    ((2, 3, 1, 4, 2), {"axis": 3, "reverse": True}),
    ((0, 5), {"axis": 1}),
    ((5, 0), {"axis": 1}),
    ((65, 33), {"axis": 1}),
    ((17, 130), {"axis": 0}),
    ((67, 150), {"axis": 1, "reverse": True}),
]


def joined(op):
    """The op takes one list of arrays."""

    def call(*arrays, axis):
        return getattr(dlx, op)(arrays, axis=axis)

    def twin(*arrays, axis):
        return twins[op](arrays, axis=axis)

    return {"call": call, "twin": twin}


def copied(x, axes):
    return dlx.permute_dims(x, axes).contiguous()


CASES = [
    *[Case(op, (normal(*shape),), attrs, kink=LINEAR, dtypes=ANY) for op, shape, attrs in MOVES],
    *[
        Case("permute_dims", (normal(*s),), {"axes": axes}, kink=LINEAR, dtypes=ANY, call=copied,
             name="copied")
        for s, axes in COPIED
    ],
    *[
        Case(op, tuple(normal(*s) for s in shapes), attrs, kink=LINEAR, dtypes=ANY, **joined(op))
        for op, shapes, attrs in JOINED
    ],
    *[Case("pad", (normal(*s),), attrs, kink=LINEAR, dtypes=ANY) for s, attrs in PADDED],
    Case("pad", (normal(4, 5),), {"pad_width": ((1, 0), (0, 2)), "value": -1.5}, kink=LINEAR,
         dtypes=HALF),
    *[Case(op, (normal(*s),), attrs, kink=LINEAR, dtypes=ANY) for op, s, attrs in ARRANGED],
    *[Case("cumsum", (normal(*s),), attrs, kink=LINEAR, dtypes=ANY) for s, attrs in SUMMED],
    *[
        Case("cumulative_sum", (normal(*s),), attrs, kink=LINEAR, dtypes=ANY)
        for s, attrs in [((7,), {}), ((4, 5), {"axis": -1, "include_initial": True}),
                         ((0, 3), {"axis": 0, "include_initial": True}), ((65, 33), {"axis": 0})]
    ],
    # 6 elements and the value read, 20 written.
    Case("pad", (normal(2, 3),), {"pad_width": ((1, 1), (1, 1))}, kink=LINEAR, flops=0, bytes=108,
         counts="pad", name="cost"),
    Case("pad", (normal(2, 3),), {"pad_width": ((1, 1), (1, 1)), "mode": "reflect"}, kink=LINEAR,
         flops=0, bytes=104, name="cost"),
    Case("roll", (normal(2, 3),), {"shift": 1, "axis": 1}, kink=LINEAR, flops=0, bytes=48,
         name="cost"),
    Case("tile", (normal(2, 3),), {"repetitions": (2, 1)}, kink=LINEAR, flops=0, bytes=96,
         name="cost"),
    # 6 conditions of a byte, 6 numbers and a zero read, 6 written.
    *[Case(op, (normal(2, 3),), {}, kink=LINEAR, flops=6, bytes=58, counts="where", name="cost")
      for op in ("tril", "triu")],
    *[Case(op, (normal(2, 3),), {"axis": 1}, kink=LINEAR, flops=6, bytes=48, name="cost")
      for op in ("cumsum", "cumulative_sum")],
    Case("stack", (normal(2, 3), normal(2, 3)), {"axis": 1}, kink=LINEAR, flops=0, bytes=96,
         name="cost", **joined("stack")),
    # Views move nothing.
    *[
        Case(op, (normal(1, 3),), attrs, kink=LINEAR, flops=0, bytes=0, name="cost")
        for op, attrs in [
            ("flip", {"axis": 1}),
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
