// Devices: which there are, copies between them, waiting for them.
#include "core/device.h"

#include "bindings/tensor_base.h"
#include "ops/copy.h"
#include "ops/move.h"

namespace dlx {
namespace {

namespace py = pybind11;

const DeviceBackend& backend() {
  DLX_CHECK_AS(std::runtime_error, cuda_backend(), reason_for_no_gpu());
  return *cuda_backend();
}

Device gpu(int index) { return {DeviceKind::cuda, static_cast<int8_t>(index)}; }

Array move(const Array& x, const DeviceCode& code) {
  const Array source = dense(current_ctx(), x);
  const Device to = device_from(code);
  Array y = empty(x.shape, x.dtype, to);
  launch_from_python(ops::move, MoveShape{source.bytes(), source.device(), to}, {&source}, {&y});
  keep_for_copy(source, to);
  return y;
}

Array pinned(const Array& x) {
  Array y = empty_pinned(x.shape, x.dtype);
  launch_from_python(ops::copy, CopyShape::make(x.shape, x.dtype, x.strides, y.strides), {&x},
                     {&y});
  return y;
}

}  // namespace

void bind_device(py::module_& m) {
  m.def("move", move);
  m.def("cuda_device_count", [] { return cuda_backend() ? cuda_backend()->count() : 0; });
  m.def("cuda_missing", reason_for_no_gpu);  // why there is none
  m.def("cuda_built_for", [] { return cuda_backend() ? cuda_backend()->built_for() : ""; });
  m.def("pin", pinned);
  m.def("is_pinned", is_pinned);
  m.def("cuda_synchronize", [](int device) {
    const GilRelease release(true);
    backend().synchronize(gpu(device));
    backend().tell_errors(gpu(device), nullptr, "at a synchronisation");
  });
  m.def("cuda_properties", [](int device) {
    const DeviceProperties p = backend().properties(gpu(device));
    return std::make_tuple(p.name, p.memory_bytes, p.capability);
  });
  m.def("cuda_memory_stats",
        [](int device) { return as_dict(backend().memory_stats(gpu(device))); });
  m.def("cuda_reset_peak_memory", [](int device) { backend().reset_peak(gpu(device)); });
  m.def("cuda_empty_cache", [](int device) { backend().empty_cache(gpu(device)); });
}

}  // namespace dlx
