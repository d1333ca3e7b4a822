"""Images of another size: the nearest pixel, or between pixels. Linear ops; their gradients too.

One native op for each serves images of one and of two axes.
"""

from __future__ import annotations

from dlx import _core
from dlx._rules import linear
from dlx.autodiff import record
from dlx.ops._prepare import FLOATING, prepare
from dlx.ops.creation import _number
from dlx.ops.pool import adaptive_avg_pool1d, adaptive_avg_pool2d, sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = [
    "interpolate",
    "upsample_bilinear2d",
    "upsample_linear1d",
    "upsample_nearest1d",
    "upsample_nearest2d",
]


def upsample_nearest2d(input, size=None, scale_factor=None) -> Tensor:
    """y[p, q] = x[floor(p H / P), floor(q W / Q)].

    input: (N,C,H,W), float32 or float64; y: (N,C,P,Q), of `size` (P, Q) or an int, or
    P = floor(H scale_factor), for which 1 / scale_factor takes the place of H / P unless P is H or
    2 H: exactly one of both, numbers or pairs. The products are rounded to float32 before floor, as
    PyTorch's.
    Raises TypeError for another dtype, ValueError for a size below 1 and a scale_factor of 0 or
    less. PyTorch's definition."""
    (x,) = prepare("upsample_nearest2d", input, dtypes=FLOATING)
    return _upsample("upsample_nearest2d", x, 2, size, scale_factor, False, False)


def upsample_nearest1d(input, size=None, scale_factor=None) -> Tensor:
    """y[q] = x[floor(q L / Q)]: upsample_nearest2d along one axis. input: (N,C,L); y: (N,C,Q)."""
    (x,) = prepare("upsample_nearest1d", input, dtypes=FLOATING)
    return _upsample("upsample_nearest1d", x, 1, size, scale_factor, False, False)


def upsample_bilinear2d(input, size=None, scale_factor=None, align_corners=False) -> Tensor:
    """y[p, q] = x at (a (p + 1/2) - 1/2, b (q + 1/2) - 1/2), linear between its pixels along both
    axes and constant outside; a = H / P, b = W / Q, or 1 / scale_factor where that is given and
    P is not H.

    align_corners: at (p (H - 1) / (P - 1), ...), so that the pixels of the corners stay.
    Shapes, sizes, types and errors as upsample_nearest2d. PyTorch's definition."""
    (x,) = prepare("upsample_bilinear2d", input, dtypes=FLOATING)
    return _upsample("upsample_bilinear2d", x, 2, size, scale_factor, True, align_corners)


def upsample_linear1d(input, size=None, scale_factor=None, align_corners=False) -> Tensor:
    """y[q] = x at a (q + 1/2) - 1/2, linear between its pixels: upsample_bilinear2d along one axis.
    input: (N,C,L); y: (N,C,Q)."""
    (x,) = prepare("upsample_linear1d", input, dtypes=FLOATING)
    return _upsample("upsample_linear1d", x, 1, size, scale_factor, True, align_corners)


def interpolate(
    input,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
) -> Tensor:
    """input at another size, as PyTorch's interpolate.

    mode: "nearest" (see dlx.upsample_nearest2d), "linear" for (N,C,L) and "bilinear" for (N,C,H,W)
    (see dlx.upsample_bilinear2d), "area" (adaptive_avg_pool2d); align_corners only for the linear
    ones. size or scale_factor; recompute_scale_factor: take steps of H / P all the same.
    Raises ValueError for an unknown mode, for both or none of size and scale_factor, and for
    align_corners with "nearest" or "area"."""
    op = "interpolate"
    (x,) = prepare(op, input, dtypes=FLOATING)
    if mode not in _SHAPES:
        known = ", ".join(map(repr, _SHAPES))
        raise ValueError(f"{op}: expected a mode among {known}; got {mode!r}")
    axes = x.ndim - 2
    if axes not in _SHAPES[mode]:
        wanted = " or ".join(_SHAPES[mode].values())
        raise ValueError(f"{op}: mode {mode!r} expects x of shape {wanted}; x={x.shape}")
    between = mode in ("linear", "bilinear")
    if align_corners is not None and not between:
        raise ValueError(f"{op}: align_corners needs mode 'linear' or 'bilinear', got {mode!r}")
    if recompute_scale_factor and scale_factor is None:
        raise ValueError(f"{op}: recompute_scale_factor needs scale_factor, got size={size}")
    size, steps = _size_and_steps(op, x, axes, size, scale_factor)
    if mode == "area":
        return (adaptive_avg_pool1d if axes == 1 else adaptive_avg_pool2d)(x, size)
    if recompute_scale_factor:
        steps = _steps(x, size)
    return _resample(op, x, between, size, steps, bool(align_corners))


_IMAGE = {1: "(N, C, L)", 2: "(N, C, H, W)"}
_SHAPES = {"nearest": _IMAGE, "area": _IMAGE, "linear": {1: _IMAGE[1]}, "bilinear": {2: _IMAGE[2]}}


def _upsample(op, x, axes, size, scale_factor, between, align_corners):
    if x.ndim != axes + 2:
        raise ValueError(f"{op}: expected x of shape {_IMAGE[axes]}; x={x.shape}")
    size, steps = _size_and_steps(op, x, axes, size, scale_factor)
    return _resample(op, x, between, size, steps, bool(align_corners))


def _size_and_steps(op, x, axes, size, scale_factor):
    """y's extents, and how many pixels of x each of its pixels is wide."""
    if (size is None) == (scale_factor is None):
        both = f"size={size} scale_factor={scale_factor}"
        raise ValueError(f"{op}: expected either size or scale_factor, got {both}")
    if scale_factor is None:
        size = sizes(op, "size", size, axes)
        return size, _steps(x, size)
    scales = tuple(scale_factor) if isinstance(scale_factor, (tuple, list)) else (scale_factor,)
    scales = scales * axes if len(scales) == 1 else scales
    scales = tuple(float(_number(op, "scale_factor", s)) for s in scales)
    if len(scales) != axes or not all(0 < s < 2**53 for s in scales):
        wanted = "a number" if axes == 1 else "a number or two"
        raise ValueError(f"{op}: expected {wanted} above 0 as scale_factor, got {scale_factor!r}")
    size = tuple(int(n * s) for n, s in zip(x.shape[2:], scales, strict=True))
    return size, tuple(1.0 / s for s in scales)


def _steps(x, size):
    return tuple(n / m if m else 0.0 for n, m in zip(x.shape[2:], size, strict=True))


def _rounded(n, m, step, between):
    """The step from n pixels to m: PyTorch keeps pixels, or repeats each, whatever the scale."""
    if m == n:
        return 1.0
    return 0.5 if m == 2 * n and not between else step


def _resample(op, x, between, size, steps, align_corners):
    if align_corners:
        pairs = zip(x.shape[2:], size, strict=True)
        steps = tuple((n - 1) / (m - 1) if m > 1 else 0.0 for n, m in pairs)
    else:
        triples = zip(x.shape[2:], size, steps, strict=True)
        steps = tuple(_rounded(n, m, step, between) for n, m, step in triples)
    return _forward(x, (between, size, steps, align_corners), op)


# ------------------------------------------------------------------------------------ the rules


def _forward(x, attrs, op="upsample"):
    return record(_upsample_rule, (x,), _core.upsample(op, x, *attrs), (attrs,))


def _backward(g, shape, attrs):
    dx = _core.upsample_backward(g, shape, *attrs)
    return record(_upsample_backward_rule, (g,), dx, (shape, attrs))


def _upsample_transpose(g, x, attrs):
    return _backward(g, x.shape, attrs)


def _upsample_backward_transpose(g, x, shape, attrs):
    return _forward(g, attrs)


_upsample_rule = linear("upsample", _forward, _upsample_transpose)
_upsample_backward_rule = linear("upsample_backward", _backward, _upsample_backward_transpose)
