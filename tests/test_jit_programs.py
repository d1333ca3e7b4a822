"""Random programs under dlx.jit: replayed, fused or not, they have eager's bits on any number of
threads; what they returned stays as it was."""

from __future__ import annotations

import contextlib
import faulthandler

import pytest
from hypothesis import HealthCheck, given, settings

import dlx
from _random_programs import DIMS, State, function_of, inputs_of, programs

IN_CI, ALL = 200, 2000
CALLS = 6  # the fourth is the first that is replayed, a GPU's fifth the first as a graph
MODES = ("off", "nofuse", "on")
SMALL = 4  # of DIMS, on a GPU: the emulated one takes its time


def bits(tensors):
    return [None if t is None else (t.dtype, t.shape, raw(t.detach())) for t in tensors]


def raw(tensor):
    if tensor.dtype == "bfloat16":  # which NumPy has not
        tensor = tensor.astype("float32")
    return tensor.cpu().numpy().tobytes()


def bits_of_calls(program, mode, threads, device, monkeypatch):
    """Of what each of some calls returns and leaves behind."""
    monkeypatch.setenv("DLX_JIT", mode)
    dlx.set_num_threads(threads)
    dlx.seed(0)
    state = State(program.dims, device, program.optimizer)
    step = dlx.jit(function_of(program, state))
    found, kept = [], []
    for call in range(CALLS):
        results = step(*inputs_of(program.dims, call, device))
        found.append([bits(results), bits(state.tensors())])
        found[-1].append(dlx.random.get_state().tolist())
        kept.append(results)
    assert [bits(results) for results in kept] == [results for results, *_ in found]
    if mode != "off":
        # A gradient that adds up may begin as a view of one number: one more recording.
        late = program.optimizer == "none" and step.cache_info().records == 3
        assert step.cache_info().replays == CALLS - 3 - late
    return found


@pytest.mark.timeout(1800)  # of --full
def test_random_programs(device, request, monkeypatch):
    full = request.config.getoption("--full")
    if full:  # pytest's look at the stack of a running thread, after 110 s, has crashed it
        faulthandler.cancel_dump_traceback_later()

    @settings(
        max_examples=ALL if full else IN_CI,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(programs(DIMS if device == "cpu" else DIMS[:SMALL]))
    def same_bits(program):
        grain = dlx.testing.forced_grain(program.grain) if program.grain else None
        with grain or contextlib.nullcontext():
            eager, *replayed = [
                bits_of_calls(program, mode, threads, device, monkeypatch)
                for mode, threads in zip(MODES, program.threads)
            ]
        for mode, found in zip(MODES[1:], replayed):
            assert found == eager, mode

    same_bits()
