"""What only a GPU shows (`pytest -m cuda`), and what every device owes: memory given back, training
that ends as on the CPU. With `--device emu` the latter run on the emulator, where they are small.
"""

from __future__ import annotations

import gc
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

import dlx
from dlx import nn, optim

ROOT = pathlib.Path(__file__).parents[1]
CALIBRATED = sorted((ROOT / "tests" / "simt").glob("test_*.cc"))


def real_gpu():
    return dlx.cuda.is_available() and not dlx.cuda.device_name().startswith("emulated")


@pytest.mark.cuda
@pytest.mark.timeout(300)
@pytest.mark.skipif(not real_gpu(), reason="no GPU")
@pytest.mark.parametrize("source", CALIBRATED, ids=lambda s: s.stem)
def test_the_emulator_agrees_with_a_gpu(source):
    """Its own test, built by nvcc: the same kernels, the same expectations."""
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc is not installed")
    folder = ROOT / "build" / "calibration"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / source.stem
    flags = "-std=c++20 -O2 -arch=native -fmad=false --expt-relaxed-constexpr --diag-suppress=186"
    includes = [f"-I{ROOT}", f"-I{ROOT / 'csrc'}", f"-I{ROOT / 'tests'}"]
    runtime = ROOT / "cuda" / "core" / "runtime.cu"
    command = ["nvcc", *flags.split(), "-DDLX_WITH_CUDA=1", *includes, "-x", "cu", source, runtime]
    for step in ([*command, "-o", program], [program]):
        done = subprocess.run(
            [str(s) for s in step],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stdout[-4000:]
    assert "ok" in done.stdout


def live_bytes(device):
    gc.collect()
    dlx.random.uniform((0,), device="cpu")  # the generator's state is there then
    if device == "cpu":
        return dlx.memory.stats()["live_bytes"]
    dlx.cuda.synchronize(device)
    return dlx.cuda.memory_stats(device)["live_bytes"]


def network():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 4 * 4, 10),
    )


def train(device, images, labels, steps, batch):
    """(model, losses)."""
    dlx.seed(5)
    model = network().to(device)
    step = optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for i in range(steps):
        at = slice(i * batch % len(images), i * batch % len(images) + batch)
        x, y = (dlx.tensor(a[at], device=device) for a in (images, labels))
        step.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        step.step()
        losses.append(loss.item())
    return model, losses


def digits(count):
    """8 by 8 images with a bright row that says which class: learnt in a few steps."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 8, count)
    images = rng.normal(scale=0.3, size=(count, 1, 8, 8)).astype(np.float32)
    images[np.arange(count), 0, labels] += 2
    return images, labels


def test_memory_is_back_to_nothing_after_use(device):
    before = live_bytes(device)
    model, losses = train(device, *digits(32), steps=2, batch=16)
    assert np.isfinite(losses).all()
    assert live_bytes(device) >= before + sum(4 * p.numel() for p in model.parameters())
    del model
    assert live_bytes(device) == before


@pytest.mark.timeout(300)
def test_training_reaches_the_accuracy_of_the_cpu(device):
    steps = 40 if device == "cpu" or real_gpu() else 12
    images, labels = digits(16 * steps)
    shown, expected = digits(64)
    found = {}
    for place in ("cpu", device):
        model, losses = train(place, images, labels, steps, 16)
        model.eval()
        guessed = dlx.argmax(model(dlx.tensor(shown, device=place)), axis=1).cpu().numpy()
        found[place] = (np.array(losses), np.mean(guessed == expected))
    (losses, accuracy), (wanted, wanted_accuracy) = found[device], found["cpu"]
    assert np.abs(losses[:5] - wanted[:5]).max() <= 1e-5 * np.abs(wanted[:5]).max()
    assert abs(accuracy - wanted_accuracy) <= 1 / 64
    assert losses[-1] < 0.7 * losses[0]
