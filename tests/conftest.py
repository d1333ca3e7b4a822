"""Options and fixtures of every test."""

from __future__ import annotations

import faulthandler
import os
import sys

import pytest

import _emulated
from _launches import Launches

faulthandler.enable()


def pytest_addoption(parser):
    parser.addoption(
        "--device",
        action="append",
        metavar="DEVICE",
        help="run every test that touches an array on this device; may be repeated (default: cpu). "
        "emu: build dlx with an emulated GPU first, and run these tests only",
    )

    parser.addoption("--full", action="store_true", help="also what takes longer than CI has")


def is_emulated(config):
    return config.getoption("--device") == ["emu"]


def wants_gpu(config):
    """`pytest -m cuda`: every test that takes a device, on the GPU."""
    return config.getoption("markexpr") == "cuda"


def pytest_configure(config):
    if is_emulated(config):
        is_worker = hasattr(config, "workerinput")  # of pytest-xdist: it comes after the build
        if is_worker:  # each has a core: threads of PyTorch's and NumPy's would spin on the others'
            os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
        package = str(_emulated.PACKAGE.parent if is_worker else _emulated.build())
        sys.path.insert(0, package)
        os.environ["PYTHONPATH"] = package  # of the processes that tests start
        config.pluginmanager.register(Launches())


def pytest_generate_tests(metafunc):
    if "device" in metafunc.fixturenames:
        devices = metafunc.config.getoption("--device") or ["cpu"]
        devices = ["cuda" if device == "emu" else device for device in devices]
        if wants_gpu(metafunc.config) and devices == ["cpu"]:
            devices = [pytest.param("cuda", marks=pytest.mark.cuda)]
        metafunc.parametrize("device", devices, scope="session")


def pytest_collection_modifyitems(config, items):
    if wants_gpu(config):
        import dlx

        if not dlx.cuda.is_available():
            no_gpu = pytest.mark.skip(reason="no GPU, or a dlx without CUDA: run `dlx info`")
            for item in items:
                item.add_marker(no_gpu)
    if is_emulated(config):
        others = [item for item in items if "device" not in item.fixturenames]
        items[:] = [item for item in items if "device" in item.fixturenames]
        config.hook.pytest_deselected(items=others)


@pytest.fixture(autouse=True)
def _reproducible():
    """Every test starts from seed 0 and leaves the number of threads as it was."""
    import dlx

    threads = dlx.get_num_threads()
    dlx.seed(0)
    yield
    dlx.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _on_its_device(request):
    """Under the marker on_its_device, what a test of a device makes is there."""
    import dlx

    if request.node.get_closest_marker("on_its_device") and "device" in request.fixturenames:
        with dlx.device(request.getfixturevalue("device")):
            yield
    else:
        yield
