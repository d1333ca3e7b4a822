"""Transposed convolution layers: ConvTranspose1d, ConvTranspose2d."""

from __future__ import annotations

from dlx.nn.conv import _ConvNd, _sizes
from dlx.ops.conv import conv_transpose1d, conv_transpose2d

__all__ = ["ConvTranspose1d", "ConvTranspose2d"]


class _ConvTranspose(_ConvNd):
    _transposed = True

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups=1,
        bias=True,
        dilation=1,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ):
        self._set_arguments(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode
        )
        layer = type(self).__name__
        self.output_padding = _sizes(layer, "output_padding", output_padding, self._n, 0)
        for extra, stride, dilation in zip(self.output_padding, self.stride, self.dilation):
            if extra >= max(stride, dilation):
                raise ValueError(
                    f"{layer}: output_padding must be smaller than stride or dilation, got "
                    f"output_padding={self.output_padding}, stride={self.stride}, "
                    f"dilation={self.dilation}"
                )
        self._create(bias, device, dtype)

    def forward(self, x, output_size=None):
        """x: (N, C, ...) or (C, ...) -> (N, K, ...) or (K, ...).

        output_size: of the spatial dimensions, or of all; it replaces output_padding.
        """
        self._check(x)
        if output_size is not None:
            n = self._n
            if isinstance(output_size, (tuple, list)) and len(output_size) == x.ndim:
                output_size = output_size[-n:]
            output_size = _sizes(f"conv_transpose{n}d", "output_size", output_size, n, 1)
        return self._function(
            x,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
            output_size=output_size,
        )


class ConvTranspose1d(_ConvTranspose):
    """The transpose of Conv1d as a linear map. x: (N, C, L) or (C, L); y: (N, K, Q) or (K, Q),
    Q = (L - 1)·stride - 2·padding + dilation·(S - 1) + output_padding + 1.

    weight: (C, K / groups, S), bias: (K,) or None; arguments as ConvTranspose2d.
    """

    _n, _function = 1, staticmethod(conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """The transpose of Conv2d as a linear map, "deconvolution" (Dumoulin and Visin 2016).

    Every x[n, c, h, w] adds w[c, k] times itself to the window of y[n, k] that starts at
    (h·stride - padding, w·stride - padding). x: (N, C, H, W) or (C, H, W); y: (N, K, P, Q) or
    (K, P, Q), P = (H - 1)·stride - 2·padding + dilation·(R - 1) + output_padding + 1, Q likewise.
    weight: (C, K / groups, R, S), bias: (K,) or None, both drawn from U(-k, k) with
    k = 1 / sqrt(K / groups · R · S), PyTorch's default.

    Conv2d of several sizes give outputs of one size; output_padding, or output_size of the call,
    chooses among them. Raises ValueError where arguments or x do not fit, naming the layer.
    """

    _n, _function = 2, staticmethod(conv_transpose2d)
