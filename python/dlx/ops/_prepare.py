"""Arguments at the border: one place for Tensor, dtype and axis checks of all coarse ops.

The hot ops (pointwise, matmul) do the same in C.
"""

from __future__ import annotations

from dlx import _core

__all__ = ["FLOATING", "FLOATING_OR_HALF", "NUMERIC", "normalize_axes", "normalize_axis", "prepare"]

FLOATING = ("float32", "float64")
FLOATING_OR_HALF = ("float32", "float64", "bfloat16", "float16")
NUMERIC = ("float32", "float64", "bfloat16", "float16", "int32", "int64", "uint8")


def prepare(op, *tensors, dtypes=None, promote=False):
    """The arguments as Tensors of one dtype; raises TypeError that names `op`, what was expected
    and what came.

    dtypes: names of those that the op has kernels for; promote: cast to the common dtype instead of
    raising."""
    if len(tensors) == 1 and dtypes is None and isinstance(tensors[0], _core.TensorBase):
        return tensors
    for i, x in enumerate(tensors):
        if not isinstance(x, _core.TensorBase):
            place = f" as argument {i}" if len(tensors) > 1 else ""
            raise TypeError(
                f"{op}: expected a Tensor{place}, got {type(x).__name__}; "
                "dlx.asarray makes Tensors of arrays"
            )
    if len(tensors) > 1:
        common, device = tensors[0].dtype, tensors[0]._device_code
        mixed = apart = False
        for x in tensors:
            mixed = mixed or x.dtype is not common
            apart = apart or x._device_code != device
        if mixed and promote:
            for x in tensors[1:]:
                common = _core.promote(common, x.dtype)
            tensors = tuple(x if x.dtype is common else x.astype(common) for x in tensors)
        elif mixed:
            names = ", ".join(x.dtype.name for x in tensors)
            raise TypeError(f"{op}: expected one dtype, got {names}; {_cast(tensors)}")
        if apart:
            raise RuntimeError(
                f"{op}: expected one device, got {', '.join(str(x.device) for x in tensors)}"
            )
    if dtypes is not None and tensors and tensors[0].dtype.name not in dtypes:
        raise TypeError(
            f"{op}: no kernel for {tensors[0].dtype.name}; it works on {', '.join(dtypes)}"
        )
    return tensors


def _cast(tensors):
    """What to do about tensors of several dtypes: x goes by float32 weights."""
    first, *rest = (x.dtype.name for x in tensors)
    if any(dtype != "float32" for dtype in rest):
        return "cast with x.astype(...)"
    return "cast with x.astype('float32')" + (" / 255" if first == "uint8" else "")


def normalize_axis(op, axis, ndim):
    """`axis` as a number in [0, ndim); raises TypeError for a non-integer, IndexError outside."""
    try:
        place = axis.__index__()
    except (AttributeError, TypeError, ValueError):  # the last two: Tensors that are no index
        got = type(axis).__name__ if isinstance(axis, _core.TensorBase) else repr(axis)
        raise TypeError(f"{op}: expected an integer axis, got {got}") from None
    if not -ndim <= place < ndim:
        raise IndexError(f"{op}: axis {place} does not exist in a tensor of {ndim} dimensions")
    return place + ndim if place < 0 else place


def normalize_axes(op, axis, ndim):
    """`axis` (None for all, an int, or a tuple) as a sorted tuple; raises ValueError for a repeated
    axis."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    places = sorted(normalize_axis(op, a, ndim) for a in axes)
    if len(set(places)) != len(places):
        raise ValueError(f"{op}: axis {axis!r} names a dimension twice")
    return tuple(places)
