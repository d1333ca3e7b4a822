"""Activations and other pointwise functions where formulas break: kinks, saturation, infinities."""

from __future__ import annotations

import math

import numpy as np
import pytest

import dlx
from _levels import LEVELS, at_level
from dlx import _core

nn = dlx.nn
F = nn.functional
INF, NAN = math.inf, math.nan
EPS32 = 2.0**-23
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


@pytest.mark.parametrize("function", [dlx.exp, dlx.tanh, F.sigmoid, F.silu, F.gelu])
def test_a_result_does_not_depend_on_the_numbers_beside_it(function):
    x = np.random.default_rng(0).normal(scale=20, size=10007).astype(np.float32)
    expected = function(tensor(x)).numpy()
    for limit in (3.875, 44):  # from where on some formulas take a longer way
        near = np.abs(x) < limit
        np.testing.assert_array_equal(function(tensor(x[near])).numpy(), expected[near])


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
    x = np.arange(1, 2**32, 40009, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = x[(x >= low) & (x <= high)]  # NaN is neither
    expected = exact(x.astype(np.float64))
    units = np.spacing(np.abs(expected).astype(np.float32)).astype(np.float64)
    has_fma = isa in LEVELS[2:]
    if name == "tanh" and has_fma:
        ulps = 2
    if name == "gelu" and not has_fma:
        ulps = 64  # x^2 is rounded, and e^(-x^2 / 2) shows it far out
    function = F.gelu if name == "gelu" else getattr(dlx, name)
    with at_level(isa):
        error = np.abs(function(tensor(x)).numpy() - expected) / units
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


@pytest.mark.parametrize("isa", LEVELS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_odd_functions_keep_the_sign_of_zero(dtype, isa):
    x = tensor([-0.0, 0.0] * 40, dtype)
    for function in (dlx.sin, dlx.tanh, dlx.erf, dlx.expm1, dlx.log1p, dlx.sqrt):
        with at_level(isa):
            y = function(x).numpy()
        np.testing.assert_array_equal(np.signbit(y), np.signbit(x.numpy()), function.__name__)


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


# --- layers


def layers():
    return [
        (nn.LeakyReLU, (0.2,)), (nn.ELU, (1.5,)), (nn.GELU, ()), (nn.GELU, ("tanh",)),
        (nn.SiLU, ()), (nn.Softplus, (2.0, 10.0)), (nn.ReLU6, ()), (nn.Hardtanh, (-2.0, 0.5)),
        (nn.SELU, ()), (nn.Softsign, ()), (nn.Mish, ()), (nn.LogSigmoid, ()), (nn.Hardswish, ()),
        (nn.Hardsigmoid, ()), (nn.PReLU, ()), (nn.PReLU, (3, 0.1)), (nn.Softmin, (1,)),
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


def test_prelu_learns_a_slope_for_each_channel():
    layer = nn.PReLU(2)
    assert layer.weight.tolist() == [0.25, 0.25]
    layer(tensor([[-1.0, -2.0], [3.0, -4.0]])).sum().backward()
    assert layer.weight.grad.tolist() == [-1, -6]


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
