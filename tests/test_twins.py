"""Where a device owes the bits of the CPU: random numbers, dropout masks, steps of optimizers."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from dlx import nn, optim

SIZES = (0, 1, 2, 3, 7, 1031, 5000)


def bits(tensor):
    array = np.ascontiguousarray(tensor.cpu().numpy())
    return array.shape, array.tobytes()


def on_both(run, device):
    """run(device) on the CPU and on the device, from the same state of the generator."""
    results = []
    for place in ("cpu", device):
        dlx.seed(2**40 + 3)
        results.append(run(place))
        results.append(dlx.random.get_state().tolist())
    return results


DRAWS = {
    "uniform": lambda n, **where: dlx.random.uniform((n,), -2.0, 3.0, **where),
    "uniform float64": lambda n, **where: dlx.random.uniform((n,), dtype="float64", **where),
    "uniform float16": lambda n, **where: dlx.random.uniform((n,), dtype="float16", **where),
    "normal": lambda n, **where: dlx.random.normal((n,), 0.5, 2.0, **where),
    "randint": lambda n, **where: dlx.random.randint(-5, 2**40, (n,), **where),
    "randint int32": lambda n, **where: dlx.random.randint(-5, 9, (n,), dtype="int32", **where),
    "randint uint8": lambda n, **where: dlx.random.randint(0, 256, (n,), dtype="uint8", **where),
    "permutation": lambda n, **where: dlx.random.permutation(n, **where),
}


@pytest.mark.parametrize("name", DRAWS)
def test_random_numbers_are_the_cpus(name, device):
    def run(place):
        drawn = [DRAWS[name](n, device=place) for n in SIZES]
        assert all(x.device == place for x in drawn)
        return [bits(x.astype("float32") if "16" in name else x) for x in drawn]

    expected, state, came, its_state = on_both(run, device)
    assert came == expected and its_state == state


def test_float64_normal_numbers_are_the_cpus_up_to_their_last_digits(device):
    """Sine, cosine and logarithm of float64 are those of each device's library."""
    expected, state, came, its_state = on_both(
        lambda place: dlx.random.normal((1031,), dtype="float64", device=place).cpu().numpy(),
        device,
    )
    assert np.allclose(came, expected, rtol=1e-13, atol=1e-15) and its_state == state


def test_one_sequence_whatever_devices_draw(device):
    dlx.seed(5)
    expected = [bits(dlx.random.normal((9,))) for _ in range(6)]
    dlx.seed(5)
    places = ("cpu", device, device, "cpu", device, "cpu")
    assert [bits(dlx.random.normal((9,), device=place)) for place in places] == expected


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_dropout_masks_are_the_cpus(dtype, p, device):
    def run(place):
        results = []
        for n in SIZES:
            # From the second element on: not aligned.
            x = dlx.arange(1, n + 2, device=place).astype(dtype)[1:]
            x = dlx.tensor(x, requires_grad=True)
            y = nn.functional.dropout(x, p)
            y.backward(x.detach())
            results += [bits(y.detach().astype("float64")), bits(x.grad.astype("float64"))]
        return results

    expected, state, came, its_state = on_both(run, device)
    assert came == expected and its_state == state


OPTIMIZERS = [
    (optim.SGD, {"lr": 0.1}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    (optim.RMSprop, {"lr": 0.01}),
    (optim.RMSprop, {"lr": 0.01, "momentum": 0.5, "centered": True}),
    (optim.Adagrad, {"lr": 0.1, "lr_decay": 0.01}),
    (optim.Adadelta, {"lr": 1.0, "weight_decay": 0.01}),
    (optim.Adam, {"lr": 0.01, "amsgrad": True}),
    (optim.AdamW, {"lr": 0.01}),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("cls", "options"), OPTIMIZERS)
def test_twenty_steps_are_the_cpus(cls, options, dtype, device):
    """Adam's powers of beta are those of each device's library: equal up to the last digits."""

    def run(place):
        rng = np.random.default_rng(0)
        shapes = [(1,), (7,), (64, 33), (0,), (4100,), ()]
        params = [
            nn.Parameter(dlx.tensor(rng.normal(size=shape), dtype=dtype, device=place))
            for shape in shapes
        ]
        optimizer = cls([{"params": params[:2]}, {"params": params[2:], "lr": 0.02}], **options)
        for _ in range(20):
            for p in params:
                g = rng.normal(size=tuple(p.shape))
                p.grad = dlx.tensor(g, dtype=dtype, device=place)
            optimizer.step()
        states = [a for state in optimizer._states for a in state.values()]
        return [a.detach().cpu().numpy() for a in params + states]

    for expected, came in zip(run("cpu"), run(device), strict=True):
        if cls in (optim.Adam, optim.AdamW):
            eps = np.finfo(expected.dtype).eps
            assert np.allclose(came, expected, rtol=100 * eps, atol=100 * eps)
        else:
            assert came.tobytes() == expected.tobytes()
