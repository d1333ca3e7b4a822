"""Adam and AdamW."""

from __future__ import annotations

from numbers import Real

from dlx.optim.optimizer import Optimizer

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """p ← p - lr · m̂ / (sqrt(v̂) + eps), from the gradient g of each parameter p at its step t:

        g ← g + weight_decay · p
        m ← β1 m + (1 - β1) g,   m̂ = m / (1 - β1ᵗ)
        v ← β2 v + (1 - β2) g²,  v̂ = v / (1 - β2ᵗ)

    amsgrad: the greatest v so far takes v's place in v̂ (Reddi et al. 2018). maximize: climb, with
    -g in place of g. PyTorch's arguments (Kingma and Ba 2015). Raises ValueError on a negative lr,
    eps or weight_decay and on a beta outside [0, 1).
    """

    _kind = 1
    _fixed = (("decoupled_weight_decay", False),)

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        amsgrad=False,
        *,
        maximize=False,
    ):
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
            },
        )

    def _check(self, group):
        self._check_not_negative(group, "lr", "eps", "weight_decay")
        betas = group["betas"]
        pair = isinstance(betas, (tuple, list)) and len(betas) == 2
        if not pair or not all(isinstance(beta, Real) and 0 <= beta < 1 for beta in betas):
            raise ValueError(
                f"{type(self).__name__}: betas must be two numbers in [0, 1), got {betas}"
            )

    def _hyper(self, group):
        beta1, beta2 = group["betas"]
        eps, amsgrad = float(group["eps"]), float(group["amsgrad"])
        return (float(group["maximize"]), float(beta1), float(beta2), eps, amsgrad)

    def _state_names(self, group):
        most = ("max_exp_avg_sq",) if group["amsgrad"] else ()
        return ("exp_avg", "exp_avg_sq", *most)


class AdamW(Adam):
    """Adam with the weight decay beside the gradient: p ← p - lr · weight_decay · p in each step.

    It leaves m and v alone, so the decay does not shrink with large gradients (Loshchilov and
    Hutter 2019). Everything else is Adam's.
    """

    _kind = 2
    _fixed = (("decoupled_weight_decay", True),)

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=1e-2,
        amsgrad=False,
        *,
        maximize=False,
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
