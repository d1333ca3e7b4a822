"""dlx.remat: recomputing in backward gives the same bits in less memory."""

from __future__ import annotations

import copy
import threading

import numpy as np
import pytest

import dlx
from dlx import nn, optim
from dlx.nn import functional as F


def bits(tensors):
    arrays = [None if t is None else t.detach().cpu().numpy() for t in tensors]
    return [None if a is None else (a.dtype, a.shape, a.tobytes()) for a in arrays]


def drawn(*shape, seed=0, device=None):
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return dlx.tensor(values, device=device)


def leaf(*shape, seed=0, device=None):
    x = drawn(*shape, seed=seed, device=device)
    x.requires_grad = True
    return x


def both(run):
    """Asserts that run(remat) returns the same bits with dlx.remat and without."""
    dlx.seed(5)
    plain = run(lambda f: f)
    after = dlx.random.get_state().tolist()
    dlx.seed(5)
    assert bits(run(dlx.remat)) == bits(plain)
    assert dlx.random.get_state().tolist() == after
    assert any(t is not None for t in plain)


# ------------------------------------------------------------------------------------- values


def test_a_function_with_what_it_closes_over(device):
    def run(remat):
        x, w, v = (leaf(4, 4, seed=i, device=device) for i in range(3))
        shared = dlx.tanh(v)

        def f(x):
            return dlx.sin(x @ w + shared) * x + v

        y = remat(f)(x)
        z = (remat(f)(y * x) * dlx.exp(shared) + w).sum()
        z.backward()
        return [z, x.grad, w.grad, v.grad]

    both(run)


def test_several_outputs_nested_arguments_and_keywords(device):
    def f(pair, *, options, scale, name):
        a, (b, c) = pair
        assert name == "here"
        return {"sum": a * b + c, "list": [dlx.tanh(a) * scale, 3, a], "same": options["mask"]}

    def run(remat):
        a, b = leaf(3, 2, device=device), leaf(3, 2, seed=1, device=device)
        c, mask = drawn(3, 2, seed=2, device=device), drawn(3, 2, seed=3, device=device)
        result = remat(f)((a, (b, c)), options={"mask": mask}, scale=b, name="here")
        assert result["list"][1] == 3
        assert result["list"][2] is a
        assert result["same"] is mask
        (result["sum"] * result["list"][0]).sum().backward()
        return [result["sum"], result["list"][0], a.grad, b.grad, c.grad]

    both(run)


def test_an_output_that_nobody_uses(device):
    def f(x):
        return dlx.exp(x), dlx.sin(x) * 3

    def run(remat):
        x = leaf(5, device=device)
        _, y = remat(f)(x)
        y.sum().backward()
        return [x.grad]

    both(run)


def test_gradients_are_added_in_the_order_without_it(device):
    """Three uses of x, two of them inside: a sum of floats depends on their order."""

    def run(remat):
        x = leaf(1000, device=device)
        y = remat(lambda x: dlx.sin(x) * 1e-4 + dlx.cos(x * 1.1))(x)
        (y * dlx.exp(x)).sum().backward()
        return [x.grad]

    both(run)


def test_without_a_graph_it_is_the_function(device):
    x = drawn(3, device=device)
    f = dlx.remat(dlx.exp)
    assert bits([f(x)]) == bits([dlx.exp(x)])
    assert f(x).is_leaf
    with dlx.no_grad():
        assert f(leaf(3, device=device)).is_leaf
    assert dlx.remat(f) is f
    assert dlx.remat(lambda: 3)() == 3


def test_methods(device):
    class Scaled:
        def __init__(self):
            self.by = leaf(3, device=device)

        @dlx.remat
        def __call__(self, x):
            """Doc."""
            return dlx.exp(x * self.by)

    scaled = Scaled()
    scaled(drawn(3, seed=1, device=device)).sum().backward()
    assert scaled.by.grad is not None
    assert Scaled.__call__.__doc__ == "Doc."


# ----------------------------------------------------------------------------- state and chance


def block(width):
    return nn.Sequential(
        nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.4),
        nn.Linear(width, width), nn.Dropout(0.2),
    )  # fmt: skip


def network(remat, device, depth=3, width=12):
    dlx.seed(1)
    blocks = [remat(block(width)) for _ in range(depth)]
    return nn.Sequential(nn.Linear(6, width), *blocks, nn.Linear(width, 3)).to(device)


def train(remat, device, wrap=lambda f: f, steps=6):
    model = network(remat, device)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)

    @wrap
    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    labels = dlx.tensor(np.arange(16) % 3, device=device)
    losses = [step(drawn(16, 6, seed=k, device=device), labels) for k in range(steps)]
    return [*losses, *model.state_dict().values(), *(p.grad for p in model.parameters())]


def test_dropout_and_batch_norm_and_training(device):
    both(lambda remat: train(remat, device))


def test_under_jit(device, monkeypatch):
    monkeypatch.setenv("DLX_JIT", "strict")
    expected = bits(train(lambda f: f, device, steps=7))
    jitted = []

    def wrap(step):
        jitted.append(dlx.jit(step))
        return jitted[0]

    assert bits(train(dlx.remat, device, wrap, steps=7)) == expected
    assert jitted[0].cache_info().replays == 4


def test_nested(device):
    def inner(x, w):
        return F.dropout(dlx.tanh(x @ w), 0.3)

    def run(remat):
        x, w = leaf(6, 6, device=device), leaf(6, 6, seed=1, device=device)
        norm = nn.BatchNorm1d(6).to(device)

        def outer(x):
            y = remat(inner)(x, w)
            return norm(remat(inner)(y, w)) + y

        z = remat(outer)(x)
        (z * F.dropout(z, 0.5)).sum().backward()
        return [z, x.grad, w.grad, *norm.state_dict().values(), norm.weight.grad]

    both(run)


def test_a_buffer_that_is_read_and_written(device):
    """Backward sees it as it was, and leaves it as forward did."""

    def run(remat):
        x, count = leaf(3, device=device), dlx.ones(3, device=device)

        def f(x):
            y = dlx.exp(x * count)
            count.mul_(2.0)
            count[0] = count[1] * 3.0
            return y * count

        y = remat(f)(x)
        z = remat(f)(y)
        count += 100.0
        (y + z).sum().backward()
        return [z, x.grad, count]

    both(run)


def test_in_place_work_on_values_of_its_own(device):
    def f(x):
        y = dlx.exp(x)
        y *= x
        y[0] = 2.0
        z = x.detach()
        z += 1.0
        return y * z, z

    def run(remat):
        x = leaf(4, device=device)
        y, z = remat(f)(x)
        (y * y).sum().backward()
        return [y, z, x.grad, x]

    both(run)


def test_an_argument_that_is_written(device):
    def f(x, w):
        y = dlx.exp(x * w)
        x += 1.0
        return y * x

    def run(remat):
        x, w = drawn(4, device=device), leaf(4, seed=1, device=device)
        y = remat(f)(x, w)
        (y * x).sum().backward()
        return [y, x, w.grad]

    both(run)
    with pytest.raises(RuntimeError, match=r"remat: f writes in place to a Tensor of shape \(4,\)"):
        dlx.remat(f)(dlx.sin(leaf(4, device=device)), leaf(4, device=device))


def test_lazy_layers(device):
    def run(remat):
        dlx.seed(2)
        model = remat(nn.Sequential(nn.LazyLinear(8), nn.Dropout(0.5), nn.LazyLinear(2)))
        x = drawn(4, 5, device=device)
        model.to(device)
        model(x).sum().backward()
        first = [p.grad for p in model.parameters()]
        model(x).sum().backward()
        return [*first, *(p.grad for p in model.parameters())]

    both(run)


def test_lazy_layers_in_a_function(device):
    calls = []

    def run(remat):
        dlx.seed(2)
        model = nn.Sequential(nn.LazyLinear(8), nn.Dropout(0.5), nn.LazyLinear(2)).to(device)

        def inner(x):
            calls.append(remat)
            return model(x) * 2

        function = remat(lambda x: remat(inner)(dlx.sin(x)))
        x = drawn(4, 5, device=device)
        gradients = []
        for _ in range(3):
            function(x).sum().backward()
            gradients += [p.grad for p in model.parameters()]
        return gradients

    both(run)
    # The first call is kept; later ones run again for each of the two functions around it.
    assert calls.count(dlx.remat) == 1 + 3 + 3 and len(calls) == 7 + 3


def test_a_module_stays_itself(device):
    model = network(dlx.remat, device)
    assert list(model.state_dict()) == list(network(lambda m: m, device).state_dict())
    assert dlx.remat(model[1]) is model[1]
    twin = copy.deepcopy(model)
    x = drawn(8, 6, device=device)
    twin(x).sum().backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None for p in twin.parameters())


# ------------------------------------------------------------------------------- higher orders


def test_second_order(device):
    def run(remat):
        x, w = leaf(4, device=device), leaf(4, seed=1, device=device)

        def f(x):
            return dlx.exp(x * w) * dlx.sin(x)

        y = remat(f)(x).sum()
        y.backward(create_graph=True)
        first = x.grad
        x.grad = None
        (first * first).sum().backward()
        return [first, x.grad, w.grad]

    both(run)


def test_transforms(device):
    w = drawn(3, seed=1, device=device)

    def f(x):
        return (dlx.exp(x * w) * x).sum()

    def run(remat):
        x, t = drawn(3, device=device), drawn(3, seed=2, device=device)
        g = remat(f)
        value, gradient = dlx.value_and_grad(g)(x)
        inner = remat(lambda x: dlx.grad(f)(x * 2))
        return [value, gradient, *dlx.jvp(g, (x,), (t,)), dlx.hessian(g)(x), dlx.grad(
            lambda x: inner(x).sum())(x)]  # fmt: skip

    both(run)


def test_two_backward_passes(device):
    def run(remat):
        x = leaf(4, device=device)
        y = remat(lambda x: F.dropout(dlx.exp(x), 0.5))(x).sum()
        y.backward(retain_graph=True)
        y.backward()
        with pytest.raises(RuntimeError, match="an earlier backward freed this graph"):
            y.backward()
        return [x.grad]

    both(run)


# -------------------------------------------------------------------------------------- memory


def peak_of_training(remat, device, depth=24):
    dlx.seed(0)
    width, batch = 32, 512
    layers = [
        remat(nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh()))
        for _ in range(depth)
    ]
    model = nn.Sequential(*layers).to(device)
    x = drawn(batch, width, device=device)
    for _ in range(2):
        model.zero_grad()
        dlx.memory.reset_peak()
        before = dlx.memory.stats()["live_bytes"]
        model(x).sum().backward()
        peak = dlx.memory.stats()["peak_bytes"]
    return (peak - before) / (batch * width * 4)  # in activations


def test_memory_is_that_of_the_arguments_and_one_call(device):
    if device != "cpu":
        pytest.skip("the allocator's statistics of the CPU")
    depth = 24
    kept = peak_of_training(lambda m: m, device, depth)
    recomputed = peak_of_training(dlx.remat, device, depth)
    assert kept > 2 * depth  # two activations of a block at least
    assert recomputed < depth + 14


# -------------------------------------------------------------------------------------- errors


def test_what_does_not_do_the_same_again(device):
    x, mask = leaf(3, device=device), dlx.ones(3, device=device)
    turn = iter(range(9))

    def moody(x):
        if next(turn) % 2 == 0:
            return dlx.exp(x)
        mask.mul_(3.0)
        return dlx.sin(x)

    y = dlx.remat(moody)(x).sum()
    with pytest.raises(
        RuntimeError, match=r"remat: moody does something else .* op 0 was exp, now it is mul"
    ):
        y.backward()
    assert mask.tolist() == [1.0] * 3

    def masked(x):
        return dlx.where(mask > 0, x, 0.0) * x

    y = dlx.remat(masked)(x).sum()
    mask -= 2.0
    with pytest.raises(RuntimeError, match="op 0, greater, reads a Tensor that has changed"):
        y.backward()

    w = leaf(3, seed=1, device=device)
    y = dlx.remat(lambda x: x * w)(x).sum()
    with dlx.no_grad():
        w += 1.0
    with pytest.raises(RuntimeError, match="op 0, multiply, reads a Tensor that has changed"):
        y.backward()


def test_an_error_inside_leaves_all_as_it_was(device):
    x, count = leaf(3, device=device), dlx.ones(3, device=device)
    calls = []

    def f(x):
        calls.append(1)
        count.add_(1.0)
        y = F.dropout(x, 0.5)
        if len(calls) == 2:
            raise KeyError("second run")
        return y

    y = dlx.remat(f)(x)
    state = dlx.random.get_state().tolist()
    with pytest.raises(KeyError, match="second run"):
        y.sum().backward()
    assert count.tolist() == [2.0] * 3
    assert dlx.random.get_state().tolist() == state


def test_what_it_does_not_take():
    with pytest.raises(TypeError, match="remat: expected a function or Module, got int"):
        dlx.remat(3)


def test_two_threads(device):
    results = []

    def work(seed):
        x = leaf(50, seed=seed, device=device)
        for _ in range(20):
            x.grad = None
            dlx.remat(lambda x: dlx.exp(dlx.sin(x) * x))(x).sum().backward()
        results.append((seed, bits([x.grad])))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, found in results:
        x = leaf(50, seed=seed, device=device)
        dlx.exp(dlx.sin(x) * x).sum().backward()
        assert found == bits([x.grad])
    assert len(results) == 2
