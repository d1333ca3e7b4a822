"""Optimizer steps: three of them on one array, from the same gradient scaled 1, -2, 3."""

from __future__ import annotations

import numpy as np

import dlx
from cases._case import Case, normal
from dlx.reference import twins

SCALES = (1.0, -2.0, 3.0)
STATES = {"SGD": 1, "Adam": 3, "AdamW": 3, "RMSprop": 3, "Adagrad": 1, "Adadelta": 2}


def stepped(name):
    def call(p, g, **options):
        parameter = dlx.tensor(p, requires_grad=True)
        optimizer = getattr(dlx.optim, name)([parameter], **options)
        for scale in SCALES:
            parameter.grad = dlx.multiply(g, scale)
            optimizer.step()
        return parameter.detach()

    def reference(p, g, initial_accumulator_value=0, **options):
        state = [np.full_like(p, initial_accumulator_value)] * STATES[name]
        for step, scale in enumerate(SCALES):
            p, *state = twins["optimizer_step"](
                name.lower(), p, scale * g, state, step=step, **options
            )
        return p

    return {"call": call, "twin": reference, "grad": ()}


# The path of p, and what each g turns into: at most a few tens of steps of size lr (1 + |g|).
def terms(p, g, lr, **options):
    return np.abs(p) + 50 * lr * (1 + np.abs(g))


SHAPES = [(1,), (7,), (33,), (), (0,), (2, 3, 1, 4, 2), (13, 331)]
VARIANTS = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
            {"momentum": 0.5, "dampening": 0.3}],
    "Adam": [{}, {"weight_decay": 0.1, "betas": (0.8, 0.9)}, {"amsgrad": True}],
    "AdamW": [{}, {"weight_decay": 0.3, "eps": 1e-3}, {"amsgrad": True, "betas": (0.3, 0.9)}],
    "RMSprop": [{}, {"momentum": 0.9, "weight_decay": 0.1}, {"centered": True, "alpha": 0.8},
                {"centered": True, "momentum": 0.5, "alpha": 0.4, "maximize": True}],
    "Adagrad": [{}, {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5}],
    "Adadelta": [{}, {"rho": 0.5, "weight_decay": 0.1, "eps": 1e-3}],
}  # fmt: skip
# Three steps on 6 elements: flops of one element, then its floats read and written: p, g and the
# states.
COSTS = [
    ("SGD", {}, 3, 3),
    ("Adam", {}, 15, 7),
    ("Adam", {"amsgrad": True}, 16, 9),
    ("AdamW", {}, 15, 7),
    ("RMSprop", {}, 10, 5),
    ("RMSprop", {"momentum": 0.9, "centered": True}, 17, 9),
    ("Adagrad", {}, 8, 5),
    ("Adadelta", {}, 17, 7),
]
CASES = [
    *[
        Case(f"optim.{name}", (normal(*shape), normal(*shape)), {"lr": 0.05} | options, terms=terms,
             **stepped(name))
        for name, variants in VARIANTS.items()
        for shape in SHAPES
        for options in variants
    ],
    *[
        Case(f"optim.{name}", (normal(2, 3), normal(2, 3)), {"lr": 0.05} | options, terms=terms,
             flops=3 * 6 * flops, bytes=3 * 6 * 4 * floats, counts="optimizer_step", name="cost",
             **stepped(name))
        for name, options, flops, floats in COSTS
    ],
]  # fmt: skip
