"""Pointwise ops: every size around the vectors of the kernels, every pattern of broadcasting."""

from __future__ import annotations

import numpy as np

import dlx
from cases._case import (
    ANY,
    HALF,
    INTEGER,
    NUMERIC,
    Case,
    Input,
    booleans,
    lattice,
    normal,
    positive,
)
from dlx.reference import twins

SIZES = [
    (),
    (0,),
    (1,),
    (7,),
    (16, 1),
    (31,),
    (32,),
    (33,),
    (3, 0, 2),
    (13, 5),
    (257,),
    (2, 3, 1, 4, 2),
]
PAIRS = [
    ((33,), (33,)),
    ((7,), ()),
    ((), (2, 3)),
    ((3, 1), (1, 4)),
    ((2, 3, 4), (4,)),
    ((2, 1, 4), (3, 1)),
    ((0, 3), (3,)),
    ((1,), (7,)),
    ((2, 3, 1, 4, 2), (3, 5, 1, 2)),
    ((13, 31), (13, 1)),
]
SMALL = SIZES[2:4] + SIZES[-1:]
WIDE = (8, 1031)  # several chunks for several threads


def unary(op, draw, sizes=SIZES, **options):
    """On (13, 5) and (WIDE): y = f(x) reads and writes 4 bytes an element in float32."""
    return [Case(op, (draw(*shape),), **options) for shape in [*sizes, WIDE]]


def binary(op, first, second=None, pairs=PAIRS, **options):
    second = second or first
    return [Case(op, (first(*a), second(*b)), **options) for a, b in [*pairs, (WIDE, WIDE)]]


def shifted(*shape):
    return lattice(*shape, offset=0.02)


def small(*shape):
    return Input(shape, lambda rng, s: 0.5 * rng.normal(size=s))


def small_positive(*shape):
    """Down to 1e-8, where 1 + x is 1 in float32."""
    return Input(shape, lambda rng, s: 10.0 ** rng.uniform(-8, 0, size=s))


def erf_gradient_terms(dy, x):
    """e^(-x^2), and what the rounding of x^2 does to it."""
    return [2 * dy * np.exp(-x * x) * (1 + x * x)]


def magnitude_sum(x1, x2):
    return np.abs(x1) + np.abs(x2)


def overflowing(*shape):
    """Some infinities and NaN among numbers."""
    special = np.array([0.0, 1.0, -1.0, np.inf, -np.inf, np.nan])
    return Input(shape, lambda rng, s: rng.choice(special, size=s))


def even_tenths(*shape):
    """+-0.2, 0.4, ...: no number of lattice() is a multiple of one."""
    return Input(shape, lambda rng, s: rng.integers(1, 9, size=s) / 5 * rng.choice([-1, 1], size=s))


def wide(*shape):
    return Input(shape, lambda rng, s: 3 * rng.normal(size=s))


STEPS = "steps"
LINEAR = "linear: the second derivative is zero everywhere"
SATURATION = "the derivative 1 - y*y, y*(1 - y) loses digits of y where y nears 1"
COST = [  # (2, 3) float32: 6 elements, 24 bytes an array
    Case("add", (normal(2, 3), normal(2, 3)), flops=6, bytes=72, name="cost"),
    Case("subtract", (normal(2, 3), normal(3)), terms=magnitude_sum, flops=6, bytes=60,
         name="cost", kink=LINEAR),
    Case("multiply", (normal(2, 3), normal(2, 1)), flops=6, bytes=56, name="cost"),
    Case("divide", (normal(2, 3), positive()), flops=6, bytes=52, name="cost"),
    *[
        Case(op, (positive(2, 3),), terms="value", flops=6, bytes=48, name="cost", c=32,
             why_c=SATURATION)
        for op in ("negative", "abs", "exp", "log", "sqrt", "tanh", "sigmoid", "log1p", "expm1",
                   "erf", "sin", "cos", "square", "reciprocal")
    ],
    Case("rsqrt", (positive(2, 3),), terms="value", flops=12, bytes=48, name="cost"),
    *[
        Case(op, (lattice(2, 3),), terms="value", flops=6, bytes=48, name="cost", kink=STEPS)
        for op in ("sign", "floor", "ceil", "trunc", "round")
    ],
    *[
        Case(op, (lattice(2, 3), even_tenths(2, 3)), terms=magnitude_sum, flops=6, bytes=72,
             name="cost", kink=STEPS)
        for op in ("remainder", "floor_divide")
    ],
    *[
        Case(op, (positive(2, 3), lattice(2, 3)), terms="value", flops=6, bytes=72, name="cost",
             kink="" if op == "pow" else "where x1 = x2")
        for op in ("pow", "maximum", "minimum")
    ],
    *[
        Case(op, (normal(2, 3), normal(2, 3)), flops=6, bytes=54, name="cost", grad=())
        for op in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
    ],
    Case("logical_and", (booleans(2, 3), booleans(2, 3)), flops=6, bytes=18, name="cost"),
    Case("logical_or", (booleans(2, 3), booleans(2, 3)), flops=6, bytes=18, name="cost"),
    Case("logical_not", (booleans(2, 3),), flops=6, bytes=12, name="cost"),
    *[
        Case(op, (normal(2, 3),), flops=6, bytes=30, name="cost", grad=())
        for op in ("isfinite", "isinf", "isnan")
    ],
    Case("astype", (normal(2, 3),), {"dtype": "float64"}, twin=twins["cast"], flops=0, bytes=72,
         name="cost", kink=LINEAR),
    Case("clip", (lattice(2, 3),), {"min": -0.5, "max": 0.5}, flops=12, bytes=48, name="cost",
         kink="at the bounds"),
    Case("relu", (lattice(2, 3),), flops=6, bytes=48, name="cost", kink="at 0"),
    Case("where", (booleans(2, 3), normal(2, 3), normal(2, 3)), flops=6, bytes=78, name="cost",
         kink=LINEAR),
]  # fmt: skip

ARITHMETIC = [
    *binary("add", normal, dtypes=ANY, kink=LINEAR),
    *binary("subtract", normal, dtypes=NUMERIC, kink=LINEAR, terms=magnitude_sum),
    *binary("multiply", normal, dtypes=ANY),
    *binary("divide", normal, positive, dtypes=HALF),
    *binary("pow", positive, normal, terms="value", dtypes=HALF),
    *binary("maximum", lattice, shifted, dtypes=ANY, terms="value", kink="where x1 = x2"),
    *binary("minimum", lattice, shifted, dtypes=ANY, terms="value", kink="where x1 = x2"),
]


def with_number(op, number, draw, **options):
    """x op number."""

    def call(x):
        return getattr(dlx, op)(x, number)

    def twin(x):
        return twins[op](x, np.asarray(number, np.result_type(x, number)))

    return Case(op, (draw(2, 3),), call=call, twin=twin, name=f"by{number}", **options)


SCALARS = [  # a Python number is weak: the array keeps its dtype
    with_number("add", 2, normal, terms=lambda x: np.abs(x) + 2, kink=LINEAR, dtypes=NUMERIC),
    with_number("subtract", 2, normal, terms=lambda x: np.abs(x) + 2, kink=LINEAR, dtypes=HALF),
    with_number("multiply", 3, normal, kink=LINEAR, dtypes=NUMERIC),
    with_number("divide", 4.0, normal, kink=LINEAR),
    with_number("pow", 2, normal, terms="value", dtypes=HALF),
    with_number("pow", 3.0, normal, terms="value"),
    with_number("pow", 0.5, positive, terms="value"),
    with_number("pow", -1, positive, terms="value"),
    with_number("pow", -2.0, positive, terms="value"),
    with_number("pow", -0.5, positive, terms="value"),
    with_number("pow", 4, normal, terms="value"),
    with_number("maximum", 0, lattice, terms="value", kink="where x1 = x2", dtypes=INTEGER),
    with_number("less", 0.5, lattice, grad=()),
    with_number("remainder", 0.3, lattice, terms=lambda x: np.abs(x) + 1, kink=STEPS),
    with_number("remainder", 3, lattice, terms="value", kink=STEPS, dtypes=INTEGER),
    with_number("floor_divide", 2, lattice, terms="value", kink=STEPS, dtypes=NUMERIC),
]  # fmt: skip
FUNCTIONS = [
    *unary("negative", normal, dtypes=HALF + ("int32", "int64"), kink=LINEAR),
    *unary("abs", lattice, dtypes=NUMERIC, kink="at 0"),
    *unary("exp", normal, terms="value", dtypes=HALF),
    *unary("log", positive, terms="value", dtypes=HALF),
    *unary("sqrt", positive, terms="value", dtypes=HALF),
    *unary("tanh", small, terms="value", dtypes=HALF, c=32, why_c=SATURATION),
    *unary("sigmoid", small, terms="value", dtypes=HALF, c=16, why_c=SATURATION),
    *unary("relu", lattice, dtypes=NUMERIC, kink="at 0"),
    *unary("log1p", positive, terms="value", dtypes=HALF),
    *unary("log1p", small_positive, SMALL, terms="value", dtypes=HALF, name="small"),
    *unary("expm1", normal, terms="value", dtypes=HALF, c=8, why_c=SATURATION),
    *unary("erf", normal, terms="value", dtypes=HALF, c=16, why_c="the twin sums 200 terms",
           grad_terms=erf_gradient_terms),
    *unary("sin", wide, terms="value", dtypes=HALF),
    *unary("cos", wide, terms="value", dtypes=HALF),
    *unary("square", normal, dtypes=NUMERIC),
    *unary("reciprocal", positive, terms="value", dtypes=HALF),
    *unary("rsqrt", positive, terms="value", dtypes=HALF, c=8, why_c="a root and a division"),
    *[
        case
        for op in ("sign", "floor", "ceil", "trunc", "round")
        for case in unary(op, lattice, terms="value", dtypes=NUMERIC, kink=STEPS)
    ],
    *[
        case
        for op in ("remainder", "floor_divide")
        for case in binary(op, lattice, even_tenths, dtypes=NUMERIC, terms=magnitude_sum,
                           kink=STEPS)
    ],
]  # fmt: skip
CLIP = [
    Case("clip", (lattice(*shape),), bounds, terms="value", dtypes=HALF, kink="at the bounds")
    for shape in SMALL
    for bounds in ({"min": -0.5, "max": 0.5}, {"min": 0.0}, {"max": 0.3}, {"min": 0.4, "max": -0.4})
]
WHERE = [
    Case("where", (booleans(*c), normal(*a), normal(*b)), kink=LINEAR, dtypes=ANY)
    for c, a, b in [
        ((7,), (7,), (7,)),
        ((3, 1), (4,), ()),
        ((), (2, 3), (2, 3)),
        ((5,), (2, 5), (2, 1)),
        ((0,), (0,), (1,)),
        (WIDE, WIDE, ()),
    ]
]
COMPARISONS = [
    case
    for op in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
    for case in binary(op, lattice, lattice, grad=(), dtypes=ANY)
]


def rounded_once(x, dtype):
    return np.abs(x)


CASTS = [
    Case("astype", (normal(*shape),), {"dtype": dtype}, twin=twins["cast"], terms=rounded_once,
         kink=LINEAR, grad=None if dtype == "float64" else ())
    for shape in SMALL
    for dtype in ("float64", "int32", "int64", "bool")
]  # fmt: skip

LOGIC = [
    *[Case("logical_not", (booleans(*shape),)) for shape in [*SIZES, WIDE]],
    *[
        Case(op, (booleans(*a), booleans(*b)))
        for op in ("logical_and", "logical_or")
        for a, b in [*PAIRS, (WIDE, WIDE)]
    ],
    *unary("isfinite", overflowing, grad=(), dtypes=HALF),
    *unary("isinf", overflowing, grad=(), dtypes=HALF),
    *unary("isnan", overflowing, grad=(), dtypes=HALF),
]

CASES = COST + ARITHMETIC + SCALARS + FUNCTIONS + CLIP + WHERE + COMPARISONS + CASTS + LOGIC
