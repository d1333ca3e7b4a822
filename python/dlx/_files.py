"""dlx.save and dlx.load: one safetensors file, its structure as JSON in the metadata.

    format     "dlx"
    structure  JSON of the object, its tensors by name: {"dict": [[key, value], ...]},
               {"list": [...]}, {"tuple": [...]}, {"tensor": "name"}, {"float": "nan"},
               {"module": {"tree": ..., "weights": ..., "optimizer": ...}}; text, finite numbers,
               booleans and null stand for themselves
    sha256     of `structure`, then of the JSON of the header without metadata (keys sorted, no
               spaces), then of the data

Loading runs no code from the file: classes of dlx.nn are rebuilt by name (_rebuild.py), nothing
else is.
"""

from __future__ import annotations

import hashlib
import json
import numbers
import os

import dlx
from dlx import _rebuild
from dlx._device import resolve_device
from dlx.interop import safetensors

__all__ = ["load", "load_state", "save", "save_state"]


def save(obj, path):
    """Write `obj` to one file, atomically: after a crash `path` holds the old content or the new.

    obj: nested dicts (keys text, numbers, booleans, None), lists and tuples of Tensors, numbers,
    text, booleans, None and modules of dlx.nn classes. A Tensor met twice is stored once. Raises
    TypeError for anything else, naming its place; FileNotFoundError when the folder is missing.
    """
    encoder = _Encoder()
    _write(path, encoder.encode(obj, ""), encoder.tensors)


def load(path, *, device=None):
    """The object saved at `path`; a file of another library gives {name: Tensor}.

    A file of `model.save` gives the model when its classes are all of dlx.nn. Tensors come back as
    leaves that require no gradient, on `device`, wherever they were when they were saved. Raises
    FileNotFoundError, or ValueError for a file that is not valid; both name the path.
    """
    with resolve_device(device):  # of a model too
        tensors, structure = _open(path)
        return tensors if structure is None else _Decoder(path, tensors).decode(structure)


def save_state(model, optimizer, path):
    """Write a model's weights and buffers under their state_dict keys, and `optimizer` (a dict or
    None) under "optimizer."; a model of dlx.nn classes only can be had back by `load`.
    """
    encoder = _Encoder()
    try:
        tree = _rebuild.describe(model)
    except TypeError as error:
        tree = {"unknown": str(error)}
    node = {"tree": tree, "weights": encoder.encode(dict(model.state_dict()), "")}
    node["optimizer"] = encoder.encode(optimizer, "optimizer")
    _write(path, {"module": node}, encoder.tensors)


def load_state(path, *, device=None):
    """(weights, optimizer): the state_dict in the file, and save_state's dict or None."""
    with resolve_device(device):
        tensors, structure = _open(path)
    if structure is None:
        return tensors, None
    decoder, optimizer = _Decoder(path, tensors), None
    if isinstance(structure, dict) and "module" in structure:
        node = decoder.field(structure, "module", dict)
        structure = decoder.field(node, "weights", dict)
        optimizer = decoder.decode(node.get("optimizer"))
    weights = decoder.decode(structure)
    if not isinstance(weights, dict):
        raise ValueError(f"{path}: holds a {type(weights).__name__}, not a model's weights")
    return weights, optimizer


def _write(path, structure, tensors):
    text = json.dumps(structure, separators=(",", ":"), allow_nan=False)

    def metadata(table, data):
        return {"format": "dlx", "structure": text, "sha256": _checksum(text, table, data)}

    safetensors.write(path, tensors, metadata)


def _open(path):
    """(tensors, structure); the structure is None in a file that dlx.save did not write."""
    tensors, metadata, table, data = safetensors.read_all(path)
    if metadata.get("format") != "dlx":
        return tensors, None
    text = metadata.get("structure", "")
    if _checksum(text, table, [data]) != metadata.get("sha256"):
        raise ValueError(f"{os.fspath(path)}: checksum mismatch, the file is damaged")
    try:
        return tensors, json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{os.fspath(path)}: its structure is not JSON: {error}") from None


def _checksum(text, table, data):
    digest = hashlib.sha256(text.encode())
    digest.update(json.dumps(table, separators=(",", ":"), sort_keys=True).encode())
    for part in data:
        digest.update(part)
    return digest.hexdigest()


class _Encoder:
    """Turns objects into JSON and collects their tensors under readable names."""

    def __init__(self):
        self.tensors = {}  # name -> Tensor
        self.names = {}  # id of a Tensor or container -> name, None while inside it

    def encode(self, obj, place):
        if obj is None or isinstance(obj, (bool, str)):
            return obj
        if isinstance(obj, numbers.Integral):
            return int(obj)
        if isinstance(obj, numbers.Real):
            value = float(obj)
            return value if value - value == 0 else {"float": repr(value)}
        if isinstance(obj, dlx.Tensor):
            return {"tensor": self._name(obj, place)}
        if isinstance(obj, (dict, list, tuple)):
            if id(obj) in self.names:
                raise ValueError(f"save: the {type(obj).__name__} at {place!r} contains itself")
            self.names[id(obj)] = None
            node = self._container(obj, place)
            del self.names[id(obj)]
            return node
        if isinstance(obj, dlx.nn.Module):
            weights = self.encode(dict(obj.state_dict()), place)
            return {"module": {"tree": _rebuild.describe(obj), "weights": weights}}
        hint = "; dlx.tensor(...) first" if hasattr(obj, "__array_interface__") else ""
        raise TypeError(f"save: cannot store {type(obj).__name__} at {place or 'the top'}{hint}")

    def _container(self, obj, place):
        if isinstance(obj, dict):
            return {
                "dict": [
                    [self._key(k, place), self.encode(v, _join(place, k))] for k, v in obj.items()
                ]
            }
        items = [self.encode(item, _join(place, i)) for i, item in enumerate(obj)]
        return {"tuple" if isinstance(obj, tuple) else "list": items}

    def _key(self, key, place):
        if key is None or isinstance(key, (str, bool, int)):
            return key
        if isinstance(key, float):
            return self.encode(key, place)
        raise TypeError(
            f"save: a key must be text, a number, a boolean or None, got {type(key).__name__} "
            f"at {place or 'the top'}"
        )

    def _name(self, tensor, place):
        name = self.names.get(id(tensor))
        if name is None:
            name = base = place or "tensor"
            count = 1
            while name in self.tensors or name == safetensors.METADATA:
                count += 1
                name = f"{base}#{count}"
            self.tensors[name] = tensor
            self.names[id(tensor)] = name
        return name


def _join(place, key):
    return f"{place}.{key}" if place else str(key)


class _Decoder:
    """The inverse, for text that anybody may have written: every surprise is a ValueError."""

    def __init__(self, path, tensors):
        self.path, self.tensors = os.fspath(path), tensors

    def decode(self, node):
        if node is None or isinstance(node, (bool, int, float, str)):
            return node
        if isinstance(node, dict) and "module" in node:
            return self._module(self.field(node, "module", dict))
        if isinstance(node, dict) and len(node) == 1:
            kind = next(iter(node))
            if kind == "tensor":
                name = self.field(node, "tensor", str)
                if name not in self.tensors:
                    raise self.error(f"no tensor {name!r}")
                return self.tensors[name]
            if kind in ("list", "tuple"):
                items = [self.decode(item) for item in self.field(node, kind, list)]
                return tuple(items) if kind == "tuple" else items
            if kind == "dict":
                return dict(self._pair(pair) for pair in self.field(node, "dict", list))
            if kind == "float" and node[kind] in ("nan", "inf", "-inf"):
                return float(node[kind])
        raise self.error(f"unknown entry {str(node)[:60]!r}")

    def field(self, node, name, kind):
        value = node.get(name)
        if not isinstance(value, kind):
            raise self.error(f"{name!r} must be a {kind.__name__}, got {type(value).__name__}")
        return value

    def error(self, text):
        return ValueError(f"{self.path}: bad structure: {text}")

    def _pair(self, pair):
        if not isinstance(pair, list) or len(pair) != 2:
            raise self.error(f"a dict holds [key, value] pairs, got {str(pair)[:60]!r}")
        key = self.decode(pair[0])
        if key is not None and not isinstance(key, (str, bool, int, float)):
            raise self.error(f"key of type {type(key).__name__}")
        return key, self.decode(pair[1])

    def _module(self, node):
        tree = self.field(node, "tree", dict)
        weights = self.decode(self.field(node, "weights", dict))
        if "unknown" in tree:
            raise ValueError(
                f"{self.path}: holds weights only ({tree['unknown']}); "
                f"build the model and call model.load_state(path)"
            )
        try:
            return _rebuild.rebuild(tree, weights)
        except (
            TypeError,
            ValueError,
            KeyError,
            AttributeError,
            RuntimeError,
            MemoryError,
        ) as error:
            raise self.error(f"the model cannot be rebuilt: {error}") from None
