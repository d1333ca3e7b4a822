"""Convolution: three ops, linear in each input and one another's derivatives.

conv2d                  y(x, w)    sums over the kernel
conv_transpose2d        dx(dy, w)  its gradient with respect to x
conv2d_backward_weight  dw(x, dy)  its gradient with respect to w
"""

from __future__ import annotations

from dlx import _core
from dlx.autodiff import primitive, record
from dlx.ops._conv_arguments import (
    backward_weight_geometry,
    operands,
    plain_geometry,
    transposed_geometry,
)
from dlx.ops._prepare import FLOATING, prepare
from dlx.ops.reduce import sum
from dlx.ops.shape import broadcast_to, expand_dims, reshape, squeeze

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = ["conv1d", "conv2d", "conv2d_backward_weight", "conv_transpose1d", "conv_transpose2d"]


def conv2d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1) -> Tensor:
    """y[n,k,p,q] = b[k] + sum over c,r,s of w[k,c,r,s] x[n, c, h, q stride + s dilation - padding]
    with h = p stride + r dilation - padding.

    x: (N,C,H,W) or (C,H,W), zero outside; w: (K,C/groups,R,S); b: (K,) or None; y: (N,K,P,Q),
    P = floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1. stride, padding, dilation: an
    int or a pair; padding also "valid" (0) or "same" (P = H, stride 1; an odd total pads one more
    below and to the right). Output channel k sees the input channels of its group, k // (K/groups).

    All float32 or all float64, TypeError otherwise. Raises ValueError for channels, groups or a
    bias that do not fit, a stride or dilation below 1, a kernel larger than the padded image.
    Source: Dumoulin and Visin, A guide to convolution arithmetic (2016)."""
    return _convolve("conv2d", 2, x, w, b, stride, padding, dilation, groups)


def conv1d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1) -> Tensor:
    """y[n,k,q] = b[k] + sum over c,s of w[k,c,s] x[n, c, q stride + s dilation - padding].

    x: (N,C,L) or (C,L); w: (K,C/groups,S); b: (K,) or None; y: (N,K,Q). Otherwise as conv2d."""
    return _convolve("conv1d", 1, x, w, b, stride, padding, dilation, groups)


def conv_transpose2d(
    x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *, output_size=None
) -> Tensor:
    """The transpose of conv2d, its input gradient: x[n,c,p,q] w[c,k,r,s] is added to
    y[n, k, p stride + r dilation - padding, ...], which starts from b[k].

    x: (N,C,P,Q) or (C,P,Q); w: (C,K/groups,R,S); b: (K,) or None; y: (N,K,H,W),
    H = (P - 1) stride - 2 padding + dilation (R - 1) + output_padding + 1. Where conv2d makes one P
    of several H, output_padding (below stride or dilation) or output_size=(H, W) tells which.

    Types and errors as conv2d's. Source: Dumoulin and Visin (2016), section 4."""
    sizes = stride, padding, output_padding, groups, dilation, output_size
    return _convolve_transposed("conv_transpose2d", 2, x, w, b, *sizes)


def conv_transpose1d(
    x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *, output_size=None
) -> Tensor:
    """The transpose of conv1d, its input gradient.

    x: (N,C,Q) or (C,Q); w: (C,K/groups,S); b: (K,) or None; y: (N,K,L). Otherwise as
    conv_transpose2d."""
    sizes = stride, padding, output_padding, groups, dilation, output_size
    return _convolve_transposed("conv_transpose1d", 1, x, w, b, *sizes)


def conv2d_backward_weight(x, dy, kernel_size, stride=1, padding=0, dilation=1, groups=1) -> Tensor:
    """dw[k,c,r,s] = sum over n,p,q of dy[n,k,p,q] x[n, c, p stride + r dilation - padding, ...]:
    conv2d's gradient with respect to w.

    x: (N,C,H,W); dy: (N,K,P,Q), as conv2d makes it with these options; kernel_size: R and S, an int
    or a pair; dw: (K,C/groups,R,S). Types and errors as conv2d's."""
    op = "conv2d_backward_weight"
    x, dy = prepare(op, x, dy, dtypes=FLOATING)
    geometry = backward_weight_geometry(op, x, dy, kernel_size, stride, padding, dilation, groups)
    return _weight(x, dy, geometry)


def _convolve(op, dims, x, w, b, stride, padding, dilation, groups):
    x, w, b, single = operands(op, dims, x, w, b)
    geometry = plain_geometry(op, x, w, stride, padding, dilation, groups)
    return _batched(_conv2d, op, dims, single, x, w, b, geometry)


def _convolve_transposed(op, dims, x, w, b, *sizes):
    x, w, b, single = operands(op, dims, x, w, b)
    geometry = transposed_geometry(op, x, w, *sizes)
    return _batched(_conv_transpose2d, op, dims, single, x, w, b, geometry)


def _batched(function, op, dims, single, x, w, b, geometry):
    """function of a batch of images, whatever x is: one image, or images of one row."""
    if single:
        x = expand_dims(x, 0)
    if dims == 1:
        x, w = expand_dims(x, 2), expand_dims(w, 2)
    y = function(x, w, b, geometry, op)
    if dims == 1:
        y = squeeze(y, 2)
    return squeeze(y, 0) if single else y


# -------------------------------------------------------------------------------- the rules


def _conv2d(x, w, b, geometry, op="conv2d"):
    y = _core.conv2d(op, x, w, b, geometry.result, *geometry.options, geometry.groups)
    return record(_conv2d_rule, (x, w) if b is None else (x, w, b), y, (geometry,))


def _conv_transpose2d(dy, w, b, geometry, op="conv_transpose2d"):
    dx = _core.conv_transpose2d(op, dy, w, b, geometry.image, *geometry.options, geometry.groups)
    return record(_transpose_rule, (dy, w) if b is None else (dy, w, b), dx, (geometry,))


def _weight(x, dy, geometry):
    dw = _core.conv2d_backward_weight(x, dy, geometry.kernel, *geometry.options, geometry.groups)
    return record(_weight_rule, (x, dy), dw, (geometry,))


def _sum_of(*terms):
    total = None
    for term in terms:
        if term is not None:
            total = term if total is None else total + term
    return total


def _per_channel(db, y):
    return broadcast_to(reshape(db, (1, -1, 1, 1)), y.shape)


def _bilinear_jvp(function):
    """The tangent of function(a, b, bias or None, geometry)."""

    def jvp(tangents, y, a, b, *rest):
        da, db, *dbias = tangents
        geometry = rest[-1]
        return _sum_of(
            None if da is None else function(da, b, None, geometry),
            None if db is None else function(a, db, None, geometry),
            *[_per_channel(t, y) for t in dbias if t is not None],
        )

    return jvp


def _by_bias(g, y, a, b, bias, geometry):
    return sum(g, (0, 2, 3))


def _by_input(g, y, x, w, *rest):
    return _conv_transpose2d(g, w, None, rest[-1])


def _by_weight(g, y, x, w, *rest):
    return _weight(x, g, rest[-1])


_conv2d_rule = primitive(
    "conv2d",
    vjp=(_by_input, _by_weight, _by_bias),
    jvp=_bilinear_jvp(_conv2d),
    saves_inputs=3,
    saves_outputs=0,
)


def _transpose_by_input(g, y, dy, w, *rest):
    return _conv2d(g, w, None, rest[-1])


def _transpose_by_weight(g, y, dy, w, *rest):
    return _weight(g, dy, rest[-1])


_transpose_rule = primitive(
    "conv_transpose2d",
    vjp=(_transpose_by_input, _transpose_by_weight, _by_bias),
    jvp=_bilinear_jvp(_conv_transpose2d),
    saves_inputs=3,
    saves_outputs=0,
)


def _weight_by_image(g, y, x, dy, geometry):
    return _conv_transpose2d(dy, g, None, geometry)


def _weight_by_result(g, y, x, dy, geometry):
    return _conv2d(x, g, None, geometry)


_weight_rule = primitive(
    "conv2d_backward_weight",
    vjp=(_weight_by_image, _weight_by_result),
    jvp=_bilinear_jvp(lambda x, dy, _, geometry: _weight(x, dy, geometry)),
    saves_outputs=0,
)
