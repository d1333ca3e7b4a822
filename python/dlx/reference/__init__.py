"""The NumPy specification: every native op once more, on ndarrays, written from its formula.

It imports NumPy only, computes in the dtype of its inputs and is in no hurry: the kernels are
judged by it. Families are those of ``dlx/ops``.
"""

from __future__ import annotations

from dlx.reference import (
    creation,
    elementwise,
    index,
    loss,
    matmul,
    norm,
    optim,
    random,
    reduce,
    shape,
)

families = (creation, elementwise, index, loss, matmul, norm, optim, random, reduce, shape)
twins = {name: getattr(family, name) for family in families for name in family.__all__}

__all__ = ["families", "twins"]
