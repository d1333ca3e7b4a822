#include "core/array.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <unordered_set>

#include "core/allocator.h"
#include "core/check.h"
#include "core/device.h"
#include "core/guarded.h"
#include "core/test_hooks.h"

namespace dlx {
namespace {

std::atomic<uint64_t> next_storage_id{1};

Storage* make_storage(void* data, int64_t bytes, Device device) {
  auto* s = new (allocate(sizeof(Storage))) Storage;
  s->data = data;
  s->bytes = bytes;
  s->device = device;
  s->id = next_storage_id.fetch_add(1, std::memory_order_relaxed);
  if (device.kind != DeviceKind::cpu) s->stream = cuda_backend()->streams.current(device);
  return s;
}

std::atomic<int> watches{0};
std::mutex watch_mutex;
std::unordered_set<uint64_t>& dead_ids() {  // never destroyed: storages die at exit, too
  static auto* ids = new std::unordered_set<uint64_t>;
  return *ids;
}

}  // namespace

StorageWatch::StorageWatch() { ++watches; }

StorageWatch::~StorageWatch() {
  const std::scoped_lock lock(watch_mutex);
  if (--watches == 0) dead_ids().clear();
}

bool StorageWatch::died(uint64_t id) const {
  const std::scoped_lock lock(watch_mutex);
  return dead_ids().contains(id);
}

void StorageRef::destroy(Storage* s) {
  if (watches.load(std::memory_order_relaxed) > 0) [[unlikely]] {
    const std::scoped_lock lock(watch_mutex);
    dead_ids().insert(s->id);
  }
  if (s->release) {
    if (s->device.kind != DeviceKind::cpu) cuda_backend()->streams.wait_for_uses(*s);
    s->release(s);
  } else if (s->device.kind == DeviceKind::cpu) {
    dlx::release(s->data, s->bytes);
  } else {
    cuda_backend()->release_storage(*s);
  }
  s->~Storage();
  dlx::release(s, sizeof(Storage));
}

bool Array::is_dense() const {
  int64_t expected = 1;
  for (int i = shape.ndim - 1; i >= 0; --i) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

bool Array::is_writable() const {
  return !storage->read_only && storage->owners.load(std::memory_order_acquire) == 1;
}

Array Array::meta() const {
  Array m;
  m.shape = shape;
  m.strides = dense_strides(shape);
  m.dtype = dtype;
  return m;
}

Dims dense_strides(const Dims& shape) {
  Dims strides;
  strides.ndim = shape.ndim;
  int64_t stride = 1;
  for (int i = shape.ndim - 1; i >= 0; --i) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

namespace {

Array without_memory(const Dims& shape, DType dtype) {
  int64_t most = size_of(dtype);  // also of the strides of a shape without elements
  for (int64_t extent : shape)
    DLX_CHECK_AS(OutOfMemory, !__builtin_mul_overflow(most, std::max<int64_t>(extent, 1), &most),
                 "empty: no memory for ", dtype, " of shape ", shape);
  Array a;
  a.shape = shape;
  a.strides = dense_strides(shape);
  a.dtype = dtype;
  return a;
}

void release_pinned(Storage* s) { cuda_backend()->pinned_release(s->data, s->bytes); }

}  // namespace

Array empty(const Dims& shape, DType dtype, Device device) {
  Array a = without_memory(shape, dtype);
  const int64_t bytes = a.bytes();
  const bool poisons = hooks::poison_outputs.load(std::memory_order_relaxed);
  if (poisons && device.kind == DeviceKind::cpu) [[unlikely]] {
    a.storage = StorageRef(make_storage(allocate_guarded(bytes), bytes, device));
    a.storage->release = [](Storage* s) { release_guarded(s->data, s->bytes); };
    return a;
  }
  a.storage = StorageRef(make_storage(allocate_on(device, bytes, &a), bytes, device));
  if (poisons) [[unlikely]]
    cuda_backend()->fill(device, a.data(), 0xff, bytes);
  return a;
}

Array empty_pinned(const Dims& shape, DType dtype) {
  Array a = without_memory(shape, dtype);
  DLX_CHECK_AS(std::runtime_error, cuda_backend() && cuda_backend()->count() > 0,
               "pin_memory: no GPU to copy to: ", reason_for_no_gpu(), "; run `dlx info`");
  const int64_t bytes = a.bytes();
  a.storage = StorageRef(make_storage(cuda_backend()->pinned_allocate(bytes), bytes, Device{}));
  a.storage->release = release_pinned;
  return a;
}

bool is_pinned(const Array& a) { return a.storage && a.storage->release == release_pinned; }

Array borrow(void* data, const Dims& shape, const Dims& strides, DType dtype, Device device,
             void* owner, void (*release)(Storage*)) {
  int64_t below = 0, above = 0;  // elements of the memory before and behind the first element
  for (int i = 0; i < shape.ndim; ++i)
    (strides[i] < 0 ? below : above) += (shape[i] - 1) * std::abs(strides[i]);
  if (shape.product() == 0) below = 0, above = -1;
  const int64_t size = size_of(dtype);
  Storage* s =
      make_storage(static_cast<char*>(data) - below * size, (below + 1 + above) * size, device);
  s->read_only = true;
  s->from_host = true;
  s->owner = owner;
  s->release = release;
  Array a;
  a.storage = StorageRef(s);
  a.offset = below;
  a.shape = shape;
  a.strides = strides;
  a.dtype = dtype;
  return a;
}

}  // namespace dlx
