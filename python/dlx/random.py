"""The generator, and arrays of its numbers.

One generator serves initialisation, dropout and shuffling. It is counter based (Philox4x32-10;
Salmon, Moraes, Dror and Shaw, SC 2011): each number is a function of the seed, of the offset of its
draw and of its position, so that the same seed gives the same bits on any number of threads and on
any device. Its state is one cell of memory {seed, offset}, on the device that drew last; a draw
advances the offset by a number fixed by the shape. The seed is 0 until `dlx.seed` sets another; a
forked child goes on from its parent's state.
"""

from __future__ import annotations

from dlx import _core
from dlx._device import resolve_device
from dlx._dtype import as_dtype, float32, int64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = ["get_state", "normal", "permutation", "randint", "seed", "set_state", "uniform"]

_cell = _core.from_data([0, 0], int64)  # {seed, offset}: every draw advances it


def seed(n) -> None:
    """Restart the generator; n: an int from 0 to 2**64 - 1.

    Raises TypeError or ValueError for anything else."""
    n = _integer("seed", "n", n)
    if not 0 <= n < 2**64:
        raise ValueError(f"seed: expected a number from 0 to 2**64 - 1, got {n}")
    set_state(_core.from_data([n - 2**64 if n >= 2**63 else n, 0], int64))


def get_state() -> Tensor:
    """A snapshot of the generator, on the CPU: int64 (2,), the seed's bits and the number of blocks
    drawn."""
    return _core.get_random_state(_cell)


def set_state(state):
    """Go on from a snapshot that `get_state` made.

    Raises TypeError or ValueError for anything else."""
    if not isinstance(state, _core.TensorBase):
        came = type(state).__name__
        raise TypeError(f"random.set_state: expected the Tensor that get_state() gives, got {came}")
    _core.set_random_state(_cell, state)


def uniform(shape, low=0.0, high=1.0, *, dtype=None, device=None) -> Tensor:
    """low + (high - low) u, for u uniform on the multiples of 2**-24 (float64: 2**-53) in [0, 1).

    shape: a tuple or an int; dtype: floating, float32 by default. high itself never comes, but by
    rounding in bfloat16 and float16. Raises ValueError for low > high, TypeError for a dtype that
    is not floating."""
    low, high = _real("random.uniform", "low", low), _real("random.uniform", "high", high)
    return _core.random_uniform(_cell, shape, low, high, _dtype(dtype, float32), _place(device))


def normal(shape, mean=0.0, std=1.0, *, dtype=None, device=None) -> Tensor:
    """mean + std z, for z standard normal (Box and Muller 1958).

    shape: a tuple or an int; dtype: floating, float32 by default. float32 tails end at 5.77 std,
    float64 tails at 8.57. Raises ValueError for std < 0, TypeError for a dtype that is not
    floating."""
    mean, std = _real("random.normal", "mean", mean), _real("random.normal", "std", std)
    return _core.random_normal(_cell, shape, mean, std, _dtype(dtype, float32), _place(device))


def randint(low, high, shape, *, dtype=None, device=None) -> Tensor:
    """Integers from low to high - 1, each as likely as the others (off by less than 2**-64).

    shape: a tuple or an int; dtype: int64 by default, or int32, uint8. Raises ValueError for
    low >= high and for values that the dtype does not hold."""
    low, high = _integer("random.randint", "low", low), _integer("random.randint", "high", high)
    if low >= high:
        raise ValueError(f"random.randint: expected low < high, got low={low}, high={high}")
    if low < -(2**63) or high > 2**63:
        raise ValueError(f"random.randint: int64 does not hold low={low} to high={high}")
    return _core.random_int(_cell, shape, low, high - 1, _dtype(dtype, int64), _place(device))


def permutation(n, *, device=None) -> Tensor:
    """The numbers 0 to n - 1 in random order, int64 (n,): what sorts n random 64-bit words.

    Raises ValueError for n < 0."""
    n = _integer("random.permutation", "n", n)
    if not 0 <= n < 2**56:
        raise ValueError(f"random.permutation: expected n from 0 to 2**56 - 1, got {n}")
    return _core.random_permutation(_cell, n, _place(device))


def _place(device):
    return resolve_device(device).code


def _dtype(dtype, default):
    return default if dtype is None else as_dtype(dtype)


def _integer(op, name, value):
    try:
        return value.__index__()
    except (AttributeError, TypeError, ValueError):  # the last two: Tensors that are no index
        raise TypeError(f"{op}: expected an int as {name}, got {type(value).__name__}") from None


def _real(op, name, value):
    try:
        if isinstance(value, (str, bytes, bytearray)):  # which float() would parse
            raise TypeError
        return float(value)
    except (TypeError, ValueError):  # the latter: a Tensor of several elements
        raise TypeError(f"{op}: expected a number as {name}, got {type(value).__name__}") from None
