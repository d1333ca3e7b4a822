"""What a recorded step looks like: as text, and as a picture of its memory and its time."""

from __future__ import annotations

from collections import namedtuple

from dlx import _core

__all__ = ["Program"]

_MOST_ARRAYS = 8  # that are listed, of the inputs and of the outputs of a launch

# where: "arena", "result", "constant" or "slot 3", a place outside; place: bytes into its arena.
Array = namedtuple("Array", "dtype shape bytes where arena place")
Call = namedtuple("Call", "op device inputs outputs flops bytes line layer")
# Memory of an arena, used from call `first` to call `last`; maker: the call that writes it first.
Block = namedtuple("Block", "arena place bytes first last maker")


class Program:
    """A recorded step. `print` shows every launch with shapes, bytes and places, and where the
    memory is fullest; `svg(path)` draws it; `memory` has the numbers."""

    def __init__(self, native):
        self._native = native

    @property
    def memory(self):
        return self._native.numbers()

    def __len__(self):
        return self.memory["launches"]

    def __str__(self):
        return "\n".join(_text(self._view()))

    def time(self, replays=10):
        """Time each launch of the next `replays` replays, for `print` and `svg`; they take longer.

        Raises ValueError for less than 1."""
        _core.time_replays(self._native, replays)

    def svg(self, path):
        """Write a picture, SVG, to the file `path`: every launch, what is in the arena over time,
        the share of time per op. Hovering names op, shape, layer and line.

        The shares are of the time that `time()` had measured, else of the bytes that the launches
        have to move at least."""
        from dlx._jit_svg import picture

        with open(path, "w", encoding="utf-8") as file:
            file.write(picture(self._view()))

    def _view(self):
        return View(_core.describe(self._native), self.memory)


class View:
    """A description with its sums."""

    def __init__(self, data, memory):
        self.memory = memory
        self.calls = [
            Call(op, device, [Array(*a) for a in inputs], [Array(*a) for a in outputs], *rest)
            for op, device, inputs, outputs, *rest in data["calls"]
        ]
        self.blocks = [Block(*block) for block in data["blocks"]]
        self.arenas = data["arenas"]
        self.graph = data["graph"]
        replays = data["replays"]
        self.seconds = [s / replays for s in data["seconds"]] if replays else None
        self.live = [self._live_bytes(arena) for arena in range(len(self.arenas))]

    def _live_bytes(self, arena):
        """Of each call: how many bytes of the arena it finds or leaves in use."""
        change = [{} for _ in range(len(self.calls) + 1)]
        for b in self.blocks:
            if b.arena == arena:
                for now in range(b.first, b.last + 1):
                    # what takes over a place in this very call shares it
                    change[now][b.place] = max(change[now].get(b.place, 0), b.bytes)
        return [sum(places.values()) for places in change[:-1]]

    def peak(self, arena):
        """(call, bytes) where the arena is fullest."""
        live = self.live[arena]
        most = max(live, default=0)
        return (live.index(most), most) if live else (0, 0)

    def cost(self, number):
        """What the shares are of: seconds, or bytes where nothing was timed."""
        return self.seconds[number] if self.seconds else self.calls[number].bytes

    def shares(self):
        """[(op, calls, share)], the largest first."""
        sums = {}
        for number, call in enumerate(self.calls):
            count, cost = sums.get(call.op, (0, 0))
            sums[call.op] = count + 1, cost + self.cost(number)
        total = sum(cost for _, cost in sums.values()) or 1
        rows = [(op, count, cost / total) for op, (count, cost) in sums.items()]
        return sorted(rows, key=lambda row: -row[2])

    def summary(self):
        memory = self.memory
        dead = memory["dead_launches"]
        dropped = f" ({dead} dead ones dropped)" if dead else ""
        return (
            f"{len(self.calls)} launches{dropped}, arena {in_bytes(memory['arena_bytes'])} "
            f"for {in_bytes(memory['unplanned_bytes'])}, results "
            f"{in_bytes(memory['result_bytes'])}"
        )


def in_bytes(n):
    """1536 as "1.5 KiB"."""
    units = ["B", "KiB", "MiB", "GiB"]
    while n >= 1000 and len(units) > 1:
        n /= 1024
        del units[0]
    return f"{n:.0f} {units[0]}" if units[0] == "B" or n >= 99.5 else f"{n:.3g} {units[0]}"


def in_seconds(s):
    """0.0015 as "1.5 ms"."""
    return f"{s * 1e3:.3g} ms" if s >= 1e-3 else f"{s * 1e6:.3g} us"


def source_of(call):
    """The layer and the line of a call, files without their folders."""
    line = _without_folder(call.line)
    layer = call.layer if "(" in call.layer else _without_folder(call.layer, "backward of ")
    return f"{layer}, {line}" if layer else line


def _without_folder(line, start=""):
    kept = start if start and line.startswith(start) else ""
    return kept + line[len(kept) :].replace("\\", "/").rpartition("/")[2]


def text_of(array):
    place = f"+{array.place}" if array.where == "arena" else ""
    return f"{array.dtype}{array.shape} {array.where}{place}"


def _listed(arrays, text):
    shown = ", ".join(map(text, arrays[:_MOST_ARRAYS]))
    more = len(arrays) - _MOST_ARRAYS
    return f"{shown}, {more} more" if more > 0 else shown


def _text(view):
    width = max((len(call.op) for call in view.calls), default=0)
    width = min(width, 24)
    peaks = {view.peak(arena)[0] for arena in range(len(view.arenas))}
    for number, call in enumerate(view.calls):
        live = sum(live[number] for live in view.live)
        time = f"{view.seconds[number] * 1e6:9.1f} us" if view.seconds else ""
        arrays = _listed(call.inputs, text_of)
        results = _listed(call.outputs, lambda a: f"{text_of(a)} {in_bytes(a.bytes)}")
        mark = "*" if number in peaks else " "
        yield (
            f"{number:4}{mark} {call.op:{width}}{time}  live {in_bytes(live):>8}  "
            f"{arrays}{' ' if arrays else ''}-> {results}  # {source_of(call)}"
        )
    for arena, (device, size) in enumerate(view.arenas):
        number, most = view.peak(arena)
        call = view.calls[number]
        yield (
            f"peak on {device}: {in_bytes(most)} in use of {in_bytes(size)}, at {number} "
            f"{call.op}  # {source_of(call)}"
        )
    yield view.summary()
    if view.graph:
        yield view.graph
