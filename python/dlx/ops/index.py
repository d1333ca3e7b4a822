"""Reading and writing by position, with NumPy's rules.

Ints, slices, None and Ellipsis make a view. Index arrays and masks split into a view (the basic
part), a permutation that brings the indexed axes together, one linear index into those axes merged,
and take. Writing goes the same way with assign (a view's elements) and scatter (taken elements):
x's own memory is written where x alone holds it.
"""

from __future__ import annotations

from dlx import _core
from dlx._dtype import float32, int64
from dlx._rules import linear, primitive
from dlx.autodiff import record
from dlx.ops._index_plan import Plan, as_int, as_positions, read_index
from dlx.ops._prepare import normalize_axis, prepare
from dlx.ops.creation import arange, zeros
from dlx.ops.shape import inverse_axes, permute_dims, reshape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = ["getitem", "scatter_add", "setitem", "take"]

# ---- take, scatter_add


def take(x, indices, axis=None) -> Tensor:
    """y[..., i, ...] = x[..., indices[i], ...]: elements, rows, ... of x along one axis.

    x: (A..., L, B...)  indices: (I...) integers, -L <= index < L  y: (A..., I..., B...). Negative
    indices count from the end. `axis` may be left out for a 1-d x. Raises IndexError naming the
    first index that is out of range, its position, and L."""
    (x,) = prepare("take", x)
    if axis is None and x.ndim != 1:
        raise ValueError(f"take: expected an axis for x of {x.ndim} dimensions; x={x.shape}")
    axis = normalize_axis("take", 0 if axis is None else axis, x.ndim)
    indices = as_positions("take", indices, x._device_code)
    return record(_take_rule, (x,), _core.take(x, indices, axis), (indices, axis))


def _take_transpose(g, x, indices, axis):
    return scatter_add(g, indices, axis, x.shape[axis])


_take_rule = linear("take", take, _take_transpose)


def scatter_add(g, indices, axis, extent) -> Tensor:
    """y[..., l, ...] = sum of g[..., i, ...] over all i with indices[i] = l: the transpose of take.

    g: (A..., I..., B...)  indices: (I...), from dimension `axis` of g on  y: (A..., extent, B...).
    Terms are added in rising order of position, in float64, whatever the number of threads."""
    (g,) = prepare("scatter_add", g)
    indices = as_positions("scatter_add", indices, g._device_code)
    axis = normalize_axis("scatter_add", axis, max(g.ndim - indices.ndim, 0) + 1)
    extent = as_int("scatter_add", "an int as extent", extent)
    if not 0 <= extent < 2**63:
        raise ValueError(f"scatter_add: expected an extent >= 0, got {extent}")
    if g.dtype.itemsize == 2:
        return scatter_add(g.astype(float32), indices, axis, extent).astype(g.dtype)
    y = _core.scatter_add(g, indices, axis, extent)
    return record(_scatter_add_rule, (g,), y, (indices, axis, extent))


def _scatter_add_transpose(g, x, indices, axis, extent):
    return take(g, indices, axis)


_scatter_add_rule = linear("scatter_add", scatter_add, _scatter_add_transpose)


# ---- views


def _slice(x, index):
    """The view x[index] for an int, a slice, None, Ellipsis, or a tuple of them."""
    return record(_slice_rule, (x,), _core.basic_index(x, index), (index,))


def _slice_transpose(g, x, index):
    return _embed(g, x.shape, index)


_slice_rule = linear("getitem", _slice, _slice_transpose)


def _embed(g, shape, index):
    """Zeros of `shape` with g at [index]: the transpose of a view."""
    y = zeros(shape, dtype=g.dtype, device=g.device)
    _core.assign(y, index, g)
    return record(_embed_rule, (g,), y, (shape, index))


def _embed_transpose(g, x, shape, index):
    return _slice(g, index)


_embed_rule = linear("embed", _embed, _embed_transpose)


# ---- reading


def _block(x, plan):
    """The part of x that the index arrays index: x[basic], permuted."""
    x = x if plan.basic is None else _slice(x, plan.basic)
    return x if plan.order is None else permute_dims(x, plan.order)


def _merged(x, axis, axes):
    """x with `axes` dimensions from `axis` on as one."""
    if axes == 1:
        return x
    count = 1
    for extent in x.shape[axis : axis + axes]:
        count *= extent
    return reshape(x, (*x.shape[:axis], count, *x.shape[axis + axes :]))


def getitem(x, index) -> Tensor:
    """x[index], with NumPy's rules: a view for ints, slices, None and Ellipsis; index arrays and
    masks (Tensors, NumPy arrays, lists) take elements. Differentiable.

    Raises IndexError naming axis, index and extent, TypeError for what is no index."""
    if _core.is_plain_index(index):
        return _slice(x, index)
    entries, arrays = read_index(index, x._device_code)
    if not arrays:
        return _slice(x, entries)
    plan = Plan(x.shape, entries)
    return take(_merged(_block(x, plan), plan.axis, plan.axes), plan.positions, plan.axis)


# ---- writing


def setitem(x, index, value):
    """x[index] = value: x gets a new value, no other tensor changes. Differentiable in both.

    value: a number, Tensor, NumPy array or list that broadcasts to x[index]; of equal indices the
    last one stays. Raises RuntimeError on a leaf that requires a gradient, outside no_grad;
    TypeError for floats into integers; OverflowError for an int that x's dtype cannot hold;
    IndexError naming axis, index and extent; ValueError when the shapes do not broadcast."""
    (x,) = prepare("setitem", x)
    value = _value(x, value)
    if _core.is_plain_index(index):
        return _assign(x, index, value)
    entries, arrays = read_index(index, x._device_code)
    if not arrays:
        return _assign(x, entries, value)
    plan = Plan(x.shape, entries)
    if plan.basic is None and plan.order is None:
        return _scatter(x, value, plan.positions, plan.axis, plan.axes)
    block = scattered(_block(x, plan), value, plan.positions, plan.axis, plan.axes)
    if plan.order is not None:
        block = permute_dims(block, inverse_axes(plan.order))
    _assign(x, (Ellipsis,) if plan.basic is None else plan.basic, block)


def _value(x, value):
    if not isinstance(value, _core.TensorBase):
        numbers = value
        value = _core.from_data(numbers, None, x._device_code)
        if not value.dtype.is_floating and isinstance(numbers, (int, list, tuple)):
            # which raises where x.dtype cannot hold one
            value = _core.from_data(numbers, x.dtype, x._device_code)
    elif value._device_code != x._device_code:
        raise RuntimeError(f"setitem: expected one device, got {x.device} and {value.device}")
    if value.dtype is x.dtype:
        return value
    if value.dtype.is_floating and not x.dtype.is_floating:
        raise TypeError(
            f"setitem: {value.dtype} values do not fit a tensor of {x.dtype}; cast with astype"
        )
    return value.astype(x.dtype)


def _assign(x, index, value):
    """x[index] = value for an int, a slice, None, Ellipsis, or a tuple of them."""
    _core.assign(x, index, value)
    y = _core.detach(x)
    _core.rebind(x, record(_assign_rule, (x, value), y, (index,)), "setitem")


def _assigned(x, value, index):
    """What x would be after x[index] = value."""
    y = _core.detach(x)
    _core.assign(y, index, value)
    return record(_assign_rule, (x, value), y, (index,))


def _scatter(x, value, positions, axis, axes):
    """x[..., positions, ...] = value, `axes` dimensions from `axis` on taken as one."""
    _core.scatter(x, positions, axis, axes, value)
    y = _core.detach(x)
    _core.rebind(x, record(_scatter_rule, (x, value), y, (positions, axis, axes)), "setitem")


def scattered(x, value, positions, axis, axes):
    """What x would be after x[..., positions, ...] = value."""
    y = _core.detach(x)
    _core.scatter(y, positions, axis, axes, value)
    return record(_scatter_rule, (x, value), y, (positions, axis, axes))


def _zero(x):
    return zeros((), dtype=x.dtype, device=x.device)


def _sum_to_value(g, shape):
    """The gradient of a broadcast value, which may have more leading extents of 1 than g."""
    from dlx.ops._broadcast import sum_to_shape

    extra = max(len(shape) - g.ndim, 0)
    g = sum_to_shape(g, shape[extra:])
    return reshape(g, shape) if extra else g


def _tangents(tangents, x):
    """Those of x and of the value, zeros where there are none. x is not kept, only its shape."""
    dx, dv = tangents
    if dx is None:
        return zeros(x.shape, dtype=x.dtype, device=dv.device), dv
    return dx, _zero(dx) if dv is None else dv


def _assign_by_x(g, y, x, value, index):
    return _assigned(g, _zero(g), index)


def _assign_by_value(g, y, x, value, index):
    return _sum_to_value(_slice(g, index), value.shape)


def _assign_jvp(tangents, y, x, value, index):
    return _assigned(*_tangents(tangents, x), index)


_assign_rule = primitive(
    "setitem",
    vjp=(_assign_by_x, _assign_by_value),
    jvp=_assign_jvp,
    saves_inputs=0,
    saves_outputs=0,
)


def _scatter_by_x(g, y, x, value, positions, axis, axes):
    return scattered(g, _zero(g), positions, axis, axes)


def _scatter_by_value(g, y, x, value, positions, axis, axes):
    from dlx.ops.elementwise import where

    g = _merged(g, axis, axes)
    stays = _last_of_equals(positions, g.shape[axis])
    behind = g.ndim - axis - 1
    g = where(reshape(stays, (*positions.shape, *(1,) * behind)), take(g, positions, axis), 0)
    return _sum_to_value(g, value.shape)


def _scatter_jvp(tangents, y, x, value, positions, axis, axes):
    return scattered(*_tangents(tangents, x), positions, axis, axes)


_scatter_rule = primitive(
    "scatter",
    vjp=(_scatter_by_x, _scatter_by_value),
    jvp=_scatter_jvp,
    saves_inputs=0,
    saves_outputs=0,
)


def _last_of_equals(positions, extent):
    """True where no later position is the same: whose value stayed."""
    device = positions.device
    numbers = reshape(arange(positions._numel, device=device), positions.shape)
    last = zeros((extent,), dtype=int64, device=device)
    _core.scatter(last, positions, 0, 1, numbers)
    return take(last, positions, 0) == numbers
