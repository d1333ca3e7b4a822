"""Resampling layers: Upsample."""

from __future__ import annotations

from dlx.nn import functional as F
from dlx.nn.module import Module

__all__ = ["Upsample"]


class Upsample(Module):
    """Images at another size.

    x: (N, C, H, W) or (N, C, L), float32 or float64; y: of `size`, or scale_factor times as large,
    rounded down; numbers, or one for each axis. mode: "nearest", "bilinear" ("linear" for
    (N, C, L)) or "area"; align_corners, for the linear ones: the pixels of the corners stay. See
    F.interpolate.
    """

    def __init__(
        self,
        size=None,
        scale_factor=None,
        mode="nearest",
        align_corners=None,
        recompute_scale_factor=None,
    ):
        if (size is None) == (scale_factor is None):
            both = f"size={size} scale_factor={scale_factor}"
            raise ValueError(f"Upsample: expected either size or scale_factor, got {both}")
        self.size, self.scale_factor, self.mode = size, scale_factor, mode
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor

    def forward(self, x):
        """x: (N, C, H, W) or (N, C, L)."""
        return F.interpolate(x, **self._config())

    def extra_repr(self):
        """The arguments that made the layer."""
        name = "size" if self.scale_factor is None else "scale_factor"
        return f"{name}={getattr(self, name)}, mode={self.mode!r}"
