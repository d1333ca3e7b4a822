"""Activations as layers: ReLU, Tanh, Sigmoid, Softmax, LogSoftmax. No parameters."""

from __future__ import annotations

from dlx.nn import functional as F
from dlx.nn.module import Module

__all__ = ["LogSoftmax", "ReLU", "Sigmoid", "Softmax", "Tanh"]


class ReLU(Module):
    """y = max(x, 0), x of any shape.

    inplace: taken for PyTorch's sake. It changes nothing: a Tensor's value never changes under
    another name, and the allocator reuses the memory anyway.
    """

    def __init__(self, inplace=False):
        self.inplace = inplace

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.relu(x)

    def extra_repr(self):
        """The argument, if it is not the default."""
        return "inplace=True" if self.inplace else ""


class Tanh(Module):
    """y = tanh(x), x of any shape."""

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.tanh(x)


class Sigmoid(Module):
    """y = 1 / (1 + exp(-x)), x of any shape."""

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.sigmoid(x)


class Softmax(Module):
    """y = exp(x) / sum(exp(x)) along dim: y ≥ 0 and sums to 1 there.

    `CrossEntropyLoss` takes logits and applies it itself: a model for that loss ends without one.
    """

    def __init__(self, dim):
        self.dim = dim

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.softmax(x, self.dim)

    def extra_repr(self):
        """The dimension along which y sums to 1."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """y = x - log(sum(exp(x))) along dim, without overflow."""

    def __init__(self, dim):
        self.dim = dim

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.log_softmax(x, self.dim)

    def extra_repr(self):
        """The dimension along which exp(y) sums to 1."""
        return f"dim={self.dim}"
