"""Rows by label: embedding tables, one-hot vectors."""

from __future__ import annotations

from dlx import _core
from dlx._device import default_device
from dlx._dtype import as_dtype, float32, int64
from dlx._rules import linear
from dlx.autodiff import record
from dlx.ops._index_plan import as_int, as_positions
from dlx.ops._prepare import prepare
from dlx.ops.elementwise import not_equal, where
from dlx.ops.index import scatter_add, take
from dlx.ops.shape import expand_dims

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = ["embedding", "one_hot"]


def embedding(input, weight, padding_idx=None) -> Tensor:
    """y[..., :] = weight[input[...], :]: rows of a table.

    input: integers of any shape, 0 <= index < V; weight: (V, D), any dtype; y: (*input.shape, D).
    The row padding_idx gets no gradient (negative: counted from the end); the gradient is dense,
    (V, D). Raises IndexError naming the first index outside, its position, and V."""
    (weight,) = prepare("embedding", weight)
    indices = as_positions("embedding", input, weight._device_code)
    if weight.ndim != 2:
        raise ValueError(f"embedding: expected weight of shape (V, D), got {weight.shape}")
    padding = None if padding_idx is None else row_of("embedding", padding_idx, weight.shape[0])
    y = _core.embedding(weight, indices)
    return record(_embedding_rule, (weight,), y, (indices, padding))


def row_of(op, padding_idx, rows):
    """padding_idx as a row in [0, rows)."""
    row = as_int(op, "an int as padding_idx", padding_idx)
    if not -rows <= row < rows:
        raise ValueError(f"{op}: padding_idx {row} is outside a table of {rows} rows")
    return row % rows


def _embedding_tangent(t, indices, padding):
    y = take(t, indices, 0)
    return y if padding is None else where(expand_dims(not_equal(indices, padding), -1), y, 0)


def _embedding_transpose(g, weight, indices, padding):
    dweight = scatter_add(g, indices, 0, weight.shape[0])
    if padding is not None:
        dweight[padding] = 0
    return dweight


_embedding_rule = linear("embedding", _embedding_tangent, _embedding_transpose)


def one_hot(labels, num_classes, *, dtype=None) -> Tensor:
    """y[..., c] = 1 where labels[...] = c, else 0.

    labels: integers of any shape, 0 <= label < num_classes; y: (*labels.shape, num_classes),
    float32 unless told. Raises IndexError naming the first label outside, its position, and
    num_classes. (nn.functional.one_hot is PyTorch's: int64, num_classes found in the labels.)"""
    labels = as_positions("one_hot", labels, default_device().code)
    dtype = float32 if dtype is None else as_dtype(dtype)
    return _one_hot(labels, num_classes, dtype)


def one_hot_of_labels(labels, num_classes):
    """PyTorch's: int64; num_classes -1 stands for the largest label + 1, which the host reads."""
    labels = as_positions("one_hot", labels, default_device().code)
    if not isinstance(num_classes, int) or num_classes != -1:
        return _one_hot(labels, num_classes, int64)
    if not labels._numel:
        raise ValueError(
            f"one_hot: no labels to find num_classes in; labels={labels.shape}; give num_classes"
        )
    largest = _core.max(labels, tuple(range(labels.ndim)), False).item()
    return _one_hot(labels, max(largest + 1, 0), int64)


def _one_hot(labels, num_classes, dtype):
    classes = as_int("one_hot", "an int as num_classes", num_classes)
    if not 0 <= classes < 2**63:
        raise ValueError(f"one_hot: expected num_classes >= 0, got {classes}")
    return _core.one_hot(labels, classes, dtype)
