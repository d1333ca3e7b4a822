"""What only GPUs have: streams, events, pinned copies, memory, exchange with other libraries.

Runs on a GPU and on the emulated device, `pytest --device emu`."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest

import dlx
from dlx import _core, nn

if not dlx.cuda.is_available():
    pytest.skip("no GPU, nor an emulated one: pytest --device emu", allow_module_level=True)


@pytest.fixture
def gpu(device):
    """The GPU under test, its memory unused before and after."""
    place = dlx.device(device if device.startswith("cuda") else "cuda:0")
    dlx.random.uniform((0,), device="cpu")  # where the generator's cell is then
    gc.collect()
    before = dlx.cuda.memory_stats(place)["live_bytes"]
    yield place
    dlx.random.uniform((0,), device="cpu")
    gc.collect()
    assert dlx.cuda.memory_stats(place)["live_bytes"] == before
    dlx.cuda.empty_cache(place)
    assert dlx.cuda.memory_stats(place)["cached_bytes"] == 0


def python(code, **environment):
    """What a fresh interpreter prints; its error, where it fails."""
    done = subprocess.run(
        [sys.executable, "-c", "import dlx\n" + code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    return done.stdout if done.returncode == 0 else done.stderr


def numbers(n, place):
    """0.0, 1.0, ... on a device."""
    return dlx.tensor(np.arange(n, dtype="f4"), device=place)


needs_two = pytest.mark.skipif(dlx.cuda.device_count() < 2, reason="one GPU")

# Devices


def test_tensors_move(gpu):
    x = dlx.tensor([[1.0, 2.0], [3.0, 4.0]])
    y = x.to(gpu)
    assert y.device == gpu and y.cuda().device == "cuda:0"
    assert (y.T.cpu().tolist(), y.to("cpu", dlx.int64).tolist()) == ([[1, 3], [2, 4]], x.tolist())
    assert y.to(gpu) is y and dlx.tensor(y).device == gpu and dlx.tensor(y, device="cpu") is not y
    x.requires_grad = True
    (x.to(gpu) * 2).cpu().sum().backward()
    assert x.grad.device == "cpu" and x.grad.tolist() == [[2, 2], [2, 2]]


@pytest.mark.parametrize(
    "make",
    [
        lambda **o: dlx.tensor([1, 2], **o),
        lambda **o: dlx.asarray([1.5], **o),
        lambda **o: dlx.asarray(np.ones(2), **o),
        lambda **o: dlx.from_dlpack(np.ones(2), **o),
        lambda **o: dlx.zeros((2,), **o),
        lambda **o: dlx.ones((2,), **o),
        lambda **o: dlx.full((2,), 3.0, **o),
        lambda **o: dlx.empty((2,), **o),
        lambda **o: dlx.arange(4, **o),
        lambda **o: dlx.linspace(0, 1, 5, **o),
        lambda **o: dlx.eye(3, **o),
        lambda **o: dlx.zeros_like(dlx.ones(2), **o),
        lambda **o: dlx.ones_like(dlx.ones(2), **o),
        lambda **o: dlx.full_like(dlx.ones(2), 3.0, **o),
        lambda **o: dlx.empty_like(dlx.ones(2), **o),
        lambda **o: dlx.random.normal((3,), **o),
        lambda **o: dlx.random.uniform((3,), **o),
        lambda **o: dlx.random.randint(0, 5, (3,), **o),
        lambda **o: dlx.random.permutation(3, **o),
        lambda **o: nn.Linear(2, 2, **o).weight,
        lambda **o: nn.BatchNorm1d(2, **o).running_mean,
        lambda **o: dlx.data.digits(**o)[0][0][:2],
        lambda **o: dlx.data.digits(**o)[1][1][:2],
    ],
)
def test_whatever_makes_arrays_takes_a_device(gpu, make):
    assert make(device=gpu).device == make(device=str(gpu)).device == gpu
    assert make().device == "cpu"


def test_a_block_sets_the_default(gpu):
    with gpu:
        assert dlx.zeros((2,)).device == dlx.asarray(np.zeros(2)).device == gpu
        assert dlx.random.normal((3,)).device == nn.Linear(2, 2).weight.device == gpu
    assert dlx.zeros((2,)).device == "cpu"


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("add", lambda x, y: x + y),
        ("where", lambda x, y: dlx.where(x > 0, x, y)),
        ("matmul", lambda x, y: x @ y),
        ("concat", lambda x, y: dlx.concat([x, y])),
        ("optimizer_step", lambda x, y: step_with(x, y)),
    ],
)
def test_mixed_devices_raise_and_name_the_op_and_both(gpu, name, call):
    x, y = dlx.ones((3, 3)), dlx.ones((3, 3), device=gpu)
    both = rf"^{name}: expected .*one device, got (cpu(,| and) {gpu}|{gpu}(,| and) cpu)"
    for arguments in ((x, y), (y, x)):
        with pytest.raises(RuntimeError, match=both):
            call(*arguments)


def step_with(x, gradient):
    p = nn.Parameter(x)
    optimizer = dlx.optim.SGD([p], lr=0.1)
    p.grad = gradient
    optimizer.step()


def test_an_index_that_is_not_there(device):
    count = dlx.cuda.device_count()
    with pytest.raises(
        RuntimeError, match=rf"cuda:99: not available: there are {count} GPUs.*info"
    ):
        dlx.zeros((2, 2), device="cuda:99")
    with pytest.raises(ValueError, match="expected a device such as \"cuda:0\", got 'cpu'"):
        dlx.cuda.memory_stats("cpu")


def emulated():
    return dlx.cuda.device_name().startswith("emulated")


def test_a_gpu_that_this_build_has_no_code_for(device):
    if not emulated():
        return
    text = python("dlx.zeros((2, 2), device='cuda')", DLX_SIMT_HAS_CODE="0")
    assert (
        "RuntimeError: cuda:0: not available: emulated device 0 has compute capability 9.0" in text
    )
    assert "has code for the emulator only" in text and "`dlx info`" in text


def test_no_gpu(device):
    if not emulated():
        return
    text = python("dlx.zeros((2, 2), device='cuda')", DLX_SIMT_DEVICES="0")
    assert "RuntimeError: cuda:0: not available: DLX_SIMT_DEVICES=0; run `dlx info`" in text
    text = python("dlx.zeros(2).pin_memory()", DLX_SIMT_DEVICES="0")
    assert "RuntimeError: pin_memory: no GPU to copy to: DLX_SIMT_DEVICES=0" in text


def test_info_lists_the_gpus(device):
    text = python("from dlx.cli import main; main(['info'])")
    assert f"cuda:0   {dlx.cuda.device_name()}, " in text
    assert "GPU      built for " in text


def test_a_gpu_has_no_numpy_array(gpu):
    with pytest.raises(TypeError, match=r"not on the CPU; use x\.cpu\(\)\.numpy\(\)"):
        dlx.ones((2,), device=gpu).numpy()
    with pytest.raises(TypeError, match=r"not on the CPU; use x\.cpu\(\)\.numpy\(\)"):
        np.asarray(dlx.ones((2,), device=gpu))


# Modules, optimizers, files


def model_and_steps(steps, place, move_after=None):
    dlx.seed(1)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).to(place)
    optimizer = dlx.optim.Adam(model.parameters(), lr=0.1)
    x, y = dlx.tensor(np.linspace(-1, 1, 15).reshape(5, 3).astype("f4")), dlx.tensor(np.eye(5, 2))
    for done in range(steps):
        if done == move_after:
            place = "cpu" if place != "cpu" else "cuda:0"
            model.to(place)
        loss = ((model(x.to(place)) - y.to(place, dlx.float32)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, optimizer


@pytest.mark.parametrize("first", ["cpu", "gpu"])
def test_an_optimizer_follows_its_parameters(gpu, first):
    expected, _ = model_and_steps(4, "cpu")
    model, optimizer = model_and_steps(4, gpu if first == "gpu" else "cpu", move_after=2)
    place = "cpu" if first == "gpu" else "cuda:0"
    state = optimizer.state_dict()["state"][0]
    assert {t.device for t in state.values()} == {dlx.device(place)}
    assert state["step"].item() == 4
    for ours, theirs in zip(model.parameters(), expected.parameters()):
        np.testing.assert_allclose(ours.detach().cpu(), theirs.detach(), rtol=1e-5, atol=1e-6)


def test_parameters_of_two_devices_need_two_optimizers(gpu):
    two = [nn.Parameter(dlx.ones(2)), nn.Parameter(dlx.ones(2, device=gpu))]
    with pytest.raises(ValueError, match=rf"parameters of one device, got cpu and {gpu}"):
        dlx.optim.SGD(two, lr=0.1)
    optimizer = dlx.optim.SGD(two[:1], lr=0.1)
    with pytest.raises(ValueError, match=rf"parameters of one device, got cpu and {gpu}"):
        optimizer.add_param_group({"params": two[1:]})
    assert len(optimizer.param_groups) == 1


def test_files_know_no_devices(gpu, tmp_path):
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).to(gpu)
    dlx.save({"x": numbers(3, gpu), "m": model}, tmp_path / "f")
    here, there = dlx.load(tmp_path / "f"), dlx.load(tmp_path / "f", device=gpu)
    assert (
        here["x"].device == here["m"][0].weight.device == here["m"][1].running_mean.device == "cpu"
    )
    assert (
        there["x"].device == there["m"][0].weight.device == there["m"][1].running_var.device == gpu
    )
    np.testing.assert_array_equal(here["m"][0].weight.detach(), there["m"][0].weight.detach().cpu())
    model.cpu()
    model.save(tmp_path / "w")
    model.to(gpu).load_state(tmp_path / "w")
    assert model[0].weight.device == gpu


def test_an_optimizers_state_is_loaded_to_its_parameters(gpu):
    _, before = model_and_steps(2, "cpu")
    model, optimizer = model_and_steps(1, gpu)
    optimizer.load_state_dict(before.state_dict())
    assert {t.device for t in optimizer.state_dict()["state"][3].values()} == {gpu}
    assert model[0].weight.device == gpu


def test_copies_and_pickles_stay(gpu):
    import copy
    import pickle

    x = dlx.tensor([1.0, 2.0], device=gpu)
    assert copy.deepcopy(x).device == pickle.loads(pickle.dumps(x)).device == gpu
    assert "device='cuda" in repr(x)


def test_one_generator_for_all_devices(gpu):
    dlx.seed(5)
    expected = dlx.random.uniform((200,)).tolist()
    dlx.seed(5)
    first = dlx.random.uniform((100,), device=gpu).tolist()
    state = dlx.random.get_state()
    assert state.device == "cpu"
    assert first + dlx.random.uniform((100,)).tolist() == expected
    dlx.random.set_state(state)
    assert first + dlx.random.uniform((100,), device=gpu).tolist() == expected


# Streams


def test_work_goes_to_the_current_stream(gpu):
    first, side = dlx.cuda.current_stream(gpu), dlx.cuda.Stream(gpu)
    assert side != first and side.device == gpu
    with dlx.cuda.stream(side) as entered:
        assert dlx.cuda.current_stream(gpu) == side == entered
        x = dlx.ones((1000,), device=gpu) + 1
        side.synchronize()
        assert side.query()
    assert dlx.cuda.current_stream(gpu) == first
    assert x.cpu().tolist() == [2.0] * 1000
    with pytest.raises(TypeError, match="expected a Stream, got int"):
        dlx.cuda.stream(3)


def test_numbers_do_not_depend_on_streams(gpu):
    """Reading what another stream writes, overwriting what it reads, freeing what it uses."""
    one, two = dlx.cuda.Stream(gpu), dlx.cuda.Stream(gpu)
    x = numbers(1000, gpu)
    found = []
    for _ in range(3):
        with dlx.cuda.stream(one):
            y = x * 2
        with dlx.cuda.stream(two):
            z = y + 1
            y[...] = 0.0
        with dlx.cuda.stream(one):
            found.append(z + y)
            del z
            dlx.full((1000,), -1.0, device=gpu)  # would get z's memory, were it free
        x[...] = x + 1
    for i, f in enumerate(found):
        assert f.tolist() == [2.0 * (n + i) + 1 for n in range(1000)]


def test_memory_that_another_stream_uses_is_not_given_away(gpu):
    side = dlx.cuda.Stream(gpu)
    x = dlx.ones((256,), device=gpu)
    with dlx.cuda.stream(side):
        y = x + 1
    del x
    hits = dlx.cuda.memory_stats(gpu)["cache_hits"]
    z = dlx.full((256,), 7.0, device=gpu)
    if emulated():  # whose streams work when something waits for them, and not before
        assert dlx.cuda.memory_stats(gpu)["cache_hits"] == hits
        side.synchronize()
        w = dlx.full((256,), 8.0, device=gpu)
        assert dlx.cuda.memory_stats(gpu)["cache_hits"] == hits + 1
        del w
    assert y.tolist() == [2.0] * 256
    del z


@needs_two
def test_devices_wait_for_each_other(gpu):
    other = "cuda:1" if gpu == "cuda:0" else "cuda:0"
    x = numbers(100, gpu)
    for i in range(3):
        y = (x + i).to(other)
        x = (y * 2).to(gpu)
    assert x.tolist()[1] == ((1 * 2 + 1) * 2 + 2) * 2
    with pytest.raises(RuntimeError, match=rf"multiply: .* {gpu} and {other}"):
        _ = x * y


def test_events(gpu):
    side = dlx.cuda.Stream(gpu)
    start, end = dlx.cuda.Event(enable_timing=True), dlx.cuda.Event(enable_timing=True)
    assert start.query()  # nothing to wait for
    with dlx.cuda.stream(side):
        start.record(side)
        x = dlx.ones((1000,), device=gpu) * 3
        end.record(side)
    end.wait(dlx.cuda.current_stream(gpu))
    end.synchronize()
    assert end.query() and start.elapsed_time(end) >= 0
    dlx.cuda.current_stream(gpu).wait_stream(side)
    assert x.tolist() == [3.0] * 1000
    plain = side.record_event()
    with pytest.raises(RuntimeError, match="both events need enable_timing=True"):
        start.elapsed_time(plain)


# Pinned copies


def test_pinned_memory(gpu):
    x = dlx.arange(12.0).reshape(3, 4).T
    p = x.pin_memory()
    assert p.is_pinned() and not x.is_pinned() and p.pin_memory() is p
    assert p.is_contiguous() and p.tolist() == x.tolist() and p.device == "cpu"
    assert p.to(gpu, non_blocking=True).tolist() == x.tolist()
    assert p.to(gpu).to("cpu", non_blocking=True).tolist() == x.tolist()


def test_a_copy_under_way_is_a_snapshot(gpu):
    p = dlx.ones((1000,)).pin_memory()
    there = p.to(gpu, non_blocking=True)
    p[...] = 5.0
    q = dlx.full((1000,), 3.0).pin_memory()
    also = q.to(gpu, non_blocking=True)
    del q
    dlx.full((1000,), 4.0).pin_memory()  # would get q's memory, were it free
    assert (set(there.tolist()), set(also.tolist()), set(p.tolist())) == ({1}, {3}, {5})


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_come_to_a_gpu(gpu, shuffle):
    x, y = np.arange(60, dtype="f4").reshape(20, 3), np.arange(20)
    dlx.seed(3)
    here = [(xb.tolist(), yb.tolist()) for xb, yb in dlx.data.batches(x, y, 8, shuffle)]
    dlx.seed(3)
    kept = []
    for xb, yb in dlx.data.batches(x, y, 8, shuffle, device=gpu):
        assert xb.device == yb.device == gpu
        kept.append((xb * 1.0, yb))
    assert [(xb.tolist(), yb.tolist()) for xb, yb in kept] == here
    (only,) = dlx.data.batches(x, batch_size=20, device=gpu)
    assert only.tolist() == x.tolist()
    for _ in dlx.data.batches(x, y, 8, device=gpu):
        break  # with the next batch on its way


def test_fit_takes_data_to_the_model(gpu):
    dlx.seed(0)
    model = nn.Sequential(nn.Linear(3, 2)).to(gpu)
    model.compile(optimizer="sgd", lr=0.1, loss="mse")
    x, y = np.ones((10, 3), "f4"), np.zeros((10, 2), "f4")
    model.fit(x, y, batch_size=4, epochs=2, verbose=0, validation_data=(x, y))
    assert model.evaluate(x, y)["loss"] >= 0
    assert model.predict(x).device == gpu and model.predict(x, batch_size=3).shape == (10, 2)


# Memory


def test_statistics(gpu):
    dlx.cuda.reset_peak_memory(gpu)
    before = dlx.cuda.memory_stats(gpu)
    x = dlx.zeros((1 << 18,), device=gpu)
    now = dlx.cuda.memory_stats(gpu)
    assert now["live_bytes"] - before["live_bytes"] == 1 << 20
    assert now["allocations"] == before["allocations"] + 1
    del x
    after = dlx.cuda.memory_stats(gpu)
    assert after["live_bytes"] == before["live_bytes"]
    assert after["cached_bytes"] >= 1 << 20 and after["peak_bytes"] >= now["live_bytes"]


def test_out_of_memory_names_the_largest_owners_and_goes_on(device):
    if not emulated():
        return
    text = python(
        """
kept = [dlx.zeros((1024, 1024), device="cuda") for _ in range(6)]
dlx.zeros((9 << 20,), dtype="uint8", device="cuda")  # fits once the cache is emptied
small = dlx.ones((1000,), dtype="float64", device="cuda")
try:
    dlx.zeros((4096, 1024), device="cuda")
except MemoryError as error:
    print(error)
for i in range(3):
    kept.pop()
print(dlx.zeros((3072, 1024), device="cuda").device, small.tolist() == [1] * 1000)
kept.clear()
del small
print(dlx.cuda.memory_stats()["live_bytes"])
""",
        DLX_SIMT_MEMORY_MIB="35",
    )
    error, works, live = text.splitlines()
    assert error.startswith("out of memory on cuda:0: asked for 16777216 bytes, ")
    assert "of 36700160 are free, dlx uses" in error
    assert "the largest owners: 6 x float32 of shape (1024, 1024): 24 MiB, 1 x float64 of" in error
    assert (works, live) == ("cuda:0 True", "0")


def test_a_bad_index_raises_and_work_goes_on(gpu):
    x = numbers(10, gpu)
    for _ in range(2):
        with pytest.raises(IndexError, match="10"):
            dlx.take(x, dlx.tensor([1, 10], device=gpu), axis=0).tolist()
        assert dlx.take(x, dlx.tensor([1, 9], device=gpu), axis=0).tolist() == [1, 9]


# Exchange


class Consumer:
    """Another library's array: takes a capsule, gives it on."""

    def __init__(self, array, **options):
        self.device = array.__dlpack_device__()
        self.capsule = array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, *, stream=None, max_version=None):
        assert stream == dlx.cuda.current_stream(f"cuda:{self.device[1]}").cuda_stream
        return self.capsule


@pytest.mark.parametrize("stream", [None, -1, 1, 2, "ours"])
@pytest.mark.parametrize("version", [None, (1, 0)])
def test_dlpack_both_ways(gpu, stream, version):
    x = numbers(6, gpu).reshape(2, 3).T
    assert x.__dlpack_device__() == (2, gpu.index)
    side = dlx.cuda.Stream(gpu)
    number = side.cuda_stream if stream == "ours" else stream
    lent = Consumer(x, stream=number, max_version=version)
    if stream != "ours":  # the consumer's own, which it orders with ours
        dlx.cuda.synchronize(gpu)
    with dlx.cuda.stream(side):
        y = dlx.from_dlpack(lent)
        assert y.device == gpu and y.tolist() == [[0, 3], [1, 4], [2, 5]]
        assert (version is not None) == (y._storage_id != 0 and pointer(y) == pointer(x))
        x[...] = 0.0
        y += 1.0
    assert (x.tolist(), y.tolist()) == ([[0, 0]] * 3, [[1, 4], [2, 5], [3, 6]])


@pytest.mark.parametrize("number", [1, 2])
def test_streams_of_others_come_after_ours_and_ours_after_theirs(gpu, number):
    x = numbers(6, gpu)
    capsule, lender = x.__dlpack__(stream=number, max_version=(1, 0)), Lender(x, stream=number)
    with dlx.cuda.stream(dlx.cuda.Stream(gpu)):
        assert dlx.asarray(lender).tolist() == [0, 1, 2, 3, 4, 5]
    del capsule


def pointer(x):
    return x.__cuda_array_interface__["data"][0]


def test_dlpack_streams_and_devices_that_are_none(gpu):
    x = dlx.ones((3,), device=gpu)
    with pytest.raises(ValueError, match="stream None, -1, 1, 2 or a cudaStream_t, got 0"):
        x.__dlpack__(stream=0)
    with pytest.raises(BufferError, match=rf"on {gpu}, device \(2, {gpu.index}\).*got \(2, 77\)"):
        x.__dlpack__(max_version=(1, 0), dl_device=(2, 77))
    with pytest.raises(BufferError, match=r"expected dl_device None or that, got \(1, 0\)"):
        x.__dlpack__(max_version=(1, 0), dl_device=(1, 0), copy=False)
    here = _core.from_dlpack(x.__dlpack__(max_version=(1, 0), dl_device=(1, 0)))
    assert here.device == "cpu" and here.tolist() == [1, 1, 1]


def test_an_export_keeps_memory_and_value(gpu):
    before = dlx.cuda.memory_stats(gpu)["live_bytes"]
    x = dlx.ones((1000,), device=gpu)
    y = dlx.from_dlpack(Consumer(x, max_version=(1, 0)))
    del x
    assert dlx.cuda.memory_stats(gpu)["live_bytes"] - before == 4096
    assert y.tolist() == [1] * 1000
    del y
    assert dlx.cuda.memory_stats(gpu)["live_bytes"] == before


class Lender:
    """Another library's array with the interface only."""

    def __init__(self, array, **changed):
        self.array = array
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, **changed}


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "int32", "int64", "uint8", "bool"]
)
def test_cuda_array_interface_both_ways(gpu, dtype):
    x = dlx.tensor([[0, 1, 2], [1, 0, 3]], device=gpu).astype(dtype)
    described = x.__cuda_array_interface__
    assert described["version"] == 3 and described["data"][1] is True
    assert described["strides"] is None and described["shape"] == (2, 3)
    assert np.dtype(described["typestr"]).name == dtype
    for view in (x, x.T, x[:, ::2], x[1:]):
        y = dlx.asarray(Lender(view))
        assert (pointer(y), y.dtype, y.tolist()) == (pointer(view), x.dtype, view.tolist())
    assert dlx.tensor(Lender(x), device="cpu").tolist() == x.tolist()
    assert dlx.asarray(Lender(x[:0])).shape == (0, 3)


def test_an_interface_is_a_snapshot(gpu):
    x = dlx.ones((4,), device=gpu)
    lender = Lender(x)
    gone = weakref.ref(lender)
    y = dlx.asarray(lender)
    del lender
    x[0] = 9.0
    x += 1.0
    assert (x.tolist(), y.tolist()) == ([10, 2, 2, 2], [1, 1, 1, 1])
    assert gone() is not None
    del y
    assert gone() is None


def test_interfaces_that_dlx_cannot_take(gpu):
    x = dlx.ones((4,), device=gpu)
    assert not hasattr(dlx.ones(2), "__cuda_array_interface__")
    assert not hasattr(x.astype("bfloat16"), "__cuda_array_interface__")
    with pytest.raises(TypeError, match="masked arrays"):
        dlx.asarray(Lender(x, mask=x))
    with pytest.raises(TypeError, match="no dlx dtype is <c8"):
        dlx.asarray(Lender(x, typestr="<c8"))
    with pytest.raises(ValueError, match="no memory of a GPU"):
        dlx.asarray(Lender(x, data=(4096, True)))
    with pytest.raises(ValueError, match="stream 0"):
        dlx.asarray(Lender(x, stream=0))
    with pytest.raises(ValueError, match="strides of whole elements"):
        dlx.asarray(Lender(x, strides=(2,)))
