#include "ops/move.h"

#include <cstring>

#include "core/device.h"

namespace dlx::cpu {

// To the CPU, from whichever device.
void move(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const MoveShape*>(shape);
  if (s.from.kind != DeviceKind::cpu)
    return cuda_backend()->copy_to_host(s.from, buffers[1], buffers[0], s.bytes);
  std::memcpy(buffers[1], buffers[0], static_cast<size_t>(s.bytes));
}

}  // namespace dlx::cpu
