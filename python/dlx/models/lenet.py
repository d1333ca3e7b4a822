"""LeNet-5 and its sibling of the course: two convolutions with pooling, three dense layers."""

from __future__ import annotations

from dlx import nn

__all__ = ["course_cnn", "lenet5"]


def _lenet(first, second, features, num_classes) -> nn.Sequential:
    """first and second: the convolutions; features: the elements behind the second pooling."""
    return nn.Sequential(
        {
            "conv1": first,
            "relu1": nn.ReLU(),
            "pool1": nn.MaxPool2d(2),
            "conv2": second,
            "relu2": nn.ReLU(),
            "pool2": nn.MaxPool2d(2),
            "flatten": nn.Flatten(),
            "fc1": nn.Linear(features, 120),
            "relu3": nn.ReLU(),
            "fc2": nn.Linear(120, 84),
            "relu4": nn.ReLU(),
            "fc3": nn.Linear(84, num_classes),
        }
    )


def lenet5(num_classes=10, in_channels=1) -> nn.Sequential:
    """LeNet-5 as it is built today: ReLU, max pooling, and a linear layer at the end.

    x: (N, in_channels, 28, 28) -> logits (N, num_classes).

        conv 6@5x5, padding 2 - relu - pool 2   28x28 -> 14x14
        conv 16@5x5           - relu - pool 2   14x14 -> 10x10 -> 5x5
        flatten 400 - dense 120 - relu - dense 84 - relu - dense num_classes

    61,706 parameters for one channel and ten classes. The second convolution sees all six maps.
    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition"
    (1998), which has tanh, trained subsampling, a sparse second convolution, and RBF outputs.
    """
    first, second = nn.Conv2d(in_channels, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
    return _lenet(first, second, 400, num_classes)


def course_cnn(in_channels=1, image_size=28, num_classes=10) -> nn.Sequential:
    """A small network in the manner of LeNet-5, for MNIST and its like.

    x: (N, in_channels, image_size, image_size) -> logits (N, num_classes). image_size: 28 or 32.

        conv 8@3x3 same (32: 8@5x5 valid) - relu - pool 2   28x28 -> 14x14
        conv 16@5x5 valid                 - relu - pool 2   14x14 -> 10x10 -> 5x5
        flatten 400 - dense 120 - relu - dense 84 - relu - dense num_classes

    62,430 parameters for one channel of 28x28 and ten classes, 62,958 for three of 32x32.
    Raises ValueError for another image_size.
    """
    if image_size == 28:
        first = nn.Conv2d(in_channels, 8, 3, padding="same")
    elif image_size == 32:
        first = nn.Conv2d(in_channels, 8, 5)
    else:
        raise ValueError(f"course_cnn: image_size must be 28 or 32, got {image_size!r}")
    return _lenet(first, nn.Conv2d(8, 16, 5), 400, num_classes)
