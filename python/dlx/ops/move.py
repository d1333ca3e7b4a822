"""Copies from one device to another."""

from __future__ import annotations

from dlx import _core
from dlx.autodiff import linear, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = []


def move(x, code) -> Tensor:
    """x on the device of (kind, index). Differentiable. Tensor.to calls it."""
    y = _core.move(x, code)
    return record(_move_rule, (x,), y, (code,)) if x.dtype.is_floating else y


_move_rule = linear("move", move, lambda g, x, code: move(g, x._device_code))
