"""Optimizer steps: three of them on one array, from the same gradient scaled 1, -2, 3."""

from __future__ import annotations

import numpy as np

import dlx
from cases._case import Case, normal
from dlx.reference import twins

SCALES = (1.0, -2.0, 3.0)


def stepped(name, twin, states):
    def call(p, g, **options):
        parameter = dlx.tensor(p, requires_grad=True)
        optimizer = getattr(dlx.optim, name)([parameter], **options)
        for scale in SCALES:
            parameter.grad = dlx.multiply(g, scale)
            optimizer.step()
        return parameter.detach()

    def reference(p, g, **options):
        momentum = (
            options.get("momentum", 0),
            options.get("dampening", 0),
            options.get("nesterov", 0),
            0,
        )
        means = (*options.get("betas", (0.9, 0.999)), options.get("eps", 1e-8), 0)
        decay = options.get("weight_decay", 0.01 if twin == "adamw" else 0)
        hyper = momentum if twin == "sgd" else means
        state = [np.zeros_like(p)] * states
        for step, scale in enumerate(SCALES):
            p, *state = twins["optimizer_step"](
                twin,
                p,
                scale * g,
                state,
                lr=options["lr"],
                weight_decay=decay,
                step=step,
                hyper=hyper,
            )
        return p

    return {"call": call, "twin": reference, "grad": ()}


def terms(p, g, lr, **options):
    return np.abs(p) + 50 * lr * (1 + np.abs(g))


SHAPES = [(1,), (7,), (33,), (), (0,), (2, 3, 1, 4, 2), (13, 331)]
SGD = [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
       {"momentum": 0.5, "dampening": 0.3}]  # fmt: skip
CASES = [
    *[
        Case(f"optim.{name}", (normal(*shape), normal(*shape)), {"lr": 0.05} | options, terms=terms,
             **stepped(name, twin, states))
        for name, twin, states, variants in [
            ("SGD", "sgd", 1, SGD),
            ("Adam", "adam", 2, [{}, {"weight_decay": 0.1, "betas": (0.8, 0.9)}]),
            ("AdamW", "adamw", 2, [{}, {"weight_decay": 0.3, "eps": 1e-3}]),
        ]
        for shape in SHAPES
        for options in variants
    ],
    # Three steps on 6 elements: SGD's 3 flops on 3 floats (p, g read, p written), Adam's 15 on 7.
    *[
        Case(f"optim.{name}", (normal(2, 3), normal(2, 3)), {"lr": 0.05}, terms=terms, flops=flops,
             bytes=moved, counts="optimizer_step", name="cost", **stepped(name, twin, states))
        for name, twin, states, flops, moved in [
            ("SGD", "sgd", 1, 54, 216),
            ("Adam", "adam", 2, 270, 504),
            ("AdamW", "adamw", 2, 270, 504),
        ]
    ],
]  # fmt: skip
