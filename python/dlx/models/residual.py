"""Residual networks for images of 32x32.

K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition" (2016), section 4.2.
"""

from __future__ import annotations

from dlx import nn
from dlx.nn import functional as F

__all__ = ["BasicBlock", "ResNet", "resnet"]


class BasicBlock(nn.Module):
    """y = relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)), both convolutions 3x3.

    x: (N, in_channels, H, W); y: (N, channels, H / stride, W / stride), rounded up. The shortcut
    has no parameters: every stride-th pixel, and channels of zeros on both sides (option A).
    """

    fuse_pairs = (("conv1", "bn1"), ("conv2", "bn2"))

    def __init__(self, in_channels, channels, stride=1):
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        before = (channels - in_channels) // 2
        self.new_channels = (before, channels - in_channels - before)

    def forward(self, x):
        """x: (N, in_channels, H, W)."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self._shortcut(x))

    def _shortcut(self, x):
        if self.stride != 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, *self.new_channels)) if any(self.new_channels) else x


class ResNet(nn.Module):
    """Three stages of n BasicBlocks of 16, 32 and 64 channels; see resnet.

    x: (N, 3, H, W) -> logits (N, num_classes); H and W a multiple of 4 halve twice evenly.
    """

    fuse_pairs = (("conv1", "bn1"),)

    def __init__(self, n, num_classes=10):
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(n, 16, 16, stride=1)
        self.layer2 = _stage(n, 16, 32, stride=2)
        self.layer3 = _stage(n, 32, 64, stride=2)
        self.linear = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x):
        """x: (N, 3, H, W)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean(dim=(2, 3)))


def _stage(n, in_channels, channels, stride):
    first = BasicBlock(in_channels, channels, stride)
    return nn.Sequential(first, *(BasicBlock(channels, channels) for _ in range(n - 1)))


def resnet(depth, num_classes=10) -> ResNet:
    """The residual network of 6n + 2 layers for CIFAR: resnet(20), 32, 44, 56, 110.

    x: (N, 3, 32, 32) -> logits (N, num_classes).

        conv 16@3x3 - bn - relu            32x32
        n blocks of two convs 16@3x3       32x32
        n blocks of two convs 32@3x3       16x16, the first conv with stride 2
        n blocks of two convs 64@3x3       8x8, the first conv with stride 2
        mean over the image - dense num_classes

    Shortcuts are option A of He et al. 2016, without parameters; convolutions and the dense layer
    start from He's normal distribution (kaiming_normal_). state_dict has the keys of the usual
    PyTorch implementations: conv1, bn1, layer1.0.conv1, layer1.0.bn1, ..., linear.

    Parameters for ten classes: 269,722 (20), 464,154 (32), 658,586 (44), 853,018 (56), 1,727,962
    (110). Raises ValueError for a depth that is not 6n + 2, n >= 1.
    """
    if not isinstance(depth, int) or depth < 8 or depth % 6 != 2:
        raise ValueError(f"resnet: depth must be 6n + 2 with n >= 1, as 20 or 56, got {depth!r}")
    return ResNet((depth - 2) // 6, num_classes)
