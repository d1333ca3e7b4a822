"""Steps of convolutional networks: one weight hash on any number of threads, replay bit by bit."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import dlx
from _check import is_emulated
from dlx import models, nn, optim
from dlx.nn import functional as F

pytestmark = pytest.mark.on_its_device


def lenet(device):
    """LeNet with both kinds of pooling, batch norms of images and of rows, and dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.BatchNorm1d(120), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(120, 10),
    ).to(device)  # fmt: skip


def digits():
    """Images (N, 1, 28, 28) and labels: each pixel of 8x8 is one of 3x3, within a border."""
    (x, y), _ = dlx.data.digits()
    x = np.kron(x.cpu().numpy().reshape(-1, 1, 8, 8), np.ones((1, 1, 3, 3), np.float32))
    return np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2))), y.cpu().numpy()


class Training:
    """A model with Adam from seed 0; the batch stands in tensors, as a recorder needs it."""

    def __init__(self, make, device, rows=16):
        dlx.seed(0)
        self.steps = 4 if is_emulated(device) else 14  # the first three are not replayed
        self.model = make(device)
        self.optimizer = optim.Adam(self.model.parameters(), lr=1e-3)
        images, labels = digits()
        chosen = np.random.default_rng(0).integers(0, len(images), (self.steps, rows))
        self.images, self.labels = images[chosen], labels[chosen]
        self.x = dlx.tensor(self.images[0], device=device)
        self.y = dlx.tensor(self.labels[0], device=device)

    def step(self):
        loss = F.cross_entropy(self.model(self.x), self.y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def run(self, first, last, step=None):
        losses = []
        for i in range(first, last):
            self.x[...] = dlx.tensor(self.images[i])
            self.y[...] = dlx.tensor(self.labels[i])
            losses.append((step or self.step)().item())
        return losses

    def everything(self):
        """Bits of weights and running statistics, of Adam's state, and of the generator."""
        state = self.optimizer.state_dict()["state"]
        arrays = [value.cpu().numpy() for entry in state.values() for value in entry.values()]
        arrays.append(dlx.random.get_state().cpu().numpy())
        return dlx.testing.weight_hash(self.model), [a.tobytes() for a in arrays]


# ---- threads


def hash_after(threads, device, lever=contextlib.nullcontext):
    dlx.set_num_threads(threads)
    short = is_emulated(device)
    training = Training(lenet, device, rows=8 if short else 64)
    with lever():
        losses = training.run(0, 2 if short else 4)
        with dlx.testing.forced_grain(1000):  # chunks that a small batch would not have
            losses += training.run(len(losses), len(losses) + 2)
    assert short or losses[-1] < losses[0] - 0.5
    return dlx.testing.weight_hash(training.model)


def test_one_weight_hash_on_any_number_of_threads(device):
    assert len({hash_after(threads, device) for threads in (1, 2, 3)}) == 1


def test_without_fixed_chunks_the_hash_depends_on_the_threads():
    lever = dlx.testing.split_by_threads
    assert len({hash_after(threads, "cpu", lever) for threads in (1, 2)}) == 2


# ---- dlx.jit


def resnet(device):
    return models.resnet(8).to(device)


class Rgb(Training):
    """The same on three channels."""

    def __init__(self, make, device, rows=4):
        super().__init__(make, device, rows)
        self.images = np.repeat(self.images, 3, axis=2)
        self.x = dlx.tensor(self.images[0], device=device)


class Reconstruction(Training):
    """An autoencoder: the images are their own labels."""

    def step(self):
        loss = F.mse_loss(self.model(self.x), self.x)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss


def autoencoder(device):
    return models.conv_autoencoder().to(device)


@pytest.mark.parametrize(
    ("kind", "make", "launches"),
    [
        (Training, lenet, {"conv2d", "conv2d_backward_weight", "conv_transpose2d", "batch_norm",
                           "batch_norm_update", "dropout", "optimizer_step"}),
        (Rgb, resnet, {"conv2d", "pad", "batch_norm_update", "optimizer_step"}),
        (Reconstruction, autoencoder, {"conv2d", "conv_transpose2d", "mse_loss"}),
    ],
    ids=["lenet", "resnet", "autoencoder"],
)  # fmt: skip
def test_replayed_steps_equal_eager_ones_in_every_bit(kind, make, launches, device):
    eager = kind(make, device)
    losses = eager.run(0, eager.steps)

    recorded = kind(make, device)
    step = dlx.jit(recorded.step)
    assert recorded.run(0, recorded.steps, step) == losses
    assert recorded.everything() == eager.everything()
    assert step.cache_info().replays == recorded.steps - 3
    text = str(step.program)
    assert all(f" {launch} " in text for launch in launches)


def test_running_statistics_are_part_of_what_is_compared(device):
    training = Training(lenet, device)
    before = dlx.testing.weight_hash(training.model)
    with dlx.no_grad():
        training.model(training.x)
    assert training.model[1].num_batches_tracked.item() == 1
    assert dlx.testing.weight_hash(training.model) != before
