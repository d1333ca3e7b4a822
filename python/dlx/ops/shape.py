"""The same elements in another shape (views wherever strides permit), and joining arrays."""

from __future__ import annotations

from dlx import _core
from dlx._rules import linear, primitive
from dlx.autodiff import record
from dlx.ops._prepare import normalize_axes, normalize_axis, prepare
from dlx.ops.creation import zeros

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = [
    "broadcast_to",
    "concat",
    "expand_dims",
    "flatten",
    "permute_dims",
    "reshape",
    "squeeze",
    "stack",
]


def reshape(x, shape) -> Tensor:
    """x's elements, in row-major order, under another shape; one -1 stands for what is left.

    A view where x's strides permit, else a copy. Raises ValueError when the numbers of elements
    differ."""
    (x,) = prepare("reshape", x)
    y = _core.reshape(x, shape)
    return record(_reshape_rule, (x,), y, (y.shape,))


def _reshape_transpose(g, x, shape):
    return reshape(g, x.shape)


_reshape_rule = linear("reshape", reshape, _reshape_transpose)


def flatten(x, start=0, end=-1) -> Tensor:
    """Dimensions start...end (both included) as one; a 0-d x becomes 1-d."""
    (x,) = prepare("flatten", x)
    if x.ndim == 0:
        return reshape(x, (1,))
    start, end = normalize_axis("flatten", start, x.ndim), normalize_axis("flatten", end, x.ndim)
    if start > end:
        raise ValueError(f"flatten: expected start <= end, got {start} and {end}; x={x.shape}")
    count = 1
    for extent in x.shape[start : end + 1]:
        count *= extent
    return reshape(x, (*x.shape[:start], count, *x.shape[end + 1 :]))


def squeeze(x, axis) -> Tensor:
    """x without the dimensions `axis` (an int or a tuple); ValueError where an extent is not 1."""
    (x,) = prepare("squeeze", x)
    axes = normalize_axes("squeeze", () if axis is None else axis, x.ndim)
    for a in axes:
        if x.shape[a] != 1:
            raise ValueError(f"squeeze: axis {a} has extent {x.shape[a]}, expected 1; x={x.shape}")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


def expand_dims(x, axis=0) -> Tensor:
    """x with a dimension of extent 1 inserted, which is dimension `axis` of the result.

    Raises IndexError unless -x.ndim - 1 <= axis <= x.ndim."""
    (x,) = prepare("expand_dims", x)
    axis = normalize_axis("expand_dims", axis, x.ndim + 1)
    return reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def permute_dims(x, axes) -> Tensor:
    """The dimensions in another order, as a view: y.shape[d] = x.shape[axes[d]].

    Raises ValueError unless `axes` names every dimension once; negative ones count from the end."""
    (x,) = prepare("permute_dims", x)
    if not isinstance(axes, (tuple, list)):
        raise TypeError(f"permute_dims: expected a tuple of axes, got {type(axes).__name__}")
    return permuted(x, tuple(normalize_axis("permute_dims", a, x.ndim) for a in axes))


def permuted(x, axes):
    """permute_dims of a Tensor by axes that are known to be a tuple from 0 to x.ndim - 1."""
    return record(_permute_rule, (x,), _core.permute_dims(x, axes), (axes,))


def inverse_axes(axes):
    """The permutation that undoes `axes`."""
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


def _permute_transpose(g, x, axes):
    return permute_dims(g, inverse_axes(axes))


_permute_rule = linear("permute_dims", permute_dims, _permute_transpose)


def broadcast_to(x, shape) -> Tensor:
    """x repeated along new leading dimensions and those of extent 1, as a view without copies.

    Raises ValueError when the shapes do not broadcast."""
    (x,) = prepare("broadcast_to", x)
    y = _core.broadcast_to(x, shape)
    return record(_broadcast_rule, (x,), y, (y.shape,))


def _broadcast_transpose(g, x, shape):
    from dlx.ops._broadcast import sum_to_shape

    return sum_to_shape(g, x.shape)


_broadcast_rule = linear("broadcast_to", broadcast_to, _broadcast_transpose)


def _arrays(op, arrays):
    try:
        arrays = tuple(arrays)
    except TypeError:
        kind = type(arrays).__name__
        raise TypeError(f"{op}: expected a list or tuple of Tensors, got {kind}") from None
    if not arrays:
        raise ValueError(f"{op}: expected at least one Tensor, got none")
    return prepare(op, *arrays, promote=True)


def concat(arrays, axis=0) -> Tensor:
    """Arrays one behind the other along an axis they have; axis None: flattened. Promotes dtypes.

    Raises ValueError unless the shapes are equal except along `axis`."""
    arrays = _arrays("concat", arrays)
    if axis is None:
        arrays, axis = tuple(reshape(x, (-1,)) for x in arrays), 0
    return _joined(arrays, normalize_axis("concat", axis, arrays[0].ndim))


def _joined(arrays, axis):
    return record(_concat_rule, arrays, _core.concat(arrays, axis), (axis,))


def _concat_vjp(g, y, *inputs_and_axis):
    *inputs, axis = inputs_and_axis
    parts, start = [], 0
    for x in inputs:
        stop = start + x.shape[axis]
        parts.append(g[(slice(None),) * axis + (slice(start, stop),)])
        start = stop
    return tuple(parts)


def _concat_jvp(tangents, y, *inputs_and_axis):
    *inputs, axis = inputs_and_axis
    device = next(t for t in tangents if t is not None).device  # the inputs were not kept
    parts = [
        zeros(x.shape, dtype=x.dtype, device=device) if t is None else t
        for t, x in zip(tangents, inputs, strict=True)
    ]
    return concat(parts, axis)


_concat_rule = primitive(
    "concat", vjp=_concat_vjp, jvp=_concat_jvp, saves_inputs=0, saves_outputs=0
)


def stack(arrays, axis=0) -> Tensor:
    """Arrays of one shape along a new axis, dimension `axis` of the result. Promotes dtypes.

    Raises ValueError unless the shapes are equal."""
    arrays = _arrays("stack", arrays)
    for i, x in enumerate(arrays):
        if x.shape != arrays[0].shape:
            shapes = f"x1={arrays[0].shape} x{i + 1}={x.shape}"
            raise ValueError(f"stack: expected equal shapes; {shapes}")
    shape = arrays[0].shape
    axis = normalize_axis("stack", axis, len(shape) + 1)
    if axis == len(shape):
        return concat([expand_dims(x, axis) for x in arrays], axis)
    # One behind the other along the axis that follows the new one: already in its order.
    return reshape(_joined(arrays, axis), (*shape[:axis], len(arrays), *shape[axis:]))


def move(x, code) -> Tensor:
    """x on the device of (kind, index), behind Tensor.to. Differentiable."""
    y = _core.move(x, code)
    return record(_move_rule, (x,), y, (code, x._device_code)) if x.dtype.is_floating else y


_move_rule = linear(
    "move", lambda x, code, back: move(x, code), lambda g, x, code, back: move(g, back)
)
