"""dlx.jit: what cannot be replayed says why, and what Python changes between calls is noticed."""

from __future__ import annotations

import collections
import itertools
import random
import types

import numpy as np
import pytest

import dlx
from dlx import nn, optim


@pytest.fixture(autouse=True)
def _strict(monkeypatch):
    monkeypatch.setenv("DLX_JIT", "strict")


def bits(tensors):
    arrays = [None if t is None else t.detach().numpy() for t in tensors]
    return [None if a is None else (a.dtype, a.shape, a.tobytes()) for a in arrays]


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# ---------------------------------------------------------------------------------- refusals


def doubled(x):
    return x * 2


HOOKED = nn.Linear(2, 2)
KEPT = []


def keeps(x):
    y = x * 2
    KEPT.append(y)
    return y


def draws(x):
    return x * random.random()


def draws_from_numpy(x):
    return x + dlx.tensor(np.random.normal(size=2).astype(np.float32))  # noqa: NPY002


def branches(x):
    return x if (x > 0).all() else -x


def with_an_open_graph(x):
    return HOOKED(x)


class Counter:
    n = 0


COUNTER = Counter()


def counts(x):
    COUNTER.n += 1
    return x * 2


def returns_an_array(x):
    doubled(x)
    return np.zeros(2)


ALTERNATING = itertools.cycle([dlx.exp, dlx.log])


def does_something_else(x):
    return next(ALTERNATING)(x)


OUTSIDE = {"batches": iter(dlx.ones((100, 2)))}


def reads_an_iterator(x):
    return x + next(OUTSIDE["batches"])


RNG = np.random.default_rng(0)


def branches_by_chance(x):
    return x * 2 if RNG.random() < 2 else x


def reads_a_large_array(x):
    return x + dlx.tensor(LARGE[:2])


LARGE = np.zeros((400_000,), np.float32)


def makes_a_large_tensor(x):
    return dlx.tensor(LARGE).sum() + x


REFUSALS = [
    (
        lambda x: x * x.sum().item(),
        r"Python reads a value \(float32 of shape \(\), after sum\) at .*test_jit_state.py:\d+: "
        "return the Tensor",
    ),
    (lambda x: x + float(x[0]), "Python reads a value"),
    (lambda x: dlx.tensor(x.numpy() * 2), "Python reads a value"),
    (branches, "Python reads a value .* after"),
    (lambda x: x[x > 0], "Python reads a value .*count_nonzero"),
    (keeps, "it changes the number of items of KEPT|kept beyond the call"),
    (draws, "random numbers from Python or NumPy: draw them with dlx.random"),
    (draws_from_numpy, "random numbers from Python or NumPy"),
    (with_an_open_graph, r"call backward\(\) inside, or call the function under dlx.no_grad"),
    (counts, "it changes COUNTER.n, which a replay would not"),
    (returns_an_array, "it returns a ndarray: expected Tensors"),
    (does_something_else, r"each call does something else: .*(exp|log)\(\(2,\)\) -> \(2,\)"),
    (reads_an_iterator, "a Tensor that it does not know is used at .*test_jit_state.py"),
    (branches_by_chance, "it changes RNG, which a replay would not"),
    (reads_a_large_array, "can reach LARGE, an array of more than 1048576 bytes"),
    (makes_a_large_tensor, "Python makes 1600000 bytes into a Tensor, used at .*argument"),
]


@pytest.mark.parametrize(("function", "match"), REFUSALS)
def test_what_cannot_be_replayed_says_why(function, match):
    f = dlx.jit(function)
    with pytest.raises(RuntimeError, match="dlx.jit: .* runs eagerly: .*" + match):
        for _ in range(8):
            f(dlx.ones((2,)))


@pytest.mark.parametrize(("function", "match"), REFUSALS[:4])
def test_it_runs_eagerly_with_one_warning(function, match, monkeypatch):
    monkeypatch.setenv("DLX_JIT", "on")
    f = dlx.jit(function)
    with pytest.warns(RuntimeWarning, match=match) as caught:
        for _ in range(5):
            assert bits([f(dlx.ones((2,)))]) == bits([function(dlx.ones((2,)))])
    assert len(caught) == 1 and caught[0].filename == __file__
    assert f.cache_info().replays == 0


def test_hooks():
    layer = nn.Linear(2, 2)
    layer.register_forward_hook(lambda module, args, y: None)
    f = dlx.jit(layer)
    with pytest.raises(RuntimeError, match="has hooks, which Python runs"), dlx.no_grad():
        f(dlx.ones((1, 2)))
        f(dlx.ones((1, 2)))


def test_an_unhashable_argument():
    with pytest.raises(TypeError, match=r"jit: argument\[1\] is a ndarray, which is not hashable"):
        dlx.jit(doubled)(dlx.ones((2,)), np.ones(2))


def test_what_is_not_callable():
    with pytest.raises(TypeError, match="jit: expected a function or Module, got int"):
        dlx.jit(3)


def test_a_mode_that_is_none(monkeypatch):
    monkeypatch.setenv("DLX_JIT", "fast")
    with pytest.raises(ValueError, match="DLX_JIT: expected one of off, nofuse, on, strict"):
        dlx.jit(doubled)


def test_off(monkeypatch):
    monkeypatch.setenv("DLX_JIT", "off")
    f = dlx.jit(keeps)
    for i in range(5):
        KEPT.clear()
        assert f(dlx.full((2,), i)).tolist() == [2 * i, 2 * i] and len(KEPT) == 1
    assert f.cache_info() == (0, 0, 0)


def test_an_lr_function_and_two_steps_in_one_call():
    layer = nn.Linear(2, 2)
    optimizer = optim.SGD(layer.parameters(), lr=lambda step: 0.1 if step < 20 else 0.0)

    @dlx.jit
    def twice(x):
        for _ in range(2):
            optimizer.zero_grad()
            layer(x).sum().backward()
            optimizer.step()

    with pytest.raises(RuntimeError, match="SGD, whose lr is a function, steps more than once"):
        for _ in range(3):
            twice(dlx.ones((1, 2)))


# ---------------------------------------------------------------------------------- staleness

SCALE = 2.0
ZERO, PAIR = 0.0, (2.0,)
CONFIG = types.SimpleNamespace(a=2.0, b={"k": 2.0}, c=[2.0])


class Settings:
    scale = 2.0
    parts = [2.0]  # noqa: RUF012


class Slotted:
    __slots__ = ("scale",)

    def __init__(self):
        self.scale = 2.0


SLOTTED, WORDS, QUEUE = Slotted(), {"a"}, collections.deque([2.0])
TABLE = np.full((2,), 2.0, np.float32)
HELD = dlx.full((2,), 2.0)


def helper(x):
    return x * SCALE


class Scaled(nn.Module):
    factor = 2.0

    def __init__(self):
        self.scale = 2.0
        self.layer = nn.Linear(2, 2)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.layer(x)) * self.scale * self.factor


def set_global(name, value):
    globals()[name] = value


def other_helper(x):
    return x - SCALE


def forward(m, x):
    return m(x)


def backward(m, x):
    m(x).sum().backward()
    return [None if p.grad is None else p.grad.detach() for p in m.parameters()]


# name: (function, what changes between calls)
CHANGES = {
    "global number": (lambda m, x: x * SCALE, lambda m: set_global("SCALE", 3.0)),
    "number of a helper": (lambda m, x: helper(x), lambda m: set_global("SCALE", 3.0)),
    "global function": (lambda m, x: helper(x), lambda m: set_global("helper", other_helper)),
    "other tensor": (lambda m, x: x * HELD, lambda m: set_global("HELD", dlx.ones((2,)))),
    "written tensor": (lambda m, x: x * HELD, lambda m: HELD.__setitem__(0, 7.0)),
    "attribute of an object": (lambda m, x: x * CONFIG.a, lambda m: setattr(CONFIG, "a", 3.0)),
    "item of a dict": (lambda m, x: x * CONFIG.b["k"], lambda m: CONFIG.b.update(k=3.0)),
    "new item of a dict": (lambda m, x: x * len(CONFIG.b), lambda m: CONFIG.b.update(j=3.0)),
    "item of a list": (lambda m, x: x * CONFIG.c[0], lambda m: CONFIG.c.__setitem__(0, 3.0)),
    "longer list": (lambda m, x: x * sum(CONFIG.c), lambda m: CONFIG.c.append(3.0)),
    "sign of a zero": (lambda m, x: x / ZERO, lambda m: set_global("ZERO", -0.0)),
    "number that became an int": (lambda m, x: x * PAIR[0], lambda m: set_global("PAIR", (2,))),
    "attribute of a global class": (
        lambda m, x: x * Settings.scale,
        lambda m: setattr(Settings, "scale", 3.0),
    ),
    "list of a global class": (
        lambda m, x: x * Settings.parts[0],
        lambda m: Settings.parts.__setitem__(0, 3.0),
    ),
    "slot": (lambda m, x: x * SLOTTED.scale, lambda m: setattr(SLOTTED, "scale", 3.0)),
    "set": (lambda m, x: x * (2 if "b" in WORDS else 1), lambda m: WORDS.add("b")),
    "deque": (lambda m, x: x * QUEUE[0], lambda m: QUEUE.appendleft(3.0)),
    "array": (lambda m, x: x * dlx.tensor(TABLE), lambda m: TABLE.__setitem__(0, 5.0)),
    "attribute of a module": (forward, lambda m: setattr(m, "scale", 3.0)),
    "attribute of a class": (forward, lambda m: setattr(Scaled, "factor", 3.0)),
    "method": (forward, lambda m: setattr(Scaled, "forward", lambda self, x: x * 9)),
    "eval": (forward, lambda m: m.eval()),
    "rate of a layer": (forward, lambda m: setattr(m.drop, "p", 0.1)),
    "new layer": (forward, lambda m: setattr(m, "layer", nn.Linear(2, 2, bias=False))),
    "swapped parameter": (forward, lambda m: setattr(m.layer, "weight", parameter())),
    "loaded state": (forward, lambda m: m.load_state_dict(incremented(m.state_dict()))),
    "frozen parameter": (backward, lambda m: setattr(m.layer.weight, "requires_grad", False)),
    "cleared gradient": (backward, lambda m: m.zero_grad()),
    "seed": (forward, lambda m: dlx.seed(77)),
    "shape": (lambda m, x: x.reshape((-1,)), lambda m: None),
}


def parameter():
    return nn.Parameter(dlx.ones((2, 2)))


def incremented(state):
    return {key: value + 1 for key, value in state.items()}


HELPER, FORWARD = helper, Scaled.forward


def restore():
    set_global("SCALE", 2.0)
    set_global("helper", HELPER)
    set_global("HELD", dlx.full((2,), 2.0))
    Scaled.forward, Scaled.factor = FORWARD, 2.0
    CONFIG.a, CONFIG.b, CONFIG.c = 2.0, {"k": 2.0}, [2.0]
    TABLE[:] = 2.0
    set_global("ZERO", 0.0)
    set_global("PAIR", (2.0,))
    Settings.scale, Settings.parts[0], SLOTTED.scale = 2.0, 2.0, 2.0
    WORDS.discard("b")
    QUEUE.clear()
    QUEUE.append(2.0)


def flat(value):
    return bits(value if isinstance(value, list) else [value])


@pytest.mark.parametrize("change", CHANGES)
def test_what_python_changes_between_calls_is_not_stale(change):
    function, alter = CHANGES[change]

    def trace(wrap):
        restore()
        dlx.seed(0)
        model = Scaled()

        def call(x):
            if "gradient" in change or "frozen" in change:
                return function(model, x)
            with dlx.no_grad():
                return function(model, x)

        f, found = wrap(call), []
        for i in range(12):
            if i == 7:
                alter(model)
            rows = 3 if change == "shape" and i >= 7 else 2
            y = f(dlx.tensor(drawn(rows, 2, seed=i)))
            found.append(bits(y if isinstance(y, list) else [y]))
        return found, f

    try:
        found, f = trace(dlx.jit)
        assert found == trace(lambda g: g)[0]
        assert f.cache_info().replays >= 6, f.cache_info()
    finally:
        restore()


# ------------------------------------------------------------- calls that go past Python entirely


def test_kinds_that_take_turns_are_told_apart_and_counted():
    Pair = collections.namedtuple("Pair", "sum product")

    @dlx.jit
    def f(x, y=None, *more, scale=1.0, **named):
        parts = [x, *(y if isinstance(y, list) else [y]), *more, *named.values()]
        parts = [p * scale for p in parts if isinstance(p, dlx.Tensor)]
        total = parts[0]
        for p in parts[1:]:
            total = total + p
        return {"total": total, "same": x, "rest": (parts[-1], [None, "text", scale])}

    def eager(*args, **kwargs):
        return f.__wrapped__(*args, **kwargs)

    def plain(value):
        if isinstance(value, dlx.Tensor):
            return value.tolist()
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value

    x, y = dlx.tensor([1.0, 2.0]), dlx.tensor([3.0, 4.0])
    wide = dlx.ones((2, 2))
    calls = [
        ((x,), {}), ((x, y), {}), ((x, x), {}), ((x, [y, x]), {}), ((x, [y, y]), {}),
        ((x, y), {"scale": 0.0}), ((x, y), {"scale": -0.0}), ((x, y), {"scale": 0}),
        ((x,), {"a": y, "b": x}), ((x,), {"b": y, "a": x}), ((x, y, y), {}),
        ((wide,), {}), ((wide.T,), {}), ((x[::-1],), {}), ((x, "text"), {}), ((x, True), {}),
    ]  # fmt: skip
    for times in (5, 1, 1, 2):  # each call several times running, then in turns
        for args, kwargs in calls:
            for _ in range(times):
                found, expected = f(*args, **kwargs), eager(*args, **kwargs)
                assert plain(found) == plain(expected)
                assert found["same"] is args[0] and type(found["rest"]) is tuple
    assert str(f(x, y, scale=-0.0)["total"].tolist()) == "[-0.0, -0.0]"
    assert f.cache_info() == (9 * 16 + 1 - 16, 2 * 16, 9 * 16 + 1 - 3 * 16)

    g = dlx.jit(lambda x, y: Pair(x + y, x * y))
    for _ in range(6):
        found = g(x, y)
        assert type(found) is Pair and found.product.tolist() == [3, 8]
    assert g.cache_info() == (5, 2, 3)


def test_modes_of_the_caller_are_kinds_of_calls():
    weight = nn.Parameter(dlx.ones((2,)))
    f = dlx.jit(lambda x: (x * weight).detach())
    x = dlx.ones((2,))
    for _ in range(5):
        f(x)
    with dlx.no_grad():
        for _ in range(5):
            f(x)
    assert f.cache_info() == (8, 4, 4)
    with dlx.device("cpu"):
        f(x)
    assert f.cache_info() == (9, 4, 5)


def test_the_least_recently_used_kind_is_forgotten():
    f = dlx.jit(doubled)
    kept = dlx.ones((99,))
    for n in range(1, 40):
        f(dlx.ones((n,)))
        f(kept)
    assert f.cache_info() == (38, 2, 36)


def test_a_learning_rate_that_changes_at_every_step_or_now_and_then():
    def trained(jit, every):
        dlx.seed(0)
        layer = nn.Linear(3, 1)
        optimizer = optim.Adam(layer.parameters(), lr=0.1)

        @jit
        def step(x):
            loss = layer(x).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        losses = []
        for i in range(150):
            if i % every == 0:
                optimizer.lr = 0.1 / (1 + i)
            if i == 77:
                optimizer.param_groups[0]["betas"] = (0.5, 0.9)
            if i == 99:
                optimizer.param_groups[0]["weight_decay"] = 0.25
            losses.append(step(dlx.tensor(drawn(4, 3, seed=i))))
        return bits(losses), bits(layer.parameters()), step

    for every in (1, 7, 1000):
        replayed, eager = trained(dlx.jit, every), trained(lambda f: f, every)
        assert replayed[:2] == eager[:2]
        assert replayed[2].cache_info().replays == 150 - 3 - 2


def test_an_optimizer_of_ones_own_is_asked_at_every_step():
    class Decaying(optim.SGD):
        decay = 1.0

        def _hyper(self, group):
            return super()._hyper({**group, "momentum": group["momentum"] * self.decay})

    def trained(jit):
        layer = nn.Linear(2, 1)
        with dlx.no_grad():
            layer.weight.fill_(1.0)
            layer.bias.fill_(0.0)
        optimizer = Decaying(layer.parameters(), lr=0.1, momentum=0.9)

        @jit
        def step(x):
            optimizer.zero_grad()
            layer(x).sum().backward()
            optimizer.step()

        for i in range(12):
            optimizer.decay = 1.0 if i < 8 else 0.5
            step(dlx.tensor(drawn(4, 2, seed=i)))
        return bits(layer.parameters())

    assert trained(dlx.jit) == trained(lambda f: f)


def test_an_error_in_a_replay_past_python_is_counted_and_leaves_it_usable():
    f = dlx.jit(lambda x, y: nn.functional.cross_entropy(x, y))
    x = dlx.tensor(drawn(3, 4))
    for _ in range(6):
        f(x, dlx.tensor([0, 1, 2]))
    for _ in range(2):
        with pytest.raises(IndexError, match=r"label 9 in row 1"):
            f(x, dlx.tensor([0, 9, 2]))
        f(x, dlx.tensor([0, 1, 2]))
    assert f.cache_info() == (9, 2, 5)


def test_the_third_call_walks_anew_where_the_second_walk_no_longer_holds():
    class Scale:
        weight = dlx.full((3,), 2.0)

    scale = Scale()

    @dlx.jit
    def function(x):
        return x * scale.weight

    x = dlx.ones((3,))
    function(x)
    function(x)  # recorded
    scale.weight = dlx.full((3,), 5.0)
    for call in range(5):
        assert function(x).numpy().tolist() == [5.0] * 3, call
    assert function.cache_info().replays >= 2


class EqualToAll:
    """Of a class whose objects all count as equal, with other Tensors in each."""

    def __init__(self, value):
        self.weight = dlx.full((3,), value)

    def __eq__(self, other):
        return isinstance(other, EqualToAll)

    def __hash__(self):
        return 0


def test_an_equal_argument_with_other_tensors_is_another_kind_of_call():
    f = dlx.jit(lambda x, layer: x * layer.weight)
    one, two = EqualToAll(2.0), EqualToAll(5.0)
    for _ in range(5):
        assert f(dlx.ones((3,)), one).tolist() == [2] * 3
    assert f.cache_info().replays == 2
    for _ in range(5):
        assert f(dlx.ones((3,)), two).tolist() == [5] * 3
        assert f(dlx.ones((3,)), one).tolist() == [2] * 3
