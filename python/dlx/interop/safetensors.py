"""Reader and writer of safetensors files, strict: what the format does not allow raises.

    8 bytes   length L of the header, little-endian
    L bytes   JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...,
              "__metadata__": {"text": "text", ...}}, padded with spaces
    the rest  the arrays, row-major and little-endian, without gaps or overlaps

Format: https://github.com/huggingface/safetensors#format. Nothing here runs code from a file.
"""

from __future__ import annotations

import json
import math
import os

import dlx
from dlx import _core
from dlx._device import resolve_device

__all__ = ["bytes_of", "load_file", "read", "read_all", "save_file", "write"]

HEADER_LIMIT = 100_000_000  # bytes, the limit of the format's first implementation
ALIGNMENT = 64  # of the data within the file
METADATA = "__metadata__"
INT64_MAX = 2**63 - 1
MAX_DIMS = 8  # of an array of dlx

# dtype in the file: (bytes of an element, dtype of dlx)
DTYPES = {
    "F64": (8, "float64"),
    "F32": (4, "float32"),
    "F16": (2, "float16"),
    "BF16": (2, "bfloat16"),
    "I64": (8, "int64"),
    "I32": (4, "int32"),
    "U8": (1, "uint8"),
    "BOOL": (1, "bool"),
}
FILE_DTYPES = {name: code for code, (_, name) in DTYPES.items()}


def load_file(path, *, device=None):
    """{name: Tensor} of a safetensors file, in the order of the data, on `device`.

    Raises FileNotFoundError, or ValueError for a file that breaks the format or holds a dtype dlx
    has not; both name the path.
    """
    return read(path, device=device)[0]


def save_file(tensors, path, metadata=None):
    """Write {name: Tensor} and metadata {str: str} as one safetensors file, atomically."""
    write(path, tensors, metadata)


def read(path, *, device=None):
    """({name: Tensor}, {key: text}): the arrays and the metadata of a file."""
    return read_all(path, device=device)[:2]


def write(path, tensors, metadata=None):
    """Write the file; `metadata` is a dict of strings, or a function (table, data) -> such a dict,
    called with the header without metadata and the list of the arrays' bytes, in file order.
    """
    path = os.path.realpath(os.fspath(path))
    table, data = _layout(path, tensors)
    if callable(metadata):
        metadata = metadata(table, data)
    for key, text in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"{path}: metadata must map str to str, got {key!r}: {text!r}")
    entries = {METADATA: metadata, **table} if metadata else table
    header = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-(8 + len(header)) % ALIGNMENT)
    if len(header) > HEADER_LIMIT:
        raise ValueError(f"{path}: header of {len(header)} bytes, the limit is {HEADER_LIMIT}")
    _replace(path, [len(header).to_bytes(8, "little"), header, *data])


def _layout(path, tensors):
    for name, tensor in tensors.items():
        if not isinstance(name, str) or name == METADATA:
            raise TypeError(
                f"{path}: a tensor's name must be a str other than {METADATA!r}: {name!r}"
            )
        if not isinstance(tensor, dlx.Tensor):
            raise TypeError(f"{path}: {name!r} must be a Tensor, got {type(tensor).__name__}")
    table, data, end = {}, [], 0
    # Wide elements first: every array starts at a multiple of its element, as readers expect.
    sizes = {name: DTYPES[FILE_DTYPES[str(t.dtype)]][0] for name, t in tensors.items()}
    for name in sorted(tensors, key=lambda name: (-sizes[name], name)):
        tensor = tensors[name]
        data.append(bytes_of(tensor))
        begin, end = end, end + data[-1].nbytes
        code = FILE_DTYPES[str(tensor.dtype)]
        table[name] = {"dtype": code, "shape": list(tensor.shape), "data_offsets": [begin, end]}
    return table, data


def _replace(path, parts):
    """Write `parts` to a new file and move it to `path`: readers see the old or the new."""
    folder = os.path.dirname(path)
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path} is a folder; give the name of a file")
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{path}: there is no folder {folder}")
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    try:
        with open(temporary, "xb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    descriptor = os.open(folder, os.O_RDONLY)  # the new name itself must reach the disk
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_all(path, *, device=None):
    """(tensors, metadata, table, data): with the header's table and the bytes, for checksums."""
    path = os.fspath(path)
    try:
        with open(path, "rb") as file:
            data = memoryview(file.read())
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder, not a file") from None
    try:
        header, data = _split(data)
        table, metadata = _parse(header)
        _check_layout(table, data.nbytes)
        tensors = {name: _tensor_of(name, entry, data, device) for name, entry in table.items()}
    except _BadFileError as error:
        raise ValueError(f"{path}: not a valid safetensors file: {error}") from None
    return tensors, metadata, table, data


class _BadFileError(Exception):
    """What is wrong with a file; becomes a ValueError that names the path."""


def _split(data):
    if data.nbytes < 8:
        raise _BadFileError(f"{data.nbytes} bytes, at least 8 are needed")
    length = int.from_bytes(data[:8], "little")
    if length > HEADER_LIMIT:
        raise _BadFileError(f"header of {length} bytes, the limit is {HEADER_LIMIT}")
    if length > data.nbytes - 8:
        raise _BadFileError(f"header of {length} bytes in a file of {data.nbytes} (truncated?)")
    return bytes(data[8 : 8 + length]), data[8 + length :]


def _parse(header):
    """(table sorted by place, metadata) from the JSON header; checks all but the offsets."""
    if not header.startswith(b"{"):
        raise _BadFileError("the header does not start with '{'")
    try:
        entries = json.loads(
            header.decode(), object_pairs_hook=_no_duplicates, parse_constant=_no_constants
        )
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError, JSONDecodeError included
        raise _BadFileError(f"the header is not JSON: {error}") from None
    metadata = entries.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(t, str) for t in metadata.values()):
        raise _BadFileError(f"{METADATA} must map text to text")
    for name, entry in entries.items():
        _check_entry(name, entry)
    return dict(sorted(entries.items(), key=lambda item: item[1]["data_offsets"])), metadata


def _no_duplicates(pairs):
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise _BadFileError(f"duplicate key {next(n for n in names if names.count(n) > 1)!r}")
    return result


def _no_constants(text):
    raise _BadFileError(f"the header holds {text}")


def _check_entry(name, entry):
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _BadFileError(f"{name!r} must have exactly dtype, shape and data_offsets")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise _BadFileError(f"{name!r} has dtype {code!r}; dlx reads {', '.join(DTYPES)}")
    for field, values in (("shape", shape), ("data_offsets", offsets)):
        if not isinstance(values, list) or not all(type(v) is int and v >= 0 for v in values):
            raise _BadFileError(f"{name!r}: {field} must be integers >= 0, got {values!r}")
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _BadFileError(f"{name!r}: data_offsets must be [begin, end], got {offsets!r}")
    size = DTYPES[code][0]
    if len(shape) > MAX_DIMS or size * math.prod(max(extent, 1) for extent in shape) > INT64_MAX:
        raise _BadFileError(f"{name!r}: shape {shape} is too large")
    expected = size * math.prod(shape)
    if offsets[1] - offsets[0] != expected:
        raise _BadFileError(
            f"{name!r}: {code} of shape {shape} needs {expected} bytes, "
            f"data_offsets {offsets} hold {offsets[1] - offsets[0]}"
        )


def _check_layout(table, size):
    end, before = 0, None
    for name, entry in table.items():
        begin = entry["data_offsets"][0]
        if begin < end:
            raise _BadFileError(f"{name!r} overlaps {before!r}")
        if begin > end:
            raise _BadFileError(f"{begin - end} bytes without an owner before {name!r}")
        end, before = entry["data_offsets"][1], name
    if end > size:
        raise _BadFileError(f"{before!r} ends at byte {end} of {size} (truncated?)")
    if end < size:
        raise _BadFileError(f"{size - end} bytes without an owner at the end")


def bytes_of(tensor):
    """The values, row-major and little-endian, as a read-only memoryview; no copy of a dense tensor
    of the CPU."""
    size = DTYPES[FILE_DTYPES[str(tensor.dtype)]][0] * math.prod(tensor.shape)
    return memoryview(_core.reinterpret(tensor.detach().cpu(), dlx.uint8, (size,)))


def _tensor_of(name, entry, data, device):
    begin, end = entry["data_offsets"]
    part = data[begin:end]
    if entry["dtype"] == "BOOL" and bytes(part).strip(b"\0\1"):
        raise _BadFileError(f"{name!r}: a BOOL must be 0 or 1")
    dtype = getattr(dlx, DTYPES[entry["dtype"]][1])
    raw = _core.borrow(part) if end > begin else dlx.empty((0,), dtype=dlx.uint8)
    tensor = _core.reinterpret(raw, dtype, tuple(entry["shape"]))
    return tensor.to(resolve_device(device))
