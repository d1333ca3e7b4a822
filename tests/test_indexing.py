"""Indices as users write them: lists, NumPy arrays, masks, numbers and tensors in one index; the
last of equal indices; many of them. NumPy is the judge."""

from __future__ import annotations

import numpy as np
import pytest

import dlx

X = np.arange(60.0).reshape(3, 4, 5)
MASK = X[:, :, 0] % 3 == 0
INDICES = {
    "int": 1,
    "negative": -1,
    "slice": slice(None, None, -2),
    "ellipsis": (Ellipsis, 2),
    "newaxis": (None, 1, slice(1, 3), None),
    "list": [2, 0, -1, 2],
    "nested": [[0, 1], [2, -3]],
    "empty": [],
    "numpy": np.array([1, 0, 1]),
    "numpy-narrow": np.array([1, 0, 1], np.uint8),
    "numpy-scalar": np.int64(2),
    "pair": ([0, 2], np.array([3, -1])),
    "apart": ([0, 2], slice(None), [4, 0]),
    "broadcast": ([[0], [2]], [1, 3, 3]),
    "among": (slice(1, None), [3, 3, 0], 2),
    "list-of-bools": [True, False, True],
    "mask": MASK,
    "mask-and-slice": (MASK, slice(None, None, 2)),
    "mask-and-int": (1, [True, False, False, True]),
    "no-dimensions": True,
}
over = pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)


def on(device, index):
    """The index with its arrays as tensors of the device."""
    if isinstance(index, tuple):
        return tuple(on(device, entry) for entry in index)
    return dlx.tensor(index, device=device) if isinstance(index, np.ndarray) else index


@over
def test_reading(index, device):
    x = dlx.tensor(X, device=device)
    for given in (index, on(device, index)):
        y = x[given]
        assert y.device == x.device and y.dtype == x.dtype
        np.testing.assert_array_equal(y.cpu().numpy(), X[index])


@over
def test_writing(index, device):
    expected = X.copy()
    values = -1 - np.arange(float(X[index].size)).reshape(X[index].shape)
    expected[index] = values
    for given in (index, on(device, index)):
        for value in (values, dlx.tensor(values, device=device)):
            x = dlx.tensor(X, device=device)
            before = x.detach()
            x[given] = value
            np.testing.assert_array_equal(x.cpu().numpy(), expected)
            np.testing.assert_array_equal(before.cpu().numpy(), X)
    filled = X.copy()
    filled[index] = 7
    x = dlx.tensor(X, device=device)
    x[index] = 7
    np.testing.assert_array_equal(x.cpu().numpy(), filled)


@pytest.mark.parametrize(("n", "extent"), [(3000, 7), (2500, 1), (2100, 40_000), (1025, 300)])
def test_many_equal_indices(n, extent, device):
    rng = np.random.default_rng(0)
    where = rng.integers(-extent, extent, n)
    values = rng.normal(size=(n, 2))
    x = dlx.zeros((extent, 2), dtype="float64", device=device)
    x[where] = values
    last = np.zeros((extent, 2))
    last[where] = values
    np.testing.assert_array_equal(x.cpu().numpy(), last)

    total = dlx.ops.index.scatter_add(dlx.tensor(values, device=device), where, 0, extent)
    expected = np.zeros((extent, 2))
    np.add.at(expected, where % extent, values)
    np.testing.assert_array_equal(total.cpu().numpy(), expected)  # the same order of the sums


def test_arrays_of_two_devices(device):
    if device == "cpu":
        pytest.skip("needs a second device")
    x, indices = dlx.ones((3,), device=device), dlx.tensor([1])
    for call in (
        lambda: x[indices],
        lambda: dlx.take(x, indices),
        lambda: x.__setitem__(0, dlx.ones(())),
        lambda: x.__setitem__(indices, 1.0),
    ):
        with pytest.raises(RuntimeError, match=r"(take|setitem|scatter): .*one device.*cpu"):
            call()
