"""THE table: every op on every kind of input, by family. One row, many uses (see _case.py)."""

from __future__ import annotations

from cases import (
    activation,
    conv,
    elementwise,
    index,
    loss,
    matmul,
    native,
    norm,
    optim,
    pair_loss,
    pool,
    random,
    reduce,
    shape,
    upsample,
)

FAMILIES = (
    elementwise,
    activation,
    reduce,
    matmul,
    shape,
    index,
    loss,
    pair_loss,
    norm,
    conv,
    pool,
    upsample,
    random,
    optim,
    native,
)
CASES = [case for family in FAMILIES for case in family.CASES]
