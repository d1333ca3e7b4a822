"""Ops that draw from the generator and carry gradients."""

from __future__ import annotations

from dlx import _core
from dlx.autodiff import alias, linear, record
from dlx.ops._prepare import prepare
from dlx.random import _cell, _real

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = ["dropout"]

_DTYPES = ("float32", "float64", "bfloat16", "float16")


def dropout(x, p=0.5, training=True) -> Tensor:
    """x / (1 - p) where a uniform number of the generator is >= p, else 0.

    Unless training, x's values. x: any shape, floating; p: the share of zeros, 0 to 1. Srivastava
    et al. 2014, with the scaling moved into training. No mask is kept: backward draws the same
    numbers again, from the generator's state before the draw. Raises ValueError for p outside
    [0, 1]."""
    (x,) = prepare("dropout", x, dtypes=_DTYPES)
    p = _real("dropout", "p", p)
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: expected p between 0 and 1, got {p}")
    if not training:
        return alias(x)
    y, start = _core.dropout(x, _cell, p)
    return record(dropout_rule, (x,), y, (start, p))


def _dropout_again(x, start, p):
    """Dropout with the mask of the draw that began at `start`."""
    return record(dropout_rule, (x,), _core.dropout_backward(x, start, p), (start, p))


def _dropout_transpose(g, x, start, p):
    return _dropout_again(g, start, p)  # a diagonal matrix


dropout_rule = linear("dropout", _dropout_again, _dropout_transpose)
