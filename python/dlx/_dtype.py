"""The eight element types: `dlx.float32`, ...; each equals itself, its name, and NumPy's dtype of
that name."""

from __future__ import annotations

from builtins import bool as py_bool

from dlx import _core

__all__ = [
    "DType",
    "as_dtype",
    "bfloat16",
    "bool",
    "float16",
    "float32",
    "float64",
    "int32",
    "int64",
    "uint8",
]


class DType:
    """An element type. `name`; `itemsize` in bytes; `is_floating`."""

    __slots__ = ("is_floating", "itemsize", "name")

    def __init__(self, name, itemsize):
        self.name, self.itemsize, self.is_floating = name, itemsize, "float" in name

    def __eq__(self, other):
        return self is other or self.name == _name_of(other)

    def __hash__(self):
        return hash(self.name)

    def __repr__(self):
        return f"dlx.{self.name}"

    def __str__(self):
        return self.name

    def __reduce__(self):
        return as_dtype, (self.name,)


float32 = DType("float32", 4)
float64 = DType("float64", 8)
bfloat16 = DType("bfloat16", 2)
float16 = DType("float16", 2)
int32 = DType("int32", 4)
int64 = DType("int64", 8)
uint8 = DType("uint8", 1)
bool = DType("bool", 1)  # the name users know it by: dlx.bool

_ALL = (
    float32,
    float64,
    bfloat16,
    float16,
    int32,
    int64,
    uint8,
    bool,
)  # in the order of csrc/core/dtype.h
_BY_NAME = {dtype.name: dtype for dtype in _ALL}
_PYTHON = {float: float32, int: int64, py_bool: bool}


def _name_of(other):
    """The dtype name that `other` stands for, or None: a string, NumPy's dtypes and scalar types,
    their like."""
    if isinstance(other, str):
        return other
    if isinstance(other, type):
        name = other.__name__ if other.__module__ in ("numpy", "ml_dtypes") else None
        return "bool" if name == "bool_" else name
    name = getattr(other, "name", None)
    if not isinstance(name, str) or not hasattr(other, "itemsize"):
        return None
    return name if getattr(other, "isnative", True) else None  # another byte order is another dtype


def as_dtype(dtype):
    """The dlx dtype of a dlx dtype, a name, a NumPy dtype or scalar type, or of Python's float,
    int, bool.

    float is float32 and int is int64, as in `dlx.tensor`. Raises TypeError for everything else."""
    if isinstance(dtype, DType):
        return dtype
    found = _PYTHON.get(dtype) if isinstance(dtype, type) else None
    if found is None:
        found = _BY_NAME.get(_name_of(dtype))
    if found is None:
        raise TypeError(f"dtype: expected one of {', '.join(_BY_NAME)}, got {dtype!r}")
    return found


_core.set_dtypes(_ALL, as_dtype)
