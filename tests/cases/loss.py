"""Softmax along any axis, and the losses."""

from __future__ import annotations

import numpy as np

from cases._case import HALF, Case, exactly, integers, normal, positive
from dlx.reference import twins
from dlx.reference.loss import _coefficients

AXES = [
    ((1,), 0),
    ((7,), 0),
    ((3, 1), 1),
    ((5, 10), -1),
    ((5, 10), 0),
    ((3, 31), 1),
    ((3, 32), 1),
    ((3, 33), 1),
    ((2, 13, 3), 1),
    ((2, 3, 1, 4, 2), 3),
    ((0, 5), 1),
    ((5, 0), 0),
    ((64, 33), 1),
    ((33, 64), 0),
]
LINEAR = "linear: the second derivative is zero everywhere"
EXPONENT = "the rounding of x - max is amplified by the exponential"


def exponent_terms(x, **attrs):
    """|x| and the logarithm of the sum each come in with their own rounding."""
    return np.abs(x) + np.max(np.abs(x), initial=0) + np.log(x.size + 1)


def square_gradient_terms(dy, x, target, reduction="mean"):
    both = 2 * dy * (np.abs(x) + np.abs(target)) / (x.size if reduction == "mean" else 1)
    return [both, both]


def loss_gradient_terms(
    dy, x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0
):
    """p sum_c q_c and q, added where the gradient is their difference."""
    axis = min(1, x.ndim - 1)
    x = np.moveaxis(x, axis, -1)
    q, row_weight = _coefficients(x, target, weight, ignore_index, label_smoothing)
    both = twins["softmax"](x, -1) * np.sum(q, axis=-1, keepdims=True) + q
    divisor = np.sum(row_weight) if reduction == "mean" else 1
    return [np.moveaxis(np.asarray(dy)[..., None] * both / divisor, -1, axis)]


def loss_terms(x, *others, **attrs):
    terms = exponent_terms(x) * np.ones_like(x)
    attrs.pop("label_smoothing", 0)
    everywhere = twins["cross_entropy"](-terms, *others, **attrs)
    return np.abs(everywhere) + np.max(terms, initial=0)


def square_terms(x, target, reduction="mean"):
    return twins["mse_loss"](np.abs(x), -np.abs(target), reduction)


def cross_entropy(dlx, x, target, *weight, **attrs):
    return dlx.nn.functional.cross_entropy(x, target, *weight, **attrs)


def softmax_dim(dlx, x, dim):
    return dlx.nn.functional.softmax(x, dim)


def log_softmax_dim(dlx, x, dim):
    return dlx.nn.functional.log_softmax(x, dim)


def twin_dim(op):
    def twin(x, dim):
        return twins[op](x, dim)

    return twin


def softmax_along(x, dim):
    return twins["softmax"](x, dim)


def log_softmax_along(x, dim):
    return twins["log_softmax"](x, dim)


def likelihood_terms(x, *others, **attrs):
    return np.abs(twins["nll_loss"](np.abs(x), *others, **attrs))


def logsumexp_terms(x, axis=None, keepdims=False):
    """Of the maximum, and of the logarithm of the sum."""
    top = np.max(np.abs(x), axis=axis, keepdims=keepdims, initial=0)
    return top + np.log(x.size + 2)


ENTROPY = {
    "terms": loss_terms,
    "grad_terms": loss_gradient_terms,
    "grad": (0,),
    "c": 16,
    "why_c": EXPONENT,
}
SQUARES = {
    "terms": square_terms,
    "grad_terms": square_gradient_terms,
    "c": 8,
    "why_c": "the difference is rounded before it is squared",
}
LABELS = [
    ((1, 1), [0]),
    ((7,), 3),
    ((4, 3), [0, 2, 1, 2]),
    ((5, 7), [6, -100, 0, 3, -100]),
    ((2, 3, 4), [[0, 1, 2, -100], [2, 2, 1, 0]]),
    ((2, 3, 2, 2), [[[0, 1], [2, 0]], [[1, 1], [-100, 2]]]),
]
CASES = [
    *[Case("softmax", (normal(*s),), {"axis": a}, terms="value", c=16, why_c=EXPONENT, dtypes=HALF)
      for s, a in AXES],
    *[Case("log_softmax", (normal(*s),), {"axis": a}, terms=exponent_terms, c=16, why_c=EXPONENT,
           dtypes=HALF) for s, a in AXES],
    *[Case("logsumexp", (normal(*s),), {"axis": a, "keepdims": k}, terms=logsumexp_terms, c=16,
           why_c=EXPONENT, dtypes=HALF)
      for s, a in [*AXES, ((2, 3, 4), (0, 2)), ((2, 3, 4), (1, 2)), ((3, 4), None), ((), None)]
      for k in (False, True)],
    # To PyTorch the empty tuple means all axes.
    Case("logsumexp", (normal(2, 3),), {"axis": ()}, terms=logsumexp_terms, c=16,
         why_c=EXPONENT, name="bynothing"),
    Case("nn.functional.softmax", (normal(3, 5),), {"dim": 0}, twin=softmax_along,
         terms="value", c=16, why_c=EXPONENT),
    Case("nn.functional.log_softmax", (normal(3, 5),), {"dim": 1}, twin=log_softmax_along,
         terms=lambda x, dim: exponent_terms(x), c=16, why_c=EXPONENT),
    *[
        Case("nn.functional.cross_entropy", (normal(*shape), exactly(target), *weight), attrs,
             name=f"w{len(weight)}", **ENTROPY)
        for shape, target in LABELS
        for weight in ((), (positive(shape[min(1, len(shape) - 1)]),))
        for attrs in ({}, {"reduction": "sum"}, {"reduction": "none"}, {"label_smoothing": 0.1})
    ],
    Case("nn.functional.cross_entropy", (normal(4, 3), exactly([1, 0, 1, 2])), {"ignore_index": 1},
         **ENTROPY),
    Case("nn.functional.cross_entropy", (normal(0, 3), integers(0, 3, 0)), {"reduction": "sum"},
         **ENTROPY),
    Case("nn.functional.cross_entropy", (normal(257, 10), integers(0, 10, 257)),
         **ENTROPY),
    *[
        Case("nn.functional.nll_loss", (normal(*shape), exactly(target), *weight), attrs,
             name=f"w{len(weight)}", terms=likelihood_terms, grad=(0,), kink=LINEAR, dtypes=HALF)
        for shape, target in LABELS
        for weight in ((), (positive(shape[min(1, len(shape) - 1)]),))
        for attrs in ({}, {"reduction": "sum"}, {"reduction": "none"})
    ],
    Case("nn.functional.nll_loss", (normal(4, 3), exactly([1, 0, 1, 2])), {"ignore_index": 1},
         terms=likelihood_terms, grad=(0,), kink=LINEAR),
    Case("nn.functional.nll_loss", (normal(0, 3), integers(0, 3, 0)), {"reduction": "sum"},
         terms=likelihood_terms, grad=(0,), kink=LINEAR),
    Case("nn.functional.nll_loss", (normal(257, 10), integers(0, 10, 257)),
         terms=likelihood_terms, grad=(0,), kink=LINEAR),
    *[
        Case("nn.functional.mse_loss", (normal(*shape), normal(*shape)), attrs, **SQUARES)
        for shape in [(1,), (7,), (4, 33), (), (2, 3, 1, 4, 2), (33, 64)]
        for attrs in ({}, {"reduction": "sum"}, {"reduction": "none"})
    ],
    Case("nn.functional.mse_loss", (normal(0, 3), normal(0, 3)), {"reduction": "sum"}),
    # 5 flops an element.
    Case("softmax", (normal(3, 5),), {"axis": 1}, flops=75, bytes=120, terms="value", c=16,
         why_c=EXPONENT, name="cost"),
    Case("log_softmax", (normal(3, 5),), {"axis": 1}, flops=75, bytes=120, terms=exponent_terms,
         c=16, why_c=EXPONENT, name="cost"),
    # x 60, y 12.
    Case("logsumexp", (normal(3, 5),), {"axis": 1}, flops=60, bytes=72, terms=logsumexp_terms,
         c=16, why_c=EXPONENT, name="cost"),
    # Product and sum of 3; x 12, target 24, loss 4, and for backward the total weight 8.
    Case("nn.functional.nll_loss", (normal(3, 5), exactly([1, 0, 4])), flops=6, bytes=48,
         name="cost", terms=likelihood_terms, grad=(0,), kink=LINEAR),
    # 4 flops an element; x 60, target 24, loss 4, and for backward log sum exp 24, total weight 8.
    Case("nn.functional.cross_entropy", (normal(3, 5), exactly([1, 0, 4])), flops=60, bytes=120,
         name="cost", **ENTROPY),
    # Subtract, square, add: 18; two arrays of 24 bytes read, one number written.
    Case("nn.functional.mse_loss", (normal(2, 3), normal(2, 3)), flops=18, bytes=52, name="cost",
         **SQUARES),
]  # fmt: skip
