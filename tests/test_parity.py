"""A training run beside PyTorch's: the same weights, batches and Adam give the same losses."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from _check import is_emulated
from dlx import models as zoo
from dlx import nn, optim
from dlx._bench import steps

pytestmark = pytest.mark.on_its_device

torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")


def models(dtype):
    """The same MLP in PyTorch and in dlx, with PyTorch's initial weights."""
    torch.manual_seed(0)
    theirs = torch.nn.Sequential(
        torch.nn.Linear(64, 48), torch.nn.ReLU(), torch.nn.Linear(48, 24), torch.nn.Tanh(),
        torch.nn.Linear(24, 10),
    ).to(getattr(torch, dtype))  # fmt: skip
    ours = nn.Sequential(
        nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 24), nn.Tanh(), nn.Linear(24, 10)
    ).to(dtype=dtype)
    ours.load_state_dict({k: v.cpu().numpy() for k, v in theirs.state_dict().items()})
    return theirs, ours


def losses(theirs, ours, dtype, steps):
    (x, y), _ = dlx.data.digits()
    x, y = x.cpu().numpy().reshape(-1, 64).astype(dtype), y.cpu().numpy()
    rng = np.random.default_rng(1)
    their_adam = torch.optim.Adam(theirs.parameters(), lr=1e-3)
    our_adam = optim.Adam(ours.parameters(), lr=1e-3)
    pairs = []
    for _ in range(steps):
        batch = rng.integers(0, len(x), 64)
        their_loss = torch.nn.functional.cross_entropy(
            theirs(torch.from_numpy(x[batch])), torch.from_numpy(y[batch])
        )
        their_adam.zero_grad()
        their_loss.backward()
        their_adam.step()
        our_loss = nn.functional.cross_entropy(ours(dlx.tensor(x[batch])), dlx.tensor(y[batch]))
        our_adam.zero_grad()
        our_loss.backward()
        our_adam.step()
        pairs.append((our_loss.item(), their_loss.item()))
    return np.array(pairs).T


@pytest.mark.parametrize(
    ("dtype", "steps", "bound"), [("float32", 20, 1e-5), ("float64", 200, 1e-11)]
)
def test_losses_follow_pytorch(device, dtype, steps, bound):
    ours, theirs = losses(*models(dtype), dtype, min(steps, 40) if is_emulated(device) else steps)
    assert theirs[-1] < theirs[0] - 0.03, "a run that does not learn compares nothing"
    assert np.all(np.abs(ours - theirs) <= bound * np.abs(theirs)), np.abs(ours / theirs - 1).max()


def test_weights_saved_by_pytorch_load_unchanged(device, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch", reason="writes PyTorch's file")
    theirs, ours = models("float32")
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    path = tmp_path / "weights.safetensors"
    safetensors.save_file(theirs.state_dict(), str(path))
    loaded = dlx.load(path)
    for key, value in theirs.state_dict().items():
        assert loaded[key].cpu().numpy().tobytes() == value.cpu().numpy().tobytes()
    ours.load_state_dict(loaded)
    x = np.random.default_rng(2).standard_normal((50, 64), dtype=np.float32)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x)).cpu().numpy()
    got = ours(dlx.tensor(x)).cpu().numpy()
    scale = np.abs(expected).max()
    assert np.abs(got - expected).max() <= 1e-5 * scale


@pytest.mark.parametrize("row", steps.ROWS)
def test_the_training_steps_of_the_benchmark_lose_what_pytorchs_do(row):
    assert max(steps.differences(steps.ROWS[row], torch)) <= 1e-4


def test_the_benchmark_trains_networks_of_the_zoo():
    generator, discriminator = zoo.dcgan()
    for build, model in (
        (steps._lenet, zoo.course_cnn()),
        (steps._resnet20, zoo.resnet(20)),
        (steps._generator, generator),
        (steps._discriminator, discriminator),
    ):
        shapes = [p.shape for p in build(nn).parameters()]
        assert shapes == [p.shape for p in model.parameters()]
