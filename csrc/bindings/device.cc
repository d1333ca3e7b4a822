// Devices: which there are, copies between them, waiting for them.
#include "core/device.h"

#include "bindings/tensor_base.h"
#include "ops/move.h"

#if DLX_WITH_CUDA
#include "cuda/core/allocator.h"
#include "cuda/core/runtime.h"
#endif

namespace dlx {
namespace {

namespace py = pybind11;

using DeviceCode = std::pair<int, int>;  // (kind, index), as Tensor._device_code

Device device_from(const DeviceCode& code) {
  return {static_cast<DeviceKind>(code.first), static_cast<int8_t>(code.second)};
}

Array move(const Array& x, const DeviceCode& code) {
  const Array source = dense(current_ctx(), x);
  const Device to = device_from(code);
  Array y = empty(x.shape, x.dtype, to);
  launch_from_python(ops::move, MoveShape{source.bytes(), source.device(), to}, {&source}, {&y});
  return y;
}

}  // namespace

void bind_device(py::module_& m) {
  m.def("move", move);
  m.def("cuda_device_count", [] { return cuda_backend() ? cuda_backend()->count() : 0; });
  m.def("cuda_missing", [] {  // why there is none
    return cuda_backend() ? cuda_backend()->reason_for_none()
                          : std::string("this build of dlx has no CUDA");
  });
#if DLX_WITH_CUDA
  m.def("cuda_synchronize", [](int device) {
    const GilRelease release(true);
    cuda_backend()->synchronize({DeviceKind::cuda, static_cast<int8_t>(device)});
  });
  m.def("cuda_device_name", [](int device) { return cuda::properties(device).name; });
  m.def("cuda_compute_capability", [](int device) {
    const cuda::Properties p = cuda::properties(device);
    return std::make_pair(p.major, p.minor);
  });
  m.def("cuda_memory_stats", [](int device) {
    const MemoryStats s = cuda::device_memory_stats(device);
    py::dict d;
    d["live_bytes"] = s.live_bytes;
    d["peak_bytes"] = s.peak_bytes;
    d["cached_bytes"] = s.cached_bytes;
    d["allocations"] = s.allocations;
    d["cache_hits"] = s.cache_hits;
    return d;
  });
  m.def("cuda_reset_peak_memory", cuda::reset_device_peak);
  m.def("cuda_empty_cache", cuda::empty_device_cache);
#endif
}

}  // namespace dlx
