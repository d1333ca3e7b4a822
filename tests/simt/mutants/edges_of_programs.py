"""As edges.py, of programs: launches that dlx.jit has joined."""

from __future__ import annotations

import dlx
from dlx.nn import functional as F
from simt.mutants.beyond import BEYOND
from test_jit_fusion import CASES, numbers

DTYPES = ("float32", "float64", "bfloat16", "float16", "int32")


def joined(function, shapes):
    def replayed(device):
        found = []
        for dtype in DTYPES:
            if dtype == "int32" and function.__name__ not in ("masks", "cast_inside", "row"):
                continue  # dlx.exp and the like take no integers
            with dlx.device(device):
                jitted = dlx.jit(function)
                for call in range(4):  # the last one is a replay
                    y = jitted(*[numbers(call + 10 * i, *s, dtype=dtype) for i, s in shapes])
            found.append([t.astype("float64") for t in (y if isinstance(y, tuple) else (y,))])
        return found

    replayed.__name__ = f"joined_{function.__name__}_{len(BEYOND)}"
    return replayed


for function, shapes, _ in CASES:
    BEYOND.append(joined(function, list(enumerate(shapes))))


def reduced(kind, axis):
    """With a reduction of what they make, of numbers, integers and bools; stored, and not."""

    def step(x, y):
        z = x * y - 1
        return kind(z, axis=axis), z, kind(x + y, axis=axis)

    def count(x, y):
        return (x > y).sum(axis)

    def replayed(device):
        found = []
        for dtype in DTYPES:
            if kind is dlx.mean and dtype == "int32":
                continue  # of floats only
            for function in (step, count):
                with dlx.device(device):
                    jitted = dlx.jit(function)
                    for call in range(4):
                        y = jitted(*[numbers(call + i, 5, 2049, dtype=dtype) * 9 for i in range(2)])
                found += [t.astype("float64") for t in (y if isinstance(y, tuple) else (y,))]
        return found

    replayed.__name__ = f"reduced_{kind.__name__}_{axis}"
    return replayed


for kind in (dlx.sum, dlx.mean, dlx.max, dlx.min):
    for axis in (None, -1):
        BEYOND.append(reduced(kind, axis))


def normalised(dtype, shape):
    """Batch norm that adds and clips, again in backward, and on running statistics."""

    def step(x, r, weight, bias, mean, var):
        x, r, weight, bias = (t.detach() for t in (x, r, weight, bias))
        x.requires_grad = weight.requires_grad = r.requires_grad = True
        y = x
        for _ in range(3):
            y = F.relu(F.batch_norm(y * 1.5, mean, var, weight, bias, training=True))
            y = F.relu(F.batch_norm(dlx.sin(y), mean, var, weight, bias, training=True) + r)
        (y * y).sum().backward()
        with dlx.no_grad():
            z = F.relu(F.batch_norm(x, mean, var, weight, bias) + r)
        return y.detach(), z, x.grad, weight.grad, r.grad

    def replayed(device):
        with dlx.device(device):
            jitted = dlx.jit(step)
            channels = shape[1]
            mean, var = dlx.zeros((channels,), dtype=dtype), dlx.ones((channels,), dtype=dtype)
            for call in range(4):
                inputs = [
                    numbers(call + i, *s, dtype=dtype) for i, s in enumerate(shapes_of(shape))
                ]
                found = jitted(*inputs, mean, var)
        return [*found, mean, var]

    replayed.__name__ = f"normalised_{dtype}_{len(shape)}"
    return replayed


def shapes_of(shape):
    return shape, shape, (shape[1],), (shape[1],)


for dtype in ("float32", "float64"):
    for shape in ((5, 3, 6, 4), (9, 7)):
        BEYOND.append(normalised(dtype, shape))
