"""Borders, running sums, rows by label and their layers, beyond what tests/cases/ holds of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

import dlx
from _check import is_emulated
from dlx import nn
from dlx.nn import functional as F

pytestmark = pytest.mark.on_its_device

DTYPES = ["float32", "float64", "bfloat16", "float16", "int32", "int64", "uint8", "bool"]


def counted(*shape, device="cpu", dtype="float64"):
    return dlx.arange(math.prod(shape), device=device).reshape(shape).astype(dtype)


# ---- pad


@pytest.mark.parametrize(
    ("shape", "pad", "mode"),
    [
        ((2, 3, 5), (2, 1), "reflect"),
        ((2, 3, 5), (-1, 4), "reflect"),
        ((2, 3, 5), (-3, 3), "reflect"),
        ((2, 3, 5), (-1, 4), "circular"),
        ((2, 3, 5), (3, -2), "circular"),
        ((2, 3, 5), (-2, 7), "replicate"),
        ((2, 3, 4, 5), (1, 2, 3, 0), "reflect"),
        ((2, 3, 4, 5), (1, 2, -1, 6), "replicate"),
        ((2, 3, 4, 5), (1, 5, 4, 0), "circular"),
        ((4, 5), (-2, 3, 1, -4), "constant"),
        ((4, 5), (-2, -3), "constant"),
        ((2, 3, 4, 5), (1, 2, 3, 4, 5, 6, 7, 8), "constant"),
    ],
)
def test_functional_pad_is_pytorchs(shape, pad, mode, device):
    torch = pytest.importorskip("torch")
    x = counted(*shape, device=device)
    x.requires_grad = True
    theirs = torch.tensor(x.cpu().numpy(), requires_grad=True)
    value = 1.5 if mode == "constant" else None
    y, expected = F.pad(x, pad, mode, value), torch.nn.functional.pad(theirs, pad, mode, value)
    np.testing.assert_array_equal(y.cpu().numpy(), expected.detach().numpy())
    dlx.sum(y * y).backward()
    expected.square().sum().backward()
    np.testing.assert_allclose(x.grad.cpu().numpy(), theirs.grad.numpy(), rtol=1e-14)


@pytest.mark.parametrize("width", [1, (2,), (2, 1), ((1, 2),), ((0, 1), (2, 0)), [[3, 0], [0, 0]]])
@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_pad_takes_numpys_forms(width, mode, device):
    if width == (2,):
        width = 2
    x = counted(4, 5, device=device)
    np.testing.assert_array_equal(
        dlx.pad(x, width, mode).cpu().numpy(), np.pad(x.cpu().numpy(), width, mode)
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_pad_and_its_value_in_every_dtype(dtype, device):
    x = counted(2, 3, device=device, dtype=dtype)
    y = dlx.pad(x, 1, value=1)
    assert str(y.dtype) == dtype
    expected = np.pad(x.astype("float64").cpu().numpy(), 1, constant_values=1)
    np.testing.assert_array_equal(y.astype("float64").cpu().numpy(), expected)


def test_a_border_of_nothing_is_another_tensor(device):
    x = counted(3, device=device)
    for y in (
        dlx.pad(x, 0),
        dlx.pad(x, 0, "reflect"),
        F.pad(x, ()),
        dlx.roll(x, 3),
        dlx.tile(x, 1),
    ):
        y += 1.0
    assert x.tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("layer", "padding"),
    [
        (nn.ZeroPad2d, (1, 2, 0, -1)),
        (nn.ZeroPad2d, 2),
        (nn.ReflectionPad2d, (1, 2, 3, 0)),
        (nn.ReplicationPad2d, 3),
        (lambda p: nn.ConstantPad2d(p, -1.5), (1, 2, 0, 1)),
    ],
)
def test_padding_layers_are_pytorchs(layer, padding, device, tmp_path):
    torch = pytest.importorskip("torch")
    ours = layer(padding)
    args = {"value": -1.5} if isinstance(ours, nn.ConstantPad2d) else {}
    theirs = getattr(torch.nn, type(ours).__name__)(padding, **args)
    assert ours.extra_repr() == theirs.extra_repr()
    dlx.save(ours, tmp_path / "layer")
    for shape in ((2, 3, 4, 5), (3, 4, 5)):
        x = counted(*shape, device=device)
        expected = theirs(torch.tensor(x.cpu().numpy())).numpy()
        np.testing.assert_array_equal(ours(x).cpu().numpy(), expected)
        np.testing.assert_array_equal(dlx.load(tmp_path / "layer")(x).cpu().numpy(), expected)


def test_a_numpy_int_is_a_border():
    assert repr(nn.ZeroPad2d(np.int64(2))) == repr(nn.ZeroPad2d(2))


# ---- running sums


@pytest.mark.parametrize("shape", [(20_000,), (5, 4099), (4099, 70)], ids=str)
def test_a_running_sum_in_float64_adds_one_term_after_the_other(shape, device):
    """A GPU adds sums of pieces: not those bits, but as good."""
    x = np.random.default_rng(0).normal(size=shape)
    eps = 0 if device == "cpu" else 2.0**-50
    for axis in range(len(shape)):
        for reverse, terms in ((False, x), (True, np.flip(x, axis))):
            y = dlx.cumsum(dlx.tensor(x, device=device), axis, reverse=reverse).cpu().numpy()
            y = np.flip(y, axis) if reverse else y
            bound = eps * np.cumsum(np.abs(terms), axis)
            assert np.all(np.abs(y - np.cumsum(terms, axis)) <= bound)


def test_a_running_sum_in_float32_is_rounded_once(device):
    x = np.full(100_000, 0.1, np.float32)
    y = dlx.cumsum(dlx.tensor(x, device=device)).cpu().numpy()
    exact = np.float64(np.float32(0.1)) * np.arange(1, 100_001)
    assert np.all(np.abs(y - exact) <= 2.0**-24 * exact)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinities_and_nan_run_on(dtype, device):
    x = np.array([1, np.inf, 2, -np.inf, 3, 4], dtype)
    nan = np.array([1, 2, np.nan, 3], dtype)
    for values in (x, nan, x[::-1].copy(), np.repeat(x, 4000), np.repeat(nan, 4000)):
        with np.errstate(invalid="ignore"):
            expected = np.cumsum(values)
        np.testing.assert_array_equal(
            dlx.cumsum(dlx.tensor(values, device=device)).cpu().numpy(), expected
        )


@pytest.mark.parametrize("shape", [(200_003,), (3, 50_021), (50_021, 3), (700, 300), (300, 700)])
def test_long_running_sums_have_one_value_on_any_number_of_threads(shape, device):
    shape = tuple(min(n, 5_003) for n in shape) if is_emulated(device) else shape
    for dtype in ("float32", "float64", "uint8"):
        x = (dlx.random.normal(shape, device=device) * 50).astype(dtype)
        for axis in range(len(shape)):
            found = set()
            for threads in (1, 2, 3):
                dlx.set_num_threads(threads)
                found.add(dlx.cumsum(x, axis, reverse=axis == 1).cpu().numpy().tobytes())
            assert len(found) == 1
    expected = np.cumsum(np.flip(x.cpu().numpy().astype(np.int64), axis), axis)
    expected = np.flip(expected, axis) if axis == 1 else np.cumsum(x.cpu().numpy(), 0, np.int64)
    np.testing.assert_array_equal(dlx.cumsum(x, axis, reverse=axis == 1).cpu().numpy(), expected)


def test_integers_run_in_int64_and_wrap(device):
    big = dlx.tensor([2**62, 2**62, 1], device=device)
    assert dlx.cumsum(big).tolist() == [2**62, -(2**63), -(2**63) + 1]
    assert dlx.cumsum(dlx.tensor([True, False, True], device=device)).tolist() == [1, 1, 2]
    assert dlx.cumulative_sum(dlx.tensor([200, 100], dtype="uint8")).tolist() == [200, 300]


def test_cumulative_sum_is_the_array_apis(device):
    x = dlx.tensor([[1, 2], [3, 4]], device=device)
    y = dlx.cumulative_sum(x, axis=-1, dtype=dlx.float64, include_initial=True)
    assert y.dtype == dlx.float64 and y.tolist() == [[0.0, 1.0, 3.0], [0.0, 3.0, 7.0]]
    with pytest.raises(ValueError, match="cumulative_sum: expected an axis"):
        dlx.cumulative_sum(x)


# ---- one_hot


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_hot_in_every_dtype(dtype, device):
    y = dlx.one_hot(dlx.tensor([[2, 0]], device=device), 3, dtype=dtype)
    assert str(y.dtype) == dtype
    assert y.astype("float64").tolist() == [[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]]


def test_functional_one_hot_is_pytorchs(device):
    torch = pytest.importorskip("torch")
    labels = dlx.tensor([[1, 0], [4, 1]], device=device)
    for classes in (-1, 5, 7):
        y = F.one_hot(labels, classes)
        expected = torch.nn.functional.one_hot(torch.tensor(labels.cpu().numpy()), classes)
        assert y.dtype == dlx.int64
        np.testing.assert_array_equal(y.cpu().numpy(), expected.numpy())
    assert F.one_hot(dlx.zeros((0,), dtype="int64"), 3).shape == (0, 3)


# ---- embedding


def test_the_padding_row_has_no_gradient_in_any_mode(device):
    weight = dlx.random.normal((5, 3), dtype="float64", device=device)
    indices = dlx.tensor([[1, 3], [3, 4]], device=device)

    def loss(w):
        y = F.embedding(indices, w, padding_idx=-2)
        return dlx.sum(y * y * y)

    g = dlx.grad(loss)(weight)
    kept = np.array([0, 1, 0, 0, 1.0])[:, None]
    np.testing.assert_allclose(g.cpu().numpy(), 3 * weight.cpu().numpy() ** 2 * kept, rtol=1e-14)
    second = dlx.grad(lambda w: dlx.sum(dlx.grad(loss)(w)))(weight)
    np.testing.assert_allclose(second.cpu().numpy(), 6 * weight.cpu().numpy() * kept, rtol=1e-14)
    ones = dlx.ones_like(weight)
    y, dy = dlx.jvp(lambda w: F.embedding(indices, w, 3), (weight,), (ones,))
    np.testing.assert_array_equal(y.cpu().numpy(), weight.cpu().numpy()[indices.cpu().numpy()])
    assert dy.tolist() == [[[1.0] * 3, [0.0] * 3], [[0.0] * 3, [1.0] * 3]]


def test_embedding_is_pytorchs(device):
    torch = pytest.importorskip("torch")
    ours = nn.Embedding(7, 4, padding_idx=2)
    theirs = torch.nn.Embedding(7, 4, padding_idx=2)
    assert ours.extra_repr() == theirs.extra_repr()
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["weight"]
    theirs.load_state_dict({"weight": torch.tensor(ours.weight.cpu().numpy())})
    x = np.array([[0, 2, 6], [6, 2, 1]])
    y, expected = ours(dlx.tensor(x, device=device)), theirs(torch.tensor(x))
    np.testing.assert_array_equal(y.cpu().numpy(), expected.detach().numpy())
    dlx.sum(y * y).backward()
    expected.square().sum().backward()
    np.testing.assert_allclose(
        ours.weight.grad.cpu().numpy(), theirs.weight.grad.numpy(), rtol=1e-6
    )


def test_an_embedding_starts_normal_but_for_its_padding():
    layer = nn.Embedding(1000, 50, padding_idx=-1)
    weight = layer.weight.cpu().numpy()
    assert layer.padding_idx == 999 and not weight[999].any()
    rest = weight[:999]
    assert abs(rest.mean()) < 4 / math.sqrt(rest.size)
    assert abs(rest.std() - 1) < 4 / math.sqrt(2 * rest.size)


def test_from_pretrained_takes_the_values_and_freezes_them(tmp_path):
    values = dlx.random.normal((4, 3), dtype="float64")
    before = dlx.random.get_state().tolist()
    frozen, free = nn.Embedding.from_pretrained(values), nn.Embedding.from_pretrained(values, False)
    assert dlx.random.get_state().tolist() == before
    assert not frozen.weight.requires_grad and free.weight.requires_grad
    expected = values.tolist()
    values += 1.0
    assert frozen.weight.tolist() == expected
    dlx.save(nn.Sequential(frozen), tmp_path / "model")
    loaded = dlx.load(tmp_path / "model")[0]
    assert not loaded.weight.requires_grad and loaded.weight.tolist() == frozen.weight.tolist()
    assert (loaded.num_embeddings, loaded.embedding_dim, loaded.padding_idx) == (4, 3, None)


def test_a_recorded_step_with_them_replays_bit_for_bit(device):
    dlx.seed(0)
    tables = [nn.Embedding(11, 6, padding_idx=0) for _ in range(2)]
    tables[1].load_state_dict(tables[0].state_dict())
    optimizers = [dlx.optim.SGD(t.parameters(), lr=0.1) for t in tables]
    rows = np.random.default_rng(0).integers(0, 11, size=(6, 2, 5))
    inputs = [dlx.tensor(rows[0], device=device) for _ in tables]

    def step(i):
        x = inputs[i]
        y = F.pad(tables[i](x), (1, 2, 2, 0), "reflect") + F.pad(tables[i](x), (1, 2, 2, 0))
        y = dlx.roll(dlx.cumsum(dlx.flip(y, 1), 1), 2, 2)[:, :5, :11]
        optimizers[i].zero_grad()
        dlx.mean(dlx.tanh(y * dlx.one_hot(x, 11, dtype=y.dtype)[..., : y.shape[2]]) ** 2).backward()
        optimizers[i].step()

    replayed = dlx.jit(lambda: step(1))
    for batch in rows:
        for x in inputs:
            x[...] = dlx.tensor(batch)
        step(0)
        replayed()
    assert replayed.cache_info().replays == 3
    text = str(replayed.program)
    assert all(f" {op} " in text for op in ("embedding", "pad", "cumsum", "one_hot", "scatter_add"))
    assert tables[1].weight.cpu().numpy().tobytes() == tables[0].weight.cpu().numpy().tobytes()


# ---- Tensor methods


def test_methods_of_order_and_repetition_are_pytorchs(device):
    torch = pytest.importorskip("torch")
    x = counted(2, 3, 4, device=device)
    t = torch.tensor(x.cpu().numpy())
    for call in (
        lambda a: a.flip(0),
        lambda a: a.flip(0, -1),
        lambda a: a.flip((1,)),
        lambda a: a.roll(2),
        lambda a: a.roll(-1, 1),
        lambda a: a.roll((1, 2), (0, 2)),
        lambda a: a.cumsum(-1),
        lambda a: a.cumsum(dim=0),
        lambda a: a.tril(-1),
        lambda a: a.triu(diagonal=1),
        lambda a: a.tile(2, 1),
        lambda a: a.tile((2, 1, 2, 1)),
        lambda a: a.repeat(2, 1, 3),
        lambda a: a.repeat((2, 1, 1, 2)),
        lambda a: a.unflatten(2, (2, -1)),
        lambda a: a.unflatten(-1, (2, 2, 1)),
        lambda a: a[0, 0].outer(a[1, :, 0]),
    ):
        np.testing.assert_array_equal(call(x).cpu().numpy(), call(t).cpu().numpy())
    for parts in (
        lambda a: a.split(2, 1),
        lambda a: a.split((1, 0, 2), dim=1),
        lambda a: a.split(9),
        lambda a: a.chunk(3, -1),
        lambda a: a.chunk(2, 1),
        lambda a: a.chunk(9),
        lambda a: a.unbind(),
        lambda a: a.unbind(-1),
        lambda a: a[:0].chunk(3),
        lambda a: a[:0].split(3),
    ):
        ours, theirs = parts(x), parts(t)
        assert isinstance(ours, tuple) and len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a.cpu().numpy(), b.cpu().numpy())


def test_filling_in_place_changes_this_cell_only(device):
    x = counted(2, 2, device=device, dtype="float32")
    view, y = x[0], x
    assert x.fill_(3.0) is x and y.tolist() == [[3.0, 3.0]] * 2
    assert x.copy_(dlx.tensor([1, 2])) is x and x.tolist() == [[1.0, 2.0]] * 2
    assert x.dtype == dlx.float32
    assert x.zero_() is x and x.tolist() == [[0.0, 0.0]] * 2
    assert view.tolist() == [0.0, 1.0]
    mask = dlx.tensor([True, False], device=device)
    assert mask.zero_().tolist() == [False, False] and mask.fill_(True).tolist() == [True, True]
    leaf = dlx.ones((2,), device=device).requires_grad_()
    for write in (lambda: leaf.fill_(1.0), leaf.zero_, lambda: leaf.copy_(x[0])):
        with pytest.raises(RuntimeError, match="leaf"):
            write()
    with dlx.no_grad():
        leaf.zero_()
    assert leaf.tolist() == [0.0, 0.0] and leaf.requires_grad


def test_copying_in_place_passes_the_gradient_on(device):
    source = dlx.tensor([1.0, 2.0], device=device, requires_grad=True)
    x = dlx.zeros((3, 2), device=device)
    dlx.sum(x.copy_(source) * 2.0).backward()
    assert source.grad.tolist() == [6.0, 6.0]
