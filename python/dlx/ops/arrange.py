"""The same elements in another order or repeated, and triangles of matrices."""

from __future__ import annotations

from dlx import _core
from dlx._rules import linear
from dlx.autodiff import alias, record
from dlx.ops._index_plan import as_int
from dlx.ops._prepare import normalize_axes, normalize_axis, prepare
from dlx.ops.creation import arange, zeros
from dlx.ops.elementwise import where
from dlx.ops.shape import broadcast_to, reshape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = ["flip", "roll", "tile", "tril", "triu"]

_BACKWARDS, _ALL = slice(None, None, -1), slice(None)


def flip(x, axis=None) -> Tensor:
    """The elements in opposite order along `axis` (an int, a tuple, or None for all), as a view.

    y[..., i, ...] = x[..., n - 1 - i, ...]. Raises IndexError for an axis that x has not."""
    (x,) = prepare("flip", x)
    axes = normalize_axes("flip", axis, x.ndim)
    index = tuple(_BACKWARDS if i in axes else _ALL for i in range(x.ndim))
    return record(_flip_rule, (x,), _core.basic_index(x, index), (axes,))


def _flip_transpose(g, x, axes):
    return flip(g, axes)


_flip_rule = linear("flip", flip, _flip_transpose)


def roll(x, shift, axis=None) -> Tensor:
    """The elements moved by `shift` places; those that leave come back at the other end.

    y[..., (i + shift) mod n, ...] = x[..., i, ...]. shift and axis: ints, or tuples of equal length
    (an int shift serves every axis); axis None: x flattened, rolled, and put back into its shape.
    Raises ValueError when the numbers of shifts and axes differ."""
    (x,) = prepare("roll", x)
    if axis is None and not isinstance(shift, (tuple, list)):
        return reshape(roll(reshape(x, (-1,)), shift, 0), x.shape)
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    shifts = shift if isinstance(shift, (tuple, list)) else (shift,) * len(axes)
    if len(shifts) != len(axes):
        raise ValueError(f"roll: expected a shift for each axis, got {shift!r} and {axis!r}")
    y = alias(x)
    for s, a in zip(shifts, axes, strict=True):
        a, s = normalize_axis("roll", a, x.ndim), as_int("roll", "ints as shift", s)
        if x.shape[a] and s % x.shape[a]:
            y = _rolled(y, s % x.shape[a], a)
    return y


def _rolled(x, shift, axis):
    """x moved by 0 < shift < n."""
    cut = x.shape[axis] - shift
    before = (_ALL,) * axis
    tail = _core.basic_index(x, (*before, slice(cut, None)))
    head = _core.basic_index(x, (*before, slice(None, cut)))
    return record(_roll_rule, (x,), _core.concat([tail, head], axis), (shift, axis))


def _roll_transpose(g, x, shift, axis):
    return _rolled(g, x.shape[axis] - shift, axis)


_roll_rule = linear("roll", _rolled, _roll_transpose)


def tile(x, repetitions) -> Tensor:
    """x repeated along its axes: y.shape[d] = repetitions[d] x.shape[d], as numpy.tile.

    The shorter of shape and repetitions is filled up with ones in front. Raises ValueError for a
    negative number."""
    (x,) = prepare("tile", x)
    counts = repetitions if isinstance(repetitions, (tuple, list)) else (repetitions,)
    counts = tuple(as_int("tile", "ints as repetitions", n) for n in counts)
    if any(n < 0 for n in counts):
        raise ValueError(f"tile: expected repetitions >= 0, got {repetitions!r}")
    counts = (1,) * (x.ndim - len(counts)) + counts
    y = reshape(x, (1,) * (len(counts) - x.ndim) + x.shape)
    for axis, n in enumerate(counts):
        if n != 1:  # one axis at a time: a dimension more than y has at most
            front, behind = y.shape[:axis], y.shape[axis:]
            y = broadcast_to(reshape(y, (*front, 1, *behind)), (*front, n, *behind))
            y = reshape(y, (*front, n * behind[0], *behind[1:]))
    return y


def _triangle(op, x, k, lower):
    """Zeros above (or below) the k-th diagonal of the last two dimensions."""
    (x,) = prepare(op, x)
    if x.ndim < 2:
        raise ValueError(f"{op}: expected matrices, at least 2 dimensions; x={x.shape}")
    k = as_int(op, "an int as k", k)
    rows, columns = x.shape[-2:]
    k = min(max(k, -rows - 1), columns + 1)
    row = reshape(arange(rows, device=x.device), (-1, 1)) + k
    column = arange(columns, device=x.device)
    kept = column <= row if lower else column >= row
    return where(kept, x, zeros((), dtype=x.dtype, device=x.device))


def tril(x, k=0) -> Tensor:
    """The lower triangles of matrices: x where column <= row + k, else 0. x: (..., M, N).

    Raises ValueError for x of less than 2 dimensions."""
    return _triangle("tril", x, k, lower=True)


def triu(x, k=0) -> Tensor:
    """The upper triangles of matrices: x where column >= row + k, else 0. x: (..., M, N).

    Raises ValueError for x of less than 2 dimensions."""
    return _triangle("triu", x, k, lower=False)
