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

std::string reason_for_no_gpu() {
  return cuda_backend() ? cuda_backend()->reason_for_none() : "this build of dlx has no CUDA";
}

void* allocate_on(Device device, int64_t bytes, const Array* owner) {
  if (device.kind == DeviceKind::cpu) return allocate(bytes);
  DLX_CHECK_AS(std::runtime_error, cuda_backend(), device, ": not available: ", reason_for_no_gpu(),
               "; run `dlx info`");
  return cuda_backend()->allocate(device, bytes, owner);
}

void release_on(Device device, void* block, int64_t bytes) {
  if (device.kind == DeviceKind::cpu) return release(block, bytes);
  cuda_backend()->release(device, block);
}

void keep_for_copy(const Array& source, Device to) {
  if (is_pinned(source) && to.kind != DeviceKind::cpu)
    cuda_backend()->keep_for_copy(cuda_backend()->streams.current(to), source.storage);
}

Array moved(Ctx& ctx, const Array& a, Device to) {
  if (a.device() == to) return a;
  const Array source = dense(ctx, a);
  Array y = empty(a.shape, a.dtype, to);
  launch(ctx, ops::move, MoveShape{source.bytes(), source.device(), to}, {&source}, {&y});
  keep_for_copy(source, to);
  return y;
}

Array on_host(Ctx& ctx, const Array& a) {
  notify_host_read(ctx, a);
  return moved(ctx, a, Device{});
}

}  // namespace dlx
