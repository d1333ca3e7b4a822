"""dlx.debug.nan_trap: the first op that makes a NaN raises, and says where."""

from __future__ import annotations

import contextlib
import re
import threading
import weakref

import numpy as np
import pytest

import dlx
from _check import to_numpy, to_tensor
from cases import CASES
from dlx import nn, optim
from dlx.debug import nan_trap
from dlx.models.residual import BasicBlock


def here(below=0):
    """The place of the caller's line, as the trap names it."""
    import sys

    frame = sys._getframe(1)
    return f"{frame.f_code.co_filename}:{frame.f_lineno + below}"


def text_of(error):
    return str(error.value)


@pytest.fixture
def x(device):
    return dlx.tensor([[1.0, -1.0, 2.0], [0.0, 4.0, -9.0]], device=device)


def test_it_names_op_numbers_place_and_line(x):
    line = here(2)
    with pytest.raises(FloatingPointError) as error, nan_trap():
        dlx.sqrt(x)
    assert text_of(error) == (
        "sqrt: made 2 NaN among the 6 numbers of float32 of shape (2, 3), the first at (0, 1), "
        f"at {line}; its inputs had none"
    )


@pytest.mark.parametrize("dtype", [dlx.float64, dlx.float16, dlx.bfloat16])
def test_every_floating_dtype(x, dtype):
    made = f"2 NaN among the 6 numbers of {dtype.name} "
    with pytest.raises(FloatingPointError, match=made), nan_trap():
        x.astype(dtype).sqrt()


def test_infinities_only_when_asked_for(x):
    with nan_trap():
        dlx.log(dlx.abs(x))
        dlx.full_like(x, -float("inf"))
    made = r"log: made 1 Inf .* the first at \(1, 0\)"
    with pytest.raises(FloatingPointError, match=made), nan_trap(inf=True):
        dlx.log(dlx.abs(x))
    with pytest.raises(FloatingPointError, match="log: made 3 NaN and 1 Inf among"), nan_trap():
        dlx.log(x - dlx.tensor([[0.0, 0.0, 3.0], [0.0, 0.0, 0.0]], device=x.device))


def test_ignored_ops_may_make_anything_and_the_next_one_says_what_it_got(x):
    with pytest.raises(FloatingPointError) as error, nan_trap(ignore=["sqrt"]):
        _ = x.sqrt() + 1.0
    assert "add: made 2 NaN" in text_of(error)
    assert text_of(error).endswith("input 0, float32 of shape (2, 3), had 2 NaN before")


def test_what_has_been_handled_is_no_error(x):
    with nan_trap(ignore=["sqrt"]):
        y = x.sqrt()
        z = dlx.where(dlx.isnan(y), 0.0, y)
    assert np.isfinite(z.cpu().numpy()).all()


def test_views_are_read_where_they_lie(x):
    with pytest.raises(FloatingPointError, match=r"copy: made 1 NaN .* the first at \(1, 0\)"):
        y = x.sqrt()
        with nan_trap():
            y.T[:2].contiguous()


def network(device):
    dlx.seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), Poison(), nn.Linear(4, 2)).to(device)


class Poison(nn.Module):
    """NaN in forward where `below` is negative, in backward where `backward` is 0."""

    def __init__(self):
        self.below = nn.Parameter(dlx.ones(1))
        self.backward = nn.Parameter(dlx.ones(1))

    def forward(self, x):
        return x + dlx.sqrt(self.below) + dlx.sqrt(self.backward) * 0.0


def test_the_layer_is_named_in_forward(x, device):
    model = network(device)
    with dlx.no_grad():
        model[2].below -= 2.0
    with pytest.raises(FloatingPointError) as error, nan_trap():
        model(x)
    assert text_of(error).startswith("Sequential.2 (Poison): sqrt: made 1 NaN")
    assert text_of(error).count("Poison") == 1


def test_the_layer_is_named_in_backward(x, device):
    model = network(device)
    with dlx.no_grad():
        model[2].backward -= 1.0
    with pytest.raises(FloatingPointError) as error, nan_trap():
        loss = model(x).sum()
        line = here(1)
        loss.backward()
    assert text_of(error).startswith("backward of Sequential.2 (Poison): ")
    assert f"at {line}; " in text_of(error)


def test_a_line_outside_of_layers_is_named_in_backward(device):
    x = dlx.zeros(3, device=device)
    x.requires_grad = True
    with pytest.raises(FloatingPointError) as error, nan_trap():
        line = here(1)
        y = (dlx.sqrt(x) * 0.0).sum()
        y.backward()
    assert text_of(error).startswith(f"backward of {line}: ")


def step_of(device):
    model = network(device)
    optimizer = optim.Adam(model.parameters(), lr=0.0)

    @dlx.jit
    def step(x):
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return model, step


def test_a_replay_names_the_recorded_line_and_layer(x, device, monkeypatch):
    monkeypatch.setenv("DLX_JIT", "strict")
    model, step = step_of(device)
    with nan_trap():
        for _ in range(5):
            step(x)
    assert step.cache_info().replays == 2
    with dlx.no_grad():
        model[2].below -= 2.0
    with pytest.raises(FloatingPointError) as error, nan_trap():
        step(x)
    assert re.match(r"Sequential\.2 \(Poison\): sqrt: made 1 NaN among the 1 n", text_of(error))
    assert re.search(r"at \S*test_nan_trap\.py:\d+; its inputs had none$", text_of(error))
    assert step.cache_info().replays == 2
    with dlx.no_grad():
        model[2].below += 2.0
        model[2].backward -= 1.0
    where = r"^backward of Sequential\.2 \(Poison\): "
    with pytest.raises(FloatingPointError, match=where), nan_trap():
        step(x)


def test_watching_changes_nothing(x, device):
    def weights(trap):
        model, step = step_of(device)
        with trap:
            for _ in range(5):
                step(x)
        return [p.detach().cpu().numpy().tobytes() for p in model.parameters()]

    assert weights(nan_trap(inf=True)) == weights(contextlib.nullcontext())


def test_parameters_that_an_optimizer_spoils(device):
    p = nn.Parameter(dlx.ones(3, device=device))
    optimizer = optim.SGD([p], lr=1e-3)
    p.grad = dlx.tensor([1.0, float("nan"), 1.0], device=device)
    with pytest.raises(FloatingPointError, match=r"had 1 NaN before"), nan_trap():
        optimizer.step()


def test_traps_nest_and_end(x):
    outer, inner = nan_trap(), nan_trap(ignore={"sqrt"})
    with pytest.raises(FloatingPointError, match="sqrt"), outer, inner:
        x.sqrt()
    with inner:
        x.sqrt()
    x.sqrt()


def test_a_trap_is_its_threads_own(x):
    with nan_trap():
        made = []
        thread = threading.Thread(target=lambda: made.append(x.sqrt()))
        thread.start()
        thread.join()
    assert len(made) == 1


def test_what_it_does_not_take(x):
    with pytest.raises(TypeError, match="inf must be True or False, got 1"):
        nan_trap(inf=1)
    for names in ("sqrt", [1]):
        with pytest.raises(TypeError, match="expected a tuple of names of ops, got ignore="):
            nan_trap(ignore=names)
    trap = nan_trap()
    with trap, pytest.raises(RuntimeError, match="entered twice"):
        trap.__enter__()
    with pytest.raises(RuntimeError, match="not entered on this thread"):
        trap.__exit__()


def finite(values):
    return all(np.isfinite(np.asarray(a, dtype=np.float64)).all() for a in values)


@pytest.mark.parametrize("case", [pytest.param(c, id=c.id) for c in CASES])
def test_the_trap_agrees_with_what_comes_out(case, device):
    """No op of the case table trips it on the way to finite results."""
    inputs = [to_tensor(a, device) for a in case.arrays("float32")]
    for i in case.differentiable:
        inputs[i].requires_grad = True
    with nan_trap():
        y = case.run(*inputs, device=device)
        if case.differentiable:
            (y * y).sum().backward()
    results = [inputs[i].grad for i in case.differentiable]
    results += y if isinstance(y, tuple) else [y]
    assert finite(to_numpy(v.detach()) for v in results if v.dtype.is_floating)


def test_a_trap_knows_only_modules_that_are_being_called_and_keeps_none(x, device):
    model = network(device)
    died = weakref.ref(model[2])
    trap = nan_trap()
    with trap:
        model(x)
    model[2] = nn.Identity()
    assert died() is None
    with trap:
        y = model[0](x)
        with pytest.raises(FloatingPointError) as error:
            dlx.sqrt(y - 1000.0)
    assert text_of(error).startswith("sqrt: ")


@pytest.mark.parametrize("limit", [None, "40KB"])
def test_joined_and_repeated_launches_apart_do_the_same(limit, device):
    """Under a trap the launches that a replay joins run one by one, also where they run again."""

    def run(trap):
        dlx.seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), BasicBlock(4, 4),
            nn.Tanh(), BasicBlock(4, 6, stride=2), nn.Sigmoid(), nn.Flatten(), nn.Linear(96, 3),
        ).to(device)  # fmt: skip
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        @dlx.jit(memory_limit=limit)
        def step(x):
            h = model(x)
            loss = (dlx.exp(h * 0.1) * h + dlx.sin(h)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        losses = []
        for k in range(6):
            x = dlx.random.normal((4, 3, 8, 8), device=device)
            with trap if k > 2 else contextlib.nullcontext():
                losses.append(step(x))
        assert step.cache_info().replays == 3
        ops = [call.op for call in step.program._view().calls]
        values = [*losses, *model.state_dict().values()]
        return ops, [v.cpu().detach().numpy().tobytes() for v in values]

    ops, found = run(nan_trap())
    assert any(op.startswith("fused(") for op in ops)
    assert run(contextlib.nullcontext()) == (ops, found)
