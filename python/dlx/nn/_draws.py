"""Random numbers that take more than one draw: what nn.init fills tensors with."""

from __future__ import annotations

import math

import dlx
from dlx import no_grad, random

__all__ = ["orthonormal", "truncated_normal"]


def truncated_normal(n, low, high, device):
    """n standard normal numbers in [low, high], float64.

    Uniform proposals x are accepted with probability e^((m² - x²) / 2), m being the point nearest
    to 0 (Robert 1995); where that is below 1e-18 nothing is proposed.
    """
    m = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    reach = math.sqrt(m * m + 83)
    low, high = max(low, -reach), min(high, reach)
    z = dlx.empty((n,), dtype="float64", device=device)
    missing = dlx.arange(n, device=device)
    while len(missing):
        count = (len(missing),)
        x = random.uniform(count, low, high, dtype="float64", device=device)
        chance = random.uniform(count, dtype="float64", device=device)
        z[missing] = x
        missing = missing[chance >= dlx.exp((m * m - x * x) / 2)]
    return z


_BLOCK = 32  # columns of orthonormal made orthogonal one by one


def orthonormal(a):
    """The factor Q of a = Q R with a positive diagonal of R; a: (m, n), m >= n, of full rank.

    Gram and Schmidt, twice, which is enough (Giraud, Langou and Rozloznik 2005), by blocks: ops of
    dlx only, so that its bits are those of the seed, whatever the number of threads.
    """
    m, n = a.shape
    q = dlx.zeros((m, n), dtype=a.dtype, device=a.device)
    with no_grad():
        for start in range(0, n, _BLOCK):
            block, done = a[:, start : start + _BLOCK], q[:, :start]
            for _ in range(2 if start else 0):
                block = block - done @ (done.T @ block)
            columns = []
            for j in range(block.shape[1]):
                v = block[:, j]
                basis = dlx.stack(columns, axis=1) if columns else None
                for _ in range(2 if columns else 0):
                    v = v - basis @ (basis.T @ v)
                columns.append(v / dlx.sqrt(dlx.sum(v * v)))
            q[:, start : start + _BLOCK] = dlx.stack(columns, axis=1)
    return q
