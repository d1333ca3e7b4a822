"""Rows of `dlx bench` and benchmarks/convolution.py: convolutions beside PyTorch's."""

from __future__ import annotations

import math

import dlx
from dlx._bench import interleave

__all__ = ["ROWS", "main", "measure"]

# name: (x, w, options); with w of 3 dimensions a conv1d, "transpose" a transposed convolution.
ROWS = {
    "course conv1 8@3x3": ((64, 1, 28, 28), (8, 1, 3, 3), {"padding": 1}),
    "course conv2 16@5x5": ((64, 8, 14, 14), (16, 8, 5, 5), {}),
    "VGG 64@3x3, 32x32": ((32, 64, 32, 32), (64, 64, 3, 3), {"padding": 1}),
    "ResNet-20 16@3x3, 32x32": ((32, 16, 32, 32), (16, 16, 3, 3), {"padding": 1}),
    "ResNet-20 32@3x3, 16x16": ((32, 32, 16, 16), (32, 32, 3, 3), {"padding": 1}),
    "ResNet-20 64@3x3, 8x8": ((32, 64, 8, 8), (64, 64, 3, 3), {"padding": 1}),
    "ResNet-20 32@3x3 stride 2": (
        (32, 16, 32, 32),
        (32, 16, 3, 3),
        {"padding": 1, "stride": 2},
    ),
    "1x1 128, 16x16": ((32, 64, 16, 16), (128, 64, 1, 1), {}),
    "1x1 stride 2": ((32, 64, 16, 16), (128, 64, 1, 1), {"stride": 2}),
    "5x5 32, 3 channels": ((32, 3, 32, 32), (32, 3, 5, 5), {"padding": 2}),
    "7x7 stride 2, 3 channels": ((8, 3, 112, 112), (64, 3, 7, 7), {"padding": 3, "stride": 2}),
    "dilated 3x3": ((32, 32, 16, 16), (32, 32, 3, 3), {"padding": 2, "dilation": 2}),
    "depthwise 3x3": ((32, 64, 32, 32), (64, 1, 3, 3), {"padding": 1, "groups": 64}),
    "grouped 3x3": ((32, 64, 16, 16), (64, 16, 3, 3), {"padding": 1, "groups": 4}),
    "conv1d 5": ((32, 64, 256), (64, 64, 5), {"padding": 2}),
    "one image 64@3x3": ((1, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
    "transpose 4x4 stride 2": (
        (64, 128, 7, 7),
        (128, 64, 4, 4),
        {"padding": 1, "stride": 2, "transpose": True},
    ),
    "transpose to 1 channel": (
        (64, 64, 14, 14),
        (64, 1, 4, 4),
        {"padding": 1, "stride": 2, "transpose": True},
    ),
}
PASSES = ("forward", "input gradient", "weight gradient")


def _passes(library, x, w, options, ones_like):
    """{pass: a function that runs it}"""
    options = dict(options)
    kind = "conv_transpose" if options.pop("transpose", False) else "conv"
    function = getattr(library, f"{kind}{w.ndim - 2}d")

    def backward(to):
        to.requires_grad = True
        y = function(x, w, **options)
        to.requires_grad = False
        g = ones_like(y)

        def run():
            to.grad = None
            y.backward(g, retain_graph=True)

        return run

    return dict(zip(PASSES, (lambda: function(x, w, **options), backward(x), backward(w))))


def measure(row, torch, turns):
    """{pass: {"dlx": seconds, "PyTorch": seconds}}, PyTorch's where it is installed."""
    x, w, options = row
    rivals = {
        "dlx": _passes(dlx, dlx.random.normal(x), dlx.random.normal(w), options, dlx.ones_like)
    }
    if torch is not None:
        functional = torch.nn.functional
        rivals["PyTorch"] = _passes(
            functional, torch.randn(*x), torch.randn(*w), options, torch.ones_like
        )
    return {p: interleave({n: calls[p] for n, calls in rivals.items()}, turns) for p in PASSES}


def _flops(row):
    """Of a pass; all three have the same."""
    x, w, options = row
    if options.get("transpose"):
        return 2 * math.prod(x) * math.prod(w[1:])
    function = dlx.conv1d if len(x) == 3 else dlx.conv2d
    return 2 * function(dlx.zeros(x), dlx.zeros(w), **options).numel() * math.prod(w[1:])


def main(torch, only="", turns=12):
    """Print the table of the rows with `only` in their names, and the worst ratio."""
    theirs = f" {'PyTorch us':>11} {'ratio':>6}" if torch is not None else ""
    print(f"{'convolution, float32':<45}{'dlx us':>9} {'GFLOP/s':>8}{theirs}")
    worst = 0.0, ""
    for name, row in ROWS.items():
        if only not in name:
            continue
        flops = _flops(row)
        for what, times in measure(row, torch, turns).items():
            ours = times["dlx"]
            line = f"  {name:<27}{what:<16}{1e6 * ours:>9.0f} {1e-9 * flops / ours:>8.0f}"
            if torch is not None:
                ratio = ours / times["PyTorch"]
                worst = max(worst, (ratio, f"{name}, {what}"))
                line += f" {1e6 * times['PyTorch']:>11.0f} {ratio:>6.2f}"
            print(line, flush=True)
    if torch is not None:
        print(f"  the slowest beside PyTorch takes {worst[0]:.2f} of its time: {worst[1]}")
