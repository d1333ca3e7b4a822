"""The NumPy specification: every native op once more, on ndarrays, written from its formula.

It imports NumPy only, computes in the dtype of its inputs and is in no hurry: the kernels are
judged by it. Families are those of ``dlx/ops``.
"""

from __future__ import annotations

from dlx.reference import (
    activation,
    conv,
    creation,
    elementwise,
    index,
    loss,
    matmul,
    norm,
    optim,
    pair_loss,
    pool,
    random,
    reduce,
    shape,
    upsample,
)

families = (
    activation,
    conv,
    creation,
    elementwise,
    index,
    loss,
    matmul,
    norm,
    optim,
    pair_loss,
    pool,
    random,
    reduce,
    shape,
    upsample,
)
twins = {name: getattr(family, name) for family in families for name in family.__all__}

__all__ = ["families", "twins"]
