"""Matrix products: around the tiles of every instruction set (6x8, 6x16, 14x32 and half of that in
float64), the depth of a packed block (384), and the tiles of thin products (8x48, 6x4)."""

from __future__ import annotations

from dataclasses import replace

from cases._case import HALF, Case, normal

MNK = [
    (1, 1, 1),
    (1, 33, 7),
    (13, 1, 5),
    (5, 7, 1),
    (5, 8, 3),
    (6, 9, 4),
    (7, 15, 2),
    (6, 16, 31),
    (7, 17, 33),
    (13, 31, 13),
    (14, 32, 14),
    (15, 33, 15),
    (14, 31, 6),
    (13, 32, 7),
    (29, 65, 3),
    (3, 5, 383),
    (3, 17, 384),
    (15, 9, 385),
    (0, 5, 3),
    (5, 0, 3),
    (5, 3, 0),
    (1, 1, 389),
    (1, 301, 5),
    (2, 129, 17),
    (301, 1, 9),
    (7, 97, 23),
    (8, 47, 15),
    (9, 49, 16),
    (23, 10, 131),
    (7, 5, 257),
]
BATCHED = [
    ((3,), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((0,), (0,)),
    ((5, 2, 3), (3, 4)),
    ((3, 4), (5, 4, 2)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 1, 3), (1, 3, 4)),
    ((2, 1, 2, 3), (5, 3, 4)),
    ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((0, 2, 3), (3, 4)),
    ((2, 2, 1, 2, 3), (2, 1, 3, 2)),
]
_CASES = [
    *[Case("matmul", (normal(m, k), normal(k, n)), dtypes=HALF) for m, n, k in MNK],
    *[Case("matmul", (normal(*a), normal(*b)), dtypes=HALF) for a, b in BATCHED],
    Case("matmul", (normal(512, 64), normal(64, 600)), name="threads"),
    Case("nn.functional.linear", (normal(512, 64), normal(600, 64), normal(600)), name="threads"),
    # 2 m n k flops; A, B and C once each: 4 (5*7 + 7*3 + 5*3) bytes.
    Case("matmul", (normal(5, 7), normal(7, 3)), flops=210, bytes=284, name="cost"),
    *[
        Case("nn.functional.linear", (normal(*x), normal(o, x[-1]), *bias), dtypes=HALF)
        for x, o in [
            ((5, 7), 3),
            ((7,), 3),
            ((2, 3, 4), 5),
            ((0, 4), 2),
            ((33, 15), 31),
            ((17, 131), 9),
            ((1, 9), 37),
        ]
        for bias in ((), (normal(o),))
    ],
    # The product's 210 and 284; the sum's 15 and 4 * 3.
    Case(
        "nn.functional.linear",
        (normal(5, 7), normal(3, 7), normal(3)),
        flops=225,
        bytes=296,
        name="cost",
    ),
]
CASES = [replace(case, order_by_layout=True) for case in _CASES]
