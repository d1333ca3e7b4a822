"""The arguments of the convolution family: what its users may pass, as pairs (rows, columns)."""

from __future__ import annotations

from dlx.ops._index_plan import as_int
from dlx.ops._prepare import FLOATING, prepare

__all__ = [
    "Geometry",
    "backward_weight_geometry",
    "operands",
    "plain_geometry",
    "transposed_geometry",
]


LIMIT = 2**31  # of one number


class Geometry:
    """What conv2d and its gradients share. image: (H, W) of x, kernel: (R, S) of w, result: (P, Q)
    of y; options: stride, padding (above, to the left), dilation."""

    __slots__ = ("groups", "image", "kernel", "options", "result")

    def __init__(self, image, kernel, result, options, groups):
        self.image, self.kernel, self.result = image, kernel, result
        self.options, self.groups = options, groups


def operands(op, dims, x, w, b):
    """x, w, b as given, and whether x is a single image; raises unless w has `dims` + 2 dimensions
    and x as many or one less."""
    if b is None:
        x, w = prepare(op, x, w, dtypes=FLOATING)
    else:
        x, w, b = prepare(op, x, w, b, dtypes=FLOATING)
    if x.ndim not in (dims + 1, dims + 2) or w.ndim != dims + 2:
        axes = "H,W" if dims == 2 else "L"
        raise ValueError(
            f"{op}: expected x of shape (N,C,{axes}) or (C,{axes}) and w of {dims + 2} dimensions; "
            f"x={x.shape} w={w.shape}"
        )
    return x, w, b, x.ndim == dims + 1


def plain_geometry(op, x, w, stride, padding, dilation, groups):
    """The geometry of op(x, w), and the padding below and to the right that made its result."""
    dims = w.ndim - 2
    image, kernel = x.shape[-dims:], w.shape[2:]
    stride, dilation, groups = _steps(op, dims, stride, dilation, groups)
    before, after = _padding(op, dims, padding, kernel, stride, dilation)
    result = _result(op, image, kernel, stride, before, after, dilation)
    return _geometry(dims, image, kernel, result, (stride, before, dilation), groups)


def transposed_geometry(op, x, w, stride, padding, output_padding, groups, dilation, output_size):
    """The geometry whose result is x's size."""
    dims = w.ndim - 2
    result, kernel = x.shape[-dims:], w.shape[2:]
    _check_kernel(op, kernel)
    stride, dilation, groups = _steps(op, dims, stride, dilation, groups)
    padding = _numbers(op, "padding", padding, dims, 0)
    least = [
        (p - 1) * s - 2 * b + d * (r - 1) + 1
        for p, s, b, d, r in zip(result, stride, padding, dilation, kernel)
    ]
    if output_size is None:
        more = _numbers(op, "output_padding", output_padding, dims, 0)
        for extra, s, d in zip(more, stride, dilation):
            if extra >= max(s, d):
                raise ValueError(
                    f"{op}: expected output_padding below stride or dilation; "
                    f"output_padding={more} stride={stride} dilation={dilation}"
                )
        image = tuple(n + extra for n, extra in zip(least, more))
        if min(image) < 1:
            raise ValueError(f"{op}: the result would be {image}; x={x.shape} w={w.shape}")
    else:
        image = _numbers(op, "output_size", output_size, dims, 1)
        most = tuple(n + s - 1 for n, s in zip(least, stride))
        if any(not low <= n <= high for low, n, high in zip(least, image, most)):
            raise ValueError(
                f"{op}: output_size={image} is impossible: it can be {tuple(least)} to {most}; "
                f"x={x.shape} w={w.shape}"
            )
    return _geometry(dims, image, kernel, result, (stride, padding, dilation), groups)


def backward_weight_geometry(op, x, dy, kernel_size, stride, padding, dilation, groups):
    """The geometry of conv2d, whose result is dy's size."""
    for name, t in (("x", x), ("dy", dy)):
        if t.ndim != 4:
            raise ValueError(f"{op}: expected {name} of 4 dimensions, got {name}={t.shape}")
    image, kernel = x.shape[2:], _numbers(op, "kernel_size", kernel_size, 2, 1)
    stride, dilation, groups = _steps(op, 2, stride, dilation, groups)
    before, after = _padding(op, 2, padding, kernel, stride, dilation)
    result = _result(op, image, kernel, stride, before, after, dilation)
    if dy.shape[2:] != result:
        raise ValueError(
            f"{op}: expected dy of size {result}, got {dy.shape[2:]}; x={x.shape} dy={dy.shape}"
        )
    return _geometry(2, image, kernel, result, (stride, before, dilation), groups)


def _geometry(dims, image, kernel, result, options, groups):
    if dims == 1:  # one row
        image, kernel, result = (1, *image), (1, *kernel), (1, *result)
        stride, padding, dilation = options
        options = (1, *stride), (0, *padding), (1, *dilation)
    return Geometry(image, kernel, result, options, groups)


def _numbers(op, name, value, count, least):
    """An int, or `count` ints, none below `least`, as a tuple."""
    if type(value) is int:
        values = (value,) * count
    elif isinstance(value, (tuple, list)):
        values = tuple(as_int(op, f"ints as {name}", v) for v in value)
        values = values * count if len(values) == 1 else values
        if len(values) != count:
            raise ValueError(f"{op}: expected {name} of {count} numbers, got {value!r}")
    else:
        values = (as_int(op, f"an int or {count} of them as {name}", value),) * count
    if min(values) < least:
        raise ValueError(f"{op}: expected {name} >= {least}, got {value!r}")
    if max(values) >= LIMIT:
        raise ValueError(f"{op}: expected {name} below {LIMIT}, got {value!r}")
    return values


def _steps(op, dims, stride, dilation, groups):
    groups = as_int(op, "an int as groups", groups)
    if not 1 <= groups < LIMIT:
        raise ValueError(f"{op}: expected groups >= 1, got {groups}")
    return (
        _numbers(op, "stride", stride, dims, 1),
        _numbers(op, "dilation", dilation, dims, 1),
        groups,
    )


def _padding(op, dims, padding, kernel, stride, dilation):
    """Rows and columns of zeros before and after the image."""
    if not isinstance(padding, str):
        padding = _numbers(op, "padding", padding, dims, 0)
        return padding, padding
    if padding == "valid":
        return (0,) * dims, (0,) * dims
    if padding != "same":
        raise ValueError(
            f'{op}: expected padding "same", "valid" or numbers, got padding={padding!r}'
        )
    if any(s != 1 for s in stride):
        raise ValueError(f'{op}: padding="same" works with stride 1 only, got stride={stride}')
    total = [d * (r - 1) for d, r in zip(dilation, kernel)]
    return tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)


def _check_kernel(op, kernel):
    if min(kernel) < 1:
        raise ValueError(f"{op}: expected a kernel of at least one element, got {kernel}")


def _result(op, image, kernel, stride, before, after, dilation):
    _check_kernel(op, kernel)
    size = []
    for n, r, s, b, a, d in zip(image, kernel, stride, before, after, dilation):
        padded, reach = n + b + a, d * (r - 1) + 1
        if reach > padded:
            raise ValueError(
                f"{op}: a kernel of {kernel} with dilation {dilation} is larger than the padded "
                f"image: {image} with padding {before}"
            )
        size.append((padded - reach) // s + 1)
    return tuple(size)
