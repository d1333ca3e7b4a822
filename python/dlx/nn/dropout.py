"""Dropout as a layer."""

from __future__ import annotations

from numbers import Real

from dlx.nn import functional as F
from dlx.nn.module import Module

__all__ = ["Dropout"]


class Dropout(Module):
    """In training each element is zeroed with probability p, the rest scaled by 1 / (1 - p).

    In evaluation y = x. (Srivastava et al. 2014, with the scaling moved into training.)
    inplace: taken for PyTorch's sake, changes nothing (see ReLU).
    """

    def __init__(self, p=0.5, inplace=False):
        if not isinstance(p, Real):
            raise TypeError(f"Dropout: p must be a number, got {type(p).__name__}")
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p must be between 0 and 1, got {p}")
        self.p = p
        self.inplace = inplace

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.dropout(x, self.p, self.training)

    def extra_repr(self):
        """The arguments that made the layer."""
        return f"p={self.p}, inplace={self.inplace}"
