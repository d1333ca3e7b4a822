"""dlx.nn.init: what each initialiser leaves in a tensor, from the generator of dlx.seed."""

from __future__ import annotations

import math

import numpy as np
import pytest

import dlx
from dlx import nn
from dlx.nn import init

pytestmark = pytest.mark.on_its_device

NAMES = [name for name in init.__all__ if name.endswith("_")]
OTHERS = {"constant_": (0.5,), "sparse_": (0.3,)}


def weight(*shape, dtype="float32", device="cpu"):
    return dlx.zeros(shape, dtype=dtype, device=device)


def assert_moments(values, mean, std, errors=4.5):
    """Within so many standard errors of a normal or flatter distribution."""
    n = values.size
    assert abs(values.mean(dtype=np.float64) - mean) <= errors * std / math.sqrt(n)
    assert abs(values.std(dtype=np.float64) - std) <= errors * std / math.sqrt(2 * n)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_fills_in_place_from_the_seed_without_a_graph(name, dtype, device):
    shape = (5, 4, 3) if name == "dirac_" else (7, 5)
    x = dlx.zeros(shape, dtype=dtype, device=device).requires_grad_()
    found = []
    for threads in (1, 3):
        dlx.set_num_threads(threads)
        dlx.seed(7)
        assert getattr(init, name)(x, *OTHERS.get(name, ())) is x
        found.append(x.astype("float64").tolist())
    assert found[0] == found[1]
    assert x.requires_grad and (x.shape, str(x.dtype)) == (shape, dtype)
    dlx.sum(x).backward()  # to x itself: it is a leaf
    assert x.grad is not None
    parameter = nn.Parameter(dlx.zeros(shape, dtype=dtype, device=device))
    dlx.seed(7)
    getattr(init, name)(parameter, *OTHERS.get(name, ()))
    assert parameter.astype("float64").tolist() == found[0]


def test_there_are_pytorchs_names():
    torch = pytest.importorskip("torch")
    theirs = {n for n in vars(torch.nn.init) if n.endswith("_") and not n.startswith("_")}
    assert set(NAMES) == theirs


# ---- distributions


def test_uniform_and_normal(device):
    x = weight(300, 100, device=device)
    a = init.uniform_(x, -2.0, 4.0).cpu().numpy()
    assert a.min() >= -2 and a.max() < 4
    assert_moments(a, 1.0, 6 / math.sqrt(12))
    assert_moments(init.normal_(x, 3.0, 0.5).cpu().numpy(), 3.0, 0.5)


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [
        (0.0, 1.0, -2.0, 2.0),
        (1.0, 0.5, -math.inf, 1.0),
        (0.0, 0.02, -2.0, 2.0),
        (0.0, 1.0, 3.0, 5.0),
        (-1.0, 2.0, -9.0, -7.0),
        (0.0, 1.0, 30.0, math.inf),
        (0.0, 1.0, -0.1, 0.3),
    ],
)
def test_a_truncated_normal_has_the_moments_of_its_density(mean, std, a, b, device):
    x = weight(200, 100, dtype="float64", device=device)
    values = init.trunc_normal_(x, mean, std, a, b).cpu().numpy()
    assert values.min() >= a and values.max() <= b
    low, high = max(a, mean - 12 * std), min(b, mean + 12 * std)
    low, high = (a, a + std) if a > mean + 20 * std else (low, high)
    t = np.linspace(low, high, 200_001)
    density = np.exp(
        -(((t - mean) / std) ** 2) / 2 + (((low - mean) / std) ** 2) / 2 * (low > mean)
    )
    density /= density.sum()
    expected = (t * density).sum()
    spread = math.sqrt(((t - expected) ** 2 * density).sum())
    kurtosis = ((t - expected) ** 4 * density).sum() / spread**4
    n = values.size
    assert abs(values.mean() - expected) <= 4.5 * spread / math.sqrt(n)
    assert abs(values.var() - spread**2) <= 4.5 * spread**2 * math.sqrt((kurtosis - 1) / n)


def test_a_truncated_normal_at_its_limits(device):
    x = weight(6, device=device)
    assert init.trunc_normal_(x, 0.0, 1.0, 0.5, 0.5).tolist() == [0.5] * 6
    assert init.trunc_normal_(x, 5.0, 0.0, -1.0, 1.0).tolist() == [1.0] * 6
    assert init.trunc_normal_(weight(0, 3, device=device)).shape == (0, 3)


# ---- by the fan


@pytest.mark.parametrize("shape", [(300, 200), (40, 30, 5), (20, 30, 5, 3), (8, 6, 3, 5, 4)])
def test_the_fans_count_the_kernel(shape, device):
    torch = pytest.importorskip("torch")
    x = weight(*shape, dtype="float64", device=device)
    fan_in, fan_out = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
    expected = math.sqrt(2 / (fan_in + fan_out)) * 1.5
    assert_moments(init.xavier_normal_(x, 1.5).cpu().numpy(), 0, expected)
    values = init.xavier_uniform_(x, 1.5).cpu().numpy()
    bound = expected * math.sqrt(3)
    assert 0.99 * bound < np.abs(values).max() <= bound
    assert_moments(values, 0, expected)
    for mode, fan in (("fan_in", fan_in), ("fan_out", fan_out)):
        for nonlinearity, gain in (("relu", math.sqrt(2)), ("tanh", 5 / 3), ("leaky_relu", 2**0.5)):
            values = init.kaiming_normal_(x, mode=mode, nonlinearity=nonlinearity).cpu().numpy()
            assert_moments(values, 0, gain / math.sqrt(fan))
            values = init.kaiming_uniform_(x, mode=mode, nonlinearity=nonlinearity).cpu().numpy()
            bound = gain * math.sqrt(3 / fan)
            assert 0.99 * bound < np.abs(values).max() <= bound


def test_gains_are_pytorchs():
    torch = pytest.importorskip("torch")
    for name in [*init._GAINS, "leaky_relu"]:
        assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)


def test_an_empty_weight_is_left_alone(device):
    for shape in ((0, 3), (3, 0)):
        for name in NAMES:
            if name != "dirac_":
                x = weight(*shape, device=device)
                assert getattr(init, name)(x, *OTHERS.get(name, ())).shape == shape


# ---- numbers and matrices


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (1, 1)])
def test_eye(shape, device):
    np.testing.assert_array_equal(
        init.eye_(weight(*shape, device=device)).cpu().numpy(), np.eye(*shape)
    )


@pytest.mark.parametrize(
    ("shape", "groups"),
    [((4, 3, 5), 1), ((6, 2, 3, 4), 3), ((2, 4, 1, 1), 2), ((4, 2, 3, 3, 3), 2)],
)
def test_dirac_is_pytorchs(shape, groups, device):
    torch = pytest.importorskip("torch")
    expected = torch.nn.init.dirac_(torch.empty(shape), groups).cpu().numpy()
    x = init.uniform_(weight(*shape, device=device))
    np.testing.assert_array_equal(init.dirac_(x, groups).cpu().numpy(), expected)


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (5, 5), (7, 3), (3, 7), (31, 33), (64, 32), (100, 97), (16, 8, 3, 3), (3, 2, 2)],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
def test_orthogonal(shape, dtype, tolerance, device):
    x = init.orthogonal_(weight(*shape, dtype=dtype, device=device), gain=3.0).cpu().numpy()
    q = x.reshape(shape[0], -1).astype(np.float64) / 3
    product = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
    assert np.abs(product - np.eye(len(product))).max() <= tolerance * math.sqrt(len(product))


def test_orthogonal_is_the_q_of_a_normal_matrix():
    """With R's diagonal positive, which makes it uniform (Mezzadri 2007)."""
    state = dlx.random.get_state()
    x = init.orthogonal_(weight(70, 40, dtype="float64")).cpu().numpy()
    dlx.random.set_state(state)
    q, r = np.linalg.qr(dlx.random.normal((70, 40), dtype="float64").cpu().numpy())
    np.testing.assert_allclose(x, q * np.sign(np.diag(r)), atol=1e-12)


def test_orthogonal_matrices_have_no_direction():
    """The determinant of a 1 x 1 is a fair sign; entries of a 4 x 4 have mean 0, variance 1/4."""
    values = np.array([init.orthogonal_(weight(4, 4)).cpu().numpy() for _ in range(400)])
    assert np.abs(values.mean(axis=0)).max() <= 4.5 * 0.5 / math.sqrt(400)
    assert np.abs(values.var(axis=0) - 0.25).max() <= 0.08
    signs = [init.orthogonal_(weight(1, 1)).item() for _ in range(200)]
    assert set(signs) == {1.0, -1.0} and abs(sum(signs)) <= 4.5 * math.sqrt(200)


def test_sparse(device):
    x = init.sparse_(weight(50, 40, device=device), 0.31, std=2.0).cpu().numpy()
    assert ((x == 0).sum(axis=0) == math.ceil(0.31 * 50)).all()
    assert len({tuple(column) for column in (x == 0).T}) == 40
    assert_moments(x[x != 0], 0, 2.0)


# ---- the layers' own, whose bits others rely on


def test_a_linear_layer_starts_as_it_always_has():
    dlx.seed(0)
    assert dlx.testing.weight_hash(nn.Linear(64, 10)) == LINEAR_64_10


LINEAR_64_10 = "552df30a63a8e2f0"


# ---- wrong uses


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: init.xavier_uniform_(weight(3)), ValueError, r"xavier_uniform_.*2 dim.*\(3,\)"),
        (lambda: init.xavier_normal_(weight(3)), ValueError, r"xavier_normal_.*2 dim.*\(3,\)"),
        (lambda: init.kaiming_normal_(weight()), ValueError, r"kaiming_normal_.*2 dim.*\(\)"),
        (lambda: init.kaiming_uniform_(weight(2, 2), mode="in"), ValueError, r"kaiming.*'in'"),
        (lambda: init.kaiming_normal_(weight(2, 2), nonlinearity="rilu"), ValueError,
         r"rilu.*relu"),
        (lambda: init.calculate_gain("rilu"), ValueError, r"rilu.*leaky_relu"),
        (lambda: init.normal_(weight(2), std=-1.0), ValueError, r"normal_: std.*-1"),
        (lambda: init.trunc_normal_(weight(2), std=-1.0), ValueError, r"trunc_normal_: std.*-1"),
        (lambda: init.trunc_normal_(weight(2), a=2.0, b=1.0), ValueError, r"trunc_normal_.*2.*1"),
        (lambda: init.trunc_normal_(weight(2), math.nan), ValueError, r"trunc_normal_: mean.*nan"),
        (lambda: init.trunc_normal_(weight(2), std=math.inf), ValueError, r"trunc_normal_.*inf"),
        (lambda: init.normal_(weight(2), std="a"), TypeError, r"normal_: .*number as std, got str"),
        (lambda: init.xavier_uniform_(weight(2, 2), "relu"), TypeError, r"xavier_unif.*gain.*str"),
        (lambda: init.orthogonal_(weight(2, 2), "a"), TypeError, r"orthogonal_: .*gain.*str"),
        (lambda: init.kaiming_normal_(weight(2, 2), "a"), TypeError, r"calculate_gain: .*param"),
        (lambda: init.sparse_(weight(2, 2), "a"), TypeError, r"sparse_: .*sparsity, got str"),
        (lambda: init.uniform_(weight(2), 3.0, 1.0), ValueError, r"uniform.*3.*1"),
        (lambda: init.eye_(weight(2, 2, 2)), ValueError, r"eye_.*2 dimensions.*\(2, 2, 2\)"),
        (lambda: init.dirac_(weight(2, 2)), ValueError, r"dirac_.*3 to 5.*\(2, 2\)"),
        (lambda: init.dirac_(weight(4, 2, 3), 3), ValueError, r"dirac_.*4 outputs.*3"),
        (lambda: init.orthogonal_(weight(4)), ValueError, r"orthogonal_.*\(4,\)"),
        (lambda: init.sparse_(weight(4, 4), 1.5), ValueError, r"sparse_.*1\.5"),
        (lambda: init.zeros_(np.zeros(3)), TypeError, r"zeros_.*ndarray"),
        (lambda: init.xavier_uniform_([1.0]), TypeError, r"xavier_uniform_.*list"),
        (lambda: init.normal_(weight(2, dtype="int64")), TypeError, r"^normal_.*int64"),
        (lambda: init.trunc_normal_(weight(2, dtype="int64")), TypeError, r"trunc_normal_.*int64"),
        (lambda: init.orthogonal_(weight(2, 2, dtype="int64")), TypeError, r"orthogonal_.*int64"),
    ],
)  # fmt: skip
def test_wrong_use(call, error, message):
    with pytest.raises(error, match="(?s)" + message):
        call()
