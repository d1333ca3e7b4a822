// To a device, from the host or from another device.
#include "cuda/core/context.h"
#include "ops/move.h"

namespace dlx::cuda {

void move(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const MoveShape*>(shape);
  Context& c = context(ctx);
  if (s.from.kind == DeviceKind::cpu)
    return copy(c.stream, buffers[1], buffers[0], s.bytes, Copy::to_device);
  if (s.from == s.to) return copy(c.stream, buffers[1], buffers[0], s.bytes, Copy::on_device);
  const Event ready = create_event();  // x, on its own stream
  record(ready, context_of(s.from).stream);
  wait(c.stream, ready);
  copy(c.stream, buffers[1], buffers[0], s.bytes, Copy::between_devices);
  // x's memory may go to other work of its device only after this.
  record(ready, c.stream);
  wait(context_of(s.from).stream, ready);
  destroy_event(ready);
}

}  // namespace dlx::cuda
