"""Losses as layers. input and target: Tensors of one floating dtype, but for class labels."""

from __future__ import annotations

from numbers import Real

from dlx.nn import functional as F
from dlx.nn.module import Module

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "SmoothL1Loss",
]


def _reduction(layer, value, *others):
    known = ("none", "mean", "sum", *others)
    if value not in known:
        named = f"{', '.join(map(repr, known[:-1]))} or {known[-1]!r}"
        raise ValueError(f"{layer}: reduction must be {named}, got {value!r}")
    return value


# -------------------------------------------------------------------------------- classes


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


class NLLLoss(Module):
    """-input[target], from log probabilities, as LogSoftmax gives them.

    input, target, weight, ignore_index: as CrossEntropyLoss, which takes logits.
    """

    def __init__(self, weight=None, ignore_index=-100, reduction="mean"):
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = _reduction("NLLLoss", reduction)

    def forward(self, input, target):
        """input: (N, C, ...), target: (N, ...) -> () or, with reduction "none", target's shape."""
        return F.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class BCEWithLogitsLoss(Module):
    """-(t log p + (1 - t) log(1 - p)) with p = sigmoid(input), from logits, without overflow.

    weight: of each element, pos_weight: of its part with t; both broadcast to input, or None.
    """

    def __init__(self, weight=None, reduction="mean", pos_weight=None):
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)
        self.reduction = _reduction("BCEWithLogitsLoss", reduction)

    def forward(self, input, target):
        """input, target: any one shape -> () or, with reduction "none", that shape."""
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, self.reduction, self.pos_weight
        )


class BCELoss(Module):
    """-(t log x + (1 - t) log(1 - x)), x being probabilities, the logarithms at least -100.

    After a Sigmoid; without one, BCEWithLogitsLoss is the same and loses no digits.
    """

    def __init__(self, weight=None, reduction="mean"):
        self.register_buffer("weight", weight)
        self.reduction = _reduction("BCELoss", reduction)

    def forward(self, input, target):
        """input, target: any one shape -> () or, with reduction "none", that shape."""
        return F.binary_cross_entropy(input, target, self.weight, self.reduction)


# -------------------------------------------------------------------------------- distances


class MSELoss(Module):
    """(input - target)², reduced. Unequal shapes raise ValueError: nothing is broadcast."""

    def __init__(self, reduction="mean"):
        self.reduction = _reduction("MSELoss", reduction)

    def forward(self, input, target):
        """input, target: any one shape -> () or, with reduction "none", that shape."""
        return F.mse_loss(input, target, self.reduction)


class L1Loss(Module):
    """|input - target|, reduced. Unequal shapes raise ValueError: nothing is broadcast."""

    def __init__(self, reduction="mean"):
        self.reduction = _reduction("L1Loss", reduction)

    def forward(self, input, target):
        """input, target: any one shape -> () or, with reduction "none", that shape."""
        return F.l1_loss(input, target, self.reduction)


class SmoothL1Loss(Module):
    """d² / (2 beta) where d = |input - target| is below beta, d - beta / 2 elsewhere."""

    def __init__(self, reduction="mean", beta=1.0):
        self.reduction = _reduction("SmoothL1Loss", reduction)
        self.beta = beta

    def forward(self, input, target):
        """input, target: any one shape -> () or, with reduction "none", that shape."""
        return F.smooth_l1_loss(input, target, self.reduction, self.beta)


class HuberLoss(Module):
    """d² / 2 where d = |input - target| is below delta, delta (d - delta / 2) elsewhere."""

    def __init__(self, reduction="mean", delta=1.0):
        self.reduction = _reduction("HuberLoss", reduction)
        self.delta = delta

    def forward(self, input, target):
        """input, target: any one shape -> () or, with reduction "none", that shape."""
        return F.huber_loss(input, target, self.reduction, self.delta)


class KLDivLoss(Module):
    """t (log t - input), t being probabilities, or exp(target) with log_target.

    reduction: "batchmean", the sum divided by N, is the divergence of exp(input) from t.
    """

    def __init__(self, reduction="mean", log_target=False):
        self.reduction = _reduction("KLDivLoss", reduction, "batchmean")
        self.log_target = log_target

    def forward(self, input, target):
        """input, target: any one shape -> () or, with reduction "none", that shape."""
        return F.kl_div(input, target, self.reduction, self.log_target)
