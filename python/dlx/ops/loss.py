"""Softmax and the losses. Fused kernels serve the first order, composite formulas the others."""

from __future__ import annotations

from dlx import _core
from dlx.autodiff import primitive, record
from dlx.ops._prepare import normalize_axes, normalize_axis, prepare
from dlx.ops.creation import arange
from dlx.ops.elementwise import equal, exp, log, not_equal, where
from dlx.ops.reduce import max, mean, sum
from dlx.ops.shape import expand_dims, permute_dims, reshape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = ["cross_entropy", "log_softmax", "logsumexp", "mse_loss", "nll_loss", "softmax"]

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


def logsumexp(x, axis=None, keepdims=False) -> Tensor:
    """log(sum(e^x)) over `axis`, without overflow: max + log(sum(e^(x - max))).

    axis: None for all, an int or a tuple. A maximum of +-inf is the result itself, and its gradient
    NaN, as PyTorch's.

    x: any shape, a floating dtype. Raises TypeError for another dtype, IndexError for an axis that
    x has not, ValueError for one named twice. An empty sum gives -inf."""
    (x,) = prepare("logsumexp", x, dtypes=_FLOATING)
    axes = normalize_axes("logsumexp", axis, x.ndim)
    shape = tuple(n for i, n in enumerate(x.shape) if i not in axes)
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape)) if keepdims else shape
    place = axes[0] if axes else 0
    if axes != tuple(range(place, place + len(axes))):  # bring them together, at the end
        rest = tuple(i for i in range(x.ndim) if i not in axes)
        x, place = permute_dims(x, rest + axes), len(rest)
    if len(axes) != 1:
        count = 1
        for n in x.shape[place : place + len(axes)]:
            count *= n
        x = reshape(x, (*shape[:place], count, *shape[place:]))
    y = record(_logsumexp_rule, (x,), _core.logsumexp(x, place), (place,))
    return y if y.shape == kept else reshape(y, kept)


def _logsumexp_vjp(g, y, x, axis):
    return _core.logsumexp_backward(g, x, y, axis)


def _logsumexp_composite(x, axis):
    if x.shape[axis] == 0:
        return log(sum(exp(x), axis=axis))
    top = max(x, axis=axis, keepdims=True).detach()
    return log(sum(exp(x - top), axis=axis)) + reshape(top, x.shape[:axis] + x.shape[axis + 1 :])


_logsumexp_rule = primitive("logsumexp", vjp=_logsumexp_vjp, composite=_logsumexp_composite)


# -------------------------------------------------------------------------------- cross entropy

_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}  # csrc's LossReduction


def _reduction(op, reduction):
    if not isinstance(reduction, str) or reduction not in _REDUCTIONS:
        raise ValueError(f"{op}: expected reduction 'none', 'mean' or 'sum', got {reduction!r}")
    return _REDUCTIONS[reduction]


def _labels(op, input, target, weight, ignore_index):
    """(input, int64 labels, weight), checked; labels and weight without their history."""
    if weight is None:
        (input,) = prepare(op, input, dtypes=_FLOATING)
    else:
        input, weight = prepare(op, input, weight, dtypes=_FLOATING)
        weight = _core.detach(weight)
    (target,) = prepare(op, target)
    if target.dtype.name in ("int32", "uint8"):
        target = _core.cast(target, "int64")
    if target.dtype.name != "int64":
        fix = "; class probabilities are not supported: pass dlx.argmax(target, axis=1)"
        raise TypeError(
            f"{op}: expected integer class labels as target, got {target.dtype.name}"
            + (fix if target.dtype.is_floating else "")
        )
    if target._device_code != input._device_code:
        devices = f"input {input.device} and target {target.device}"
        raise RuntimeError(f"{op}: expected one device, got {devices}")
    if not isinstance(ignore_index, int) or not -(2**63) <= ignore_index < 2**63:
        raise TypeError(f"{op}: expected an int64 as ignore_index, got {ignore_index!r}")
    return input, _core.detach(target), weight


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
    input, target, weight = _labels("cross_entropy", input, target, weight, ignore_index)
    if not isinstance(label_smoothing, (int, float)):
        kind = type(label_smoothing).__name__
        raise TypeError(f"cross_entropy: expected a number as label_smoothing, got {kind}")
    attrs = (weight, ignore_index, float(label_smoothing), code)
    loss, norm, total = _core.cross_entropy(input, target, *attrs)
    return record(_cross_entropy_rule, (input,), loss, (target, norm, total, *attrs))


def _cross_entropy_vjp(g, y, x, target, norm, total, *attrs):
    return _core.cross_entropy_backward(g, x, target, norm, total, *attrs)


def _cross_entropy_composite(x, target, norm, total, weight, ignore_index, smoothing, code):
    scores = log_softmax(x, axis=1 if x.ndim > 1 else 0)
    return _expected(scores, target, total, weight, ignore_index, smoothing, code)


def _expected(scores, target, total, weight, ignore_index, smoothing, code):
    """-sum over c of q_c scores_c, reduced: the composite formula of cross_entropy and nll_loss."""
    axis = 1 if scores.ndim > 1 else 0
    classes = scores.shape[axis]
    along = tuple(classes if i == axis else 1 for i in range(scores.ndim))
    labels = expand_dims(target, axis=axis)
    same = equal(labels, reshape(arange(classes, device=scores.device), along))
    q = same.astype(scores.dtype) * (1 - smoothing) + smoothing / classes
    q = q * not_equal(labels, ignore_index).astype(scores.dtype)
    if weight is not None:
        q = q * reshape(weight, along)
    # A score of -inf may stand where q is 0.
    terms = where(equal(q, 0), 0, q * scores)
    if code == _REDUCTIONS["none"]:
        return -sum(terms, axis=axis)
    return -sum(terms) / total.astype(scores.dtype) if code == _REDUCTIONS["mean"] else -sum(terms)


_cross_entropy_rule = primitive(
    "cross_entropy", vjp=_cross_entropy_vjp, composite=_cross_entropy_composite, saves_outputs=0
)


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean") -> Tensor:
    """-weight[target] input[target], the negative log likelihood: PyTorch's definition.

    input: log probabilities (C,), (N, C) or (N, C, d1, ...), floating; target, weight, ignore_index
    and reduction as in cross_entropy, which is this of log_softmax(input). Raises IndexError, with
    row, label and C, for a label outside 0...C-1."""
    code = _reduction("nll_loss", reduction)
    input, target, weight = _labels("nll_loss", input, target, weight, ignore_index)
    attrs = (weight, ignore_index, code)
    loss, total = _core.nll_loss(input, target, *attrs)
    return record(_nll_loss_rule, (input,), loss, (target, total, *attrs))


def _nll_loss_vjp(g, y, x, target, total, *attrs):
    return _core.nll_loss_backward(g, x, target, total, *attrs)


def _nll_loss_composite(x, target, total, weight, ignore_index, code):
    return _expected(x, target, total, weight, ignore_index, 0.0, code)


_nll_loss_rule = primitive(
    "nll_loss", vjp=_nll_loss_vjp, composite=_nll_loss_composite, saves_outputs=0
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
