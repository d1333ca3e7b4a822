"""MNIST, Fashion-MNIST and CIFAR-10: parsed, found, downloaded and checked.

The servers are threads of this process; nothing here touches the network. Small files of the
official formats stand for the real ones, which are tested where $DLX_DATA has them.
"""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import os
import pathlib
import re
import struct
import subprocess
import sys
import tarfile
import threading
import time

import numpy as np
import pytest

import dlx
from dlx.data import download, images

pytestmark = pytest.mark.on_its_device

NAME, PAYLOAD = "file.gz", bytes(range(256)) * 400
DIGEST = hashlib.sha256(PAYLOAD).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, no DLX_DATA, no proxy; the folder of the set `set` in the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("DLX_DATA", raising=False)
    return tmp_path / "dlx" / "set"


class Server:
    """An HTTP server whose answer to a GET is `answer(handler)`; it remembers the paths asked."""

    def __init__(self, answer):
        self.asked = asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append((self.path, self.headers.get("Range")))
                answer(self)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def serve():
    servers = []

    def start(answer):
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def send(handler, body, *, status=200, length=None):
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def good(handler):
    send(handler, PAYLOAD)


def resuming(handler):
    """As a server that knows Range."""
    asked = handler.headers.get("Range")
    if asked is None:
        return send(handler, PAYLOAD)
    start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
    if start >= len(PAYLOAD):
        return handler.send_error(416)
    return send(handler, PAYLOAD[start:], status=206)


def truncating(handler):
    send(handler, PAYLOAD[:1000], length=len(PAYLOAD))


def altering(handler):
    send(handler, PAYLOAD[:-1] + b"x")


def missing(handler):
    handler.send_error(404)


def stalling(handler):
    send(handler, PAYLOAD[:1000], length=len(PAYLOAD))
    time.sleep(5)


def silent(handler):
    time.sleep(5)


def dripping(handler):
    """A byte now and then: no single wait is long, the whole would take for ever."""
    send(handler, b"", length=len(PAYLOAD))
    for _ in range(50):
        handler.wfile.write(b"x")
        time.sleep(0.05)


def read(*servers):
    return download.read("set", NAME, DIGEST, [server.url for server in servers])


def test_a_file_is_downloaded_once_and_then_cached(cache, serve):
    server = serve(good)
    assert read(server) == PAYLOAD and read(server) == PAYLOAD
    assert server.asked == [(f"/{NAME}", None)]
    assert [path.name for path in cache.iterdir()] == [NAME]
    assert (cache / NAME).read_bytes() == PAYLOAD


def test_a_file_in_dlx_data_comes_first(cache, serve, tmp_path, monkeypatch):
    server = serve(good)
    monkeypatch.setenv("DLX_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "set").mkdir(parents=True)
    (tmp_path / "data" / "set" / NAME).write_bytes(PAYLOAD)
    assert read(server) == PAYLOAD
    assert server.asked == [] and not cache.exists()


def test_an_altered_file_in_dlx_data_is_named_with_both_digests(tmp_path, monkeypatch, serve):
    path = tmp_path / "set" / NAME
    path.parent.mkdir()
    path.write_bytes(PAYLOAD[:-1])
    monkeypatch.setenv("DLX_DATA", str(tmp_path))
    with pytest.raises(ValueError) as caught:
        read(serve(good))
    for text in (str(path), DIGEST, hashlib.sha256(PAYLOAD[:-1]).hexdigest(), "DLX_DATA"):
        assert text in str(caught.value)


def test_an_altered_file_in_the_cache_is_downloaded_again(cache, serve):
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(PAYLOAD[:-1] + b"x")
    assert read(serve(good)) == PAYLOAD
    assert (cache / NAME).read_bytes() == PAYLOAD


@pytest.mark.parametrize(
    "answer, text",
    [
        (truncating, r"truncated: 1,000 of 102,400 bytes|IncompleteRead.*after 1,000 bytes"),
        (altering, "sent another file: SHA-256 [0-9a-f]{64}, 102,400 bytes"),
        (missing, "HTTP status 404 Not Found"),
        (stalling, "no answer for 0.3 s, after 1,000 bytes"),
        (silent, "no answer for 0.3 s"),
        (dripping, "stalled: .* bytes in "),
    ],
)
def test_a_bad_server_is_an_error_that_says_all(cache, serve, monkeypatch, answer, text):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    server = serve(answer)
    with pytest.raises(ConnectionError) as caught:
        read(server)
    message = str(caught.value)
    assert re.search(rf"{server.url}{NAME}: ({text})", message)
    assert NAME in message and DIGEST in message and "save it as $DLX_DATA/set/" in message
    assert not (cache / NAME).exists()


@pytest.mark.parametrize("answer", [truncating, altering, missing, stalling, silent, dripping])
def test_the_next_mirror_makes_up_for_a_bad_one(cache, serve, monkeypatch, answer):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    assert read(serve(answer), serve(good)) == PAYLOAD
    assert [path.name for path in cache.iterdir()] == [NAME]


def test_no_network_names_every_url(cache, serve):
    servers = serve(good), serve(good)
    for server in servers:
        server.close()
    with pytest.raises(ConnectionError) as caught:
        read(*servers)
    for server in servers:
        assert f"{server.url}{NAME}: ConnectionRefusedError" in str(caught.value)
    assert list(cache.iterdir()) == []


def test_an_altered_file_in_the_cache_is_named_where_nothing_better_is_to_be_had(cache, serve):
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(b"altered")
    got = hashlib.sha256(b"altered").hexdigest()
    text = rf"{cache / NAME}: not the original file: SHA-256 {got}\n.*404(?s:.*){DIGEST}"
    with pytest.raises(ConnectionError, match=text):
        read(serve(missing))


def test_a_truncated_download_is_gone_on_with(cache, serve):
    with pytest.raises(ConnectionError):
        read(serve(truncating))
    server = serve(resuming)
    assert read(server) == PAYLOAD
    assert server.asked == [(f"/{NAME}", "bytes=1000-")]


@pytest.mark.parametrize("left", [b"x" * 1000, PAYLOAD + b"x", b"x" * len(PAYLOAD)])
@pytest.mark.parametrize("answer", [resuming, good])
def test_what_an_earlier_call_left_cannot_spoil_the_file(cache, serve, left, answer):
    cache.mkdir(parents=True)
    (cache / f"{NAME}.part").write_bytes(left)
    assert read(serve(answer)) == PAYLOAD
    assert [path.name for path in cache.iterdir()] == [NAME]


def test_two_who_want_the_same_file_download_it_once(cache, serve):
    server = serve(lambda handler: (time.sleep(0.2), good(handler)))
    results = []
    both = [threading.Thread(target=lambda: results.append(read(server))) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert results == [PAYLOAD, PAYLOAD] and len(server.asked) == 1
    assert [path.name for path in cache.iterdir()] == [NAME]


def test_who_waits_for_a_download_that_fails_makes_one(cache, serve):
    """The first gives its empty file up; the second must not write to that nameless file."""
    bad = serve(lambda handler: (time.sleep(0.3), missing(handler)))

    def first():
        with pytest.raises(ConnectionError):
            read(bad)

    thread = threading.Thread(target=first)
    thread.start()
    while not bad.asked:
        time.sleep(0.01)
    assert read(serve(good)) == PAYLOAD
    thread.join()
    assert [path.name for path in cache.iterdir()] == [NAME]


def test_a_cache_that_cannot_be_written_is_named_with_the_way_out(cache, serve):
    cache.parent.write_text("a file where the folder belongs")
    with pytest.raises(OSError, match=rf"{cache.parent} cannot be written .*XDG_CACHE_HOME") as e:
        read(serve(good))
    assert e.type is NotADirectoryError


def idx(array):
    """A gzip file in the idx format of MNIST, of uint8."""
    header = struct.pack(f">HBB{array.ndim}i", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


def cifar_records(n, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, (n, 1), dtype=np.uint8)
    return np.concatenate([labels, rng.integers(0, 256, (n, 3072), dtype=np.uint8)], axis=1)


def put(folder, files):
    """Write {name: content} there; {name: SHA-256}."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def assert_split(split, pixels, labels):
    x, y = split
    assert x.dtype == dlx.float32 and y.dtype == dlx.int64
    assert np.array_equal(x.cpu().numpy(), pixels.astype(np.float32) / np.float32(255))
    assert np.array_equal(y.cpu().numpy(), labels)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_idx_files_become_images_and_labels(tmp_path, monkeypatch, device, name):
    rng = np.random.default_rng(0)
    x, xt = (rng.integers(0, 256, (n, 4, 3), dtype=np.uint8) for n in (5, 2))
    y, yt = (rng.integers(0, 10, n, dtype=np.uint8) for n in (5, 2))
    files = dict(zip(images._IDX, map(idx, (x, y, xt, yt))))
    monkeypatch.setenv("DLX_DATA", str(tmp_path))
    digests = tuple(put(tmp_path / name, files).values())
    monkeypatch.setitem(images._SHA256, name, digests)
    train, test = getattr(dlx.data, name)(device=device)
    assert train[0].device == test[1].device == device
    assert_split(train, x[:, None], y)
    assert_split(test, xt[:, None], yt)


@pytest.fixture
def cifar(tmp_path, monkeypatch, cache):
    """Records of a small CIFAR-10 whose digests stand for the real ones; DLX_DATA is empty."""
    records = {name: cifar_records(4, seed) for seed, name in enumerate(images._CIFAR10)}
    digests = {name: hashlib.sha256(r.tobytes()).hexdigest() for name, r in records.items()}
    monkeypatch.setattr(images, "_CIFAR10", digests)
    monkeypatch.setattr(images, "_SUBSET_TEST", 3)
    monkeypatch.setenv("DLX_DATA", str(tmp_path))
    return records


def assert_cifar(sets, records, subset=False):
    *train, test = records.values()
    train = np.concatenate(train[:1] if subset else train)
    for split, rows in zip(sets, (train, test[:3] if subset else test)):
        assert_split(split, rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0])


def archive_of(records):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, rows in {"readme.html": np.zeros(9, np.uint8), **records}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = rows.size
            archive.addfile(member, io.BytesIO(rows.tobytes()))
    return buffer.getvalue()


@pytest.mark.parametrize("subset", [False, True])
def test_cifar10_from_its_files(tmp_path, cifar, subset):
    put(tmp_path / "cifar10", {name: rows.tobytes() for name, rows in cifar.items()})
    assert_cifar(dlx.data.cifar10(subset), cifar, subset)


@pytest.mark.parametrize("subset", [False, True])
def test_cifar10_from_its_archive_downloaded(monkeypatch, cache, serve, cifar, subset):
    data = archive_of(cifar)
    server = serve(lambda handler: send(handler, data))
    monkeypatch.setattr(images, "_CIFAR10_ARCHIVE_SHA256", hashlib.sha256(data).hexdigest())
    monkeypatch.setitem(images._MIRRORS, "cifar10", [server.url])
    assert_cifar(dlx.data.cifar10(subset), cifar, subset)
    assert_cifar(dlx.data.cifar10(subset), cifar, subset)
    assert server.asked == [("/cifar-10-binary.tar.gz", None)]


def test_cifar10_checks_each_file_of_the_archive(tmp_path, monkeypatch, cifar):
    data = archive_of({**cifar, "data_batch_4.bin": cifar["data_batch_3.bin"]})
    (digest,) = put(tmp_path / "cifar10", {"cifar-10-binary.tar.gz": data}).values()
    monkeypatch.setattr(images, "_CIFAR10_ARCHIVE_SHA256", digest)
    expected = images._CIFAR10["data_batch_4.bin"]
    with pytest.raises(
        ValueError, match=rf"data_batch_4.bin of cifar.*expected SHA-256 {expected}"
    ):
        dlx.data.cifar10()


def test_cifar10_subset_from_its_small_files(tmp_path, monkeypatch, cifar):
    train, test = cifar["data_batch_1.bin"], cifar["test_batch.bin"][:3]
    small = dict(
        zip(dict(images._CIFAR10_SUBSET), (gzip.compress(rows.tobytes()) for rows in (train, test)))
    )
    digests = put(tmp_path / "cifar10", small)
    monkeypatch.setattr(images, "_CIFAR10_SUBSET", tuple(digests.items()))
    assert_cifar(dlx.data.cifar10(subset=True), cifar, subset=True)


def test_importing_data_loads_no_network_code():
    code = (
        "import sys; before = {*sys.modules}; import dlx.data; "
        "print(*{'urllib.request', 'http', 'tarfile', 'numpy'} & ({*sys.modules} - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "\n", done.stderr


def real(*files):
    """The test needs these files of $DLX_DATA."""
    root = pathlib.Path(os.environ.get("DLX_DATA", "."))
    lacks = [name for name in files if not (root / name).exists()]
    return pytest.mark.skipif(
        not os.environ.get("DLX_DATA") or bool(lacks), reason=f"DLX_DATA has no {lacks[:1]}"
    )


@real(*(f"mnist/{name}" for name in images._IDX))
def test_mnist_is_mnist():
    (x, y), (xt, yt) = dlx.data.mnist()
    assert (x.shape, y.shape) == ((60000, 1, 28, 28), (60000,))
    assert (xt.shape, yt.shape) == ((10000, 1, 28, 28), (10000,))
    assert y[:5].tolist() == [5, 0, 4, 1, 9] and yt[:5].tolist() == [7, 2, 1, 0, 4]
    images = x.cpu().numpy()
    assert images.min() == 0 and images.max() == 1
    assert round(float(images.mean()), 4) == 0.1307 and round(float(images.std()), 4) == 0.3081


@real(*(f"fashion_mnist/{name}" for name in images._IDX))
def test_fashion_mnist_is_fashion_mnist():
    (x, y), (xt, yt) = dlx.data.fashion_mnist()
    assert (x.shape, xt.shape) == ((60000, 1, 28, 28), (10000, 1, 28, 28))
    assert np.bincount(y.cpu().numpy()).tolist() == [6000] * len(dlx.data.FASHION_CLASSES)
    assert np.bincount(yt.cpu().numpy()).tolist() == [1000] * 10
    assert round(float(x.cpu().numpy().mean()), 4) == 0.2860


@real(*(f"cifar10/{name}" for name, _ in images._CIFAR10_SUBSET))
def test_cifar10_subset_is_cifar10():
    (x, y), (xt, yt) = dlx.data.cifar10(subset=True)
    assert (x.shape, xt.shape) == ((10000, 3, 32, 32), (1000, 3, 32, 32))
    assert (y.shape, yt.shape) == ((10000,), (1000,))
    assert [dlx.data.CIFAR10_CLASSES[i] for i in y[:3].tolist()] == ["frog", "truck", "truck"]
    assert dlx.data.CIFAR10_CLASSES[yt[0].item()] == "cat"
    assert x.cpu().numpy().min() == 0 and x.cpu().numpy().max() == 1


@real("cifar10/batches.meta.txt")
def test_cifar10_classes_are_those_of_the_set():
    path = pathlib.Path(os.environ["DLX_DATA"]) / "cifar10" / "batches.meta.txt"
    assert tuple(path.read_text().split()) == dlx.data.CIFAR10_CLASSES
