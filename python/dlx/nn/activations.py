"""Activations as layers. Only PReLU has a parameter.

inplace: taken for PyTorch's sake. It changes nothing: a Tensor's value never changes under another
name, and the allocator reuses the memory anyway.
"""

from __future__ import annotations

import dlx
from dlx.nn import functional as F
from dlx.nn.module import Module
from dlx.nn.parameter import Parameter

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softsign",
    "Tanh",
]


class _InPlace(Module):
    """An activation whose only argument is inplace."""

    def __init__(self, inplace=False):
        self.inplace = inplace

    def extra_repr(self):
        """The argument, if it is not the default."""
        return "inplace=True" if self.inplace else ""


def _inplace(module):
    return ", inplace=True" if module.inplace else ""


class ReLU(_InPlace):
    """y = max(x, 0), x of any shape."""

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.relu(x)


class ReLU6(_InPlace):
    """y = min(max(x, 0), 6), x of any shape."""

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.relu6(x)


class LeakyReLU(Module):
    """y = x above 0, negative_slope x elsewhere."""

    def __init__(self, negative_slope=0.01, inplace=False):
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self):
        """The arguments that made the layer."""
        return f"negative_slope={self.negative_slope}{_inplace(self)}"


class PReLU(Module):
    """y = x above 0, weight x elsewhere: a LeakyReLU that learns its slope (He et al. 2015).

    weight: (num_parameters,), of the value init at first: one for all, or one per channel of
    x: (N, C, ...).
    """

    def __init__(self, num_parameters=1, init=0.25, device=None, dtype=None):
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(dlx.full((num_parameters,), init, dtype=dtype, device=device))

    def reset_parameters(self):
        """Set the slopes to init."""
        with dlx.no_grad():
            self.weight[:] = self.init

    def forward(self, x):
        """x: (N, C, ...), or any shape with one parameter -> same shape and dtype."""
        return F.prelu(x, self.weight)

    def _config(self):
        return {
            "num_parameters": self.num_parameters,
            "init": self.init,
            "dtype": str(self.weight.dtype),
        }

    def extra_repr(self):
        """The number of slopes."""
        return f"num_parameters={self.num_parameters}"


class Hardtanh(Module):
    """y = x limited to [min_val, max_val]."""

    def __init__(self, min_val=-1.0, max_val=1.0, inplace=False):
        if not min_val < max_val:
            raise ValueError(f"Hardtanh: expected min_val < max_val, got {min_val} and {max_val}")
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.hardtanh(x, self.min_val, self.max_val)

    def extra_repr(self):
        """The arguments that made the layer."""
        return f"min_val={self.min_val}, max_val={self.max_val}{_inplace(self)}"


class Hardsigmoid(_InPlace):
    """y = relu6(x + 3) / 6, a sigmoid of straight lines."""

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.hardsigmoid(x)


class Hardswish(_InPlace):
    """y = x relu6(x + 3) / 6 (Howard et al. 2019)."""

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.hardswish(x)


class ELU(Module):
    """y = x above 0, alpha (exp(x) - 1) elsewhere (Clevert et al. 2016)."""

    def __init__(self, alpha=1.0, inplace=False):
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.elu(x, self.alpha)

    def extra_repr(self):
        """The arguments that made the layer."""
        return f"alpha={self.alpha}{_inplace(self)}"


class SELU(_InPlace):
    """y = 1.0507 ELU(x, 1.6733): keeps mean 0 and variance 1 (Klambauer et al. 2017)."""

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.selu(x)


class GELU(Module):
    """y = x P(X < x) of a standard normal X (Hendrycks and Gimpel 2016).

    approximate: "none" computes it with erf, "tanh" by the paper's approximation.
    """

    def __init__(self, approximate="none"):
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: expected approximate 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.gelu(x, self.approximate)

    def extra_repr(self):
        """The form computed."""
        return f"approximate={self.approximate!r}"


class SiLU(_InPlace):
    """y = x sigmoid(x), also called swish."""

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.silu(x)


class Mish(_InPlace):
    """y = x tanh(softplus(x)) (Misra 2020)."""

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.mish(x)


class Softplus(Module):
    """y = log(1 + exp(beta x)) / beta; x itself where beta x > threshold."""

    def __init__(self, beta=1.0, threshold=20.0):
        self.beta = beta
        self.threshold = threshold

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.softplus(x, self.beta, self.threshold)

    def extra_repr(self):
        """The arguments that made the layer."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Softsign(Module):
    """y = x / (1 + |x|)."""

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.softsign(x)


class Tanh(Module):
    """y = tanh(x), x of any shape."""

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.tanh(x)


class Sigmoid(Module):
    """y = 1 / (1 + exp(-x)), x of any shape."""

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.sigmoid(x)


class LogSigmoid(Module):
    """y = log(1 / (1 + exp(-x))), without overflow."""

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.logsigmoid(x)


class _Along(Module):
    """An activation along the dimension dim."""

    def __init__(self, dim):
        self.dim = dim

    def extra_repr(self):
        """The dimension of which the values belong together."""
        return f"dim={self.dim}"


class Softmax(_Along):
    """y = exp(x) / sum(exp(x)) along dim: y ≥ 0 and sums to 1 there.

    `CrossEntropyLoss` takes logits and applies it itself: a model for that loss ends without one.
    """

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.softmax(x, self.dim)


class Softmin(_Along):
    """y = softmax(-x) along dim."""

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.softmin(x, self.dim)


class LogSoftmax(_Along):
    """y = x - log(sum(exp(x))) along dim, without overflow."""

    def forward(self, x):
        """x: any shape, float -> same shape and dtype."""
        return F.log_softmax(x, self.dim)
