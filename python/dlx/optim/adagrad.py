"""Adagrad and Adadelta."""

from __future__ import annotations

from dlx.optim.optimizer import Optimizer

__all__ = ["Adadelta", "Adagrad"]


class Adagrad(Optimizer):
    """p ← p - lr / (1 + (t - 1) lr_decay) · g / (sqrt(s) + eps), from the gradient g of each
    parameter p at its step t:

        g ← g + weight_decay · p
        s ← s + g²                (s = initial_accumulator_value before the first step)

    maximize: climb, with -g in place of g. PyTorch's formulas and argument order (Duchi et al.
    2011). Raises ValueError on a negative lr, lr_decay, weight_decay, initial_accumulator_value or
    eps.
    """

    _kind = 4

    def __init__(
        self,
        params,
        lr=1e-2,
        lr_decay=0,
        weight_decay=0,
        initial_accumulator_value=0,
        eps=1e-10,
        *,
        maximize=False,
    ):
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "maximize": maximize,
            },
        )

    def _check(self, group):
        names = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")
        self._check_not_negative(group, *names)

    def _hyper(self, group):
        return self._floats(group, "maximize", "lr_decay", "eps")

    def _state_names(self, group):
        return ("sum",)

    def _initial(self, group):
        return float(group["initial_accumulator_value"])


class Adadelta(Optimizer):
    """p ← p - lr · d, from the gradient g of each parameter p:

        g ← g + weight_decay · p
        v ← rho v + (1 - rho) g²
        d = sqrt(u + eps) / sqrt(v + eps) · g
        u ← rho u + (1 - rho) d²

    maximize: climb, with -g in place of g. PyTorch's formulas and argument order (Zeiler 2012).
    Raises ValueError on a negative lr, eps or weight_decay and on a rho outside [0, 1].
    """

    _kind = 5

    def __init__(self, params, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0, *, maximize=False):
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def _check(self, group):
        self._check_not_negative(group, "lr", "eps", "weight_decay")
        self._check_fraction(group, "rho")

    def _hyper(self, group):
        return self._floats(group, "maximize", "rho", "eps")

    def _state_names(self, group):
        return ("square_avg", "acc_delta")
