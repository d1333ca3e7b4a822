"""Arrays from numbers."""

from __future__ import annotations

import numpy as np

__all__ = ["arange", "eye", "fill", "full", "linspace", "ones", "zeros"]


def fill(x, value):
    """x's shape and dtype, every element `value`."""
    return np.full(x.shape, value, x.dtype)


def full(shape, value, dtype=np.float32):
    return np.full(shape, value, dtype)


def zeros(shape, dtype=np.float32):
    return np.zeros(shape, dtype)


def ones(shape, dtype=np.float32):
    return np.ones(shape, dtype)


def arange(start, stop=None, step=1, dtype=None):
    """start, start + step, ... before stop: element i is start + i*step."""
    start, stop = (0, start) if stop is None else (start, stop)
    count = int(np.maximum(np.ceil((stop - start) / step), 0))
    floating = any(isinstance(v, float) for v in (start, stop, step))
    return (start + np.arange(count) * step).astype(dtype or ("float32" if floating else "int64"))


def linspace(start, stop, num, endpoint=True, dtype=np.float32):
    """Element i is start + i (stop - start)/(num - 1), the last one exactly stop."""
    return np.linspace(start, stop, num, endpoint=endpoint).astype(dtype)


def eye(n_rows, n_cols=None, k=0, dtype=np.float32):
    """1 where column = row + k."""
    columns = np.arange(n_rows if n_cols is None else n_cols)
    return (columns == np.arange(n_rows)[:, None] + k).astype(dtype)
