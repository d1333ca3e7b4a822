"""What dlx.jit shows of a recorded step: text and picture."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

import dlx
from dlx import nn, optim
from dlx._jit_view import in_bytes, in_seconds
from dlx.nn import functional as F

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def _strict(monkeypatch):
    monkeypatch.setenv("DLX_JIT", "strict")


def recorded(device, calls=4):
    """A training step that has been replayed, its arguments, and its model."""
    dlx.seed(0)
    model = nn.Sequential(nn.Linear(20, 50), nn.Tanh(), nn.Dropout(0.5), nn.Linear(50, 3))
    model.to(device)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    x = dlx.random.normal((32, 20), device=device)
    labels = dlx.random.randint(0, 3, (32,), device=device)

    @dlx.jit
    def step(x, labels):
        loss = F.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(calls):
        step(x, labels)
    return step, (x, labels), model


def test_text_names_every_launch_and_the_peak(device):
    step, _, _ = recorded(device)
    lines = str(step.program).splitlines()
    if device != "cpu":
        assert "replayed as one CUDA graph of " in lines.pop()
    calls, peak, total = lines[:-2], lines[-2], lines[-1]
    assert [int(line[:4]) for line in calls] == list(range(len(step.program)))
    assert all(re.search(r"live +[\d.]+ \w+ ", line) for line in calls)
    first = next(line for line in calls if "matmul" in line)
    assert re.search(r"float32\(32, 20\) slot 0, float32\(20, 50\) slot \d+", first)
    assert re.search(r"-> float32\(32, 50\) arena\+\d+ 6.25 KiB", first)
    assert re.search(r"  # Sequential.0 \(Linear\(20, 50\)\), test_jit_view.py:\d+$", first)
    assert "  # backward of Sequential.3 (Linear(50, 3)), test_jit_view.py:" in str(step.program)
    (marked,) = [line for line in calls if line[4] == "*"]
    number, op = re.match(rf"peak on {device}\S*: .* in use of .*, at (\d+) (\S+)", peak).groups()
    assert marked.split()[:2] == [number + "*", op]
    assert total.startswith(f"{len(step.program)} launches")
    assert f"arena {in_bytes(step.memory['arena_bytes'])} for" in total


def test_the_blocks_are_what_the_launches_use(device):
    step, _, _ = recorded(device)
    view = step.program._view()
    spans = {(b.arena, b.place, b.first, b.last): b.bytes for b in view.blocks}
    for number, call in enumerate(view.calls):
        for a in [*call.inputs, *call.outputs]:
            if a.where == "arena":
                assert any(
                    arena == a.arena and first <= number <= last
                    and place <= a.place and a.place + a.bytes <= place + size
                    for (arena, place, first, last), size in spans.items()
                )  # fmt: skip
    for b in view.blocks:
        assert b.place >= 0 and b.place + b.bytes <= view.arenas[b.arena][1]
        for other in view.blocks:
            apart = b.place + b.bytes <= other.place or other.place + other.bytes <= b.place
            if other is b or apart or b.last < other.first or other.last < b.first:
                continue
            # one takes over the place of the other, in the launch that both meet in
            assert b.place == other.place and (b.last == other.first or other.last == b.first)
    number, most = view.peak(0)
    in_use = {b.place: b.bytes for b in view.blocks if b.first <= number <= b.last}
    assert most == sum(in_use.values()) == max(view.live[0]) <= view.arenas[0][1]


def test_the_picture(device, tmp_path):
    step, _, _ = recorded(device)
    path = tmp_path / "step.svg"
    step.program.svg(path)
    root = ElementTree.parse(path).getroot()
    assert root.tag == SVG + "svg"
    view = step.program._view()
    css = [r.get("class") for r in root.iter(SVG + "rect")]
    assert css.count("block") == len(view.blocks)
    assert css.count("bar") == len(view.calls) + len(view.shares())
    for rect in root.iter(SVG + "rect"):
        if rect.get("class") in ("block", "bar"):
            assert float(rect.get("x")) >= 0 and float(rect.get("height")) > 0
            assert rect.find(SVG + "title").text
    titles = [t.text for t in root.iter(SVG + "title")]
    assert any("Sequential.0 (Linear(20, 50))" in t and "test_jit_view.py:" in t for t in titles)
    texts = [t.text for t in root.iter(SVG + "text")]
    assert "Share of bytes moved per op" in texts
    assert any(t.startswith("peak ") for t in texts)
    assert sum(share for _, _, share in view.shares()) == pytest.approx(1)


def test_timing_replays(device, tmp_path):
    def weights(timed):
        step, arguments, model = recorded(device)
        if timed:
            step.program.time(3)
        for _ in range(5):
            step(*arguments)
        return step, [p.detach().cpu().numpy().tobytes() for p in model.parameters()]

    step, found = weights(True)
    assert found == weights(False)[1]
    assert step.cache_info().replays == 6
    view = step.program._view()
    assert len(view.seconds) == len(step.program) and all(0 < s < 1 for s in view.seconds)
    assert re.search(r"matmul +[\d.]+ us  live", str(step.program))
    step.program.svg(tmp_path / "step.svg")
    assert "Share of time per op" in (tmp_path / "step.svg").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="time: expected at least 1 replay, got 0"):
        step.program.time(0)


def test_names_that_xml_would_take_for_its_own(tmp_path):
    space = {"dlx": dlx}
    source = "def f(x):\n    return dlx.exp(x) + 1.0\n"
    exec(compile(source, 'a<b>&"c\x01".py', "exec"), space)
    f = dlx.jit(space["f"])
    for _ in range(4):
        f(dlx.ones((2,)))
    f.program.svg(tmp_path / "f.svg")
    root = ElementTree.parse(tmp_path / "f.svg").getroot()
    assert any('a<b>&"c".py:2' in t.text for t in root.iter(SVG + "title"))


def test_units():
    assert [in_bytes(n) for n in (0, 999, 1024, 1536, 200 * 1024, 5 << 20, 3 << 30)] == [
        "0 B", "999 B", "1 KiB", "1.5 KiB", "200 KiB", "5 MiB", "3 GiB",
    ]  # fmt: skip
    assert [in_seconds(s) for s in (1.5e-3, 2e-6)] == ["1.5 ms", "2 us"]
