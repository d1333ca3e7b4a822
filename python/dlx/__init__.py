"""dlx: deep learning you can read from nn.Conv2d down to the last FMA.

    import dlx
    from dlx import nn, optim

Functions here follow the Python array API (`axis=`); `dlx.nn`, `dlx.optim` and Tensor methods
follow PyTorch; `compile`, `fit`, `evaluate`, `predict`, `summary` follow Keras. Importing dlx loads
the native core and these functions; everything else, NumPy included, loads at first use."""

from __future__ import annotations

from dlx import _core
from dlx._device import device
from dlx._dtype import bfloat16, bool, float16, float32, float64, int32, int64, uint8
from dlx._exchange import asarray, from_dlpack, tensor
from dlx._tensor import Tensor
from dlx._transforms import grad, hessian, jvp, value_and_grad, vjp
from dlx.autodiff import enable_grad, no_grad, primitive
from dlx.ops.arrange import flip, roll, tile, tril, triu
from dlx.ops.conv import (
    conv1d,
    conv2d,
    conv2d_backward_weight,
    conv_transpose1d,
    conv_transpose2d,
)
from dlx.ops.creation import (
    arange,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from dlx.ops.elementwise import (
    abs,
    add,
    astype,
    ceil,
    clip,
    cos,
    divide,
    equal,
    erf,
    exp,
    expm1,
    floor,
    floor_divide,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    log,
    log1p,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    pow,
    reciprocal,
    relu,
    remainder,
    round,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sqrt,
    square,
    subtract,
    tanh,
    trunc,
    where,
)
from dlx.ops.embedding import one_hot
from dlx.ops.index import take
from dlx.ops.loss import log_softmax, logsumexp, softmax
from dlx.ops.matmul import matmul
from dlx.ops.norm import batch_norm, group_norm, layer_norm
from dlx.ops.pad import pad
from dlx.ops.pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
    sum_pool1d,
    sum_pool2d,
)
from dlx.ops.reduce import argmax, argmin, max, mean, min, std, sum, var
from dlx.ops.scan import cumsum, cumulative_sum
from dlx.ops.shape import broadcast_to, concat, expand_dims, permute_dims, reshape, squeeze, stack
from dlx.ops.upsample import (
    upsample_bilinear2d,
    upsample_linear1d,
    upsample_nearest1d,
    upsample_nearest2d,
)

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:  # what editors and type checkers see of the names below
    from dlx import (
        cuda,
        data,
        debug,
        interop,
        memory,
        models,
        nn,
        optim,
        random,
        reference,
        testing,
        train,
    )
    from dlx._files import load, save
    from dlx._gradcheck import gradcheck, numeric_grad
    from dlx._jit import jit
    from dlx._profile import profile
    from dlx._remat import remat
    from dlx.random import seed

# Loaded at first use (PEP 562): name -> module that holds it, or None for the submodule itself.
_LAZY = {
    "cuda": None,
    "data": None,
    "debug": None,
    "interop": None,
    "memory": None,
    "models": None,
    "nn": None,
    "optim": None,
    "random": None,
    "reference": None,
    "testing": None,
    "train": None,
    "gradcheck": "dlx._gradcheck",
    "numeric_grad": "dlx._gradcheck",
    "load": "dlx._files",
    "save": "dlx._files",
    "jit": "dlx._jit",
    "profile": "dlx._profile",
    "remat": "dlx._remat",
    "seed": "dlx.random",
}

__all__ = [
    "Tensor",
    "abs",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "add",
    "arange",
    "argmax",
    "argmin",
    "asarray",
    "astype",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "bfloat16",
    "bool",
    "broadcast_to",
    "ceil",
    "clip",
    "concat",
    "conv1d",
    "conv2d",
    "conv2d_backward_weight",
    "conv_transpose1d",
    "conv_transpose2d",
    "cos",
    "cuda",
    "cumsum",
    "cumulative_sum",
    "data",
    "debug",
    "device",
    "divide",
    "empty",
    "empty_like",
    "enable_grad",
    "equal",
    "erf",
    "exp",
    "expand_dims",
    "expm1",
    "eye",
    "flip",
    "float16",
    "float32",
    "float64",
    "floor",
    "floor_divide",
    "from_dlpack",
    "full",
    "full_like",
    "get_num_threads",
    "get_precision",
    "grad",
    "gradcheck",
    "greater",
    "greater_equal",
    "group_norm",
    "hessian",
    "int32",
    "int64",
    "interop",
    "isfinite",
    "isinf",
    "isnan",
    "jit",
    "jvp",
    "layer_norm",
    "less",
    "less_equal",
    "linspace",
    "load",
    "log",
    "log1p",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logsumexp",
    "matmul",
    "max",
    "max_pool1d",
    "max_pool2d",
    "maximum",
    "mean",
    "memory",
    "min",
    "minimum",
    "models",
    "multiply",
    "negative",
    "nn",
    "no_grad",
    "not_equal",
    "numeric_grad",
    "one_hot",
    "ones",
    "ones_like",
    "optim",
    "pad",
    "permute_dims",
    "pow",
    "primitive",
    "profile",
    "random",
    "reciprocal",
    "reference",
    "relu",
    "remainder",
    "remat",
    "reshape",
    "roll",
    "round",
    "rsqrt",
    "save",
    "seed",
    "set_num_threads",
    "set_precision",
    "sigmoid",
    "sign",
    "sin",
    "softmax",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "sum_pool1d",
    "sum_pool2d",
    "take",
    "tanh",
    "tensor",
    "testing",
    "tile",
    "train",
    "tril",
    "triu",
    "trunc",
    "uint8",
    "upsample_bilinear2d",
    "upsample_linear1d",
    "upsample_nearest1d",
    "upsample_nearest2d",
    "value_and_grad",
    "var",
    "vjp",
    "where",
    "zeros",
    "zeros_like",
]


def set_num_threads(n):
    """Runs kernels on n threads (1 to 256), even on fewer cores; the results do not depend on it.

    The start is DLX_NUM_THREADS, else what affinity and the cgroup quota allow. Raises ValueError
    outside 1...256."""
    _core.set_num_threads(_core_int("set_num_threads", n))


def get_num_threads():
    """How many threads kernels run on."""
    return _core.num_threads()


def set_precision(precision):
    """How exactly float32 is computed: "fp32", the start, or "exact", which leaves out algorithms
    that lose more than a sum in another order does: Winograd's F(4x4, 3x3) of convolutions, whose
    error is at most 4e-6 of the largest sum of |terms|. In either mode an infinity or NaN in an
    image reaches all pixels of its tile of a 3x3 convolution, 4 x 4 at most.

    Raises ValueError for another name; "tf32" and "bf16" will be modes of CUDA devices."""
    if precision in ("tf32", "bf16"):
        raise ValueError(
            f"set_precision: {precision!r} applies to CUDA devices only, and this build of dlx has "
            "none; expects 'exact' or 'fp32'"
        )
    if precision not in ("exact", "fp32"):
        raise ValueError(f"set_precision: expects 'exact' or 'fp32', got {precision!r}")
    _core.set_exact_precision(precision == "exact")


def get_precision():
    """The name that set_precision was given, "fp32" at the start."""
    return "exact" if _core.exact_precision() else "fp32"


def _core_int(op, n):
    try:
        return n.__index__()
    except AttributeError:
        raise TypeError(f"{op}: expected an int, got {type(n).__name__}") from None


# What some names of PyTorch and NumPy are called here.
_CALLED = {
    "array": "tensor",
    "cat": "concat",
    "clamp": "clip",
    "concatenate": "concat",
    "div": "divide",
    "flatten": "Tensor.flatten",
    "from_numpy": "asarray",
    "inference_mode": "no_grad",
    "manual_seed": "seed",
    "mm": "matmul",
    "mul": "multiply",
    "permute": "permute_dims",
    "rand": "random.uniform",
    "randint": "random.randint",
    "randn": "random.normal",
    "randperm": "random.permutation",
    "sub": "subtract",
    "transpose": "permute_dims",
    "unsqueeze": "expand_dims",
}


def __getattr__(name):
    if name not in _LAZY:
        hint = f"; it is dlx.{_CALLED[name]}" if name in _CALLED else ""
        raise AttributeError(f"module 'dlx' has no attribute {name!r}{hint}")
    from importlib import import_module

    module = _LAZY[name]
    value = import_module(f"dlx.{name}") if module is None else getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
