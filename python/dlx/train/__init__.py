"""Training: compile, fit, evaluate, predict, summary, and what hangs on them.

Names load at first use: `dlx.nn` imports the base class of Module from here, and little else.
"""

from __future__ import annotations

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "ModelCheckpoint",
    "Trainable",
    "callbacks",
]

TYPE_CHECKING = False
if TYPE_CHECKING:  # what type checkers see of the names below
    from dlx.train.callbacks import Callback, CSVLogger, EarlyStopping, ModelCheckpoint
    from dlx.train.history import History
    from dlx.train.metrics import Accuracy, BinaryAccuracy
    from dlx.train.model import Trainable

_HOMES = {
    "Accuracy": "metrics",
    "BinaryAccuracy": "metrics",
    "CSVLogger": "callbacks.csv_logger",
    "Callback": "callbacks.base",
    "EarlyStopping": "callbacks.early_stopping",
    "History": "history",
    "ModelCheckpoint": "callbacks.checkpoint",
    "Trainable": "model",
}


def __getattr__(name):
    if name not in __all__:
        raise AttributeError(f"module 'dlx.train' has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"dlx.train.{_HOMES.get(name, name)}")
    return getattr(module, name) if name in _HOMES else module


def __dir__():
    return sorted(set(globals()) | set(__all__))
