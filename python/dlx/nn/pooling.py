"""Pooling layers. They have no parameters."""

from __future__ import annotations

from dlx.nn import functional as F
from dlx.nn.conv import _sizes
from dlx.nn.module import Module
from dlx.ops._prepare import FLOATING, prepare
from dlx.ops.reduce import max as max_over
from dlx.ops.reduce import mean as mean_over

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "GlobalAvgPool2d",
    "GlobalMaxPool2d",
    "MaxPool1d",
    "MaxPool2d",
    "SumPool1d",
    "SumPool2d",
]


class _Pool(Module):
    """A layer that keeps the arguments of its function as attributes of the same names."""

    _axes = 2

    def _check(self, name, value, least):
        _sizes(type(self).__name__, name, value, self._axes, least)
        return value

    def _keep_windows(self, kernel_size, stride, padding):
        self.kernel_size = self._check("kernel_size", kernel_size, 1)
        self.stride = kernel_size if stride is None else self._check("stride", stride, 1)
        if isinstance(padding, str) and padding not in ("same", "valid"):
            layer = type(self).__name__
            raise ValueError(f"{layer}: padding must be ints, 'same' or 'valid', got {padding!r}")
        self.padding = padding if isinstance(padding, str) else self._check("padding", padding, 0)

    def extra_repr(self):
        """The arguments that made the layer."""
        shown = ("kernel_size", "stride", "padding")
        return ", ".join(f"{name}={getattr(self, name)}" for name in shown)


# ------------------------------------------------------------------------------------- maximum


class MaxPool2d(_Pool):
    """The maximum of each window of an image.

    x: (N, C, H, W) or (C, H, W); y: (N, C, P, Q), P = floor((H + 2 padding - dilation (kernel_size
    - 1) - 1) / stride) + 1. Numbers are ints or (rows, columns); stride None: kernel_size; padding
    also "valid" or "same". With return_indices a pair, y and where the maxima stand. See
    dlx.max_pool2d.
    """

    def __init__(
        self,
        kernel_size,
        stride=None,
        padding=0,
        dilation=1,
        return_indices=False,
        ceil_mode=False,
    ):
        self._keep_windows(kernel_size, stride, padding)
        self.dilation = self._check("dilation", dilation, 1)
        self.return_indices, self.ceil_mode = bool(return_indices), bool(ceil_mode)

    def forward(self, x):
        """x: (N, C, H, W) or (C, H, W)."""
        return F.max_pool2d(x, **self._config())

    def extra_repr(self):
        """The arguments that made the layer."""
        return f"{super().extra_repr()}, dilation={self.dilation}, ceil_mode={self.ceil_mode}"


class MaxPool1d(MaxPool2d):
    """MaxPool2d along one axis. x: (N, C, L) or (C, L); y: (N, C, Q)."""

    _axes = 1

    def forward(self, x):
        """x: (N, C, L) or (C, L)."""
        return F.max_pool1d(x, **self._config())


class AdaptiveMaxPool2d(_Pool):
    """The maxima of P x Q windows that cover an image, whatever its size.

    output_size: (P, Q) or an int; None keeps a size. x: (N, C, H, W) or (C, H, W); y: (N, C, P, Q).
    With return_indices a pair, y and where the maxima stand. See dlx.adaptive_max_pool2d.
    """

    def __init__(self, output_size, return_indices=False):
        self.output_size, self.return_indices = output_size, bool(return_indices)

    def forward(self, x):
        """x: (N, C, H, W) or (C, H, W)."""
        return F.adaptive_max_pool2d(x, **self._config())

    def extra_repr(self):
        """The arguments that made the layer."""
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(AdaptiveMaxPool2d):
    """AdaptiveMaxPool2d along one axis. x: (N, C, L) or (C, L); y: (N, C, Q)."""

    _axes = 1

    def forward(self, x):
        """x: (N, C, L) or (C, L)."""
        return F.adaptive_max_pool1d(x, **self._config())


# ------------------------------------------------------------------------------- average and sum


class AvgPool2d(_Pool):
    """The mean of each window of an image.

    Shapes and numbers as MaxPool2d. The sum is divided by the number of elements within the image
    and its padding, within the image alone if count_include_pad is False or padding "same", or by
    divisor_override. See dlx.avg_pool2d.
    """

    def __init__(
        self,
        kernel_size,
        stride=None,
        padding=0,
        ceil_mode=False,
        count_include_pad=True,
        divisor_override=None,
    ):
        self._keep_windows(kernel_size, stride, padding)
        self.ceil_mode, self.count_include_pad = bool(ceil_mode), bool(count_include_pad)
        self.divisor_override = divisor_override

    def forward(self, x):
        """x: (N, C, H, W) or (C, H, W)."""
        return F.avg_pool2d(x, **self._config())


class AvgPool1d(_Pool):
    """AvgPool2d along one axis. x: (N, C, L) or (C, L); y: (N, C, Q)."""

    _axes = 1

    def __init__(
        self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
    ):
        self._keep_windows(kernel_size, stride, padding)
        self.ceil_mode, self.count_include_pad = bool(ceil_mode), bool(count_include_pad)

    def forward(self, x):
        """x: (N, C, L) or (C, L)."""
        return F.avg_pool1d(x, **self._config())


class SumPool2d(_Pool):
    """The sum over each window of an image: AvgPool2d that divides by nothing. Shapes and numbers
    as there; PyTorch has no such layer."""

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False):
        self._keep_windows(kernel_size, stride, padding)
        self.ceil_mode = bool(ceil_mode)

    def forward(self, x):
        """x: (N, C, H, W) or (C, H, W)."""
        return F.sum_pool2d(x, **self._config())


class SumPool1d(SumPool2d):
    """SumPool2d along one axis. x: (N, C, L) or (C, L); y: (N, C, Q)."""

    _axes = 1

    def forward(self, x):
        """x: (N, C, L) or (C, L)."""
        return F.sum_pool1d(x, **self._config())


class AdaptiveAvgPool2d(_Pool):
    """The means of P x Q windows that cover an image, whatever its size.

    output_size: (P, Q) or an int; None keeps a size. x: (N, C, H, W) or (C, H, W); y: (N, C, P, Q).
    See dlx.adaptive_avg_pool2d.
    """

    def __init__(self, output_size):
        self.output_size = output_size

    def forward(self, x):
        """x: (N, C, H, W) or (C, H, W)."""
        return F.adaptive_avg_pool2d(x, **self._config())

    def extra_repr(self):
        """The arguments that made the layer."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(AdaptiveAvgPool2d):
    """AdaptiveAvgPool2d along one axis. x: (N, C, L) or (C, L); y: (N, C, Q)."""

    _axes = 1

    def forward(self, x):
        """x: (N, C, L) or (C, L)."""
        return F.adaptive_avg_pool1d(x, **self._config())


# -------------------------------------------------------------------------------- whole images


class _GlobalPool2d(Module):
    """One number for each channel."""

    def __init__(self, keepdims=False):
        self.keepdims = bool(keepdims)

    def _image(self, x):
        (x,) = prepare("global_pool2d", x, dtypes=FLOATING)
        if x.ndim not in (3, 4):
            raise ValueError(f"expected x of shape (N, C, H, W) or (C, H, W); x={x.shape}")
        if 0 in x.shape[-2:]:
            raise ValueError(f"expected an image of at least one element; x={x.shape}")
        return x

    def extra_repr(self):
        """The arguments that made the layer."""
        return "keepdims=True" if self.keepdims else ""


class GlobalAvgPool2d(_GlobalPool2d):
    """The mean of each channel, Keras's GlobalAveragePooling2D.

    x: (N, C, H, W) or (C, H, W), float32 or float64; y: (N, C), (N, C, 1, 1) with keepdims.
    """

    def forward(self, x):
        """x: (N, C, H, W) or (C, H, W)."""
        return mean_over(self._image(x), axis=(-2, -1), keepdims=self.keepdims)


class GlobalMaxPool2d(_GlobalPool2d):
    """The maximum of each channel, Keras's GlobalMaxPooling2D. Shapes as GlobalAvgPool2d.

    Of equal maxima each takes an equal part of the gradient, as those of dlx.max.
    """

    def forward(self, x):
        """x: (N, C, H, W) or (C, H, W)."""
        return max_over(self._image(x), axis=(-2, -1), keepdims=self.keepdims)
