"""RMSprop."""

from __future__ import annotations

from dlx.optim.optimizer import Optimizer

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """p ← p - lr · g / (sqrt(v) + eps), from the gradient g of each parameter p:

        g ← g + weight_decay · p
        v ← alpha v + (1 - alpha) g²
        m ← alpha m + (1 - alpha) g,  sqrt(v - m²) in place of sqrt(v)     (centered)
        b ← momentum · b + g / (sqrt(v) + eps),  p ← p - lr · b            (momentum > 0)

    maximize: climb, with -g in place of g. PyTorch's formulas and argument order (Hinton's lecture
    6e, 2012; centered: Graves 2013). Raises ValueError on a negative lr, eps, weight_decay or
    momentum and on an alpha outside [0, 1].
    """

    _kind = 3

    def __init__(
        self,
        params,
        lr=1e-2,
        alpha=0.99,
        eps=1e-8,
        weight_decay=0,
        momentum=0,
        centered=False,
        *,
        maximize=False,
    ):
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def _check(self, group):
        self._check_not_negative(group, "lr", "eps", "weight_decay", "momentum")
        self._check_fraction(group, "alpha")

    def _hyper(self, group):
        return self._floats(group, "maximize", "alpha", "eps", "momentum", "centered")

    def _state_names(self, group):
        buffer = ("momentum_buffer",) if group["momentum"] else ()
        mean = ("grad_avg",) if group["centered"] else ()
        return ("square_avg", *buffer, *mean)
