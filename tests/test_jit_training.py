"""200 steps of training with a schedule and dropout: one hash of everything that training changes,
eager, replayed and replayed with joined launches, each on another number of threads."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import dlx
from dlx import models, nn, optim
from dlx.nn import functional as F

STEPS = 200
STEPS_ON_GPU = 6  # in CI, where an emulator takes a second for each
BATCH, BATCHES = 8, 5
MODES = {"off": 1, "nofuse": 2, "on": 3}  # and the threads


def lenet():
    layers = list(models.course_cnn())
    return nn.Sequential(*layers[:-1], nn.Dropout(0.25), layers[-1])


def resnet():
    model = models.resnet(20)
    model.linear = nn.Sequential(nn.Dropout(0.25), model.linear)
    return model


def autoencoder():
    return nn.Sequential(nn.Dropout(0.2), models.conv_autoencoder())


def classify(model, x, y):
    return F.cross_entropy(model(x), y)


def restore(model, x, y):
    return F.mse_loss(model(x), x)


def sgd(parameters):
    return optim.SGD(parameters, optim.schedules.cosine(0.05, steps=STEPS), momentum=0.9)


def adam(parameters):
    return optim.Adam(parameters, optim.schedules.exponential(2e-3, 0.99))


# name: network, optimizer, loss, shape of an image
TRAININGS = {
    "lenet": (lenet, adam, classify, (1, 28, 28)),
    "resnet-20": (resnet, sgd, classify, (3, 16, 16)),
    "autoencoder": (autoencoder, adam, restore, (1, 28, 28)),
}


def batches_of(shape, device):
    """Noisy images of 10 classes, in [0, 1], and the classes."""
    rng = np.random.default_rng(0)
    classes = rng.uniform(size=(10, *shape))
    for _ in range(BATCHES):
        y = rng.integers(0, 10, BATCH)
        x = 0.8 * classes[y] + 0.2 * rng.uniform(size=(BATCH, *shape))
        yield dlx.tensor(x.astype(np.float32), device=device), dlx.tensor(y, device=device)


def tensors_in(value):
    if isinstance(value, dlx.Tensor):
        return [value]
    if isinstance(value, dict):
        return [t for key in value for t in tensors_in(value[key])]
    if isinstance(value, (list, tuple)):
        return [t for item in value for t in tensors_in(item)]
    return []


def trained(name, mode, device, steps, monkeypatch):
    """(hash of weights, buffers, moments, gradients and generator; losses)"""
    monkeypatch.setenv("DLX_JIT", mode)
    dlx.set_num_threads(MODES[mode])
    dlx.seed(0)
    build, make_optimizer, loss_of, shape = TRAININGS[name]
    model = build().to(device)
    optimizer = make_optimizer(model.parameters())

    @dlx.jit
    def step(x, y):
        loss = loss_of(model, x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    batches = list(batches_of(shape, device))
    losses = [step(*batches[i % BATCHES]) for i in range(steps)]
    assert step.cache_info().replays == (0 if mode == "off" else steps - 3)
    left = tensors_in([model.state_dict(), optimizer.state_dict()])
    left += [p.grad for p in model.parameters()]
    assert len(left) > 4 * len(list(model.parameters()))
    digest = hashlib.sha256(dlx.random.get_state().numpy().tobytes())
    for tensor in left:
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest(), [float(loss) for loss in losses]


@pytest.mark.timeout(1800)  # of --full on an emulator
@pytest.mark.parametrize("name", TRAININGS)
def test_200_steps_have_one_hash(name, device, request, monkeypatch):
    long = device == "cpu" or request.config.getoption("--full")
    steps = STEPS if long else STEPS_ON_GPU
    (eager, losses), *replayed = [trained(name, mode, device, steps, monkeypatch) for mode in MODES]
    if long:
        assert np.mean(losses[-BATCHES:]) < 0.8 * np.mean(losses[:BATCHES])  # it learns
    for mode, (found, its_losses) in zip(list(MODES)[1:], replayed):
        assert its_losses == losses, mode
        assert found == eager, mode
