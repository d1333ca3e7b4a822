"""What `fit` costs beside the bare loop of replays that one writes by hand with `dlx.jit`.

    python benchmarks/fit_overhead.py

Both train on the same rows in memory, shuffled, in 500 batches an epoch. A step is timed in the
third epoch, in which `fit` records and compares nothing; its whole call of three epochs has the
check of the data, too, and the steps that are recorded. Fastest of interleaved turns on one thread,
in the thread's own processor time, which a busy machine stretches least. Promised: at most 1.05
times the loop where a step takes a millisecond, at most 5 us more otherwise. Prints a Markdown
table.
"""

from __future__ import annotations

import time

import dlx
from dlx import models, nn, optim
from dlx.train import Callback

STEPS, EPOCHS = 500, 3


def small():
    return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))


def wide():
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


# name -> (model, shape of a row, loss, batch size, turns)
ROWS = {
    "MLP 2-16-1 b32": (small, (2,), "mse_loss", 32, 40),
    "MLP 784-128-10 b64": (wide, (784,), "cross_entropy", 64, 10),
    "LeNet b64": (models.lenet5, (1, 28, 28), "cross_entropy", 64, 4),
}


class Clock(Callback):
    """The times at which the epochs of one `fit` begin, and its end."""

    def on_train_begin(self):
        self.times = []

    def on_epoch_begin(self, epoch):
        self.times.append(time.thread_time())

    def on_train_end(self, logs):
        self.times.append(time.thread_time())


def loops(make, row, loss, size):
    """(fit, loop): each trains for EPOCHS epochs and returns the seconds of the last one."""
    dlx.seed(0)
    x = dlx.random.normal((STEPS * size, *row))
    if loss == "mse_loss":
        y = dlx.random.normal((STEPS * size, 1))
    else:
        y = dlx.random.randint(0, 10, (STEPS * size,))
    by_fit, by_hand = make(), make()
    by_fit.predict(x[:1])
    by_hand(x[:1])
    by_fit.compile(optimizer=optim.Adam(by_fit.parameters()), loss=loss)
    optimizer, loss_of = optim.Adam(by_hand.parameters()), getattr(nn.functional, loss)

    @dlx.jit
    def step(xb, yb):
        value = loss_of(by_hand(xb), yb)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value

    def fit():
        clock = Clock()
        by_fit.fit(x, y, size, EPOCHS, verbose=0, callbacks=[clock])
        return clock.times[-1] - clock.times[-2]

    def loop():
        for _ in range(EPOCHS):
            start = time.thread_time()
            for xb, yb in dlx.data.batches(x, y, size, shuffle=True):
                step(xb, yb)
        return time.thread_time() - start

    return fit, loop


def fastest(runs, turns):
    """Of each run: the fastest (step of the last epoch, step of all) in us."""
    last, all_epochs = [float("inf")] * len(runs), [float("inf")] * len(runs)
    for _ in range(turns):
        for i, run in enumerate(runs):
            start = time.thread_time()
            last[i] = min(last[i], run())
            all_epochs[i] = min(all_epochs[i], time.thread_time() - start)
    return [(1e6 * a / STEPS, 1e6 * b / STEPS / EPOCHS) for a, b in zip(last, all_epochs)]


def main():
    dlx.set_num_threads(1)
    print("| training step | `fit` us | replays us | us more | ratio | whole call, us a step |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, (*how, turns) in ROWS.items():
        (ours, whole), (bare, _) = fastest(loops(*how), turns)
        print(
            f"| {name} | {ours:.2f} | {bare:.2f} | {ours - bare:.2f} | {ours / bare:.3f} "
            f"| {whole:.2f} |"
        )


if __name__ == "__main__":
    main()
