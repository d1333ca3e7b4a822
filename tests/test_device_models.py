"""Networks of every kind, trained for some steps: a device has the losses, the predictions and the
state of the CPU."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import pytest

import dlx
from dlx import models, nn, optim
from dlx.models.residual import BasicBlock
from dlx.nn import functional as F

STEPS = 5


def drawn(*shape):
    return np.random.default_rng(1).standard_normal((STEPS, *shape), np.float32)


def labels(*shape, classes=10):
    return np.random.default_rng(2).integers(0, classes, (STEPS, *shape))


class Classifier:
    """A network after seed 0, its optimizer, and a batch for every step."""

    rate = 1e-3

    def __init__(self, device):
        dlx.seed(0)
        self.model = self.network().to(device)
        self.optimizer = optim.Adam(self.model.parameters(), lr=self.rate)
        self.batches = [tuple(dlx.tensor(a, device=device) for a in b) for b in self.batch()]

    def loss(self, x, y):
        return F.cross_entropy(self.model(x), y)

    def batch(self):
        return zip(drawn(4, *self.row), labels(4), strict=True)

    def step(self, i):
        """The losses before the step, as numbers."""
        loss = self.loss(*self.batches[i])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return [loss.item()]

    def predictions(self):
        self.model.eval()
        with dlx.no_grad():
            return self.model(self.batches[0][0])


class Lenet(Classifier):
    @staticmethod
    def network():
        return models.lenet5()

    def batch(self):
        if not pathlib.Path(os.environ.get("DLX_DATA", "/nonexistent"), "mnist").is_dir():
            pytest.skip("DLX_DATA has no mnist")
        (x, y), _ = dlx.data.mnist()
        return [(x[8 * i : 8 * i + 8].numpy(), y[8 * i : 8 * i + 8].numpy()) for i in range(STEPS)]


class Resnet(Classifier):
    """Two blocks on images of 8x8, the second one with stride 2 and a widening shortcut."""

    row = (3, 8, 8)

    @staticmethod
    def network():
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
            BasicBlock(6, 6), BasicBlock(6, 10, stride=2),
            nn.AvgPool2d(4), nn.Flatten(), nn.Linear(10, 10),
        )  # fmt: skip


class Mlp(Classifier):
    """No bias in front of the batch norm: its gradient is 0 but for rounding, which Adam would
    scale up to a step, and running means would tell."""

    row = (20,)

    @staticmethod
    def network():
        return nn.Sequential(
            nn.Linear(20, 33, bias=False), nn.BatchNorm1d(33), nn.ReLU(), nn.Dropout(0.4),
            nn.Linear(33, 17), nn.GELU(), nn.Dropout(0.2), nn.Linear(17, 10),
        )  # fmt: skip


class Autoencoder(Classifier):
    @staticmethod
    def network():
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5),
            nn.Linear(5, 64), nn.ReLU(), nn.Unflatten(1, (4, 4, 4)),
            nn.ConvTranspose2d(4, 1, 4, stride=2, padding=1), nn.Sigmoid(),
        )  # fmt: skip

    def batch(self):
        return [(x,) for x in np.abs(np.tanh(drawn(4, 1, 8, 8)))]

    def loss(self, x):
        return F.mse_loss(self.model(x), x)


class Dcgan(Classifier):
    """A generator and a discriminator of images of 8x8, one after the other in every step."""

    @staticmethod
    def network():
        return nn.Sequential({
            "generator": nn.Sequential(
                nn.ConvTranspose2d(6, 8, 4, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
                nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1), nn.Tanh(),
            ),
            "discriminator": nn.Sequential(
                nn.Conv2d(1, 6, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
                nn.Conv2d(6, 1, 4), nn.Flatten(),
            ),
        })  # fmt: skip

    def __init__(self, device):
        super().__init__(device)
        parts = (self.model.generator, self.model.discriminator)
        self.optimizers = [optim.Adam(p.parameters(), lr=1e-3, betas=(0.5, 0.999)) for p in parts]

    def batch(self):
        return zip(drawn(4, 6, 1, 1), drawn(4, 1, 8, 8), strict=True)

    def step(self, i):
        noise, real = self.batches[i]
        generator, discriminator = self.model.generator, self.model.discriminator
        fake, losses = generator(noise), []

        def judged(images, value):
            verdict = discriminator(images)
            return F.binary_cross_entropy_with_logits(verdict, dlx.full_like(verdict, value))

        for optimizer, loss in zip(
            self.optimizers[::-1],
            (lambda: judged(real, 1.0) + judged(fake.detach(), 0.0), lambda: judged(fake, 1.0)),
            strict=True,
        ):
            value = loss()
            self.model.zero_grad()
            value.backward()
            optimizer.step()
            losses.append(value.item())
        return losses


KINDS = [Lenet, Resnet, Mlp, Autoencoder, Dcgan]


def numbers(model):
    return {key: value.cpu().numpy() for key, value in model.state_dict().items()}


def trained(kind, device):
    """Losses and predictions."""
    network = kind(device)
    losses = [network.step(i) for i in range(STEPS)]
    y = network.predictions()
    assert y.device == dlx.device(device)
    return np.array(losses), y.cpu().numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_steps_have_the_losses_of_the_cpu(kind, device):
    losses, y = trained(kind, device)
    expected, expected_y = trained(kind, "cpu")
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    np.testing.assert_allclose(y, expected_y, rtol=1e-4, atol=1e-5)
    assert (y.argmax(1) == expected_y.argmax(1)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_moves_to_the_cpu_and_back_unchanged(kind, device):
    given = kind(device)
    given.step(0)
    before, y = numbers(given.model), given.predictions().cpu().numpy()
    given.model.to("cpu")
    assert all(value.device == dlx.device("cpu") for value in given.model.state_dict().values())
    given.model.to(device)
    after = numbers(given.model)
    assert before.keys() == after.keys()
    assert all(before[key].tobytes() == after[key].tobytes() for key in before)
    assert given.predictions().cpu().numpy().tobytes() == y.tobytes()
