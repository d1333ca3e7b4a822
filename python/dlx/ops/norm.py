"""Batch, layer and group norm. Fused kernels serve the first order, composites the others."""

from __future__ import annotations

from dlx import _core
from dlx.autodiff import primitive, record
from dlx.ops._index_plan import as_int
from dlx.ops._prepare import FLOATING, prepare
from dlx.ops.creation import _number
from dlx.ops.elementwise import sqrt
from dlx.ops.reduce import count_of, mean
from dlx.ops.shape import reshape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = ["batch_norm", "group_norm", "layer_norm"]


def checked_eps(op, eps):
    """eps as a float >= 0; 0 as PyTorch's layer_norm: rows of one value become NaN."""
    eps = float(_number(op, "eps", eps))
    if not eps >= 0:  # so that NaN fails
        raise ValueError(f"{op}: expected eps >= 0, got {eps}")
    return eps


def _standardized(x, axes, eps):
    """(x - mean) / sqrt(var + eps), in public ops."""
    if x.numel() == 0:
        return x
    d = x - mean(x, axis=axes, keepdims=True)
    d = d - mean(d, axis=axes, keepdims=True)  # what rounding took from the mean
    return d / sqrt(mean(d * d, axis=axes, keepdims=True) + eps)


def _parameters(rest):
    """(weight or None, bias or None, *attrs) of a node's inputs after x and its attrs, of which
    the first two tell what there is."""
    *given, has_weight, has_bias, a, b, eps = rest
    return given[0] if has_weight else None, given[-1] if has_bias else None, a, b, eps


def _gradients(all_three, rest):
    """Those of (dx, dweight, dbias) whose input there is."""
    dx, dweight, dbias = all_three
    weight, bias, *_ = _parameters(rest)
    return (dx, *([] if weight is None else [dweight]), *([] if bias is None else [dbias]))


# -------------------------------------------------------------------------------- batch norm


def batch_norm(
    input,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, for each channel (Ioffe and Szegedy 2015).

    training: mean and (biased) var are those of the batch, over all axes but the second, and the
    running statistics, if given, are updated in place: running += momentum (batch - running), with
    the unbiased var. Otherwise the running statistics stand for mean and var; they are constants
    to differentiation. A mean is kept in float64, so that |mean| >> std costs no digits.

    input: (N, C, ...). weight, bias, running_mean, running_var: (C,) or None. All of one dtype,
    float32 or float64, TypeError otherwise. Raises ValueError on other shapes, for a channel of a
    single value in training, and without running statistics unless training."""
    momentum = float(_number("batch_norm", "momentum", momentum))
    return batch_norm_counted(
        input, running_mean, running_var, None, weight, bias, training, momentum, eps
    )


def batch_norm_counted(
    input, running_mean, running_var, count, weight, bias, training, momentum, eps
):
    """batch_norm that also adds 1 to `count`, a 0-d int64 Tensor; momentum None averages all
    batches."""
    given = [t for t in (weight, bias, running_mean, running_var) if t is not None]
    input, *_ = prepare("batch_norm", input, *given, dtypes=FLOATING)
    eps, tracked = checked_eps("batch_norm", eps), running_mean is not None
    if tracked != (running_var is not None):
        raise ValueError("batch_norm: expected both running_mean and running_var, or neither")
    inputs = [input, *(t for t in (weight, bias) if t is not None)]
    has = (weight is not None, bias is not None)
    if not training:
        if not tracked:
            raise ValueError(
                "batch_norm: expected running_mean and running_var, or training=True: "
                "then the batch gives mean and var"
            )
        statistics = _core.detach(running_mean), _core.detach(running_var)
        y = _core.batch_norm_inference(input, *statistics, weight, bias, eps)
        return record(_inference_rule, tuple(inputs), y, (*has, *statistics, eps))
    if tracked:
        _check_running(input, running_mean=running_mean, running_var=running_var)
    y, mean, rstd, var = _core.batch_norm(input, weight, bias, eps)
    if tracked:
        n = input.numel() // input.shape[1] if input.shape[1] else 0
        _core.batch_norm_update(mean, var, running_mean, running_var, count, n, momentum)
    return record(_batch_norm_rule, tuple(inputs), y, (*has, mean, rstd, eps))


def _check_running(x, **statistics):
    """Before anything is computed, so that an error leaves both as they were."""
    for name, value in statistics.items():
        if x.ndim >= 2 and value.shape != (x.shape[1],):
            raise ValueError(
                f"batch_norm: {name} expects shape {(x.shape[1],)}, one per channel, "
                f"got {value.shape}; x={x.shape}"
            )
        if value.requires_grad:
            raise ValueError(
                f"batch_norm: {name} is updated in place and cannot require a gradient"
            )


def _per_channel(p, x):
    return reshape(p, (1, -1) + (1,) * (x.ndim - 2))


def _scaled(y, weight, bias):
    if weight is not None:
        y = y * _per_channel(weight, y)
    return y if bias is None else y + _per_channel(bias, y)


def _batch_norm_vjp(g, y, x, *rest):
    weight, _, mean, rstd, _ = _parameters(rest)
    return _gradients(_core.batch_norm_backward(g, x, mean, rstd, weight, True), rest)


def _batch_norm_composite(x, *rest):
    weight, bias, _, _, eps = _parameters(rest)
    return _scaled(_standardized(x, (0, *range(2, x.ndim)), eps), weight, bias)


_batch_norm_rule = primitive(
    "batch_norm", vjp=_batch_norm_vjp, composite=_batch_norm_composite, saves_outputs=0
)


def _inference_vjp(g, y, x, *rest):
    weight, _, running_mean, running_var, eps = _parameters(rest)
    mean, rstd = running_mean.astype("float64"), 1 / sqrt(running_var.astype("float64") + eps)
    return _gradients(_core.batch_norm_backward(g, x, mean, rstd, weight, False), rest)


def _inference_composite(x, *rest):
    weight, bias, running_mean, running_var, eps = _parameters(rest)
    y = (x - _per_channel(running_mean, x)) / sqrt(_per_channel(running_var, x) + eps)
    return _scaled(y, weight, bias)


_inference_rule = primitive(
    "batch_norm", vjp=_inference_vjp, composite=_inference_composite, saves_outputs=0
)


# -------------------------------------------------------------------------------- layer norm


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and (biased) var over the last dimensions
    (Ba, Kiros and Hinton 2016).

    input: (..., *normalized_shape), normalized_shape an int or a sequence of ints; weight, bias:
    of that shape, or None. All of one dtype, float32 or float64, TypeError otherwise. Raises
    ValueError on shapes that do not fit."""
    given = [t for t in (weight, bias) if t is not None]
    inputs = prepare("layer_norm", input, *given, dtypes=FLOATING)
    eps, shape = checked_eps("layer_norm", eps), normal_shape("layer_norm", normalized_shape)
    if input.shape[-len(shape) :] != shape:
        raise ValueError(
            f"layer_norm: expected x to end in the dimensions {shape}, got {input.shape}"
        )
    has = (weight is not None, bias is not None)
    y, mean, rstd = _core.layer_norm(input, len(shape), weight, bias, eps)
    return record(_layer_norm_rule, inputs, y, (*has, (mean, rstd), len(shape), eps))


def normal_shape(op, shape):
    """An int or a sequence of ints, at least one, as a tuple."""
    sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
    sizes = tuple(as_int(op, "ints as normalized_shape", n) for n in sizes)
    if not sizes or min(sizes) < 0:
        raise ValueError(
            f"{op}: expected at least one size >= 0 as normalized_shape, got {shape!r}"
        )
    return sizes


def _layer_norm_vjp(g, y, x, *rest):
    weight, _, (mean, rstd), dims, _ = _parameters(rest)
    return _gradients(_core.layer_norm_backward(g, x, mean, rstd, dims, weight), rest)


def _layer_norm_composite(x, *rest):
    weight, bias, _, dims, eps = _parameters(rest)
    y = _standardized(x, tuple(range(x.ndim - dims, x.ndim)), eps)
    if weight is not None:
        y = y * weight
    return y if bias is None else y + bias


_layer_norm_rule = primitive(
    "layer_norm", vjp=_layer_norm_vjp, composite=_layer_norm_composite, saves_outputs=0
)


# -------------------------------------------------------------------------------- group norm


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and (biased) var over num_groups groups
    of the channels of each sample (Wu and He 2018).

    input: (N, C, ...), C a multiple of num_groups; weight, bias: (C,) or None. All of one dtype,
    float32 or float64, TypeError otherwise. Raises ValueError on shapes that do not fit, and for
    one sample whose groups have a single value."""
    given = [t for t in (weight, bias) if t is not None]
    input, *_ = prepare("group_norm", input, *given, dtypes=FLOATING)
    groups, shape = group_count("group_norm", num_groups), input.shape
    eps = checked_eps("group_norm", eps)
    if len(shape) < 2 or shape[1] % groups:
        raise ValueError(
            f"group_norm: expected x of shape (N, C, ...), C a multiple of {groups}, got {shape}"
        )
    for name, p in (("weight", weight), ("bias", bias)):
        if p is not None and p.shape != shape[1:2]:
            raise ValueError(
                f"group_norm: {name} expects shape {shape[1:2]}, one per channel, got {p.shape}; "
                f"x={shape}"
            )
    plane = count_of(input, range(2, len(shape)))
    if shape[0] * (shape[1] // groups) * plane == 1:
        raise ValueError(f"group_norm: expected more than one value per group, got one; x={shape}")
    has, inputs = (weight is not None, bias is not None), (input, *given)
    if plane < _SHORT_PLANE:
        return _group_norm_composite(*inputs, *has, None, groups, eps)
    y, mean, rstd = _core.group_norm(input, groups, weight, bias, eps)
    return record(_group_norm_rule, inputs, y, (*has, (mean, rstd), groups, eps))


_SHORT_PLANE = 8  # elements of a channel: fewer cost the native op more than all that the others do


def _group_norm_vjp(g, y, x, *rest):
    weight, _, (mean, rstd), _, _ = _parameters(rest)
    return _gradients(_core.group_norm_backward(g, x, mean, rstd, weight), rest)


def _group_norm_composite(x, *rest):
    weight, bias, _, groups, eps = _parameters(rest)
    rows = reshape(x, (x.shape[0], groups, count_of(x, range(1, x.ndim)) // groups))
    return _scaled(reshape(layer_norm(rows, rows.shape[2:], eps=eps), x.shape), weight, bias)


_group_norm_rule = primitive(
    "group_norm", vjp=_group_norm_vjp, composite=_group_norm_composite, saves_outputs=0
)


def group_count(op, groups):
    """A number of groups >= 1 as an int."""
    count = as_int(op, "an int as num_groups", groups)
    if count < 1:
        raise ValueError(f"{op}: expected num_groups of at least 1, got {count}")
    return count
