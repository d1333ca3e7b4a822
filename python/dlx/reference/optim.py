"""One step of an optimizer on one array, after PyTorch: returns the new values, changes nothing."""

from __future__ import annotations

import numpy as np

__all__ = ["adadelta", "adagrad", "adam", "adamw", "optimizer_step", "rmsprop", "sgd"]


def sgd(p, g, buf, *, lr, step, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    """Returns (p, buf). step counts from 1; the first step starts the buffer at g."""
    g = g + weight_decay * p
    if momentum:
        buf = g.copy() if step == 1 else momentum * buf + (1 - dampening) * g
        g = g + momentum * buf if nesterov else buf
    return p - lr * g, buf


def adam(p, g, m, v, v_max=0, *, lr, step, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0,
         amsgrad=False):  # fmt: skip
    """Kingma and Ba 2015, weight decay added to the gradient. Returns (p, m, v, v_max)."""
    g = g + weight_decay * p
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * g * g
    v_max = np.maximum(v_max, v) if amsgrad else v
    m_hat, v_hat = m / (1 - betas[0] ** step), v_max / (1 - betas[1] ** step)
    return p - lr * m_hat / (np.sqrt(v_hat) + eps), m, v, v_max


def adamw(p, g, *state, lr, step, weight_decay=1e-2, **options):
    """Loshchilov and Hutter 2019: weight decay beside the gradient. Returns adam's."""
    return adam(p - lr * weight_decay * p, g, *state, lr=lr, step=step, **options)


def rmsprop(p, g, v, b=0, m=0, *, lr, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0,
            centered=False):  # fmt: skip
    """Hinton 2012; centered after Graves 2013. Returns (p, v, b, m)."""
    g = g + weight_decay * p
    v = alpha * v + (1 - alpha) * g * g
    m = alpha * m + (1 - alpha) * g if centered else 0 * g
    b = momentum * b + g / (np.sqrt(v - m * m) + eps)
    return p - lr * b, v, b, m


def adagrad(p, g, s, *, lr, step, lr_decay=0.0, eps=1e-10, weight_decay=0.0):
    """Duchi et al. 2011. Returns (p, s)."""
    g = g + weight_decay * p
    s = s + g * g
    return p - lr / (1 + (step - 1) * lr_decay) * g / (np.sqrt(s) + eps), s


def adadelta(p, g, v, u, *, lr, rho=0.9, eps=1e-6, weight_decay=0.0):
    """Zeiler 2012: u is the mean of the squares of the steps. Returns (p, v, u)."""
    g = g + weight_decay * p
    v = rho * v + (1 - rho) * g * g
    d = np.sqrt(u + eps) / np.sqrt(v + eps) * g
    return p - lr * d, v, rho * u + (1 - rho) * d * d


def optimizer_step(kind, p, g, states, *, step, grad_scale=1.0, skip=False, maximize=False,
                   **options):  # fmt: skip
    """One step of the optimizer named `kind`, after `step` steps. Returns (p, *states)."""
    if skip:
        return p, *states
    g = -grad_scale * g if maximize else grad_scale * g
    counts = {} if kind in ("rmsprop", "adadelta") else {"step": step + 1}
    update = {"sgd": sgd, "adam": adam, "adamw": adamw, "rmsprop": rmsprop, "adagrad": adagrad,
              "adadelta": adadelta}[kind]  # fmt: skip
    return update(p, g, *states, **counts, **options)
