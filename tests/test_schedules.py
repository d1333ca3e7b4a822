"""dlx.optim.schedules: formulas, PyTorch's values, errors, and training resumed at step k."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

import dlx
from dlx import nn, optim
from dlx.optim import schedules

STEPS = 12
# Each with its formula, written out, and PyTorch's scheduler of the same kind.
SCHEDULES = [
    (schedules.constant(0.3), lambda t: 0.3, ("ConstantLR", {"factor": 1.0})),
    (
        schedules.step(0.3, factor=0.5, every=4),
        lambda t: 0.3 * 0.5 ** (t // 4),
        ("StepLR", {"step_size": 4, "gamma": 0.5}),
    ),
    (schedules.exponential(0.3, 0.9), lambda t: 0.3 * 0.9**t, ("ExponentialLR", {"gamma": 0.9})),
    (schedules.exponential(0.3, 0.9, every=5), lambda t: 0.3 * 0.9 ** (t / 5), None),
    (
        schedules.cosine(0.3, 0.1, steps=STEPS),
        lambda t: 0.1 + 0.2 * (1 + math.cos(math.pi * t / STEPS)) / 2,
        ("CosineAnnealingLR", {"T_max": STEPS, "eta_min": 0.1}),
    ),
    (
        schedules.linear(0.3, steps=8),
        lambda t: 0.3 * max(1 - t / 8, 0),
        ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 8}),
    ),
    (
        schedules.linear(0.3, 0.6, steps=5),
        lambda t: 0.3 + 0.3 * min(t, 5) / 5,
        ("PolynomialLR", None),
    ),
    (
        schedules.inverse_time(0.3, 0.5, every=3),
        lambda t: 0.3 / (1 + 0.5 * (t // 3)),
        ("LambdaLR", {"lr_lambda": lambda t: 1 / (1 + 0.5 * (t // 3))}),
    ),
    (
        schedules.constant(0.3, warmup=4),
        lambda t: 0.3 * min(t + 1, 4) / 4,
        ("LinearLR", {"start_factor": 0.25, "end_factor": 1.0, "total_iters": 3}),
    ),
    (
        schedules.linear(0.3, steps=8, warmup=3),
        lambda t: 0.3 * max(1 - t / 8, 0) * min(t + 1, 3) / 3,
        None,
    ),
]
each_schedule = pytest.mark.parametrize("rate", [s for s, _, _ in SCHEDULES], ids=repr)


@pytest.mark.parametrize(("rate", "formula", "theirs"), SCHEDULES, ids=lambda x: repr(x)[:40])
def test_values_are_those_of_the_formula(rate, formula, theirs):
    for t in range(STEPS + 1):
        assert rate(t) == pytest.approx(formula(t), rel=1e-14, abs=1e-17)


@pytest.mark.parametrize(
    ("rate", "theirs"), [(s, t) for s, _, t in SCHEDULES if t and t[1] is not None], ids=repr
)
def test_values_are_pytorchs(rate, theirs):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    name, options = theirs
    scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **options)
    for t in range(STEPS + 1):
        # PyTorch's recurrences round once a step.
        assert rate(t) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12, abs=1e-15)
        optimizer.step()
        scheduler.step()


def test_the_last_rate_stays():
    assert schedules.linear(0.3, 0.1, steps=4)(4) == schedules.linear(0.3, 0.1, steps=4)(99) == 0.1
    assert schedules.cosine(0.3, steps=4)(4) == schedules.cosine(0.3, steps=4)(5) == 0.0
    assert schedules.linear(2e-3, steps=3 * 938)(0) == 2e-3


@each_schedule
def test_a_schedule_is_a_value(rate):
    for twin in (pickle.loads(pickle.dumps(rate)), copy.deepcopy(rate)):
        assert twin == rate and twin(3) == rate(3)
    assert eval(repr(rate), vars(schedules)) == rate
    assert rate != schedules.constant(9.0)
    assert all(isinstance(rate(t), float) for t in range(3))
    with pytest.raises(AttributeError):
        rate.lr = 1.0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: schedules.constant(-0.1), ValueError, "constant: lr must .*at least 0, got -0.1"),
        (lambda: schedules.constant(math.nan), ValueError, "constant: lr must be finite.*got nan"),
        (
            lambda: schedules.constant("fast"),
            TypeError,
            "constant: lr must be a number, got 'fast'",
        ),
        (lambda: schedules.step(0.1, every=0), ValueError, "step: every must .*least 1, got 0"),
        (lambda: schedules.step(0.1, -1.0, every=2), ValueError, "step: factor must .*got -1.0"),
        (lambda: schedules.exponential(0.1, math.inf), ValueError, "exponential: factor.*got inf"),
        (lambda: schedules.linear(0.1, steps=0), ValueError, "linear: steps must .*least 1, got 0"),
        (lambda: schedules.linear(0.1, steps=2.5), TypeError, "steps must be an integer, got 2.5"),
        (lambda: schedules.linear(0.1), TypeError, "steps"),
        (lambda: schedules.cosine(0.1, -0.2, steps=9), ValueError, "cosine: final must .*got -0.2"),
        (lambda: schedules.cosine(0.1, steps=9, warmup=-1), ValueError, "cosine: warmup .*got -1"),
        (lambda: schedules.inverse_time(0.1, True), TypeError, "inverse_time: decay must .*True"),
    ],
)
def test_a_wrong_argument_raises(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ---- In optimizers and training


def stepped(device, rate, steps, cls=optim.Adam):
    p = nn.Parameter(dlx.ones((3,), dtype="float64", device=device))
    opt = cls([p], lr=rate)
    for step in range(steps):
        p.grad = dlx.tensor(np.arange(3.0) + step, device=device)
        opt.step()
    return p, opt


@each_schedule
def test_an_optimizer_resumed_at_step_k_goes_on_with_its_rate(device, rate):
    p, opt = stepped(device, rate, 5)
    assert opt.lr == rate(5)
    resumed = optim.Adam([nn.Parameter(p.detach())], lr=rate)
    assert resumed.lr == rate(0)
    resumed.load_state_dict(copy.deepcopy(opt.state_dict()))
    assert resumed.lr == rate(5)
    q = resumed.param_groups[0]["params"][0]
    for each, its in ((opt, p), (resumed, q)):
        its.grad = dlx.ones((3,), dtype="float64", device=device)
        each.step()
        assert each.lr == rate(6)
    assert np.array_equal(p.cpu().numpy(), q.cpu().numpy())


def test_training_resumed_from_a_file_goes_on_with_the_rate(device, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 4)).astype("float32"), rng.integers(0, 3, size=32)

    def model(seed):
        dlx.seed(seed)
        net = nn.Sequential(nn.Linear(4, 3, device=device))
        rate = schedules.linear(0.1, steps=16, warmup=2)
        net.compile(optimizer="rmsprop", lr=rate, loss="cross_entropy")
        return net

    x, y = dlx.tensor(x, device=device), dlx.tensor(y, device=device)
    whole = model(0)
    whole.fit(x, y, batch_size=8, epochs=2, verbose=0, shuffle=False)
    whole.save(tmp_path / "half.dlx")
    resumed = model(1)
    resumed.load_state(tmp_path / "half.dlx")
    for each in (whole, resumed):
        each.fit(x, y, batch_size=8, epochs=4, initial_epoch=2, verbose=0, shuffle=False)
        assert each.optimizer.lr == 0.0
    assert dlx.testing.weight_hash(resumed) == dlx.testing.weight_hash(whole)


def test_without_the_schedule_the_saved_rate_stays(device):
    rate = schedules.linear(0.1, steps=10)
    p, opt = stepped(device, rate, 4)
    plain = optim.Adam([p], lr=1.0)
    plain.load_state_dict(opt.state_dict())
    assert plain.lr == rate(4)


def test_groups_may_have_schedules_of_their_own(device):
    a, b = (nn.Parameter(dlx.ones((2,), device=device)) for _ in range(2))
    opt = optim.SGD(
        [{"params": [a], "lr": schedules.constant(0.5)}, {"params": [b]}],
        lr=schedules.step(1.0, factor=0.5, every=1),
    )
    for _ in range(2):
        a.grad = b.grad = dlx.ones((2,), device=device)
        opt.step()
    assert a.tolist() == [0.0, 0.0] and b.tolist() == [-0.5, -0.5]
    assert "lr: constant(lr=0.5" in repr(opt)
