"""Options and fixtures of every test."""

from __future__ import annotations

import faulthandler

import pytest

faulthandler.enable()


def pytest_addoption(parser):
    parser.addoption(
        "--device",
        action="append",
        metavar="DEVICE",
        help="run every test that touches an array on this device; may be repeated (default: cpu)",
    )


def pytest_generate_tests(metafunc):
    if "device" in metafunc.fixturenames:
        devices = metafunc.config.getoption("--device") or ["cpu"]
        metafunc.parametrize("device", devices, scope="session")


@pytest.fixture(autouse=True)
def _reproducible():
    """Every test starts from seed 0 and leaves the number of threads as it was."""
    import dlx

    threads = dlx.get_num_threads()
    dlx.seed(0)
    yield
    dlx.set_num_threads(threads)
