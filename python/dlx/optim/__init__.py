"""Optimizers, with PyTorch's names, arguments and state_dict layout."""

from __future__ import annotations

from dlx.optim.adam import Adam, AdamW
from dlx.optim.optimizer import Optimizer
from dlx.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]
