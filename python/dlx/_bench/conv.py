"""Rows: convolutions, forward and both gradients together."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

import dlx
from dlx._bench.measure import DLX, EAGER, LAST, Pass, Row, Subject, gradients_of

# name: (x, w, options); "transpose" is a transposed convolution.
SHAPES = {
    "8@3x3 on 64x1x28x28": ((64, 1, 28, 28), (8, 1, 3, 3), {"padding": 1}),
    "16@5x5 on 64x8x14x14": ((64, 8, 14, 14), (16, 8, 5, 5), {}),
    "16@3x3 on 64x16x32x32": ((64, 16, 32, 32), (16, 16, 3, 3), {"padding": 1}),
    "64@3x3 on 64x64x8x8": ((64, 64, 8, 8), (64, 64, 3, 3), {"padding": 1}),
    "64@3x3 on 8x64x56x56": ((8, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
    "64@1x1 on 8x256x56x56": ((8, 256, 56, 56), (64, 256, 1, 1), {}),
    "64@7x7 s2 on 8x3x224x224": ((8, 3, 224, 224), (64, 3, 7, 7), {"padding": 3, "stride": 2}),
    "256@3x3 on 8x256x28x28": ((8, 256, 28, 28), (256, 256, 3, 3), {"padding": 1}),
    "depthwise 3x3 on 8x128x56x56": (
        (8, 128, 56, 56),
        (128, 1, 3, 3),
        {"padding": 1, "groups": 128},
    ),
    "transposed 64@2x2 s2 on 8x128x28x28": (
        (8, 128, 28, 28),
        (128, 64, 2, 2),
        {"stride": 2, "transpose": True},
    ),
    "transposed 64@4x4 s2 on 32x128x14x14": (
        (32, 128, 14, 14),
        (128, 64, 4, 4),
        {"stride": 2, "padding": 1, "transpose": True},
    ),
}


def rows():
    return [row for name, shape in SHAPES.items() for row in both(name, *shape)]


def both(name, x, w, options):
    return [
        Row(f"{name}, {what}", partial(prepare, x=x, w=w, options=options))
        for what, prepare in (("forward", forward), ("backward", backward))
    ]


def drawn(rng, count):
    """Of 10 to 500 MFLOP, images up to 64 pixels wide."""
    found = []
    while len(found) < count:
        n, c, k = (int(2 ** rng.uniform(0, high)) for high in (6, 8, 8))
        size, taps = int(2 ** rng.uniform(2.5, 6)), int(rng.choice([1, 3, 3, 3, 5, 7]))
        stride = int(rng.choice([1, 1, 2]))
        options = {"padding": taps // 2, "stride": stride}
        if rng.uniform() < 0.2:
            options["transpose"] = True
        x, w = (n, c, size, size), (k, c, taps, taps)
        if "transpose" in options:
            w = (c, k, taps, taps)
        if 1e7 < flops_of(x, w, options) < 5e8 and taps <= size:
            kind = "transposed " if "transpose" in options else ""
            name = f"{kind}{k}@{taps}x{taps} s{stride} on {n}x{c}x{size}x{size}"
            what = forward if rng.uniform() < 0.5 else backward
            found.append(
                Row(
                    f"{name}, {what.__name__}",
                    partial(what, x=x, w=w, options=options),
                )
            )
    return found


def flops_of(x, w, options):
    """Every tap of every output pixel counts, of those outside the image too."""
    stride, padding = options.get("stride", 1), options.get("padding", 0)
    if options.get("transpose"):
        return 2.0 * math.prod(x) * math.prod(w[1:])
    out = [(size + 2 * padding - taps) // stride + 1 for size, taps in zip(x[2:], w[2:])]
    return 2.0 * x[0] * math.prod(out) * math.prod(w)


def _setting(torch, x, w, options):
    """The function's name and options, dlx's tensors, PyTorch's by layout."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s).astype(np.float32) for s in (x, w)]
    options = dict(options)
    name = "conv_transpose2d" if options.pop("transpose", False) else "conv2d"
    ours = [dlx.tensor(a) for a in arrays]
    theirs = {}
    if torch is not None:
        for rival, layout in (
            (EAGER, torch.contiguous_format),
            (LAST, torch.channels_last),
        ):
            theirs[rival] = [torch.tensor(a).contiguous(memory_format=layout) for a in arrays]
    return name, options, ours, theirs


def forward(torch, x, w, options):
    flops = flops_of(x, w, options)
    name, options, ours, theirs = _setting(torch, x, w, options)
    function = getattr(dlx, name)
    calls = {DLX: lambda: function(*ours, **options)}
    for rival, given in theirs.items():
        calls[rival] = partial(getattr(torch.nn.functional, name), *given, **options)
    y = function(*ours, **options)
    passes = (Pass(4.0 * (math.prod(x) + math.prod(w)), 4.0 * y.numel()),)
    return Subject(calls, flops, passes)


def backward(torch, x, w, options):
    """Gradients of x and w, given that of the result."""
    flops = 2 * flops_of(x, w, options)
    name, options, ours, theirs = _setting(torch, x, w, options)

    def runner(function, tensors, gradient):
        for t in tensors:
            t.requires_grad = True
        return gradients_of(function(*tensors, **options), tensors, gradient)

    y = getattr(dlx, name)(*ours, **options)
    dy = np.random.default_rng(1).normal(size=y.shape).astype(np.float32)
    calls = {DLX: runner(getattr(dlx, name), ours, dlx.tensor(dy))}
    for rival, tensors in theirs.items():
        layout = torch.channels_last if rival == LAST else torch.contiguous_format
        gradient = torch.from_numpy(dy).contiguous(memory_format=layout)
        calls[rival] = runner(getattr(torch.nn.functional, name), tensors, gradient)
    weights = math.prod(x) + math.prod(w)
    passes = (Pass(4.0 * (weights + dy.size), 4.0 * weights),)
    return Subject(calls, flops, passes, tolerance=1e-3)
