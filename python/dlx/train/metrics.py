"""Figures over a whole data set, exact whatever the batch size."""

from __future__ import annotations

import dlx

__all__ = ["Accuracy", "BinaryAccuracy", "Mean", "find_metrics"]


class Accuracy:
    """Share of right predictions, from integer counts.

    output: (N, C, ...) scores; target: (N, ...) integer labels, of which those equal to
    ignore_index do not count, or (N, C, ...) with the true class largest (one-hot).
    """

    name = "accuracy"

    def __init__(self, ignore_index=-100):
        self.ignore_index = ignore_index
        self.reset()

    def reset(self):
        self.right = self.count = 0

    def update(self, output, target):
        labels = target
        if output.shape == target.shape and output.ndim > 1:
            labels = dlx.argmax(target, axis=1)
        elif output.ndim < 2 or output.shape[:1] + output.shape[2:] != target.shape:
            raise ValueError(
                f"accuracy: target must be (N, ...) labels of output (N, C, ...); "
                f"output={output.shape} target={target.shape}"
            )
        right = dlx.sum(dlx.equal(dlx.argmax(output, axis=1), labels)).item()
        self.right += right
        self.count += labels._numel
        if labels is target and right < target._numel:  # a label ignored is never predicted
            self.count -= dlx.sum(dlx.equal(target, self.ignore_index)).item()

    def result(self):
        return self.right / self.count if self.count else float("nan")


class BinaryAccuracy:
    """Share of elements on the right side of threshold, from integer counts.

    output, target: of one shape; a target is true above 0.5, an output above threshold: 0.5 for
    probabilities, 0 for the scores before a sigmoid, as compile sets it for the name
    "binary_accuracy" where the loss takes logits.
    """

    name = "binary_accuracy"

    def __init__(self, threshold=0.5):
        self.threshold = threshold
        self.reset()

    def reset(self):
        self.right = self.count = 0

    def update(self, output, target):
        if output.shape != target.shape:
            raise ValueError(
                f"binary_accuracy: expected output and target of one shape; "
                f"output={output.shape} target={target.shape}"
            )
        same = dlx.equal(dlx.greater(output, self.threshold), dlx.greater(target, 0.5))
        self.right += dlx.sum(same).item()
        self.count += target._numel

    def result(self):
        return self.right / self.count if self.count else float("nan")


class Mean:
    """A function (output, target) -> mean over the batch, averaged over batches by their rows."""

    def __init__(self, function):
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)
        self.reset()

    def reset(self):
        self.total, self.rows = 0.0, 0

    def update(self, output, target):
        rows = output.shape[0]
        self.total += float(self.function(output, target)) * rows
        self.rows += rows

    def result(self):
        return self.total / self.rows if self.rows else float("nan")


METRICS = {"accuracy": Accuracy, "binary_accuracy": BinaryAccuracy}


def find_metrics(op, metrics, scores=False):
    """Metric objects for names, objects (reset, update, result) and functions.

    scores: whether outputs are scores before a sigmoid, not probabilities."""
    if isinstance(metrics, str) or not hasattr(metrics, "__iter__"):
        raise TypeError(f"{op}: metrics must be a list, got {metrics!r}")
    found = []
    for metric in metrics:
        if isinstance(metric, str):
            if metric not in METRICS:
                raise ValueError(f"{op}: unknown metric {metric!r}; known: {', '.join(METRICS)}")
            binary = METRICS[metric] is BinaryAccuracy
            metric = BinaryAccuracy(0.0 if scores else 0.5) if binary else METRICS[metric]()
        elif isinstance(metric, type) or not hasattr(metric, "update"):
            if not callable(metric) or isinstance(metric, type):
                raise TypeError(
                    f"{op}: a metric is a name, an object with reset, update and result, or a "
                    f"function of (output, target), got {metric!r}"
                )
            metric = Mean(metric)
        found.append(metric)
    names = [metric.name for metric in found]
    if len(set(names)) < len(names) or "loss" in names:
        raise ValueError(
            f"{op}: the metrics' names must differ, also from loss: {', '.join(names)}"
        )
    return found
