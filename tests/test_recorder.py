"""A recorded step, replayed from C++ below the door, is the eager step bit for bit."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import dlx
from _check import is_emulated, settle
from dlx import _core, nn, optim
from dlx.nn import functional

pytestmark = pytest.mark.on_its_device


class Training:
    """An MLP 20-32-10 with dropout and Adam, from seed 0; the batch and lr stand in tensors."""

    def __init__(self, device):
        dlx.seed(0)
        self.steps = 20 if is_emulated(device) else 200  # after two that are not replayed
        self.model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 10))
        self.optimizer = optim.Adam(self.model.parameters(), lr=1e-3)
        rng = np.random.default_rng(0)
        self.inputs = rng.normal(size=(self.steps + 2, 16, 20)).astype(np.float32)
        self.labels = rng.integers(0, 10, size=(self.steps + 2, 16))
        self.rates = np.geomspace(1e-3, 1e-5, self.steps)
        self.x = dlx.tensor(self.inputs[0], device=device)
        self.y = dlx.tensor(self.labels[0], device=device)

    def step(self, x=None, y=None):
        x, y = (self.x, self.y) if x is None else (x, y)
        loss = functional.cross_entropy(self.model(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def eager(self, first, last):
        for i in range(first, last):
            if i >= 2:
                self.optimizer.lr = float(self.rates[i - 2])
            self.step(dlx.tensor(self.inputs[i]), dlx.tensor(self.labels[i]))

    def record(self):
        with _core.record_program() as program:
            self.step()
        return program

    def feeds(self):
        return [
            (self.x, dlx.tensor(self.inputs[2:])),
            (self.y, dlx.tensor(self.labels[2:])),
            (self.optimizer._lr, dlx.tensor(self.rates[:, None])),
        ]

    def everything(self):
        """Bits of the weights, of Adam's moments and step counts, and of the generator."""
        state = self.optimizer.state_dict()["state"]
        arrays = [value.cpu().numpy() for entry in state.values() for value in entry.values()]
        arrays.append(dlx.random.get_state().cpu().numpy())
        return dlx.testing.weight_hash(self.model), [a.tobytes() for a in arrays]


def test_replayed_steps_equal_eager_ones_in_every_bit(device):
    eager = Training(device)
    eager.eager(0, eager.steps + 2)
    expected = eager.everything()

    recorded = Training(device)
    recorded.eager(0, 1)
    recorded.x[...] = dlx.tensor(recorded.inputs[1])
    recorded.y[...] = dlx.tensor(recorded.labels[1])
    program = recorded.record()
    assert {"dropout", "cross_entropy", "optimizer_step"} <= set(program.launches)
    assert recorded.everything() != expected
    program.replay(recorded.steps, recorded.feeds())
    assert recorded.everything() == expected


def test_replays_go_on_where_the_last_one_ended(device):
    at_once, in_parts = [], []
    for found in (at_once, in_parts):
        training = Training(device)
        training.step()
        program, done = training.record(), 0
        for steps in [training.steps] if found is at_once else [1, 0, training.steps - 1]:
            feeds = [(t, values[done : done + steps]) for t, values in training.feeds()]
            program.replay(steps, feeds)
            done += steps
        found.append(training.everything())
    assert at_once == in_parts


def test_no_op_of_python_runs_during_a_replay_and_python_does(device):
    x, out = dlx.ones((4,), device=device), dlx.zeros((4,), device=device)
    with _core.record_program() as program:
        out[...] = x + x
    refused, done, ready = [], threading.Event(), threading.Event()

    def meanwhile():
        while not done.is_set():
            try:
                dlx.add(x, x)
            except RuntimeError as error:
                refused.append(str(error))
            ready.set()

    thread = threading.Thread(target=meanwhile)
    thread.start()
    ready.wait()
    try:
        end = time.monotonic() + 20
        while not refused and time.monotonic() < end:
            program.replay(10_000, [])
    finally:
        done.set()
        thread.join()
    assert refused, "the replay held the GIL"
    assert set(refused) == {"add: called while a recorded program replays"}
    np.testing.assert_array_equal((x + x).cpu().numpy(), 2)


def test_a_closed_door_refuses_every_op(device):
    x = dlx.ones((4,), device=device)
    with dlx.testing.closed_door(), pytest.raises(RuntimeError, match="multiply: called while"):
        _ = x * x
    assert (x * x).tolist() == [1, 1, 1, 1]


def test_what_the_host_made_during_the_recording_starts_every_step_anew(device):
    x, out = dlx.tensor([1.0, 2.0], device=device), dlx.zeros((2,), device=device)
    with _core.record_program() as program:
        partly = dlx.tensor([10.0, 20.0], device=device)
        partly[:1] = x[:1] + partly[:1]
        out[...] = partly * 2 + 0.5
    assert out.tolist() == [22.5, 40.5]
    program.replay(2, [(x, dlx.tensor([[3.0, 0.0], [5.0, 0.0]], device=device))])
    assert out.tolist() == [30.5, 40.5]
    assert x.tolist() == [1.0, 2.0] and partly.tolist() == [11.0, 20.0]


def test_arrays_written_in_parts(device):
    x, out = dlx.ones((2, 2), device=device), dlx.zeros((2, 4), device=device)
    with _core.record_program() as program:
        out[...] = dlx.concat([x, x.T * 3], axis=1)
    program.replay(1, [(x, dlx.arange(4.0, device=device).reshape((1, 2, 2)))])
    assert out.tolist() == [[0, 1, 0, 6], [2, 3, 3, 9]]


# What a program cannot hold is refused


def test_a_host_read_names_the_op_before_it(device):
    training = Training(device)
    match = "after cross_entropy; a replay cannot"
    with pytest.raises(RuntimeError, match=match), _core.record_program() as program:
        functional.cross_entropy(training.model(training.x), training.y).item()
    with pytest.raises(RuntimeError, match="the recording has not come to its end"):
        program.replay(1, [])


@pytest.mark.parametrize("read", [float, np.asarray, np.from_dlpack, lambda t: t.tolist(), bool])
def test_every_way_to_read_is_one(read, device):
    x = dlx.ones((1,), device=device)
    with pytest.raises(RuntimeError, match="Python reads a value"), _core.record_program():
        read(x.cpu() if read is np.asarray else x)  # which takes nothing from a GPU


def test_copy_on_write_of_a_parameter_is_refused(device):
    training = Training(device)
    training.step()
    snapshot = training.model.state_dict()
    with pytest.raises(RuntimeError, match=r"before the recording, float32 .* other memory"):
        training.record()
    del snapshot
    training.record().replay(2, [])


def test_values_that_go_from_step_to_step_outside_native_memory_are_refused(device):
    total, w = dlx.zeros((), device=device), dlx.ones((3,), device=device).requires_grad_()
    match = "float32 of shape {}, would get other memory"
    with pytest.raises(RuntimeError, match=match.format(r"\(\)")), _core.record_program():
        total += (w * 2).sum()
    (w * 2).sum().backward()
    with pytest.raises(RuntimeError, match=match.format(r"\(3,\)")), _core.record_program():
        (w * 2).sum().backward()  # adds to the gradient of before


def test_a_replay_writes_no_shared_or_abandoned_memory(device):
    training = Training(device)
    training.step()
    program = training.record()
    snapshot, before = training.model.state_dict(), training.everything()
    with pytest.raises(RuntimeError, match="shares its memory with another"):
        program.replay(1, [])
    del snapshot
    assert training.everything() == before
    program.replay(1, [])
    with dlx.no_grad():
        training.model[0].bias *= 2.0
    with pytest.raises(RuntimeError, match=r"a tensor of 128 bytes .* is gone"):
        program.replay(1, [])


@pytest.mark.parametrize(
    ("feed", "error", "match"),
    [
        (lambda t: (t.x, dlx.zeros((2, 16, 21))), ValueError, r"feed 0 expects .*\(2, 16, 20\)"),
        (lambda t: (t.x, dlx.zeros((2, 16, 20), dtype="float64")), ValueError, "got float64"),
        (lambda t: (dlx.zeros(()), dlx.zeros((2,))), ValueError, "does not read feed 0"),
        (
            lambda t: (t.model[0].bias, dlx.zeros((2, 32))),
            ValueError,
            "feed 0 is computed by the program",
        ),
        (lambda t: (t.x[:4], dlx.zeros((2, 4, 20))), ValueError, "feed 0 is a view of a part"),
        (lambda t: t.x, TypeError, "feed 0 is not a pair"),
        (lambda t: (t.x, 1.0), TypeError, "feed 0 is not a pair of Tensors"),
    ],
)
def test_wrong_feeds(feed, error, match, device):
    training = Training(device)
    training.step()
    program, before = training.record(), training.everything()
    with pytest.raises(error, match=match):
        program.replay(2, [feed(training)])
    assert training.everything() == before


def test_an_error_of_a_kernel_ends_the_replay_as_it_ends_an_eager_step(device):
    training = Training(device)
    training.step()
    program = training.record()
    labels = training.labels[2:5].copy()
    labels[1, 3] = 10
    feeds = [(t, values[:3]) for t, values in training.feeds()]
    feeds[1] = (training.y, dlx.tensor(labels))
    with pytest.raises(IndexError, match=r"cross_entropy: .*10"):
        program.replay(3, feeds)
        settle(device)
    steps = 3 if device == "cpu" else 5  # a GPU tells it later, and has done all
    assert int(training.optimizer.state_dict()["state"][0]["step"]) == steps
    training.step()  # the door is open again


def test_a_program_records_once_and_not_while_another_replays(device):
    program = _core.record_program()
    with program:
        with pytest.raises(RuntimeError, match="records once"):
            program.__enter__()
        with pytest.raises(RuntimeError, match="has not come to its end"):
            program.replay(1, [])
    with pytest.raises(RuntimeError, match="not recording on this thread"):
        program.__exit__(None, None, None)
