"""Differences instead of derivatives: what gradients are checked against."""

from __future__ import annotations

from dlx import _core
from dlx.autodiff import no_grad

__all__ = ["gradcheck", "numeric_grad"]


def _float64(values, device):
    return _core.from_data(values, "float64", device.code)


def _values(x):
    from numpy import asarray

    return asarray(x.detach().cpu())


def _check(op, fn, x):
    if not callable(fn):
        raise TypeError(f"{op}: expected a function, got {type(fn).__name__}")
    for i, each in enumerate(x):
        if not isinstance(each, _core.TensorBase) or each.dtype.name != "float64":
            got = each.dtype.name if isinstance(each, _core.TensorBase) else type(each).__name__
            raise TypeError(f"{op}: expected a float64 Tensor as argument {i}, got {got}")


def numeric_grad(fn, *x, eps=1e-6):
    """Central differences of sum(fn(*x)) with respect to every x: (f(x + eps) - f(x - eps)) / (2
    eps).

    x: float64 Tensors (float32 has too few digits: TypeError). Returns a Tensor, or a tuple when
    there are several."""
    import numpy as np

    _check("numeric_grad", fn, x)
    values = [np.array(_values(each)) for each in x]

    def total():
        with no_grad():
            y = fn(*[_float64(v, each.device) for v, each in zip(values, x)])
            outputs = y if isinstance(y, (tuple, list)) else (y,)
            return sum(float(_values(out).astype(np.float64).sum()) for out in outputs)

    gradients = []
    for v in values:
        g = np.empty_like(v)
        for index in np.ndindex(v.shape):
            kept = v[index]
            v[index] = kept + eps
            high = total()
            v[index] = kept - eps
            low = total()
            v[index] = kept
            g[index] = (high - low) / (2 * eps)
        gradients.append(_float64(g, x[len(gradients)].device))
    return gradients[0] if len(x) == 1 else tuple(gradients)


def gradcheck(fn, *x, eps=1e-6, tolerance=1e-6, seed=0, forward=True):
    """True when both modes agree with central differences along random directions; else
    RuntimeError with the figures.

    For random u and v: <u, J v> from vjp, from jvp and from (f(x + eps v) - f(x - eps v)) / (2 eps)
    agree within `tolerance` relative to the sum of the absolute terms. x: float64 Tensors away from
    kinks. forward=False leaves jvp out, for a custom op that has a vjp rule only."""
    import numpy as np

    from dlx._transforms import jvp, vjp

    _check("gradcheck", fn, x)
    rng = np.random.default_rng(seed)
    points = [each.detach() for each in x]
    y, pullback = vjp(fn, *points)
    single = not isinstance(y, (tuple, list))
    outputs = (y,) if single else y
    u = [_float64(rng.standard_normal(out.shape), out.device) for out in outputs]
    reverse = pullback(u[0] if single else tuple(u))
    reverse = (reverse,) if len(x) == 1 else reverse

    def project(values):
        values = (values,) if single else values
        terms = [_values(a) * _values(b) for a, b in zip(values, u)]
        return sum(t.sum() for t in terms), sum(np.abs(t).sum() for t in terms)

    for i in range(len(x)):
        directions = [np.zeros(p.shape) for p in points]
        directions[i] = rng.standard_normal(points[i].shape)
        v = [_float64(d, p.device) for d, p in zip(directions, points)]
        with no_grad():
            high, high_size = project(fn(*[p + eps * d for p, d in zip(points, v)]))
            low, low_size = project(fn(*[p - eps * d for p, d in zip(points, v)]))
        numeric = (high - low) / (2 * eps)
        backward = float((_values(reverse[i]) * directions[i]).sum())
        size = float(np.abs(_values(reverse[i]) * directions[i]).sum())
        found = {"vjp": backward}
        if forward:
            found["jvp"], jvp_size = project(jvp(fn, points, v)[1])
            size = max(size, jvp_size)
        # Differences carry the rounding of f itself, divided by eps.
        allowed = tolerance * (1 + abs(numeric) + size) + 1e-15 * (high_size + low_size) / eps
        for mode, got in found.items():
            if not abs(got - numeric) <= allowed:
                raise RuntimeError(
                    f"gradcheck: argument {i}: {mode} gives {got!r}, differences give "
                    f"{float(numeric)!r}, allowed are {allowed:.1e}"
                )
    return True
