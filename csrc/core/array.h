// An array is {storage, offset, shape, strides, dtype}; the device belongs to the storage. Views
// share a storage; sharing is never observable: whoever writes calls own() first (copy-on-write).
#pragma once
#include <atomic>
#include <cstdint>
#include <utility>

#include "core/dtype.h"

namespace dlx {

constexpr int kMaxDims = 8;  // shape structs travel by value; deep-learning arrays have 5 at most

struct Dims {
  int32_t ndim = 0;
  int64_t extent[kMaxDims];  // only the first ndim are meaningful

  Dims() = default;
  Dims(const Dims& other) { *this = other; }
  Dims& operator=(const Dims& other) {
    ndim = other.ndim;
    for (int i = 0; i < ndim; ++i) extent[i] = other.extent[i];
    return *this;
  }
  Dims(std::initializer_list<int64_t> values) {
    for (int64_t v : values) extent[ndim++] = v;
  }
  int64_t operator[](int i) const { return extent[i]; }
  int64_t& operator[](int i) { return extent[i]; }
  const int64_t* begin() const { return extent; }
  const int64_t* end() const { return extent + ndim; }
  void push_back(int64_t v) { extent[ndim++] = v; }
  int64_t product() const {
    int64_t n = 1;
    for (int64_t v : *this) n *= v;
    return n;
  }
  bool operator==(const Dims& other) const {
    if (ndim != other.ndim) return false;
    for (int i = 0; i < ndim; ++i)
      if (extent[i] != other.extent[i]) return false;
    return true;
  }
};

enum class DeviceKind : uint8_t { cpu, cuda };
constexpr int kNumDeviceKinds = 2;

struct Device {
  DeviceKind kind = DeviceKind::cpu;
  int8_t index = 0;
  bool operator==(const Device&) const = default;
};

// A queue of work of a GPU, done in order: cuda/core/context.h.
struct DeviceStream {};

// One block of memory, freed with its last owner. Owners that are pins (of recorders) only hold it
// alive: they do not make an in-place write copy.
struct Storage {
  void* data = nullptr;
  int64_t bytes = 0;
  uint64_t id = 0;  // unique for the life of the process; addresses are reused, ids are not
  Device device;
  bool read_only = false;  // borrowed memory is never written
  bool from_host = false;  // Python or another library put the values there, no launch
  // Of a GPU's memory: the one stream that has used it; null once there were several.
  std::atomic<DeviceStream*> stream{nullptr};
  void (*release)(Storage*) = nullptr;  // null: the caching allocator's
  void* owner = nullptr;                // what release() lets go of, for borrowed memory
  std::atomic<int64_t> owners{0};
};

class StorageRef {
 public:
  StorageRef() = default;
  explicit StorageRef(Storage* s) : storage_(s) { retain(); }
  StorageRef(const StorageRef& other) : storage_(other.storage_) { retain(); }
  StorageRef(StorageRef&& other) noexcept : storage_(std::exchange(other.storage_, nullptr)) {}
  StorageRef& operator=(StorageRef other) noexcept {
    std::swap(storage_, other.storage_);
    return *this;
  }
  ~StorageRef() {
    if (storage_ && storage_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1)
      destroy(storage_);
  }
  Storage* get() const { return storage_; }
  Storage* operator->() const { return storage_; }
  static void destroy(Storage*);  // when its last owner is gone
  explicit operator bool() const { return storage_ != nullptr; }

 private:
  void retain() {
    if (storage_) storage_->owners.fetch_add(1, std::memory_order_relaxed);
  }
  Storage* storage_ = nullptr;
};

// While one lives, it knows which storages have died since it was made.
class StorageWatch {
 public:
  StorageWatch();
  ~StorageWatch();
  StorageWatch(const StorageWatch&) = delete;
  bool died(uint64_t id) const;
};

struct Array {
  StorageRef storage;   // null: shape and dtype only (a value that was not kept)
  int64_t offset = 0;   // in elements
  Dims shape, strides;  // strides in elements
  DType dtype = DType::float32;

  Device device() const { return storage ? storage->device : Device{}; }
  int64_t size() const { return shape.product(); }
  int64_t bytes() const { return size() * size_of(dtype); }
  void* data() const { return static_cast<char*>(storage->data) + offset * size_of(dtype); }
  bool is_dense() const;     // row-major without gaps
  bool is_writable() const;  // nobody else sees this storage
  Array meta() const;        // shape and dtype without values
};

Dims dense_strides(const Dims& shape);
Array empty(const Dims& shape, DType dtype, Device device);
Array empty_pinned(const Dims& shape, DType dtype);  // of the host; a GPU copies it by itself
bool is_pinned(const Array&);
// Memory of somebody else, `data` the first element; release(storage) is called once, when the last
// view is gone.
Array borrow(void* data, const Dims& shape, const Dims& strides, DType dtype, Device device,
             void* owner, void (*release)(Storage*));

}  // namespace dlx
