"""Losses of pairs, with every reduction, with and without weights, and for scores far from 0."""

from __future__ import annotations

import numpy as np

import dlx
from cases._case import HALF, Case, Input, lattice, normal, positive
from dlx.reference import twins

F = "nn.functional."
SIZES = [(), (1,), (7,), (4, 33), (2, 3, 1, 4, 2), (33, 64)]
REDUCTIONS = ({}, {"reduction": "sum"}, {"reduction": "none"})
DIFFERENCE = "the difference is rounded before it is used"
LOGARITHM = "the logarithm and its argument are rounded"
EQUAL = "where input = target, and where the parabola ends"


def inside(*shape):
    """Between 0 and 1, bounds aside."""
    return Input(shape, lambda rng, s: rng.uniform(0.05, 0.95, size=s))


def shifted(*shape):
    return lattice(*shape, offset=0.02)


def scores(*shape):
    return Input(shape, lambda rng, s: 4 * rng.normal(size=s))


def far(*shape):
    return Input(shape, lambda rng, s: rng.choice([1e4, -1e4, 90.0, -90.0, 1.5, -1.5], size=s))


def certain(*shape):
    """0 and 1, where a logarithm is -inf, and between."""
    return Input(shape, lambda rng, s: rng.choice([0.0, 1.0, 0.25], size=s))


def per_element(x, terms, reduction, weight=1.0):
    """The terms of the loss, reduced as it is."""
    terms = weight * terms * np.ones_like(x)
    return terms if reduction == "none" else np.sum(terms) / (x.size if reduction == "mean" else 1)


def distance_terms(x, t, reduction="mean", beta=1.0, delta=1.0):
    both = (1 + np.abs(x) + np.abs(t)) * (np.abs(x) + np.abs(t)) * max(1, delta, 1 / (beta or 1))
    return per_element(x, both, reduction)


def distance_gradients(dy, x, t, reduction="mean", beta=1.0, delta=1.0):
    both = (np.abs(x) + np.abs(t) + 1) * max(1, delta, 1 / (beta or 1))
    both = dy * both / (x.size if reduction == "mean" else 1)
    return [both, both]


def entropy_terms(x, t, weight=1.0, reduction="mean"):
    logs = t * (1 - twins["binary_cross_entropy"](x, np.ones_like(t), reduction="none") * -1)
    logs = logs + (1 - t) * (1 + twins["binary_cross_entropy"](x, 0 * t, reduction="none"))
    return per_element(x, logs, reduction, weight)


def entropy_gradients(dy, x, t, weight=1.0, reduction="mean"):
    scale = weight * dy / (x.size if reduction == "mean" else 1)
    both = (x + t) / np.maximum((1 - x) * x, 1e-12)
    logs = 1 + np.abs(twins["binary_cross_entropy"](x, np.ones_like(t), reduction="none"))
    logs = logs + np.abs(twins["binary_cross_entropy"](x, 0 * t, reduction="none"))
    return [scale * both, scale * logs]


def logits_terms(x, t, weight=1.0, reduction="mean", pos_weight=1.0):
    terms = 2 * twins["binary_cross_entropy_with_logits"](
        x, t, reduction="none", pos_weight=pos_weight
    ) + np.exp(-np.abs(x))
    return per_element(x, terms, reduction, weight)


def logits_gradients(dy, x, t, weight=1.0, reduction="mean", pos_weight=1.0):
    scale = weight * dy / (x.size if reduction == "mean" else 1)
    large = 1 + (1 + pos_weight) * t
    return [scale * large, scale * (1 + pos_weight) * (np.abs(x) + 1)]


def divergence_terms(x, t, reduction="mean", log_target=False):
    t, log_t = (np.exp(t), t) if log_target else (t, np.log(np.where(t > 0, t, 1)))
    terms = t * (np.abs(log_t) + np.abs(x) + 1)
    if reduction == "batchmean":
        return np.sum(terms) / x.shape[0]
    return per_element(x, terms, reduction)


def divergence_gradients(dy, x, t, reduction="mean", log_target=False):
    divisor = {"mean": x.size, "batchmean": x.shape[0] if x.ndim else 1}.get(reduction, 1)
    t, log_t = (np.exp(t), t) if log_target else (t, np.log(np.where(t > 0, t, 1)))
    by_target = (np.abs(log_t) + 1 + np.abs(x)) * (t if log_target else 1)
    return [dy * t / divisor, dy * by_target / divisor]


DISTANCE = {
    "dtypes": HALF,
    "terms": distance_terms,
    "grad_terms": distance_gradients,
    "c": 8,
    "why_c": DIFFERENCE,
    "kink": EQUAL,
}
ENTROPY = {
    "dtypes": HALF,
    "terms": entropy_terms,
    "grad_terms": entropy_gradients,
    "grad": (0, 1),
    "c": 16,
    "why_c": LOGARITHM,
}
LOGITS = {**ENTROPY, "terms": logits_terms, "grad_terms": logits_gradients}
DIVERGENCE = {
    "dtypes": HALF,
    "terms": divergence_terms,
    "grad_terms": divergence_gradients,
    "c": 8,
    "why_c": LOGARITHM,
}


def with_pos_weight(x, t, weight, pos_weight, **attrs):
    function = dlx.nn.functional.binary_cross_entropy_with_logits
    return function(x, t, weight, pos_weight=pos_weight, **attrs)


def pos_weight_twin(x, t, weight, pos_weight, **attrs):
    return twins["binary_cross_entropy_with_logits"](x, t, weight, pos_weight=pos_weight, **attrs)


def pos_weight_terms(x, t, weight, pos_weight, **attrs):
    return logits_terms(x, t, weight, pos_weight=pos_weight, **attrs)


def pos_weight_gradients(dy, x, t, weight, pos_weight, **attrs):
    return logits_gradients(dy, x, t, weight, pos_weight=pos_weight, **attrs)


def weighted(op, draw, shape, weight, **options):
    return [
        Case(F + op, (draw(*shape), inside(*shape), positive(*weight)), attrs, name="weighted",
             **options)
        for attrs in REDUCTIONS
    ]  # fmt: skip


CASES = [
    *[
        Case(F + op, (lattice(*shape), shifted(*shape)), {**attrs, **options}, **DISTANCE)
        for op, options in [
            ("l1_loss", {}),
            ("smooth_l1_loss", {}),
            ("smooth_l1_loss", {"beta": 0.31}),
            ("smooth_l1_loss", {"beta": 0.0}),
            ("huber_loss", {}),
            ("huber_loss", {"delta": 0.31}),
        ]
        for shape in (SIZES if not options else [(4, 33)])
        for attrs in REDUCTIONS
    ],
    *[
        Case(F + op, (draw(*shape), inside(*shape)), attrs, **options)
        for op, draw, options in [
            ("binary_cross_entropy", inside, ENTROPY),
            ("binary_cross_entropy_with_logits", scores, LOGITS),
            ("kl_div", normal, DIVERGENCE),
        ]
        for shape in SIZES
        for attrs in REDUCTIONS
    ],
    *[
        case
        for shape, weight in [((4, 33), (4, 33)), ((4, 33), (33,)), ((2, 3, 5), (3, 1))]
        for case in [
            *weighted("binary_cross_entropy", inside, shape, weight, **ENTROPY),
            *weighted("binary_cross_entropy_with_logits", scores, shape, weight, **LOGITS),
        ]
    ],
    *[
        Case(F + "binary_cross_entropy_with_logits",
             (scores(4, 33), inside(4, 33), positive(4, 1), positive(33)), attrs, with_pos_weight,
             pos_weight_twin, name="bypos",
             **{**LOGITS, "terms": pos_weight_terms, "grad_terms": pos_weight_gradients})
        for attrs in REDUCTIONS
    ],
    Case(F + "binary_cross_entropy_with_logits", (far(7, 9), certain(7, 9)), name="far", **LOGITS),
    *[
        Case(F + "kl_div", (normal(4, 5), draw(4, 5)), {**attrs, **options}, **DIVERGENCE)
        for draw, options in [(normal, {"log_target": True}), (inside, {})]
        for attrs in (*REDUCTIONS, {"reduction": "batchmean"})[3 * (not options):]
    ],
    *[
        Case(F + op, (draw(0, 3), draw(0, 3)), {"reduction": "sum"}, **options)
        for op, draw, options in [("l1_loss", normal, {"kink": EQUAL}), ("kl_div", inside, {}),
                                  ("binary_cross_entropy_with_logits", inside, {})]
    ],
    Case(F + "binary_cross_entropy_with_logits", (scores(7, 33), inside(7, 33)),
         {"reduction": "none"}, name="several", **LOGITS),
    # (2, 3) float32: two arrays of 24 bytes read, one number written; flops of the kernel and sum.
    *[
        Case(F + op, (draw(2, 3), other(2, 3)), flops=6 * (flops + 1), bytes=52, name="cost",
             **options)
        for op, flops, draw, other, options in [
            ("l1_loss", 2, lattice, shifted, DISTANCE),
            ("smooth_l1_loss", 5, lattice, shifted, DISTANCE),
            ("huber_loss", 4, lattice, shifted, DISTANCE),
            ("binary_cross_entropy", 7, inside, inside, ENTROPY),
            ("binary_cross_entropy_with_logits", 10, scores, inside, LOGITS),
            ("kl_div", 4, normal, inside, DIVERGENCE),
        ]
    ],
]  # fmt: skip
