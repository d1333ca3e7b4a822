"""Reductions over any set of axes: the array API's names and arguments.

axis: None for all, an int, or a tuple; keepdims leaves the reduced axes with extent 1. The same
bits come out for any strides and any number of threads. Floats add up in float64, whose own
rounding errors are kept for float64 input.
"""

from __future__ import annotations

from dlx import _core
from dlx.autodiff import linear, primitive, record
from dlx.ops._prepare import normalize_axes, normalize_axis, prepare
from dlx.ops.elementwise import equal, where
from dlx.ops.shape import broadcast_to, reshape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = ["argmax", "argmin", "max", "mean", "min", "std", "sum", "var"]


def count_of(x, axes):
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    return count


def _kept(y, x, axes):
    """y with the reduced axes put back with extent 1, so that it broadcasts to x."""
    return reshape(y, tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


# -------------------------------------------------------------------------------- sum, mean


def sum(x, axis=None, keepdims=False) -> Tensor:
    """The sum over `axis`, 0 for nothing. Integers and bools add up in int64, wrapping around."""
    (x,) = prepare("sum", x)
    return summed(x, normalize_axes("sum", axis, x.ndim), bool(keepdims))


def summed(x, axes, keepdims=False):
    """sum of a Tensor over axes that are known to be a sorted tuple from 0 to x.ndim - 1."""
    return record(_sum_rule, (x,), _core.sum(x, axes, keepdims), (axes, keepdims))


def _sum_transpose(g, x, axes, keepdims):
    return broadcast_to(_kept(g, x, axes), x.shape)


_sum_rule = linear("sum", sum, _sum_transpose)


def mean(x, axis=None, keepdims=False) -> Tensor:
    """The mean over `axis`, NaN of nothing. Floating dtypes only: TypeError for the others."""
    (x,) = prepare("mean", x)
    axes, keepdims = normalize_axes("mean", axis, x.ndim), bool(keepdims)
    return record(_mean_rule, (x,), _core.mean(x, axes, keepdims), (axes, keepdims))


def _mean_transpose(g, x, axes, keepdims):
    return broadcast_to(_kept(g, x, axes) / count_of(x, axes), x.shape)


_mean_rule = linear("mean", mean, _mean_transpose)


# -------------------------------------------------------------------------------- max, min


def max(x, axis=None, keepdims=False) -> Tensor:
    """The largest value over `axis`; NaN wins. Raises ValueError for no values.

    The gradient is shared evenly among equal largest values, as that of PyTorch's amax."""
    (x,) = prepare("max", x)
    axes, keepdims = normalize_axes("max", axis, x.ndim), bool(keepdims)
    return record(_max_rule, (x,), _core.max(x, axes, keepdims), (axes, keepdims))


def min(x, axis=None, keepdims=False) -> Tensor:
    """The smallest value over `axis`; NaN wins. Raises ValueError for no values.

    The gradient is shared evenly among equal smallest values, as that of PyTorch's amin."""
    (x,) = prepare("min", x)
    axes, keepdims = normalize_axes("min", axis, x.ndim), bool(keepdims)
    return record(_min_rule, (x,), _core.min(x, axes, keepdims), (axes, keepdims))


def _shares(y, x, axes):
    """1 / k where x is one of the k elements equal to the extreme y, else 0."""
    ties = equal(x, _kept(y, x, axes)).astype(x.dtype)
    return ties / sum(ties, axis=axes, keepdims=True)


def _extreme_vjp(g, y, x, axes, keepdims):
    return _kept(g, x, axes) * _shares(y, x, axes)


def _extreme_jvp(tangents, y, x, axes, keepdims):
    return sum(tangents[0] * _shares(y, x, axes), axis=axes, keepdims=keepdims)


_max_rule = primitive("max", vjp=_extreme_vjp, jvp=_extreme_jvp)
_min_rule = primitive("min", vjp=_extreme_vjp, jvp=_extreme_jvp)


# -------------------------------------------------------------------------------- var, std


def _correction(op, correction):
    if not isinstance(correction, (int, float)):
        raise TypeError(f"{op}: expected a number as correction, got {type(correction).__name__}")
    return float(correction)


def var(x, axis=None, correction=0.0, keepdims=False) -> Tensor:
    """sum((x - mean)^2) / max(n - correction, 0) over the n elements along `axis`; floating dtypes.

    In two passes, the mean first. correction is 0 as in the array API; the Tensor method's is 1."""
    (x,) = prepare("var", x)
    axes, keepdims = normalize_axes("var", axis, x.ndim), bool(keepdims)
    correction = _correction("var", correction)
    return record(
        _var_rule, (x,), _core.var(x, axes, correction, keepdims), (axes, correction, keepdims)
    )


def _centred(x, axes):
    centred = x - mean(x, axis=axes, keepdims=True)
    return centred - mean(centred, axis=axes, keepdims=True)  # what rounding took from the mean


def _per_degree(x, axes, correction):
    divisor = count_of(x, axes) - correction
    return 1 / divisor if divisor > 0 else float("inf")


def _var_vjp(g, y, x, axes, correction, keepdims):
    return _kept(g, x, axes) * (2 * _per_degree(x, axes, correction)) * _centred(x, axes)


def _var_jvp(tangents, y, x, axes, correction, keepdims):
    slope = 2 * _per_degree(x, axes, correction)
    return sum(tangents[0] * _centred(x, axes), axis=axes, keepdims=keepdims) * slope


_var_rule = primitive("var", vjp=_var_vjp, jvp=_var_jvp, saves_outputs=0)


def std(x, axis=None, correction=0.0, keepdims=False) -> Tensor:
    """The square root of var(x, axis, correction, keepdims). Where it is 0 its gradient is 0.

    correction is 0, as in the array API; the Tensor method's is 1, as PyTorch's."""
    (x,) = prepare("std", x)
    if not x.dtype.is_floating:
        raise TypeError(
            f"std: expected a floating dtype, got {x.dtype.name}; cast first: x.astype(dlx.float32)"
        )
    axes, keepdims = normalize_axes("std", axis, x.ndim), bool(keepdims)
    correction = _correction("std", correction)
    y = _core.sqrt(_core.var(x, axes, correction, keepdims))
    return record(_std_rule, (x,), y, (axes, correction, keepdims))


def _over(t, y):
    return where(equal(y, 0), 0, t / y)


def _std_vjp(g, y, x, axes, correction, keepdims):
    slope = _over(g, y) * _per_degree(x, axes, correction)
    return _kept(slope, x, axes) * _centred(x, axes)


def _std_jvp(tangents, y, x, axes, correction, keepdims):
    slope = sum(tangents[0] * _centred(x, axes), axis=axes, keepdims=keepdims)
    return _over(slope * _per_degree(x, axes, correction), y)


_std_rule = primitive("std", vjp=_std_vjp, jvp=_std_jvp)


# -------------------------------------------------------------------------------- argmax, argmin


def _arg_axes(op, x, axis):
    return tuple(range(x.ndim)) if axis is None else (normalize_axis(op, axis, x.ndim),)


def argmax(x, axis=None, keepdims=False) -> Tensor:
    """The index (int64) of the first largest value along one axis; None: in the flattened x.

    The first NaN counts as the largest. Raises ValueError for no values."""
    (x,) = prepare("argmax", x)
    return _core.argmax(x, _arg_axes("argmax", x, axis), bool(keepdims))


def argmin(x, axis=None, keepdims=False) -> Tensor:
    """The index (int64) of the first smallest value along one axis; None: in the flattened x.

    The first NaN counts as the smallest. Raises ValueError for no values."""
    (x,) = prepare("argmin", x)
    return _core.argmin(x, _arg_axes("argmin", x, axis), bool(keepdims))
