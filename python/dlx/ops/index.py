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
from dlx.ops._prepare import normalize_axis, prepare
from dlx.ops.creation import arange, zeros
from dlx.ops.shape import permute_dims, reshape

__all__ = ["getitem", "scatter_add", "setitem", "take"]

_PLAIN = (int, type(None), type(Ellipsis))


# ---- take, scatter_add


def take(x, indices, axis=None):
    """y[..., i, ...] = x[..., indices[i], ...]: elements, rows, ... of x along one axis.

    x: (A..., L, B...)  indices: (I...) integers, -L <= index < L  y: (A..., I..., B...). Negative
    indices count from the end. `axis` may be left out for a 1-d x. Raises IndexError naming the
    first index that is out of range, its position, and L."""
    (x,) = prepare("take", x)
    if axis is None and x.ndim != 1:
        raise ValueError(f"take: expected an axis for x of {x.ndim} dimensions; x={x.shape}")
    axis = normalize_axis("take", 0 if axis is None else axis, x.ndim)
    indices = _positions("take", indices)
    return record(_take_rule, (x,), _core.take(x, indices, axis), (indices, axis))


def _take_transpose(g, x, indices, axis):
    return scatter_add(g, indices, axis, x.shape[axis])


_take_rule = linear("take", take, _take_transpose)


def scatter_add(g, indices, axis, extent):
    """y[..., l, ...] = sum of g[..., i, ...] over all i with indices[i] = l: the transpose of take.

    g: (A..., I..., B...)  indices: (I...), from dimension `axis` of g on  y: (A..., extent, B...).
    Terms are added in rising order of position, in float64, whatever the number of threads."""
    (g,) = prepare("scatter_add", g)
    indices = _positions("scatter_add", indices)
    axis = normalize_axis("scatter_add", axis, max(g.ndim - indices.ndim, 0) + 1)
    extent = _int("scatter_add", "an int as extent", extent)
    if not 0 <= extent < 2**63:
        raise ValueError(f"scatter_add: expected an extent >= 0, got {extent}")
    if g.dtype.itemsize == 2:
        return scatter_add(g.astype(float32), indices, axis, extent).astype(g.dtype)
    y = _core.scatter_add(g, indices, axis, extent)
    return record(_scatter_add_rule, (g,), y, (indices, axis, extent))


def _scatter_add_transpose(g, x, indices, axis, extent):
    return take(g, indices, axis)


_scatter_add_rule = linear("scatter_add", scatter_add, _scatter_add_transpose)


def _positions(op, indices):
    """Integers as an int64 Tensor that nobody else can write to: the graph keeps it."""
    indices = _index_array(op, indices)
    if indices.dtype.is_floating or indices.dtype == "bool":
        raise TypeError(f"{op}: expected integer indices, got {indices.dtype}")
    return _core.detach(indices) if indices.dtype is int64 else _core.cast(indices, int64)


def _index_array(op, data):
    if isinstance(data, _core.TensorBase):
        return data
    if isinstance(data, (str, bytes, dict, set)):
        raise TypeError(f"{op}: expected integer indices, got {type(data).__name__}")
    array = _core.from_data(data, None)
    nothing = isinstance(data, (list, tuple)) and not array._numel  # [] has no dtype of its own
    return _core.cast(array, int64) if nothing else array


# ---- views


def _slice(x, index):
    """The view x[index] for a tuple of ints, slices, None, Ellipsis."""
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


# ---- reading an index


def _entry(entry):
    """An entry of an index as int, slice of ints, None, Ellipsis, or integer or bool Tensor."""
    if type(entry) in _PLAIN:
        return entry
    if type(entry) is slice:
        bounds = (entry.start, entry.stop, entry.step)
        if all(type(b) in _PLAIN for b in bounds):
            return entry
        return slice(*[None if b is None else _int("getitem", "slices of ints", b) for b in bounds])
    if isinstance(entry, bool):
        return _core.from_data(entry, None)
    dtype = getattr(entry, "dtype", None)
    if dtype is None and hasattr(entry, "__index__"):
        return entry.__index__()
    if getattr(dtype, "kind", "") in ("i", "u") and entry.shape == ():  # NumPy's integers
        return int(entry)
    if dtype is not None or isinstance(entry, (list, tuple)):
        array = _index_array("getitem", entry)
        if not array.dtype.is_floating:
            return array
        raise TypeError(f"getitem: expected index arrays of integers or bools, got {array.dtype}")
    kind = type(entry).__name__
    raise TypeError(f"getitem: expected ints, slices, None, Ellipsis or index arrays, got {kind}")


def _int(op, what, value):
    try:
        return value.__index__()
    except AttributeError:
        raise TypeError(f"{op}: expected {what}, got {type(value).__name__}") from None


def _entries(index):
    """The entries of an index, and whether arrays are among them."""
    entries = tuple(_entry(e) for e in index) if type(index) is tuple else (_entry(index),)
    return entries, any(isinstance(e, _core.TensorBase) for e in entries)


class _Plan:
    """x[entries] with index arrays among the entries, in three steps: x[basic], permuted by
    `order`, and with `axes` dimensions from `axis` on as one taken at `positions`. `basic` or
    `order` is None where it changes nothing."""

    __slots__ = ("axes", "axis", "basic", "order", "positions")

    def __init__(self, shape, entries):
        entries = _full_index(shape, entries)
        basic = []
        groups = []  # per index array: first dimension in the view, indices, extents, axis of x
        places = []  # of ints and arrays among the entries: numpy's "advanced" ones
        axis = dim = front = 0
        for place, entry in enumerate(entries):
            if entry is Ellipsis:  # it separates arrays even where it stands for nothing
                continue
            array = isinstance(entry, _core.TensorBase)
            if array or isinstance(entry, int):
                front = front if places else dim
                places.append(place)
            if array:
                mask = entry.dtype == "bool"
                count = entry.ndim if mask else 1
                extents = shape[axis : axis + count]
                if mask and entry.shape != extents:
                    raise IndexError(
                        f"getitem: mask of shape {entry.shape} does not match the extents "
                        f"{extents} from axis {axis} on; x={shape}"
                    )
                # A mask without dimensions selects along a new one of extent 1.
                basic += [slice(None)] * count or [None]
                indices = _core.nonzero(entry) if mask else _positions("getitem", entry)
                groups.append((dim, indices, extents or (1,), axis))
                axis, dim = axis + count, dim + max(count, 1)
            else:
                basic.append(entry)
                axis += entry is not None
                dim += not isinstance(entry, int)
        together = places == list(range(places[0], places[0] + len(places)))
        self._merge(groups, dim, front if together else 0)
        plain = all(entry == slice(None) if type(entry) is slice else False for entry in basic)
        self.basic = None if plain else tuple(basic)
        self._locate(groups)

    def _merge(self, groups, ndim, front):
        """Which dimensions of the view come together, and where."""
        indexed = [d for first, _, extents, _ in groups for d in range(first, first + len(extents))]
        others = [d for d in range(ndim) if d not in indexed]
        before = len([d for d in others if d < front])
        order = others[:before] + indexed + others[before:]
        self.order = None if order == list(range(ndim)) else tuple(order)
        self.axis, self.axes = before, len(indexed)

    def _locate(self, groups):
        limits = []
        for _, _, extents, _ in groups:
            count = 1
            for extent in extents:
                count *= extent
            limits.append(count)
        arrays = [indices for _, indices, _, _ in groups]
        axes = [axis for _, _, _, axis in groups]
        if len(groups) == 1 and (axes[0] == self.axis or self.axes > 1):
            self.positions = arrays[0]  # take itself checks them, and names this axis
        else:
            self.positions = _core.ravel_index(arrays, tuple(limits), tuple(axes))

    def block(self, x):
        """The part of x that the index arrays index: x[basic], permuted."""
        x = x if self.basic is None else _slice(x, self.basic)
        return x if self.order is None else permute_dims(x, self.order)

    def put_back(self, x, block):
        """Writes an updated block to where it came from."""
        if self.order is not None:
            inverse = sorted(range(len(self.order)), key=self.order.__getitem__)
            block = permute_dims(block, tuple(inverse))
        _assign(x, (Ellipsis,) if self.basic is None else self.basic, block)


def _full_index(shape, entries):
    """The entries with what the Ellipsis (or the end) stands for, an entry for every axis of x."""
    used = 0
    for entry in entries:
        if isinstance(entry, _core.TensorBase):
            used += entry.ndim if entry.dtype == "bool" else 1
        else:
            used += entry is not None and entry is not Ellipsis
    ellipses = [i for i, entry in enumerate(entries) if entry is Ellipsis]
    if len(ellipses) > 1:
        raise IndexError(f"getitem: expected at most one Ellipsis, got {len(ellipses)}")
    if used > len(shape):
        raise IndexError(
            f"getitem: the index has {used} entries for dimensions, x has {len(shape)} dimensions; "
            f"x={shape}"
        )
    rest = (slice(None),) * (len(shape) - used)
    at = ellipses[0] if ellipses else len(entries)
    return entries[: at + 1] + rest + entries[at + 1 :]


def _merged(x, axis, axes):
    """x with `axes` dimensions from `axis` on as one."""
    if axes == 1:
        return x
    count = 1
    for extent in x.shape[axis : axis + axes]:
        count *= extent
    return reshape(x, (*x.shape[:axis], count, *x.shape[axis + axes :]))


def getitem(x, index):
    """x[index], with NumPy's rules: a view for ints, slices, None and Ellipsis; index arrays and
    masks (Tensors, NumPy arrays, lists) take elements. Differentiable.

    Raises IndexError naming axis, index and extent, TypeError for what is no index."""
    (x,) = prepare("getitem", x)
    entries, arrays = _entries(index)
    if not arrays:
        return _slice(x, entries)
    plan = _Plan(x.shape, entries)
    return take(_merged(plan.block(x), plan.axis, plan.axes), plan.positions, plan.axis)


# ---- writing


def setitem(x, index, value):
    """x[index] = value: x gets a new value, no other tensor changes. Differentiable in both.

    value: a number, Tensor, NumPy array or list that broadcasts to x[index]; of equal indices the
    last one stays. Raises RuntimeError on a leaf that requires a gradient, outside no_grad;
    TypeError for floats into integers; IndexError naming axis, index and extent; ValueError when
    the shapes do not broadcast."""
    (x,) = prepare("setitem", x)
    value = _value(x, value)
    entries, arrays = _entries(index)
    if not arrays:
        return _assign(x, entries, value)
    plan = _Plan(x.shape, entries)
    if plan.basic is None and plan.order is None:
        return _scatter(x, value, plan.positions, plan.axis, plan.axes)
    plan.put_back(x, _scattered(plan.block(x), value, plan.positions, plan.axis, plan.axes))


def _value(x, value):
    if not isinstance(value, _core.TensorBase):
        value = _core.from_data(value, None)
    if value.dtype is x.dtype:
        return value
    if value.dtype.is_floating and not x.dtype.is_floating:
        raise TypeError(
            f"setitem: {value.dtype} values do not fit a tensor of {x.dtype}; cast with astype"
        )
    return value.astype(x.dtype)


def _assign(x, index, value):
    """x[index] = value for a tuple of ints, slices, None, Ellipsis."""
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


def _scattered(x, value, positions, axis, axes):
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
    """Those of x and of the value, zeros where there are none."""
    dx, dv = tangents
    dx = zeros(x.shape, dtype=x.dtype, device=x.device) if dx is None else dx
    return dx, _zero(x) if dv is None else dv


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
    return _scattered(g, _zero(g), positions, axis, axes)


def _scatter_by_value(g, y, x, value, positions, axis, axes):
    from dlx.ops.elementwise import where

    g = _merged(g, axis, axes)
    stays = _last_of_equals(positions, g.shape[axis])
    behind = g.ndim - axis - 1
    g = where(reshape(stays, (*positions.shape, *(1,) * behind)), take(g, positions, axis), 0)
    return _sum_to_value(g, value.shape)


def _scatter_jvp(tangents, y, x, value, positions, axis, axes):
    return _scattered(*_tangents(tangents, x), positions, axis, axes)


_scatter_rule = primitive(
    "scatter",
    vjp=(_scatter_by_x, _scatter_by_value),
    jvp=_scatter_jvp,
    saves_inputs=0,
    saves_outputs=0,
)


def _last_of_equals(positions, extent):
    """True where no later position is the same: whose value stayed."""
    numbers = reshape(arange(positions._numel), positions.shape)
    last = zeros((extent,), dtype=int64)
    _core.scatter(last, positions, 0, 1, numbers)
    return take(last, positions, 0) == numbers
