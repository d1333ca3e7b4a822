"""Rows: one step of an optimizer over all parameters, beside PyTorch's fused ones."""

from __future__ import annotations

from functools import partial

import numpy as np

import dlx
from dlx._bench.measure import DLX, EAGER, Pass, Row, Subject

SIZES = (10_000, 1_000_000, 25_000_000)
TENSORS = 10  # that share the elements
# name: (keyword arguments, arrays of each element's that a step reads, and writes)
KINDS = {"SGD": ({"lr": 1e-3}, 2, 1), "Adam": ({"lr": 1e-3}, 4, 3)}


def rows():
    return [_row(kind, size) for kind in KINDS for size in SIZES]


def drawn(rng, count):
    """Of up to 10 million parameters."""
    return [
        _row(str(rng.choice(list(KINDS))), TENSORS * int(10 ** rng.uniform(1, 6)))
        for _ in range(count)
    ]


def _row(kind, size):
    return Row(f"{kind}, {size:,} parameters", partial(step, kind=kind, size=size))


def step(torch, kind, size):
    options, reads, writes = KINDS[kind]
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(2, size // TENSORS)).astype(np.float32) for _ in range(TENSORS)]
    ours = [dlx.nn.Parameter(dlx.tensor(w)) for w, _ in arrays]
    for p, (_, dw) in zip(ours, arrays):
        p.grad = dlx.tensor(dw)
    calls = {DLX: _stepper(getattr(dlx.optim, kind)(ours, **options), ours)}
    if torch is not None:
        theirs = [torch.nn.Parameter(torch.tensor(w)) for w, _ in arrays]
        for p, (_, dw) in zip(theirs, arrays):
            p.grad = torch.tensor(dw)
        optimizer = getattr(torch.optim, kind)(theirs, fused=True, **options)
        calls[EAGER] = _stepper(optimizer, theirs)
    return Subject(calls, passes=(Pass(4.0 * reads * size, 4.0 * writes * size),))


def _stepper(optimizer, parameters):
    def run():
        optimizer.step()
        return parameters[0]

    return run
