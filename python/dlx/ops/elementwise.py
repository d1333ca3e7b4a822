"""Pointwise ops with broadcasting. The functions are C (the rows of csrc/ops/pointwise.h); here
stand their rules.

Tensors promote among themselves by the array API's table (an integer with a floating dtype gives
the floating one); Python numbers are weak: they only raise the kind. Where a formula needs a
floating dtype, integers become float32."""

from __future__ import annotations

from dlx import _core
from dlx.autodiff import alias, elementwise, linear, primitive, record, reduce_to
from dlx.ops._prepare import prepare
from dlx.ops.creation import zeros_like

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dlx._tensor import Tensor

__all__ = [
    "abs",
    "add",
    "astype",
    "ceil",
    "clip",
    "cos",
    "divide",
    "equal",
    "erf",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "greater",
    "greater_equal",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "log",
    "log1p",
    "logical_and",
    "logical_not",
    "logical_or",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "not_equal",
    "pow",
    "reciprocal",
    "relu",
    "remainder",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sqrt",
    "square",
    "subtract",
    "tanh",
    "trunc",
    "where",
]


def _op(name, formula, *derivatives, fused=None, of=("y",), rule=None) -> Callable[..., Tensor]:
    """The C function of a row, with its docstring and its rule: see dlx.autodiff.elementwise."""
    if derivatives:
        rule = elementwise(name, *derivatives, fused=fused, of=of)
    if rule is not None:
        _core.set_pointwise_rule(name, rule)
    _core.describe_pointwise(name, formula)
    return getattr(_core, name)


def _unit():
    return None


# Comparisons and predicates have no gradient.
equal = _op("equal", "x1 == x2")
not_equal = _op("not_equal", "x1 != x2")
less = _op("less", "x1 < x2")
less_equal = _op("less_equal", "x1 <= x2")
greater = _op("greater", "x1 > x2")
greater_equal = _op("greater_equal", "x1 >= x2")
logical_and = _op("logical_and", "x1 and x2")
logical_or = _op("logical_or", "x1 or x2")
logical_not = _op("logical_not", "not x")
isfinite = _op("isfinite", "whether x is neither infinite nor NaN")
isinf = _op("isinf", "whether x is infinite")
isnan = _op("isnan", "whether x is NaN")


# Steps: the derivative is 0, also at the jumps. Not a product with 0: that makes NaN of infinities.
# Nothing is saved for it but shapes and dtypes.
def _zero_by_first(g, y, *inputs):
    return zeros_like(inputs[0], device=g.device)


def _zero_by_second(g, y, *inputs):
    return zeros_like(inputs[1], device=g.device)


def _zero_jvp(tangents, y, *inputs):
    moved = next(t for t in tangents if t is not None)
    return zeros_like(y, device=moved.device)


def _step(name, formula):
    vjp = (_zero_by_first, _zero_by_second)
    rule = primitive(name, vjp=vjp, jvp=_zero_jvp, saves_inputs=0, saves_outputs=0)
    return _op(name, formula, rule=rule)


sign = _step("sign", "-1, 0 or 1, as x is; NaN stays NaN")
floor = _step("floor", "the largest integer not above x, in x's dtype")
ceil = _step("ceil", "the smallest integer not below x, in x's dtype")
trunc = _step("trunc", "x without its fraction, in x's dtype")
round = _step("round", "the nearest integer, halves to even, in x's dtype")
floor_divide = _step("floor_divide", "floor(x1 / x2), x1 // x2 of Python; integers by 0 give 0")


# A product with the condition would turn the other side's Inf and NaN into NaN: where() selects.
def _where_by_first(g, y, c, x1, x2):
    return reduce_to(where(c, g, 0), x1)


def _where_by_second(g, y, c, x1, x2):
    return reduce_to(where(c, 0, g), x2)


def _where_jvp(tangents, y, c, x1, x2):
    from dlx.ops.shape import broadcast_to

    _, t1, t2 = tangents
    t = where(c, 0 if t1 is None else t1, 0 if t2 is None else t2)
    return broadcast_to(t, y.shape)


where = _op(
    "where",
    "x2 where the condition x1 is true, x3 elsewhere",
    rule=primitive(
        "where", vjp=(None, _where_by_first, _where_by_second), jvp=_where_jvp, saves_inputs=1
    ),
)


add = _op("add", "x1 + x2", _unit, _unit)
subtract = _op("subtract", "x1 - x2", _unit, lambda: -1)
multiply = _op("multiply", "x1 * x2", lambda x2: x2, lambda x1: x1)
divide = _op("divide", "x1 / x2", lambda x2: 1 / x2, lambda x2, y: -y / x2)
negative = _op("negative", "-x", lambda: -1)
square = _op("square", "x x", lambda x: 2 * x)
reciprocal = _op("reciprocal", "1 / x", lambda y: -y * y)
remainder = _op(
    "remainder",
    "x1 - x2 floor(x1 / x2), x1 % x2 of Python; integers modulo 0 give 0",
    _unit,
    lambda x1, x2: -floor_divide(x1, x2),
)

exp = _op("exp", "e^x", lambda y: y)
log = _op("log", "the natural logarithm of x; NaN below 0", lambda x: 1 / x)
log1p = _op("log1p", "log(1 + x), exact near 0 too; NaN below -1", lambda x: 1 / (1 + x))
expm1 = _op("expm1", "e^x - 1, exact near 0 too", lambda x: exp(x))
sqrt = _op("sqrt", "the square root of x; NaN below 0", lambda y: 0.5 / y)
rsqrt = _op("rsqrt", "1 / sqrt(x); NaN below 0", lambda y: -0.5 * y * y * y)
sin = _op("sin", "the sine of x radians", lambda x: cos(x))
cos = _op("cos", "the cosine of x radians", lambda x: -sin(x))
erf = _op(
    "erf",
    "2 / sqrt(pi) times the integral of e^(-t^2) over t from 0 to x",
    lambda x: multiply(exp(-x * x), 1.1283791670955126),
)
tanh = _op("tanh", "the hyperbolic tangent", lambda y: 1 - y * y, fused=_core.tanh_backward)
sigmoid = _op("sigmoid", "1 / (1 + e^-x)", lambda y: y * (1 - y), fused=_core.sigmoid_backward)
relu = _op(
    "relu", "max(x, 0)", lambda y: where(y <= 0, 0.0, 1.0), fused=_core.relu_backward
)  # its derivative at the kink x = 0 is 0, as PyTorch's
abs = _op("abs", "|x|; its derivative at the kink x = 0 is 0", lambda x: sign(x))


def _pow_by_base(x1, x2):
    return x2 * x1 ** (x2 - 1)


def _pow_by_exponent(x1, y):
    # d/de x^e = x^e log x; at x = 0 the limit of y log x for e > 0 is 0.
    if not isinstance(x1, _core.TensorBase):
        from math import log as log_of_number

        return y * (log_of_number(x1) if x1 > 0 else 0.0)
    return where(x1 > 0, y * log(maximum(x1, 0) + (x1 <= 0).astype(y.dtype)), 0.0)


pow = _op("pow", "x1 to the power x2", _pow_by_base, _pow_by_exponent)


def _share_of_first(x1, x2):
    """1 where x1 wins, half where both are equal (as PyTorch shares it). Either may be a number."""
    return where(x1 > x2, 1.0, where(x1 == x2, 0.5, 0.0))


def _share_of_second(x1, x2):
    return _share_of_first(x2, x1)


maximum = _op("maximum", "the larger one; NaN wins", _share_of_first, _share_of_second)
minimum = _op("minimum", "the smaller one; NaN wins", _share_of_second, _share_of_first)


def _inside(x1, x2, x3):
    return where(logical_and(x1 >= x2, x1 <= x3), 1.0, 0.0)


def _below(x1, x2):
    return where(x1 < x2, 1.0, 0.0)


def _above(x1, x3):
    return where(x1 > x3, 1.0, 0.0)


_core.set_pointwise_rule("clip", elementwise("clip", _inside, _below, _above))


def clip(x, min=None, max=None) -> Tensor:
    """minimum(maximum(x, min), max), element by element; None leaves a side open.

    The gradient is 1 inside and on the bounds, 0 outside, as PyTorch's. NaN stays NaN. Raises
    TypeError when both bounds are None."""
    for bound in (min, max):
        if isinstance(bound, str):
            raise TypeError(f"clip: expected numbers or Tensors as bounds, got {bound!r}")
    if min is None and max is None:
        raise TypeError("clip: expected min or max, got None for both")
    if min is not None and max is not None:
        return _core.clip(x, min, max)
    return maximum(x, min) if max is None else minimum(x, max)


def astype(x, dtype, *, copy=True) -> Tensor:
    """x converted to `dtype`; floats to integers truncate towards 0, anything to bool is `!= 0`.
    Differentiable.

    copy: False returns x itself where it has the dtype already."""
    (x,) = prepare("astype", x)
    if x.dtype is dtype or x.dtype == dtype:
        return alias(x) if copy else x
    y = _core.cast(x, dtype)
    return (
        record(_astype_rule, (x,), y, (y.dtype,))
        if x.dtype.is_floating and y.dtype.is_floating
        else y
    )


_astype_rule = linear("astype", astype, lambda g, x, dtype: astype(g, x.dtype))
