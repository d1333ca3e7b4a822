"""THE table: every op on every kind of input, by family. One row, many uses (see _case.py)."""

from __future__ import annotations

from cases import elementwise, index, loss, matmul, native, optim, random, reduce, shape

FAMILIES = (elementwise, reduce, matmul, shape, index, loss, random, optim, native)
CASES = [case for family in FAMILIES for case in family.CASES]
