"""Arrays that lie otherwise than their elements count: copied, and read by pointwise ops."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from _levels import LEVELS, at_level
from dlx import testing

SHAPES = ((1, 1, 1), (3, 5, 7), (2, 4, 16), (5, 17, 33), (3, 70, 129), (2, 300, 260), (2, 9, 1500))
DTYPES = ("uint8", "float16", "float32", "float64")
VIEWS = {
    "dense": lambda x, turn, flip: x,
    "its rows backwards": lambda x, turn, flip: flip(x, 2),
    "rows in reverse": lambda x, turn, flip: flip(x, 1),
    "all backwards": lambda x, turn, flip: flip(flip(flip(x, 0), 1), 2),
    "matrices turned": lambda x, turn, flip: turn(x, (0, 2, 1)),
    "last axis first": lambda x, turn, flip: turn(x, (2, 0, 1)),
    "all axes turned": lambda x, turn, flip: turn(x, (2, 1, 0)),
    "turned, backwards": lambda x, turn, flip: flip(turn(x, (1, 2, 0)), 2),
    "every other": lambda x, turn, flip: x[:, ::2, ::3],
    "cut": lambda x, turn, flip: x[:, 1:, :-1],
    "turned and cut": lambda x, turn, flip: turn(x, (0, 2, 1))[:, 1:, :-1],
    "first of each row": lambda x, turn, flip: x[:, :, :1],
    "first row": lambda x, turn, flip: x[:, :1],
    "first matrix": lambda x, turn, flip: x[:1],
}


@pytest.fixture(params=LEVELS)
def level(request):
    with at_level(request.param):
        yield


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("view", VIEWS)
def test_every_layout_is_copied_and_added_as_it_counts(view, dtype, level):
    threads = dlx.get_num_threads()
    for shape in SHAPES:
        values = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
        view_of = VIEWS[view]
        expected = view_of(values, np.transpose, np.flip)
        x = view_of(dlx.asarray(values), dlx.permute_dims, lambda x, axis: dlx.flip(x, axis))
        if expected.size < values.size and 1 in expected.shape:  # repeats itself beside the whole
            other = values
        else:
            other = np.arange(expected.size).astype("uint8").astype(dtype).reshape(expected.shape)
        try:
            for count, grain in ((1, 1 << 20), (3, 16)):  # pieces begin within rows
                dlx.set_num_threads(count)
                with testing.forced_grain(grain):
                    np.testing.assert_array_equal(x.contiguous().numpy(), expected)
                    total = (x + dlx.asarray(other)).numpy()
                    np.testing.assert_array_equal(total, expected + other)
        finally:
            dlx.set_num_threads(threads)
