"""Layers as functions, with PyTorch's names, argument order and defaults."""

from __future__ import annotations

from dlx.ops import conv, elementwise, loss
from dlx.ops import random as random_ops
from dlx.ops._prepare import FLOATING_OR_HALF, prepare
from dlx.ops.activation import (
    elu,
    gelu,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    logsigmoid,
    mish,
    prelu,
    relu6,
    selu,
    silu,
    softmin,
    softplus,
    softsign,
)
from dlx.ops.embedding import embedding, one_hot_of_labels
from dlx.ops.linear import linear as linear_op
from dlx.ops.loss import cross_entropy, mse_loss, nll_loss
from dlx.ops.norm import batch_norm, group_norm, layer_norm
from dlx.ops.pad import pad_from_last
from dlx.ops.pair_loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    kl_div,
    l1_loss,
    smooth_l1_loss,
)
from dlx.ops.pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
    sum_pool1d,
    sum_pool2d,
)
from dlx.ops.upsample import interpolate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "group_norm",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "huber_loss",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "max_pool1d",
    "max_pool2d",
    "mish",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "pad",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softmin",
    "softplus",
    "softsign",
    "sum_pool1d",
    "sum_pool2d",
    "tanh",
]


def linear(input, weight, bias=None) -> Tensor:
    """y = x Wᵀ + b.

    input: (..., I), weight: (O, I), bias: (O,) or None; all of one floating dtype.
    Returns (..., O); bfloat16 and float16 are summed in float32 and rounded once. Raises ValueError
    on shapes that do not fit, TypeError on mixed dtypes.
    """
    if bias is None:
        input, weight = prepare("linear", input, weight, dtypes=FLOATING_OR_HALF)
    else:
        input, weight, bias = prepare("linear", input, weight, bias, dtypes=FLOATING_OR_HALF)
    shape, expected = input.shape, weight.shape
    if len(expected) != 2:
        raise ValueError(f"linear: weight must have shape (out, in), got {expected}")
    if not shape or shape[-1] != expected[1]:
        got = shape[-1] if shape else "none"
        raise ValueError(
            f"linear: expected {expected[1]} input features, got {got}; x={shape} weight={expected}"
            + _advice(shape, expected[1])
        )
    if bias is not None and bias.shape != expected[:1]:
        raise ValueError(f"linear: bias must have shape {expected[:1]}, got {bias.shape}")
    return linear_op(input, weight, bias)


def _advice(shape, features):
    """What is likely wrong where an x of this shape has that many numbers for a linear layer."""
    inner = outer = 1
    for n in shape:
        outer *= n
    for n in shape[1:]:
        inner *= n
    if len(shape) > 1 and features not in (0, inner) and outer == features:
        return "; x has these in all: is the axis of the batch missing?"
    if len(shape) > 2 and inner == features:
        return "; x.flatten(1) or nn.Flatten() makes these of an image"
    return ""


def relu(input, inplace=False) -> Tensor:
    """max(x, 0). input: any shape; inplace changes nothing (see nn.ReLU)."""
    return elementwise.relu(input)


def tanh(input) -> Tensor:
    """The hyperbolic tangent. input: any shape."""
    return elementwise.tanh(input)


def sigmoid(input) -> Tensor:
    """1 / (1 + exp(-x)). input: any shape."""
    return elementwise.sigmoid(input)


def softmax(input, dim) -> Tensor:
    """exp(x) / sum(exp(x)) along dim. input: any shape, float; see dlx.softmax."""
    return loss.softmax(input, dim)


def log_softmax(input, dim) -> Tensor:
    """x - log(sum(exp(x))) along dim. input: any shape, float; see dlx.log_softmax."""
    return loss.log_softmax(input, dim)


def dropout(input, p=0.5, training=True, inplace=False) -> Tensor:
    """Zero each element with probability p, scale the rest by 1 / (1 - p); input's values unless
    training. input: any shape, float; inplace changes nothing (see nn.ReLU).
    """
    return random_ops.dropout(input, p, training)


def pad(input, pad, mode="constant", value=None) -> Tensor:
    """input with a border. pad: (left, right, top, bottom, ...), two numbers for each dimension,
    the last first; negative ones crop. mode: "constant" (value, 0 if None), "reflect", "replicate",
    "circular", for any number of dimensions. Any dtype. Raises as dlx.pad, which counts as NumPy.
    """
    return pad_from_last(input, pad, mode, value)


def one_hot(tensor, num_classes=-1) -> Tensor:
    """y[..., c] = 1 where tensor[...] = c, else 0: int64, (*tensor.shape, num_classes).

    num_classes -1: the largest label + 1, for which the host reads the labels. Raises IndexError
    for a label outside. dlx.one_hot gives floats."""
    return one_hot_of_labels(tensor, num_classes)


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> Tensor:
    """dlx.conv1d. input: (N,C,L) or (C,L), weight: (K,C/groups,S), bias: (K,) or None; padding: a
    number, "valid" or "same"."""
    return conv.conv1d(input, weight, bias, stride, padding, dilation, groups)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> Tensor:
    """dlx.conv2d. input: (N,C,H,W) or (C,H,W), weight: (K,C/groups,R,S), bias: (K,) or None;
    padding: a number, a pair, "valid" or "same"."""
    return conv.conv2d(input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
) -> Tensor:
    """dlx.conv_transpose1d. input: (N,C,Q) or (C,Q), weight: (C,K/groups,S), bias: (K,) or None."""
    return conv.conv_transpose1d(
        input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose2d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
) -> Tensor:
    """dlx.conv_transpose2d. input: (N,C,P,Q) or (C,P,Q), weight: (C,K/groups,R,S), bias: (K,) or
    None."""
    return conv.conv_transpose2d(
        input, weight, bias, stride, padding, output_padding, groups, dilation
    )
