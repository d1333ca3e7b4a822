"""ResNet-20 on CIFAR-10: augmentation, momentum and weight decay, a cosine learning rate.

Trains on the subset of 10 000 images, or, with --pretrained, evaluates weights on its 1 000 test
images. FILE is what model.save wrote; this converts published weights of PyTorch
(github.com/akamaster/pytorch_resnet_cifar10), which lack num_batches_tracked:

    weights = torch.load("resnet20-12fca82f.th", "cpu", weights_only=True)["state_dict"]
    weights = {key.removeprefix("module."): w.numpy() for key, w in weights.items()}
    model = dlx.models.resnet(20)
    model.load_state_dict(model.state_dict() | weights)
    model.save("resnet20.dlx")

Measured: 50.6 % after 4 epochs with seed 0; 91.50 % with those weights.

    python examples/cifar_resnet20.py [--fast] [--pretrained FILE] [--epochs N] [--seed 0]
"""

import argparse
import math

import numpy as np

import dlx
from dlx import optim
from dlx.optim import schedules

BATCH, EPOCHS = 64, 4
MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)
STD = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)


def normalise(x):
    return (x.numpy() - MEAN) / STD


def augment(x, rng, pad=4):
    """Each image shifted by up to `pad` pixels and flipped half of the time. x: (N, C, H, W)

    He et al. 2016, section 4.2."""
    n, _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
    rows, columns = rng.integers(0, 2 * pad + 1, (2, n))
    out = windows[np.arange(n), :, rows, columns]
    flipped = rng.random(n) < 0.5
    out[flipped] = out[flipped][..., ::-1]
    return out


def train(model, x, y, xt, yt, epochs, seed):
    rng = np.random.default_rng(seed)
    rate = schedules.cosine(0.05, steps=epochs * math.ceil(len(x) / BATCH), warmup=10)
    optimizer = optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
    model.compile(optimizer=optimizer, loss="cross_entropy", metrics=["accuracy"])
    for epoch in range(epochs):  # fit goes on where it stopped, with newly drawn images
        history = model.fit(
            augment(x, rng),
            y,
            batch_size=BATCH,
            epochs=epoch + 1,
            initial_epoch=epoch,
            verbose=0,
            validation_data=(xt, yt),
        ).history
        loss, test = history["loss"][-1], history["val_accuracy"][-1]
        print(f"epoch {epoch + 1}/{epochs}: loss {loss:.4f}, test {100 * test:.2f} %", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fast", action="store_true", help="ResNet-8, a slice of the data")
    parser.add_argument("--pretrained", metavar="FILE", help="evaluate these weights")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"default {EPOCHS}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="default: the CPUs at hand")
    options = parser.parse_args()
    if options.threads:
        dlx.set_num_threads(options.threads)
    dlx.seed(options.seed)

    (x, y), (xt, yt) = dlx.data.cifar10(subset=True)
    depth, epochs = 20, options.epochs
    if options.fast and not options.pretrained:
        x, y, xt, yt, depth, epochs = x[:1280], y[:1280], xt[:500], yt[:500], 8, 1
    x, xt = normalise(x), normalise(xt)

    model = dlx.models.resnet(depth)
    if options.pretrained:
        model.load_state(options.pretrained)
        model.compile(loss="cross_entropy", metrics=["accuracy"])
    else:
        train(model, x, y, xt, yt, epochs, options.seed)
    print(f"test accuracy: {100 * model.evaluate(xt, yt)['accuracy']:.2f} %")


if __name__ == "__main__":
    main()
