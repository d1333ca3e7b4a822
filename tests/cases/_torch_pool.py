"""Pooling and resampling as PyTorch spells them. It has neither sums nor padding="same": counts and
borders stand in."""

from __future__ import annotations

INFINITY = float("inf")


def _numbers(value, axes):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes


def _bordered(torch, x, kernel, stride, dilation, value):
    """x with the borders of padding="same"."""
    borders = []
    for n, k, s, d in zip(x.shape[-len(kernel) :], kernel, stride, dilation, strict=True):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        borders = [total // 2, total - total // 2, *borders]
    return torch.nn.functional.pad(x, borders, value=value)


def _max_pool(axes):
    def call(torch, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
        stride = kernel_size if stride is None else stride
        if padding == "same":
            windows = [_numbers(v, axes) for v in (kernel_size, stride, dilation)]
            x = _bordered(torch, x, *windows, -INFINITY)
        padding = 0 if isinstance(padding, str) else padding
        function = getattr(torch.nn.functional, f"max_pool{axes}d")
        return function(x, kernel_size, stride, padding, dilation, ceil_mode)

    return call


def _avg_pool(axes, total):
    """The mean, or the sum if `total`."""

    def call(torch, x, kernel_size, stride=None, padding=0, **options):
        pool = torch.nn.functional.avg_pool2d
        stride = kernel_size if stride is None else stride
        options |= {"divisor_override": 1} if total else {}
        if axes == 1:
            x, kernel_size, stride = x.unsqueeze(-2), (1, kernel_size), (1, stride)
            padding = padding if isinstance(padding, str) else (0, padding)
        if padding == "same":
            windows = [_numbers(v, 2) for v in (kernel_size, stride, 1)]
            sums, counts = (
                pool(_bordered(torch, t, *windows, 0), kernel_size, stride, divisor_override=1)
                for t in (x, torch.ones_like(x))
            )
            y = sums if total else sums / counts
        else:
            padding = 0 if isinstance(padding, str) else padding
            y = pool(x, kernel_size, stride, padding, **options)
        return y.squeeze(-2) if axes == 1 else y

    return call


def _adaptive(name):
    return lambda torch, x, output_size: getattr(torch.nn.functional, name)(x, output_size)


def _resized(mode):
    def call(torch, x, **options):
        options.setdefault("mode", mode)
        return torch.nn.functional.interpolate(x, **options)

    return call


POOLING = {
    **{f"max_pool{axes}d": _max_pool(axes) for axes in (1, 2)},
    **{f"avg_pool{axes}d": _avg_pool(axes, total=False) for axes in (1, 2)},
    **{f"sum_pool{axes}d": _avg_pool(axes, total=True) for axes in (1, 2)},
    **{
        f"adaptive_{kind}_pool{axes}d": _adaptive(f"adaptive_{kind}_pool{axes}d")
        for kind in ("avg", "max")
        for axes in (1, 2)
    },
    **{f"upsample_nearest{axes}d": _resized("nearest") for axes in (1, 2)},
    "upsample_linear1d": _resized("linear"),
    "upsample_bilinear2d": _resized("bilinear"),
    "interpolate": _resized("nearest"),
}
