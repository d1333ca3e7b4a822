"""Learning rates that change: functions of the number of steps done, for the `lr` of an optimizer.

    model.compile(optimizer="adam", lr=schedules.linear(2e-3, steps=3 * 938), ...)
    optim.SGD(model.parameters(), lr=schedules.cosine(0.1, steps=10_000, warmup=500))

Each is a small object: `rate(step)` is the learning rate after `step` steps, the first step taking
rate(0). All keep no state, so that a training resumed at step k goes on with rate(k); they can be
compared, printed, pickled and copied. Every one takes `warmup`: before step `warmup` the rate is
multiplied by (step + 1) / warmup (Goyal et al. 2017). Arguments are checked when it is made:
TypeError for what is no number, ValueError for one out of range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from numbers import Integral, Real

__all__ = ["constant", "cosine", "exponential", "inverse_time", "linear", "step"]


@dataclass(frozen=True)
class _Schedule:
    """lr: the first rate, that all start from."""

    lr: float
    warmup: int = field(default=0, kw_only=True)

    def __post_init__(self):
        name = type(self).__name__
        for argument in fields(self):
            key, value = argument.name, getattr(self, argument.name)
            least = {"every": 1, "steps": 1}.get(key, 0)
            whole = key in ("every", "steps", "warmup")
            if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
                kind = "an integer" if whole else "a number"
                raise TypeError(f"{name}: {key} must be {kind}, got {value!r}")
            if not least <= value < math.inf:
                raise ValueError(f"{name}: {key} must be finite and at least {least}, got {value}")

    def __call__(self, step: int) -> float:
        rate = self._rate(step)
        return rate * (step + 1) / self.warmup if step < self.warmup else rate

    def _rate(self, step):
        return self.lr


@dataclass(frozen=True)
class constant(_Schedule):
    """lr"""


@dataclass(frozen=True)
class step(_Schedule):
    """lr · factor^floor(step / every): a drop by `factor` every `every` steps. PyTorch's StepLR."""

    factor: float = 0.1
    every: int = field(kw_only=True)

    def _rate(self, step):
        return self.lr * self.factor ** (step // self.every)


@dataclass(frozen=True)
class exponential(_Schedule):
    """lr · factor^(step / every): smoothly by `factor` in every `every` steps. PyTorch's
    ExponentialLR when every = 1."""

    factor: float
    every: int = field(default=1, kw_only=True)

    def _rate(self, step):
        return self.lr * self.factor ** (step / self.every)


@dataclass(frozen=True)
class cosine(_Schedule):
    """final + (lr - final) · (1 + cos(π step / steps)) / 2, and `final` from step `steps` on.
    Loshchilov and Hutter 2017; PyTorch's CosineAnnealingLR up to there."""

    final: float = 0.0
    steps: int = field(kw_only=True)

    def _rate(self, step):
        if step >= self.steps:
            return self.final
        return self.final + (self.lr - self.final) * (1 + math.cos(math.pi * step / self.steps)) / 2


@dataclass(frozen=True)
class linear(_Schedule):
    """lr + (final - lr) · step / steps, and `final` from step `steps` on. PyTorch's LinearLR with
    the factors 1 and final / lr."""

    final: float = 0.0
    steps: int = field(kw_only=True)

    def _rate(self, step):
        if step >= self.steps:
            return self.final
        return self.lr + (self.final - self.lr) * step / self.steps


@dataclass(frozen=True)
class inverse_time(_Schedule):
    """lr / (1 + decay · epoch), epoch = floor(step / every): `every` is the number of steps of an
    epoch, and `decay` is t in 1 / (1 + t · epoch). After Robbins and Monro 1951."""

    decay: float
    every: int = field(default=1, kw_only=True)

    def _rate(self, step):
        return self.lr / (1 + self.decay * (step // self.every))
