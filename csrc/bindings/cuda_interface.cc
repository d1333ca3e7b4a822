// Memory of GPUs shared by __cuda_array_interface__, version 3
// (https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html).
#include <string>

#include "bindings/tensor_base.h"
#include "core/device.h"
#include "core/view.h"

namespace dlx {
namespace {

namespace py = pybind11;

constexpr const char* kTypes[kNumDTypes] = {"<f4", "<f8", nullptr, "<f2",
                                            "<i4", "<i8", "|u1",   "|b1"};

DType dtype_of(const std::string& type) {
  for (int i = 0; i < kNumDTypes; ++i)
    if (kTypes[i] && type == kTypes[i]) return static_cast<DType>(i);
  throw TypeError("asarray: no dlx dtype is " + type + " of __cuda_array_interface__");
}

// Read-only: the consumer sees this value, whatever the tensor becomes.
py::object describe(const Array& x) {
  const char* type = kTypes[static_cast<int>(x.dtype)];
  const char* reason = x.device().kind == DeviceKind::cpu ? "is on the CPU"
                       : type ? nullptr
                              : "has a dtype that the interface has not";
  if (reason) {
    PyErr_Format(PyExc_AttributeError, "__cuda_array_interface__: the tensor %s", reason);
    throw py::error_already_set();
  }
  const DeviceStreams& streams = cuda_backend()->streams;
  DeviceStream* now = streams.current(x.device());
  if (x.storage->stream.load() != now) streams.use(now, *x.storage.get(), false);
  py::dict d;
  d["shape"] = py::reinterpret_steal<py::object>(tuple_of(x.shape));
  d["typestr"] = type;
  d["data"] = py::make_tuple(x.size() ? reinterpret_cast<uintptr_t>(x.data()) : 0, true);
  d["version"] = 3;
  d["strides"] = py::none();
  if (!x.is_dense()) {
    Dims strides = x.strides;
    for (int i = 0; i < strides.ndim; ++i) strides[i] *= size_of(x.dtype);
    d["strides"] = py::reinterpret_steal<py::object>(tuple_of(strides));
  }
  d["stream"] = streams.native(now);
  return d;
}

py::object field(const py::dict& d, const char* name) {
  return d.contains(name) ? py::object(d[name]) : py::none();
}

// The lender lives as long as the Tensor.
Array borrow_described(const py::object& lender, const py::dict& d) {
  DLX_CHECK_AS(TypeError, field(d, "mask").is_none(), "asarray: masked arrays are no Tensors");
  const DType dtype = dtype_of(py::cast<std::string>(d["typestr"]));
  const Dims shape = dims_from(py::object(d["shape"]).ptr(), "asarray", "shape");
  check_extents(shape, "asarray");
  Dims strides = dense_strides(shape);
  if (const py::object given = field(d, "strides"); !given.is_none()) {
    strides = dims_from(given.ptr(), "asarray", "strides");
    DLX_CHECK(strides.ndim == shape.ndim, "asarray: expected ", shape.ndim, " strides, got ",
              strides.ndim);
    for (int i = 0; i < strides.ndim; ++i) {
      DLX_CHECK(strides[i] % size_of(dtype) == 0,
                "asarray: expected strides of whole elements, got ", strides, " bytes");
      strides[i] /= size_of(dtype);
    }
  }
  auto* data = reinterpret_cast<void*>(py::cast<uintptr_t>(py::tuple(d["data"])[0]));
  DLX_CHECK_AS(std::runtime_error, cuda_backend() && cuda_backend()->count() > 0,
               "asarray: memory of a GPU, but ", reason_for_no_gpu(), "; run `dlx info`");
  if (shape.product() == 0) return empty(shape, dtype, {DeviceKind::cuda, 0});
  const int index = cuda_backend()->device_of(data);
  DLX_CHECK(index >= 0, "asarray: __cuda_array_interface__ gives no memory of a GPU");
  DLX_CHECK(reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(size_of(dtype)) == 0,
            "asarray: expected elements at multiples of their size; copy the array first");
  const Device device{DeviceKind::cuda, static_cast<int8_t>(index)};
  if (const py::object stream = field(d, "stream"); !stream.is_none()) {
    const DeviceStreams& streams = cuda_backend()->streams;
    const auto number = py::cast<uintptr_t>(stream);
    DLX_CHECK(number != 0, "asarray: stream 0 of __cuda_array_interface__ is ambiguous");
    streams.wait_for_foreign(streams.current(device), number);
  }
  const auto release = [](Storage* s) {
    const PyGILState_STATE state = PyGILState_Ensure();
    Py_DECREF(static_cast<PyObject*>(s->owner));
    PyGILState_Release(state);
  };
  return borrow(data, shape, strides, dtype, device, py::object(lender).release().ptr(), release);
}

}  // namespace

void bind_cuda_interface(py::module_& m) {
  m.def("cuda_interface", describe);
  m.def("borrow_cuda", borrow_described);
}

}  // namespace dlx
