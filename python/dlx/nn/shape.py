"""Layers that compute nothing: Flatten, Unflatten, Identity."""

from __future__ import annotations

from dlx.nn.module import Module
from dlx.ops._prepare import prepare
from dlx.ops.shape import flatten

__all__ = ["Flatten", "Identity", "Unflatten"]


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


class Unflatten(Module):
    """Split the dimension dim into several: Unflatten(1, (C, H, W)) takes (N, C·H·W) to
    (N, C, H, W). One of unflattened_size may be -1, for what is left."""

    def __init__(self, dim, unflattened_size):
        if not isinstance(unflattened_size, (tuple, list)):
            raise TypeError(
                f"Unflatten: unflattened_size must be a tuple of sizes, got {unflattened_size!r}"
            )
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, x):
        """x: any shape and dtype; a view where its strides allow."""
        (x,) = prepare("unflatten", x)
        return x.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self):
        """The arguments that made the layer."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Identity(Module):
    """y = x. Takes and ignores any arguments, as a place holder for a layer."""

    def __init__(self, *args, **kwargs):
        pass

    def forward(self, x):
        """x: anything; returned as it is."""
        return x
