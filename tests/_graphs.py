"""What the tests of CUDA graphs share: the GPU under test and a network in training."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import dlx
from dlx import nn, optim

if not dlx.cuda.is_available():
    pytest.skip("no GPU, nor an emulated one: pytest --device emu", allow_module_level=True)

__all__ = ["EAGER", "Training", "bits", "counts", "drawn", "gpu"]

F = nn.functional
EAGER = 3  # calls before the first replay, which launches one by one: the driver loads kernels


@pytest.fixture(autouse=True)
def gpu(device, monkeypatch):
    """The GPU under test; graphs leave nothing behind on it."""
    monkeypatch.setenv("DLX_JIT", "strict")
    place = dlx.device(device if device.startswith("cuda") else "cuda:0")
    dlx.random.uniform((0,), device="cpu")  # where the generator's cell is then
    gc.collect()
    before = dlx.cuda.memory_stats(place)["live_bytes"]
    with place:
        yield place
    dlx.random.uniform((0,), device="cpu")
    gc.collect()
    assert dlx.cuda.memory_stats(place)["live_bytes"] == before


def drawn(*shape, seed=0):
    return dlx.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def bits(tensors):
    return [None if t is None else t.detach().cpu().numpy().tobytes() for t in tensors]


def counts(f):
    """(captures, replays) as graphs."""
    return f.memory["graph_captures"], f.memory["graph_replays"]


class Training:
    """Steps of a small network with dropout, batch norm and a schedule."""

    def __init__(self, jit, calls=0, **options):
        dlx.seed(1)
        self.model = nn.Sequential(
            nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 4)
        )
        self.optimizer = optim.Adam(self.model.parameters(), lr=lambda step: 1e-2 * 0.9**step)
        model, optimizer = self.model, self.optimizer

        def one(x, y):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        self.step = dlx.jit(one, **options) if jit else one
        self.losses = []
        self.run(calls)

    def run(self, calls):
        for i in range(len(self.losses), len(self.losses) + calls):
            self.losses.append(self.step(drawn(5, 6, seed=i), dlx.tensor([0, 1, 2, 3, i % 4])))

    def everything(self):
        state = self.optimizer.state_dict()["state"]
        return [
            dlx.testing.weight_hash(self.model),
            bits(self.losses),
            bits(p.grad for p in self.model.parameters()),
            bits(v for entry in state.values() for v in entry.values()),
            dlx.random.get_state().tolist(),
        ]
