"""Initialisers: each overwrites a tensor with draws from the generator of `dlx.seed`.

Names, arguments and formulas are those of torch.nn.init. No graph is recorded.
"""

from __future__ import annotations

import math

from dlx import no_grad, random

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = ["calculate_gain", "kaiming_uniform_", "uniform_"]

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity, param=None) -> float:
    """The factor by which weights grow to keep the variance through a nonlinearity.

    param: the negative slope of "leaky_relu", 0.01 if not given. Raises ValueError on a name that
    has no recommended gain.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        known = ", ".join(sorted([*_GAINS, "leaky_relu"]))
        raise ValueError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}; known: {known}")
    return _GAINS[nonlinearity]


def _fan(tensor, mode):
    """Inputs (or outputs) of one unit. tensor: (K, C, ...), so C or K times the kernel's size."""
    if tensor.ndim < 2:
        raise ValueError(
            f"kaiming_uniform_: the tensor needs at least 2 dimensions to have a fan, "
            f"tensor={tuple(tensor.shape)}"
        )
    axes = {"fan_in": 1, "fan_out": 0}
    if mode not in axes:
        raise ValueError(f"kaiming_uniform_: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return tensor.shape[axes[mode]] * math.prod(tensor.shape[2:])


def uniform_(tensor, a=0.0, b=1.0) -> Tensor:
    """Fill tensor, in place, with draws from U(a, b); returns it."""
    with no_grad():
        tensor[...] = random.uniform(tensor.shape, a, b, dtype=tensor.dtype, device=tensor.device)
    return tensor


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu") -> Tensor:
    """Fill tensor, in place, with draws from U(-k, k), k = gain · sqrt(3 / fan); returns it.

    tensor: at least 2-d, (outputs, inputs, ...). a: the negative slope of "leaky_relu".
    mode "fan_in" keeps the variance forward, "fan_out" backward. (He et al. 2015)
    """
    fan = _fan(tensor, mode)
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3 / fan) if fan else 0.0
    return uniform_(tensor, -bound, bound)
