#include "core/array.h"

#include <cstring>

#include "core/allocator.h"
#include "core/check.h"
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
  return s;
}

}  // namespace

void StorageRef::destroy(Storage* s) {
  if (s->release) {
    s->release(s);
  } else {
    dlx::release(s->data, s->bytes);
  }
  s->~Storage();
  dlx::release(s, sizeof(Storage));
}

void pin(Storage* s) {
  s->pins.fetch_add(1, std::memory_order_relaxed);
  s->owners.fetch_add(1, std::memory_order_relaxed);
}

void unpin(Storage* s) {
  s->pins.fetch_sub(1, std::memory_order_relaxed);
  if (s->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) StorageRef::destroy(s);
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
  return !storage->read_only && storage->owners.load(std::memory_order_acquire) -
                                        storage->pins.load(std::memory_order_relaxed) ==
                                    1;
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

Array empty(const Dims& shape, DType dtype, Device device) {
  Array a;
  a.shape = shape;
  a.strides = dense_strides(shape);
  a.dtype = dtype;
  int64_t bytes = a.bytes();
  if (hooks::poison_outputs.load(std::memory_order_relaxed)) [[unlikely]] {
    a.storage = StorageRef(make_storage(allocate_guarded(bytes), bytes, device));
    a.storage->release = [](Storage* s) { release_guarded(s->data, s->bytes); };
    return a;
  }
  a.storage = StorageRef(make_storage(allocate(bytes), bytes, device));
  return a;
}

Array borrow(void* data, int64_t bytes, const Dims& shape, const Dims& strides, DType dtype,
             Device device, void* owner, void (*release)(Storage*)) {
  Storage* s = make_storage(data, bytes, device);
  s->read_only = true;
  s->owner = owner;
  s->release = release;
  Array a;
  a.storage = StorageRef(s);
  a.shape = shape;
  a.strides = strides;
  a.dtype = dtype;
  return a;
}

}  // namespace dlx
