"""The transpose of broadcasting."""

from __future__ import annotations

from dlx.ops.reduce import summed
from dlx.ops.shape import reshape

__all__ = ["sum_to_shape"]


def sum_to_shape(g, shape):
    """g summed over the dimensions along which a tensor of `shape` was broadcast to g's shape."""
    if g.shape == shape:
        return g
    extra = g.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        i + extra for i, n in enumerate(shape) if n == 1 and g.shape[i + extra] != 1
    )
    total = summed(g, axes) if axes else g
    return total if total.shape == shape else reshape(total, shape)
