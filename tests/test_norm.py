"""Batch, layer and group norm as layers: running statistics, modes, files, recording, precision."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from dlx import nn, optim
from dlx.nn import functional as F

pytestmark = pytest.mark.on_its_device

SHAPES = {"1d": (9, 5), "1d-length": (4, 5, 7), "2d": (3, 5, 6, 4), "2d-large": (2, 5, 30, 20)}
OPTIONS = {
    "default": {},
    "momentum": {"momentum": 0.3},
    "cumulative": {"momentum": None},
    "plain": {"affine": False},
    "batch": {"track_running_stats": False},
    "eps": {"eps": 0.1, "bias": False},
}


def layer_of(library, shape, **options):
    kind = "BatchNorm1d" if len(shape) < 4 else "BatchNorm2d"
    return getattr(library, kind)(shape[1], **options)


def batch(rng, shape, dtype="float64"):
    return (rng.normal(size=shape) * rng.uniform(0.5, 3) + rng.normal()).astype(dtype)


def buffers(layer):
    return {name: np.array(value.cpu().numpy()) for name, value in layer.named_buffers()}


def assert_same(ours, theirs, rtol, what):
    theirs = theirs.detach().cpu().numpy()
    np.testing.assert_allclose(
        ours.cpu().numpy(),
        theirs,
        rtol=rtol,
        atol=rtol * np.max(np.abs(theirs), initial=0),
        err_msg=what,
    )


# ---- Against PyTorch


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-12), ("float32", 2e-5)])
def test_training_steps_equal_pytorch(shape, options, dtype, rtol, device):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    ours = layer_of(nn, shape, **options, dtype=dtype, device=device)
    theirs = layer_of(torch.nn, shape, **options, dtype=getattr(torch, dtype))
    assert repr(ours).replace("  # train", "") == repr(theirs)
    steps = []
    if list(ours.parameters()):
        steps = [optim.SGD(ours.parameters(), 0.1), torch.optim.SGD(theirs.parameters(), 0.1)]
    for step in range(4):
        if step == 3:
            ours.eval(), theirs.eval()
        data, weights = batch(rng, shape, dtype), batch(rng, shape, dtype)
        x = dlx.tensor(data, requires_grad=True, device=device)
        x_torch = torch.tensor(data, requires_grad=True)
        y, y_torch = ours(x), theirs(x_torch)
        assert_same(y, y_torch, rtol, f"output of step {step}")
        for optimizer in steps:
            optimizer.zero_grad()
        y.backward(dlx.tensor(weights, device=device))
        y_torch.backward(torch.tensor(weights))
        assert_same(x.grad, x_torch.grad, rtol, f"gradient of step {step}")
        for optimizer in steps:
            optimizer.step()
        state = theirs.state_dict()
        assert list(ours.state_dict()) == list(state)
        for key, value in ours.state_dict().items():
            assert_same(value, state[key], rtol, f"{key} after step {step}")


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_second_order_equals_pytorch(shape, device):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    arrays = [batch(rng, shape), rng.normal(size=shape[1]), rng.normal(size=shape[1])]
    weights, directions = batch(rng, shape), [rng.normal(size=a.shape) for a in arrays]

    inputs = [dlx.tensor(a, requires_grad=True, device=device) for a in arrays]
    y = F.batch_norm(inputs[0], None, None, *inputs[1:], training=True)
    y.backward(dlx.tensor(weights, device=device), create_graph=True)
    firsts = [x.grad for x in inputs]
    for x in inputs:
        x.grad = None
    dots = [dlx.sum(g * dlx.tensor(v, device=device)) for g, v in zip(firsts, directions)]
    (dots[0] + dots[1] + dots[2]).backward()

    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = torch.nn.functional.batch_norm(theirs[0], None, None, *theirs[1:], training=True)
    first = torch.autograd.grad(y, theirs, torch.tensor(weights), create_graph=True)
    sum((g * torch.tensor(v)).sum() for g, v in zip(first, directions)).backward()
    for x, g, x_torch, g_torch in zip(inputs, firsts, theirs, first):
        assert_same(g, g_torch, 1e-10, "first order")
        if x_torch.grad is not None:  # the bias moves nothing
            assert_same(x.grad, x_torch.grad, 1e-10, "second order")


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"elementwise_affine": False}])
@pytest.mark.parametrize(("shape", "normalized"), [((4, 6), 6), ((2, 3, 5, 4), (5, 4))])
def test_layer_norm_equals_pytorch(shape, normalized, options, device):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    ours = nn.LayerNorm(normalized, eps=1e-3, **options, dtype="float64", device=device)
    theirs = torch.nn.LayerNorm(normalized, eps=1e-3, **options, dtype=torch.float64)
    assert repr(ours).replace("  # train", "") == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    state = {key: rng.normal(size=value.shape) for key, value in ours.state_dict().items()}
    ours.load_state_dict(state)
    theirs.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
    data, weights = batch(rng, shape), batch(rng, shape)
    x = dlx.tensor(data, requires_grad=True, device=device)
    x_torch = torch.tensor(data, requires_grad=True)
    ours(x).backward(dlx.tensor(weights, device=device))
    theirs(x_torch).backward(torch.tensor(weights))
    assert_same(ours(x), theirs(x_torch), 1e-12, "output")
    assert_same(x.grad, x_torch.grad, 1e-12, "gradient")
    for p, q in zip(ours.parameters(), theirs.parameters()):
        assert_same(p.grad, q.grad, 1e-12, "gradient of a parameter")


def test_layer_norm_without_eps_equals_pytorch(device):
    torch = pytest.importorskip("torch")
    data = np.array([[1.0, 2.0, 4.0], [3.0, 3.0, 3.0]])
    y = F.layer_norm(dlx.tensor(data, device=device), 3, eps=0).cpu().numpy()
    expected = torch.nn.functional.layer_norm(torch.tensor(data), (3,), eps=0).cpu().numpy()
    np.testing.assert_allclose(y, expected, rtol=1e-15)
    assert np.isnan(y[1]).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda eps: nn.BatchNorm2d(2, eps=eps, momentum=eps),
        lambda eps: nn.LayerNorm((3, 2), eps=eps),
        lambda eps: nn.GroupNorm(1, 2, eps=eps),
    ],
)
def test_numpy_scalars_are_numbers(make, device):
    x = dlx.random.normal((4, 2, 3, 2), device=device)
    ours, twin = (make(eps).to(device) for eps in (np.float32(0.25), 0.25))
    assert ours(x).tolist() == twin(x).tolist() and repr(ours) == repr(twin)


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"affine": False}])
@pytest.mark.parametrize("shape", [(5, 6), (2, 6, 7), (1, 6, 4, 3)], ids=str)
def test_group_norm_equals_pytorch(shape, options, device, tmp_path):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(9)
    ours = nn.GroupNorm(3, 6, **options, dtype="float64", device=device)
    theirs = torch.nn.GroupNorm(3, 6, **options, dtype=torch.float64)
    assert repr(ours).replace("  # train", "") == repr(theirs)
    state = {key: rng.normal(size=value.shape) for key, value in ours.state_dict().items()}
    assert list(state) == list(theirs.state_dict())
    ours.load_state_dict(state)
    theirs.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
    x, x_torch = (f(batch(np.random.default_rng(0), shape)) for f in (dlx.tensor, torch.tensor))
    assert_same(ours(x), theirs(x_torch), 1e-12, "output")
    dlx.save(ours, tmp_path / "norm.dlx")
    assert dlx.load(tmp_path / "norm.dlx")(x).tolist() == ours(x).tolist()


@pytest.mark.parametrize("given", ["weight", "bias"])
def test_a_weight_or_a_bias_alone(given, device):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    data, p = rng.normal(size=(4, 3, 5)), rng.normal(size=3)
    x, q = dlx.tensor(data, device=device), dlx.tensor(p, requires_grad=True, device=device)
    q_torch = torch.tensor(p, requires_grad=True)
    for training in (True, False):
        statistics = [rng.normal(size=3), rng.uniform(1, 2, size=3)]
        y = F.batch_norm(
            x, *[dlx.tensor(s, device=device) for s in statistics], training=training, **{given: q}
        )
        theirs = torch.nn.functional.batch_norm(
            torch.tensor(data), *map(torch.tensor, statistics), training=training,
            **{given: q_torch},
        )  # fmt: skip
        assert_same(y, theirs, 1e-12, "output")
        y.backward(dlx.tensor(data, device=device))
        theirs.backward(torch.tensor(data))
        assert_same(q.grad, q_torch.grad, 1e-12, "gradient")


# ---- Precision


def exact(x, axes):
    wide = x.astype(np.longdouble)
    d = wide - np.mean(wide, axes, keepdims=True)
    return (d / np.sqrt(np.mean(d * d, axes, keepdims=True) + 1e-5)).astype(np.float64)


FAR = [(512, 3), (40, 3, 5, 5), (8, 3, 32, 32)]  # the three ways of adding up


@pytest.mark.parametrize("shape", FAR, ids=str)
@pytest.mark.parametrize("far", [0.0, 1e4, -1e6])
def test_a_mean_far_from_zero_costs_no_digits(shape, far, device):
    """The numbers of x are given: all errors are those of the arithmetic."""
    rng = np.random.default_rng(4)
    x = (rng.normal(size=shape) + far).astype(np.float32)
    axes = (0, *range(2, x.ndim))
    layer = layer_of(nn, shape, device=device, momentum=1.0)
    y = layer(dlx.tensor(x, device=device)).cpu().numpy()
    np.testing.assert_allclose(y, exact(x, axes), rtol=0, atol=1e-6)
    wide = x.astype(np.float64)
    atol = 1e-8 if device == "cpu" else 4e-7  # the CPU adds up in float64; numbers of 1 to 4
    mean = layer.running_mean.cpu().numpy()
    np.testing.assert_allclose(mean, wide.mean(axes), rtol=1e-7, atol=atol)
    np.testing.assert_allclose(layer.running_var.cpu().numpy(), wide.var(axes, ddof=1), rtol=1e-6)
    if far:  # float32 in one pass: not a digit is right
        one_pass = np.mean(x * x, axes) - np.mean(x, axes) ** 2
        assert np.all(np.abs(one_pass / wide.var(axes) - 1) > 0.5)


@pytest.mark.parametrize("d", [7, 300])
def test_a_mean_far_from_zero_costs_layer_norm_no_digits(d, device):
    x = (np.random.default_rng(5).normal(size=(6, d)) - 1e4).astype(np.float32)
    y = nn.LayerNorm(d, device=device)(dlx.tensor(x, device=device)).cpu().numpy()
    np.testing.assert_allclose(y, exact(x, (1,)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 4, 5, 5), (2, 4, 100, 100)], ids=str)
def test_a_mean_far_from_zero_costs_group_norm_no_digits(shape, device):
    x = (np.random.default_rng(5).normal(size=shape) - 1e4).astype(np.float32)
    y = nn.GroupNorm(2, 4, device=device)(dlx.tensor(x, device=device)).cpu().numpy()
    expected = exact(x.reshape(shape[0], 2, -1), (2,)).reshape(shape)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)


def test_what_is_not_finite_stays_in_its_channel(device):
    x = np.random.default_rng(6).normal(size=(4, 3, 6)).astype(np.float32)
    x[1, 0, 2], x[2, 1, 3] = np.nan, np.inf
    finite = np.isfinite(nn.BatchNorm1d(3)(dlx.tensor(x, device=device)).cpu().numpy())
    assert [f.all() for f in finite.transpose(1, 0, 2)] == [False, False, True]
    assert not finite[:, :2].any()


@pytest.mark.parametrize("shape", [*FAR, (2, 1, 90, 100)], ids=str)
def test_the_running_statistics_are_the_same_bits_on_any_number_of_threads(shape, device):
    x = dlx.tensor(batch(np.random.default_rng(7), shape, "float32"), device=device)
    found = set()
    for threads in (1, 2, 3, 5):
        dlx.set_num_threads(threads)
        layer = layer_of(nn, shape, device=device)
        for _ in range(3):
            layer(x)
        found.add(tuple(value.tobytes() for value in buffers(layer).values()))
    assert len(found) == 1


# ---- Modes and state


def test_one_value_per_channel_raises_in_training_only_and_changes_nothing(device):
    model = nn.Sequential(nn.BatchNorm2d(3, device=device))
    x = dlx.ones((1, 3, 1, 1), device=device)
    match = r"Sequential.0 \(BatchNorm2d\(3\)\): .*more than one value per channel.*\(1, 3, 1, 1\)"
    with pytest.raises(ValueError, match=match):
        model(x)
    assert model.state_dict()["0.num_batches_tracked"].item() == 0
    assert model.eval()(x).shape == (1, 3, 1, 1)
    model.train()
    assert model(dlx.ones((1, 3, 1, 2), device=device)).shape == (1, 3, 1, 2)
    assert nn.LayerNorm(1, device=device)(dlx.ones((1, 1), device=device)).tolist() == [[0]]


def test_an_empty_batch_counts_and_teaches_nothing(device):
    layer = nn.BatchNorm2d(3, device=device)
    x = dlx.tensor(np.zeros((0, 3, 4, 4)), requires_grad=True, dtype="float32", device=device)
    y = layer(x)
    y.sum().backward()
    assert y.shape == x.grad.shape == (0, 3, 4, 4)
    assert layer.weight.grad.tolist() == layer.bias.grad.tolist() == [0, 0, 0]
    assert layer.running_mean.tolist() == [0, 0, 0] and layer.running_var.tolist() == [1, 1, 1]
    assert layer.num_batches_tracked.item() == 1
    assert nn.BatchNorm2d(0, device=device)(dlx.zeros((2, 0, 3, 3), device=device)).size() == (
        2, 0, 3, 3,
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(0, 4, 9), (2, 0, 9), (2, 4, 0)], ids=str)
def test_a_group_norm_of_nothing(shape, device):
    x = dlx.zeros(shape, device=device).requires_grad_()
    w = dlx.ones(shape[1:2], device=device).requires_grad_()
    y = F.group_norm(x, 2, w, w)
    y.sum().backward()
    assert y.shape == x.grad.shape == shape
    assert w.grad.tolist() == [0] * shape[1]


def test_evaluation_changes_no_state_and_training_does_without_gradients_too(device):
    layer = nn.BatchNorm1d(4, device=device).eval()
    x = dlx.random.normal((8, 4), device=device)
    before = buffers(layer)
    layer(x)
    np.testing.assert_equal(buffers(layer), before)
    layer.train()
    with dlx.no_grad():
        layer(x)
    assert layer.num_batches_tracked.item() == 1 and layer.running_mean.tolist() != [0, 0, 0, 0]
    layer.reset_running_stats()
    np.testing.assert_equal(buffers(layer), before)


def test_a_snapshot_stays_as_it_was(device):
    layer = nn.BatchNorm1d(4, device=device)
    state = layer.state_dict()
    layer(dlx.random.normal((8, 4), device=device))
    assert state["running_mean"].tolist() == [0, 0, 0, 0]
    assert state["num_batches_tracked"].item() == 0


def test_the_running_statistics_are_no_part_of_the_graph(device):
    layer = nn.BatchNorm1d(4, device=device)
    x = dlx.tensor(np.random.default_rng(8).normal(size=(8, 4)), requires_grad=True, device=device)
    layer.to(dlx.float64)
    y = layer(x)
    assert y.requires_grad and all(b.is_leaf and not b.requires_grad for b in layer.buffers())
    y.sum().backward(create_graph=True)
    dlx.jvp(lambda x: F.batch_norm(x, None, None, training=True), (x,), (x,))
    assert layer.num_batches_tracked.item() == 1  # the composite rule has not run forward again
    mean = dlx.zeros((4,), dtype="float64", device=device).requires_grad_()
    var = dlx.ones((4,), dtype="float64", device=device)
    with pytest.raises(ValueError, match="running_mean is updated in place and cannot require"):
        F.batch_norm(x, mean, var, training=True)
    F.batch_norm(x, mean, var).sum().backward()
    assert mean.grad is None


def test_functional_updates_the_running_statistics_in_place(device):
    x = dlx.tensor([[1.0, 5.0], [3.0, 9.0]], device=device)
    mean, var = dlx.zeros((2,), device=device), dlx.ones((2,), device=device)
    F.batch_norm(x, mean, var, training=True, momentum=0.5)
    assert mean.tolist() == [1, 3.5] and var.tolist() == [1.5, 4.5]  # unbiased: 2 and 8
    for wrong in ({"running_mean": mean[:1], "running_var": var},
                  {"running_mean": mean, "running_var": var[:1]}):  # fmt: skip
        with pytest.raises(ValueError, match=r"expects shape \(2,\)"):
            F.batch_norm(x, training=True, **wrong)
    assert mean.tolist() == [1, 3.5] and var.tolist() == [1.5, 4.5]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_file_keeps_everything(dtype, tmp_path, device):
    model = nn.Sequential(
        nn.BatchNorm2d(3, momentum=None, bias=False, dtype=dtype, device=device),
        nn.BatchNorm2d(3, affine=False, dtype=dtype, device=device),
        nn.LayerNorm((4, 2), bias=False, dtype=dtype, device=device),
    )
    for _ in range(3):
        model(dlx.random.normal((5, 3, 4, 2), dtype=dtype, device=device))
    dlx.save(model.eval(), tmp_path / "model.dlx")
    twin = dlx.load(tmp_path / "model.dlx")
    assert repr(twin) == repr(model)
    assert [k for k in twin.state_dict() if k.startswith("0")] == [
        "0.weight", "0.running_mean", "0.running_var", "0.num_batches_tracked",
    ]  # fmt: skip
    for key, value in model.state_dict().items():
        loaded = twin.state_dict()[key]
        assert loaded.dtype == value.dtype and loaded.tolist() == value.tolist(), key
    assert twin.state_dict()["0.num_batches_tracked"].item() == 3
    x = dlx.random.normal((2, 3, 4, 2), dtype=dtype, device=device)
    assert twin(x).tolist() == model(x).tolist()


# ---- Recording


class Training:
    """A small network with every kind of norm, its batch in tensors."""

    def __init__(self, device, momentum):
        dlx.seed(0)
        self.model = nn.Sequential(
            nn.Linear(12, 16),
            nn.BatchNorm1d(16, momentum=momentum),
            nn.ReLU(),
            nn.LayerNorm(16),
            nn.Linear(16, 4),
        )
        self.model.to(device)
        self.optimizer = optim.Adam(self.model.parameters(), lr=1e-2)
        rng = np.random.default_rng(0)
        self.inputs = rng.normal(size=(22, 9, 12)).astype(np.float32)
        self.labels = rng.integers(0, 4, size=(22, 9))
        self.x = dlx.tensor(self.inputs[0], device=device)
        self.y = dlx.tensor(self.labels[0], device=device)

    def step(self, i, run=None):
        self.x[...] = dlx.tensor(self.inputs[i])
        self.y[...] = dlx.tensor(self.labels[i])
        (run or self.run)()

    def run(self):
        self.optimizer.zero_grad()
        F.cross_entropy(self.model(self.x), self.y).backward()
        self.optimizer.step()

    def bits(self):
        return {k: np.array(v.cpu().numpy()).tobytes() for k, v in self.model.state_dict().items()}


@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_replayed_step_updates_the_running_statistics_bit_for_bit(momentum, device):
    eager = Training(device, momentum)
    for i in range(22):
        eager.step(i)
    recorded = Training(device, momentum)
    run = dlx.jit(recorded.run)
    for i in range(22):
        recorded.step(i, run)
    assert run.cache_info().replays == 19
    text = str(run.program)
    assert all(f" {op} " in text for op in ("batch_norm_update", "batch_norm_backward"))
    assert recorded.bits() == eager.bits()
    assert recorded.model[1].num_batches_tracked.item() == 22
