"""The zoo: networks of the literature, built of dlx.nn layers.

Each function returns a fresh model with weights drawn from the generator of `dlx.seed`. Models of
plain layers are a Sequential of named ones, which `dlx.save` and `dlx.load` store whole; the others
keep their weights by `model.save(path)` and `model.load_state(path)`.
"""

from __future__ import annotations

from dlx.models.autoencoder import conv_autoencoder
from dlx.models.gan import dcgan
from dlx.models.lenet import course_cnn, lenet5
from dlx.models.residual import BasicBlock, ResNet, resnet

__all__ = [
    "BasicBlock",
    "ResNet",
    "conv_autoencoder",
    "course_cnn",
    "dcgan",
    "lenet5",
    "resnet",
]
