"""The data that fit, evaluate and predict are given: made Tensors, checked."""

from __future__ import annotations

import dlx
from dlx.data.loader import as_tensor, check_rows

__all__ = ["hold_out", "pair_of", "parameter_device", "parameter_dtype", "tensors_of"]

INFINITY = float("inf")


def tensors_of(op, model, x, *y):
    """[x] or [x, y] as Tensors with equally many rows.

    Floating NumPy arrays become the dtype of the model's parameters; Tensors stay as they are. For
    fit, data with NaN or Inf raises ValueError.
    """
    dtype = parameter_dtype(model)
    tensors = []
    for name, array in zip("xy", (x, *y), strict=False):
        tensor = as_tensor(f"{op}: {name}", array)
        if tensor is not array and tensor.dtype.is_floating:
            tensor = dlx.astype(tensor, dtype)
        tensors.append(tensor)
    check_rows(op, *tensors, *(() if y else (None,)))
    if op == "fit":
        for name, tensor in zip("xy", tensors, strict=True):
            _check_finite(op, name, tensor)
    return tensors


def parameter_dtype(model):
    """The dtype of the model's first parameter, float32 before there is one."""
    _, parameter = next(model._members("", True, "_parameters"), (None, None))
    return dlx.float32 if parameter is None else parameter.dtype


def parameter_device(model):
    """The device of the model's first parameter, None before there is one."""
    _, parameter = next(model._members("", True, "_parameters"), (None, None))
    return None if parameter is None else parameter.device


def pair_of(data):
    """validation_data as (x, y)."""
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise TypeError(f"fit: validation_data must be a pair (x, y), got {type(data).__name__}")
    return data


def hold_out(x, y, split):
    """((x, y), (x, y)): the first rows to train on, and the last share `split` to validate."""
    if not 0 <= split < 1:
        raise ValueError(f"fit: validation_split must be in [0, 1), got {split}")
    rows = x.shape[0]
    train = int(rows * (1 - split))
    if not 0 < train < rows:
        raise ValueError(f"fit: validation_split={split} of {rows} rows leaves an empty part")
    return (x[:train], y[:train]), (x[train:], y[train:])


def _check_finite(op, name, tensor):
    """Raise ValueError naming the first row with a NaN or Inf."""
    if tensor._numel == 0 or not tensor.dtype.is_floating:
        return
    with dlx.no_grad():
        # NaN and Inf stay in a sum, and a sum may overflow; NaN wins in min and max, Inf is one of
        # them. One pass, or three, and no mask in memory.
        if -INFINITY < dlx.sum(tensor).item() < INFINITY:
            return
        if dlx.min(tensor).item() > -INFINITY and dlx.max(tensor).item() < INFINITY:
            return
    import numpy as np

    rows = dlx.astype(tensor.detach(), dlx.float64).cpu().numpy().reshape(tensor.shape[0], -1)
    row = int(np.argmin(np.isfinite(rows).all(axis=1)))
    value = rows[row][~np.isfinite(rows[row])][0]
    raise ValueError(f"{op}: {name} holds {value} in row {row} of {tensor.shape[0]}")
