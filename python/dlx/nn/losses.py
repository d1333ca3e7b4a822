"""Losses as layers: CrossEntropyLoss, MSELoss."""

from __future__ import annotations

from numbers import Real

from dlx.nn import functional as F
from dlx.nn.module import Module

__all__ = ["CrossEntropyLoss", "MSELoss"]


def _reduction(layer, value):
    if value not in ("none", "mean", "sum"):
        raise ValueError(f"{layer}: reduction must be 'none', 'mean' or 'sum', got {value!r}")
    return value


class CrossEntropyLoss(Module):
    """-log softmax(input)[target], from logits.

    input: (N, C, ...) or (C,); target: int64 classes (N, ...) or (), each in 0…C-1 or ignore_index.
    weight: (C,) or None, the weight of each class; "mean" divides by the sum of the weights used.
    label_smoothing: ε in [0, 1]; the target becomes (1 - ε) onehot + ε / C.
    """

    def __init__(self, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        if not isinstance(label_smoothing, Real) or not 0 <= label_smoothing <= 1:
            raise ValueError(
                f"CrossEntropyLoss: label_smoothing must be between 0 and 1, got {label_smoothing}"
            )
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = _reduction("CrossEntropyLoss", reduction)
        self.label_smoothing = label_smoothing

    def forward(self, input, target):
        """input: (N, C, ...), target: (N, ...) -> () or, with reduction "none", target's shape."""
        return F.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class MSELoss(Module):
    """(input - target)², reduced. Unequal shapes raise ValueError: nothing is broadcast."""

    def __init__(self, reduction="mean"):
        self.reduction = _reduction("MSELoss", reduction)

    def forward(self, input, target):
        """input, target: any one shape -> () or, with reduction "none", that shape."""
        return F.mse_loss(input, target, self.reduction)
