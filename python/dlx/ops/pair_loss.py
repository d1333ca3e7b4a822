"""Losses of pairs (input, target), element by element, reduced: PyTorch's names and definitions.

One native op each, forward and backward. input, target: one shape (ValueError otherwise: no
broadcasting) and one floating dtype. reduction: "none" gives the input's shape, "mean" divides the
sum by the number of elements, whatever the weights. Both arguments are differentiated."""

from __future__ import annotations

from math import inf

from dlx import _core
from dlx.autodiff import elementwise, primitive, record
from dlx.ops._prepare import prepare
from dlx.ops.activation import _number, _softplus
from dlx.ops.elementwise import abs, equal, exp, log, log1p, maximum, where
from dlx.ops.loss import _FLOATING, _REDUCTIONS, _reduction
from dlx.ops.reduce import mean, sum
from dlx.ops.shape import broadcast_to

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "smooth_l1_loss",
]


def _rule(name, terms, slope_of_target=None):
    """The rule of a loss.

    terms(x, t, p): its composite formula, p being the parameter. slope_of_target(x, t, p): the
    derivative by t; None: that by x with the arguments exchanged."""
    backward = getattr(_core, f"{name}_backward")

    def by_input(g, y, x, t, *attrs):
        return backward(g, x, t, *attrs)

    def by_target(g, y, x, t, weight, parameters, parameter, code):
        if slope_of_target is None:
            return backward(g, t, x, weight, parameters, parameter, code)
        slope = slope_of_target(x, t, parameter if parameters is None else parameters)
        slope = slope if weight is None else slope * weight
        return slope * (g / x._numel if code == _REDUCTIONS["mean"] else g)

    def composite(x, t, weight, parameters, parameter, code):
        losses = terms(x, t, parameter if parameters is None else parameters)
        return _reduced(losses if weight is None else losses * weight, code)

    return primitive(name, vjp=(by_input, by_target), composite=composite, saves_outputs=0)


def _reduced(losses, code):
    if code == _REDUCTIONS["none"]:
        return losses
    return mean(losses) if code == _REDUCTIONS["mean"] else sum(losses)


def _loss(rule, input, target, reduction, parameter=0.0):
    code = _reduction(rule.name, reduction)
    input, target = prepare(rule.name, input, target, dtypes=_FLOATING)
    attrs = (None, None, float(parameter), code)
    loss = getattr(_core, rule.name)(input, target, *attrs)
    return record(rule, (input, target), loss, attrs)


def _weighted_loss(rule, input, target, reduction, weight, pos_weight=None):
    if weight is None and pos_weight is None:
        return _loss(rule, input, target, reduction, 1.0)
    name = rule.name
    given = [w for w in (weight, pos_weight) if w is not None]
    input, target, *given = prepare(name, input, target, *given, dtypes=_FLOATING)
    if weight is not None:
        weight = _broadcast(name, "weight", given[0], input)
    if pos_weight is not None:
        pos_weight = _broadcast(name, "pos_weight", given[-1], input)
    attrs = (weight, pos_weight, 1.0, _reduction(name, reduction))
    loss = getattr(_core, name)(input, target, *attrs)
    return record(rule, (input, target), loss, attrs)


def _broadcast(name, argument, weight, input):
    try:
        return _core.detach(broadcast_to(weight, input.shape))
    except ValueError:
        raise ValueError(
            f"{name}: expected a {argument} that broadcasts to the input; "
            f"input={input.shape} {argument}={weight.shape}"
        ) from None


# -------------------------------------------------------------------------------- distances


def l1_loss(input, target, reduction="mean") -> Tensor:
    """|input - target|, its mean or its sum. Its derivative at the kink input = target is 0."""
    return _loss(_l1_rule, input, target, reduction)


_l1_rule = _rule("l1_loss", lambda x, t, p: abs(x - t))


def smooth_l1_loss(input, target, reduction="mean", beta=1.0) -> Tensor:
    """d^2 / (2 beta) where d = |input - target| is below beta, d - beta / 2 elsewhere.

    beta: at least 0, where it is l1_loss (Girshick 2015)."""
    if not _number("smooth_l1_loss", "beta", beta) >= 0:
        raise ValueError(f"smooth_l1_loss: expected beta >= 0, got {beta}")
    return _loss(_smooth_l1_rule, input, target, reduction, beta)


def _smooth_l1(x, t, beta):
    if beta == 0:
        return abs(x - t)
    return _huber(x, t, beta) / beta


_smooth_l1_rule = _rule("smooth_l1_loss", _smooth_l1)


def huber_loss(input, target, reduction="mean", delta=1.0) -> Tensor:
    """d^2 / 2 where d = |input - target| is below delta, delta (d - delta / 2) elsewhere.

    delta: above 0 (Huber 1964)."""
    if not _number("huber_loss", "delta", delta) > 0:
        raise ValueError(f"huber_loss: expected delta > 0, got {delta}")
    return _loss(_huber_rule, input, target, reduction, delta)


def _huber(x, t, delta):
    d = x - t
    far = abs(d)
    near = where(far < delta, d, 0)  # not d: the square of an infinite one has no derivative
    return where(far < delta, 0.5 * near * near, delta * (far - 0.5 * delta))


_huber_rule = _rule("huber_loss", _huber)


# -------------------------------------------------------------------------------- binary classes


def binary_cross_entropy(input, target, weight=None, reduction="mean") -> Tensor:
    """-(t log x + (1 - t) log(1 - x)), the logarithms at least -100 as in PyTorch.

    input: probabilities x; ValueError, with the value, for one outside 0...1 (NaN stays NaN).
    target: t, 0 or 1 or between. weight: broadcasts to input, not differentiated. For scores
    before the sigmoid take binary_cross_entropy_with_logits: it loses no digits."""
    return _weighted_loss(_binary_rule, input, target, reduction, weight)


_SMALLEST = 3.7835e-44  # e^-100


def _binary_by_input(x1, x2):
    return (x1 - x2) / maximum((1 - x1) * x1, 1e-12)


def _binary_by_target(x1):
    # Where a logarithm is limited, its own derivative, 1 / 0, must not come into play.
    lowest, highest = x1 <= _SMALLEST, x1 >= 1
    log_x = where(lowest, -100, log(where(lowest, 1, x1)))
    return where(highest, -100, log1p(where(highest, 0, -x1))) - log_x


_binary_terms = elementwise("binary_cross_entropy", _binary_by_input, _binary_by_target)


def _binary(x, t, p):
    losses = _core.binary_cross_entropy(x, t, None, None, 1.0, _REDUCTIONS["none"])
    return record(_binary_terms, (x, t), losses)


_binary_rule = _rule("binary_cross_entropy", _binary, lambda x, t, p: _binary_by_target(x))


def binary_cross_entropy_with_logits(
    input, target, weight=None, reduction="mean", pos_weight=None
) -> Tensor:
    """binary_cross_entropy of sigmoid(input), t's part times pos_weight, without overflow.

    (1 - t) x + (1 + (pos_weight - 1) t) log(1 + e^-x); without pos_weight it is computed as
    max(x, 0) - x t + log(1 + e^-|x|). input: scores x; target: t, 0 or 1 or between. weight,
    pos_weight: broadcast to input, not differentiated."""
    return _weighted_loss(_with_logits_rule, input, target, reduction, weight, pos_weight)


# Neither form subtracts what may both be infinite.
def _with_logits(x, t, p):
    return (1 - t) * _softplus(x, 1, inf) + p * t * _softplus(-x, 1, inf)


def _with_logits_by_target(x, t, p):
    return p * _softplus(-x, 1, inf) - _softplus(x, 1, inf)


_with_logits_rule = _rule("binary_cross_entropy_with_logits", _with_logits, _with_logits_by_target)


# -------------------------------------------------------------------------------- divergence


def kl_div(input, target, reduction="mean", log_target=False) -> Tensor:
    """t (log t - input), the Kullback-Leibler divergence of exp(input) from t, summand by summand.

    input: log probabilities; target: probabilities t (0 counts 0), or with log_target their
    logarithms. reduction: "batchmean" divides the sum by input.shape[0]: the divergence as
    mathematics has it, where "mean" divides by the number of elements."""
    batchmean = isinstance(reduction, str) and reduction == "batchmean"
    if not batchmean and reduction not in ("none", "mean", "sum"):
        known = "'none', 'mean', 'sum' or 'batchmean'"
        raise ValueError(f"kl_div: expected reduction {known}, got {reduction!r}")
    if log_target:
        code = _reduction("kl_div", "sum" if batchmean else reduction)
        input, target = prepare("kl_div", input, target, dtypes=_FLOATING)
        if input.shape != target.shape:
            raise ValueError(
                f"kl_div: expected input and target of one shape (they do not broadcast); "
                f"input={input.shape} target={target.shape}"
            )
        loss = _reduced(exp(target) * (target - input), code)
    else:
        loss = _loss(_kl_rule, input, target, "sum" if batchmean else reduction)
    if not batchmean:
        return loss
    if input.ndim == 0:
        raise ValueError("kl_div: reduction 'batchmean' needs a batch dimension, input=()")
    return loss / input.shape[0]


def _divergence(x, t, p):
    return t * log(where(equal(t, 0), 1, t)) - t * x


def _divergence_by_target(x, t, p):
    nothing = equal(t, 0)
    return where(nothing, 0, log(where(nothing, 1, t)) + 1) - x


_kl_rule = _rule("kl_div", _divergence, _divergence_by_target)
