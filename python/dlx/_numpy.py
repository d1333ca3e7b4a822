"""What NumPy's own operators and ufuncs do with a Tensor."""

from __future__ import annotations

import numpy as np

import dlx

__all__ = ["apply_ufunc"]

# The operators of NumPy's scalars and arrays -> the functions of dlx.
_OPERATORS = {
    "add": "add",
    "subtract": "subtract",
    "multiply": "multiply",
    "divide": "divide",
    "power": "pow",
    "matmul": "matmul",
    "equal": "equal",
    "not_equal": "not_equal",
    "less": "less",
    "less_equal": "less_equal",
    "greater": "greater",
    "greater_equal": "greater_equal",
}


def apply_ufunc(ufunc, method, inputs, options):
    """The operator of a NumPy scalar and a Tensor; TypeError for arrays and all other ufuncs."""
    name = _OPERATORS.get(ufunc.__name__)
    if name is None or method != "__call__" or options:
        raise TypeError(
            f"numpy.{ufunc.__name__}: takes no dlx.Tensor: use the functions of dlx, or x.numpy()"
        )
    # NumPy hands its scalars over as arrays of shape () where it compares.
    inputs = [x[()] if isinstance(x, np.ndarray) and x.ndim == 0 else x for x in inputs]
    if any(isinstance(x, np.ndarray) for x in inputs):
        raise TypeError(
            f"{name}: expected Tensors or numbers, got numpy.ndarray; "
            "dlx.asarray makes Tensors of arrays"
        )
    return getattr(dlx, name)(*inputs)
