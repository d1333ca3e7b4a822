"""Native ops without a public name of their own: fused backwards, and what indexing is made of.

The other checks reach them through gradients; here each is held against its twin directly.
"""

from __future__ import annotations

import dlx
from cases._case import Case, booleans, exactly, integers, lattice, normal, positive
from cases.pair_loss import inside
from dlx import _core
from dlx.reference import twins

SEED = 77


def core(name):
    """The native function, which takes its arguments by position."""

    def call(*arrays, **attrs):
        return getattr(dlx._core, name)(*arrays, *attrs.values())

    return call


def row(name, *inputs, **attrs):
    return Case(f"_core.{name}", inputs, attrs, core(name), twins[name], grad=(), terms=wide)


def wide(*arrays, **attrs):
    """Loose: the derivatives' own cases are tight."""
    return 16.0


def cross_entropy_backward(dy, x, target, weight):
    core = dlx._core
    _, lse, total = core.cross_entropy(x, target, weight, -100, 0.1, 1)
    return core.cross_entropy_backward(dy, x, target, lse, total, weight, -100, 0.1, 1)


def cross_entropy_twin(dy, x, target, weight):
    return twins["cross_entropy_backward"](dy, x, target, weight, -100, "mean", 0.1)


def mse_loss_backward(dy, x, target):
    return dlx._core.mse_loss_backward(dy, x, target, 1)


def pair_backward(name):
    def call(dy, x, target):
        return getattr(dlx._core, f"{name}_backward")(dy, x, target, None, None, 1.0, 1)

    return call


def nll_loss_backward(dy, x, target, weight):
    _, total = dlx._core.nll_loss(x, target, weight, -100, 1)
    return dlx._core.nll_loss_backward(dy, x, target, total, weight, -100, 1)


def dropout_backward(dy, p):
    dlx.seed(SEED)
    x = dlx.ones(dy.shape, dtype=dy.dtype, device=dy.device)
    _, start = dlx._core.dropout(x, dlx.random._cell, p)
    return dlx._core.dropout_backward(dy, start, p)


def dropout_twin(dy, p):
    return twins["dropout_backward"](dy, p, seed=SEED, offset=0)


def copy(x):
    return dlx._core.dense(dlx.permute_dims(x, (1, 0)))


def ravel_index(*indices, limits):
    return dlx._core.ravel_index(list(indices), limits, tuple(range(len(limits))))


def ravel_twin(*indices, limits):
    return twins["ravel_index"](indices, limits)


def scatter(y, indices, v, axis):
    y = y.clone()
    dlx._core.scatter(y, indices, axis, 1, v)
    return y


CASES = [
    row("relu_backward", normal(8, 33), lattice(8, 33)),
    row("tanh_backward", normal(8, 33), normal(8, 33)),
    row("sigmoid_backward", normal(8, 33), normal(8, 33)),
    row("leaky_relu_backward", normal(8, 33), lattice(8, 33), negative_slope=0.2),
    row("elu_backward", normal(8, 33), lattice(8, 33), alpha=1.5),
    row("gelu_backward", normal(8, 33), normal(8, 33)),
    row("gelu_tanh_backward", normal(8, 33), normal(8, 33)),
    row("gelu_tanh", normal(8, 33)),
    row("pass_above", normal(8, 33), lattice(8, 33), low=0.5),
    row("pass_below", normal(8, 33), lattice(8, 33), high=0.5),
    row("hardswish_backward", normal(8, 33), normal(8, 33)),
    row("hardsigmoid_backward", normal(8, 33), normal(8, 33)),
    row("logsigmoid_backward", normal(8, 33), normal(8, 33)),
    row("silu_backward", normal(8, 33), normal(8, 33)),
    row("softplus_backward", normal(8, 33), normal(8, 33), threshold=1.0),
    row("logsumexp_backward", normal(5), normal(5, 33), positive(5), axis=1),
    row("logsumexp_backward", normal(5), normal(33, 5), positive(5), axis=0),
    *[
        Case(f"_core.{name}_backward", (normal(), inside(4, 3), inside(4, 3)), {},
             pair_backward(name), twins[f"{name}_backward"], grad=(), terms=wide)
        for name in ("l1_loss", "smooth_l1_loss", "huber_loss", "kl_div",
                     "binary_cross_entropy_with_logits", "binary_cross_entropy")
    ],
    Case("_core.nll_loss_backward",
         (normal(), normal(4, 3), exactly([0, -100, 2, 1]), positive(3)), {},
         nll_loss_backward, twins["nll_loss_backward"], grad=(), terms=wide),
    row("softmax_backward", normal(5, 33), positive(5, 33), axis=1),
    row("softmax_backward", normal(33, 5), positive(33, 5), axis=0),
    row("log_softmax_backward", normal(5, 33), normal(5, 33), axis=1),
    row("scatter_add", normal(5, 7), exactly([1, 0, 1, 1, 2]), axis=0, extent=3),
    row("scatter_add", normal(9, 83), exactly([1, 0, 1, 1, 2, 1, -3, 1, 1]), axis=0, extent=4),
    row("scatter_add", normal(6), exactly([1, 0, -1, 1, 3, 1]), axis=0, extent=5),
    row("scatter_add", normal(2, 3, 4), exactly([[1, 0, 1], [1, 2, 0]]), axis=0, extent=3),
    row("nonzero", booleans(7, 33)),
    Case("_core.scatter", (normal(4, 3), exactly([1, 3, 1]), normal(3, 3)), {"axis": 0}, scatter,
         twins["scatter"], grad=()),
    Case("_core.ravel_index", (integers(-3, 3, 5, 1), integers(-4, 4, 7)), {"limits": (3, 4)},
         ravel_index, ravel_twin),
    Case("_core.cross_entropy_backward",
         (normal(), normal(4, 3), exactly([0, -100, 2, 1]), positive(3)), {},
         cross_entropy_backward, cross_entropy_twin, grad=(), terms=wide),
    Case("_core.mse_loss_backward", (normal(), normal(4, 3), normal(4, 3)), {}, mse_loss_backward,
         twins["mse_loss_backward"], grad=(), terms=wide),
    Case("_core.dropout_backward", (normal(7, 33),), {"p": 0.3}, dropout_backward, dropout_twin,
         grad=()),
    Case("_core.copy", (normal(7, 33),), {}, copy, lambda x: twins["copy"](x.T), grad=()),
    Case("_core.move", (normal(7, 33),), {}, lambda x: _core.move(x, x._device_code), twins["move"],
         grad=()),
    Case("_core.fill", (normal(7, 33),), {}, lambda x: dlx.full_like(x, 2.5),
         lambda x: twins["fill"](x, 2.5), grad=()),
]  # fmt: skip
