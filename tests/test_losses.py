"""Losses and logsumexp where formulas break: certain scores, infinities, ties; beside PyTorch."""

from __future__ import annotations

import math

import numpy as np
import pytest

import dlx

nn = dlx.nn
F = nn.functional
INF, NAN = math.inf, math.nan


def tensor(values, dtype="float32", **options):
    return dlx.tensor(np.asarray(values, dtype), **options)


# --- float32 accuracy


def test_scores_lose_no_digits_where_probabilities_do():
    x, t = tensor([20.0, 30.0]), tensor([0.0, 0.0])
    exact = [20 + math.exp(-20), 30.0]
    loss = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    np.testing.assert_allclose(loss.numpy(), exact, rtol=1e-7)
    rounded = F.binary_cross_entropy(dlx.sigmoid(x), t, reduction="none").numpy()
    assert rounded[1] == 100, "1 - sigmoid(30) is 0 in float32"


# --- logsumexp


def test_logsumexp_of_infinities():
    rows = [[-INF, -INF], [INF, 1], [INF, -INF], [NAN, 1], [INF, NAN], [-INF, NAN], [-INF, 2]]
    expected = [-INF, INF, INF, NAN, NAN, NAN, 2]
    for dtype in ("float32", "float64"):
        x = tensor(rows, dtype)
        np.testing.assert_array_equal(dlx.logsumexp(x, axis=1).numpy(), expected)
        np.testing.assert_array_equal(dlx.logsumexp(x.T, axis=0).numpy(), expected)
    assert dlx.logsumexp(dlx.zeros((0, 2)), axis=0).tolist() == [-INF, -INF]
    assert dlx.logsumexp(tensor([1e4, 1e4])).item() == pytest.approx(1e4 + math.log(2))


def test_the_gradient_of_logsumexp_at_infinities_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    for row in ([-INF, -INF], [INF, 1], [-INF, 2], [NAN, 1]):
        theirs = torch.tensor(row, requires_grad=True)
        torch.logsumexp(theirs, 0).backward()
        ours = tensor(row, requires_grad=True)
        dlx.logsumexp(ours).backward()
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-6)


# --- losses


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_certain_scores_cost_nothing_when_right_and_their_size_when_wrong(dtype):
    x = tensor([1e4, -1e4, 1e4, -1e4], dtype, requires_grad=True)
    t = tensor([1, 0, 0, 1], dtype)
    loss = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    assert loss.tolist() == [0, 0, 1e4, 1e4]
    dlx.sum(loss).backward()
    assert x.grad.tolist() == [0, 0, 1, -1]


def test_the_logarithms_of_binary_cross_entropy_stop_at_minus_100():
    x = tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    loss = F.binary_cross_entropy(x, tensor([0.0, 1.0, 1.0, 0.0]), reduction="none")
    assert loss.tolist() == [0, 0, 100, 100]
    dlx.sum(loss).backward()
    np.testing.assert_allclose(x.grad.numpy(), [0, 0, -1e12, 1e12], rtol=1e-6)


def weighted_scores(x, t, reduction):
    weight = dlx.full((), 2.0, dtype=x.dtype)
    return F.binary_cross_entropy_with_logits(x, t, weight, reduction, pos_weight=weight)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("loss", "xs", "ts"),
    [
        (F.binary_cross_entropy, [0, 1e-44, 1e-13, 0.3, 1], [0, 0.3, 1]),
        (F.binary_cross_entropy_with_logits, [-INF, -1e4, -20, 0, 20, 1e4, INF], [0, 0.3, 1]),
        (weighted_scores, [-INF, -1e4, -20, 0, 20, 1e4, INF], [0, 0.3, 1]),
        (F.huber_loss, [-INF, -1, 0, 3, INF], [-1, 0.5]),
        (F.smooth_l1_loss, [-INF, -1, 0, 3, INF], [-1, 0.5]),
        (F.l1_loss, [-INF, -1, 0, 3, INF], [-1, 0.5]),
        (F.kl_div, [-1e4, -1, 0], [0, 0.3, 1]),
    ],
)
def test_gradients_far_out_are_the_same_when_recorded(loss, xs, ts, dtype):
    xs, ts = (m.ravel() for m in np.meshgrid(xs, ts))
    first = []
    for create_graph in (False, True):
        x, t = tensor(xs, dtype, requires_grad=True), tensor(ts, dtype, requires_grad=True)
        dlx.sum(loss(x, t, reduction="none")).backward(create_graph=create_graph)
        assert not np.isnan(x.grad.numpy()).any()
        assert not np.isnan(t.grad.numpy()).any()
        first.append(x.grad.numpy())
    np.testing.assert_allclose(*first, rtol=1e-6, atol=2e-7)


@pytest.mark.parametrize("loss", [F.binary_cross_entropy, F.kl_div])
def test_second_derivatives_of_certain_probabilities_are_numbers(loss):
    x = tensor([0, 0, 1, 1, 1e-13], requires_grad=True)
    t = tensor([0, 1, 0, 1, 0.5], requires_grad=True)
    loss(x, t, reduction="sum").backward(create_graph=True)
    total = dlx.sum(x.grad / 1e12) + dlx.sum(t.grad)
    x.grad = t.grad = None
    total.backward()
    assert not np.isnan(x.grad.numpy()).any()
    assert not np.isnan(t.grad.numpy()).any()


def test_nan_passes_through_the_losses():
    for loss in (F.binary_cross_entropy, F.binary_cross_entropy_with_logits, F.l1_loss, F.kl_div,
                 F.huber_loss, F.smooth_l1_loss):  # fmt: skip
        assert math.isnan(loss(tensor([0.5, NAN]), tensor([0.5, 0.5])).item()), loss.__name__


def test_equal_numbers_have_distance_and_derivative_zero():
    for loss in (F.l1_loss, F.smooth_l1_loss, F.huber_loss):
        x, t = tensor([1.0, -2.0], requires_grad=True), tensor([1.0, -2.0])
        y = loss(x, t)
        y.backward()
        assert y.item() == 0 and x.grad.tolist() == [0, 0], loss.__name__


def test_a_target_that_counts_nothing_in_kl_div():
    loss = F.kl_div(tensor([-1e4, -1.0]), tensor([0.0, 1.0]), reduction="none")
    assert loss.tolist() == [0, 1]


def test_batchmean_is_the_divergence():
    p, q = np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([[0.1, 0.9], [0.4, 0.6]])
    expected = np.mean(np.sum(p * np.log(p / q), axis=1))
    log_q = tensor(np.log(q), "float64")
    assert F.kl_div(log_q, tensor(p, "float64"), "batchmean").item() == pytest.approx(expected)
    logs = F.kl_div(log_q, tensor(np.log(p), "float64"), "batchmean", log_target=True)
    assert logs.item() == pytest.approx(expected)


def test_nll_of_log_softmax_is_cross_entropy():
    x = tensor(np.random.default_rng(0).normal(size=(5, 4, 3)), "float64")
    t, w = dlx.random.randint(0, 4, (5, 3)), tensor([1.0, 2.0, 0.5, 3.0], "float64")
    t[0] = -100
    ours = F.nll_loss(dlx.log_softmax(x, axis=1), t, w)
    assert ours.item() == pytest.approx(F.cross_entropy(x, t, w).item(), rel=1e-14)
    ignored = F.nll_loss(x, dlx.full((5, 3), 1), ignore_index=1)
    assert math.isnan(ignored.item()), "no label counts: 0 / 0"


def test_half_precision_losses_compute_in_float32():
    x, t = tensor([300.0, -300.0]).half(), tensor([0.0, 1.0]).half()
    assert F.l1_loss(x, t, reduction="sum").dtype == "float16"
    assert F.binary_cross_entropy_with_logits(x, t).item() == 300
    x.requires_grad = True
    F.huber_loss(x, t).backward()
    assert x.grad.dtype == "float16" and x.grad.tolist() == [0.5, -0.5]


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    "loss",
    [F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.mse_loss, F.kl_div, F.binary_cross_entropy,
     F.binary_cross_entropy_with_logits],
)  # fmt: skip
def test_half_precision_gradients_of_input_and_target(loss, dtype, create_graph):
    exact, rounded = [], []
    for found, kind in ((exact, "float64"), (rounded, dtype)):
        x, t = (tensor(v).astype(kind) for v in ([0.25, 0.75, 0.5], [0.5, 0.125, 0.875]))
        x.requires_grad = t.requires_grad = True
        loss(x, t, reduction="sum").backward(create_graph=create_graph)
        assert x.grad.dtype == t.grad.dtype == kind
        found += [*x.grad.tolist(), *t.grad.tolist()]
    np.testing.assert_allclose(rounded, exact, rtol=2e-2, atol=2e-2)


# --- layers


def losses():
    return [
        (nn.BCEWithLogitsLoss, {}), (nn.BCELoss, {"reduction": "sum"}), (nn.L1Loss, {}),
        (nn.SmoothL1Loss, {"beta": 0.5}), (nn.HuberLoss, {"delta": 0.5}),
        (nn.KLDivLoss, {"reduction": "batchmean"}),
        (nn.KLDivLoss, {"log_target": True, "reduction": "sum"}),
        (nn.MSELoss, {"reduction": "none"}),
    ]  # fmt: skip


@pytest.mark.parametrize(("cls", "options"), losses())
def test_a_loss_is_pytorchs(cls, options, tmp_path):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, cls.__name__)(**options)
    dlx.save(nn.Sequential(cls(**options)), tmp_path / "loss.dlx")
    ours = dlx.load(tmp_path / "loss.dlx")[0]  # a file keeps the arguments
    rng = np.random.default_rng(0)
    x, t = rng.uniform(0.1, 0.9, size=(4, 3)), rng.uniform(0.1, 0.9, size=(4, 3))
    a, b = tensor(x, "float64", requires_grad=True), tensor(t, "float64", requires_grad=True)
    c, d = torch.tensor(x, requires_grad=True), torch.tensor(t, requires_grad=True)
    y, z = ours(a, b), theirs(c, d)
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-13)
    y.sum().backward()
    z.sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), c.grad.numpy(), rtol=1e-12)
    np.testing.assert_allclose(b.grad.numpy(), d.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("cls", [nn.NLLLoss, nn.BCEWithLogitsLoss, nn.BCELoss])
def test_the_weights_of_a_loss_are_its_state(cls, tmp_path):
    weight = tensor([1.0, 2.0, 3.0])
    loss = cls(weight=weight)
    assert list(loss.state_dict()) == ["weight"]
    dlx.save(nn.Sequential(loss), tmp_path / "loss.dlx")
    assert dlx.load(tmp_path / "loss.dlx")[0].weight.tolist() == [1, 2, 3]


def test_weights_are_not_differentiated_and_weigh_elements():
    x = tensor([[0.3, -2.0]], requires_grad=True)
    w = tensor([0.0, 2.0], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, tensor([[1.0, 0.0]]), w, "none", w)
    assert loss.tolist()[0][0] == 0
    loss.sum().backward()
    assert w.grad is None and x.grad.numpy()[0, 0] == 0


# --- training by name


@pytest.mark.parametrize(
    ("loss", "last"),
    [("binary_cross_entropy", [nn.Sigmoid()]), ("binary_cross_entropy_with_logits", [])],
)
def test_compile_knows_the_binary_losses_and_where_their_outputs_turn(loss, last):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 4)).astype(np.float32)
    y = (x[:, :1] + x[:, 1:2] > 0).astype(np.float32)
    dlx.seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Linear(16, 1), *last)
    model.compile("adam", loss, ["binary_accuracy"], lr=2e-2)
    model.fit(x, y, epochs=8, verbose=0)
    output = model.predict(x).numpy()
    expected = np.mean((output > (0.5 if last else 0)) == (y > 0.5))
    assert model.evaluate(x, y)["binary_accuracy"] == pytest.approx(expected)
    assert expected > 0.95


@pytest.mark.parametrize("loss", ["l1", "mae", "smooth_l1", "huber", "mse", "l1_loss"])
def test_compile_knows_the_distances(loss):
    model = nn.Sequential(nn.Linear(3, 1))
    model.compile("sgd", loss, lr=0.1)
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    history = model.fit(x, x[:, :1], epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]


# --- recorded


def test_a_wrong_probability_is_found_by_a_replay_too():
    f, x = dlx.jit(lambda x: F.binary_cross_entropy(x, x)), tensor([0.5, 0.5])
    for _ in range(4):
        f(x)
    assert f.cache_info().replays == 1
    with pytest.raises(ValueError, match=r"got 1\.25 at element 1 of 2"):
        f(tensor([0.5, 1.25]))
