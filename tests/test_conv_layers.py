"""Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d and the lazy ones, beside PyTorch's."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

import dlx
from dlx import nn

pytestmark = pytest.mark.on_its_device

# class, arguments, input shape with batch
LAYERS = {
    "1d": ("Conv1d", (4, 6, 3), {}, (3, 4, 9)),
    "1d-all": ("Conv1d", (4, 6, 3, 2, 1, 2, 2, False), {}, (3, 4, 11)),
    "1d-same": ("Conv1d", (2, 3, 4), {"padding": "same", "dilation": 3}, (2, 2, 12)),
    "1d-reflect": ("Conv1d", (2, 3, 4), {"padding": 2, "padding_mode": "reflect"}, (2, 2, 7)),
    "2d": ("Conv2d", (3, 5, 3), {}, (2, 3, 7, 6)),
    "2d-all": ("Conv2d", (4, 6, (2, 3), (2, 1), (1, 2), (1, 2), 2, False), {}, (2, 4, 7, 6)),
    "2d-same": ("Conv2d", (3, 5, (2, 5)), {"padding": "same"}, (2, 3, 7, 6)),
    "2d-valid": ("Conv2d", (3, 5, 2), {"padding": "valid", "stride": 2}, (2, 3, 7, 6)),
    "2d-depthwise": ("Conv2d", (4, 8, 3), {"groups": 4, "padding": 1}, (2, 4, 5, 5)),
    "2d-reflect": (
        "Conv2d", (3, 5, 3), {"padding": (1, 2), "padding_mode": "reflect"}, (2, 3, 5, 6)
    ),
    "2d-replicate": (
        "Conv2d", (3, 5, (4, 3)), {"padding": "same", "padding_mode": "replicate"}, (2, 3, 5, 6)
    ),
    "2d-circular": (
        "Conv2d", (3, 4, 3), {"padding": 2, "stride": 2, "padding_mode": "circular"}, (2, 3, 5, 6)
    ),
    "2d-valid-circular": (
        "Conv2d", (3, 4, 3), {"padding": "valid", "padding_mode": "circular"}, (2, 3, 5, 6)
    ),
    "t1d": ("ConvTranspose1d", (4, 6, 3), {}, (3, 4, 5)),
    "t1d-all": ("ConvTranspose1d", (4, 6, 3, 3, 1, 2, 2, False, 2), {}, (3, 4, 5)),
    "t2d": ("ConvTranspose2d", (3, 5, 3), {}, (2, 3, 4, 5)),
    "t2d-all": (
        "ConvTranspose2d", (4, 6, (2, 3), (2, 3), (1, 0), (1, 2), 2, False, (1, 2)), {},
        (2, 4, 3, 4),
    ),
    "t2d-dcgan": ("ConvTranspose2d", (3, 5, 4), {"stride": 2, "padding": 1}, (2, 3, 4, 4)),
}  # fmt: skip


def pair(name, torch, device):
    """A layer of float64 in PyTorch and in dlx with the same weights, and an input's shape."""
    kind, args, kwargs, shape = LAYERS[name]
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(*args, **kwargs, dtype=torch.float64)
    ours = getattr(nn, kind)(*args, **kwargs, dtype=dlx.float64, device=device)
    ours.load_state_dict({key: value.cpu().numpy() for key, value in theirs.state_dict().items()})
    return theirs, ours, shape


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # PyTorch
@pytest.mark.parametrize("batch", [True, False], ids=["batch", "single"])
@pytest.mark.parametrize("name", LAYERS)
def test_values_and_gradients_are_pytorchs(name, batch, device):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    theirs, ours, shape = pair(name, torch, device)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    rng = np.random.default_rng(0)
    values = rng.normal(size=shape if batch else shape[1:])
    x, xt = dlx.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    y, yt = ours(x), theirs(xt)
    assert y.shape == tuple(yt.shape)
    cotangent = rng.normal(size=y.shape)
    y.backward(dlx.tensor(cotangent))
    yt.backward(torch.tensor(cotangent))
    found = [y, x.grad, *(p.grad for p in ours.parameters())]
    expected = [yt.detach(), xt.grad, *(p.grad for p in theirs.parameters())]
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(got.cpu().numpy(), want.cpu().numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_repr_is_pytorchs(name, device):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    theirs, ours, _ = pair(name, torch, device)
    assert repr(ours) == f"{theirs!r}  # train"


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_a_file(name, tmp_path, device):
    kind, args, kwargs, shape = LAYERS[name]
    layer = getattr(nn, kind)(*args, **kwargs, device=device)
    x = dlx.random.normal(shape, device=device)
    dlx.save(layer, tmp_path / "layer.dlx")
    for other in (dlx.load(tmp_path / "layer.dlx"), copy.deepcopy(layer)):
        assert type(other) is type(layer) and repr(other) == repr(layer)
        assert other(x).cpu().numpy().tobytes() == layer(x).cpu().numpy().tobytes()


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (lambda d: nn.Conv1d(32, 64, 5, groups=4, device=d), 8 * 5),
        (lambda d: nn.Conv2d(16, 64, (3, 5), device=d), 16 * 3 * 5),
        # PyTorch counts the second dimension of (C, K / groups, R, S) here as well
        (lambda d: nn.ConvTranspose1d(64, 32, 5, groups=4, device=d), 8 * 5),
        (lambda d: nn.ConvTranspose2d(64, 16, (3, 5), device=d), 16 * 3 * 5),
    ],
)
def test_weights_start_uniform_within_one_over_root_fan_in(layer, fan_in, device):
    bound = 1 / math.sqrt(fan_in)
    for p in layer(device).parameters():
        u = np.sort(p.cpu().numpy().ravel() / bound)
        assert np.abs(u).max() <= 1
        # Kolmogorov-Smirnov against U(-1, 1): 1.95 / sqrt(n) is passed once in a thousand draws
        ranks = np.arange(1, u.size + 1) / u.size
        assert np.abs((u + 1) / 2 - ranks).max() <= 1.95 / math.sqrt(u.size) + 1 / u.size


def test_attributes_are_pytorchs(device):
    layer = nn.Conv2d(4, 6, 3, padding=1, groups=2, device=device)
    assert (layer.in_channels, layer.out_channels, layer.groups) == (4, 6, 2)
    assert (layer.kernel_size, layer.stride, layer.padding) == ((3, 3), (1, 1), (1, 1))
    assert layer.weight.shape == (6, 2, 3, 3) and layer.bias.shape == (6,)
    assert nn.Conv2d(4, 6, 3, padding="same").padding == "same"
    layer = nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1, groups=2, bias=False)
    assert layer.weight.shape == (4, 3, 3, 3) and layer.bias is None
    assert layer.output_padding == (1, 1) and "bias" not in layer.state_dict()


def test_an_empty_batch_goes_through(device):
    x = dlx.zeros((0, 3, 5, 5), device=device)
    for layer in (nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(3, 4, 3)):
        y = layer(x)
        y.sum().backward()
        assert y.shape[:2] == (0, 4) and not layer.weight.grad.cpu().numpy().any()


# ---- output_size


@pytest.mark.parametrize("size", [9, 10, (9, 10), (2, 4, 10, 9)])
def test_output_size_chooses_among_the_images(size, device):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    theirs = torch.nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, dtype=torch.float64)
    ours = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, dtype=dlx.float64)
    ours.load_state_dict({key: value.cpu().numpy() for key, value in theirs.state_dict().items()})
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 5))
    sizes = [size, size] if isinstance(size, int) else list(size)
    want = theirs(torch.tensor(x), output_size=sizes).detach().cpu().numpy()
    got = ours(dlx.tensor(x, device=device), output_size=size).cpu().numpy()
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_output_size_undoes_a_convolution(device):
    down = nn.Conv2d(2, 3, 3, stride=2, device=device)
    up = nn.ConvTranspose2d(3, 2, 3, stride=2, device=device)
    for size in ((7, 8), (8, 7)):
        x = dlx.zeros((2, 2, *size), device=device)
        assert up(down(x), output_size=x.shape).shape == x.shape


# ---- lazy layers


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("single", [False, True])
def test_a_lazy_layer_becomes_a_layer(n, single, device):
    lazy_class, plain_class = ((nn.LazyConv1d, nn.Conv1d), (nn.LazyConv2d, nn.Conv2d))[n - 1]
    options = {"padding": 1, "groups": 2, "device": device, "dtype": dlx.float64}
    lazy = lazy_class(6, 3, **options)
    with pytest.raises(RuntimeError, match=r"LazyConv.*before its first batch"):
        list(lazy.parameters())
    x = dlx.random.normal((4,) + (5,) * n, dtype="float64", device=device)
    x = x if single else x[None]
    dlx.seed(3)
    y = lazy(x)
    dlx.seed(3)
    plain = plain_class(4, 6, 3, **options)
    assert type(lazy) is plain_class and repr(lazy) == repr(plain) and lazy.in_channels == 4
    assert y.cpu().numpy().tobytes() == plain(x).cpu().numpy().tobytes()


def test_a_lazy_layer_loads_a_state_dict(device):
    source = nn.Conv2d(4, 6, 3, groups=2, bias=False, device=device)
    lazy = nn.LazyConv2d(6, 3, groups=2, bias=False, device=device)
    assert (
        repr(lazy)
        == "LazyConv2d(0, 6, kernel_size=(3, 3), stride=(1, 1), groups=2, bias=False)  # train"
    )
    with pytest.raises(RuntimeError, match=r"weight expected \(6, any, 3, 3\), got \(6, 2, 3, 2\)"):
        lazy.load_state_dict({"weight": np.zeros((6, 2, 3, 2), np.float32)})
    lazy.load_state_dict(source.state_dict())
    assert type(lazy) is nn.Conv2d and lazy.in_channels == 4
    x = dlx.random.normal((2, 4, 5, 5), device=device)
    assert lazy(x).cpu().numpy().tobytes() == source(x).cpu().numpy().tobytes()


def test_a_lazy_network_learns_its_sizes_from_summary(device, capsys):
    model = nn.Sequential(
        nn.LazyConv2d(8, 3, padding="same", device=device), nn.ReLU(), nn.Flatten(),
        nn.LazyLinear(10, device=device),
    )  # fmt: skip
    rows = [line.split() for line in model.summary((3, 4, 4)).splitlines()]
    assert rows[4] == ["0", "(Conv2d)", "(N,", "8,", "4,", "4)", "128", "224", "train"]
    assert rows[7] == ["3", "(Linear)", "(N,", "10)", "10", "1,290", "train"]


# ---- wrong uses: the layer, what it expects, what came


def image(*shape, dtype="float32"):
    return dlx.zeros(shape, dtype=dtype)


WRONG = {
    "channels": (lambda: nn.Sequential({"conv1": nn.Conv2d(3, 8, 3)})(image(2, 4, 8, 8)),
                 ValueError, r"^Sequential\.conv1 \(Conv2d\(3, 8, \(3, 3\)\)\): expected 3 input "
                             r"channels, x has 4; x=\(2, 4, 8, 8\) weight=\(8, 3, 3, 3\)$"),
    "channels-transposed": (lambda: nn.ConvTranspose2d(3, 8, 3)(image(2, 4, 8, 8)), ValueError,
                            r"^ConvTranspose2d.*: expected 3 input channels, x has 4"),
    "channels-1d": (lambda: nn.Conv1d(3, 8, 3)(image(2, 4, 8)), ValueError,
                    r"^Conv1d.*expected 3 input channels, x has 4; x=\(2, 4, 8\)"),
    "ndim": (lambda: nn.Conv2d(3, 8, 3)(image(3, 8)), ValueError,
             r"^Conv2d.*expected x of shape \(N, C, H, W\) or \(C, H, W\), got \(3, 8\)"),
    "ndim-1d": (lambda: nn.Conv1d(3, 8, 3)(image(1, 3, 8, 8)), ValueError,
                r"^Conv1d.*\(N, C, L\) or \(C, L\), got \(1, 3, 8, 8\)"),
    "array": (lambda: nn.Conv2d(3, 8, 3)(np.zeros((2, 3, 8, 8))), TypeError,
              r"^Conv2d.*expected a Tensor, got ndarray"),
    "dtype": (lambda: nn.Conv2d(3, 8, 3)(image(2, 3, 8, 8, dtype="float64")), TypeError,
              r"^Conv2d.*float64.*float32"),
    "small": (lambda: nn.Conv2d(3, 8, 5)(image(2, 3, 4, 9)), ValueError,
              r"^Conv2d.*kernel.*\(5, 5\).*\(4, 9\)"),
    "reflect": (lambda: nn.Conv2d(1, 1, 3, padding=4, padding_mode="reflect")(image(1, 1, 3, 9)),
                ValueError, r"^Conv2d.*pad: "),
    "kernel-zero": (lambda: nn.Conv2d(3, 8, 0), ValueError,
                    r"Conv2d: kernel_size must be at least 1, got 0"),
    "kernel-float": (lambda: nn.Conv2d(3, 8, 3.0), TypeError,
                     r"Conv2d: kernel_size must be an int or a tuple of 2, got 3\.0"),
    "kernel-three": (lambda: nn.Conv2d(3, 8, (3, 3, 3)), ValueError,
                     r"tuple of 2, got \(3, 3, 3\)"),
    "stride": (lambda: nn.Conv1d(3, 8, 3, stride=0), ValueError,
               r"Conv1d: stride must be at least 1, got 0"),
    "dilation": (lambda: nn.Conv2d(3, 8, 3, dilation=(1, 0)), ValueError,
                 r"Conv2d: dilation must be at least 1, got \(1, 0\)"),
    "padding": (lambda: nn.Conv2d(3, 8, 3, padding=-1), ValueError,
                r"Conv2d: padding must be at least 0, got -1"),
    "padding-name": (lambda: nn.Conv2d(3, 8, 3, padding="full"), ValueError,
                     r"Conv2d: padding must be ints, 'same' or 'valid', got 'full'"),
    "padding-same": (lambda: nn.Conv2d(3, 8, 3, padding="same", stride=2), ValueError,
                     r"Conv2d: padding='same' needs stride 1, got stride=\(2, 2\)"),
    "padding-mode": (lambda: nn.Conv2d(3, 8, 3, padding_mode="mirror"), ValueError,
                     r"Conv2d: padding_mode must be one of .*'circular'\), got 'mirror'"),
    "padding-mode-transposed": (lambda: nn.ConvTranspose2d(3, 8, 3, padding_mode="reflect"),
                                ValueError, r"ConvTranspose2d: padding_mode must be 'zeros'"),
    "padding-transposed": (lambda: nn.ConvTranspose2d(3, 8, 3, padding="same"), TypeError,
                           r"ConvTranspose2d: padding must be an int .* got 'same'"),
    "groups": (lambda: nn.Conv2d(3, 8, 3, groups=2), ValueError,
               r"Conv2d: groups must divide in_channels, got in_channels=3, groups=2"),
    "groups-out": (lambda: nn.Conv2d(4, 7, 3, groups=2), ValueError,
                   r"groups must divide out_channels, got out_channels=7, groups=2"),
    "groups-zero": (lambda: nn.Conv2d(4, 8, 3, groups=0), ValueError, r"groups must be at least 1"),
    "channels-negative": (lambda: nn.Conv2d(-1, 8, 3), ValueError,
                          r"Conv2d: in_channels must be at least 0, got -1"),
    "output-padding": (lambda: nn.ConvTranspose2d(3, 8, 3, stride=2, output_padding=2), ValueError,
                       r"output_padding must be smaller than stride or dilation.*\(2, 2\)"),
    "output-size": (
        lambda: nn.ConvTranspose2d(3, 8, 3, stride=2)(image(1, 3, 4, 4), output_size=11),
        ValueError, r"^ConvTranspose2d.*output_size=\(11, 11\).*\(9, 9\) to \(10, 10\)"),
    "output-size-type": (
        lambda: nn.ConvTranspose2d(3, 8, 3)(image(1, 3, 4, 4), output_size="9"), TypeError,
        r"^ConvTranspose2d.*output_size must be an int or a tuple of 2, got '9'"),
    "lazy-groups": (lambda: nn.LazyConv2d(4, 3, groups=2)(image(1, 3, 8, 8)), ValueError,
                    r"^LazyConv2d.*groups=2 must divide the input channels, x has 3"),
    "lazy-ndim": (lambda: nn.LazyConv1d(4, 3)(image(3)), ValueError,
                  r"^LazyConv1d.*expected x of shape \(N, C, L\) or \(C, L\), got \(3,\)"),
    "unflatten-int": (lambda: nn.Unflatten(1, 4), TypeError,
                      r"^Unflatten: unflattened_size must be a tuple of sizes, got 4"),
    "unflatten": (lambda: nn.Unflatten(1, (2, 4))(image(3, 9)), ValueError,
                  r"^Unflatten.*: unflatten: sizes \(2, 4\) do not make dimension 1; x=\(3, 9\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_uses(name):
    call, error, match = WRONG[name]
    with pytest.raises(error, match=match):
        call()


def test_unflatten_undoes_flatten(device):
    x = dlx.random.normal((2, 3, 4, 5), device=device)
    for sizes in ((3, 4, 5), (3, -1, 5)):
        layer = nn.Unflatten(1, sizes)
        assert layer(nn.Flatten()(x)).cpu().numpy().tobytes() == x.cpu().numpy().tobytes()
    assert nn.Unflatten(-1, (5, 1))(x).shape == (2, 3, 4, 5, 1)
    assert repr(layer).startswith("Unflatten(dim=1, unflattened_size=(3, -1, 5))")
