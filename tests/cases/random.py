"""Random draws, functions of seed, offset and position, which the reference knows; creation."""

from __future__ import annotations

import numpy as np

import dlx
from cases._case import ANY, Case, normal
from dlx.reference import twins

SEED = 2**32 + 12345  # both halves of the key
ANGLE = "2 pi u is rounded before the cosine"
LINEAR = "linear: the second derivative is zero everywhere"
SHAPES = [(), (0,), (1,), (7,), (33,), (13, 5), (8, 1031)]


def drawn(op, twin):
    """The second draw after the seed: dropout of 9 elements moved the counter on by 3 blocks."""

    def call(*args, **kwargs):
        dlx.seed(SEED)
        dlx.nn.functional.dropout(dlx.ones((9,)))
        return getattr(dlx.random, op)(*args, **kwargs)

    def reference(*args, **kwargs):
        return twins[twin](*args, seed=SEED, offset=3, **kwargs)

    return {"call": call, "twin": reference, "grad": ()}


def masked(x, p):
    dlx.seed(SEED)
    return dlx.nn.functional.dropout(x, p)


def masked_twin(x, p):
    return twins["dropout"](x, p, seed=SEED, offset=0)


def span(shape, low=0.0, high=1.0):
    return abs(low) + abs(high)


def radius(shape, mean=0.0, std=1.0):
    return abs(mean) + 5.77 * std  # the largest r: sqrt(-2 log 2^-24)


CASES = [
    *[
        Case("random.uniform", (), {"shape": shape} | limits, takes_dtype=True,
             terms=span, **drawn("uniform", "random_uniform"))
        for shape in SHAPES
        for limits in ({}, {"low": -2.0, "high": 3.0})
    ],
    *[
        Case("random.normal", (), {"shape": shape} | moments, takes_dtype=True, terms=radius, c=8,
             why_c=ANGLE, **drawn("normal", "random_normal"))
        for shape in SHAPES
        for moments in ({}, {"mean": -3.0, "std": 2.0})
    ],
    *[
        Case("random.randint", (), {"low": low, "high": high, "shape": shape},
             **drawn("randint", "random_int"))
        for shape in SHAPES
        for low, high in ((0, 10), (-(2**40), 2**41))
    ],
    *[Case("random.permutation", (), {"n": n}, **drawn("permutation", "random_permutation"))
      for n in (0, 1, 2, 7, 33, 1797, 5000)],
    *[
        Case("nn.functional.dropout", (normal(*shape),), {"p": p}, masked, masked_twin,
             kink=LINEAR)
        for shape in [*SHAPES, (2, 3, 1, 4, 2)]
        for p in (0.5, 0.1)
    ],
]  # fmt: skip
CASES += [  # 6 elements of 4 bytes, of 8 in int64
    Case("random.uniform", (), {"shape": (2, 3)}, takes_dtype=True, flops=12, bytes=24, name="cost",
         counts="random_uniform", terms=span, **drawn("uniform", "random_uniform")),
    Case("random.normal", (), {"shape": (2, 3)}, takes_dtype=True, flops=36, bytes=24, name="cost",
         counts="random_normal", terms=radius, c=8, why_c=ANGLE,
         **drawn("normal", "random_normal")),
    Case("random.randint", (), {"low": 0, "high": 9, "shape": (2, 3)}, flops=12, bytes=48,
         counts="random_int", name="cost", **drawn("randint", "random_int")),
    Case("random.permutation", (), {"n": 7}, flops=0, bytes=56, name="cost",
         counts="random_permutation", **drawn("permutation", "random_permutation")),
    Case("nn.functional.dropout", (normal(2, 3),), {"p": 0.5}, masked, masked_twin, flops=6,
         bytes=48, counts="dropout", name="cost", kink=LINEAR),
]  # fmt: skip
CREATION = [
    Case("zeros", (), {"shape": (2, 3)}, takes_dtype=True),
    Case("zeros", (), {"shape": ()}, takes_dtype=True),
    Case("ones", (), {"shape": (0, 3)}, takes_dtype=True),
    Case("ones", (), {"shape": (65,)}, takes_dtype=True),
    Case("full", (), {"shape": (2, 3, 1, 4, 2), "fill_value": -1.5}, takes_dtype=True,
         twin=lambda shape, fill_value, dtype: np.full(shape, fill_value, dtype)),
    *[
        Case("arange", (), dict(zip(("start", "stop", "step"), args, strict=False)),
             takes_dtype=True,
             terms=lambda start, stop=0, step=1: abs(start) + abs(stop) + abs(step))
        for args in [(5,), (0,), (2, 7), (7, 2), (7, 2, -2), (0.0, 1.0, 0.3), (1.0, 2.0, 0.25)]
    ],
    *[
        Case("linspace", (), {"start": -1.0, "stop": 2.0, "num": num} | end, takes_dtype=True,
             terms=lambda start, stop, **rest: abs(start) + abs(stop))
        for num in (0, 1, 2, 7, 33)
        for end in ({}, {"endpoint": False})
    ],
    *[
        Case("eye", (), {"n_rows": n, "n_cols": m, "k": k},
             lambda n_rows, n_cols, **rest: dlx.eye(n_rows, n_cols, **rest), takes_dtype=True)
        for n, m, k in [(1, None, 0), (4, None, 0), (3, 5, 1), (5, 3, -2), (2, 2, 7), (0, None, 0)]
    ],
]  # fmt: skip
CREATION += [  # written once; arange and linspace compute in 8 bytes and round
    Case("zeros", (), {"shape": (2, 3)}, takes_dtype=True, flops=0, bytes=24, name="cost"),
    Case("ones", (), {"shape": (2, 3)}, takes_dtype=True, flops=0, bytes=24, name="cost"),
    Case("full", (), {"shape": (2, 3), "fill_value": 2.0}, takes_dtype=True, flops=0, bytes=24,
         name="cost", twin=CREATION[4].twin),
    Case("eye", (), {"n_rows": 3}, lambda n_rows, **rest: dlx.eye(n_rows, **rest), takes_dtype=True,
         flops=0, bytes=48, name="cost"),
    Case("arange", (), {"start": 5}, takes_dtype=True, flops=10, bytes=100, name="cost"),
    Case("linspace", (), {"start": 0.0, "stop": 1.0, "num": 5}, takes_dtype=True, flops=10,
         bytes=100, name="cost"),
]  # fmt: skip
LIKE = [
    Case(op, (normal(*shape),), kwargs, twin=twin, grad=(), dtypes=ANY)
    for shape in [(2, 3), (), (0, 2)]
    for op, kwargs, twin in [
        ("zeros_like", {}, np.zeros_like),
        ("ones_like", {}, np.ones_like),
        ("full_like", {"fill_value": 1}, np.full_like),
    ]
]
LIKE += [
    Case(
        case.op,
        (normal(2, 3),),
        case.kwargs,
        twin=case.twin,
        grad=(),
        flops=0,
        bytes=24,
        name="cost",
    )
    for case in LIKE[:3]
]
CASES += CREATION + LIKE
