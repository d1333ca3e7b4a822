"""Layers that compute nothing: Flatten, Identity."""

from __future__ import annotations

import math

from dlx.nn.module import Module

__all__ = ["Flatten", "Identity"]


class Flatten(Module):
    """Merge the dimensions start_dim…end_dim into one: (N, C, H, W) -> (N, C·H·W) by default."""

    def __init__(self, start_dim=1, end_dim=-1):
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x):
        """x: any shape and dtype; a view where its strides allow."""
        shape = x.shape
        first, last = self._axis(self.start_dim, shape), self._axis(self.end_dim, shape)
        if first > last:
            raise ValueError(
                f"flatten: start_dim {self.start_dim} comes after end_dim {self.end_dim}, x={shape}"
            )
        return x.reshape((*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))

    def _axis(self, dim, shape):
        """dim counted from the front; a 0-d x counts as (1,)."""
        ndim = max(len(shape), 1)
        if not -ndim <= dim < ndim:
            raise IndexError(f"flatten: dimension {dim} is out of range, x={shape}")
        return dim % ndim

    def extra_repr(self):
        """The arguments that made the layer."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """y = x. Takes and ignores any arguments, as a place holder for a layer."""

    def __init__(self, *args, **kwargs):
        pass

    def forward(self, x):
        """x: anything; returned as it is."""
        return x
