"""The classic sets of small images. Files are found, downloaded and checked by download.py."""

from __future__ import annotations

import dlx
from dlx.data import download

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

    Split = tuple[Tensor, Tensor]

__all__ = ["CIFAR10_CLASSES", "FASHION_CLASSES", "cifar10", "fashion_mnist", "mnist"]

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

_IDX = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_SHA256 = {  # of those files
    "mnist": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "fashion_mnist": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
}
_CIFAR10_ARCHIVE = "cifar-10-binary.tar.gz"
_CIFAR10_ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
_CIFAR10 = {  # of the archive
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
_CIFAR10_SUBSET = (  # gzip files: the first training batch, and the start of the test batch
    ("data_batch_1.bin.gz", "6fcee3c4b6ea120cf82b263e2e9fe932e7edf7daf530e8b8ed62c178f70910c6"),
    (
        "test_batch_first1000.bin.gz",
        "3d5e72c2623a79c57b916d8669b4cba52fa2984d04cb8cd7d256902adc743432",
    ),
)
_MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion_mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    "cifar10": ("https://www.cs.toronto.edu/~kriz/",),
}
_RECORD = 1 + 3 * 32 * 32  # bytes of an image of CIFAR-10: label, then planes red, green, blue
_SUBSET_TEST = 1000


def mnist(*, device=None) -> tuple[Split, Split]:
    """((x, y), (xt, yt)): 60 000 training and 10 000 test images of handwritten digits.

    x: (N, 1, 28, 28) float32 in [0, 1], grey levels k/255; y: (N,) int64 labels 0..9. The four
    files are read from $DLX_DATA/mnist, then from the cache ($XDG_CACHE_HOME/dlx, ~/.cache/dlx),
    else downloaded there (12 MB), and checked by SHA-256. Raises ValueError for an altered file in
    $DLX_DATA and ConnectionError, with all it tried, where no file can be had.

    Source: Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits.
    """
    return _idx_set("mnist", device)


def fashion_mnist(*, device=None) -> tuple[Split, Split]:
    """((x, y), (xt, yt)): 60 000 training and 10 000 test images of clothes (FASHION_CLASSES).

    Form, files ($DLX_DATA/fashion_mnist; 31 MB) and errors as of `mnist`.

    Source: H. Xiao, K. Rasul, R. Vollgraf 2017, arXiv:1708.07747, MIT licence.
    """
    return _idx_set("fashion_mnist", device)


def cifar10(subset=False, *, device=None) -> tuple[Split, Split]:
    """((x, y), (xt, yt)): 50 000 training and 10 000 test colour images (CIFAR10_CLASSES).

    x: (N, 3, 32, 32) float32 in [0, 1], planes red, green, blue, levels k/255; y: (N,) int64 labels
    0..9. subset: only the 10 000 images of data_batch_1 and the first 1 000 of test_batch.

    Read from $DLX_DATA/cifar10, then from the cache (see `mnist`): the six .bin files of the
    archive, or the archive cifar-10-binary.tar.gz itself, which is downloaded where there is
    neither (170 MB); for the subset first data_batch_1.bin.gz and test_batch_first1000.bin.gz.
    Checked by SHA-256: the archive, each of its six files, each file of the subset. Errors as of
    `mnist`.

    Source: A. Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images.
    """
    import gzip

    if subset:
        first, start = (download.find("cifar10", *item) for item in _CIFAR10_SUBSET)
        if first and start:
            train, test = [gzip.decompress(first)], gzip.decompress(start)
            return _records(train, device), _records([test], device)
    names = ["data_batch_1.bin", "test_batch.bin"] if subset else list(_CIFAR10)
    *train, test = _batches_of_cifar10(names)
    if subset:
        test = test[: _SUBSET_TEST * _RECORD]
    return _records(train, device), _records([test], device)


def _idx_set(folder, device):
    """Both splits of a set of four gzip files in the idx format: a header of 16 bytes before images
    (magic number, count, height, width), of 8 before labels, big-endian int32; then the bytes."""
    import gzip

    import numpy as np

    arrays = []
    for name, sha256 in zip(_IDX, _SHA256[folder]):
        raw = gzip.decompress(download.read(folder, name, sha256, _MIRRORS[folder]))
        axes = raw[3]  # the last byte of the magic number
        shape = np.frombuffer(raw, ">i4", axes, offset=4)
        arrays.append(np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape))
    x, y, xt, yt = arrays
    return _tensors(x[:, None], y, device), _tensors(xt[:, None], yt, device)


def _batches_of_cifar10(names):
    """The content of these files of CIFAR-10, which lie there one by one or in the archive."""
    alone = []
    for name in names:
        alone.append(download.find("cifar10", name, _CIFAR10[name]))
        if alone[-1] is None:
            return _members(names)
    return alone


def _members(names):
    import hashlib
    import io
    import tarfile

    data = download.read("cifar10", _CIFAR10_ARCHIVE, _CIFAR10_ARCHIVE_SHA256, _MIRRORS["cifar10"])
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for member in archive:
            name = member.name.rsplit("/", 1)[-1]
            if name in names:
                found[name] = archive.extractfile(member).read()
                got = hashlib.sha256(found[name]).hexdigest()
                if got != _CIFAR10[name]:
                    raise ValueError(
                        f"{name} of {_CIFAR10_ARCHIVE}: not the original file: expected SHA-256 "
                        f"{_CIFAR10[name]}, got {got}"
                    )
    return [found[name] for name in names]


def _records(batches, device):
    """The images and labels of some batches of CIFAR-10."""
    import numpy as np

    records = [np.frombuffer(raw, np.uint8).reshape(-1, _RECORD) for raw in batches]
    pixels = np.concatenate([r[:, 1:] for r in records], dtype=np.float32)
    labels = np.concatenate([r[:, 0] for r in records])
    return _tensors(pixels.reshape(-1, 3, 32, 32), labels, device)


def _tensors(x, y, device):
    """Grey levels 0..255 and labels as the Tensors of a split, which borrow NumPy's memory."""
    import numpy as np

    x = x.astype(np.float32, copy=False)
    x /= np.float32(255)  # in place: 6 times the speed of np.divide(dtype=), which casts by blocks
    return dlx.asarray(x, device=device), dlx.asarray(y.astype(np.int64), device=device)
