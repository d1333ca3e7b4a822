"""Layers, losses and initialisers, with PyTorch's names, arguments and state_dict keys."""

from __future__ import annotations

from dlx.nn import functional, init
from dlx.nn.activations import LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from dlx.nn.containers import ModuleList, Sequential
from dlx.nn.dropout import Dropout
from dlx.nn.linear import LazyLinear, Linear
from dlx.nn.losses import CrossEntropyLoss, MSELoss
from dlx.nn.module import Module
from dlx.nn.parameter import Parameter
from dlx.nn.shape import Flatten, Identity

__all__ = [
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Identity",
    "LazyLinear",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "functional",
    "init",
]
