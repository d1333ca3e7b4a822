"""Rows bound by memory: pointwise, pooling, norms, softmax; forward and backward.

PyTorch's out= forms write into memory that exists, as dlx's results do from the second call on;
what eager PyTorch takes stands beside it.
"""

from __future__ import annotations

import math

import numpy as np

import dlx
from dlx._bench.measure import DLX, EAGER, INTO, Pass, Row, Subject, gradients_of

IMAGES = ((64, 64, 56, 56), (16, 64, 56, 56))
ROWS_OF_CLASSES = (4096, 1000)


def rows():
    images = [_row(name, shape) for shape in IMAGES for name in _OF_IMAGES]
    return images + [_row(name, ROWS_OF_CLASSES) for name in _OF_CLASSES]


def drawn(rng, count):
    """The same ops on images of other sizes."""
    found = []
    for _ in range(count):
        name = str(rng.choice(list(_OF_IMAGES)))
        n, c = (int(2 ** rng.uniform(1, 7)) for _ in range(2))
        side = 2 * int(2 ** rng.uniform(1, 5))
        found.append(_row(name, (n, c, side, side)))
    return found


def _row(name, shape):
    make = (_OF_IMAGES | _OF_CLASSES)[name]
    return Row(f"{name} {'x'.join(map(str, shape))}", lambda torch: make(torch, shape))


def _normal(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _pointwise(ours, theirs, out=None, inputs=1, options=()):
    """Of `inputs` arrays; `ours` and `theirs` name the functions, `out` PyTorch's out= form, called
    with `options` too."""

    def make(torch, shape):
        arrays = [_normal(shape, seed) for seed in range(inputs)]
        tensors = [dlx.tensor(a) for a in arrays]
        function = getattr(dlx, ours, None) or getattr(dlx.nn.functional, ours)
        calls = {DLX: lambda: function(*tensors)}
        if torch is not None:
            given = [torch.from_numpy(a) for a in arrays]
            eager = getattr(torch, theirs, None) or getattr(torch.nn.functional, theirs)
            into = eager(*given)
            overload = getattr(torch.ops.aten, out or theirs).out
            calls[INTO] = lambda: overload(*given, *options, out=into)
            calls[EAGER] = lambda: eager(*given)
        size = 4.0 * math.prod(shape)
        return Subject(calls, passes=(Pass(inputs * size, size),))

    return make


def _sum(torch, shape):
    a = _normal(shape)
    x = dlx.tensor(a)
    calls = {DLX: lambda: dlx.sum(x)}
    if torch is not None:
        xt = torch.from_numpy(a)
        calls[EAGER] = lambda: torch.sum(xt)
    return Subject(calls, passes=(Pass(a.nbytes, 0.0),), tolerance=1e-2)


def _permute(torch, shape):
    """NCHW to NHWC, copied."""
    a = _normal(shape)
    x = dlx.permute_dims(dlx.tensor(a), (0, 2, 3, 1))
    calls = {DLX: lambda: x.contiguous()}
    if torch is not None:
        xt = torch.from_numpy(a).permute(0, 2, 3, 1)
        into = torch.empty(xt.shape)
        calls[INTO] = lambda: into.copy_(xt)
        calls[EAGER] = lambda: xt.contiguous()
    return Subject(calls, passes=(Pass(a.nbytes, a.nbytes),))


def _pool(kind, backward):
    """2x2, stride 2."""

    def make(torch, shape):
        a = _normal(shape)
        x = dlx.tensor(a, requires_grad=backward)
        function = getattr(dlx.nn.functional, f"{kind}_pool2d")
        y = function(x, 2)
        dy = _normal(y.shape, 1)
        calls = {DLX: gradients_of(y, [x], dlx.tensor(dy)) if backward else lambda: function(x, 2)}
        if torch is not None:
            xt = torch.from_numpy(a)
            xt.requires_grad = backward
            eager = getattr(torch.nn.functional, f"{kind}_pool2d")
            yt, dyt = eager(xt, 2), torch.from_numpy(dy)
            calls[EAGER] = gradients_of(yt, [xt], dyt) if backward else lambda: eager(xt, 2)
            calls[INTO] = _torch_pool(torch, kind, backward, xt.detach(), dyt)
        size, small = 4.0 * math.prod(shape), float(math.prod(y.shape))
        # Offsets of the maxima, a byte each: there are none without a gradient.
        little = (5 if kind == "max" and backward else 4) * small
        moved = Pass(little, size, False) if backward else Pass(size, little, False)
        return Subject(calls, passes=(moved,))

    return make


def _torch_pool(torch, kind, backward, x, dy):
    aten = torch.ops.aten
    into = torch.empty_like(x if backward else dy)
    if kind == "avg":
        window = ([2, 2], [2, 2], [0, 0], False, True, None)
        if backward:
            return lambda: aten.avg_pool2d_backward.grad_input(dy, x, *window, grad_input=into)
        return lambda: aten.avg_pool2d.out(x, *window, out=into)
    window = ([2, 2], [2, 2], [0, 0], [1, 1], False)
    indices = aten.max_pool2d_with_indices(x, *window)[1]
    if backward:
        run = aten.max_pool2d_with_indices_backward.grad_input
        return lambda: run(dy, x, *window, indices, grad_input=into)
    run = aten.max_pool2d_with_indices.out
    return lambda: run(x, *window, out=into, indices=indices)[0]


def _batch_norm(backward):
    """In training: statistics of the batch."""

    def make(torch, shape):
        a, dy = _normal(shape), _normal(shape, 1)
        x = dlx.tensor(a, requires_grad=backward)
        ones = np.ones(shape[1], np.float32)
        scale = [dlx.tensor(ones, requires_grad=backward) for _ in range(2)]
        function = dlx.nn.functional.batch_norm

        def forward():
            return function(x, None, None, *scale, training=True)

        calls = {DLX: forward}
        if backward:
            calls[DLX] = gradients_of(forward(), [x, *scale], dlx.tensor(dy))
        if torch is not None:
            xt = torch.tensor(a, requires_grad=backward)
            scale_t = [torch.ones(shape[1], requires_grad=backward) for _ in range(2)]
            eager = torch.nn.functional.batch_norm

            def theirs():
                return eager(xt, None, None, *scale_t, training=True)

            calls[EAGER] = theirs
            if backward:
                dyt = torch.from_numpy(dy)
                calls[EAGER] = gradients_of(theirs(), [xt, *scale_t], dyt)
            else:
                into = [torch.empty_like(xt)] + [torch.empty(shape[1]) for _ in range(2)]
                run = torch.ops.aten.native_batch_norm.out
                given = (xt, *scale_t, None, None, True, 0.1, 1e-5)
                names = ("out", "save_mean", "save_invstd")
                calls[INTO] = lambda: run(*given, **dict(zip(names, into)))[0]
        read = float(a.nbytes * (2 if backward else 1))
        passes = Pass(read, 0.0), Pass(read, a.nbytes)  # which needs what the first has found
        return Subject(calls, passes=passes, tolerance=1e-3)

    return make


def _softmax(torch, shape):
    a = _normal(shape)
    x = dlx.tensor(a)
    calls = {DLX: lambda: dlx.softmax(x, axis=-1)}
    if torch is not None:
        xt = torch.from_numpy(a)
        into = torch.empty_like(xt)
        calls[INTO] = lambda: torch.softmax(xt, -1, out=into)
        calls[EAGER] = lambda: torch.softmax(xt, -1)
    return Subject(calls, passes=(Pass(a.nbytes, a.nbytes),))


def _layer_norm(torch, shape):
    a, width = _normal(shape), shape[1]
    ours = dlx.tensor(a), (width,), dlx.ones((width,)), dlx.zeros((width,))
    calls = {DLX: lambda: dlx.nn.functional.layer_norm(*ours)}
    if torch is not None:
        theirs = torch.from_numpy(a), (width,), torch.ones(width), torch.zeros(width)
        into = [torch.empty(shape)] + [torch.empty(shape[0], 1) for _ in range(2)]
        run = torch.ops.aten.native_layer_norm.out
        names = ("out0", "out1", "out2")
        calls[INTO] = lambda: run(*theirs, 1e-5, **dict(zip(names, into)))[0]
        calls[EAGER] = lambda: torch.nn.functional.layer_norm(*theirs)
    return Subject(calls, passes=(Pass(a.nbytes, a.nbytes),), tolerance=1e-3)


def _cross_entropy(torch, shape):
    """The loss and its gradient."""
    a, y = _normal(shape), np.random.default_rng(1).integers(shape[1], size=shape[0])

    def runner(library, x, labels):
        def run():
            x.grad = None
            loss = library.nn.functional.cross_entropy(x, labels)
            loss.backward()
            return loss, x.grad

        return run

    calls = {DLX: runner(dlx, dlx.tensor(a, requires_grad=True), dlx.tensor(y))}
    if torch is not None:
        calls[EAGER] = runner(torch, torch.tensor(a, requires_grad=True), torch.tensor(y))
    return Subject(calls, passes=(Pass(2.0 * a.nbytes, a.nbytes),))


_OF_IMAGES = {
    "relu": _pointwise("relu", "relu", out="clamp_min", options=(0,)),  # aten.relu.out copies
    "sigmoid": _pointwise("sigmoid", "sigmoid"),
    "gelu": _pointwise("gelu", "gelu"),
    "add": _pointwise("add", "add", inputs=2),
    "sum": _sum,
    "permute": _permute,
    "max_pool 2x2 forward": _pool("max", False),
    "max_pool 2x2 backward": _pool("max", True),
    "avg_pool 2x2 forward": _pool("avg", False),
    "avg_pool 2x2 backward": _pool("avg", True),
    "batch_norm forward": _batch_norm(False),
    "batch_norm backward": _batch_norm(True),
}
_OF_CLASSES = {
    "softmax": _softmax,
    "layer_norm": _layer_norm,
    "cross_entropy with gradient": _cross_entropy,
}
