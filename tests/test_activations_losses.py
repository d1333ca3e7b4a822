"""Activations and losses where formulas break: kinks, saturation, infinities, ties."""

from __future__ import annotations

import math

import numpy as np
import pytest

import dlx
from dlx import _core

nn = dlx.nn
F = nn.functional
INF, NAN = math.inf, math.nan
EPS32 = 2.0**-23
LEVELS = ["portable", "x86-64-v2", "avx2", "avx512"]
# Without FMA the two roundings of e^r - 1 = r + r^2 q(r) show.
TANH_ULPS = 2 if _core.isa() in LEVELS[2:] else 2.5


def tensor(values, dtype="float32", **options):
    return dlx.tensor(np.asarray(values, dtype), **options)


def gradient_of(function, values, dtype="float64"):
    x = tensor(values, dtype, requires_grad=True)
    dlx.sum(function(x)).backward()
    return x.grad.numpy()


# --- values far out: neither overflow nor NaN


LIMITS = [  # (function, at -1e4, at -0.0, at 0, at 1e4)
    (F.leaky_relu, -100, -0.0, 0, 1e4),
    (F.elu, -1, -0.0, 0, 1e4),
    (F.selu, -1.0507009873554805 * 1.6732632423543772, -0.0, 0, 1e4 * 1.0507009873554805),
    (F.gelu, -0.0, -0.0, 0, 1e4),
    (lambda x: F.gelu(x, "tanh"), -0.0, -0.0, 0, 1e4),
    (F.silu, -0.0, -0.0, 0, 1e4),
    (F.mish, -0.0, -0.0, 0, 1e4),
    (F.softplus, 0, math.log(2), math.log(2), 1e4),
    (F.logsigmoid, -1e4, -math.log(2), -math.log(2), -0.0),
    (F.softsign, -1e4 / 10001, -0.0, 0, 1e4 / 10001),
    (F.hardtanh, -1, -0.0, 0, 1),
    (F.relu6, 0, 0, 0, 6),
    (F.hardsigmoid, 0, 0.5, 0.5, 1),
    (F.hardswish, -0.0, -0.0, 0, 1e4),
    (dlx.erf, -1, -0.0, 0, 1),
    (dlx.expm1, -1, -0.0, 0, INF),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("function", "low", "minus", "zero", "high"), LIMITS)
def test_values_far_out_and_at_zero(function, low, minus, zero, high, dtype):
    y = function(tensor([-1e4, -0.0, 0.0, 1e4], dtype)).numpy()
    np.testing.assert_allclose(y, np.array([low, minus, zero, high], dtype), rtol=4e-7)
    if minus == 0 and function is not F.relu6:  # the sign of -0 passes through
        assert np.signbit(y[1]) == np.signbit(minus)
    assert np.isnan(function(tensor([NAN], dtype)).numpy()).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (F.leaky_relu, [0.01, 0.01, 1]),
        (F.elu, [0, 1, 1]),
        (F.gelu, [0, 0.5, 1]),
        (lambda x: F.gelu(x, "tanh"), [0, 0.5, 1]),
        (F.silu, [0, 0.5, 1]),
        (F.mish, [0, 0.6, 1]),
        (F.softplus, [0, 0.5, 1]),
        (F.logsigmoid, [1, 0.5, 0]),
        (F.softsign, [1e-8, 1, 1e-8]),
        (F.hardtanh, [0, 1, 0]),
        (F.relu6, [0, 0, 0]),
        (dlx.erf, [0, 2 / math.sqrt(math.pi), 0]),
    ],
)
@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_far_out_and_at_zero(function, expected, dtype, create_graph):
    x = tensor([-1e4, 0.0, 1e4], dtype, requires_grad=True)
    dlx.sum(function(x)).backward(create_graph=create_graph)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=4e-4, atol=1e-30)


@pytest.mark.parametrize("x", [1e15, 1e25, -1e25])
def test_the_cubic_term_of_gelu_may_overflow(x):
    y = F.gelu(tensor([x]), "tanh").item()
    assert y == pytest.approx(max(x, 0)), "x^3 is infinite, its tanh is not"
    assert gradient_of(lambda v: F.gelu(v, "tanh"), [x], "float32") == (x > 0)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("function", [F.relu, F.hardswish, F.elu, F.gelu, F.silu, F.softplus])
def test_the_gradient_of_nan_is_not_lost(function, create_graph):
    x = tensor([NAN], requires_grad=True)
    function(x).backward(tensor([NAN]), create_graph=create_graph)
    assert math.isnan(x.grad.item())


@pytest.mark.parametrize(
    "function", [F.hardsigmoid, F.hardswish, F.logsigmoid, F.softsign, F.elu, F.gelu, F.mish]
)
def test_integers_become_float32_before_they_can_wrap_around(function):
    x = np.arange(256, dtype=np.uint8)
    y = function(dlx.tensor(x))
    assert y.dtype == "float32"
    np.testing.assert_array_equal(y.numpy(), function(tensor(x)).numpy())


# --- float32 accuracy


@pytest.mark.parametrize(
    ("function", "exact", "ulps"),
    [
        (dlx.erf, math.erf, 2),
        (dlx.expm1, math.expm1, 2),
        (dlx.log1p, math.log1p, 2),
        (dlx.exp, math.exp, 2),
        (dlx.tanh, math.tanh, TANH_ULPS),
        (dlx.sin, math.sin, 2),
        (dlx.cos, math.cos, 2),
    ],
)
def test_float32_functions_are_good_to_a_few_units_in_the_last_place(function, exact, ulps):
    x = np.concatenate([np.linspace(-0.99, 12, 20001), np.geomspace(1e-30, 1, 2001)])
    x = x.astype(np.float32)
    expected = np.array([exact(v) for v in x.astype(float)])
    units = np.spacing(np.abs(expected).astype(np.float32)).astype(float)
    error = np.abs(function(tensor(x)).numpy() - expected) / units
    assert error.max() <= ulps, x[error.argmax()]


WIDE = [  # every 40009th float32 between two, as NumPy computes it in float64
    ("exp", np.exp, -87.3, 88.7, 2),
    ("log", np.log, 1e-38, 3e38, 2),
    ("tanh", np.tanh, -20, 20, 2.5),
    ("expm1", np.expm1, -87.3, 88.7, 2),
    ("log1p", np.log1p, -0.999, 3e38, 2),
    ("sin", np.sin, -1e4, 1e4, 2),
    ("cos", np.cos, -1e4, 1e4, 2),
    ("sigmoid", lambda x: 1 / (1 + np.exp(-x)), -87, 80, 2.5),
    ("gelu", np.vectorize(lambda x: x * 0.5 * math.erfc(-x * math.sqrt(0.5))), -13, 80, 4),
]


@pytest.mark.parametrize("isa", LEVELS)
@pytest.mark.parametrize(("name", "exact", "low", "high", "ulps"), WIDE)
def test_float32_functions_over_all_magnitudes(name, exact, low, high, ulps, isa):
    before = _core.isa()
    if LEVELS.index(isa) > LEVELS.index(_core.best_isa()):
        pytest.skip(f"this CPU has no {isa}")
    x = np.arange(1, 2**32, 40009, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = x[(x >= low) & (x <= high)]  # NaN is neither
    expected = exact(x.astype(np.float64))
    units = np.spacing(np.abs(expected).astype(np.float32)).astype(np.float64)
    has_fma = isa in LEVELS[2:]
    if name == "tanh" and has_fma:
        ulps = 2
    if name == "gelu" and not has_fma:
        ulps = 64  # x^2 is rounded, and e^(-x^2 / 2) shows it far out
    _core.set_isa(isa)
    try:
        function = F.gelu if name == "gelu" else getattr(dlx, name)
        error = np.abs(function(tensor(x)).numpy() - expected) / units
    finally:
        _core.set_isa(before)
    assert error.max() <= ulps, (x[error.argmax()], error.max())


@pytest.mark.parametrize("function", ["sin", "cos"])
def test_angles_of_any_size_are_reduced_exactly(function):
    x = np.concatenate([np.linspace(-1e6, 1e6, 4001), np.geomspace(1, 3e38, 1001), [INF, NAN]])
    x = np.append(x, [math.pi * k / 2 for k in range(1, 20000, 37)]).astype(np.float32)
    exact = np.array(
        [getattr(math, function)(v) if math.isfinite(v) else NAN for v in x.astype(float)]
    )
    y = getattr(dlx, function)(tensor(x)).numpy()
    np.testing.assert_allclose(y, exact, rtol=3e-7)
    alone = [getattr(dlx, function)(tensor([v])).item() for v in x[::97]]
    assert np.array_equal(np.float32(alone), y[::97], equal_nan=True)


@pytest.mark.parametrize("name", ["remainder", "floor_divide"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floored_division_is_exact(name, dtype):
    special = [0.0, -0.0, 1, -1, 2.5, -2.5, INF, -INF, NAN, 1e30, -1e30, 1e-30, 7, 3, 0.1, -0.3]
    rng = np.random.default_rng(0)
    a, b = (m.ravel().astype(dtype) for m in np.meshgrid(special, special))
    many = rng.normal(size=(2, 3000)) * 10.0 ** rng.integers(-3, 3, size=(2, 3000))
    for x, d in ((a, b), many.astype(dtype), (np.float32(3) * b[:3].astype(dtype) + 6, b[12:15])):
        with np.errstate(all="ignore"):
            expected = getattr(np, name)(x, d)
        y = getattr(dlx, name)(tensor(x, dtype), tensor(d, dtype)).numpy()
        np.testing.assert_array_equal(y, expected)
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(y[numbers]), np.signbit(expected[numbers]))


def test_the_tail_of_gelu_keeps_its_digits():
    """0.5 (1 + erf(x / sqrt 2)) in float32 would be 0 from x = -5.5 on."""
    x = np.linspace(-8, -1, 1001).astype(np.float32)
    expected = [v * 0.5 * math.erfc(-v / math.sqrt(2)) for v in x.astype(float)]
    np.testing.assert_allclose(F.gelu(tensor(x)).numpy(), expected, rtol=1e-5)


def test_scores_lose_no_digits_where_probabilities_do():
    x, t = tensor([20.0, 30.0]), tensor([0.0, 0.0])
    exact = [20 + math.exp(-20), 30.0]
    loss = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    np.testing.assert_allclose(loss.numpy(), exact, rtol=1e-7)
    rounded = F.binary_cross_entropy(dlx.sigmoid(x), t, reduction="none").numpy()
    assert rounded[1] == 100, "1 - sigmoid(30) is 0 in float32"


# --- integers, steps, operators


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32", "float64"])
def test_modulo_and_floor_division_are_pythons(dtype):
    x, d = np.meshgrid(np.arange(-7, 8), [-3, -2, -1, 1, 2, 3, 5])
    a, b = tensor(x, dtype), tensor(d, dtype)
    rest = [[p % q for p, q in zip(*row)] for row in zip(x.tolist(), d.tolist())]
    whole = [[p // q for p, q in zip(*row)] for row in zip(x.tolist(), d.tolist())]
    assert (a % b).tolist() == rest and (a // b).tolist() == whole
    assert (a % 3).dtype == dtype and (7 // b).dtype == dtype


def test_integer_division_by_zero_and_its_overflow_do_not_trap():
    lowest = dlx.tensor([-(2**63), 5, -5])
    assert (lowest // -1).tolist() == [-(2**63), -5, 5]
    assert (lowest % -1).tolist() == [0, 0, 0]
    assert (lowest // 0).tolist() == (lowest % 0).tolist() == [0, 0, 0]
    small = dlx.tensor(np.array([255, 7], np.uint8))
    assert (small % 255).tolist() == [0, 7] and (small // 0).tolist() == [0, 0]


def test_rounding_keeps_integers_and_goes_to_even():
    assert dlx.round(tensor([0.5, 1.5, -2.5, 2.6])).tolist() == [0, 2, -2, 3]
    for function in (dlx.floor, dlx.ceil, dlx.trunc, dlx.round):
        assert function(tensor([3, -4], "int32")).dtype == "int32"


def test_the_derivative_of_a_step_is_zero_also_of_an_infinite_gradient():
    x = tensor([0.3, 1.0], requires_grad=True)
    dlx.floor(x).backward(tensor([INF, NAN]))
    assert x.grad.tolist() == [0, 0]


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
        ours = gradient_of(dlx.logsumexp, row, "float32")
        np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=1e-6)


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


def layers():
    return [
        (nn.LeakyReLU, (0.2,)), (nn.ELU, (1.5,)), (nn.GELU, ()), (nn.GELU, ("tanh",)),
        (nn.SiLU, ()), (nn.Softplus, (2.0, 10.0)), (nn.ReLU6, ()), (nn.Hardtanh, (-2.0, 0.5)),
        (nn.SELU, ()), (nn.Softsign, ()), (nn.Mish, ()), (nn.LogSigmoid, ()), (nn.Hardswish, ()),
        (nn.Hardsigmoid, ()), (nn.PReLU, ()), (nn.PReLU, (3, 0.1)), (nn.Softmin, (1,)),
    ]  # fmt: skip


def losses():
    return [
        (nn.BCEWithLogitsLoss, {}), (nn.BCELoss, {"reduction": "sum"}), (nn.L1Loss, {}),
        (nn.SmoothL1Loss, {"beta": 0.5}), (nn.HuberLoss, {"delta": 0.5}),
        (nn.KLDivLoss, {"reduction": "batchmean"}),
        (nn.KLDivLoss, {"log_target": True, "reduction": "sum"}),
        (nn.MSELoss, {"reduction": "none"}),
    ]  # fmt: skip


@pytest.mark.parametrize(("cls", "args"), layers())
def test_a_layer_is_pytorchs(cls, args):
    torch = pytest.importorskip("torch")
    ours, theirs = cls(*args), getattr(torch.nn, cls.__name__)(*args).double()
    ours.to(dlx.float64)
    x = np.random.default_rng(0).normal(size=(4, 3, 2)) * 3
    a, b = tensor(x, "float64", requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = ours(a), theirs(b)
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-12, atol=1e-12)
    (y * y).sum().backward()
    (z * z).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-6, atol=1e-9)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-11)


@pytest.mark.parametrize(("cls", "args"), layers())
def test_a_layer_prints_and_saves_its_arguments(cls, args, tmp_path):
    torch = pytest.importorskip("torch")
    layer = cls(*args)
    assert repr(layer).partition("  #")[0] == repr(getattr(torch.nn, cls.__name__)(*args))
    dlx.save(nn.Sequential(layer), tmp_path / "layer.dlx")
    again = dlx.load(tmp_path / "layer.dlx")[0]
    x = dlx.random.normal((2, 3))
    assert repr(again) == repr(layer) and (again(x) == layer(x)).all()


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


def test_prelu_learns_a_slope_for_each_channel():
    layer = nn.PReLU(2)
    assert layer.weight.tolist() == [0.25, 0.25]
    layer(tensor([[-1.0, -2.0], [3.0, -4.0]])).sum().backward()
    assert layer.weight.grad.tolist() == [-1, -6]


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


def test_a_recorded_step_through_all_of_them_equals_the_eager_one():
    layers_ = [cls(*args) for cls, args in layers() if args != (3, 0.1)]
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(3, 6, 5)).astype(np.float32)
    x, label = tensor(inputs[0]), dlx.tensor([0, 1, 2, 3, 4, -100])
    w, t = tensor(inputs[1], requires_grad=True), dlx.sigmoid(tensor(inputs[2]))
    out, dw = dlx.zeros((1,)), dlx.zeros(w.shape)

    def step():
        w.grad = None
        for layer in layers_:
            layer.zero_grad()
        y = w * x
        total = sum([layer(y).sum() for layer in layers_], dlx.logsumexp(y))
        total = total + F.binary_cross_entropy(dlx.sigmoid(y), t)
        total = total + F.binary_cross_entropy_with_logits(y, t, pos_weight=t[0])
        total = total + F.nll_loss(y, label) + F.kl_div(y, t, "batchmean") + F.l1_loss(y, t)
        total = total + F.huber_loss(y, t) + F.smooth_l1_loss(y, t, beta=0.5)
        total.backward()
        out[...] = total.detach()
        dw[...] = w.grad

    replayed, seen = dlx.jit(step), []
    for run in (step, replayed):
        for values in inputs[[0, 1, 2, 0, 1, 2]]:
            x[...] = tensor(values)
            run()
            seen.append((out.tolist(), dw.tolist()))
    assert seen[:6] == seen[6:]
    assert replayed.cache_info().replays == 3


def test_a_wrong_probability_is_found_by_a_replay_too():
    f, x = dlx.jit(lambda x: F.binary_cross_entropy(x, x)), tensor([0.5, 0.5])
    for _ in range(4):
        f(x)
    assert f.cache_info().replays == 1
    with pytest.raises(ValueError, match=r"got 1\.25 at element 1 of 2"):
        f(tensor([0.5, 1.25]))
