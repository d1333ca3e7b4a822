"""Borders around images: ZeroPad2d, ConstantPad2d, ReflectionPad2d, ReplicationPad2d."""

from __future__ import annotations

from dlx._tensor import Tensor
from dlx.nn import functional as F
from dlx.nn.module import Module
from dlx.ops._index_plan import as_int

__all__ = ["ConstantPad2d", "ReflectionPad2d", "ReplicationPad2d", "ZeroPad2d"]


class _Pad2d(Module):
    """x: (N, C, H, W) or (C, H, W), any dtype -> H + top + bottom, W + left + right."""

    _mode, value = "constant", 0

    def __init__(self, padding):
        layer = type(self).__name__
        sides = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * 4
        if len(sides) != 4:
            raise ValueError(
                f"{layer}: padding must be an int or (left, right, top, bottom), got {padding!r}"
            )
        self.padding = tuple(as_int(layer, "ints as padding", n) for n in sides)

    def forward(self, x):
        """x: (N, C, H, W) or (C, H, W)."""
        if isinstance(x, Tensor) and x.ndim not in (3, 4):
            raise ValueError(f"pad: expected x of shape (N, C, H, W) or (C, H, W); x={x.shape}")
        return F.pad(x, self.padding, self._mode, self.value)

    def _config(self):
        return {"padding": self.padding}

    def extra_repr(self):
        """The arguments that made the layer."""
        return str(self.padding)


class ConstantPad2d(_Pad2d):
    """A border of `value` around images.

    padding: an int, or (left, right, top, bottom); negative ones crop.
    x: (N, C, H, W) or (C, H, W), any dtype; y: H + top + bottom, W + left + right.
    """

    def __init__(self, padding, value):
        super().__init__(padding)
        self.value = value

    def _config(self):
        return {"padding": self.padding, "value": self.value}

    def extra_repr(self):
        """The arguments that made the layer."""
        return f"padding={self.padding}, value={self.value}"


class ZeroPad2d(_Pad2d):
    """A border of zeros around images; padding and shapes as ConstantPad2d."""


class ReflectionPad2d(_Pad2d):
    """Images mirrored about their edge pixels; padding and shapes as ConstantPad2d.

    A border is at most one pixel smaller than the image: ValueError otherwise."""

    _mode = "reflect"


class ReplicationPad2d(_Pad2d):
    """Images whose edge pixels are repeated; padding and shapes as ConstantPad2d."""

    _mode = "replicate"
