"""What `fit` and `batches` cost beside the same loops written by hand.

    python benchmarks/training_loop.py

Fastest of many interleaved turns on one thread, in the thread's own processor time, which a busy
machine stretches least. Promised: `fit` at most 1.05 times the hand-written loop, unshuffled
`batches` at most 1.5 times the slices. Prints a Markdown table.
"""

from __future__ import annotations

import time

import dlx
from dlx import nn, optim

TURNS = 150


def training():
    (x, y), _ = dlx.data.digits()

    def net():
        dlx.seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))

    by_fit, by_hand = net(), net()
    by_fit.compile(optimizer="adam", lr=1e-3, loss="cross_entropy")
    opt = optim.Adam(by_hand.parameters(), lr=1e-3)

    def fit():
        by_fit.fit(x, y, verbose=0)

    def hand():
        for xb, yb in dlx.data.batches(x, y, shuffle=True):
            loss = nn.functional.cross_entropy(by_hand(xb), yb)
            opt.zero_grad()
            loss.backward()
            opt.step()

    return fit, hand


def loading():
    x, y = dlx.ones((4096, 64)), dlx.zeros((4096,), dtype=dlx.int64)

    def loader():
        for _ in dlx.data.batches(x, y, batch_size=32):
            pass

    def slices():
        for i in range(0, 4096, 32):
            x[i : i + 32], y[i : i + 32]

    return loader, slices


def fastest(*runs):
    best = [float("inf")] * len(runs)
    for _ in range(TURNS):
        for i, run in enumerate(runs):
            start = time.thread_time()
            run()
            best[i] = min(best[i], time.thread_time() - start)
    return best


def main():
    dlx.set_num_threads(1)
    print("| | dlx us | by hand us | ratio |")
    print("|---|---:|---:|---:|")
    for label, runs in (("`fit`, one epoch", training()), ("`batches`, one pass", loading())):
        ours, hand = fastest(*runs)
        print(f"| {label} | {1e6 * ours:.0f} | {1e6 * hand:.0f} | {ours / hand:.2f} |")


if __name__ == "__main__":
    main()
