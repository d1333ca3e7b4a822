"""What `fit` calls at the beginning and end of training, of epochs and of batches."""

from __future__ import annotations

from dlx.train.callbacks.base import Callback
from dlx.train.callbacks.checkpoint import ModelCheckpoint
from dlx.train.callbacks.csv_logger import CSVLogger
from dlx.train.callbacks.early_stopping import EarlyStopping

__all__ = ["CSVLogger", "Callback", "EarlyStopping", "ModelCheckpoint"]
