"""Indices and labels out of range: on the CPU the call raises; on a GPU, whose work nobody waits
for, the next read or synchronisation does, with the same words."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import dlx
from _check import settle

F = dlx.nn.functional


def rows(*shape):
    return dlx.ones(shape)


def assign(x, index, value):
    x[index] = value


def labelled(loss):
    return lambda: loss(rows(4, 3), dlx.tensor([0, 3, 2, 7]))


# What fails, and how that is told: of several the first position.
BAD = {
    "take": (
        lambda: dlx.take(rows(5, 3), dlx.tensor([4, -6, 7]), axis=0),
        "take: index -6 at position 1 of the indices is out of range for axis 0 with extent 5",
    ),
    "take-wide": (
        lambda: dlx.take(rows(5, 32), dlx.tensor([4, -6, 7]), axis=0),
        "take: index -6 at position 1 of the indices is out of range for axis 0 with extent 5",
    ),
    "take-nothing": (
        lambda: dlx.take(rows(0, 3), dlx.tensor([0]), axis=0),
        "take: index 0 at position 0 of the indices is out of range for axis 0 with extent 0",
    ),
    "take-of-nothing": (
        lambda: dlx.take(rows(5, 0), dlx.tensor([1, 5]), axis=0),
        "take: index 5 at position 1 of the indices is out of range for axis 0 with extent 5",
    ),
    "getitem": (
        lambda: rows(4, 5)[:, dlx.tensor([0, 5])],
        "take: index 5 at position 1 of the indices is out of range for axis 1 with extent 5",
    ),
    "getitem-two": (
        lambda: rows(4, 5)[[0, 9, 1], [9, 0, -6]],
        "getitem: index 9 at position 1 of the indices is out of range for axis 0 with extent 4",
    ),
    "setitem": (
        lambda: assign(rows(4, 5), dlx.tensor([0, 4, 5]), 1.0),
        "setitem: index 4 at position 1 of the indices is out of range for axis 0 with extent 4",
    ),
    "scatter_add": (
        lambda: dlx.ops.index.scatter_add(rows(3, 2), dlx.tensor([0, 1, 2]), 0, 2),
        "scatter_add: index 2 at position 2 of the indices is out of range for axis 0 with "
        "extent 2",
    ),
    "embedding": (
        lambda: F.embedding(dlx.tensor([[0, 4], [5, -1]]), rows(5, 3)),
        "embedding: index 5 at position 2 is outside 0…4; weight has 5 rows",
    ),
    "one_hot": (
        lambda: dlx.one_hot(dlx.tensor([0, 1, -1, 3]), 3),
        "one_hot: label -1 at position 2 is outside 0…2, num_classes=3",
    ),
    "one_hot-none": (
        lambda: dlx.one_hot(dlx.tensor([1]), 0),
        "one_hot: label 1 at position 0 is outside 0…-1, num_classes=0",
    ),
    "cross_entropy": (labelled(F.cross_entropy), "cross_entropy: label 3 in row 1"),
    "nll_loss": (labelled(F.nll_loss), "nll_loss: label 3 in row 1"),
}


@pytest.mark.parametrize(("call", "words"), BAD.values(), ids=BAD)
def test_the_error_names_op_position_value_and_limit(call, words, device):
    with dlx.device(device), pytest.raises(IndexError, match=re.escape(words)) as caught:
        call()
        settle(device)
    if device != "cpu":
        assert "found on cuda:0 at a synchronisation" in str(caught.value)
    settle(device)  # told once
    with dlx.device(device):
        x = dlx.take(rows(5, 3), dlx.tensor([4, 0]), axis=0)
        assert (x + 1).tolist() == [[2.0] * 3] * 2


def test_many_fail_and_the_first_position_is_told(device):
    indices = np.arange(5000)
    with pytest.raises(IndexError, match=r"index 2000 at position 2000 .* extent 2000"):
        dlx.take(dlx.ones((2000,), device=device), dlx.tensor(indices, device=device))
        settle(device)


def test_of_two_launches_the_first_is_told(device):
    with dlx.device(device), pytest.raises(IndexError, match="take: index 7"):
        dlx.take(rows(5), dlx.tensor([1, 7]))
        dlx.one_hot(dlx.tensor([8]), 3)
        settle(device)
    settle(device)


def test_a_read_tells(device):
    with dlx.device(device):
        good = rows(2)
        with pytest.raises(IndexError, match="take: index 7 at position 1"):
            dlx.take(rows(5), dlx.tensor([1, 7])).tolist()
        with pytest.raises(IndexError, match="embedding: index 9 at position 0"):
            F.embedding(dlx.tensor([9]), rows(5, 3))
            good.tolist()
        assert good.tolist() == [1.0, 1.0]


def test_a_failed_assignment_changes_nothing(device):
    x = dlx.tensor([1.0, 2.0, 3.0], device=device)
    with pytest.raises(IndexError, match="setitem: index 3 at position 1"):
        x[[0, 3]] = 9.0
        settle(device)
    assert x.tolist() == [1.0, 2.0, 3.0]


def test_training_goes_on_after_a_bad_label(device):
    with dlx.device(device):
        layer = dlx.nn.Linear(3, 2)
        x = rows(4, 3)
        losses = []
        for labels in ([0, 1, 1, 0], [0, 1, 2, 0], [0, 1, 1, 0]):
            try:
                loss = F.cross_entropy(layer(x), dlx.tensor(labels))
                loss.backward()
                losses.append(loss.item())
            except IndexError as error:
                assert "label 2 in row 2" in str(error)
    assert len(losses) == 2 and losses[0] == losses[1]


def test_an_error_is_told_to_the_thread_that_made_it(device):
    launched, looked = threading.Event(), threading.Event()
    told = []

    def other():
        try:
            y = dlx.take(dlx.ones((5,), device=device), dlx.tensor([9], device=device))
            launched.set()
            assert looked.wait(60)
            y.tolist()
        except IndexError as error:
            told.append(str(error))
        launched.set()

    thread = threading.Thread(target=other)
    thread.start()
    assert launched.wait(60)
    assert dlx.ones((2,), device=device).tolist() == [1.0, 1.0]
    settle(device)
    looked.set()
    thread.join()
    assert len(told) == 1 and "take: index 9 at position 0" in told[0]


def test_an_error_of_a_thread_that_has_ended_is_told_to_the_next_reader(device):
    told = []

    def other():
        try:
            dlx.take(dlx.ones((5,), device=device), dlx.tensor([9], device=device))
        except IndexError as error:  # on the CPU
            told.append(str(error))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    deadline = time.monotonic() + 30
    while not told and time.monotonic() < deadline:  # the thread ends a little after its join
        try:
            settle(device)
        except IndexError as error:
            told.append(str(error))
    assert len(told) == 1 and "take: index 9 at position 0" in told[0]


def test_nobody_reads_for_long(device):
    x, good = dlx.ones((5,), device=device), dlx.tensor([1], device=device)
    with pytest.raises(IndexError, match="take: index 9 at position 0"):
        dlx.take(x, dlx.tensor([9], device=device))
        for _ in range(600):
            dlx.take(x, good)
    settle(device)
    for _ in range(600):
        y = dlx.take(x, good)
    assert y.tolist() == [1.0]


BLOCKING = """
import dlx
x, bad = dlx.ones((5,), device="{device}"), dlx.tensor([9], device="{device}")
try:
    dlx.take(x, bad)
except IndexError as error:
    print(error)
"""


def test_blocking_launches_raise_in_the_call(device):
    said = subprocess.run(
        [sys.executable, "-c", BLOCKING.format(device=device)],
        env=os.environ | {"DLX_LAUNCH_BLOCKING": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert said.stdout.startswith("take: index 9 at position 0")


def test_an_error_in_a_stream_of_its_own(device):
    if device == "cpu":
        pytest.skip("the CPU has no streams")
    side = dlx.cuda.Stream(device)
    x, bad = dlx.ones((5,), device=device), dlx.tensor([9], device=device)
    with dlx.cuda.stream(side):
        dlx.take(x, bad)
    dlx.cuda.current_stream(device).synchronize()  # another one: nothing to tell
    with pytest.raises(IndexError, match=r"take: index 9 at position 0 .* at a synchronisation"):
        side.synchronize()
    with dlx.cuda.stream(side):
        y = dlx.take(x, bad)
    with pytest.raises(IndexError, match="take: index 9 at position 0"):
        y.tolist()
    assert x.tolist() == [1.0] * 5
