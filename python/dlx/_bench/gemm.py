"""Rows: products of matrices, and the dense layer."""

from __future__ import annotations

from functools import partial

import numpy as np

import dlx
from dlx._bench.measure import DLX, EAGER, INTO, Pass, Row, Subject

SIZES = (64, 128, 256, 512, 1024, 2048, 4096)
LINEAR = ((64, 784, 10), (64, 784, 1024), (128, 512, 512), (32, 1024, 4096), (1, 4096, 4096))


def rows():
    square = [
        Row(f"{n} {kind}", partial(product, m=n, n=n, k=n, kind=kind))
        for n in SIZES
        for kind in ("NN", "NT", "TN")
    ]
    double = [
        Row(f"{n} NN float64", partial(product, m=n, n=n, k=n, kind="NN", dtype="float64"))
        for n in (512, 1024, 2048)
    ]
    half = [
        Row(f"{n} NN bfloat16", partial(product, m=n, n=n, k=n, kind="NN", dtype="bfloat16"))
        for n in (1024, 2048)
    ]
    layers = [
        Row(f"linear ({m}, {k}) -> {n}", partial(linear, m=m, k=k, n=n)) for m, k, n in LINEAR
    ]
    return square + double + half + layers


def drawn(rng, count):
    """Of any proportions, up to 500 MFLOP."""
    found = []
    while len(found) < count:
        m, n, k = (int(2 ** rng.uniform(0, 12)) for _ in range(3))
        kind = str(rng.choice(["NN", "NT", "TN"]))
        if 1e5 < 2 * m * n * k < 5e8:
            found.append(
                Row(
                    f"({m}, {k}) @ ({k}, {n}) {kind}",
                    partial(product, m=m, n=n, k=k, kind=kind),
                )
            )
    return found


def product(torch, m, n, k, kind, dtype="float32"):
    """(m,k) @ (k,n); N: an operand as it lies in memory, T: its transpose does."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(k, m) if kind[0] == "T" else (m, k))
    b = rng.normal(size=(n, k) if kind[1] == "T" else (k, n))

    def oriented(x, y):
        return x.T if kind[0] == "T" else x, y.T if kind[1] == "T" else y

    x, y = oriented(*(dlx.tensor(v).astype(dtype) for v in (a, b)))
    calls = {DLX: lambda: x @ y}
    if torch is not None:
        kept = getattr(torch, dtype)
        xt, yt = oriented(*(torch.from_numpy(v).to(kept) for v in (a, b)))
        into = xt @ yt
        calls[INTO] = lambda: torch.matmul(xt, yt, out=into)
    size = {"float64": 8, "float32": 4, "bfloat16": 2}[dtype]
    passes = (Pass(size * (m * k + k * n), size * m * n),)
    tolerance = 2.0**-7 if dtype == "bfloat16" else 1e-4  # a unit in the last place of the largest
    return Subject(calls, 2.0 * m * n * k, passes, tolerance=tolerance, dtype=dtype)


def linear(torch, m, k, n):
    """A layer's y = x w^T + bias, w as the layer keeps it."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s).astype(np.float32) for s in ((m, k), (n, k), (n,))]
    ours = [dlx.tensor(a) for a in arrays]
    calls = {DLX: lambda: dlx.nn.functional.linear(*ours)}
    if torch is not None:
        theirs = [torch.from_numpy(a) for a in arrays]
        calls[EAGER] = lambda: torch.nn.functional.linear(*theirs)
    passes = (Pass(4.0 * (m * k + k * n + n), 4.0 * m * n),)
    return Subject(calls, 2.0 * m * n * k, passes)
