"""Rows: whole training steps beside PyTorch's, from equal weights on equal data.

A step is zero_grad, forward, loss, backward and Adam's update, all eager. PyTorch's Adam is `fused`
and its images channels_last, which was the faster layout in every row measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import dlx
from dlx._bench.measure import DLX, EAGER, LAST, Row, Subject

__all__ = ["RATE", "ROWS", "Adversaries", "Task", "differences", "rows"]

BATCH = 64
RATE = 1e-4  # small, so that rounding does not soon part the two libraries' losses


# Networks: each of either library's nn, the weights drawn by dlx


def _mlp(*widths, activation="ReLU"):
    def build(nn):
        layers = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), getattr(nn, activation)()]
        return nn.Sequential(*layers[:-1])

    return build


def _lenet(nn):
    """dlx.models.course_cnn"""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def _autoencoder(nn):
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 4, stride=2, padding=1),
        nn.Sigmoid(),
    )


def _resnet20(nn):
    """dlx.models.resnet(20)"""
    relu, pad = nn.functional.relu, nn.functional.pad

    class Block(nn.Module):
        def __init__(self, before, after, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(after)
            self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(after)
            self.stride, self.new = stride, (after - before) // 2

        def forward(self, x):
            y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
            if self.stride != 1:
                x = x[:, :, :: self.stride, :: self.stride]
            return relu(y + (pad(x, (0, 0, 0, 0, self.new, self.new)) if self.new else x))

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(16)
            shapes = [(16, 16, 1)] * 3 + [(16, 32, 2), (32, 32, 1), (32, 32, 1)]
            shapes += [(32, 64, 2), (64, 64, 1), (64, 64, 1)]
            self.blocks = nn.Sequential(*(Block(*shape) for shape in shapes))
            self.linear = nn.Linear(64, 10)

        def forward(self, x):
            x = self.blocks(relu(self.bn1(self.conv1(x))))
            return self.linear(x.mean(dim=(2, 3)))

    return ResNet()


def _generator(nn):
    """dlx.models.dcgan()[0]"""
    return nn.Sequential(
        nn.ConvTranspose2d(100, 128, 7, bias=False),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 1, 4, stride=2, padding=1),
        nn.Tanh(),
    )


def _discriminator(nn):
    """dlx.models.dcgan()[1]"""
    return nn.Sequential(
        nn.Conv2d(1, 64, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(64, 128, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(128),
        nn.LeakyReLU(0.2),
        nn.Conv2d(128, 1, 7),
        nn.Flatten(),
    )


# Steps


def _twin(library, build, model, channels_last):
    """dlx's network, or PyTorch's with the same weights."""
    if library is dlx:
        return model
    twin = build(library.nn)
    weights = {key: library.tensor(w.tolist()) for key, w in model.state_dict().items()}
    twin.load_state_dict(weights)
    return twin.to(memory_format=library.channels_last) if channels_last else twin


def _data(library, x, channels_last):
    if library is dlx:
        return x
    x = library.tensor(x.tolist())
    return x.to(memory_format=library.channels_last) if channels_last and x.ndim == 4 else x


def _adam(library, model, **options):
    fused = {} if library is dlx else {"fused": True}
    return library.optim.Adam(model.parameters(), **options, **fused)


def _as_it_is(function):
    return function


@dataclass(frozen=True)
class Task:
    """A network, its data and its loss."""

    build: Callable  # of a library's nn
    shape: tuple[int, ...]  # of a batch
    loss: str  # of nn.functional
    target: Callable  # of a batch: what the network shall give for it

    def start(self):
        """dlx's network and batch (model, x, y), equal in every call."""
        dlx.seed(0)
        model = self.build(dlx.nn)
        x = dlx.random.uniform(self.shape)
        return model, x, self.target(x)

    def __call__(self, library, channels_last=True, compiled=_as_it_is):
        """The step, a function of its data and these: partial(step, x, y); it returns the loss.

        library: dlx or torch. channels_last: PyTorch's layout of images. compiled(f): what runs in
        place of each function f that computes a loss."""
        model, x, y = self.start()
        model, x, y = (
            _twin(library, self.build, model, channels_last),
            _data(library, x, channels_last),
            _data(library, y, channels_last),
        )
        optimizer = _adam(library, model, lr=RATE)
        loss_function = getattr(library.nn.functional, self.loss)
        loss_of = compiled(lambda x, y: loss_function(model(x), y))

        def step(x, y):
            optimizer.zero_grad()
            loss = loss_of(x, y)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return partial(step, x, y)


class Adversaries:
    """DCGAN: its generator and its discriminator learn in turn."""

    betas = 0.5, 0.999

    def start(self):
        """dlx's networks and batch (generator, discriminator, z, real), equal in every call."""
        dlx.seed(0)
        generator, discriminator = _generator(dlx.nn), _discriminator(dlx.nn)
        z = dlx.random.normal((BATCH, 100, 1, 1))
        return generator, discriminator, z, 2 * dlx.random.uniform((BATCH, 1, 28, 28)) - 1

    def __call__(self, library, channels_last=True, compiled=_as_it_is):
        """As Task's: partial(step, z, real)."""
        generator, discriminator, z, real = self.start()
        generator = _twin(library, _generator, generator, channels_last)
        discriminator = _twin(library, _discriminator, discriminator, channels_last)
        z, real = _data(library, z, channels_last), _data(library, real, channels_last)
        ones, zeros = library.ones((BATCH, 1)), library.zeros((BATCH, 1))
        of_generator = _adam(library, generator, lr=RATE, betas=self.betas)
        of_discriminator = _adam(library, discriminator, lr=RATE, betas=self.betas)
        loss_of = library.nn.functional.binary_cross_entropy_with_logits
        generate = compiled(lambda z: generator(z))
        told_apart = compiled(
            lambda real, fake: (
                loss_of(discriminator(real), ones) + loss_of(discriminator(fake), zeros)
            )
        )
        taken_in = compiled(lambda fake: loss_of(discriminator(fake), ones))

        def step(z, real):
            fake = generate(z)
            of_discriminator.zero_grad()
            loss = told_apart(real, fake.detach())
            loss.backward()
            of_discriminator.step()
            of_generator.zero_grad()
            fooled = taken_in(fake)
            fooled.backward()
            of_generator.step()
            return (loss + fooled).detach()

        return partial(step, z, real)


def _classes(x):
    return dlx.random.randint(0, 10, (x.shape[0],))


def _one_sign(x):
    return (x[:, :1] > x[:, 1:]).astype("float32")


def _itself(x):
    return x


ROWS = {
    "MLP 2-16-1 (b32)": Task(
        _mlp(2, 16, 1, activation="Tanh"), (32, 2), "binary_cross_entropy_with_logits", _one_sign
    ),
    "MLP 784-128-10 (b64)": Task(_mlp(784, 128, 10), (BATCH, 784), "cross_entropy", _classes),
    "MLP 784-512-512-10 (b64)": Task(
        _mlp(784, 512, 512, 10), (BATCH, 784), "cross_entropy", _classes
    ),
    "LeNet (b64)": Task(_lenet, (BATCH, 1, 28, 28), "cross_entropy", _classes),
    "conv autoencoder 1-16-32-16-1 (b64)": Task(
        _autoencoder, (BATCH, 1, 28, 28), "mse_loss", _itself
    ),
    "ResNet-20 32x32 (b64)": Task(_resnet20, (BATCH, 3, 32, 32), "cross_entropy", _classes),
    "DCGAN 28x28 (b64)": Adversaries(),
}


def differences(make, torch, channels_last=True, steps=3):
    """|loss - PyTorch's loss| of the first steps."""
    ours, theirs = make(dlx), make(torch, channels_last)
    return [abs(float(ours()) - float(theirs())) for _ in range(steps)]


def rows():
    return [
        Row(name, lambda torch, make=make: _subject(torch, make)) for name, make in ROWS.items()
    ]


def _subject(torch, make):
    calls = {DLX: make(dlx)}
    if torch is not None:
        calls |= {EAGER: make(torch, False), LAST: make(torch, True)}
    return Subject(calls)
