"""Reading an index: NumPy's rules as a plan of a view, a permutation, and positions to take."""

from __future__ import annotations

from dlx import _core
from dlx._dtype import int64

__all__ = ["Plan", "as_int", "as_positions", "read_index"]

_PLAIN = (int, type(None), type(Ellipsis))


def as_positions(op, indices, device):
    """Integers as an int64 Tensor that nobody else can write to: the graph keeps it. What is no
    Tensor comes to the device of that code."""
    return _as_int64(op, _index_array(op, indices, device))


def _as_int64(op, indices):
    if indices.dtype.is_floating or indices.dtype == "bool":
        raise TypeError(f"{op}: expected integer indices, got {indices.dtype}")
    return _core.detach(indices) if indices.dtype is int64 else _core.cast(indices, int64)


def _index_array(op, data, device):
    if isinstance(data, _core.TensorBase):
        return data
    if isinstance(data, (str, bytes, dict, set)):
        raise TypeError(f"{op}: expected integer indices, got {type(data).__name__}")
    array = _core.from_data(data, None, device)
    nothing = isinstance(data, (list, tuple)) and not array._numel  # [] has no dtype of its own
    return _core.cast(array, int64) if nothing else array


def _entry(entry, device):
    """An entry of an index as int, slice of ints, None, Ellipsis, or integer or bool Tensor."""
    if type(entry) in _PLAIN:
        return entry
    if type(entry) is slice:
        bounds = (entry.start, entry.stop, entry.step)
        if all(type(b) in _PLAIN for b in bounds):
            return entry
        return slice(
            *[None if b is None else as_int("getitem", "slices of ints", b) for b in bounds]
        )
    if isinstance(entry, bool):
        return _core.from_data(entry, None, device)
    dtype = getattr(entry, "dtype", None)
    if dtype is None and hasattr(entry, "__index__"):
        return entry.__index__()
    if getattr(dtype, "kind", "") in ("i", "u") and entry.shape == ():  # NumPy's integers
        return int(entry)
    if dtype is not None or isinstance(entry, (list, tuple)):
        array = _index_array("getitem", entry, device)
        if not array.dtype.is_floating:
            return array
        raise TypeError(f"getitem: expected index arrays of integers or bools, got {array.dtype}")
    kind = type(entry).__name__
    raise TypeError(f"getitem: expected ints, slices, None, Ellipsis or index arrays, got {kind}")


def as_int(op, what, value):
    """`value` as an int; TypeError, naming `what` was expected, for what is none."""
    try:
        return value.__index__()
    except (AttributeError, TypeError, ValueError):  # the last two: Tensors that are no index
        raise TypeError(f"{op}: expected {what}, got {type(value).__name__}") from None


def read_index(index, device):
    """The entries of an index, and whether arrays are among them. Lists and NumPy arrays come to
    the device of that code."""
    index = index if type(index) is tuple else (index,)
    entries = tuple(_entry(e, device) for e in index)
    return entries, any(isinstance(e, _core.TensorBase) for e in entries)


class Plan:
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
                indices = _core.nonzero(entry) if mask else _as_int64("getitem", entry)
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
