"""dlx.models: architecture, parameters, states and files of every network of the zoo."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

import dlx
from dlx import models, nn

pytestmark = pytest.mark.on_its_device

# name -> model, shape of one row, shape of its output, parameters
ZOO = {
    "lenet5": (models.lenet5, (1, 28, 28), (10,), 61_706),
    "lenet5-rgb": (lambda: models.lenet5(7, in_channels=3), (3, 28, 28), (7,), 61_751),
    "course_cnn": (models.course_cnn, (1, 28, 28), (10,), 62_430),
    "course_cnn-32": (
        lambda: models.course_cnn(in_channels=3, image_size=32), (3, 32, 32), (10,), 62_958
    ),
    "resnet8": (lambda: models.resnet(8), (3, 32, 32), (10,), 75_290),
    "resnet20": (lambda: models.resnet(20), (3, 32, 32), (10,), 269_722),
    "resnet20-odd": (lambda: models.resnet(20, num_classes=3), (3, 13, 9), (3,), 269_267),
    "generator": (lambda: models.dcgan()[0], (100,), (1, 28, 28), 759_681),
    "discriminator": (lambda: models.dcgan()[1], (1, 28, 28), (1,), 138_689),
    "generator-32": (
        lambda: models.dcgan(10, 32, 3, width=8)[0], (10,), (3, 32, 32), 15_859
    ),
    "discriminator-32": (
        lambda: models.dcgan(10, 32, 3, width=8)[1], (3, 32, 32), (1,), 11_241
    ),
    "generator-64": (
        lambda: models.dcgan(10, 64, 3, width=8)[0], (10,), (3, 64, 64), 53_875
    ),
    "discriminator-64": (
        lambda: models.dcgan(10, 64, 3, width=8)[1], (3, 64, 64), (1,), 44_649
    ),
    "conv_autoencoder": (models.conv_autoencoder, (1, 28, 28), (1, 28, 28), 115_217),
}  # fmt: skip


def parameters(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", ZOO)
def test_every_parameter_learns_and_the_count_is_the_documented_one(name, device):
    make, row, output, count = ZOO[name]
    model = make().to(device)
    assert parameters(model) == count
    x = dlx.random.uniform((3, *row), device=device)
    y = model(x)
    assert y.shape == (3, *output) and np.isfinite(y.cpu().numpy()).all()
    (y * dlx.random.normal(y.shape, device=device)).sum().backward()
    for key, p in model.named_parameters():
        assert np.isfinite(p.grad.cpu().numpy()).all() and p.grad.cpu().numpy().any(), key


@pytest.mark.parametrize(
    ("function", "counts"),
    [
        (models.lenet5, [parameters(models.lenet5())]),
        (models.course_cnn, [parameters(models.course_cnn(*size)) for size in ((1, 28), (3, 32))]),
        (models.resnet, [parameters(models.resnet(depth)) for depth in (20, 32, 44, 56, 110)]),
        (models.dcgan, [parameters(m) for size in ((100, 28, 1), (100, 64, 3))
                        for m in models.dcgan(*size)]),
        (models.conv_autoencoder, [parameters(models.conv_autoencoder())]),
    ],
)  # fmt: skip
def test_docstrings_tell_the_parameters(function, counts):
    text = " ".join(function.__doc__.split())
    assert all(f"{count:,}" in text for count in counts), counts


@pytest.mark.parametrize("name", ZOO)
def test_a_state_comes_back(name, tmp_path, device):
    make, row, _, _ = ZOO[name]
    model, other, third = make(), make(), make()
    x = dlx.random.uniform((2, *row), device=device)
    model.to(device)(x)  # moves the running statistics
    model.eval(), other.to(device).eval(), third.to(device).eval()
    y = model(x).cpu().numpy().tobytes()
    assert other(x).cpu().numpy().tobytes() != y, "models are drawn anew"
    other.load_state_dict(model.state_dict())
    model.save(tmp_path / "state.dlx")
    third.load_state(tmp_path / "state.dlx")
    assert other(x).cpu().numpy().tobytes() == third(x).cpu().numpy().tobytes() == y
    if isinstance(model, nn.Sequential):
        dlx.save(model, tmp_path / "model.dlx")
        back = dlx.load(tmp_path / "model.dlx")
        assert repr(back) == repr(model) and back(x).cpu().numpy().tobytes() == y
    else:
        with pytest.raises(TypeError, match=r"a ResNet, not a class of dlx\.nn"):
            dlx.save(model, tmp_path / "model.dlx")


@pytest.mark.parametrize(
    ("make", "row"), [(ZOO[n][0], ZOO[n][1]) for n in ("lenet5", "resnet8", "generator-32")]
)
def test_the_seed_decides(make, row, device):
    hashes = []
    for seed in (1, 1, 2):
        dlx.seed(seed)
        hashes.append(dlx.testing.weight_hash(make()))
    assert hashes[0] == hashes[1] != hashes[2]


def table(model, row):
    """{layer: (size, parameters)} of summary, and its last line."""
    lines = model.summary(row).splitlines()
    cells = [line.replace(",", "").split() for line in lines[4:-2]]
    return {row[0]: (int(row[-3]), int(row[-2])) for row in cells}, lines[-1]


@pytest.mark.parametrize(
    ("options", "row", "first", "total"),
    [({}, (1, 28, 28), 80, "62,430"),
     ({"in_channels": 3, "image_size": 32}, (3, 32, 32), 608, "62,958")],
)  # fmt: skip
def test_summary_of_the_course_network(options, row, first, total, device, capsys):
    model = models.course_cnn(**options).to(device)
    rows, last = table(model, row)
    layers = ["conv1", "pool1", "conv2", "pool2", "flatten", "fc1", "fc2", "fc3"]
    assert [rows[name][0] for name in layers] == [6272, 1568, 1600, 400, 400, 120, 84, 10]
    dense = [rows[name][1] for name in ("conv1", "conv2", "fc1", "fc2", "fc3")]
    assert dense == [first, 3216, 48120, 10164, 850]
    assert last.startswith(f"{total} parameters")
    assert f"input (N, {', '.join(map(str, row))})" in capsys.readouterr().out


def test_lenet5_layer_by_layer(device):
    rows, _ = table(models.lenet5().to(device), (1, 28, 28))
    layers = ["conv1", "pool1", "conv2", "pool2", "fc1", "fc2", "fc3"]
    assert [rows[name][0] for name in layers] == [4704, 1176, 1600, 400, 120, 84, 10]
    assert [rows[n][1] for n in layers if rows[n][1]] == [156, 2416, 48120, 10164, 850]


@pytest.mark.parametrize(
    ("depth", "count"),
    [(32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)],
)
def test_depths_of_resnet(depth, count):
    model = models.resnet(depth)
    assert parameters(model) == count
    # convolutions and the dense layer: what the depth counts
    assert sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in model.modules()) == depth


def test_keys_of_resnet():
    keys = list(models.resnet(20).state_dict())
    norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    block = [key for i in "12" for key in (f"conv{i}.weight", *(f"bn{i}.{name}" for name in norm))]
    assert keys == [
        "conv1.weight", *(f"bn1.{name}" for name in norm),
        *(f"layer{i}.{j}.{key}" for i in (1, 2, 3) for j in (0, 1, 2) for key in block),
        "linear.weight", "linear.bias",
    ]  # fmt: skip


def test_files_without_num_batches_tracked_load_as_in_pytorch():
    """Those of PyTorch before 0.4.1, as the CIFAR-10 weights that all the world uses."""
    model = models.resnet(8)
    old = {k: v for k, v in model.state_dict().items() if "num_batches" not in k}
    other = models.resnet(8)
    assert tuple(other.load_state_dict(old)) == ([], [])
    assert dlx.testing.weight_hash(other) == dlx.testing.weight_hash(model)
    del old["bn1.running_var"]
    with pytest.raises(RuntimeError, match=r"missing keys: bn1\.running_var$"):
        other.load_state_dict(old)


def test_shortcuts_of_resnet_are_option_a(device):
    """With its second norm at 0 a block is its shortcut, behind the relu."""
    block = models.BasicBlock(2, 6, stride=2).to(device)
    nn.init.zeros_(block.bn2.weight)
    x = dlx.random.uniform((2, 2, 5, 4), device=device)
    y = block(x).cpu().numpy()
    assert y.shape == (2, 6, 3, 2)
    np.testing.assert_array_equal(y[:, 2:4], x.cpu().numpy()[:, :, ::2, ::2])
    assert not y[:, :2].any() and not y[:, 4:].any()


def test_resnet_starts_from_hes_distribution():
    """Variance 2 / fan_in; the mean of squares of n draws strays by sqrt(2 / n), here 5 times."""
    for name, p in models.resnet(20).named_parameters():
        values = p.cpu().numpy().astype(np.float64)
        if values.ndim > 1:
            variance = 2 / math.prod(values.shape[1:])
            assert abs(np.mean(values**2) / variance - 1) < 5 * math.sqrt(2 / values.size), name


def test_dcgan_starts_from_radfords_distribution():
    for model in models.dcgan(image_size=32):
        for name, p in model.named_parameters():
            values = p.cpu().numpy().astype(np.float64)
            if name.endswith("bias"):
                assert not values.any(), name
                continue
            values -= values.ndim == 1  # the scale of a norm
            assert abs(values.mean()) < 5 * 0.02 / math.sqrt(values.size), name
            assert abs(np.mean(values**2) / 0.02**2 - 1) < 5 * math.sqrt(2 / values.size), name


def test_images_of_generator_and_autoencoder_stay_in_their_range(device):
    z = dlx.random.normal((4, 100), device=device) * 50
    assert np.abs(models.dcgan()[0].to(device)(z).cpu().numpy()).max() <= 1
    y = models.conv_autoencoder(3).to(device)(dlx.random.normal((4, 3, 28, 28), device=device))
    assert y.cpu().numpy().min() >= 0 and y.cpu().numpy().max() <= 1


def test_the_code_of_the_autoencoder(device):
    model = models.conv_autoencoder(code=5).to(device)
    code = model.encoder(dlx.zeros((2, 1, 28, 28), device=device))
    assert code.shape == (2, 5) and model.decoder(code).shape == (2, 1, 28, 28)


def test_models_are_a_lazy_submodule():
    code = "import sys, dlx, dlx.nn; print('dlx.models' in sys.modules, dlx.models.lenet5.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["False", "lenet5"], done.stderr
    assert "models" in dir(dlx)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: models.resnet(18), r"resnet: depth must be 6n \+ 2 .* got 18"),
        (lambda: models.resnet(2), r"resnet: depth must be 6n \+ 2 with n >= 1.* got 2"),
        (lambda: models.resnet(20.0), r"resnet: depth .* got 20\.0"),
        (lambda: models.course_cnn(image_size=30), r"course_cnn: .* 28 or 32, got 30"),
        (lambda: models.dcgan(image_size=48), r"dcgan: .* one of 28, 32, 64, got 48"),
        (lambda: models.lenet5()(dlx.zeros((2, 3, 28, 28))),
         r"^Sequential\.conv1 \(Conv2d\(1, 6, .*expected 1 input channels, x has 3"),
        (lambda: models.lenet5()(dlx.zeros((2, 1, 32, 32))),
         r"^Sequential\.fc1 \(Linear\(400, 120\)\): linear: expected 400 input features, got 576"),
    ],
)  # fmt: skip
def test_wrong_uses(call, match):
    with pytest.raises(ValueError, match=match):
        call()
