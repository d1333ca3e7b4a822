"""Optimizers, with PyTorch's names, arguments and state_dict layout, and learning rates."""

from __future__ import annotations

from dlx.optim import schedules
from dlx.optim.adagrad import Adadelta, Adagrad
from dlx.optim.adam import Adam, AdamW
from dlx.optim.optimizer import Optimizer
from dlx.optim.rmsprop import RMSprop
from dlx.optim.sgd import SGD

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "schedules"]
