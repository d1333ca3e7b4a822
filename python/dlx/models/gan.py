"""DCGAN: a generator and a discriminator of convolutions.

A. Radford, L. Metz, S. Chintala, "Unsupervised representation learning with deep convolutional
generative adversarial networks" (2016).
"""

from __future__ import annotations

from itertools import pairwise

from dlx import nn

__all__ = ["dcgan"]

# image size -> (size behind the first transposed convolution, how often it then doubles)
_STAGES = {28: (7, 2), 32: (4, 3), 64: (4, 4)}


def dcgan(latent=100, image_size=28, channels=1, width=64) -> tuple[nn.Sequential, nn.Sequential]:
    """(generator, discriminator) for square images of 28, 32 or 64.

    Generator: z (N, latent), drawn from N(0, 1) -> images (N, channels, S, S) in [-1, 1].
    Discriminator: images -> logits (N, 1) of "this is a real one", for BCEWithLogitsLoss.
    With S = image_size, s = 7, 4, 4 and k = 2, 3, 4 for 28, 32, 64:

        G: conv_transpose s x s of z, width·2^(k-1) channels - bn - relu            s x s
           k - 1 conv_transposes 4x4, stride 2, half the channels each - bn - relu
           conv_transpose 4x4, stride 2, to `channels` - tanh                       S x S
        D: conv width@4x4, stride 2 - leaky relu 0.2
           k - 1 convs 4x4, stride 2, twice the channels each - bn - leaky relu 0.2
           conv 1@s x s                                                             1 x 1

    No bias in front of a batch norm. Weights start from N(0, 0.02²), those of batch norms from
    N(1, 0.02²), biases from 0. Parameters (G, D) with the defaults: 759,681 and 138,689; for 64x64
    images of 3 channels 3,576,707 and 2,765,633. Raises ValueError for another image_size.
    """
    if image_size not in _STAGES:
        sizes = ", ".join(map(str, _STAGES))
        raise ValueError(f"dcgan: image_size must be one of {sizes}, got {image_size!r}")
    first, doublings = _STAGES[image_size]
    widths = [width * 2**i for i in range(doublings)]
    generator = _generator(latent, channels, widths[::-1], first)
    discriminator = _discriminator(channels, widths, first)
    for model in (generator, discriminator):
        for module in model.modules():
            _initialise(module)
    return generator, discriminator


def _generator(latent, channels, widths, first):
    layers = [
        nn.Unflatten(1, (latent, 1, 1)),
        nn.ConvTranspose2d(latent, widths[0], first, bias=False),
    ]
    for wide, narrow in pairwise(widths):
        layers += [nn.BatchNorm2d(wide), nn.ReLU()]
        layers += [nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False)]
    layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU()]
    layers += [nn.ConvTranspose2d(widths[-1], channels, 4, stride=2, padding=1), nn.Tanh()]
    return nn.Sequential(*layers)


def _discriminator(channels, widths, last):
    layers = [nn.Conv2d(channels, widths[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    for narrow, wide in pairwise(widths):
        layers += [nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)]
    layers += [nn.Conv2d(widths[-1], 1, last), nn.Flatten()]
    return nn.Sequential(*layers)


def _initialise(module):
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)):
        nn.init.normal_(module.weight, float(isinstance(module, nn.BatchNorm2d)), 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
