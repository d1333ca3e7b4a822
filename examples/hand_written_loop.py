"""A training loop written by hand, with a module of one's own: what `fit` does, in ten lines.

Trains on the digits that ship with dlx, so nothing is downloaded.

Measured: 98.89, 98.89 and 99.44 % with seeds 0, 1 and 2.

    python examples/hand_written_loop.py [--fast] [--seed 0] [--threads N]
"""

import argparse

import dlx
import dlx.nn.functional as F
from dlx import nn, optim


class Network(nn.Module):
    """(N, 1, 8, 8) -> (N, 10)"""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.linear = nn.Linear(32 * 2 * 2, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)  # (N, 16, 4, 4)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # (N, 32, 2, 2)
        return self.linear(x.flatten(1))


def train_epoch(model, optimizer, x, y):
    """One pass over the data; the mean loss."""
    model.train()
    total = 0.0
    for xb, yb in dlx.data.batches(x, y, batch_size=32, shuffle=True):
        loss = F.cross_entropy(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(xb)
    return total / len(x)


@dlx.no_grad()
def accuracy(model, x, y):
    model.eval()
    return (model(x).argmax(1) == y).astype(dlx.float32).mean().item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fast", action="store_true", help="5 epochs instead of 20")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="default: the CPUs at hand")
    options = parser.parse_args()
    if options.threads:
        dlx.set_num_threads(options.threads)
    dlx.seed(options.seed)

    (x, y), (xt, yt) = dlx.data.digits()
    model = Network()
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(5 if options.fast else 20):
        loss = train_epoch(model, optimizer, x, y)
        print(f"epoch {epoch + 1}: loss {loss:.4f}, test {100 * accuracy(model, xt, yt):.2f} %")
    print(f"test accuracy: {100 * accuracy(model, xt, yt):.2f} %")


if __name__ == "__main__":
    main()
