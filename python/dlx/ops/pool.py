"""Pooling: one number from each window of an image. Maximum, average, sum.

Windows are given by kernel_size, stride, padding, or by the size of the result (adaptive). One
native op serves images of one and of two axes.
"""

from __future__ import annotations

from dlx import _core
from dlx._rules import linear, primitive
from dlx.autodiff import record
from dlx.ops._index_plan import as_int
from dlx.ops._prepare import FLOATING, prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "max_pool1d",
    "max_pool2d",
    "sum_pool1d",
    "sum_pool2d",
]

_FLOOR, _CEIL, _VALID, _SAME, _ADAPTIVE = range(5)  # csrc's PoolMode
_NO_PLACES, _INDICES, _BYTES = range(3)  # csrc's Places: what max_pool2d keeps of the maxima


def sizes(op, name, value, axes, or_none=False):
    """value, an int or one for each axis, as a tuple of ints."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
    if len(values) != axes:
        wanted = "an int" if axes == 1 else f"an int or {axes} of them"
        raise ValueError(f"{op}: expected {name} to be {wanted}, got {value!r}")
    what = f"an int as {name}" if axes == 1 else f"ints as {name}"
    return tuple(None if or_none and v is None else as_int(op, what, v) for v in values)


def _windows(op, axes, kernel_size, stride, padding, dilation, ceil_mode):
    """The windows as _core takes them: kernel, stride, padding, dilation, mode."""
    kernel = sizes(op, "kernel_size", kernel_size, axes)
    empty = stride is None or (isinstance(stride, (tuple, list)) and not stride)
    stride = kernel if empty else sizes(op, "stride", stride, axes)
    mode = _CEIL if ceil_mode else _FLOOR
    if isinstance(padding, str):
        if padding not in ("valid", "same"):
            raise ValueError(f"{op}: expected ints, 'valid' or 'same' as padding, got {padding!r}")
        if ceil_mode:
            raise ValueError(f"{op}: expected ceil_mode=False with padding={padding!r}")
        padding, mode = 0, _VALID if padding == "valid" else _SAME
    padding = sizes(op, "padding", padding, axes)
    return kernel, stride, padding, sizes(op, "dilation", dilation, axes), mode


def _adaptive(op, axes, x, output_size):
    size = sizes(op, "output_size", output_size, axes, or_none=True)
    if x.ndim >= axes:
        size = tuple(
            n if m is None else m for m, n in zip(size, x.shape[x.ndim - axes :], strict=True)
        )
    else:
        size = tuple(0 if m is None else m for m in size)  # _core rejects x
    return size, (), (), (), _ADAPTIVE


# ------------------------------------------------------------------------------------- maximum


def max_pool2d(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
) -> Tensor:
    """y[p, q] = max over r, s of x[h, w] with h = p stride + r dilation - padding, w = q stride + s
    dilation - padding.

    input: (N,C,H,W) or (C,H,W), float32 or float64, -inf outside; y: (N,C,P,Q), P = floor((H +
    2 padding - dilation (R - 1) - 1) / stride) + 1; ceil_mode rounds up, as long as the last window
    starts inside x or the padding above. kernel_size, stride (None: kernel_size), padding,
    dilation: an int or (rows, columns). padding also "valid" (0) or "same": P = ceil(H / stride),
    of an odd total one more below and to the right (TensorFlow's rule).

    return_indices: also where the maxima stand, h W + w, int64. NaN is the maximum of a window that
    holds one; of equals the first counts, which also takes the gradient.
    Raises TypeError for another dtype, ValueError for a kernel larger than the image, more padding
    than half the kernel, and numbers that are not positive. PyTorch's definition."""
    return _max_pool(
        "max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def max_pool1d(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
) -> Tensor:
    """y[q] = max over s of x[q stride + s dilation - padding]: max_pool2d along one axis.

    input: (N,C,L) or (C,L); y: (N,C,Q)."""
    return _max_pool(
        "max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def adaptive_max_pool2d(input, output_size, return_indices=False) -> Tensor:
    """The maxima of P x Q windows: window p covers the rows floor(p H / P) ... ceil((p + 1) H / P)
    - 1, so that neighbours overlap by one where P does not divide H.

    input: (N,C,H,W) or (C,H,W); output_size: (P,Q) or an int, None for the size of x; y: (N,C,P,Q).
    return_indices, types and errors as max_pool2d. PyTorch's definition."""
    return _adaptive_max_pool("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool1d(input, output_size, return_indices=False) -> Tensor:
    """The maxima of Q windows: window q covers floor(q L / Q) ... ceil((q + 1) L / Q) - 1.

    input: (N,C,L) or (C,L); y: (N,C,Q)."""
    return _adaptive_max_pool("adaptive_max_pool1d", 1, input, output_size, return_indices)


def _max_pool(op, axes, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices):
    (x,) = prepare(op, x, dtypes=FLOATING)
    windows = _windows(op, axes, kernel_size, stride, padding, dilation, ceil_mode)
    return _maximum(op, x, windows, return_indices)


def _adaptive_max_pool(op, axes, x, output_size, return_indices):
    (x,) = prepare(op, x, dtypes=FLOATING)
    return _maximum(op, x, _adaptive(op, axes, x, output_size), return_indices)


def _maximum(op, x, windows, return_indices):
    differentiable = x.requires_grad and _core.recording()
    places = _INDICES if return_indices else _BYTES if differentiable else _NO_PLACES
    y, indices = _core.max_pool2d(op, x, *windows, places)
    if differentiable:
        y = record(_max_pool_rule, (x,), y, (indices, x.shape, windows))
    return (y, indices) if return_indices else y


def _gather(t, indices, shape, windows):
    """The elements of t at the indices: the maxima's tangent."""
    y = _core.max_pool2d_gather(t, indices, *windows)
    return record(_gather_rule, (t,), y, (indices, shape, windows))


def _scatter(g, indices, shape, windows):
    """The gradient g of the maxima, each added where its maximum stands."""
    dx = _core.max_pool2d_backward(g, indices, shape, *windows)
    return record(_scatter_rule, (g,), dx, (indices, shape, windows))


def _max_pool_vjp(g, y, x, indices, shape, windows):
    return _scatter(g, indices, shape, windows)


def _max_pool_jvp(tangents, y, x, indices, shape, windows):
    return _gather(tangents[0], indices, shape, windows)


def _gather_transpose(g, x, *attrs):
    return _scatter(g, *attrs)


def _scatter_transpose(g, x, *attrs):
    return _gather(g, *attrs)


_max_pool_rule = primitive(
    "max_pool2d", vjp=_max_pool_vjp, jvp=_max_pool_jvp, saves_inputs=0, saves_outputs=0
)
_gather_rule = linear("max_pool2d_gather", _gather, _gather_transpose)
_scatter_rule = linear("max_pool2d_backward", _scatter, _scatter_transpose)


# ------------------------------------------------------------------------------- average and sum


def avg_pool2d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
) -> Tensor:
    """y[p, q] = mean over r, s of x[p stride + r - padding, q stride + s - padding], x 0 outside.

    Shapes, kernel_size, stride, padding, ceil_mode, types and errors as max_pool2d. The sum is
    divided by the number of elements of the window within x and its padding, within x alone if
    count_include_pad is False or padding is "same", or by divisor_override where that is given,
    an int other than 0. PyTorch's definition."""
    return _avg_pool(
        "avg_pool2d",
        2,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )


def avg_pool1d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
) -> Tensor:
    """y[q] = mean over s of x[q stride + s - padding]: avg_pool2d along one axis.

    input: (N,C,L) or (C,L); y: (N,C,Q)."""
    return _avg_pool(
        "avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None
    )


def sum_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=False) -> Tensor:
    """y[p, q] = sum over r, s of x[p stride + r - padding, q stride + s - padding], 0 outside x:
    avg_pool2d that divides by nothing. Shapes, arguments, types and errors as there."""
    return _avg_pool("sum_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, False, 1)


def sum_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False) -> Tensor:
    """y[q] = sum over s of x[q stride + s - padding]: sum_pool2d along one axis.

    input: (N,C,L) or (C,L); y: (N,C,Q)."""
    return _avg_pool("sum_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, False, 1)


def adaptive_avg_pool2d(input, output_size) -> Tensor:
    """The means of P x Q windows: window p covers the rows floor(p H / P) ... ceil((p + 1) H / P)
    - 1, as those of adaptive_max_pool2d.

    input: (N,C,H,W) or (C,H,W); output_size: (P,Q) or an int, None for the size of x; y: (N,C,P,Q).
    Types and errors as max_pool2d. PyTorch's definition."""
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool1d(input, output_size) -> Tensor:
    """The means of Q windows: window q covers floor(q L / Q) ... ceil((q + 1) L / Q) - 1.

    input: (N,C,L) or (C,L); y: (N,C,Q)."""
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, input, output_size)


def _avg_pool(
    op, axes, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
):
    (x,) = prepare(op, x, dtypes=FLOATING)
    windows = _windows(op, axes, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override is not None:
        divisor_override = as_int(op, "an int as divisor_override", divisor_override)
    return _average(x, (*windows, bool(count_include_pad), divisor_override), op)


def _adaptive_avg_pool(op, axes, x, output_size):
    (x,) = prepare(op, x, dtypes=FLOATING)
    return _average(x, (*_adaptive(op, axes, x, output_size), False, None), op)


def _average(x, windows, op="avg_pool2d"):
    return record(_avg_pool_rule, (x,), _core.avg_pool2d(op, x, *windows), (windows,))


def _average_backward(g, shape, windows):
    dx = _core.avg_pool2d_backward(g, shape, *windows)
    return record(_avg_pool_backward_rule, (g,), dx, (shape, windows))


def _avg_pool_transpose(g, x, windows):
    return _average_backward(g, x.shape, windows)


def _avg_pool_backward_transpose(g, x, shape, windows):
    return _average(g, windows)


_avg_pool_rule = linear("avg_pool2d", _average, _avg_pool_transpose)
_avg_pool_backward_rule = linear(
    "avg_pool2d_backward", _average_backward, _avg_pool_backward_transpose
)
