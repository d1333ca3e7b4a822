"""Rows: whole training steps beside PyTorch's, from equal weights on equal data.

A step is zero_grad, forward, loss, backward and Adam's update, all eager. PyTorch's Adam is `fused`
and its images channels_last, which was the faster layout in every row measured.
"""

from __future__ import annotations

from itertools import pairwise

import dlx
from dlx._bench.measure import DLX, EAGER, LAST, Row, Subject

__all__ = ["ROWS", "differences", "rows"]

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


def _twin(library, build, channels_last):
    """build's network in dlx or PyTorch, its weights the same."""
    model = build(dlx.nn)
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


def _row(build, shape, loss_name, target):
    """target(x): what the network shall give for x."""

    def make(library, channels_last=True):
        dlx.seed(0)
        model = _twin(library, build, channels_last)
        x = dlx.random.uniform(shape)
        y = _data(library, target(x), channels_last)
        x = _data(library, x, channels_last)
        optimizer = _adam(library, model, lr=RATE)
        loss_of = getattr(library.nn.functional, loss_name)

        def step():
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return step

    return make


def _dcgan(library, channels_last=True):
    dlx.seed(0)
    generator = _twin(library, _generator, channels_last)
    discriminator = _twin(library, _discriminator, channels_last)
    z = _data(library, dlx.random.normal((BATCH, 100, 1, 1)), channels_last)
    real = _data(library, 2 * dlx.random.uniform((BATCH, 1, 28, 28)) - 1, channels_last)
    ones, zeros = library.ones((BATCH, 1)), library.zeros((BATCH, 1))
    of_generator = _adam(library, generator, lr=RATE, betas=(0.5, 0.999))
    of_discriminator = _adam(library, discriminator, lr=RATE, betas=(0.5, 0.999))
    loss_of = library.nn.functional.binary_cross_entropy_with_logits

    def step():
        fake = generator(z)
        of_discriminator.zero_grad()
        loss = loss_of(discriminator(real), ones) + loss_of(discriminator(fake.detach()), zeros)
        loss.backward()
        of_discriminator.step()
        of_generator.zero_grad()
        fooled = loss_of(discriminator(fake), ones)
        fooled.backward()
        of_generator.step()
        return loss + fooled

    return step


def _classes(x):
    return dlx.random.randint(0, 10, (x.shape[0],))


def _one_sign(x):
    return (x[:, :1] > x[:, 1:]).astype("float32")


def _itself(x):
    return x


# name: make(library, channels_last=True) -> step(), which returns the loss; library: dlx or torch,
# channels_last: PyTorch's layout of images
ROWS = {
    "MLP 2-16-1 (b32)": _row(
        _mlp(2, 16, 1, activation="Tanh"), (32, 2), "binary_cross_entropy_with_logits", _one_sign
    ),
    "MLP 784-128-10 (b64)": _row(_mlp(784, 128, 10), (BATCH, 784), "cross_entropy", _classes),
    "MLP 784-512-512-10 (b64)": _row(
        _mlp(784, 512, 512, 10), (BATCH, 784), "cross_entropy", _classes
    ),
    "LeNet (b64)": _row(_lenet, (BATCH, 1, 28, 28), "cross_entropy", _classes),
    "conv autoencoder 1-16-32-16-1 (b64)": _row(
        _autoencoder, (BATCH, 1, 28, 28), "mse_loss", _itself
    ),
    "ResNet-20 32x32 (b64)": _row(_resnet20, (BATCH, 3, 32, 32), "cross_entropy", _classes),
    "DCGAN 28x28 (b64)": _dcgan,
}


def differences(make, torch, channels_last=True, steps=3):
    """|loss - PyTorch's loss| of the first steps."""
    ours, theirs = make(dlx), make(torch, channels_last)
    return [abs(float(ours()) - float(theirs().detach())) for _ in range(steps)]


def rows():
    return [
        Row(name, lambda torch, make=make: _subject(torch, make)) for name, make in ROWS.items()
    ]


def _subject(torch, make):
    calls = {DLX: make(dlx)}
    if torch is not None:
        calls |= {EAGER: make(torch, False), LAST: make(torch, True)}
    return Subject(calls)
