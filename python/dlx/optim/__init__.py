"""Optimizers, with PyTorch's names, arguments and state_dict layout, and learning rates."""

from __future__ import annotations

from dlx.optim.adagrad import Adadelta, Adagrad
from dlx.optim.adam import Adam, AdamW
from dlx.optim.optimizer import Optimizer
from dlx.optim.rmsprop import RMSprop
from dlx.optim.sgd import SGD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx.optim import schedules

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "schedules"]


def __getattr__(name):
    if name == "schedules":  # at first use: the dataclasses there take longer than all of dlx
        from importlib import import_module

        return import_module("dlx.optim.schedules")
    if name == "lr_scheduler":
        raise AttributeError(
            "module 'dlx.optim' has no attribute 'lr_scheduler': a learning rate that changes is "
            "the lr of its optimizer, as in optim.SGD(params, lr=optim.schedules.step(0.1, "
            "every=1000, factor=0.5)); assign opt.lr between steps for one of your own"
        )
    raise AttributeError(f"module 'dlx.optim' has no attribute {name!r}")
