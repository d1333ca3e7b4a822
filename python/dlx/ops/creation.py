"""Arrays from numbers. All take dtype= and device=; a shape is one tuple (or an int)."""

from __future__ import annotations

from dlx import _core
from dlx._device import resolve_device
from dlx._dtype import as_dtype, float32, int64
from dlx._dtype import bool as bool_
from dlx.ops._prepare import prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = [
    "arange",
    "dense_strides",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "zeros",
    "zeros_like",
]


def dense_strides(shape):
    """Row-major strides in elements, without gaps."""
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))


def _is_number(value):
    """Python's and NumPy's real scalars."""
    if isinstance(value, (int, float)):
        return True
    scalar = getattr(value, "shape", None) == () and not isinstance(value, _core.TensorBase)
    return scalar and (hasattr(value, "__index__") or hasattr(value, "__float__"))


def _number(op, name, value):
    if not _is_number(value):
        raise TypeError(f"{op}: expected a number as {name}, got {type(value).__name__}")
    return value


def _int64(op, name, value):
    if not -(2**63) <= value < 2**63:
        raise OverflowError(f"{op}: {name} {value} does not fit int64")
    return value


def _dtype_of(number):
    kind = getattr(getattr(number, "dtype", None), "kind", None)  # NumPy's scalars
    if isinstance(number, bool) or kind == "b":
        return bool_
    return int64 if hasattr(number, "__index__") else float32


def _filled(op, shape, number, dtype, device):
    return _core.full(op, shape, number, dtype, resolve_device(device).code)


def zeros(shape, *, dtype=None, device=None) -> Tensor:
    """An array of zeros of `shape`, float32 unless told.

    Raises ValueError for a negative extent."""
    return _filled("zeros", shape, 0, float32 if dtype is None else as_dtype(dtype), device)


def ones(shape, *, dtype=None, device=None) -> Tensor:
    """An array of ones of `shape`, float32 unless told.

    Raises ValueError for a negative extent."""
    return _filled("ones", shape, 1, float32 if dtype is None else as_dtype(dtype), device)


def full(shape, fill_value, *, dtype=None, device=None) -> Tensor:
    """An array of one number; its dtype is that of `dlx.tensor(fill_value)` unless told.

    Raises OverflowError for a number that the dtype cannot hold."""
    number = _number("full", "fill_value", fill_value)
    dtype = _dtype_of(number) if dtype is None else as_dtype(dtype)
    return _filled("full", shape, number, dtype, device)


def empty(shape, *, dtype=None, device=None) -> Tensor:
    """An array of `shape` whose values are undefined, float32 unless told.

    Raises ValueError for a negative extent."""
    dtype = float32 if dtype is None else as_dtype(dtype)
    return _core.empty(shape, dtype, resolve_device(device).code)


def _like(op, x, number, dtype, device):
    (x,) = prepare(op, x)
    dtype = x.dtype if dtype is None else as_dtype(dtype)
    code = x._device_code if device is None else resolve_device(device).code
    return _core.full(op, x.shape, number, dtype, code)


def zeros_like(x, *, dtype=None, device=None) -> Tensor:
    """Zeros of x's shape, dtype and device, unless told others. Raises TypeError for no Tensor."""
    return _like("zeros_like", x, 0, dtype, device)


def ones_like(x, *, dtype=None, device=None) -> Tensor:
    """Ones of x's shape, dtype and device, unless told others. Raises TypeError for no Tensor."""
    return _like("ones_like", x, 1, dtype, device)


def full_like(x, fill_value, *, dtype=None, device=None) -> Tensor:
    """One number in x's shape, dtype and device, unless told others.

    Raises TypeError for no Tensor, OverflowError for a number that the dtype cannot hold."""
    return _like("full_like", x, _number("full_like", "fill_value", fill_value), dtype, device)


def empty_like(x, *, dtype=None, device=None) -> Tensor:
    """Undefined values in x's shape, dtype and device, unless told others.

    Raises TypeError for no Tensor."""
    (x,) = prepare("empty_like", x)
    code = x._device_code if device is None else resolve_device(device).code
    return _core.empty(x.shape, x.dtype if dtype is None else as_dtype(dtype), code)


def _finished(x, dtype):
    return x if x.dtype is dtype else _core.cast(x, dtype)


def arange(start, stop=None, step=1, *, dtype=None, device=None) -> Tensor:
    """start, start + step, ... before stop; `arange(stop)` starts at 0. y[i] = start + i*step.

    int64 for integers, else float32; floats are computed in float64 and rounded once. Raises
    ValueError for step 0 and for bounds that are not finite."""
    if stop is None:
        start, stop = 0, start
    for name, value in (("start", start), ("stop", stop), ("step", step)):
        _number("arange", name, value)
        if value - value != 0:  # infinite or NaN
            raise ValueError(f"arange: expected a finite {name}, got {value}")
    if step == 0:
        raise ValueError("arange: expected a step other than 0")
    code = resolve_device(device).code
    integers = all(hasattr(value, "__index__") for value in (start, stop, step))
    if integers:
        start, stop, step = (
            _int64("arange", name, value.__index__())
            for name, value in (("start", start), ("stop", stop), ("step", step))
        )
        natural, count = int64, max(0, -((start - stop) // step))
        x = _core.arange_int(start, step, _int64("arange", "number of elements", count), code)
    else:
        start, stop, step = float(start), float(stop), float(step)
        natural, count = float32, max(0, int(-((start - stop) / step // 1)))
        count = _int64("arange", "number of elements", count)
        x = _core.arange_float(start, step, count, None, code)
    return _finished(x, natural if dtype is None else as_dtype(dtype))


def linspace(start, stop, num, *, dtype=None, device=None, endpoint=True) -> Tensor:
    """`num` numbers evenly spaced from start to stop, both included (without stop: endpoint=False).

    Element i is start + i (stop - start)/(num - 1), the last exactly stop; float32 unless told."""
    start = float(_number("linspace", "start", start))
    stop = float(_number("linspace", "stop", stop))
    if isinstance(num, bool) or not hasattr(num, "__index__"):
        raise TypeError(f"linspace: expected an int as num, got {type(num).__name__}")
    num = _int64("linspace", "num", num.__index__())
    if num < 0:
        raise ValueError(f"linspace: expected num >= 0, got {num}")
    dtype = float32 if dtype is None else as_dtype(dtype)
    steps = num - 1 if endpoint else num
    step = (stop - start) / steps if steps > 0 else 0.0
    last = stop if endpoint and num > 1 else None
    return _finished(_core.arange_float(start, step, num, last, resolve_device(device).code), dtype)


def eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None) -> Tensor:
    """(n_rows, n_cols) with 1 where column = row + k, else 0; n_cols is n_rows unless told.

    float32 unless told. Raises TypeError for sizes that are no ints, ValueError for negative
    ones."""
    n_cols = n_rows if n_cols is None else n_cols
    sizes = []
    for name, value in (("n_rows", n_rows), ("n_cols", n_cols), ("k", k)):
        if not hasattr(value, "__index__"):
            raise TypeError(f"eye: expected an int as {name}, got {type(value).__name__}")
        sizes.append(_int64("eye", name, value.__index__()))
    dtype = float32 if dtype is None else as_dtype(dtype)
    rows, columns, offset = sizes
    return _core.eye(rows, columns, offset, dtype, resolve_device(device).code)
