"""dlx.save and dlx.load, and the safetensors reader under them."""

from __future__ import annotations

import json
import math
import os
import stat

import numpy as np
import pytest

import dlx
from dlx import nn
from dlx.interop import safetensors

DTYPES = ["float32", "float64", "bfloat16", "float16", "int32", "int64", "uint8", "bool"]


def sample(dtype, shape, device):
    numbers = np.arange(math.prod(shape)).reshape(shape) % 2
    return dlx.astype(dlx.tensor(numbers, device=device), getattr(dlx, dtype))


def assert_same(a, b):
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    assert a.tolist() == b.tolist()


# ---- dlx.save and dlx.load


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (7, 3), (0, 4)])
def test_tensors_come_back(tmp_path, device, dtype, shape):
    t = sample(dtype, shape, device)
    dlx.save(t, tmp_path / "t")
    assert_same(dlx.load(tmp_path / "t", device=device), t)


def test_structures_come_back(tmp_path, device):
    shared = dlx.tensor([1.5, -0.0], device=device)
    obj = {
        "list": [1, 2.5, True, None, "text", "\N{SNOWMAN}"],
        "tuple": (shared, [shared]),
        3: {False: 10**30, None: float("inf"), 0.5: -float("inf")},
        "empty": [{}, [], ()],
        "a.b": dlx.zeros((2,), device=device),
        "a": {"b": dlx.ones((2,), device=device)},
        "__metadata__": dlx.ones((), device=device),
    }
    dlx.save(obj, str(tmp_path / "o.any"))
    back = dlx.load(tmp_path / "o.any", device=device)
    assert list(back) == list(obj) and back["list"] == obj["list"] and back[3] == obj[3]
    assert back["empty"] == obj["empty"] and isinstance(back["tuple"], tuple)
    assert back["tuple"][0] is back["tuple"][1][0]
    assert back["tuple"][0].tolist() == [1.5, -0.0]
    assert math.copysign(1, back["tuple"][0].tolist()[1]) == -1
    assert back["a.b"].tolist() == [0, 0] and back["a"]["b"].tolist() == [1, 1]
    assert back["__metadata__"].item() == 1


def test_nan_and_numpy_numbers_come_back(tmp_path):
    dlx.save([float("nan"), np.float32(0.25), np.int64(7)], tmp_path / "n")
    nan, quarter, seven = dlx.load(tmp_path / "n")
    assert math.isnan(nan) and (quarter, seven) == (0.25, 7)


def test_views_and_tensors_with_gradients_are_saved_by_value(tmp_path, device):
    t = dlx.tensor(np.arange(12.0).reshape(3, 4), device=device, requires_grad=True)
    dlx.save({"view": (t * 1).T[1:], "leaf": t}, tmp_path / "v")
    back = dlx.load(tmp_path / "v", device=device)
    assert back["view"].tolist() == t.cpu().numpy().T[1:].tolist()
    assert not back["leaf"].requires_grad and back["leaf"].is_leaf


def test_loaded_tensors_are_values_of_their_own(tmp_path, device):
    dlx.save(dlx.zeros((4,), device=device), tmp_path / "t")
    a, b = dlx.load(tmp_path / "t", device=device), dlx.load(tmp_path / "t", device=device)
    a += 1
    assert a.tolist() == [1] * 4 and b.tolist() == [0] * 4


def make_model():
    layers = {
        "first": nn.Linear(4, 3),
        "drop": nn.Dropout(0.25),
        "out": nn.LazyLinear(2, bias=False),
    }
    return nn.Sequential(nn.Flatten(), nn.Sequential(layers), nn.Softmax(dim=1))


@pytest.mark.on_its_device
def test_models_come_back(tmp_path, device):
    model = make_model()
    x = dlx.random.normal((5, 2, 2), device=device)
    model(x)
    model[1].first.weight.requires_grad = False
    model.eval()
    state = dlx.random.get_state().tolist()
    dlx.save({"model": model, "epoch": 3}, tmp_path / "m.dlx")
    back = dlx.load(tmp_path / "m.dlx")
    assert back["epoch"] == 3 and repr(back["model"]) == repr(model)
    assert back["model"](x).tolist() == model(x).tolist()
    assert [p.requires_grad for p in back["model"].parameters()] == [False, True, True]
    assert not any(module.training for module in back["model"].modules())
    assert dlx.random.get_state().tolist() == state, "loading draws no random number"


def test_a_layer_used_twice_stays_one(tmp_path):
    layer = nn.Linear(3, 3)
    dlx.save(nn.Sequential(layer, nn.ReLU(), layer), tmp_path / "m")
    back = dlx.load(tmp_path / "m")
    assert back[0] is back[2]


def test_losses_with_weights_come_back(tmp_path):
    dlx.save(nn.CrossEntropyLoss(dlx.tensor([1.0, 2.0]), label_smoothing=0.1), tmp_path / "m")
    back = dlx.load(tmp_path / "m")
    assert back.weight.tolist() == [1, 2] and back.label_smoothing == 0.1


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x)


def test_other_classes_are_weights_only(tmp_path, device):
    with pytest.raises(TypeError, match=r"Own, not a class of dlx.nn"):
        dlx.save(Own(), tmp_path / "m")
    assert not (tmp_path / "m").exists()
    model, other = Own(), Own()
    model.save(tmp_path / "m")
    with pytest.raises(ValueError, match=r"m: holds weights only .*Own.*load_state"):
        dlx.load(tmp_path / "m")
    other.load_state(tmp_path / "m")
    assert other.layer.weight.tolist() == model.layer.weight.tolist()


@pytest.mark.parametrize(
    "obj, error, text",
    [
        ({"a": [object()]}, TypeError, "object at a.0"),
        (np.ones(3), TypeError, r"ndarray at the top; dlx.tensor"),
        ({(1, 2): 3}, TypeError, "a key must be text.*tuple"),
        (lambda: None, TypeError, "function at the top"),
    ],
)
def test_what_cannot_be_saved(tmp_path, obj, error, text):
    with pytest.raises(error, match=text):
        dlx.save(obj, tmp_path / "x")
    assert os.listdir(tmp_path) == []


def test_a_structure_that_contains_itself(tmp_path):
    obj = []
    obj.append(obj)
    with pytest.raises(ValueError, match="contains itself"):
        dlx.save(obj, tmp_path / "x")


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x"
    dlx.save([1], path)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        dlx.save([2], path)
    assert dlx.load(path) == [1] and os.listdir(tmp_path) == ["x"]


def test_a_save_goes_through_a_link_and_keeps_to_the_umask(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    dlx.save([1], tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and dlx.load(tmp_path / "file") == [1]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.dlx"):
        dlx.load(tmp_path / "nowhere.dlx")
    with pytest.raises(FileNotFoundError, match="no/x: there is no folder"):
        dlx.save([1], tmp_path / "no" / "x")
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        dlx.save([1], tmp_path)
    with pytest.raises(ValueError, match="is a folder"):
        dlx.load(tmp_path)


# ---- damaged and hostile files


def test_every_flipped_byte_is_noticed(tmp_path, device):
    path = tmp_path / "x"
    obj = {"w": dlx.tensor([1.0, 2.0], device=device), "n": 3, "m": nn.Linear(1, 1)}
    dlx.save(obj, path)
    good = path.read_bytes()
    silent = []
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1
        path.write_bytes(bad)
        try:
            dlx.load(path)
        except ValueError as error:
            assert str(path) in str(error)
        else:
            silent.append(chr(good[place]))
    # A flip in the name of the format, or of a key beside it, makes another library's file of it.
    assert len(silent) <= len('"format":"dlx"')


@pytest.mark.parametrize("size", [0, 7, 8, 100, -1])
def test_truncated_files(tmp_path, size):
    path = tmp_path / "x"
    dlx.save(dlx.ones((3,)), path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=str(path)):
        dlx.load(path)


def write_raw(path, header, data=b"", length=None):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((length or len(header)).to_bytes(8, "little") + header + data)


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    "header, data, text",
    [
        ({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12), "'b' overlaps 'a'"),
        ({"a": entry(), "b": entry(offsets=(0, 8))}, bytes(8), "overlaps"),
        (
            {"a": entry(), "b": entry(offsets=(12, 20))},
            bytes(20),
            "4 bytes without an owner before 'b'",
        ),
        ({"a": entry(offsets=(4, 12))}, bytes(12), "4 bytes without an owner before 'a'"),
        ({"a": entry()}, bytes(9), "1 bytes without an owner at the end"),
        ({"a": entry()}, bytes(7), "'a' ends at byte 8 of 7"),
        ({"a": entry(shape=(3,))}, bytes(8), r"F32 of shape \[3\] needs 12 bytes"),
        ({"a": entry(shape=(-2,))}, bytes(8), "shape must be integers >= 0"),
        ({"a": entry(shape=(True,), offsets=(0, 4))}, bytes(4), "shape must be integers"),
        ({"a": entry(shape=(2.0,))}, bytes(8), "shape must be integers"),
        ({"a": entry(shape=(2**62, 2**62, 0), offsets=(0, 0))}, b"", "too large"),
        ({"a": entry(shape=(1,) * 9, offsets=(0, 4))}, bytes(4), "too large"),
        ({"a": entry(offsets=(8, 0))}, bytes(8), r"\[begin, end\]"),
        ({"a": entry(offsets=(0, 4, 8))}, bytes(8), r"\[begin, end\]"),
        ({"a": entry(dtype="F8_E4M3")}, bytes(8), "'F8_E4M3'; dlx reads F64, F32"),
        ({"a": entry(dtype=["F32"])}, bytes(8), "dlx reads"),
        ({"a": {**entry(), "more": 1}}, bytes(8), "exactly dtype, shape and data_offsets"),
        ({"a": 5}, b"", "exactly dtype"),
        ({"__metadata__": {"a": 1}}, b"", "must map text to text"),
        ({"__metadata__": []}, b"", "must map text to text"),
        ({"a": entry("BOOL", (8,))}, b"\0\1\2\1\0\0\0\0", "a BOOL must be 0 or 1"),
        (b'{"a":{"dtype":"F32","dtype":"F32","shape":[0],"data_offsets":[0,0]}}', b"", "duplicate"),
        (b'{"a":1,"a":1}', b"", "duplicate key 'a'"),
        (b'{"a":NaN}', b"", "holds NaN"),
        (b'[{"a":1}]', b"", "does not start with '{'"),
        (b' {"a":1}', b"", "does not start with '{'"),
        (b'{"a":', b"", "is not JSON"),
        (b'{"\xff":1}', b"", "is not JSON"),
        (b'{"a":' + b"[" * 100_000, b"", "is not JSON"),
        (b'{"a":' + b"9" * 10_000 + b"}", b"", "is not JSON|exactly"),
        (b"{}", b"x", "1 bytes without an owner"),
    ],
)
def test_what_breaks_the_format(tmp_path, header, data, text):
    path = tmp_path / "bad.safetensors"
    write_raw(path, header, data)
    with pytest.raises(ValueError, match=rf"bad.safetensors: not a valid .*({text})"):
        dlx.load(path)


@pytest.mark.parametrize("length", [2**63, 100_000_001, 10_000])
def test_a_header_longer_than_it_may_be(tmp_path, length):
    write_raw(tmp_path / "x", b"{}", length=length)
    with pytest.raises(ValueError, match=rf"header of {length} bytes"):
        dlx.load(tmp_path / "x")


def sign(path, structure):
    """A file with this structure and a right checksum, as a hostile maker can write it."""
    from dlx import _files

    _files._write(path, structure, {"t": dlx.ones((2,))})


@pytest.mark.parametrize(
    "structure",
    [
        {"tensor": "other"},
        {"tensor": 1},
        {"list": 1},
        {"dict": [["a"]]},
        {"dict": [[{"list": []}, 1]]},
        {"float": "1"},
        {"what": 1},
        {},
        [1],
        {"module": 1},
        {"module": {"tree": {}, "weights": {"dict": []}}},
        {"module": {"tree": {"class": "functional"}, "weights": {"dict": []}}},
        {"module": {"tree": {"class": "__builtins__"}, "weights": {"dict": []}}},
        {"module": {"tree": {"class": ["Linear"]}, "weights": {"dict": []}}},
        {"module": {"tree": {"same": "x"}, "weights": {"dict": []}}},
        {"module": {"tree": {"class": "Linear", "config": 1}, "weights": {"dict": []}}},
        {"module": {"tree": {"class": "Linear", "config": {"x": 1}}, "weights": {"dict": []}}},
        {
            "module": {
                "tree": {
                    "class": "Linear",
                    "config": {"in_features": 2**40, "out_features": 2**40},
                    "training": True,
                    "frozen": [],
                },
                "weights": {"dict": []},
            }
        },
        {
            "module": {
                "tree": {"class": "ReLU", "config": {}, "training": True, "frozen": ["no"]},
                "weights": {"dict": []},
            }
        },
    ],
)
def test_hostile_structures(tmp_path, structure):
    sign(tmp_path / "x", structure)
    with pytest.raises(ValueError, match=str(tmp_path / "x")):
        dlx.load(tmp_path / "x")
    with pytest.raises(ValueError, match=str(tmp_path / "x")):
        make_model().load_state(tmp_path / "x")


# ---- safetensors


def test_our_files_are_aligned_and_others_read_them(tmp_path, device):
    safe = pytest.importorskip("safetensors.numpy")
    tensors = {d: sample(d, (3, 5), device) for d in DTYPES if d != "bfloat16"}
    safetensors.save_file(tensors, tmp_path / "x", metadata={"by": "us"})
    raw = (tmp_path / "x").read_bytes()
    assert (8 + int.from_bytes(raw[:8], "little")) % 64 == 0
    back = safe.load_file(tmp_path / "x")
    assert set(back) == set(tensors)
    for name, array in back.items():
        assert str(array.dtype) == name and array.tolist() == tensors[name].tolist()
    assert safetensors.read(tmp_path / "x")[1] == {"by": "us"}


def test_files_of_pytorch_load_unchanged(tmp_path, device):
    torch = pytest.importorskip("torch")
    safe = pytest.importorskip("safetensors.torch")
    theirs = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    safe.save_file(theirs.state_dict(), tmp_path / "t.safetensors")
    ours = nn.Sequential(nn.LazyLinear(5), nn.ReLU(), nn.Linear(5, 3)).to(device)
    ours.load_state(tmp_path / "t.safetensors")
    x = torch.randn(4, 6)
    logits = ours(dlx.tensor(x.cpu().numpy(), device=device)).cpu().numpy()
    np.testing.assert_allclose(logits, theirs(x).detach().cpu().numpy(), rtol=1e-5, atol=1e-6)
    tensors = {
        "half": torch.randn(3).half(),
        "bfloat": torch.randn(4).bfloat16(),
        "byte": torch.arange(5, dtype=torch.uint8),
        "double": torch.randn(2, 2).double(),
    }
    safe.save_file(tensors, tmp_path / "all")
    back = dlx.load(tmp_path / "all", device=device)
    assert {name: t.tolist() for name, t in back.items()} == {
        n: t.tolist() for n, t in tensors.items()
    }


def test_our_weights_are_read_by_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    safe = pytest.importorskip("safetensors.torch")
    ours = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    dlx.save(ours.state_dict(), tmp_path / "x")
    theirs = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    theirs.load_state_dict(safe.load_file(tmp_path / "x"))
    assert theirs[2].weight.tolist() == ours[2].weight.tolist()


def test_misaligned_data_is_read(tmp_path):
    """The format allows an odd-sized array before a wide one: reading copies it into place."""
    header = {"u": entry("U8", (3,), (0, 3)), "f": entry("F64", (2,), (3, 19))}
    write_raw(tmp_path / "x", header, b"\1\2\3" + np.array([0.5, -1.0]).tobytes())
    back = dlx.load(tmp_path / "x")
    assert back["f"].tolist() == [0.5, -1.0] and back["u"].tolist() == [1, 2, 3]


def test_names_and_values_are_checked_on_writing(tmp_path):
    with pytest.raises(TypeError, match="'a' must be a Tensor, got float"):
        safetensors.save_file({"a": 1.0}, tmp_path / "x")
    with pytest.raises(TypeError, match="must map str to str"):
        safetensors.save_file({}, tmp_path / "x", metadata={"a": 1})
    with pytest.raises(TypeError, match="__metadata__"):
        safetensors.save_file({"__metadata__": dlx.ones(())}, tmp_path / "x")
