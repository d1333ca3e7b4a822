"""What a function under dlx.jit returned, to be made again of the Tensors of a replay."""

from __future__ import annotations

from dlx import _core
from dlx._core import is_simple

__all__ = ["Result"]


class Result:
    """What a call returned: Tensors in tuples, lists, dicts; with numbers, strings, None."""

    def __init__(self, value, arguments, state):
        self.tensors, self.refusal = [], None
        self._places = {id(t): ("argument", i) for i, t in enumerate(arguments)}
        self._places.update((id(t), ("state", t)) for t in state)
        self.template = self._take(value)
        self._alone = self.template == ("new", 0)

    def _take(self, value):
        if isinstance(value, _core.TensorBase):
            if id(value) not in self._places:
                self._places[id(value)] = ("new", len(self.tensors))
                self.tensors.append(value)
            place, what = self._places[id(value)]
            return (place, id(what) if place == "state" else what)
        if isinstance(value, dict):
            return ("dict", type(value), [(k, self._take(v)) for k, v in value.items()])
        if isinstance(value, (list, tuple)):
            return ("sequence", type(value), [self._take(v) for v in value])
        if not is_simple(value):
            self.refusal = self.refusal or (
                f"it returns a {type(value).__name__}: expected Tensors, numbers, strings, None, "
                "in tuples, lists and dicts"
            )
        return ("constant", type(value), value)

    def settle(self):
        """Let go of the Tensors that belong to the caller."""
        self.tensors = None

    def rebuild(self, returned, arguments):
        """The value again, with these new Tensors."""
        if self._alone:
            return returned[0]
        states = {id(what): what for place, what in self._places.values() if place == "state"}
        return self._give(self.template, returned, arguments, states)

    def _give(self, template, returned, arguments, states):
        place, what = template[:2]
        if place == "new":
            return returned[what]
        if place == "argument":
            return arguments[what]
        if place == "state":
            return states[what]
        if place == "constant":
            return template[2]
        if place == "dict":
            items = [(k, self._give(v, returned, arguments, states)) for k, v in template[2]]
            return what(items)
        values = [self._give(v, returned, arguments, states) for v in template[2]]
        return what(*values) if hasattr(what, "_fields") else what(values)

    def parts(self):
        """The template for a ReplayedCall: nested (what, ...) with what the number of a kind of
        ResultKind; None where that cannot make it."""
        states = {id(what): what for place, what in self._places.values() if place == "state"}
        return _parts(self.template, states)


def _parts(template, states):
    place, what = template[:2]
    if place == "new":
        return (0, what)
    if place == "argument":
        return (1, what)
    if place == "state":
        return (2, states[what])
    if place == "constant":
        return (2, template[2])
    if what not in (tuple, list, dict):
        return None
    values = [v for _, v in template[2]] if what is dict else template[2]
    items = [_parts(v, states) for v in values]
    if None in items:
        return None
    keys = [k for k, _ in template[2]] if what is dict else []
    return (3 + (tuple, list, dict).index(what), items, keys)
