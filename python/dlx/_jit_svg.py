"""A recorded step as a picture: plain SVG, readable on light and dark."""

from __future__ import annotations

from dlx._jit_view import in_bytes, in_seconds, source_of

__all__ = ["picture"]

_WIDTH, _LEFT, _RIGHT = 1200, 84, 24
_INNER = _WIDTH - _LEFT - _RIGHT
_ARENA, _TIMES, _ROW = 380, 90, 22  # heights
_MOST_OPS = 14  # rows of the table of ops

# Of a call: what it belongs to. Colours that differ in lightness, too.
_PHASES = {"forward": "#4c8bf5", "backward": "#f2994a", "other": "#8e7cc3"}
_NAMES = {"forward": "forward", "backward": "backward", "other": "loss, optimizer, the rest"}

_STYLE = """
svg { background: #ffffff; color: #1d2129; }
text { font: 13px system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1d2129; }
.title { font-size: 19px; font-weight: 600; }
.head { font-size: 14px; font-weight: 600; }
.soft, .tick { fill: #6a7280; }
.tick { font-size: 11px; }
.back { fill: #ffffff; }
.field { fill: #f3f5f8; }
.grid { stroke: #d5dae2; stroke-width: 1; }
.live { fill: none; stroke: #1d2129; stroke-width: 1.5; }
.peak { stroke: #d33a2c; stroke-width: 1.5; stroke-dasharray: 5 4; }
.peaktext { fill: #d33a2c; font-weight: 600; font-size: 11.5px; }
.block { stroke: #ffffff; fill-opacity: 0.85; }
.block:hover, .bar:hover { fill-opacity: 1; stroke: #1d2129; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
  svg { background: #14171c; color: #e6e9ee; }
  text { fill: #e6e9ee; }
  .soft, .tick { fill: #9aa4b2; }
  .back { fill: #14171c; }
  .field { fill: #1d2229; }
  .grid { stroke: #39414d; }
  .live { stroke: #e6e9ee; }
  .peak { stroke: #ff6b5c; }
  .peaktext { fill: #ff6b5c; }
  .block { stroke: #14171c; }
  .block:hover, .bar:hover { stroke: #e6e9ee; }
}
"""


def escape(text):
    """Text for XML, in an element or an attribute."""
    for bad, good in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(bad, good)
    return "".join(c for c in text if c >= " " or c in "\n\t")


def shortened(text, most):
    return text if len(text) <= most else text[: most - 3] + "..."


def picture(view):
    """The whole SVG as text."""
    page = _Page(view)
    page.head()
    for arena in range(len(view.arenas)):
        page.arena(arena)
    page.times()
    page.shares()
    return page.finish()


def _phase(call):
    if call.layer.startswith("backward of"):
        return "backward"
    return "forward" if call.layer else "other"


class _Page:
    def __init__(self, view):
        self.view, self.y, self.parts = view, 0, []
        self.step = _INNER / max(len(view.calls), 1)

    def add(self, text):
        self.parts.append(text)

    def text(self, x, y, text, css="", anchor="start"):
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}">'
                 f"{escape(text)}</text>")  # fmt: skip

    def rect(self, x, y, width, height, css, fill="", title=""):
        fill = f' fill="{fill}"' if fill else ""
        inside = f"<title>{escape(title)}</title>" if title else ""
        self.add(
            f'<rect x="{x:.2f}" y="{y:.2f}" width="{max(width, 0.4):.2f}" '
            f'height="{max(height, 0.4):.2f}" class="{css}"{fill}>{inside}</rect>'
        )

    def line(self, x1, y1, x2, y2, css):
        self.add(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>')

    def at(self, number):
        """The left edge of a call."""
        return _LEFT + number * self.step

    def about(self, number):
        """What hovering over a call says."""
        call = self.view.calls[number]
        arrays = [f"-> {a.dtype}{a.shape}  {in_bytes(a.bytes)}" for a in call.outputs]
        lines = [f"{number}  {call.op}", *arrays]
        if self.view.seconds:
            lines.append(in_seconds(self.view.seconds[number]))
        return "\n".join([*lines, *([call.layer] if call.layer else []), call.line])

    def head(self):
        self.text(_LEFT, 34, "A recorded step", "title")
        self.text(_LEFT, 56, self.view.summary(), "soft")
        x = _WIDTH - _RIGHT - 560
        for phase, colour in _PHASES.items():
            self.rect(x, 24, 13, 13, "", colour)
            self.text(x + 19, 35, _NAMES[phase])
            x += 40 + 8 * len(_NAMES[phase])
        self.line(x, 31, x + 24, 31, "live")
        self.text(x + 30, 35, "bytes in use")
        self.y = 76

    def arena(self, arena):
        view, top = self.view, self.y + 24
        device, size = view.arenas[arena]
        number, most = view.peak(arena)
        scale = _ARENA / max(size, 1)
        self.text(_LEFT, self.y + 14, f"Memory: the arena on {device}, {in_bytes(size)}", "head")
        self.rect(_LEFT, top, _INNER, _ARENA, "field")
        for k in range(5):
            y = top + _ARENA - k * _ARENA / 4
            self.line(_LEFT, y, _LEFT + _INNER, y, "grid")
            self.text(_LEFT - 8, y + 4, in_bytes(size * k / 4), "tick", "end")
        taken_over = {(b.place, b.first) for b in view.blocks if b.arena == arena}
        for b in view.blocks:
            if b.arena != arena:
                continue
            height = b.bytes * scale
            maker = b.maker if b.maker >= 0 else b.first
            in_place = b.first < b.last and (b.place, b.last) in taken_over
            self.rect(
                self.at(b.first), top + _ARENA - (b.place * scale + height),
                (b.last - b.first + (not in_place)) * self.step, height, "block",
                _PHASES[_phase(view.calls[maker])],
                f"{in_bytes(b.bytes)} at {b.place}, from call {b.first} to {b.last}, made by\n"
                + self.about(maker),
            )  # fmt: skip
        points = []
        for k, live in enumerate(view.live[arena]):
            y = top + _ARENA - live * scale
            points += [f"{self.at(k):.1f},{y:.1f}", f"{self.at(k + 1):.1f},{y:.1f}"]
        self.add(f'<polyline points="{" ".join(points)}" class="live" pointer-events="none"/>')
        x = self.at(number + 0.5)
        self.line(x, top - 6, x, top + _ARENA, "peak")
        call = view.calls[number]
        said = f"peak {in_bytes(most)} at {number} {call.op}, {source_of(call)}"
        self.text(_LEFT + _INNER, self.y + 14, shortened(said, 108), "peaktext", "end")
        self.y = top + _ARENA
        self.calls_axis()

    def calls_axis(self):
        count = len(self.view.calls)
        every = next(
            n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10**9) if n * 16 >= count
        )
        for number in range(0, count, every):
            self.text(self.at(number + 0.5), self.y + 15, str(number), "tick", "middle")
        self.y += 34

    def times(self):
        view = self.view
        costs = [view.cost(number) for number in range(len(view.calls))]
        most = max(costs, default=0) or 1
        if view.seconds:
            what = f"Time of each launch: {in_seconds(sum(costs))} in all"
            limit = in_seconds(most)
        else:
            what = "Bytes that each launch has to move (program.time() measures seconds)"
            limit = in_bytes(most)
        top = self.y + 24
        self.text(_LEFT, self.y + 14, what, "head")
        self.rect(_LEFT, top, _INNER, _TIMES, "field")
        self.text(_LEFT - 8, top + 10, limit, "tick", "end")
        self.text(_LEFT - 8, top + _TIMES, "0", "tick", "end")
        for number, cost in enumerate(costs):
            height = cost / most * _TIMES
            self.rect(
                self.at(number), top + _TIMES - height, self.step * 0.92, height, "bar",
                _PHASES[_phase(view.calls[number])], self.about(number),
            )  # fmt: skip
        self.y = top + _TIMES
        self.calls_axis()

    def shares(self):
        rows = self.view.shares()
        kept = rows[:_MOST_OPS]
        if len(rows) > _MOST_OPS:
            rest = rows[_MOST_OPS:]
            kept.append(("other ops", sum(r[1] for r in rest), sum(r[2] for r in rest)))
        what = "Share of time per op" if self.view.seconds else "Share of bytes moved per op"
        self.text(_LEFT, self.y + 14, what, "head")
        top, start, most = self.y + 26, _LEFT + 330, max((r[2] for r in kept), default=0) or 1
        for k, (op, count, share) in enumerate(kept):
            y = top + k * _ROW
            self.text(start - 62, y + 14, shortened(op, 40), anchor="end")
            self.text(start - 8, y + 14, f"x {count}", "tick", "end")
            width = share / most * (_WIDTH - _RIGHT - start - 60)
            self.rect(start, y + 3, width, _ROW - 6, "bar", "#5aa469", f"{op}: {count} launches")
            self.text(start + width + 8, y + 14, f"{share:.1%}", "tick")
        self.y = top + len(kept) * _ROW

    def finish(self):
        height = self.y + 20
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" '
            f'width="{_WIDTH}" height="{height:.0f}" role="img">\n<style>{_STYLE}</style>\n'
            f'<rect width="100%" height="100%" class="back"/>\n'
            + "\n".join(self.parts)
            + "\n</svg>\n"
        )
