"""An error inside a replay leaves behind what it leaves behind in an eager call."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from dlx import nn
from dlx.nn import functional as F

RIGHT, WRONG = [0, 1, 2, 0], [0, 1, 9, 0]


class Training:
    """Two linear layers with Adam, from seed 0; `total` gets other memory where it is added to."""

    def __init__(self):
        dlx.seed(0)
        self.model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
        self.scale = nn.Parameter(dlx.full((3,), 1.5))
        self.optimizer = dlx.optim.Adam([*self.model.parameters(), self.scale], lr=0.01)
        self.total = dlx.zeros(())

    def loss(self, x, y):
        return F.cross_entropy(self.model(x) * self.scale, y)

    def cleared_first(self, x, y, z):
        self.optimizer.zero_grad()
        loss = self.loss(x, y)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def cleared_last(self, x, y, z):
        loss = self.loss(x, y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def in_two_parts(self, x, y, z):
        self.optimizer.zero_grad()
        self.loss(x, z).backward()
        self.total += 1
        self.loss(x + 1, y).backward()
        self.optimizer.step()

    def of_two_steps(self, x, y, z):
        self.cleared_first(x, z, z)
        self.total += self.scale.detach().sum()
        return self.cleared_last(x, y, z)

    def added_up(self, x, y, z):
        self.loss(x, z).backward()
        self.loss(x, y).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def seen(self):
        """Bits of parameters, state and gradients."""
        tensors = [*self.model.parameters(), self.scale, self.total, *self.optimizer._tensors()]
        gradients = [p.grad for p in [*self.model.parameters(), self.scale]]
        return [None if t is None else t.numpy().tobytes() for t in [*tensors, *gradients]]


WAYS = ["cleared_first", "cleared_last", "in_two_parts", "of_two_steps", "added_up"]


@pytest.mark.parametrize("mode", ["on", "nofuse"])
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_an_error_leaves_behind_what_it_does_eagerly(way, held, mode, monkeypatch):
    monkeypatch.setenv("DLX_JIT", mode)
    rng = np.random.default_rng(0)
    batches = [dlx.tensor(rng.normal(size=(4, 5)).astype("f4")) for _ in range(9)]
    right, wrong = dlx.tensor(RIGHT), dlx.tensor(WRONG)

    def course(wrapped):
        training, seen = Training(), []
        step = wrapped(getattr(training, way))
        for i, x in enumerate(batches):
            gradients = [p.grad for p in training.model.parameters()] if held else []
            before = [None if g is None else g.numpy().tobytes() for g in gradients]
            if i in (5, 7):
                with pytest.raises(IndexError, match="label 9 in row 2"):
                    step(x, wrong, right)
            else:
                step(x, right, right)
            after = [p.grad for p in training.model.parameters()] if held else []
            same = [a is b for a, b in zip(after, gradients, strict=True)]
            kept = [None if g is None else g.numpy().tobytes() for g in gradients]
            assert kept == before
            seen.append((training.seen(), same))
        return seen, step

    expected, _ = course(lambda step: step)
    found, step = course(dlx.jit)
    assert step.cache_info().replays >= 2  # other gradients than before: it is recorded anew
    for call, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert a == b, f"call {call}"


def test_a_gradient_whose_memory_comes_again_is_there_as_long_as_eagerly():
    """backward() writes the new one before the old one goes."""
    w, other = (nn.Parameter(dlx.tensor([1.0, 2.0, 3.0])) for _ in range(2))
    label = dlx.tensor([1])

    def function(x, y):
        (other * x).sum().backward()
        loss = F.cross_entropy((other.grad * 2)[None], y)
        w.grad, other.grad = other.grad, None
        return loss

    f = dlx.jit(function)
    for i in range(6):
        f(dlx.full((3,), float(i)), label)
    assert f.cache_info().replays == 3
    with pytest.raises(IndexError, match="label 7"):
        f(dlx.full((3,), 100.0), dlx.tensor([7]))
    assert w.grad.tolist() == [5.0, 5.0, 5.0]
    assert other.grad.tolist() == [100.0, 100.0, 100.0]
