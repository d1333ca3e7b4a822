"""One step of an optimizer on one array, after PyTorch: returns the new values, changes nothing."""

from __future__ import annotations

import numpy as np

__all__ = ["adam", "adamw", "optimizer_step", "sgd"]


def sgd(p, g, buf, *, lr, step, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    """Returns (p, buf). step counts from 1; the first step starts the buffer at g."""
    g = g + weight_decay * p
    if momentum:
        buf = g.copy() if step == 1 else momentum * buf + (1 - dampening) * g
        g = g + momentum * buf if nesterov else buf
    return p - lr * g, buf


def adam(p, g, m, v, *, lr, step, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    """Kingma and Ba 2015, weight decay added to the gradient. Returns (p, m, v)."""
    g = g + weight_decay * p
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * g * g
    m_hat, v_hat = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
    return p - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


def adamw(p, g, m, v, *, lr, step, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    """Loshchilov and Hutter 2019: weight decay beside the gradient. Returns (p, m, v)."""
    return adam(p - lr * weight_decay * p, g, m, v, lr=lr, step=step, betas=betas, eps=eps)


def optimizer_step(
    kind, p, g, states, *, lr, weight_decay, step, grad_scale=1.0, skip=False, hyper=()
):
    """Any of them, after `step` steps. hyper: (momentum, dampening, nesterov, maximize) of SGD,
    (beta1, beta2, eps, maximize) of the others. Returns (p, *states)."""
    if skip:
        return p, *states
    g = -grad_scale * g if hyper[3] else grad_scale * g
    common = {"lr": lr, "weight_decay": weight_decay, "step": step + 1}
    if kind == "sgd":
        p, buf = sgd(p, g, *(states or [None]), nesterov=hyper[2], momentum=hyper[0],
                     dampening=hyper[1], **common)  # fmt: skip
        return (p, buf) if states else (p,)
    update = {"adam": adam, "adamw": adamw}[kind]
    return update(p, g, *states, betas=hyper[:2], eps=hyper[2], **common)
