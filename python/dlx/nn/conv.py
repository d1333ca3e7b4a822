"""Convolution layers: Conv1d, Conv2d, their lazy forms, and what the transposed ones share."""

from __future__ import annotations

import math
import operator

import dlx
from dlx._tensor import Tensor
from dlx.nn import functional as F
from dlx.nn import init
from dlx.nn.lazy import Lazy
from dlx.nn.linear import _size
from dlx.nn.module import Module
from dlx.nn.parameter import Parameter
from dlx.ops.conv import conv1d, conv2d

__all__ = ["Conv1d", "Conv2d", "LazyConv1d", "LazyConv2d"]

_MODES = ("zeros", "reflect", "replicate", "circular")


def _sizes(layer, name, value, n, least):
    """value, an int or n of them, as a tuple of n ints >= least."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * n
    wanted = f"an int or a tuple of {n}" if n > 1 else "an int"
    try:
        sizes = tuple(operator.index(size) for size in values)
    except TypeError:
        raise TypeError(f"{layer}: {name} must be {wanted}, got {value!r}") from None
    if len(sizes) != n:
        raise ValueError(f"{layer}: {name} must be {wanted}, got {value!r}")
    if any(size < least for size in sizes):
        raise ValueError(f"{layer}: {name} must be at least {least}, got {value!r}")
    return sizes


class _ConvNd(Module):
    """What convolutions of all dimensions and both directions share: arguments and parameters."""

    _n: int  # spatial dimensions
    _transposed = False

    def _set_arguments(
        self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, mode
    ):
        """Check the arguments and keep them as attributes."""
        layer, n = type(self).__name__, self._n
        self.in_channels = _size(layer, "in_channels", in_channels)
        self.out_channels = _size(layer, "out_channels", out_channels)
        self.kernel_size = _sizes(layer, "kernel_size", kernel_size, n, 1)
        self.stride = _sizes(layer, "stride", stride, n, 1)
        self.dilation = _sizes(layer, "dilation", dilation, n, 1)
        if not isinstance(padding, str) or self._transposed:
            padding = _sizes(layer, "padding", padding, n, 0)
        elif padding not in ("same", "valid"):
            raise ValueError(f"{layer}: padding must be ints, 'same' or 'valid', got {padding!r}")
        elif padding == "same" and self.stride != (1,) * n:
            raise ValueError(f"{layer}: padding='same' needs stride 1, got stride={self.stride}")
        self.padding = padding
        (self.groups,) = _sizes(layer, "groups", groups, 1, 1)
        for name in ("in_channels", "out_channels"):
            if getattr(self, name) % self.groups:
                raise ValueError(
                    f"{layer}: groups must divide {name}, got {name}={getattr(self, name)}, "
                    f"groups={self.groups}"
                )
        if mode not in (_MODES[:1] if self._transposed else _MODES):
            wanted = "'zeros'" if self._transposed else f"one of {_MODES}"
            raise ValueError(f"{layer}: padding_mode must be {wanted}, got {mode!r}")
        self.padding_mode = mode

    def _shapes(self, in_channels, bias):
        """Parameter name -> shape; in_channels None leaves the size open."""
        a, b = self.out_channels, in_channels
        if self._transposed:
            a, b = b, a
        b = b and b // self.groups
        weight = {"weight": (a, b, *self.kernel_size)}
        return weight | {"bias": (self.out_channels,)} if bias else weight

    def _create(self, bias, device, dtype):
        for name, shape in self._shapes(self.in_channels, bias).items():
            self.register_parameter(name, Parameter(dlx.empty(shape, dtype=dtype, device=device)))
        if not bias:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw weight and bias anew from the generator of `dlx.seed`."""
        # With a = sqrt(5) the Kaiming bound sqrt(6 / ((1 + a²) fan_in)) is 1 / sqrt(fan_in).
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = math.prod(self.weight.shape[1:])
            bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
            init.uniform_(self.bias, -bound, bound)

    def _channels_of(self, x):
        """The channels of x; raises where x is no (batch of an) image."""
        if not isinstance(x, Tensor):
            kind = type(x).__name__
            raise TypeError(f"expected a Tensor, got {kind}; dlx.asarray makes Tensors of arrays")
        n, sizes = self._n, "L" if self._n == 1 else "H, W"
        if x.ndim not in (n + 1, n + 2):
            raise ValueError(f"expected x of shape (N, C, {sizes}) or (C, {sizes}), got {x.shape}")
        return x.shape[-n - 1]

    def _check(self, x):
        channels = self._channels_of(x)
        if channels != self.in_channels:
            raise ValueError(
                f"expected {self.in_channels} input channels, x has {channels}; x={x.shape} "
                f"weight={self.weight.shape}{self._advice(x)}"
            )

    def _advice(self, x):
        """The likely fix for an x of other channels: another order of axes, a missing axis."""
        n, wanted = self._n, self.in_channels
        if x.ndim == n + 2 and x.shape[-1] == wanted:
            order = (0, n + 1, *range(1, n + 1))
            return f"; the channels stand before the pixels here: x.permute{order}"
        if x.ndim == n + 1 and x.shape[-1] == wanted:
            return f"; the channels stand before the pixels here: x.permute{(n, *range(n))}"
        if x.ndim == n + 1 and wanted == 1:
            return "; for a batch of images of one channel: x.unsqueeze(1)"
        return ""

    def _config(self):
        return super()._config() | {
            "bias": self.bias is not None,
            "dtype": str(self.weight.dtype),
        }

    def extra_repr(self):
        """The arguments that made the layer, where they are not the default."""
        n, own = self._n, vars(self)
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        for name, default in (("padding", 0), ("dilation", 1), ("output_padding", 0)):
            if own.get(name, (default,) * n) != (default,) * n:
                text += f", {name}={own[name]}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if not self._has_bias():
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text

    def _has_bias(self):
        return self.bias is not None


class _Conv(_ConvNd):
    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ):
        self._set_arguments(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode
        )
        self._create(bias, device, dtype)

    def forward(self, x):
        """x: (N, C, ...) or (C, ...) -> (N, K, ...) or (K, ...)."""
        self._check(x)
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = F.pad(x, self._border(), self.padding_mode), 0
        return self._function(
            x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )

    def _border(self):
        """The padding as F.pad takes it: both sides of each dimension, the last dimension first."""
        if self.padding == "same":  # the odd one goes behind, as PyTorch's
            total = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size)]
            sides = [(t // 2, t - t // 2) for t in total]
        else:
            padding = (0,) * self._n if self.padding == "valid" else self.padding
            sides = [(p, p) for p in padding]
        return tuple(p for side in reversed(sides) for p in side)


class Conv1d(_Conv):
    """y[n, k] = b[k] + the sum over c of x[n, c] cross-correlated with w[k, c], over the last axis.

    x: (N, C, L) or (C, L); y: (N, K, Q) or (K, Q), Q = (L + 2·padding - dilation·(S - 1) - 1)
    // stride + 1. weight: (K, C / groups, S), bias: (K,) or None; arguments as Conv2d.
    """

    _n, _function = 1, staticmethod(conv1d)


class Conv2d(_Conv):
    """y[n, k] = b[k] + the sum over c of x[n, c] cross-correlated with w[k, c] of (R, S).

    x: (N, C, H, W) or (C, H, W) of the weight's dtype; y: (N, K, P, Q) or (K, P, Q),
    P = (H + 2·padding - dilation·(R - 1) - 1) // stride + 1, Q likewise.
    weight: (K, C / groups, R, S), bias: (K,) or None, both drawn from U(-k, k) with
    k = 1 / sqrt(C / groups · R · S), PyTorch's default.

    kernel_size, stride, padding, dilation: an int or (vertical, horizontal); padding also "same"
    (P = H for stride 1) or "valid" (none). groups: x's channels and y's are cut into as many parts,
    and each part of y sees its part of x. padding_mode: "zeros", "reflect", "replicate" or
    "circular". Raises ValueError where these or x do not fit, naming the layer.
    """

    _n, _function = 2, staticmethod(conv2d)


class _LazyConv(Lazy):
    def __init__(
        self,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ):
        self._set_arguments(
            0, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode
        )
        self._declare(self._shapes(None, bias), device, dtype)
        if not bias:
            self.register_parameter("bias", None)

    def _infer(self, x):
        channels = self._channels_of(x)
        if channels % self.groups:
            raise ValueError(
                f"groups={self.groups} must divide the input channels, x has {channels}; "
                f"x={x.shape}"
            )
        return self._shapes(channels, "bias" in self._lazy_shapes)

    def _materialize(self, shapes):
        super()._materialize(shapes)
        self.in_channels = shapes["weight"][1] * self.groups

    def _has_bias(self):
        return "bias" in self._lazy_shapes


class LazyConv1d(_LazyConv, Conv1d):
    """A Conv1d whose in_channels is that of its first batch; then it is a Conv1d."""

    _becomes = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """A Conv2d whose in_channels is that of its first batch; then it is a Conv2d."""

    _becomes = Conv2d
