"""Digits and the loader."""

from __future__ import annotations

import hashlib
import pathlib
import subprocess
import sys
import zlib

import numpy as np
import pytest

import dlx

RAW_SHA256 = "428ad214e900fe9343f94d9fedc8a16d461db8cd1bc0f61eecf448b8c5f16b35"


def digits_as_numpy(device):
    (x, y), (xt, yt) = dlx.data.digits(device=device)
    return np.concatenate([x.cpu().numpy(), xt.cpu().numpy()]), np.concatenate(
        [y.cpu().numpy(), yt.cpu().numpy()]
    )


def test_digits_have_the_promised_form(device):
    (x, y), (xt, yt) = dlx.data.digits(device=device)
    assert (x.shape, y.shape) == ((1437, 1, 8, 8), (1437,))
    assert (xt.shape, yt.shape) == ((360, 1, 8, 8), (360,))
    assert {x.dtype, xt.dtype} == {dlx.float32} and {y.dtype, yt.dtype} == {dlx.int64}
    assert x.device == y.device == device
    images, labels = digits_as_numpy(device)
    assert images.min() == 0 and images.max() == 1
    assert np.array_equal(images * 16, np.round(images * 16))
    assert set(labels) == set(range(10))


def test_digits_file_is_the_one_the_script_makes():
    path = pathlib.Path(dlx.data.__file__).parent / "digits.bin"
    raw = zlib.decompress(path.read_bytes())
    assert hashlib.sha256(raw).hexdigest() == RAW_SHA256
    assert path.stat().st_size < 61_440


def test_digits_are_scikit_learns_in_the_promised_order(device):
    datasets = pytest.importorskip("sklearn.datasets")
    source = datasets.load_digits()
    order = np.random.default_rng(0).permutation(1797)
    images, labels = digits_as_numpy(device)
    assert np.array_equal(images.reshape(1797, 64) * 16, source.data[order])
    assert np.array_equal(labels, source.target[order])


def test_digits_load_without_numpy():
    code = "import dlx, sys; dlx.data.digits(); assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("drop_last, expected", [(False, [4, 4, 2]), (True, [4, 4])])
@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_cover_the_rows(device, drop_last, expected, shuffle):
    x = dlx.tensor(np.arange(20.0).reshape(10, 2), device=device)
    y = dlx.tensor(np.arange(10), device=device)
    loader = dlx.data.batches(x, y, batch_size=4, shuffle=shuffle, drop_last=drop_last)
    pairs = list(loader)
    assert len(loader) == len(pairs)
    assert [xb.shape[0] for xb, _ in pairs] == expected
    rows = np.concatenate([yb.cpu().numpy() for _, yb in pairs])
    assert len(set(rows.tolist())) == sum(expected)
    assert np.array_equal(np.concatenate([xb.cpu().numpy() for xb, _ in pairs])[:, 0], 2.0 * rows)
    if not shuffle:
        assert rows.tolist() == list(range(sum(expected)))


def test_batches_of_x_alone_are_tensors(device):
    (xb,) = dlx.data.batches(dlx.ones((3, 2), device=device), batch_size=5)
    assert isinstance(xb, dlx.Tensor) and xb.shape == (3, 2)


def test_unshuffled_batches_are_views(device):
    x = dlx.ones((8, 3), device=device)
    before = dlx.memory.stats()["live_bytes"]
    kept = list(dlx.data.batches(x, batch_size=2))
    assert dlx.memory.stats()["live_bytes"] == before and len(kept) == 4


def test_numpy_arrays_are_borrowed():
    x = np.arange(6.0, dtype=np.float32).reshape(3, 2)
    (xb, yb), *_ = dlx.data.batches(x, x[:, 0].astype(np.int64), batch_size=2)
    assert xb.dtype == dlx.float32 and yb.dtype == dlx.int64
    assert xb.numpy().__array_interface__["data"][0] == x.__array_interface__["data"][0]


def test_each_iteration_draws_a_new_order_from_the_generator(device):
    y = dlx.arange(50, device=device)

    def order(loader):
        return [label for batch in loader for label in batch.tolist()]

    loader = dlx.data.batches(y, shuffle=True)
    first, second = order(loader), order(loader)
    assert first != second and sorted(first) == sorted(second) == list(range(50))
    dlx.seed(0)
    assert order(loader) == first


def test_an_order_is_drawn_when_iteration_starts(device):
    loader = dlx.data.batches(dlx.arange(50, device=device), shuffle=True)
    state = dlx.random.get_state()
    iterator = iter(loader)
    dlx.random.set_state(state)
    assert [b.tolist() for b in iterator] == [b.tolist() for b in loader]


def test_no_rows_give_no_batches(device):
    x = dlx.zeros((0, 3), device=device)
    assert list(dlx.data.batches(x)) == list(dlx.data.batches(x, shuffle=True)) == []


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda x: dlx.data.batches(x, x[:2]), ValueError, r"length, got 3 and 2; x=\(3, 4\)"),
        (lambda x: dlx.data.batches(x, batch_size=0), ValueError, "batch_size.*at least 1, got 0"),
        (lambda x: dlx.data.batches(x, batch_size=2.0), TypeError, "batch_size.*int, got float"),
        (lambda x: dlx.data.batches(x, batch_size=True), TypeError, "batch_size.*int, got bool"),
        (lambda x: dlx.data.batches(x.tolist()), TypeError, "batches: x must be .* got list"),
        (lambda x: dlx.data.batches(x[0, 0]), ValueError, "x must have a batch axis"),
    ],
)
def test_wrong_arguments(device, call, error, text):
    with pytest.raises(error, match=text):
        call(dlx.ones((3, 4), device=device))
