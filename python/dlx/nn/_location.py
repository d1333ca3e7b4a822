"""Where in a model an exception arose: the layer's path, put in front of its message."""

from __future__ import annotations

__all__ = ["add", "path_of"]


def add(error, module):
    """Prefix the message of error, which passes through module's call, with the path below it.

    Each enclosing module calls this as the exception travels outwards, so the path grows at its
    front: "Linear(64, 10): ..." becomes "Sequential.2 (Linear(64, 10)): ...". The exception keeps
    its type; one whose message is not plain text is left alone.
    """
    if type(error).__str__ is not BaseException.__str__:  # KeyError, OSError and their like
        return
    trace = vars(error).get("_dlx_location")
    if trace is None:
        if not (len(error.args) == 1 and isinstance(error.args[0], str)):
            return
        message, layer, path = error.args[0], _call(module), ""
        text = f"{layer}: {message}"
    else:
        message, layer, inner, path = trace
        path = f"{_name_in(module, inner)}.{path}".rstrip(".")
        text = f"{type(module).__name__}.{path} ({layer}): {message}"
    error._dlx_location = message, layer, module, path
    error.args = (text,)


def path_of(modules):
    """Where in the first of these Modules, each of which calls the next, the last one is:
    "Sequential.2 (Linear(64, 10))"."""
    modules = [module for module in modules if module is not None]  # they may have died since
    if len(modules) < 2:
        return "".join(map(_call, modules)) or "a layer that is gone"
    outer, names = modules[0], [type(modules[0]).__name__]
    for module in modules[1:]:
        if module is not outer:  # as when a class calls its base's __call__
            names.append(_name_in(outer, module))
        outer = module
    return f"{'.'.join(names)} ({_call(modules[-1])})"


def _name_in(outer, module):
    return (
        next((name for name, m in outer.named_modules() if m is module), "")
        or type(module).__name__
    )


def _call(module):
    """The call that made the module, with its required arguments only: "Linear(64, 10)"."""
    init = type(module).__init__
    required = init.__code__.co_argcount - 1 - len(init.__defaults__ or ())
    names = init.__code__.co_varnames[1 : 1 + required]
    values = [vars(module).get(name) for name in names]
    plain = values and all(isinstance(value, (int, float, str, tuple)) for value in values)
    shown = f"({', '.join(map(repr, values))})" if plain else ""
    return f"{type(module).__name__}{shown}"
