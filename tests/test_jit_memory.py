"""Memory of a replay: what is computed again instead of kept, and limits."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from dlx import nn, optim
from dlx.nn import functional as F

CALLS = 6


@pytest.fixture(autouse=True)
def _strict(monkeypatch):
    monkeypatch.setenv("DLX_JIT", "strict")


@pytest.fixture(autouse=True)
def _device(device):
    with dlx.device(device):
        yield


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + x)


def residual_network():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), *(Block(4) for _ in range(4)), nn.Flatten(),
        nn.Dropout(0.2), nn.Linear(4 * 8 * 8, 5),
    )  # fmt: skip


def perceptron():
    layers = [layer for _ in range(6) for layer in (nn.Linear(64, 64), nn.Tanh())]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(64, 5))


def normalised():
    """Batch norm over columns."""
    layers = [f for _ in range(4) for f in (nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(64, 5))


def trained(network, mode, monkeypatch, memory_limit=None, dtype="float32"):
    """(everything that Python can see after some steps, the jitted step)"""
    monkeypatch.setenv("DLX_JIT", mode)
    dlx.seed(0)
    model = network().to(dtype=dtype)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    @dlx.jit(memory_limit=memory_limit)
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    rng, losses = np.random.default_rng(0), []
    for _ in range(CALLS):
        x = dlx.tensor(rng.normal(size=(8, 1, 8, 8)).astype(np.float32))
        x = x.astype(dtype)
        losses.append(step(x, dlx.tensor(rng.integers(0, 5, 8))).item())
    grads = [p.grad.cpu().numpy().tobytes() for p in model.parameters()]
    return (losses, dlx.testing.weight_hash(model), grads), step


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("network", [residual_network, perceptron, normalised])
def test_what_is_computed_again_has_the_same_bits(network, dtype, monkeypatch):
    eager, _ = trained(network, "off", monkeypatch, dtype=dtype)
    plain, apart = trained(network, "nofuse", monkeypatch, dtype=dtype)
    planned, step = trained(network, "strict", monkeypatch, dtype=dtype)
    assert eager == plain == planned
    if network is not perceptron:  # tanh of a product: nothing is cheap
        assert step.memory["arena_bytes"] < apart.memory["arena_bytes"]
        assert " + relu" in str(step.program)
    if network is residual_network:
        assert step.memory["arena_bytes"] < 0.8 * apart.memory["arena_bytes"]
        assert "batch_norm_apply" in str(step.program) and "+ add + relu" in str(step.program)


@pytest.mark.parametrize("network", [residual_network, perceptron, normalised])
def test_a_limit_is_kept_with_the_same_bits(network, monkeypatch):
    eager, _ = trained(network, "off", monkeypatch)
    _, free = trained(network, "strict", monkeypatch)
    inner, results = free.memory["arena_bytes"], free.memory["result_bytes"]
    limit = results + 3 * inner // 4
    found, step = trained(network, "strict", monkeypatch, limit)
    assert found == eager
    assert step.memory["arena_bytes"] + step.memory["result_bytes"] <= limit
    assert step.memory["launches"] > free.memory["launches"]


def test_a_limit_that_is_too_low_says_so(monkeypatch):
    with pytest.raises(RuntimeError, match=r"memory_limit=1000 bytes: .* at least"):
        trained(perceptron, "strict", monkeypatch, 1000)
    with pytest.warns(RuntimeWarning, match="memory_limit=1000 bytes"):
        found, _ = trained(perceptron, "on", monkeypatch, "1KB")
    assert found == trained(perceptron, "off", monkeypatch)[0]


@pytest.mark.parametrize(
    ("limit", "bytes"), [(5, 5), ("5", 5), ("64MB", 64_000_000), ("1.5 kb", 1500), ("2GB", 2e9)]
)
def test_spellings_of_a_limit(limit, bytes):
    assert dlx.jit(lambda: None, memory_limit=limit)._memory_limit == bytes


def test_a_limit_for_a_function_that_is_under_jit_already():
    f = dlx.jit(lambda x: x)
    assert dlx.jit(f) is f
    assert dlx.jit(f, memory_limit=5)._memory_limit == 5 and f._memory_limit == 0


@pytest.mark.parametrize("limit", ["lots", "", "64 MiB", 0, -3, [], True, float("nan")])
def test_wrong_limits(limit):
    with pytest.raises(ValueError, match="jit: memory_limit must be bytes"):
        dlx.jit(lambda: None, memory_limit=limit)


def test_a_random_launch_is_not_repeated(monkeypatch):
    """Dropout draws once, whatever the limit."""

    def step(x):
        x = x.detach()
        x.requires_grad = True
        y = F.dropout(dlx.exp(x), 0.5)
        for _ in range(6):
            y = dlx.sin(dlx.cumsum(y, axis=0))
        y.sum().backward()
        return x.grad

    def run(limit):
        dlx.seed(0)
        f = dlx.jit(step, memory_limit=limit)
        found = [f(dlx.full((64,), i / 9)).tolist() for i in range(5)]
        return found, dlx.random.get_state().tolist(), f.memory

    free = run(None)
    limited = run(free[2]["arena_bytes"] - 256)
    assert limited[:2] == free[:2] and limited[2]["arena_bytes"] < free[2]["arena_bytes"]


def test_what_is_read_late_only_is_made_late():
    """Not twice."""

    def step(x):
        late = dlx.exp(x)
        y = x
        for _ in range(4):
            y = dlx.cumsum(dlx.concat([y, y]), axis=0)
        return y[: x.shape[0]] + dlx.cumsum(late, axis=0)

    f = dlx.jit(step)
    for call in range(5):
        x = dlx.full((256,), 0.1 * call)
        assert f(x).tolist() == step(x).tolist()
    names = [
        line.split()[1] for line in str(f.program).splitlines() if line[:4].strip(" *").isdigit()
    ]
    assert names.count("exp") == 1 and names.index("exp") > 4


def bytes_of(f):
    return f.memory["arena_bytes"], f.memory["result_bytes"]


def test_the_nan_trap_looks_at_what_is_computed_again(monkeypatch):
    """Joined launches that run again, one by one: they see the numbers of their replay."""
    w = dlx.ones((512,))

    def step(x):
        x = x.detach()
        x.requires_grad = True
        y = x
        for _ in range(5):
            y = dlx.tanh(dlx.cumsum(y, axis=0) * w + 0.5) * 2
        y.sum().backward()
        return x.grad

    free = dlx.jit(step)
    inputs = [dlx.full((512,), 1e-3 * call) for call in range(6)]
    results = [free(x).tolist() for x in inputs]
    limited = dlx.jit(step, memory_limit=sum(bytes_of(free)) - 2048)
    for call, (x, wanted) in enumerate(zip(inputs, results, strict=True)):
        with dlx.debug.nan_trap() if call > 3 else dlx.enable_grad():
            assert limited(x).tolist() == wanted
    assert limited.memory["launches"] > free.memory["launches"]
    w[7] = float("nan")
    with pytest.raises(FloatingPointError, match=r"^multiply: made"), dlx.debug.nan_trap():
        limited(inputs[1])
