#include "core/device.h"

#include "core/allocator.h"
#include "core/check.h"
#include "ops/move.h"

namespace dlx {

#if DLX_WITH_CUDA
extern const DeviceBackend backend_of_cuda;
const DeviceBackend* cuda_backend() { return &backend_of_cuda; }
#else
const DeviceBackend* cuda_backend() { return nullptr; }
#endif

void* allocate_on(Device device, int64_t bytes) {
  if (device.kind == DeviceKind::cpu) return allocate(bytes);
  DLX_CHECK_AS(std::runtime_error, cuda_backend(), "this build of dlx has no CUDA");
  return cuda_backend()->allocate(device, bytes);
}

void release_on(Device device, void* block, int64_t bytes) {
  if (device.kind == DeviceKind::cpu) return release(block, bytes);
  cuda_backend()->release(device, block, bytes);
}

Array moved(Ctx& ctx, const Array& a, Device to) {
  if (a.device() == to) return a;
  const Array source = dense(ctx, a);
  Array y = empty(a.shape, a.dtype, to);
  launch(ctx, ops::move, MoveShape{source.bytes(), source.device(), to}, {&source}, {&y});
  return y;
}

Array on_host(Ctx& ctx, const Array& a) {
  notify_host_read(ctx, a);
  return moved(ctx, a, Device{});
}

}  // namespace dlx
