// To a device, from the host or from another device, whose stream the door has waited for.
#include "cuda/core/context.h"
#include "ops/move.h"

namespace dlx::cuda {

void move(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const MoveShape*>(shape);
  Context& c = context(ctx);
  if (s.from.kind == DeviceKind::cpu)
    return copy(c.stream, buffers[1], buffers[0], s.bytes, Copy::to_device);
  const Copy kind = s.from == s.to ? Copy::on_device : Copy::between_devices;
  copy(c.stream, buffers[1], buffers[0], s.bytes, kind);
}

}  // namespace dlx::cuda
