"""Random draws, functions of seed, offset and position, which the reference knows; creation."""

from __future__ import annotations

import numpy as np

import dlx
from cases._case import ANY, Case, normal
from dlx.reference import twins

SEED = 2**32 + 12345  # both halves of the key
SHAPES = [(), (0,), (1,), (7,), (33,), (13, 5), (8, 1031)]


def drawn(op, twin):
    """The second draw after the seed: the first one moved the counter on by its blocks."""

    def call(*args, **kwargs):
        dlx.seed(SEED)
        dlx.random.uniform((9,), dtype=dlx.float32)  # 9 words of 32 bits: 3 blocks
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
             why_c="2 pi u is rounded before the cosine", **drawn("normal", "random_normal"))
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
             kink="linear: the second derivative is zero everywhere")
        for shape in [*SHAPES, (2, 3, 1, 4, 2)]
        for p in (0.5, 0.1)
    ],
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
LIKE = [
    Case(op, (normal(*shape),), kwargs, twin=twin, grad=(), dtypes=ANY)
    for shape in [(2, 3), (), (0, 2)]
    for op, kwargs, twin in [
        ("zeros_like", {}, np.zeros_like),
        ("ones_like", {}, np.ones_like),
        ("full_like", {"fill_value": 1}, np.full_like),
    ]
]
CASES += CREATION + LIKE
