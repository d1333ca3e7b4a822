"""Initialisers: each overwrites a tensor with draws from the generator of `dlx.seed`.

Names, arguments and formulas are those of torch.nn.init; Keras's glorot is Xavier, its he Kaiming.
They work in place, record no graph, and return the tensor. A tensor of two dimensions or more is
(K, C, ...): K outputs, C inputs, and the kernel's size; fan_in = C · size, fan_out = K · size (the
weight of a transposed convolution is (C, K, ...), and PyTorch counts it the same way).
"""

from __future__ import annotations

import math

import dlx
from dlx import no_grad, random
from dlx.nn._draws import orthonormal, truncated_normal
from dlx.ops.creation import _number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
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
        slope = 0.01 if param is None else _number("calculate_gain", "param", param)
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        known = ", ".join(sorted([*_GAINS, "leaky_relu"]))
        raise ValueError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}; known: {known}")
    return _GAINS[nonlinearity]


# ---- what all of them check


def _tensor(op, tensor, ndims=None):
    """tensor, if it is one; ndims: the numbers of dimensions that it may have."""
    if not isinstance(tensor, dlx.Tensor):
        raise TypeError(f"{op}: expected a Tensor, got {type(tensor).__name__}")
    if ndims is not None and tensor.ndim not in ndims:
        dims = f"{ndims[0]} dimensions" if len(ndims) == 1 else f"{ndims[0]} to {ndims[-1]} of them"
        raise ValueError(f"{op}: the tensor needs {dims}, tensor={tensor.shape}")
    return tensor


def _floating(op, tensor):
    if not _tensor(op, tensor).dtype.is_floating:
        raise TypeError(f"{op}: expected a floating dtype, got {tensor.dtype}")
    return tensor


def _std(op, std):
    if not _number(op, "std", std) >= 0:
        raise ValueError(f"{op}: std must be at least 0, got {std}")
    return std


def _fans(op, tensor):
    """Inputs and outputs of one unit. tensor: (K, C, ...): C and K times the kernel's size."""
    if _tensor(op, tensor).ndim < 2:
        raise ValueError(
            f"{op}: the tensor needs at least 2 dimensions to have a fan, tensor={tensor.shape}"
        )
    size = math.prod(tensor.shape[2:])
    return tensor.shape[1] * size, tensor.shape[0] * size


def _fan(op, tensor, mode):
    fans = dict(zip(("fan_in", "fan_out"), _fans(op, tensor), strict=True))
    if mode not in fans:
        raise ValueError(f"{op}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return fans[mode]


def _filled(tensor, values):
    with no_grad():
        tensor[...] = values
    return tensor


# ---- distributions


def uniform_(tensor, a=0.0, b=1.0) -> Tensor:
    """Fill tensor, in place, with draws from U(a, b); returns it."""
    _floating("uniform_", tensor)
    return _filled(
        tensor, random.uniform(tensor.shape, a, b, dtype=tensor.dtype, device=tensor.device)
    )


def normal_(tensor, mean=0.0, std=1.0) -> Tensor:
    """Fill tensor, in place, with draws from N(mean, std²); returns it."""
    _floating("normal_", tensor)
    std = _std("normal_", std)
    return _filled(
        tensor, random.normal(tensor.shape, mean, std, dtype=tensor.dtype, device=tensor.device)
    )


def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0) -> Tensor:
    """Fill tensor, in place, with draws from N(mean, std²) that fall into [a, b]; returns it.

    a and b are values, not multiples of std. Drawn in float64 by rejection, exactly.
    """
    _floating("trunc_normal_", tensor)
    std, mean = _std("trunc_normal_", std), _number("trunc_normal_", "mean", mean)
    a, b = _number("trunc_normal_", "a", a), _number("trunc_normal_", "b", b)
    if not (math.isfinite(mean) and math.isfinite(std)):
        raise ValueError(f"trunc_normal_: mean and std must be finite, got {mean} and {std}")
    if not a <= b:
        raise ValueError(f"trunc_normal_: expected a <= b, got a={a}, b={b}")
    if std == 0:
        return constant_(tensor, min(max(mean, a), b))
    z = truncated_normal(tensor.numel(), (a - mean) / std, (b - mean) / std, tensor.device)
    values = dlx.clip(mean + std * z, a, b)  # rounding may have crossed a bound
    return _filled(tensor, values.reshape(tensor.shape).astype(tensor.dtype))


# ---- numbers


def constant_(tensor, val) -> Tensor:
    """Fill tensor, in place, with one number; returns it."""
    return _filled(_tensor("constant_", tensor), val)


def zeros_(tensor) -> Tensor:
    """Fill tensor, in place, with zeros; returns it."""
    return _filled(_tensor("zeros_", tensor), 0)


def ones_(tensor) -> Tensor:
    """Fill tensor, in place, with ones; returns it."""
    return _filled(_tensor("ones_", tensor), 1)


def eye_(tensor) -> Tensor:
    """Fill the matrix tensor, in place, with the identity: 1 on the diagonal; returns it."""
    _tensor("eye_", tensor, (2,))
    return _filled(tensor, dlx.eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


def dirac_(tensor, groups=1) -> Tensor:
    """Fill a convolution's weight, in place, so that it passes channels on unchanged; returns it.

    tensor: (K, C, R), (K, C, R, S) or of one dimension more; K divisible by groups. In each group
    output k is input k, for k < min(K / groups, C).
    """
    _tensor("dirac_", tensor, (3, 4, 5))
    if not isinstance(groups, int) or groups < 1 or tensor.shape[0] % groups:
        raise ValueError(
            f"dirac_: groups must divide the {tensor.shape[0]} outputs, got {groups!r}; "
            f"tensor={tensor.shape}"
        )
    outputs, channels, *kernel = tensor.shape
    each = outputs // groups
    centre = (Ellipsis, *(n // 2 for n in kernel))
    values = dlx.zeros(tensor.shape, dtype=tensor.dtype, device=tensor.device)
    block = dlx.eye(each, channels, dtype=tensor.dtype, device=tensor.device)
    if all(kernel):
        values[centre] = block.tile((groups, 1))
    return _filled(tensor, values)


# ---- by the fan


def xavier_uniform_(tensor, gain=1.0) -> Tensor:
    """Fill tensor, in place, with draws from U(-k, k), k = gain · sqrt(6 / (fan_in + fan_out)).

    Keras's glorot_uniform. tensor: at least 2-d. (Glorot and Bengio 2010)
    """
    fans, gain = sum(_fans("xavier_uniform_", tensor)), _number("xavier_uniform_", "gain", gain)
    bound = gain * math.sqrt(6 / fans) if fans else 0.0
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor, gain=1.0) -> Tensor:
    """Fill tensor, in place, with draws from N(0, s²), s = gain · sqrt(2 / (fan_in + fan_out)).

    Keras's glorot_normal, but not truncated. tensor: at least 2-d. (Glorot and Bengio 2010)
    """
    fans, gain = sum(_fans("xavier_normal_", tensor)), _number("xavier_normal_", "gain", gain)
    return normal_(tensor, 0.0, gain * math.sqrt(2 / fans) if fans else 0.0)


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu") -> Tensor:
    """Fill tensor, in place, with draws from U(-k, k), k = gain · sqrt(3 / fan); returns it.

    Keras's he_uniform. tensor: at least 2-d, (outputs, inputs, ...). a: the negative slope of
    "leaky_relu". mode "fan_in" keeps the variance forward, "fan_out" backward. (He et al. 2015)
    """
    fan = _fan("kaiming_uniform_", tensor, mode)
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3 / fan) if fan else 0.0
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu") -> Tensor:
    """Fill tensor, in place, with draws from N(0, s²), s = gain / sqrt(fan); returns it.

    Keras's he_normal, but not truncated. Arguments as kaiming_uniform_. (He et al. 2015)
    """
    fan = _fan("kaiming_normal_", tensor, mode)
    gain = calculate_gain(nonlinearity, a)
    return normal_(tensor, 0.0, gain / math.sqrt(fan) if fan else 0.0)


# ---- matrices


def orthogonal_(tensor, gain=1) -> Tensor:
    """Fill tensor, in place, with gain times a random matrix of orthonormal rows or columns.

    tensor: at least 2-d, taken as (K, everything else); the shorter of the two is orthonormal.
    Uniform among such matrices (Saxe et al. 2013; the sign of Mezzadri 2007). float64 inside.
    """
    if _floating("orthogonal_", tensor).ndim < 2:
        raise ValueError(
            f"orthogonal_: the tensor needs at least 2 dimensions, tensor={tensor.shape}"
        )
    gain = _number("orthogonal_", "gain", gain)
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    long, short = max(rows, columns), min(rows, columns)
    q = orthonormal(random.normal((long, short), dtype="float64", device=tensor.device))
    q = (q if rows >= columns else q.T) * gain
    return _filled(tensor, q.reshape(tensor.shape).astype(tensor.dtype))


def sparse_(tensor, sparsity, std=0.01) -> Tensor:
    """Fill the matrix tensor, in place, with draws from N(0, std²), and in each column zeros at
    ceil(sparsity · rows) random places; returns it. (Martens 2010)"""
    _tensor("sparse_", tensor, (2,))
    std = _std("sparse_", std)
    if not 0 <= _number("sparse_", "sparsity", sparsity) <= 1:
        raise ValueError(f"sparse_: sparsity must be between 0 and 1, got {sparsity}")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    values = random.normal((rows, columns), 0.0, std, dtype=tensor.dtype, device=tensor.device)
    for column in range(columns if zeros else 0):
        values[random.permutation(rows, device=tensor.device)[:zeros], column] = 0
    return _filled(tensor, values)
