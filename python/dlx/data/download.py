"""Files of data sets: $DLX_DATA, then the cache, then the network; every one checked by SHA-256."""

from __future__ import annotations

import os

__all__ = ["cache_folder", "find", "read"]

TIMEOUT = 20.0  # seconds that a server may keep silent
LEAST = 16_384  # bytes that TIMEOUT seconds have to bring: less is a stalled server, too
BLOCK = 1 << 18


def cache_folder() -> str:
    """Where downloads are kept: $XDG_CACHE_HOME/dlx, or ~/.cache/dlx."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "dlx")


def find(folder: str, name: str, sha256: str) -> bytes | None:
    """The content of $DLX_DATA/folder/name, else of the cache's; None where neither has it.

    An altered file in $DLX_DATA raises ValueError, one in the cache counts as absent."""
    mine = _mine(folder, name)
    if mine and os.path.exists(mine):
        data = _content(mine)
        got = _digest(data)
        if got != sha256:
            raise ValueError(
                f"{mine}: not the original file: expected SHA-256 {sha256}, got {got} "
                f"({len(data):,} bytes); replace it, or unset DLX_DATA"
            )
        return data
    cached = os.path.join(cache_folder(), folder, name)
    if os.path.exists(cached):
        data = _content(cached)
        if _digest(data) == sha256:
            return data
    return None


def read(folder: str, name: str, sha256: str, mirrors) -> bytes:
    """The content of a file, downloaded into the cache where `find` has none.

    mirrors: the URLs of the folder, tried in turn. Raises ConnectionError, which names every URL
    and what was wrong with it, the digests, and where to put the file by hand; OSError where the
    cache cannot be written."""
    data = find(folder, name, sha256)
    if data is not None:
        return data
    path = os.path.join(cache_folder(), folder, name)
    with _open_part(f"{path}.part") as part:
        try:
            data = find(folder, name, sha256)  # another process may have brought it meanwhile
            if data is not None:
                return data
            failures = []
            if os.path.exists(path):
                got = _digest(_content(path))
                failures.append(f"  {path}: not the original file: SHA-256 {got}")
            for mirror in mirrors:
                failure = _download(mirror + name, part, sha256)
                if failure is None:
                    os.replace(part.name, path)
                    return _content(path)
                failures.append(f"  {mirror + name}: {failure}")
        finally:
            if not part.tell() and os.path.exists(part.name):
                os.remove(part.name)
    here = _mine(folder, name) or os.path.join("$DLX_DATA", folder, name)
    raise ConnectionError(
        f"{name} of {folder} could not be downloaded:\n" + "\n".join(failures) + "\n"
        f"Expected SHA-256 {sha256}. To provide the file by hand: save it as {here}"
        + ("" if os.environ.get("DLX_DATA") else ", DLX_DATA being any folder of yours")
    )


def _download(url, part, sha256):
    """Complete `part`, an open file, from `url`; None, or what went wrong."""
    resumed = part.seek(0, os.SEEK_END) > 0
    failure = _transfer(url, part)
    if failure is not None:
        return failure
    with open(part.name, "rb") as file:
        got = _digest(file.read())
    if got == sha256:
        return None
    size = part.tell()
    part.truncate(0)
    if resumed:  # the two pieces do not belong together
        return _download(url, part, sha256)
    return f"sent another file: SHA-256 {got}, {size:,} bytes"


def _transfer(url, part):
    """Append to `part` what it lacks of `url`; None, or what went wrong."""
    import http.client
    import sys
    import time
    import urllib.error
    import urllib.request

    have = part.tell()
    request = urllib.request.Request(url, headers={"User-Agent": "dlx"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the part is as long as the file, or longer: its digest decides
            return None
        return f"HTTP status {error.code} {error.reason}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return _reason(error)
    with response:
        if have and response.status != 206:  # the server sends the whole file again
            part.truncate(0)
            part.seek(0)
            have = 0
        length = response.headers.get("Content-Length")
        expected = have + int(length) if length and length.isdigit() else None
        size = f" ({expected:,} bytes)" if expected else ""
        print(f"dlx: downloading {url}{size}", file=sys.stderr)
        start, brought = time.monotonic(), 0
        while True:
            try:
                block = response.read1(BLOCK)
            except (OSError, http.client.HTTPException) as error:
                part.flush()
                return f"{_reason(error)}, after {part.tell():,} bytes"
            if not block:
                break
            part.write(block)
            brought += len(block)
            now = time.monotonic()
            if now - start > TIMEOUT:
                if brought < LEAST:
                    return f"stalled: {brought:,} bytes in {now - start:.0f} s"
                start, brought = now, 0
    part.flush()
    if expected is not None and part.tell() < expected:
        return f"truncated: {part.tell():,} of {expected:,} bytes"
    return None


def _reason(error):
    """An error of the network in words."""
    error = getattr(error, "reason", error)
    if isinstance(error, TimeoutError):
        return f"no answer for {TIMEOUT:g} s"
    return f"{type(error).__name__}: {error}" if isinstance(error, Exception) else str(error)


def _open_part(path):
    """The file of a download, to go on with what an interrupted call left, once no other process
    downloads it."""
    while True:
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            part = open(path, "ab")  # noqa: SIM115  the caller closes it
        except OSError as error:
            raise OSError(
                error.errno,
                f"the cache {cache_folder()} cannot be written ({error}); set XDG_CACHE_HOME to "
                f"another folder, or DLX_DATA to one that has the file",
            ) from None
        _lock(part)
        if os.path.exists(path) and os.path.samestat(os.stat(path), os.fstat(part.fileno())):
            return part
        part.close()  # complete or given up meanwhile: its name is gone, or another file's


def _lock(file):
    """Wait for other processes that download the same file, where the file system can tell."""
    import contextlib
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX)


def _mine(folder, name):
    """The path of a file in $DLX_DATA, None without it."""
    root = os.environ.get("DLX_DATA")
    return os.path.join(root, folder, name) if root else None


def _content(path):
    with open(path, "rb") as file:
        return file.read()


def _digest(data):
    import hashlib

    return hashlib.sha256(data).hexdigest()
