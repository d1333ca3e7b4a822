"""A border around an array: constant, mirrored, repeated or wrapped; a negative one crops."""

from __future__ import annotations

from dlx import _core
from dlx._rules import linear
from dlx.autodiff import alias, record
from dlx.ops._index_plan import as_int
from dlx.ops._prepare import prepare
from dlx.ops.arrange import flip
from dlx.ops.creation import _number, full, zeros
from dlx.ops.reduce import sum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = ["pad"]

_CONSTANT, _REFLECT, _REPLICATE, _CIRCULAR = range(4)  # csrc's PadMode
_MODES = {
    "constant": _CONSTANT,
    "reflect": _REFLECT,
    "replicate": _REPLICATE,
    "circular": _CIRCULAR,
    "edge": _REPLICATE,
    "wrap": _CIRCULAR,
}


def pad(x, pad_width, mode="constant", value=0) -> Tensor:
    """x with a border, as numpy.pad: y[i + before, ...] = x[i, ...].

    pad_width: an int for every side, (before, after) for every axis, or such a pair per axis;
    negative numbers crop. mode: "constant" (value around x), "reflect" (mirrored about the edge
    element), "replicate" or "edge" (the edge element repeated), "circular" or "wrap" (from the
    other side). Any dtype; value is cast to it. Raises ValueError for a border that reaches further
    than x (reflect: n - 1 elements, circular: n), for cropping more than there is, and for an
    unknown mode."""
    (x,) = prepare("pad", x)
    return padded(x, _pairs(x, pad_width), mode, value)


def padded(x, pairs, mode, value):
    """pad by one (before, after) for each axis of the Tensor x."""
    if not isinstance(mode, str) or mode not in _MODES:
        known = ", ".join(_MODES)
        raise ValueError(f"pad: expected a mode among {known}; got {mode!r}")
    code = _MODES[mode]
    crops = any(b < 0 or a < 0 for b, a in pairs)
    if crops and code in (_CONSTANT, _CIRCULAR):  # the others crop what they have extended
        x, crops = _cropped(x, pairs), False
    before, after = tuple(max(b, 0) for b, _ in pairs), tuple(max(a, 0) for _, a in pairs)
    if any(before) or any(after):
        number = _number_like(x, value) if code == _CONSTANT else None
        y = _core.pad(x, number, before, after, code)
        x = record(_pad_rule, (x,), y, (before, after, code))
    else:
        x = alias(x)
    return _cropped(x, pairs) if crops else x


def pad_from_last(x, pad, mode, value):
    """pad as PyTorch counts: (before, after) of the last dimension, then of the one before it."""
    (x,) = prepare("pad", x)
    if not isinstance(pad, (tuple, list)):
        raise TypeError(f"pad: expected a tuple of ints as pad, got {type(pad).__name__}")
    if len(pad) % 2 or len(pad) > 2 * x.ndim:
        raise ValueError(
            f"pad: expected pad to hold 2 numbers for each dimension from the last on, "
            f"got {tuple(pad)}; x={x.shape}"
        )
    borders = [_border(n) for n in pad]
    pairs = list(zip(borders[::2], borders[1::2], strict=True))[::-1]
    return padded(x, [(0, 0)] * (x.ndim - len(pairs)) + pairs, mode, 0 if value is None else value)


def _pairs(x, pad_width):
    """pad_width as one (before, after) for each axis."""
    if not isinstance(pad_width, (tuple, list)):
        n = _border(pad_width)
        return [(n, n)] * x.ndim
    if all(isinstance(entry, (tuple, list)) for entry in pad_width):
        pairs = [tuple(_border(n) for n in pair) for pair in pad_width]
    else:
        pairs = [tuple(_border(n) for n in pad_width)]
    pairs = pairs * x.ndim if len(pairs) == 1 else pairs
    if len(pairs) != x.ndim or any(len(pair) != 2 for pair in pairs):
        raise ValueError(
            f"pad: expected an int, a pair (before, after), or one for each axis of x, "
            f"got {pad_width!r}; x={x.shape}"
        )
    return pairs


def _border(n):
    n = as_int("pad", "ints as pad_width", n)
    if not -(2**62) < n < 2**62:
        raise ValueError(f"pad: a border of {n} elements is not possible")
    return n


def _number_like(x, value):
    """value as a () of x's dtype."""
    try:
        return full((), _number("pad", "value", value), dtype=x.dtype, device=x.device)
    except OverflowError:
        raise OverflowError(f"pad: the number {value} does not fit {x.dtype}") from None


def _cropped(x, pairs):
    """x without as many elements as negative borders say."""
    index = []
    for axis, (before, after) in enumerate(pairs):
        start, stop = max(-before, 0), x.shape[axis] - max(-after, 0)
        if start > stop:
            raise ValueError(
                f"pad: borders {before} and {after} crop more than axis {axis} has; x={x.shape}"
            )
        index.append(slice(start, stop))
    return x[tuple(index)]


# ---- the rule: linear but for the constant


def _pad_tangent(t, before, after, code):
    zero = zeros((), dtype=t.dtype, device=t.device) if code == _CONSTANT else None
    y = _core.pad(t, zero, before, after, code)
    return record(_pad_rule, (t,), y, (before, after, code))


def _pad_transpose(g, x, before, after, code):
    """g without its borders; what stands there is added where the border came from."""
    for axis, (n, b, a) in enumerate(zip(x.shape, before, after, strict=True)):
        if not (b or a):
            continue
        left, right = _along(g, axis, 0, b), _along(g, axis, b + n, b + n + a)
        g = _along(g, axis, b, b + n)
        if code == _REFLECT:
            _add(g, axis, 1, 1 + b, flip(left, axis))
            _add(g, axis, n - 1 - a, n - 1, flip(right, axis))
        elif code == _REPLICATE:
            _add(g, axis, 0, 1, sum(left, axis, keepdims=True))
            _add(g, axis, n - 1, n, sum(right, axis, keepdims=True))
        elif code == _CIRCULAR:
            _add(g, axis, n - b, n, left)
            _add(g, axis, 0, a, right)
    return g


def _along(x, axis, start, stop):
    """The view x[..., start:stop, ...]."""
    return x[(slice(None),) * axis + (slice(start, stop),)]


def _add(x, axis, start, stop, part):
    """x[..., start:stop, ...] += part."""
    if start < stop:
        place = (slice(None),) * axis + (slice(start, stop),)
        x[place] = x[place] + part


_pad_rule = linear("pad", _pad_tangent, _pad_transpose)
