"""A convolutional autoencoder: images through a short code and back."""

from __future__ import annotations

from dlx import nn

__all__ = ["conv_autoencoder"]


def conv_autoencoder(in_channels=1, code=32) -> nn.Sequential:
    """An encoder of strided convolutions and a decoder of transposed ones that mirrors it.

    x: (N, in_channels, 28, 28) in [0, 1] -> the same shape, in [0, 1]. model.encoder gives the code
    (N, code), model.decoder takes it.

        encoder: conv 16@3x3, stride 2 - relu - conv 32@3x3, stride 2 - relu   28 -> 14 -> 7
                 flatten 1568 - dense code
        decoder: dense 1568 - relu, as 32 maps of 7x7
                 conv_transpose 16@4x4, stride 2 - relu
                 conv_transpose in_channels@4x4, stride 2 - sigmoid            7 -> 14 -> 28

    115,217 parameters for one channel. After J. Masci, U. Meier, D. Ciresan, J. Schmidhuber,
    "Stacked convolutional auto-encoders for hierarchical feature extraction" (2011), whose pooling
    strides replace; kernels of 4 at stride 2 cover every pixel equally often (Odena et al. 2016).
    """
    encoder = nn.Sequential(
        nn.Conv2d(in_channels, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, code),
    )
    decoder = nn.Sequential(
        nn.Linear(code, 32 * 7 * 7),
        nn.ReLU(),
        nn.Unflatten(1, (32, 7, 7)),
        nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(16, in_channels, 4, stride=2, padding=1),
        nn.Sigmoid(),
    )
    return nn.Sequential({"encoder": encoder, "decoder": decoder})
