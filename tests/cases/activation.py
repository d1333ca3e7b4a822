"""Activations: around their kinks, where they bend, and where e^x is huge or nothing."""

from __future__ import annotations

import numpy as np

from cases._case import HALF, Case, Input, lattice, normal, positive
from cases.elementwise import WIDE
from dlx.reference import twins

F = "nn.functional."
SIZES = [(), (0,), (1,), (7,), (33,), (13, 5), (2, 3, 1, 4, 2), WIDE]
SERIES = "the twin's erf is a series of 200 terms"
COMPOSITE = "several ops, each rounded once"


def far(*shape):
    """Numbers up to +-1e4: where e^x overflows and where it vanishes."""
    values = [1e4, -1e4, 85.0, 30.0, -30.0, 12.0, -12.0, 0.5, -0.5]
    return Input(shape, lambda rng, s: rng.choice(values, size=s) * rng.uniform(0.9, 1, size=s))


def over_sizes(op, draw, attrs=None, sizes=SIZES, **options):
    rows = [Case(F + op, (draw(*s),), attrs or {}, dtypes=HALF, **options) for s in sizes]
    return [*rows, Case(F + op, (far(37),), attrs or {}, name="far", **options)]


def cost(op, flops, bytes, attrs=None, **options):
    """Of (2, 3) float32: 6 elements, 24 bytes an array."""
    return Case(F + op, (lattice(2, 3),), attrs or {}, flops=flops, bytes=bytes, name="cost",
                **options)  # fmt: skip


def size(x, **attrs):
    return np.abs(x)


def step_at(x, center, spread=1.0):
    """Between 0 and 1: the sigmoid-like part of a derivative."""
    return 1 / (1 + np.exp(np.clip(-(x - center) / spread, -700, 700)))


def gelu_terms(x, approximate="none"):
    return np.where(x < -6, 1e-8, np.abs(x))


def gelu_gradient_terms(dy, x, approximate="none"):
    """P(X < x), x times the density, and what the rounding of x^2 / 2 does to it."""
    density = np.exp(-np.minimum(x * x / 2, 700))
    saturation = np.where(np.abs(x) < 10, np.abs(x) + np.abs(x) ** 3, 0)
    return [dy * (step_at(x, 0) + density * (1 + np.abs(x) ** 3) + 0.02 * saturation)]


def silu_gradient_terms(dy, x):
    s = twins["sigmoid"](x)
    return [dy * s * (1 + np.abs(x) * (2 - s))]


def mish_gradient_terms(dy, x):
    s = twins["sigmoid"](x)
    return [dy * (np.tanh(twins["softplus"](x)) + np.abs(x) * s)]


def hardswish_terms(x):
    return np.abs(x) * (1 + np.abs(x))


def hardswish_gradient_terms(dy, x):
    return [dy * (1 + np.abs(x) * (np.abs(x) < 3))]


def softsign_gradient_terms(dy, x):
    return [dy * (1 / (1 + np.abs(x)) + np.abs(x) / (1 + np.abs(x)) ** 2)]


def softplus_terms(x, beta=1.0, threshold=20.0):
    return twins["softplus"](x, beta, threshold)


GELU = {"terms": size, "grad_terms": gelu_gradient_terms, "c": 16, "why_c": SERIES}
SILU = {"terms": "value", "grad_terms": silu_gradient_terms, "c": 8, "why_c": "1 + e^-x, e^-x"}
MISH = {"terms": "value", "grad_terms": mish_gradient_terms, "c": 16, "why_c": COMPOSITE}
SOFTPLUS = {"terms": "value", "c": 8, "why_c": "e^x and the logarithm"}
ELU = {"terms": "value", "c": 8, "why_c": "alpha and e^x are rounded"}
HARDSWISH = {
    "terms": hardswish_terms,
    "grad_terms": hardswish_gradient_terms,
    "c": 8,
    "why_c": COMPOSITE,
}
SOFTSIGN = {"terms": "value", "grad_terms": softsign_gradient_terms}
AT_0, AT_BOUNDS = "at 0", "at the bounds"

CASES = [
    *over_sizes("leaky_relu", lattice, terms="value", kink=AT_0),
    *over_sizes("leaky_relu", lattice, {"negative_slope": 0.2}, [(13, 5)], terms="value",
                kink=AT_0),
    *over_sizes("elu", lattice, {"alpha": 1.5}, kink=AT_0, **ELU),
    *over_sizes("elu", lattice, sizes=[(13, 5)], **ELU),
    *over_sizes("gelu", normal, **GELU),
    *over_sizes("gelu", normal, {"approximate": "tanh"}, **GELU),
    *over_sizes("silu", normal, **SILU),
    *over_sizes("softplus", normal, **SOFTPLUS),
    *over_sizes("softplus", lattice, {"beta": 2.0, "threshold": 1.0}, [(13, 5)],
                kink="where beta x is the threshold", **SOFTPLUS),
    *over_sizes("hardtanh", lattice, terms="value", kink=AT_BOUNDS),
    *over_sizes("hardswish", lattice, **HARDSWISH),
    *over_sizes("hardsigmoid", lattice, terms=lambda x: 1 + np.abs(x), kink=AT_BOUNDS),
    *over_sizes("logsigmoid", normal, **SOFTPLUS),
    *over_sizes("hardtanh", lattice, {"min_val": 0.0, "max_val": 0.4}, [(13, 5)], terms="value",
                kink=AT_BOUNDS),
    *[
        Case(F + op, (draw(*shape),), name="composite", dtypes=HALF, **options)
        for op, draw, options in [
            ("relu6", lattice, {"terms": "value", "kink": AT_BOUNDS}),
            ("selu", lattice, {"kink": AT_0, **ELU}),
            ("mish", normal, MISH),
            ("softsign", lattice, SOFTSIGN),
        ]
        for shape in [(7,), (0, 3), WIDE]
    ],
    Case(F + "softmin", (normal(3, 5),), {"dim": 1}, terms="value", c=16, why_c=COMPOSITE,
         dtypes=HALF),
    *[
        Case(F + "prelu", (lattice(*x), positive(*w)), terms="value", kink=AT_0, dtypes=HALF)
        for x, w in [((7,), (1,)), ((), (1,)), ((5, 3), (3,)), ((2, 3, 4, 5), (3,)), ((0, 3), (3,)),
                     ((8, 1031), (1031,))]
    ],
    cost("leaky_relu", 12, 48, terms="value", kink=AT_0),
    cost("elu", 18, 48, **ELU),
    cost("gelu", 18, 48, **GELU),
    cost("silu", 12, 48, **SILU),
    cost("softplus", 42, 48, **SOFTPLUS),
    cost("hardtanh", 12, 48, terms="value", kink=AT_BOUNDS),
    cost("relu6", 12, 48, terms="value", kink=AT_BOUNDS),
    cost("selu", 24, 96, kink=AT_0, **ELU),
    cost("hardsigmoid", 24, 48, terms=lambda x: 1 + np.abs(x), kink=AT_BOUNDS),
    cost("hardswish", 30, 48, **HARDSWISH),
    cost("mish", 54, 168, **MISH),
    cost("logsigmoid", 36, 48, **SOFTPLUS),
    cost("softsign", 18, 168, **SOFTSIGN),
    cost("softmin", 36, 96, {"dim": 1}, terms="value", c=16, why_c=COMPOSITE),
    Case(F + "prelu", (lattice(2, 3), positive(3)), terms="value", kink=AT_0, flops=12, bytes=60,
         name="cost"),
]  # fmt: skip
