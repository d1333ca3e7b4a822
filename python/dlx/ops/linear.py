"""The dense layer as one node of the graph: its weight gradient has the weight's layout."""

from __future__ import annotations

from dlx import _core
from dlx.autodiff import primitive, record
from dlx.ops._broadcast import sum_to_shape
from dlx.ops.matmul import matmul
from dlx.ops.shape import broadcast_to, permuted, reshape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = ["linear"]


def linear(x, w, b=None) -> Tensor:
    """y = x w^T + b. x: (..., I), w: (O, I), b: (O,) or None, y: (..., O); arguments as checked by
    nn.functional.linear."""
    return record(_linear_rule, (x, w) if b is None else (x, w, b), _core.linear(x, w, b))


def _rows(x):
    """All leading dimensions as one."""
    return x if x.ndim == 2 else reshape(x, (-1, x.shape[-1]))


def _by_input(g, y, x, w, *b):
    return matmul(g, w)


def _by_weight(g, y, x, w, *b):
    return matmul(permuted(_rows(g), (1, 0)), _rows(x))


def _by_bias(g, y, x, w, b):
    return sum_to_shape(g, b.shape)


def _linear_jvp(tangents, y, x, w, *b):
    dx, dw, *db = tangents
    terms = [] if dx is None else [matmul(dx, permuted(w, (1, 0)))]
    if dw is not None:
        terms.append(matmul(x, permuted(dw, (1, 0))))
    terms += [d for d in db if d is not None]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total if total.shape == y.shape else broadcast_to(total, y.shape)


_linear_rule = primitive(
    "linear",
    vjp=(_by_input, _by_weight, _by_bias),
    jvp=_linear_jvp,
    saves_inputs=3,
    saves_outputs=0,
)
