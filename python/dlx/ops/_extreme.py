"""The extreme elements along one axis with their places, as PyTorch's max(dim) and min(dim)."""

from __future__ import annotations

from dlx import _core
from dlx.autodiff import primitive, record
from dlx.ops._prepare import normalize_axis, prepare
from dlx.ops.creation import arange, zeros
from dlx.ops.index import scattered, take
from dlx.ops.reduce import argmax, argmin, count_of
from dlx.ops.shape import reshape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = ["max_and_place", "min_and_place"]


def max_and_place(x, axis, keepdims=False) -> tuple[Tensor, Tensor]:
    """The largest elements along one axis and their indices (int64), the first among equals; NaN
    wins. The gradient goes to the element at the index alone."""
    (x,) = prepare("max", x)
    axis, keepdims = normalize_axis("max", axis, x.ndim), bool(keepdims)
    places = argmax(x, axis, keepdims)
    y = _core.max(x, (axis,), keepdims)
    return record(_rules["max"], (x,), y, (places, axis)), places


def min_and_place(x, axis, keepdims=False) -> tuple[Tensor, Tensor]:
    """The smallest elements along one axis and their indices, as max_and_place."""
    (x,) = prepare("min", x)
    axis, keepdims = normalize_axis("min", axis, x.ndim), bool(keepdims)
    places = argmin(x, axis, keepdims)
    y = _core.min(x, (axis,), keepdims)
    return record(_rules["min"], (x,), y, (places, axis)), places


def _positions(x, places, axis):
    """The places as positions in the flattened x."""
    outer, inner = count_of(x, range(axis)), count_of(x, range(axis + 1, x.ndim))
    before = arange(outer, device=x.device) * (x.shape[axis] * inner)
    at = reshape(places, (outer, inner)) * inner + arange(inner, device=x.device)
    return reshape(at + reshape(before, (outer, 1)), (-1,))


def _vjp(g, y, x, places, axis):
    nothing = zeros((x.numel(),), dtype=x.dtype, device=x.device)
    dx = scattered(nothing, reshape(g, (-1,)), _positions(x, places, axis), 0, 1)
    return reshape(dx, x.shape)


def _jvp(tangents, y, x, places, axis):
    return reshape(take(reshape(tangents[0], (-1,)), _positions(x, places, axis)), y.shape)


_rules = {op: primitive(op, vjp=_vjp, jvp=_jvp) for op in ("max", "min")}
