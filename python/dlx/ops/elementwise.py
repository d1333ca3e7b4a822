"""Pointwise ops with broadcasting. The functions are C (the rows of csrc/ops/pointwise.h); here stand their rules.

Tensors promote among themselves by the array API's table (an integer with a floating dtype gives the floating one);
Python numbers are weak: they only raise the kind. Where a formula needs a floating dtype, integers become float32.
"""

from __future__ import annotations

from dlx import _core
from dlx.autodiff import elementwise, linear, primitive, record, reduce_to
from dlx.ops._prepare import prepare

__all__ = [
    "abs", "add", "astype", "clip", "divide", "equal", "exp", "greater", "greater_equal", "isfinite", "less",
    "less_equal", "log", "logical_and", "logical_not", "logical_or", "maximum", "minimum", "multiply", "negative",
    "not_equal", "pow", "relu", "sigmoid", "sqrt", "subtract", "tanh", "where",
]


def _one(name, *derivatives, fused=None):
    """The C function of a row, with its rule; derivatives as in dlx.autodiff.elementwise."""
    if derivatives:
        _core.set_pointwise_rule(name, elementwise(name, *derivatives, fused=fused))
    return getattr(_core, name)


def _unit():
    return None


# Comparisons and predicates have no gradient.
equal, not_equal = _one("equal"), _one("not_equal")
less, less_equal = _one("less"), _one("less_equal")
greater, greater_equal = _one("greater"), _one("greater_equal")
logical_and, logical_or, logical_not = _one("logical_and"), _one("logical_or"), _one("logical_not")
isfinite = _one("isfinite")
sign = _one("sign")

add = _one("add", _unit, _unit)
subtract = _one("subtract", _unit, lambda: -1)
multiply = _one("multiply", lambda x2: x2, lambda x1: x1)
divide = _one("divide", lambda x2: 1 / x2, lambda x2, y: -y / x2)
negative = _one("negative", lambda: -1)

exp = _one("exp", lambda y: y)
log = _one("log", lambda x: 1 / x)
sqrt = _one("sqrt", lambda y: 0.5 / y)
tanh = _one("tanh", lambda y: 1 - y * y, fused=_core.tanh_backward)
sigmoid = _one("sigmoid", lambda y: y * (1 - y), fused=_core.sigmoid_backward)
relu = _one("relu", lambda y: (y > 0).astype(y.dtype), fused=_core.relu_backward)
abs = _one("abs", lambda x: sign(x))


def _pow_by_base(x1, x2):
    return x2 * x1 ** (x2 - 1)


def _pow_by_exponent(x1, y):
    # d/de x^e = x^e log x; at x = 0 the limit of y log x for e > 0 is 0.
    if not isinstance(x1, _core.TensorBase):
        from math import log as log_of_number

        return y * (log_of_number(x1) if x1 > 0 else 0.0)
    return where(x1 > 0, y * log(maximum(x1, 0) + (x1 <= 0).astype(y.dtype)), 0.0)


pow = _one("pow", _pow_by_base, _pow_by_exponent)


def _share_of_first(x1, x2):
    """1 where x1 wins, half where both are equal (as PyTorch shares it)."""
    return (x1 > x2).astype(x1.dtype) + 0.5 * (x1 == x2).astype(x1.dtype)


maximum = _one("maximum", _share_of_first, lambda x1, x2: _share_of_first(x2, x1))
minimum = _one("minimum", lambda x1, x2: _share_of_first(x2, x1), _share_of_first)
where = _one("where")


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


_core.set_pointwise_rule(
    "where", primitive("where", vjp=(None, _where_by_first, _where_by_second), jvp=_where_jvp, saves_inputs=1)
)


def _inside(x1, x2, x3):
    return ((x1 >= x2) * (x1 <= x3)).astype(x1.dtype)


_core.set_pointwise_rule("clip", elementwise(
    "clip", _inside, lambda x1, x2: (x1 < x2).astype(x1.dtype), lambda x1, x3: (x1 > x3).astype(x1.dtype)))


def clip(x, min=None, max=None):
    """minimum(maximum(x, min), max), element by element; None leaves a side open.

    The gradient is 1 inside and on the bounds, 0 outside, as PyTorch's. NaN stays NaN. Raises TypeError when both
    bounds are None."""
    if min is None and max is None:
        raise TypeError("clip: expected min or max, got None for both")
    if min is not None and max is not None:
        return _core.clip(x, min, max)
    return maximum(x, min) if max is None else minimum(x, max)


def astype(x, dtype, *, copy=True):
    """x converted to `dtype`; floats to integers truncate towards 0, anything to bool is `!= 0`. Differentiable."""
    (x,) = prepare("astype", x)
    if x.dtype is dtype:
        return x
    y = _core.cast(x, dtype)
    return record(_astype_rule, (x,), y, (y.dtype,)) if x.dtype.is_floating and y.dtype.is_floating else y


_astype_rule = linear("astype", astype, lambda g, x, dtype: astype(g, x.dtype))
