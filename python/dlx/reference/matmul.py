"""Matrix products."""

from __future__ import annotations

import numpy as np

__all__ = ["linear", "matmul"]


def matmul(x1, x2):
    """c[..., i, j] = sum_k x1[..., i, k] x2[..., k, j]; batch dimensions broadcast; 1-d operands
    are a row on the left, a column on the right, and their dimension disappears."""
    a = x1[None, :] if x1.ndim == 1 else x1
    b = x2[:, None] if x2.ndim == 1 else x2
    c = np.einsum("...ik,...kj->...ij", a, b)
    c = c[..., 0] if x2.ndim == 1 else c
    return c if x1.ndim > 1 else c[..., 0] if x2.ndim == 1 and c.ndim else c[..., 0, :]


def linear(x, weight, bias=None):
    """y[..., o] = sum_i x[..., i] weight[o, i] + bias[o]."""
    y = matmul(x, weight.T)
    return y if bias is None else y + bias
