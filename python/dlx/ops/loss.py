"""Softmax and the losses. Fused kernels serve the first order, composite formulas the others."""

from __future__ import annotations

from dlx import _core
from dlx.autodiff import primitive, record
from dlx.ops._prepare import normalize_axis, prepare
from dlx.ops.creation import arange
from dlx.ops.elementwise import equal, exp, log, not_equal, where
from dlx.ops.reduce import max, mean, sum
from dlx.ops.shape import expand_dims, reshape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = ["cross_entropy", "log_softmax", "mse_loss", "softmax"]

_FLOATING = ("float32", "float64", "bfloat16", "float16")


# -------------------------------------------------------------------------------- softmax


def softmax(x, axis=-1) -> Tensor:
    """e^x / sum(e^x) along `axis`, without overflow: e^(x - max) is what is computed.

    x: any shape, a floating dtype. Raises TypeError for another dtype, IndexError for an axis that
    x has not."""
    (x,) = prepare("softmax", x, dtypes=_FLOATING)
    axis = normalize_axis("softmax", axis, x.ndim)
    return record(_softmax_rule, (x,), _core.softmax(x, axis), (axis,))


def _softmax_vjp(g, y, x, axis):
    return _core.softmax_backward(g, y, axis)


def _softmax_composite(x, axis):
    if x.shape[axis] == 0:
        return exp(x)
    e = exp(x - max(x, axis=axis, keepdims=True).detach())
    return e / sum(e, axis=axis, keepdims=True)


_softmax_rule = primitive("softmax", vjp=_softmax_vjp, composite=_softmax_composite)


def log_softmax(x, axis=-1) -> Tensor:
    """x - log(sum(e^x)) along `axis`, without overflow: x - max - log(sum(e^(x - max))).

    x: any shape, a floating dtype. Raises TypeError for another dtype, IndexError for an axis that
    x has not."""
    (x,) = prepare("log_softmax", x, dtypes=_FLOATING)
    axis = normalize_axis("log_softmax", axis, x.ndim)
    return record(_log_softmax_rule, (x,), _core.log_softmax(x, axis), (axis,))


def _log_softmax_vjp(g, y, x, axis):
    return _core.log_softmax_backward(g, y, axis)


def _log_softmax_composite(x, axis):
    if x.shape[axis] == 0:
        return exp(x)
    z = x - max(x, axis=axis, keepdims=True).detach()
    return z - log(sum(exp(z), axis=axis, keepdims=True))


_log_softmax_rule = primitive("log_softmax", vjp=_log_softmax_vjp, composite=_log_softmax_composite)


# -------------------------------------------------------------------------------- cross entropy

_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}  # csrc's LossReduction


def _reduction(op, reduction):
    if not isinstance(reduction, str) or reduction not in _REDUCTIONS:
        raise ValueError(f"{op}: expected reduction 'none', 'mean' or 'sum', got {reduction!r}")
    return _REDUCTIONS[reduction]


def _labels(input, target):
    (target,) = prepare("cross_entropy", target)
    if target.dtype.name in ("int32", "uint8"):
        target = _core.cast(target, "int64")
    if target.dtype.name != "int64":
        fix = "; class probabilities are not supported: pass dlx.argmax(target, axis=1)"
        raise TypeError(
            f"cross_entropy: expected integer class labels as target, got {target.dtype.name}"
            + (fix if target.dtype.is_floating else "")
        )
    if target._device_code != input._device_code:
        devices = f"input {input.device} and target {target.device}"
        raise RuntimeError(f"cross_entropy: expected one device, got {devices}")
    return target


def cross_entropy(
    input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0
) -> Tensor:
    """-sum over c of q_c log softmax(input)_c, q = weight ((1 - s) one_hot(target) + s / C).

    PyTorch's definition, s being label_smoothing, from 0 to 1.
    input: scores (C,), (N, C) or (N, C, d1, ...), floating. target: labels 0...C-1, of the shape
    of input without C, int64 (int32 and uint8 are cast). weight: (C,), not differentiated. Rows
    labelled ignore_index count nothing. reduction: "none" gives the shape of target; "mean" divides
    the sum by the weights of the labels that count: NaN when none does.
    Raises IndexError, with row, label and C, for any other label."""
    code = _reduction("cross_entropy", reduction)
    if weight is None:
        (input,) = prepare("cross_entropy", input, dtypes=_FLOATING)
    else:
        input, weight = prepare("cross_entropy", input, weight, dtypes=_FLOATING)
        weight = _core.detach(weight)
    target = _core.detach(_labels(input, target))
    if not isinstance(label_smoothing, (int, float)):
        kind = type(label_smoothing).__name__
        raise TypeError(f"cross_entropy: expected a number as label_smoothing, got {kind}")
    if not isinstance(ignore_index, int) or not -(2**63) <= ignore_index < 2**63:
        raise TypeError(f"cross_entropy: expected an int64 as ignore_index, got {ignore_index!r}")
    attrs = (weight, ignore_index, float(label_smoothing), code)
    loss, norm, total = _core.cross_entropy(input, target, *attrs)
    return record(_cross_entropy_rule, (input,), loss, (target, norm, total, *attrs))


def _cross_entropy_vjp(g, y, x, target, norm, total, *attrs):
    return _core.cross_entropy_backward(g, x, target, norm, total, *attrs)


def _cross_entropy_composite(x, target, norm, total, weight, ignore_index, smoothing, code):
    axis = 1 if x.ndim > 1 else 0
    classes = x.shape[axis]
    along = tuple(classes if i == axis else 1 for i in range(x.ndim))
    labels = expand_dims(target, axis=axis)
    one_hot = equal(labels, reshape(arange(classes, device=x.device), along)).astype(x.dtype)
    q = one_hot * (1 - smoothing) + smoothing / classes
    q = q * not_equal(labels, ignore_index).astype(x.dtype)
    if weight is not None:
        q = q * reshape(weight, along)
    # A score of -inf may stand where q is 0.
    terms = where(equal(q, 0), 0, q * log_softmax(x, axis=axis))
    if code == _REDUCTIONS["none"]:
        return -sum(terms, axis=axis)
    return -sum(terms) / total.astype(x.dtype) if code == _REDUCTIONS["mean"] else -sum(terms)


_cross_entropy_rule = primitive(
    "cross_entropy", vjp=_cross_entropy_vjp, composite=_cross_entropy_composite, saves_outputs=0
)


# -------------------------------------------------------------------------------- squared error


def mse_loss(input, target, reduction="mean") -> Tensor:
    """(input - target)^2, its mean or its sum; reduction: "none", "mean" or "sum".

    input, target: one shape (ValueError otherwise: no broadcasting) and one floating dtype."""
    code = _reduction("mse_loss", reduction)
    input, target = prepare("mse_loss", input, target, dtypes=_FLOATING)
    return record(_mse_loss_rule, (input, target), _core.mse_loss(input, target, code), (code,))


def _mse_loss_by_input(g, y, x, target, code):
    return _core.mse_loss_backward(g, x, target, code)


def _mse_loss_by_target(g, y, x, target, code):
    return _core.mse_loss_backward(g, target, x, code)  # (x - target)^2 is symmetric


def _mse_loss_composite(x, target, code):
    squares = (x - target) ** 2
    if code == _REDUCTIONS["none"]:
        return squares
    return mean(squares) if code == _REDUCTIONS["mean"] else sum(squares)


_mse_loss_rule = primitive(
    "mse_loss",
    vjp=(_mse_loss_by_input, _mse_loss_by_target),
    composite=_mse_loss_composite,
    saves_outputs=0,
)
