"""What `fit` returns."""

from __future__ import annotations

__all__ = ["History"]


class History:
    """history: {name: [a float per epoch]}; epoch: the numbers of the epochs, from 0."""

    def __init__(self):
        self.history = {}
        self.epoch = []

    def append(self, epoch, logs):
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)

    def plot(self, ax=None):
        """Draw every figure against the epoch, losses on the left axis, the rest on the right.

        Returns the matplotlib axes of the losses. Needs matplotlib: pip install "dlx[plot]".
        """
        try:
            import matplotlib.pyplot as plt
        except ImportError:
            raise ImportError('History.plot needs matplotlib: pip install "dlx[plot]"') from None
        ax = ax or plt.subplots()[1]
        right = None
        epochs = [epoch + 1 for epoch in self.epoch]
        for index, (name, values) in enumerate(self.history.items()):
            axes = ax
            if not name.endswith("loss"):
                axes = right = right or ax.twinx()
            style = "--" if name.startswith("val_") else "-"
            axes.plot(epochs, values, style, label=name, color=f"C{index}")
        ax.set_xlabel("epoch")
        ax.set_ylabel("loss")
        ax.figure.legend()
        return ax

    def __repr__(self):
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.history.items())
        return f"<History of {len(self.epoch)} epochs{': ' + last if last else ''}>"
