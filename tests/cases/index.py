"""Reading by position: ints, slices, integer arrays, masks; take, embedding, one_hot."""

from __future__ import annotations

import numpy as np

from cases._case import ANY, HALF, Case, exactly, integers, normal
from dlx.reference import twins

LINEAR = "linear: the second derivative is zero everywhere"


def getitem(x, *arrays, index):
    return x[place(index, arrays)]


def setitem(x, value, *arrays, index):
    y = x.clone()
    y[place(index, arrays)] = value
    return y


def numpy_setitem(x, value, *arrays, index):
    return twins["setitem"](x, place(index, arrays), value)


def place(index, arrays):
    """The strings "a", "b" stand for the first and second index array."""
    places = tuple(arrays["ab".index(i)] if isinstance(i, str) else i for i in index)
    return places if len(places) != 1 else places[0]


BASIC = [
    ((7,), (3,)),
    ((7,), (-1,)),
    ((7,), (slice(2, 5),)),
    ((7,), (slice(None, None, 2),)),
    ((7,), (slice(None, None, -1),)),
    ((7,), (slice(5, 1, -2),)),
    ((7,), (slice(3, 3),)),
    ((4, 5), (1,)),
    ((4, 5), (slice(None), 2)),
    ((4, 5), (slice(1, 3), slice(None, None, 2))),
    ((4, 5), (-1, -2)),
    ((4, 5), (None, slice(1, 3), None)),
    ((2, 3, 4), (Ellipsis, 1)),
    ((2, 3, 4), (1, Ellipsis)),
    ((2, 3, 1, 4, 2), (0, slice(None), Ellipsis, slice(None, None, -1))),
    ((), (Ellipsis,)),
    ((0, 3), (slice(None), 1)),
]
ADVANCED = [
    ((7,), ([0, 2, 2, -1],), ("a",)),
    ((4, 5), ([3, 0, 3],), ("a",)),
    ((4, 5), ([[3, 0], [1, 3]],), ("a",)),
    ((4, 5), ([3, 0, 3],), (slice(None), "a")),
    ((4, 5), ([3, 0, 3], [1, 1, 2]), ("a", "b")),
    ((4, 5, 3), ([3, 0, 3], [1, 1, 2]), ("a", slice(None), "b")),
    ((2, 3, 4), ([2, 0], [1, 3]), (slice(None), "a", "b")),
    ((2, 3, 4), ([[2], [0]], [1, 3]), (1, "a", "b")),
    ((4, 5), ([0, 1],), ("a", slice(1, 3))),
    ((4,), ([True, False, True, True],), ("a",)),
    ((4, 2), ([True, False, True, True],), ("a",)),
    ((2, 2), ([[True, False], [True, True]],), ("a",)),
    ((2, 3), ([True, False, True],), (slice(None), "a")),
    ((3,), ([False, False, False],), ("a",)),
]
TAKE = [
    ((7,), [0, 2, 2, 6], {}),
    ((7,), [3, -1], {"axis": 0}),
    ((4, 5), [3, 0, 3], {"axis": 0}),
    ((4, 5), [3, 0, 3, 3, 1], {"axis": 1}),
    ((4, 5), [[1, 0], [2, 2]], {"axis": -1}),
    ((2, 3, 4), [1], {"axis": 1}),
    ((4, 5), np.zeros(0, np.int64), {"axis": 0}),
    ((65, 33), [*range(64, -1, -1), 3, 3], {"axis": 0}),
]
ROWS = [
    ((5, 3), [1, 4, 1, 0]),
    ((5, 3), [[0, 4], [2, 2]]),
    ((1, 7), 0),
    ((5, 0), [1, 2]),
    ((4, 3), np.zeros((0, 2), np.int64)),
    ((65, 33), [*range(64, -1, -1), 3, 3]),
]
LABELS = [
    (5, [1, 4, 1, 0]),
    (3, [[0, 2], [2, 2]]),
    (2, 1),
    (1, [0]),
    (4, np.zeros((0, 2), np.int64)),
]
ASSIGN = [
    ((7,), (), (), (3,)),
    ((7,), (2,), (), (slice(5, 1, -2),)),
    ((4, 5), (5,), (), (-1,)),
    ((4, 5), (2, 1), (), (slice(1, 3), slice(None, None, 2))),
    ((2, 3, 4), (2, 3), (), (Ellipsis, 1)),
    ((), (), (), (Ellipsis,)),
    ((7,), (3,), ([0, 2, -1],), ("a",)),
    ((4, 5), (), ([3, 0],), ("a",)),
    ((4, 5), (4, 2), ([3, 0],), (slice(None), "a")),
    ((4, 5), (2,), ([3, 0], [1, 2]), ("a", "b")),
    ((4, 2), (3, 2), ([True, False, True, True],), ("a",)),
    ((2, 2), (), ([[True, False], [True, True]],), ("a",)),
]
CASES = [
    *[
        Case("getitem", (normal(*shape),), {"index": index}, getitem, getitem, kink=LINEAR,
             dtypes=ANY, name=f"basic{n}")
        for n, (shape, index) in enumerate(BASIC)
    ],
    *[
        Case("getitem", (normal(*shape), *map(exactly, arrays)), {"index": index}, getitem, getitem,
             kink=LINEAR, dtypes=ANY, name=f"advanced{n}")
        for n, (shape, arrays, index) in enumerate(ADVANCED)
    ],
    *[
        Case("take", (normal(*shape), exactly(indices)), attrs, kink=LINEAR, dtypes=ANY)
        for shape, indices, attrs in TAKE
    ],
    *[
        Case("setitem", (normal(*shape), normal(*value), *map(exactly, arrays)), {"index": index},
             setitem, numpy_setitem, kink=LINEAR, dtypes=ANY, name=f"assign{n}")
        for n, (shape, value, arrays, index) in enumerate(ASSIGN)
    ],
    *[
        Case("nn.functional.embedding", (exactly(indices), normal(*shape)), kink=LINEAR,
             dtypes=HALF)
        for shape, indices in ROWS
    ],
    # A row that no index asks for, so that the gradient is that of take.
    Case("nn.functional.embedding", (exactly([1, 4, 1]), normal(5, 3)), {"padding_idx": -2},
         kink=LINEAR),
    *[
        Case("one_hot", (exactly(labels),), {"num_classes": classes, "dtype": dtype})
        for classes, labels in LABELS
        for dtype in ("float32", "float64", "int64", "bool")
    ],
    Case("one_hot", (integers(0, 10, 1031),), {"num_classes": 10, "dtype": "float32"}),
    # Three labels of 8 bytes, 3 x 4 numbers.
    Case("one_hot", (exactly([3, 0, 1]),), {"num_classes": 4, "dtype": "float32"}, flops=0,
         bytes=72, name="cost"),
    # Three rows of 5 float32 read and written, three int64 indices.
    Case("nn.functional.embedding", (exactly([3, 0, 3]), normal(4, 5)), kink=LINEAR, flops=0,
         bytes=144, name="cost"),
    Case("getitem", (normal(4, 5),), {"index": (slice(1, 3), 2)}, getitem, getitem, kink=LINEAR,
         flops=0, bytes=0, name="cost"),
    Case("setitem", (normal(4, 5), normal(2, 5)), {"index": (slice(1, 3),)}, setitem, numpy_setitem,
         kink=LINEAR, flops=0, bytes=240, name="cost"),  # the clone's 160, twice 40
    # Three rows of 5 float32 read and written, three int64 indices.
    Case("take", (normal(4, 5), exactly([3, 0, 3])), {"axis": 0}, kink=LINEAR, flops=0, bytes=144,
         name="cost"),
]  # fmt: skip
