"""Layers of one matrix product: Linear and LazyLinear."""

from __future__ import annotations

import math
import operator

import dlx
from dlx._tensor import Tensor
from dlx.nn import functional as F
from dlx.nn import init
from dlx.nn.lazy import Lazy
from dlx.nn.module import Module
from dlx.nn.parameter import Parameter

__all__ = ["LazyLinear", "Linear"]


def _size(layer, name, value):
    """value as an int ≥ 0, or an error that names the layer and its argument."""
    try:
        size = operator.index(value)
    except TypeError:
        raise TypeError(f"{layer}: {name} must be an integer, got {value!r}") from None
    if size < 0:
        raise ValueError(f"{layer}: {name} must be at least 0, got {size}")
    return size


class Linear(Module):
    """y = x Wᵀ + b.

    weight: (out_features, in_features), bias: (out_features,) or None, both drawn from
    U(-k, k) with k = 1 / sqrt(in_features), PyTorch's default.
    x: (..., in_features) of the weight's dtype; y: (..., out_features).
    """

    def __init__(self, in_features, out_features, bias=True, device=None, dtype=None):
        self.in_features = _size("Linear", "in_features", in_features)
        self.out_features = _size("Linear", "out_features", out_features)
        shape = (self.out_features, self.in_features)
        self.weight = Parameter(dlx.empty(shape, dtype=dtype, device=device))
        if bias:
            self.bias = Parameter(dlx.empty(shape[:1], dtype=dtype, device=device))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw weight and bias anew from the generator of `dlx.seed`."""
        # With a = sqrt(5) the Kaiming bound sqrt(6 / ((1 + a²) fan_in)) is 1 / sqrt(fan_in).
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x):
        """x: (..., in_features) -> (..., out_features)."""
        return F.linear(x, self.weight, self.bias)

    def _config(self):
        return {
            "in_features": self.in_features,
            "out_features": self.out_features,
            "bias": self.bias is not None,
            "dtype": str(self.weight.dtype),
        }

    def extra_repr(self):
        """The arguments that made the layer."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class LazyLinear(Lazy, Linear):
    """A Linear whose in_features is the last size of its first batch; then it is a Linear."""

    _becomes = Linear

    def __init__(self, out_features, bias=True, device=None, dtype=None):
        self.in_features = 0
        self.out_features = _size("LazyLinear", "out_features", out_features)
        shapes = {"weight": (self.out_features, None)}
        if bias:
            shapes["bias"] = (self.out_features,)
        self._declare(shapes, device, dtype)
        if not bias:
            self.register_parameter("bias", None)

    def _infer(self, x):
        if not isinstance(x, Tensor):
            raise TypeError(f"linear: x must be a Tensor, got {type(x).__name__}")
        if x.ndim == 0:
            raise ValueError("linear: x needs at least one axis, the features; x=()")
        return {**self._lazy_shapes, "weight": (self.out_features, x.shape[-1])}

    def _materialize(self, shapes):
        super()._materialize(shapes)
        self.in_features = shapes["weight"][1]

    def extra_repr(self):
        """The arguments that made the layer."""
        bias = "bias" in self._lazy_shapes
        return f"in_features=0, out_features={self.out_features}, bias={bias}"
