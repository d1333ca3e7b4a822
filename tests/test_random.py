"""The generator: its counter, its distributions, and what threads may not change."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import dlx

N = 1 << 20
FLOATS = ("float32", "float64")


@pytest.mark.parametrize(
    ("draw", "blocks"),
    [
        (lambda n: dlx.random.uniform((n,)), 4),
        (lambda n: dlx.random.uniform((n,), dtype="float64"), 2),
        (lambda n: dlx.random.normal((n,), dtype="bfloat16"), 4),
        (lambda n: dlx.random.randint(0, 7, (n,)), 2),
        (lambda n: dlx.random.permutation(n), 2),
        (lambda n: dlx.nn.functional.dropout(dlx.ones((n,), dtype="float64"), 0.5), 4),
    ],
)
def test_a_draw_advances_the_counter_by_its_shape_alone(draw, blocks, device):
    offset = 0
    for n in (0, 1, 2, 5, 33):
        draw(n)
        offset += -(-n // blocks)
        assert dlx.random.get_state().tolist() == [0, offset]


def test_a_snapshot_is_kept_and_returns(device):
    dlx.seed(2**64 - 1)
    state = dlx.random.get_state()
    first = dlx.random.normal((5,), device=device).cpu().numpy()
    assert state.tolist() == [-1, 0]
    dlx.random.set_state(state)
    assert np.array_equal(dlx.random.normal((5,), device=device).cpu().numpy(), first)


def five_sigma(values, mean, variance):
    """Whether the mean of independent values is within five standard errors."""
    return abs(values.mean() - mean) < 5 * (variance / values.size) ** 0.5


@pytest.mark.parametrize("dtype", FLOATS)
def test_uniform(dtype, device):
    u = dlx.random.uniform((N,), dtype=dtype, device=device).cpu().numpy().astype(np.float64)
    assert u.min() >= 0 and u.max() < 1
    gaps = np.sort(u) - np.arange(N) / N
    assert np.abs(gaps).max() < 1.95 / N**0.5  # Kolmogorov and Smirnov: 1 in 1000
    assert five_sigma(u[:-1] * u[1:], 1 / 4, 1 / 9 - 1 / 16)


def test_uniform_never_reaches_high(device):
    low, high = np.float32(1), np.nextafter(np.float32(1), np.float32(2))
    assert (dlx.random.uniform((1000,), low, high, device=device).cpu().numpy() == low).all()
    assert dlx.random.uniform((N,), 1e8, 1e8 + 16, device=device).cpu().numpy().max() < 1e8 + 16


@pytest.mark.parametrize("dtype", FLOATS)
def test_normal(dtype, device):
    z = dlx.random.normal((N,), dtype=dtype, device=device).cpu().numpy().astype(np.float64)
    for power, moment, next_moment in [(1, 0, 1), (2, 1, 3), (3, 0, 15), (4, 3, 105)]:
        assert five_sigma(z**power, moment, next_moment - moment**2), power
    assert five_sigma(z[::2] * z[1::2], 0, 1)  # the two of a pair
    assert five_sigma((z[::2] * z[1::2]) ** 2, 1, 8)


def test_randint_takes_every_value_as_often(device):
    counts = np.bincount(
        dlx.random.randint(-3, 4, (N,), device=device).cpu().numpy() + 3, minlength=7
    )
    assert counts.size == 7 and ((counts - N / 7) ** 2 / (N / 7)).sum() < 30  # chi squared, 6


def test_every_order_comes_as_often(device):
    orders = [tuple(dlx.random.permutation(3, device=device).tolist()) for _ in range(1200)]
    counts = [orders.count(order) for order in sorted(set(orders))]
    assert len(counts) == 6 and sum((c - 200) ** 2 / 200 for c in counts) < 25


def test_threads_share_the_generator_without_repeating_a_number(device):
    drawn = []

    def draw():
        for _ in range(20):
            words = dlx.random.randint(-(2**63), 2**63, (20_000,), device=device)
            drawn.append(words.cpu().numpy())

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.unique(np.concatenate(drawn)).size == 4 * 20 * 20_000
    assert dlx.random.get_state().tolist() == [0, 4 * 20 * 10_000]


def test_half_of_the_elements_fall_out_and_the_rest_doubles(device):
    x = dlx.ones((N,), device=device)
    y = dlx.nn.functional.dropout(x, 0.5).cpu().numpy()
    assert set(np.unique(y)) == {0, 2} and five_sigma(y, 1, 1)


@pytest.mark.parametrize("dtype", ("float32", "float64", "bfloat16", "float16"))
def test_dropout_of_nothing_and_of_everything_is_exact(dtype, device):
    x = dlx.random.normal((1031,), device=device).astype(dtype)
    assert np.array_equal(
        dlx.nn.functional.dropout(x, 0.0).astype("float32").cpu().numpy(),
        x.astype("float32").cpu().numpy(),
    )
    assert not dlx.nn.functional.dropout(x, 1.0).astype("float32").cpu().numpy().any()
    still = dlx.nn.functional.dropout(x, 0.5, training=False)
    assert np.array_equal(still.astype("float32").cpu().numpy(), x.astype("float32").cpu().numpy())


@pytest.mark.parametrize("dtype", FLOATS)
def test_backward_draws_the_mask_of_forward_again(dtype, device):
    x = dlx.ones((7, 33), dtype=dtype, device=device)
    x.requires_grad = True
    y = dlx.nn.functional.dropout(x, 0.3)
    dlx.random.normal((100,), device=device)  # whatever is drawn in between
    y.backward(dlx.ones((7, 33), dtype=dtype, device=device))
    assert np.array_equal(x.grad.cpu().numpy(), y.detach().cpu().numpy())


def test_second_order_of_dropout(device):
    x = dlx.random.normal((6,), dtype="float64", device=device)
    state = dlx.random.get_state()
    mask = (
        dlx.nn.functional.dropout(dlx.ones((6,), dtype="float64", device=device), 0.3).cpu().numpy()
    )

    def cube(x):
        dlx.random.set_state(state)
        y = dlx.nn.functional.dropout(x, 0.3)
        return dlx.sum(y * y * y)

    expected = np.diag(6 * mask**3 * x.cpu().numpy())
    assert np.allclose(dlx.hessian(cube)(x).cpu().numpy(), expected, rtol=1e-14)
