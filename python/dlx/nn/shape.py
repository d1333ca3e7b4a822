"""Layers that compute nothing: Flatten, Identity."""

from __future__ import annotations

from dlx.nn.module import Module
from dlx.ops.shape import flatten

__all__ = ["Flatten", "Identity"]


class Flatten(Module):
    """Merge the dimensions start_dim…end_dim into one: (N, C, H, W) -> (N, C·H·W) by default."""

    def __init__(self, start_dim=1, end_dim=-1):
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x):
        """x: any shape and dtype; a view where its strides allow."""
        return flatten(x, self.start_dim, self.end_dim)

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
