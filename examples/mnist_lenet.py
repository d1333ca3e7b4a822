"""LeNet on MNIST: a network of the zoo, a falling learning rate, compile and fit.

Measured: 98.96, 98.96 and 98.93 % with seeds 0, 1 and 2.

    python examples/mnist_lenet.py [--fast] [--seed 0] [--threads N]
"""

import argparse
import math

import dlx
from dlx.optim import schedules

BATCH, EPOCHS = 64, 3


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fast", action="store_true", help="a tenth of the data, one epoch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="default: the CPUs at hand")
    options = parser.parse_args()
    if options.threads:
        dlx.set_num_threads(options.threads)
    dlx.seed(options.seed)

    (x, y), (xt, yt) = dlx.data.mnist()
    epochs = EPOCHS
    if options.fast:
        x, y, xt, yt, epochs = x[:6000], y[:6000], xt[:1000], yt[:1000], 1

    model = dlx.models.course_cnn()
    model.summary(x.shape[1:])
    steps = epochs * math.ceil(len(x) / BATCH)
    rate = schedules.linear(2e-3, final=0.0, steps=steps)
    model.compile(optimizer="adam", lr=rate, loss="cross_entropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=BATCH, epochs=epochs, validation_data=(xt, yt))
    print(f"test accuracy: {100 * model.evaluate(xt, yt)['accuracy']:.2f} %")


if __name__ == "__main__":
    main()
