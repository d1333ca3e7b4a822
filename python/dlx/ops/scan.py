"""Running sums."""

from __future__ import annotations

from dlx import _core
from dlx._dtype import as_dtype, float32
from dlx._rules import linear
from dlx.autodiff import record
from dlx.ops._prepare import normalize_axis, prepare
from dlx.ops.creation import zeros
from dlx.ops.elementwise import astype
from dlx.ops.shape import concat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = ["cumsum", "cumulative_sum"]


def cumsum(x, axis=None, *, reverse=False) -> Tensor:
    """The running sums along `axis`: y[i] = x[0] + ... + x[i]; in reverse, x[i] + ... + x[n - 1].

    x: any shape; axis may be left out for a 1-d x, ValueError otherwise. Integers and bools add up
    in int64, wrapping around; floats in float64, one after the other, and are rounded once."""
    (x,) = prepare("cumsum", x)
    return _summed("cumsum", x, axis, bool(reverse))


def cumulative_sum(x, *, axis=None, dtype=None, include_initial=False) -> Tensor:
    """The array API's name of cumsum. dtype: what x is cast to first; include_initial: a zero
    stands before the sums, so that y is one longer than x.

    Raises ValueError where axis is left out for an x that is not 1-d."""
    (x,) = prepare("cumulative_sum", x)
    x = x if dtype is None else astype(x, as_dtype(dtype))
    y = _summed("cumulative_sum", x, axis, False)
    y = y if dtype is None else astype(y, as_dtype(dtype), copy=False)
    if not include_initial:
        return y
    axis = normalize_axis("cumulative_sum", 0 if axis is None else axis, x.ndim)
    first = zeros((*y.shape[:axis], 1, *y.shape[axis + 1 :]), dtype=y.dtype, device=y.device)
    return concat([first, y], axis)


def _summed(op, x, axis, reverse):
    if axis is None and x.ndim != 1:
        raise ValueError(f"{op}: expected an axis for x of {x.ndim} dimensions; x={x.shape}")
    axis = normalize_axis(op, 0 if axis is None else axis, x.ndim)
    if x.dtype.itemsize == 2:
        return _cumsum(x.astype(float32), axis, reverse).astype(x.dtype)
    return _cumsum(x, axis, reverse)


def _cumsum(x, axis, reverse):
    return record(_cumsum_rule, (x,), _core.cumsum(x, axis, reverse), (axis, reverse))


def _cumsum_transpose(g, x, axis, reverse):
    return _cumsum(g, axis, not reverse)


_cumsum_rule = linear("cumsum", _cumsum, _cumsum_transpose)
