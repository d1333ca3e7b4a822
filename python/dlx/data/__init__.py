"""Data sets, one that ships with dlx and those it finds or downloads, and the loader."""

from __future__ import annotations

from dlx.data.dataset import digits
from dlx.data.images import CIFAR10_CLASSES, FASHION_CLASSES, cifar10, fashion_mnist, mnist
from dlx.data.loader import batches

__all__ = [
    "CIFAR10_CLASSES",
    "FASHION_CLASSES",
    "batches",
    "cifar10",
    "digits",
    "fashion_mnist",
    "mnist",
]


def __getattr__(name):
    hint = "; it is dlx.data.batches(x, y)" if name in ("DataLoader", "TensorDataset") else ""
    raise AttributeError(f"module 'dlx.data' has no attribute {name!r}{hint}")
