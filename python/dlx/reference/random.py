"""Random numbers that depend on seed, offset and position only: Philox4x32-10, counter based.

J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. One block of the counter
gives four words of 32 bits: element i of a 32-bit draw is lane i mod 4 of block offset + i//4, of a
64-bit draw lanes 2(i mod 2) (low word) and 2(i mod 2) + 1 of block offset + i//2.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "dropout",
    "dropout_backward",
    "philox",
    "random_int",
    "random_normal",
    "random_permutation",
    "random_uniform",
]


def philox(seed, offset, blocks):
    """uint32 (blocks, 4): ten rounds over counters (offset + b, 0, 0), the seed being the key."""
    counter = np.arange(blocks, dtype=np.uint64) + np.uint64(offset)
    c0, c1, c2, c3 = counter & _LOW, counter >> _32, 0 * counter, 0 * counter
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1 = (p1 >> _32) ^ c1 ^ np.uint64(k0), p1 & _LOW
        c2, c3 = (p0 >> _32) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)


def _words32(seed, offset, n):
    return philox(seed, offset, -(-n // 4)).reshape(-1)[:n]


def _words64(seed, offset, n):
    words = philox(seed, offset, -(-n // 2)).astype(np.uint64).reshape(-1, 2)
    return (words[:, 0] | words[:, 1] << _32)[:n]


def _unit(seed, offset, n, dtype):
    """n numbers in [0, 1): 24 bits of a word; float64: 27 of the high word, 26 of the low one."""
    if np.dtype(dtype) == np.float64:
        words = _words64(seed, offset, n)
        high, low = words >> np.uint64(37), (words & _LOW) >> np.uint64(6)
        return (high * 2.0**26 + low) * 2.0**-53
    return (_words32(seed, offset, n) >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)


def random_uniform(shape, low=0.0, high=1.0, *, seed, offset, dtype=np.float32):
    u = _unit(seed, offset, int(np.prod(shape)), dtype)
    return (np.dtype(dtype).type(low) + np.dtype(dtype).type(high - low) * u).reshape(shape)


def random_normal(shape, mean=0.0, std=1.0, *, seed, offset, dtype=np.float32):
    """Box-Muller on neighbours: r cos 2 pi u1, r sin 2 pi u1 with r = sqrt(-2 log(1 - u0))."""
    n = int(np.prod(shape))
    u0, u1 = _unit(seed, offset, n + n % 2, dtype).astype(np.float64).reshape(-1, 2).T
    r = np.sqrt(-2 * np.log1p(-u0))
    z = np.stack([r * np.cos(2 * np.pi * u1), r * np.sin(2 * np.pi * u1)], axis=1).reshape(-1)[:n]
    return (mean + std * z).astype(dtype).reshape(shape)


def random_int(low, high, shape, *, seed, offset, dtype=np.int64):
    """low + floor(word (high - low) / 2^64) (D. Lemire 2019, without the rejection step)."""
    words = _words64(seed, offset, int(np.prod(shape)))
    scaled = [low + (int(word) * (high - low) >> 64) for word in words]
    return np.array(scaled, dtype).reshape(shape)


def random_permutation(n, *, seed, offset):
    """The order that sorts n 64-bit words; equal words stay in order."""
    return np.argsort(_words64(seed, offset, n), kind="stable").astype(np.int64)


def dropout(x, p, *, seed, offset):
    """x / (1 - p) where the element's uniform number is >= p, else 0."""
    u = _unit(seed, offset, x.size, np.float32).reshape(x.shape)
    scale = x.dtype.type(1 / (1 - p) if p < 1 else 0)
    return np.where(u >= np.float32(p), x * scale, np.zeros((), x.dtype))


def dropout_backward(dy, p, *, seed, offset):
    """The same mask and scale: the map is diagonal."""
    return dropout(dy, p, seed=seed, offset=offset)
