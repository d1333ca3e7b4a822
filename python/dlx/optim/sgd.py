"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from dlx.optim.optimizer import Optimizer

__all__ = ["SGD"]


class SGD(Optimizer):
    """p ← p - lr · d, from the gradient g of each parameter p:

        g ← g + weight_decay · p
        b ← momentum · b + (1 - dampening) · g      (b = g in the first step)
        d = b, or g + momentum · b with nesterov, or g without momentum

    maximize: climb, with -g in place of g. PyTorch's formulas and argument order (Sutskever et al.
    2013). Raises ValueError on a negative lr, momentum or weight_decay, and on nesterov without
    momentum or with dampening.
    """

    _kind = 0

    def __init__(
        self,
        params,
        lr=1e-3,
        momentum=0,
        dampening=0,
        weight_decay=0,
        nesterov=False,
        *,
        maximize=False,
    ):
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def _check(self, group):
        self._check_not_negative(group, "lr", "momentum", "weight_decay")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                f"SGD: nesterov needs momentum above 0 and dampening 0, "
                f"got momentum={group['momentum']}, dampening={group['dampening']}"
            )

    def _hyper(self, group):
        return self._floats(group, "maximize", "momentum", "dampening", "nesterov")

    def _state_names(self, group):
        return ("momentum_buffer",) if group["momentum"] else ()
