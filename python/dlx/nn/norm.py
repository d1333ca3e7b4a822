"""Normalisation layers: BatchNorm1d, BatchNorm2d, GroupNorm, LayerNorm."""

from __future__ import annotations

import dlx
from dlx.nn import functional as F
from dlx.nn.linear import _size
from dlx.nn.module import Module
from dlx.nn.parameter import Parameter
from dlx.ops._prepare import prepare
from dlx.ops.creation import _number
from dlx.ops.norm import batch_norm_counted, checked_eps, group_count, normal_shape

__all__ = ["BatchNorm1d", "BatchNorm2d", "GroupNorm", "LayerNorm"]


def _add_parameters(layer, shape, affine, bias, options):
    for name, wanted in (("weight", affine), ("bias", affine and bias)):
        made = Parameter(dlx.empty(shape, **options)) if wanted else None
        layer.register_parameter(name, made)


def _reset(layer):
    with dlx.no_grad():
        for parameter, value in ((layer.weight, 1.0), (layer.bias, 0.0)):
            if parameter is not None:
                parameter[...] = value


def _dtype_and_bias(layer, buffer):
    """What _config adds: the dtype is that of the weight, or of a buffer, if there is one."""
    kept = layer.weight if layer.weight is not None else buffer
    return {
        "bias": layer.bias is not None,
        "dtype": None if kept is None else str(kept.dtype),
    }


class _BatchNorm(Module):
    _ndims: tuple[int, ...]
    _expects: str
    _spared = ("num_batches_tracked",)  # which files of PyTorch before 0.4.1 do not have

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        layer = type(self).__name__
        self.num_features = _size(layer, "num_features", num_features)
        self.eps = checked_eps(layer, eps)
        self.momentum = None
        if momentum is not None:
            self.momentum = float(_number(layer, "momentum", momentum))
        self.affine = bool(affine)
        self.track_running_stats = bool(track_running_stats)
        options = {"dtype": dtype, "device": device}
        shape = (self.num_features,)
        _add_parameters(self, shape, affine, bias, options)
        buffers = {"running_mean": None, "running_var": None, "num_batches_tracked": None}
        if track_running_stats:
            buffers["running_mean"] = dlx.zeros(shape, **options)
            buffers["running_var"] = dlx.ones(shape, **options)
            buffers["num_batches_tracked"] = dlx.zeros((), dtype="int64", device=device)
        for name, value in buffers.items():
            self.register_buffer(name, value)
        self.reset_parameters()

    def reset_running_stats(self):
        """Forget the running statistics: mean 0, var 1, no batches."""
        if self.track_running_stats:
            with dlx.no_grad():
                self.running_mean[...] = 0.0
                self.running_var[...] = 1.0
                self.num_batches_tracked[...] = 0

    def reset_parameters(self):
        """Set weight to 1, bias to 0, and forget the running statistics."""
        self.reset_running_stats()
        _reset(self)

    def forward(self, x):
        """x: (N, C, ...) -> the same shape and dtype."""
        (x,) = prepare("batch_norm", x)
        if x.ndim not in self._ndims:
            raise ValueError(f"expected x of shape {self._expects}, got {x.shape}")
        if x.shape[1] != self.num_features:
            raise ValueError(
                f"expected {self.num_features} channels, x has {x.shape[1]}; x={x.shape}"
            )
        tracked = self.running_mean is not None
        return batch_norm_counted(
            x,
            self.running_mean,
            self.running_var,
            self.num_batches_tracked,
            self.weight,
            self.bias,
            self.training or not tracked,
            self.momentum,
            self.eps,
        )

    def extra_repr(self):
        """The arguments that made the layer."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )

    def _config(self):
        return super()._config() | _dtype_and_bias(self, self.running_mean)


class BatchNorm1d(_BatchNorm):
    """(x - mean) / sqrt(var + eps) · weight + bias, per channel (Ioffe and Szegedy 2015).

    x: (N, C) or (N, C, L). weight: (C,) ones, bias: (C,) zeros, None unless affine.
    In training mean and var are those of the batch, and the buffers running_mean and running_var
    move towards them by `momentum` (None: they are averages over all batches; running_var takes
    the unbiased variance); num_batches_tracked counts. In evaluation the buffers take their place,
    or the batch's own where track_running_stats is False. Raises ValueError in training when a
    channel has a single value.
    """

    _ndims = (2, 3)
    _expects = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images, as BatchNorm1d. x: (N, C, H, W)."""

    _ndims = (4,)
    _expects = "(N, C, H, W)"


class LayerNorm(Module):
    """(x - mean) / sqrt(var + eps) · weight + bias over the last dimensions (Ba et al. 2016).

    x: (..., *normalized_shape). weight: normalized_shape, ones; bias: the same, zeros, None if
    bias is False; both None unless elementwise_affine.
    """

    def __init__(
        self,
        normalized_shape,
        eps=1e-5,
        elementwise_affine=True,
        bias=True,
        device=None,
        dtype=None,
    ):
        self.normalized_shape = normal_shape("LayerNorm", normalized_shape)
        self.eps = checked_eps("LayerNorm", eps)
        self.elementwise_affine = bool(elementwise_affine)
        options = {"dtype": dtype, "device": device}
        _add_parameters(self, self.normalized_shape, elementwise_affine, bias, options)
        self.reset_parameters()

    def reset_parameters(self):
        """Set weight to 1 and bias to 0."""
        _reset(self)

    def forward(self, x):
        """x: (..., *normalized_shape) -> the same shape and dtype."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        """The arguments that made the layer."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )

    def _config(self):
        return super()._config() | _dtype_and_bias(self, None)


class GroupNorm(Module):
    """(x - mean) / sqrt(var + eps) · weight + bias over groups of channels (Wu and He 2018).

    x: (N, C, ...), C = num_channels, a multiple of num_groups. weight: (C,), ones; bias: (C,),
    zeros, None if bias is False; both None unless affine.
    """

    def __init__(
        self,
        num_groups,
        num_channels,
        eps=1e-5,
        affine=True,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        self.num_groups = group_count("GroupNorm", num_groups)
        self.num_channels = _size("GroupNorm", "num_channels", num_channels)
        if self.num_channels % self.num_groups:
            raise ValueError(
                f"GroupNorm: num_channels must be a multiple of num_groups, "
                f"got {num_channels} and {num_groups}"
            )
        self.eps = checked_eps("GroupNorm", eps)
        self.affine = bool(affine)
        options = {"dtype": dtype, "device": device}
        _add_parameters(self, (self.num_channels,), affine, bias, options)
        self.reset_parameters()

    def reset_parameters(self):
        """Set weight to 1 and bias to 0."""
        _reset(self)

    def forward(self, x):
        """x: (N, C, ...) -> the same shape and dtype."""
        (x,) = prepare("group_norm", x)
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ValueError(f"expected x of shape (N, {self.num_channels}, ...), got {x.shape}")
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self):
        """The arguments that made the layer."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )

    def _config(self):
        return super()._config() | _dtype_and_bias(self, None)
