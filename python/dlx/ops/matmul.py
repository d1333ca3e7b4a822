"""Matrix products."""

from __future__ import annotations

from dlx import _core
from dlx.autodiff import primitive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dlx._tensor import Tensor

__all__ = ["matmul"]

matmul: Callable[..., Tensor] = _core.matmul


def _transposed(x):
    from dlx.ops.shape import permute_dims

    axes = tuple(range(x.ndim))
    return permute_dims(x, axes[:-2] + (axes[-1], axes[-2]))


def _by_left(g, y, a, b):
    """da = g b^T, summed over the batch dimensions that a was broadcast along."""
    from dlx.ops._broadcast import sum_to_shape
    from dlx.ops.shape import expand_dims

    if b.ndim == 1:  # y: (..., M) = sum over K of a: (..., M, K) * b: (K)
        da = expand_dims(g, -1) * b
    else:
        da = matmul(expand_dims(g, -2) if a.ndim == 1 else g, _transposed(b))
        da = da.reshape(da.shape[:-2] + (a.shape[-1],)) if a.ndim == 1 else da
    return sum_to_shape(da, a.shape)


def _by_right(g, y, a, b):
    """db = a^T g, summed over the batch dimensions that b was broadcast along."""
    from dlx.ops._broadcast import sum_to_shape
    from dlx.ops.shape import expand_dims

    if a.ndim == 1:
        db = expand_dims(a, -1) * (expand_dims(g, -2) if b.ndim > 1 else g)
        db = db if b.ndim > 1 else db.reshape(b.shape)
    elif b.ndim == 1:
        db = matmul(_transposed(a), expand_dims(g, -1))
        db = db.reshape(db.shape[:-1])
    elif b.ndim == 2 and a.ndim > 2:  # one weight for a batch: a single product over all rows
        db = matmul(_transposed(a.reshape((-1, a.shape[-1]))), g.reshape((-1, g.shape[-1])))
    else:
        db = matmul(_transposed(a), g)
    return sum_to_shape(db, b.shape)


def _matmul_jvp(tangents, y, a, b):
    da, db = tangents
    if da is None:
        return matmul(a, db)
    return matmul(da, b) if db is None else matmul(da, b) + matmul(a, db)


_core.set_matmul_rule(primitive("matmul", vjp=(_by_left, _by_right), jvp=_matmul_jvp))
