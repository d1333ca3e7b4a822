// Exchange of memory with other libraries by DLPack capsules. The structs are those of the DLPack
// specification 1.0 (https://dmlc.github.io/dlpack/latest/c_api.html), the names and the hand-over
// those of its Python part (https://dmlc.github.io/dlpack/latest/python_spec.html).
#include <algorithm>
#include <memory>

#include "bindings/tensor_base.h"
#include "core/device.h"
#include "core/view.h"

namespace dlx {
namespace {

namespace py = pybind11;

// ---- The specification's structs

struct DLDevice {
  int32_t type, id;
};
constexpr int32_t kDLCPU = 1, kDLCUDA = 2, kDLCUDAHost = 3;  // the last: pinned

struct DLDataType {
  uint8_t code, bits;
  uint16_t lanes;
};
enum : uint8_t { kDLInt = 0, kDLUInt = 1, kDLFloat = 2, kDLBfloat = 4, kDLBool = 6 };

struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape, *strides;  // strides in elements; null: row-major without gaps
  uint64_t byte_offset;
};

struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};

struct DLManagedTensorVersioned {
  uint32_t major, minor;
  void* context;
  void (*deleter)(DLManagedTensorVersioned*);
  uint64_t flags;
  DLTensor tensor;
};
constexpr uint64_t kReadOnly = 1, kCopied = 2;

template <class Managed>
constexpr const char* kName = "dltensor";
template <>
constexpr const char* kName<DLManagedTensorVersioned> = "dltensor_versioned";
template <class Managed>
constexpr const char* kUsedName = "used_dltensor";
template <>
constexpr const char* kUsedName<DLManagedTensorVersioned> = "used_dltensor_versioned";

[[noreturn]] void buffer_error(const std::string& text) {
  PyErr_SetString(PyExc_BufferError, text.c_str());
  throw py::error_already_set();
}

// ---- dtypes

constexpr DLDataType kDataType[kNumDTypes] = {
    {kDLFloat, 32, 1}, {kDLFloat, 64, 1}, {kDLBfloat, 16, 1}, {kDLFloat, 16, 1},
    {kDLInt, 32, 1},   {kDLInt, 64, 1},   {kDLUInt, 8, 1},    {kDLBool, 8, 1}};

DType dtype_of(DLDataType t) {
  for (int i = 0; i < kNumDTypes; ++i) {
    const DLDataType& known = kDataType[i];
    if (t.code == known.code && t.bits == known.bits && t.lanes == known.lanes)
      return static_cast<DType>(i);
  }
  throw TypeError(message("from_dlpack: no dlx dtype holds DLPack's type code ", int{t.code},
                          " of ", int{t.bits}, " bits and ", t.lanes,
                          " lanes; expected one of float32, float64, bfloat16, float16, int32, "
                          "int64, uint8, bool"));
}

// ---- Devices

DLDevice dl_device_of(Device d) {
  return d.kind == DeviceKind::cpu ? DLDevice{kDLCPU, 0} : DLDevice{kDLCUDA, d.index};
}

Device device_of(DLDevice d) {
  if (d.type == kDLCPU || d.type == kDLCUDAHost) return {};
  const int count = cuda_backend() ? cuda_backend()->count() : 0;
  if (d.type != kDLCUDA || d.id < 0 || d.id >= count) {
    const std::string gpus =
        count ? message(" or of one of ", count, " GPUs, (2, index)") : std::string();
    buffer_error(message("from_dlpack: expected memory of the CPU, DLPack device (1, 0)", gpus,
                         ", got (", d.type, ", ", d.id, "); move it there first"));
  }
  return {DeviceKind::cuda, static_cast<int8_t>(d.id)};
}

// The consumer's stream, as the array API standard numbers it: None and 1 are CUDA's legacy default
// stream, 2 that of the thread, -1 none, any other number a cudaStream_t. Its work from now on
// comes after ours.
void let_consumer_wait(const Array& x, const py::object& stream) {
  if (x.device().kind == DeviceKind::cpu) return;
  const int64_t number = stream.is_none() ? 1 : py::cast<int64_t>(stream);
  DLX_CHECK(number >= -1 && number != 0,
            "dlpack: expected stream None, -1, 1, 2 or a cudaStream_t, got ", number);
  if (number == -1) return;
  const DeviceStreams& streams = cuda_backend()->streams;
  DeviceStream* now = streams.current(x.device());
  if (x.storage->stream.load() != now) streams.use(now, *x.storage.get(), false);
  streams.let_foreign_wait(static_cast<uintptr_t>(number), now);
}

// ---- Out

template <class Managed>
struct Exported {
  Managed managed{};
  Array array;  // an owner of the memory: whoever writes from now on copies first
};

// What the consumer's streams still do with the memory, nobody tells us.
void wait_for_consumer(Device device) noexcept {
  try {
    if (device.kind != DeviceKind::cpu) cuda_backend()->synchronize(device);
  } catch (const std::exception&) {  // of a device that is broken
  }
}

template <class Managed>
Managed* managed_of(PyObject* capsule, const char* name) {
  return static_cast<Managed*>(PyCapsule_GetPointer(capsule, name));
}

template <class Managed>
PyObject* export_array(Array array, uint64_t flags) {
  auto exported = std::make_unique<Exported<Managed>>();
  exported->array = std::move(array);
  Array& a = exported->array;
  Managed& managed = exported->managed;
  managed.context = exported.get();
  managed.deleter = [](Managed* m) {
    const std::unique_ptr<Exported<Managed>> last(static_cast<Exported<Managed>*>(m->context));
    wait_for_consumer(last->array.device());
  };
  managed.tensor = {a.data(),
                    dl_device_of(a.device()),
                    a.shape.ndim,
                    kDataType[static_cast<int>(a.dtype)],
                    a.shape.extent,
                    a.strides.extent,
                    0};
  if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>) {
    managed.major = 1;
    managed.flags = flags;
  }
  PyObject* capsule = PyCapsule_New(&managed, kName<Managed>, [](PyObject* c) {
    if (!PyCapsule_IsValid(c, kName<Managed>)) return;  // taken over: its consumer deletes
    auto* m = managed_of<Managed>(c, kName<Managed>);
    m->deleter(m);
  });
  if (!capsule) throw py::error_already_set();
  static_cast<void>(exported.release());
  return capsule;
}

// A consumer from before version 1 does not know the read-only flag: it gets memory of its own.
PyObject* to_dlpack(const Array& tensor, const py::object& stream, const py::object& max_version,
                    const py::object& device, const py::object& copy) {
  const DLDevice here = dl_device_of(tensor.device());
  const bool stays = device.is_none() || device.equal(py::make_tuple(here.type, here.id));
  const bool to_host =
      !stays && device.equal(py::make_tuple(kDLCPU, 0)) && (copy.is_none() || py::cast<bool>(copy));
  if (!stays && !to_host)
    buffer_error(message("dlpack: the tensor is on ", tensor.device(), ", device (", here.type,
                         ", ", here.id, "); expected dl_device None or that, got ",
                         std::string(py::repr(device))));
  const Array x = to_host ? on_host(current_ctx(), tensor) : tensor;
  const bool versioned = !max_version.is_none() && max_version[py::int_(0)].cast<int64_t>() >= 1;
  if (!versioned && !copy.is_none() && !py::cast<bool>(copy))
    buffer_error(
        "dlpack: a consumer that does not ask for max_version (1, 0) or later needs a copy, "
        "copy=False");
  notify_host_read(current_ctx(), x);
  const bool copies = copy.is_none() ? !versioned : py::cast<bool>(copy);
  Array array = copies && !to_host ? copy_of(current_ctx(), x) : x;
  let_consumer_wait(array, stream);
  if (!versioned) return export_array<DLManagedTensor>(std::move(array), 0);
  return export_array<DLManagedTensorVersioned>(std::move(array),
                                                copies || to_host ? kCopied : kReadOnly);
}

// ---- In

// Calls the producer's deleter unless it is let go of.
template <class Managed>
struct Taken {
  Managed* managed;
  explicit Taken(Managed* m) : managed(m) {}
  Taken(const Taken&) = delete;
  ~Taken() {
    if (managed && managed->deleter) managed->deleter(managed);
  }
};

template <class Managed>
Array import_array(PyObject* capsule) {
  auto* managed = managed_of<Managed>(capsule, kName<Managed>);
  if (!managed) throw py::error_already_set();
  if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>)
    if (managed->major != 1)
      buffer_error(message("from_dlpack: expected DLPack version 1, got ", managed->major, ".",
                           managed->minor));
  const DLTensor& t = managed->tensor;
  const Device device = device_of(t.device);
  const DType dtype = dtype_of(t.dtype);
  DLX_CHECK(t.ndim >= 0 && t.ndim <= kMaxDims, "from_dlpack: expected at most ", kMaxDims,
            " dimensions, got ", t.ndim);
  Dims shape, strides;
  for (int i = 0; i < t.ndim; ++i) shape.push_back(t.shape[i]);
  check_extents(shape, "from_dlpack");
  strides = dense_strides(shape);
  for (int i = 0; t.strides && i < t.ndim; ++i) strides[i] = t.strides[i];

  char* data = static_cast<char*>(t.data) + t.byte_offset;
  const int64_t size = size_of(dtype);
  if (reinterpret_cast<uintptr_t>(data) % static_cast<uint64_t>(size))
    buffer_error("from_dlpack: expected elements at multiples of their size; copy the array first");

  PyCapsule_SetName(capsule, kUsedName<Managed>);  // from here on it is ours to delete
  Taken<Managed> taken(managed);
  if (shape.product() == 0) return empty(shape, dtype, device);
  const auto release = [](Storage* s) {  // on any thread
    Taken<Managed> last(static_cast<Managed*>(s->owner));
  };
  Array borrowed = borrow(data, shape, strides, dtype, device, managed, release);
  taken.managed = nullptr;
  return borrowed;
}

Array from_dlpack(py::handle capsule) {
  if (PyCapsule_IsValid(capsule.ptr(), kName<DLManagedTensorVersioned>))
    return import_array<DLManagedTensorVersioned>(capsule.ptr());
  if (PyCapsule_IsValid(capsule.ptr(), kName<DLManagedTensor>))
    return import_array<DLManagedTensor>(capsule.ptr());
  DLX_CHECK(!PyCapsule_CheckExact(capsule.ptr()),
            "from_dlpack: the capsule has been consumed already");
  throw TypeError(
      message("from_dlpack: expected a DLPack capsule, got ", Py_TYPE(capsule.ptr())->tp_name));
}

}  // namespace

void bind_dlpack(py::module_& m) {
  m.def("to_dlpack", [](const Array& x, const py::object& stream, const py::object& max_version,
                        const py::object& device, const py::object& copy) {
    return py::reinterpret_steal<py::object>(to_dlpack(x, stream, max_version, device, copy));
  });
  m.def("from_dlpack", from_dlpack);
}

}  // namespace dlx
