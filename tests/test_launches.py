"""No CUDA kernel ships that no test ever launched."""

from __future__ import annotations

import ctypes

import pytest

from dlx import _core


def launch_counts():
    """Of the emulator: launches by kernel instantiation."""
    counts = ctypes.CDLL(_core.__file__).dlx_simt_launch_counts
    counts.restype = ctypes.c_char_p
    lines = counts().decode().splitlines()
    return {name: int(count) for count, name in (line.split("\t", 1) for line in lines)}


@pytest.mark.last
def test_every_kernel_was_launched(device, request):
    options = request.config.option
    if options.device != ["emu"]:
        pytest.skip("the emulated device counts launches: pytest --device emu")
    if options.keyword or options.markexpr or options.file_or_dir:
        pytest.skip("some tests were not selected")
    never = [name for name, count in launch_counts().items() if count == 0]
    assert not never, f"{len(never)} kernels, among them {never[:10]}"
