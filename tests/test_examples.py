"""Every example runs on its own, in its fast mode, and prints its figure."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
FIRST_FILE = {  # of each set, which a test of it needs
    "mnist": "mnist/train-images-idx3-ubyte.gz",
    "fashion_mnist": "fashion_mnist/train-images-idx3-ubyte.gz",
    "cifar10": "cifar10/data_batch_1.bin.gz",
    "resnet20": "models/resnet_cifar10/resnet20-12fca82f.th",
}


def need(*names):
    """The path of the last of these in $DLX_DATA; skips where one is missing."""
    root = pathlib.Path(os.environ.get("DLX_DATA", "/nonexistent"))
    for name in names:
        if not (root / FIRST_FILE[name]).exists():
            pytest.skip(f"DLX_DATA has no {FIRST_FILE[name]}")
    return root / FIRST_FILE[names[-1]]


def run(name, *arguments, folder=None):
    """What the example prints."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def accuracy(out):
    return float(re.search(r"^test accuracy: (\d+\.\d\d) %$", out, re.M)[1])


def test_mnist_lenet():
    need("mnist")
    out = run("mnist_lenet.py", "--fast")
    assert "62,430" in out  # parameters, in the summary
    assert accuracy(out) > 80


def test_fashion_cnn():
    need("fashion_mnist")
    out = run("fashion_cnn.py", "--fast")
    assert len(re.findall(r"^\d+ times a .+ was taken for a .+$", out, re.M)) == 3
    assert accuracy(out) > 70


def test_hand_written_loop():
    assert accuracy(run("hand_written_loop.py", "--fast")) > 90


def test_hand_written_loop_on_any_number_of_threads():
    runs = {run("hand_written_loop.py", "--fast", "--threads", n) for n in "123"}
    assert len(runs) == 1
    assert run("hand_written_loop.py", "--fast", "--seed", "1") not in runs


def test_conv_autoencoder(tmp_path):
    pytest.importorskip("matplotlib")
    need("mnist")
    out = run("conv_autoencoder.py", "--fast", "--out", "picture.png", folder=tmp_path)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    error = re.search(r"^test error \(mean square\): (\d\.\d+)$", out, re.M)
    assert float(error[1]) < 0.06  # the mean image has 0.067


def test_cifar_resnet20_trains():
    need("cifar10")
    assert accuracy(run("cifar_resnet20.py", "--fast")) > 15  # 10 by chance


def test_cifar_resnet20_with_converted_weights(tmp_path):
    torch = pytest.importorskip("torch")
    import dlx

    file = need("cifar10", "resnet20")
    weights = torch.load(file, "cpu", weights_only=True)["state_dict"]
    weights = {key.removeprefix("module."): w.numpy() for key, w in weights.items()}
    model = dlx.models.resnet(20)
    model.load_state_dict(model.state_dict() | weights)  # that has no num_batches_tracked
    model.save(tmp_path / "resnet20.dlx")
    out = run("cifar_resnet20.py", "--pretrained", tmp_path / "resnet20.dlx")
    assert accuracy(out) >= 91


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_every_example_explains_itself(path):
    text = path.read_text()
    assert text.startswith('"""') and f"python examples/{path.name}" in text
    assert f"{path.stem}" in pathlib.Path(__file__).read_text(), "no test runs it"
