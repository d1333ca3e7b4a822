"""A network of one's own on Fashion-MNIST: nn.Sequential with batch norm and dropout, fit, predict.

Prints which classes the trained network confuses most.

Measured with seed 0: 91.90 %.

    python examples/fashion_cnn.py [--fast] [--seed 0] [--threads N]
"""

import argparse
import math
from collections import Counter

import dlx
from dlx import nn
from dlx.optim import schedules

BATCH, EPOCHS = 64, 5


def network():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),  # the batch norm after it has a bias
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(32 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def confusions(model, x, y, most=3):
    """The pairs (true class, predicted class) that occur most often, with their counts."""
    predicted = dlx.argmax(model.predict(x), axis=1).tolist()
    wrong = Counter((true, guess) for true, guess in zip(y.tolist(), predicted) if true != guess)
    return wrong.most_common(most)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fast", action="store_true", help="a small slice of the data, one epoch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="default: the CPUs at hand")
    options = parser.parse_args()
    if options.threads:
        dlx.set_num_threads(options.threads)
    dlx.seed(options.seed)

    (x, y), (xt, yt) = dlx.data.fashion_mnist()
    epochs = EPOCHS
    if options.fast:
        x, y, xt, yt, epochs = x[:3000], y[:3000], xt[:1000], yt[:1000], 1

    model = network()
    model.summary(x.shape[1:])
    rate = schedules.linear(2e-3, final=0.0, steps=epochs * math.ceil(len(x) / BATCH))
    model.compile(optimizer="adam", lr=rate, loss="cross_entropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=BATCH, epochs=epochs, validation_data=(xt, yt))

    names = dlx.data.FASHION_CLASSES
    for (true, guess), count in confusions(model, xt, yt):
        print(f"{count} times a {names[true]} was taken for a {names[guess]}")
    print(f"test accuracy: {100 * model.evaluate(xt, yt)['accuracy']:.2f} %")


if __name__ == "__main__":
    main()
